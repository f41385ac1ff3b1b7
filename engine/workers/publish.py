"""Publish worker: one camera's encoded packets handed on to every destination, each in a thread of its own.

Nobody waits for this worker, and no destination for another. Encodes nothing: where a destination has to begin, the
stream worker is asked for a key frame. A call of a sink that never comes back ends the process; its successor takes
the other destinations up again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import count
from typing import Any

from engine.clock import Clock
from engine.publish.base import Destination
from engine.publish.delivery import Delivery
from engine.publish.retry import DeliveryState
from engine.types import Packet, Rendition
from engine.workers.packets import PacketReader
from engine.workers.runtime import EXIT_STUCK, Context

KEYFRAME_INTERVAL_NS = 500_000_000
"""Least time between two key frames that are asked for."""
STOP_PATIENCE_S = 1.0
"""How long all destinations together may take to say goodbye."""
PACKETS_AT_ONCE = 16
"""Packets that are handed on before messages and status have their turn."""

_WORTH_A_LINE = frozenset(DeliveryState) - {DeliveryState.CONNECTING, DeliveryState.STOPPED}


class Distributor:
    """Packets of one rendition to all deliveries; says when a key frame is due and what has changed."""

    def __init__(self, rendition: Rendition, deliveries: Sequence[Delivery], clock: Clock) -> None:
        self.rendition = rendition
        self.deliveries = deliveries
        self._clock = clock
        self._keyframe_due_ns = 0
        self._told: dict[str, DeliveryState] = {}

    def offer(self, packet: Packet) -> None:
        """Hand a packet on, if it is of the rendition that is published."""
        if packet.meta.rendition is self.rendition:
            for delivery in self.deliveries:
                delivery.offer(packet)

    def keyframe_due(self) -> bool:
        """Whether somebody waits for a key frame, and none was asked for just now. Counts as asked for then."""
        now_ns = self._clock.now_ns()
        if now_ns < self._keyframe_due_ns or not any(each.needs_keyframe for each in self.deliveries):
            return False
        self._keyframe_due_ns = now_ns + KEYFRAME_INTERVAL_NS
        return True

    def news(self) -> list[tuple[str, str]]:
        """A level and a line for each destination whose state is another than at the last call."""
        lines = []
        for each in self.deliveries:
            label, state, reason = each.destination.label, each.state, each.reason
            if state in _WORTH_A_LINE and self._told.get(label) is not state:
                self._told[label] = state
                well = state in (DeliveryState.LIVE, DeliveryState.IDLE)
                line = f"publish {label}: {state.value}" if well or not reason else f"{state.value}: {reason}"
                lines.append(("info" if well else "warning", line))
        return lines

    def to_status(self) -> dict[str, Any]:
        """How every destination fares, by its address without secrets; what is degraded, in words."""
        destinations: dict[str, Any] = {}
        for each in self.deliveries:
            label, alike = each.destination.label, 1
            while label in destinations:
                alike += 1
                label = f"{each.destination.label} ({alike})"
            destinations[label] = each.to_status()
        troubled = [
            each.reason
            for each in self.deliveries
            if each.reason
            and each.state not in (DeliveryState.LIVE, DeliveryState.IDLE, DeliveryState.STOPPED)
        ]
        return {"destinations": destinations, "troubled": troubled}


def run(context: Context) -> None:
    """Hand on until told to stop."""
    stream = context.config.stream
    rendition = Rendition.OVERLAY if stream.view == "overlay" else Rendition.CLEAN
    distributor = Distributor(rendition, _deliveries(context, stream.publish), context.clock)
    feed = context.feeds[f"packets:{context.camera}"]
    reader = PacketReader(feed)
    numbers = count(1)
    lost_before = int(context.before.get("publish", {}).get("lost", 0))

    def tell() -> None:
        told = distributor.to_status()
        context.status["degraded"] = told.pop("troubled")
        context.status["publish"] = {**told, "lost": lost_before + reader.lost[rendition]}

    def step() -> bool:
        if context.stopping:
            return False
        packets = 0
        while packets < PACKETS_AT_ONCE and (packet := reader.next()) is not None:
            distributor.offer(packet)
            packets += 1
        if distributor.keyframe_due():
            context.send(
                "command", id=str(next(numbers)), to=f"stream:{context.camera}", command="stream-keyframe",
                rendition=rendition.name.lower(),
            )  # fmt: skip
        for level, line in distributor.news():
            context.log(level, line)
        _check(context, distributor.deliveries)
        return packets > 0

    context.before_status = tell
    for delivery in distributor.deliveries:
        delivery.start()
    try:
        context.work_through(step)
    finally:
        for delivery in distributor.deliveries:
            delivery.stop()
        for delivery in distributor.deliveries:
            delivery.join(STOP_PATIENCE_S / len(distributor.deliveries))


def _deliveries(context: Context, urls: Sequence[str]) -> list[Delivery]:
    before = context.before.get("publish", {}).get("destinations", {})
    destinations = [Destination.of(url, context.camera) for url in urls]
    return [Delivery(each, context.clock, before=before.get(each.label)) for each in destinations]


def _check(context: Context, deliveries: Sequence[Delivery]) -> None:
    """End the process where a thread of it cannot be helped otherwise; it is started again."""
    for delivery in deliveries:
        if delivery.crashed:
            raise RuntimeError(f"the thread of {delivery.destination.label} has ended")
        if delivery.stuck:
            context.log(
                "error",
                f"publish {delivery.destination.label}: stuck in a call; this process is started anew",
            )
            context.publish_status()
            os._exit(EXIT_STUCK)
