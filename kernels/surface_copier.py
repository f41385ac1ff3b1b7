"""A picture in a hardware decoder's memory: copied within the GPU, to be kept, and into the host's memory.

Knows addresses and planes; does not know decoders or slots.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kernels import device
from kernels.host_frames import HostFrames

U8 = NDArray[np.uint8]

WRITTEN_SLOTS = HostFrames()
"""Slots registered for writing; shared by all decoders of this process, because slots outlive them."""


class SurfaceCopier:
    """The stream that one decoder writes its pictures on and that they are copied on, so that each waits for the other.

    context_address, stream  what the decoder is to work with
    refused                  why pictures are not kept in GPU memory any more; empty while they are
    """

    def __init__(self, number: int, warn: Callable[[str], None]) -> None:
        """For a decoder on GPU `number`; `warn` is called once where pictures cannot be kept. Raises `GpuError`."""
        device.require(number)
        self._number, self._warn = number, warn
        self.context_address = device.context_address()
        self.stream = device.Stream()
        self._copied = device.Event()
        self.refused = ""

    def copy(
        self, address: int, pitch: int, owner: object, y: U8, uv: U8
    ) -> tuple[device.DeviceArray, device.DeviceArray] | None:
        """Copy an NV12 picture into host planes and into new memory on the GPU; both are complete on return.

        address, pitch  of its luma, in bytes; chroma follows it at once. `owner` keeps that memory alive
        y               uint8 (height, width), uv uint8 (⌈height/2⌉, ⌈width/2⌉, 2), rows of both may be strided

        Returns the planes on the GPU, packed; None where it has no room for them, and from then on.
        Raises `GpuError`.
        """
        device.require(self._number)  # the thread may be a new one
        luma = device.wrap(address, y.shape, (pitch, 1), np.uint8, owner)
        chroma = device.wrap(address + pitch * len(y), uv.shape, (pitch, 2, 1), np.uint8, owner)
        planes = self._new_planes(y, uv)
        if planes is not None:
            device.copy_async(luma, planes[0], self.stream)
            device.copy_async(chroma, planes[1], self.stream)
        WRITTEN_SLOTS.ready(y)
        device.download_async(luma, y, self.stream)
        device.download_async(chroma, uv, self.stream)
        self.stream.record(self._copied).wait()
        return planes

    def _new_planes(self, y: U8, uv: U8) -> tuple[device.DeviceArray, device.DeviceArray] | None:
        if self.refused:
            return None
        try:
            # Freed planes come back to this stream alone; whoever read them has waited for that before.
            with self.stream:
                return device.empty_nv12(y.shape, uv.shape)
        except device.GpuOutOfMemory as error:
            self.refused = str(error)
            self._warn(f"decoded pictures are uploaded again from now on: {error}")
            return None
