"""Frames in the host's shared memory made known to the GPU, so that it copies them by itself.

A pool's slot is registered when a frame of it is first seen, and given back when the pool's handle lets go of the
slot's array: a new generation of a pool has new arrays. Memory that cannot be registered is copied by way of a pinned
buffer; the reason is kept.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import device

U8 = NDArray[np.uint8]


class HostFrames:
    """The registered slots of this process. For any thread.

    refused  why memory was not registered; empty as long as none was refused
    """

    def __init__(self) -> None:
        self.refused = ""
        # Collecting garbage in here may end the life of another slot in this very thread.
        self._lock = threading.RLock()
        self._registered: dict[int, device.HostRegistration | None] = {}

    def ready(self, plane: U8) -> bool:
        """Whether the GPU can copy from this plane by itself, which is tried once for each slot."""
        slot = memory_of(plane)
        key = id(slot)
        with self._lock:
            if key not in self._registered:
                self._registered[key] = self._register(slot)
                # The mapping lives as long as its buffer: registered memory must not go away before its time.
                weakref.finalize(slot, self._forget, key, slot.base).atexit = False
            return self._registered[key] is not None

    @property
    def known(self) -> int:
        """How many slots were seen and are still there."""
        with self._lock:
            return len(self._registered)

    def _register(self, slot: U8) -> device.HostRegistration | None:
        if self.refused:
            return None
        try:
            return device.register_host(slot, read_only=not slot.flags.writeable)
        except (device.GpuError, ValueError) as error:
            self.refused = str(error)
            return None

    def _forget(self, key: int, mapping: object) -> None:
        """The slot's array is gone. `mapping` keeps its memory until this returns."""
        with self._lock:
            registration = self._registered.pop(key, None)
        if registration is None:
            return
        try:
            registration.close()
        except device.GpuError as error:
            # The driver lets go of it with the process; nobody waits for this array any more.
            self.refused = self.refused or str(error)


class Staging:
    """Pinned memory for one frame, for planes that the GPU cannot reach by itself."""

    def __init__(self) -> None:
        self._memory: NDArray[Any] | None = None

    def put(self, y: U8, uv: U8) -> tuple[U8, U8]:
        """Copies of the planes, valid until the next call."""
        nbytes = y.size + uv.size
        if self._memory is None or self._memory.size < nbytes:
            self._memory = device.pinned_empty(nbytes, np.uint8)
        pinned_y = self._memory[: y.size].reshape(y.shape)
        pinned_uv = self._memory[y.size : nbytes].reshape(uv.shape)
        np.copyto(pinned_y, y)
        np.copyto(pinned_uv, uv)
        return pinned_y, pinned_uv


def memory_of(plane: U8) -> U8:
    """The array that a plane is a part of: a slot of a pool as its handle holds it."""
    owner = plane
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    return owner
