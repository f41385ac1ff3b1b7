"""Handles on a pool, made to order and closed together."""

from __future__ import annotations

from collections.abc import Callable

from ipc.pool import Consumer, PoolLayout, PoolMemory, Producer


class OpenPool:
    """A pool and every handle that a test has asked for."""

    def __init__(self, memory: PoolMemory) -> None:
        self.memory = memory
        self.layout = memory.layout
        self._handles: list[Producer | Consumer] = []

    def producer(self) -> Producer:
        memory = self.memory
        producer = Producer(self.layout, memory.control_fd, memory.data_fd, memory.lock_path)
        self._handles.append(producer)
        return producer

    def consumer(self, row: int, *, debug: bool = False) -> Consumer:
        memory = self.memory
        consumer = Consumer(
            self.layout, memory.control_fd, memory.data_fd, row, lock_path=memory.lock_path, debug=debug
        )
        self._handles.append(consumer)
        return consumer

    def close(self) -> None:
        for handle in self._handles:
            handle.close()
        self.memory.close()


OpenPoolOf = Callable[[PoolLayout], OpenPool]


def publish(producer: Producer, value: int) -> int:
    """Publish one slot whose payload and meta are all `value`; returns its sequence number."""
    slot = producer.begin()
    assert slot is not None
    slot.array()[:] = value
    slot.meta[:] = bytes([value]) * len(slot.meta)
    return producer.publish(slot)
