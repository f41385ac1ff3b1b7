"""Reading and writing pools by name, across generations.

A pool gets a new generation when the picture outgrows its slots; sequence numbers go on. A `Feed` reads the old
generation to its end before it goes to the next, so that nothing is lost at the seam.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ipc.notify import Notifier
from ipc.pool import Consumer, Lease, PoolLayout, Producer


def layout_to_json(layout: PoolLayout) -> dict[str, Any]:
    """A layout as it travels in a `pool` message."""
    return {
        "leases": list(layout.leases),
        "slot_bytes": layout.slot_bytes,
        "history": layout.history,
        "first_seq": layout.first_seq,
        "generation": layout.generation,
    }


def layout_from_json(data: dict[str, Any]) -> PoolLayout:
    """The layout of a `pool` message."""
    return PoolLayout(**{**data, "leases": tuple(data["leases"])})


class Feed:
    """The consuming end of a named pool: a `Consumer` per living generation."""

    def __init__(self) -> None:
        self._generations: list[Consumer] = []
        self._producer_wakes: list[Sequence[Notifier]] = []

    def add(self, consumer: Consumer, producer_wakes: Sequence[Notifier]) -> None:
        """A new generation has been announced."""
        self._generations.append(consumer)
        self._producer_wakes.append(producer_wakes)

    @property
    def ready(self) -> bool:
        """True once there is anything to read from."""
        return bool(self._generations)

    def newest_seq(self) -> int:
        """Newest published sequence number, 0 before the first pool."""
        return self._generations[-1].newest_seq() if self._generations else 0

    def metas_after(self, after: int) -> list[tuple[int, bytes]]:
        """Sequence number and meta block of every record above `after` that is still there, in order."""
        return [item for consumer in self._generations for item in consumer.metas_after(after)]

    def has_come_to(self, seq: int) -> bool:
        """False while the generation that holds this published record has not been announced here yet."""
        return self.newest_seq() >= seq

    def lease_newest(self, after: int) -> Lease | None:
        """Lease the newest slot above `after`, whatever generation it is in."""
        for consumer in reversed(self._generations):
            lease = consumer.lease_newest(after)
            if lease is not None:
                return lease
        return None

    def lease_next(self, after: int) -> Lease | None:
        """Lease the oldest slot above `after`, so that everything comes in order."""
        for consumer in self._generations:
            lease = consumer.lease_next(after)
            if lease is not None:
                return lease
        return None

    def lease(self, seq: int) -> Lease | None:
        """Lease exactly this sequence number, None if it is gone."""
        for consumer in reversed(self._generations):
            if seq >= consumer.layout.first_seq:
                return consumer.lease(seq)
        return None

    def acknowledge(self, seq: int) -> None:
        """Everything up to `seq` is done with, and no longer leased.

        The producer is woken if it waits for that. A generation that holds nothing newer is given back.
        """
        for consumer, wakes in zip(self._generations, self._producer_wakes, strict=True):
            if consumer.acknowledge(seq):
                for wake in wakes:
                    wake.notify()
        while len(self._generations) > 1 and self._generations[1].layout.first_seq <= seq + 1:
            self._generations.pop(0).close()
            for wake in self._producer_wakes.pop(0):
                wake.close()

    def close(self) -> None:
        """Give every generation back."""
        for consumer, wakes in zip(self._generations, self._producer_wakes, strict=True):
            consumer.close()
            for wake in wakes:
                wake.close()

    def acknowledged(self) -> int:
        """What this row has acknowledged, also by a predecessor of this process."""
        return max((consumer.acknowledged() for consumer in self._generations), default=0)


class Writer:
    """The producing end of a named pool: the newest generation, and whom to wake after a publish."""

    def __init__(
        self, producer: Producer, consumer_wakes: Sequence[Notifier], before: Writer | None = None
    ) -> None:
        """`before` is the writer of the generation before this one, which this one replaces."""
        self.producer = producer
        self._consumer_wakes = consumer_wakes
        self._meta_before = before.newest_meta() if before else None
        if before:
            before.close()

    def newest_meta(self) -> bytes | None:
        """The meta block of the newest record of any generation: where a restarted worker goes on."""
        return self.producer.newest_meta() or self._meta_before

    def newest(self) -> tuple[bytes, NDArray[np.uint8]] | None:
        """Meta block and payload of the newest record of this generation, copies; None if there is none."""
        return self.producer.newest()

    def wake_instead(self, consumer_wakes: Sequence[Notifier]) -> None:
        """From now on these are woken, and nobody else."""
        before, self._consumer_wakes = self._consumer_wakes, consumer_wakes
        for wake in before:
            wake.close()

    def notify(self) -> None:
        """Wake everybody who reads this pool."""
        for wake in self._consumer_wakes:
            wake.notify()

    def close(self) -> None:
        """Give the pool back; its readers still read what was published."""
        self.producer.close()
        for wake in self._consumer_wakes:
            wake.close()
