"""One destination and the thread that serves it: connects, sends, waits, tries again, and counts.

Whatever happens to the destination, nobody else waits for it. Knows sinks by their contract only.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

from engine.clock import Clock
from engine.errors import ConfigError, PublishError
from engine.publish.base import Destination, Sink, create_sink
from engine.publish.h264 import ParameterSets
from engine.publish.outbox import Outbox
from engine.publish.retry import DeliveryState, RetryPolicy, Uniform
from engine.types.packet import Packet

STUCK_S = 120.0
"""No call of a sink lasts so long: each of its waits is bounded, unless a disk or a library hangs. The longest that is
well is a name that no name server answers for: up to a minute."""
IDLE_S = 10.0
"""Silence of the encoder after which a connection is closed: servers end silent sessions by themselves."""
_POLL_S = 0.5


class Delivery:
    """One destination. `offer` and the properties may be used by another thread than the delivery's own.

    state, reason   how it fares, and one line of why; `since_ns` is when that began (monotonic)
    connections     how many times it was live
    packets, bytes  what was sent, over all connections
    lag_ms          age of the newest packet when it had been sent, ms since it was captured; None before the first
    """

    def __init__(
        self,
        destination: Destination,
        clock: Clock,
        *,
        policy: RetryPolicy | None = None,
        rng: Uniform | None = None,
        make_sink: Callable[[Destination], Sink] = create_sink,
        before: dict[str, Any] | None = None,
    ) -> None:
        """`before`: what a predecessor has told of this destination; its counts go on."""
        told = before or {}
        self.destination = destination
        self.state = DeliveryState.CONNECTING
        self.reason = ""
        self.since_ns = clock.now_ns()
        self.connections: int = told.get("connections", 0)
        self.packets: int = told.get("packets", 0)
        self.bytes: int = told.get("bytes", 0)
        self.lag_ms: float | None = None
        self.outbox = Outbox()
        self.outbox.dropped.update(told.get("dropped", {}))
        self._clock = clock
        self._policy = policy or RetryPolicy()
        self._rng: Uniform = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._make_sink = make_sink
        self._sink: Sink | None = None
        self._attempts = 0
        self._busy_since_ns: int | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"publish-{destination.label}", daemon=True)

    def start(self) -> None:
        """Begin; the first key frame opens the destination."""
        self._thread.start()

    def offer(self, packet: Packet) -> None:
        """Send a packet, if the destination takes any. Never waits."""
        self.outbox.offer(packet)

    @property
    def needs_keyframe(self) -> bool:
        """Whether it waits for a key frame to begin with."""
        return self.outbox.needs_keyframe

    @property
    def crashed(self) -> bool:
        """Whether the thread has ended without being told to: an error of ours, which it has printed."""
        started = self._thread.ident is not None
        return started and not self._thread.is_alive() and not self._stopping.is_set()

    @property
    def stuck(self) -> bool:
        """Whether a call of the sink does not come back."""
        since_ns = self._busy_since_ns
        return since_ns is not None and self._clock.now_ns() - since_ns > STUCK_S * 1e9

    def stop(self) -> None:
        """Tell the thread to close the destination and end; `join` waits for that."""
        self._stopping.set()
        self.outbox.close()

    def join(self, patience_s: float = 1.0) -> None:
        """Wait for the end of the thread; one that waits for its server is interrupted, or left behind."""
        self._thread.join(patience_s / 2)
        if self._thread.is_alive() and (sink := self._sink) is not None:
            sink.interrupt()
            self._thread.join(patience_s / 2)

    def to_status(self) -> dict[str, Any]:
        """How it fares, for /health; without secrets."""
        return {
            "state": DeliveryState.STUCK.value if self.stuck else self.state.value,
            "reason": self.reason,
            "since_s": (self._clock.now_ns() - self.since_ns) / 1e9,
            "connections": self.connections,
            "reconnects": max(0, self.connections - 1),
            "packets": self.packets,
            "bytes": self.bytes,
            "dropped": {reason: count for reason, count in self.outbox.dropped.items() if count},
            "queue": len(self.outbox),
            "lag_ms": self.lag_ms,
        }

    def _run(self) -> None:
        while not self._stopping.is_set():
            # A server that is away costs nobody a key frame: the newest one is enough to knock with.
            opener, first = self.outbox.newest_keyframe, None
            if opener is None:
                self.outbox.restart()
                opener = first = self._next()
            if opener is not None:
                self._serve(opener, first)
        self._enter(DeliveryState.STOPPED, "")

    def _serve(self, opener: Packet, following: Packet | None) -> None:
        """Connections one after the other, until one fails or there is no video; then the wait that it costs.

        following  what is sent first; the next key frame where None
        """
        live_ns: int | None = None
        try:
            while True:
                self._enter(DeliveryState.CONNECTING, self.reason)
                self._sink = sink = self._make_sink(self.destination)
                self._timed(sink.open, opener)
                live_ns = self._clock.now_ns()
                self.connections += 1
                self._enter(DeliveryState.LIVE, "")
                following = self._send_all(sink, ParameterSets.of(opener.data), following)
                self._let_go()
                if following is None:
                    break
                opener = following
            self._attempts = 0
            self._rest()
        except (PublishError, ConfigError) as error:
            self._let_go()
            self._failed(error, live_ns)

    def _send_all(self, sink: Sink, parameters: ParameterSets, packet: Packet | None) -> Packet | None:
        """Send until there is nothing more to send; the packet that needs another connection, if there is one.

        packet  the first; the next key frame where None
        """
        if packet is None:
            self.outbox.restart()
            packet = self._next(IDLE_S)
        while packet is not None:
            if packet.meta.keyframe and ParameterSets.of(packet.data) != parameters:
                if not sink.takes_changes:
                    return packet
                parameters = ParameterSets.of(packet.data)
            self._timed(sink.write, packet)
            self.packets += 1
            self.bytes += len(packet.data)
            self.lag_ms = (self._clock.now_ns() - packet.meta.captured_ns) / 1e6
            packet = self._next(IDLE_S)
        return None

    def _rest(self) -> None:
        """There is no video: wait for some, with the connection closed."""
        if not self._stopping.is_set():
            self._enter(DeliveryState.IDLE, "no video at present")
            self.outbox.newest_keyframe = None

    def _next(self, patience_s: float | None = None) -> Packet | None:
        """The next packet to send; None when told to stop, or if none has come for so long."""
        waited_s = 0.0
        while not self._stopping.is_set() and (patience_s is None or waited_s < patience_s):
            packet = self.outbox.take(_POLL_S)
            if packet is not None:
                return packet
            waited_s += _POLL_S
        return None

    def _timed(self, call: Callable[[Packet], None], packet: Packet) -> None:
        self._busy_since_ns = self._clock.now_ns()
        try:
            call(packet)
        finally:
            self._busy_since_ns = None

    def _failed(self, error: PublishError | ConfigError, live_ns: int | None) -> None:
        self.outbox.close()
        now_ns = self._clock.now_ns()
        if live_ns is not None and now_ns - live_ns >= self._policy.good_after_s * 1e9:
            self._attempts = 0
        state, wait_s = self._policy.after(error, self._attempts, self._rng)
        self._attempts += 1
        self._enter(state, str(error))
        self._stopping.wait(wait_s)

    def _let_go(self) -> None:
        if self._sink is not None:
            self._sink.close()
        self._sink = None

    def _enter(self, state: DeliveryState, reason: str) -> None:
        if state is not self.state:
            self.since_ns = self._clock.now_ns()
        self.state, self.reason = state, reason
