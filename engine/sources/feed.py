"""The reading side of a live connection in its own thread, so that a blocked camera cannot block its worker.

FFmpeg cannot be called back from a blocking read: the thread sits in it, the worker asks a queue. The thread
also stamps each packet the moment it arrives, however busy the decoder is. Knows packets and time, nothing of
codecs or pictures.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from engine.clock import Clock
from engine.errors import SourceDisconnected

QUEUE_LIMIT_PACKETS = 1024
"""Packets held for a worker that does not come: then the thread stops reading and the network pushes back."""


class PacketLike(Protocol):
    """What is needed of `av.Packet`."""

    @property
    def is_keyframe(self) -> bool: ...


PacketT = TypeVar("PacketT", bound=PacketLike)
PacketT_co = TypeVar("PacketT_co", bound=PacketLike, covariant=True)


@dataclass(frozen=True, slots=True)
class Arrival(Generic[PacketT]):
    """A packet, and the monotonic and wall-clock ns when it came."""

    packet: PacketT
    captured_ns: int
    wall_ns: int


class Connection(Protocol[PacketT_co]):
    """An open stream, as the feed sees it."""

    def packets(self) -> Iterator[PacketT_co]:
        """Packets as they come; ends where the stream ends, raises `SourceError` where it breaks."""

    def close(self) -> None:
        """Let go of the connection."""


ConnectionT = TypeVar("ConnectionT", bound=Connection[Any])


def packets_to_skip(backlog: deque[Arrival[PacketT]], oldest_allowed_ns: int) -> int:
    """How many of the oldest packets to leave out: up to the newest key frame if the first is too old.

    A decoder that cannot keep up would otherwise fall behind for ever. Only at a key frame can it leave
    packets out and go on with whole pictures.
    """
    if not backlog or backlog[0].captured_ns >= oldest_allowed_ns:
        return 0
    for index in range(len(backlog) - 1, 0, -1):
        if backlog[index].packet.is_keyframe:
            return index
    return 0


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None = None


class LiveFeed(Generic[ConnectionT, PacketT]):
    """Opens a connection and reads it in a daemon thread until it ends or `close` is called.

    connect     opens the connection; runs in the thread
    label       how messages name the source, masked
    clock       stamps the packets
    max_lag_s   age at which waiting packets are left out up to the next key frame; None = never
    """

    def __init__(
        self, connect: Callable[[], ConnectionT], label: str, clock: Clock, max_lag_s: float | None = 1.0
    ) -> None:
        self.skipped_packets = 0
        self.max_lag_s = max_lag_s
        self._label = label
        self._clock = clock
        self._heard_ns = clock.now_ns()
        self._queue: SimpleQueue[ConnectionT | Arrival[PacketT] | _End] = SimpleQueue()
        self._connection: ConnectionT | None = None
        self._backlog: deque[Arrival[PacketT]] = deque()
        self._end: _End | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(connect,), name="camera-feed", daemon=True)
        self._thread.start()

    def ready(self, timeout_s: float, silence_limit_s: float) -> bool:
        """Wait at most `timeout_s`; True when `connection` or `next` would come back or raise at once."""
        silent_s = (self._clock.now_ns() - self._heard_ns) / 1e9
        if not self._drain():
            self._wait(min(timeout_s, max(0.0, silence_limit_s - silent_s)))
        return self._drain() or (self._clock.now_ns() - self._heard_ns) / 1e9 >= silence_limit_s

    def connection(self, silence_limit_s: float) -> ConnectionT:
        """The open connection. Raises what `connect` raised, or `SourceDisconnected` after so much silence."""
        while not self.ready(silence_limit_s, silence_limit_s):
            pass
        if self._connection is None:
            if self._end is not None and self._end.error is not None:
                raise self._end.error
            raise SourceDisconnected(f"source {self._label}: no answer within {silence_limit_s:g} s")
        connection, self._connection = self._connection, None
        return connection

    def next(self, silence_limit_s: float) -> Arrival[PacketT] | None:
        """The next packet, None at the end of the stream.

        Raises what ended the connection, or `SourceDisconnected` after so much silence.
        """
        while not self.ready(silence_limit_s, silence_limit_s):
            pass
        if self._backlog:
            return self._backlog.popleft()
        if self._end is None:
            raise SourceDisconnected(f"source {self._label}: silent for {silence_limit_s:g} s")
        if self._end.error is not None:
            raise self._end.error
        return None

    def close(self, wait_s: float = 0.5) -> None:
        """Tell the thread to end. Stuck in a read, it ends and closes the connection when that returns."""
        self._closing.set()
        self._thread.join(wait_s)

    def _wait(self, timeout_s: float) -> None:
        try:
            self._keep(self._queue.get(timeout=timeout_s))
        except Empty:
            return

    def _drain(self) -> bool:
        """Take over all that has come; True if there is something to hand out."""
        while not self._queue.empty():
            self._keep(self._queue.get())
        if self.max_lag_s is not None:
            oldest_allowed_ns = self._clock.now_ns() - round(self.max_lag_s * 1e9)
            for _ in range(packets_to_skip(self._backlog, oldest_allowed_ns)):
                self._backlog.popleft()
                self.skipped_packets += 1
        return bool(self._backlog) or self._connection is not None or self._end is not None

    def _keep(self, item: ConnectionT | Arrival[PacketT] | _End) -> None:
        self._heard_ns = self._clock.now_ns()
        if isinstance(item, Arrival):
            self._backlog.append(item)
        elif isinstance(item, _End):
            self._end = item
        else:
            self._connection = item

    def _read(self, connect: Callable[[], ConnectionT]) -> None:
        connection: ConnectionT | None = None
        try:
            connection = connect()
            self._queue.put(connection)
            for packet in connection.packets():
                self._queue.put(Arrival(packet, self._clock.now_ns(), self._clock.wall_ns()))
                while self._queue.qsize() > QUEUE_LIMIT_PACKETS and not self._closing.wait(0.01):
                    pass
                if self._closing.is_set():
                    break
            self._queue.put(_End())
        except BaseException as error:
            # Whatever it is, it belongs to the worker: `connection` or `next` raises it there.
            self._queue.put(_End(error))
        if connection is not None:
            # The decoder may still hold packets of it.
            self._closing.wait()
            connection.close()
