"""Frames: NV12 planes in a pool slot, and the `FrameMeta` in the slot's meta block."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any, ClassVar

from engine.types.arrays import U8
from engine.types.pose import PtzPose, pose_numbers, pose_of_numbers


class ColourMatrix(IntEnum):
    """Which YCbCr matrix the picture uses (ITU-R BT.601 or BT.709)."""

    BT601 = 0
    BT709 = 1


class FrameFlag(IntFlag):
    """Facts about one frame."""

    NONE = 0
    END_OF_STREAM = 1
    """The slot holds no picture: the source has ended and nothing follows."""
    DISCONTINUITY = 2
    """First frame after a reconnect, a loop or a restart: do not assume smooth motion from the one before."""
    NOTICE = 4
    """A record without a result: it says what became of the frames up to its own, none of which was processed."""
    REGIONS = 8
    """Its events number zones and lines as an odd revision of these does; they may change while it is under way."""


@dataclass(frozen=True, slots=True)
class FrameMeta:
    """What is known of one frame. The camera is the pool's; the pool sequence number is the lease's.

    index        0-based number of the frame in its source; goes on counting over loops and reconnects
    pts_ns       presentation time of the source in nanoseconds, -1 if it has none
    captured_ns  monotonic ns when the frame's data arrived from the source
    published_ns monotonic ns when it was published
    wall_ns      ns since the Unix epoch that belong to captured_ns
    width, height                 pixels
    stride_y, stride_uv           bytes from row to row of the Y and the interleaved UV plane
    offset_uv                     byte offset of the UV plane in the slot
    pose                          where the camera looked, None where that is not known
    """

    index: int
    captured_ns: int
    wall_ns: int
    width: int
    height: int
    stride_y: int
    stride_uv: int
    offset_uv: int
    pts_ns: int = -1
    published_ns: int = 0
    matrix: ColourMatrix = ColourMatrix.BT601
    full_range: bool = False
    flags: FrameFlag = FrameFlag.NONE
    pose: PtzPose | None = None

    _LAYOUT: ClassVar[struct.Struct] = struct.Struct("<qqqqq5IBBBx4d")

    def pack_into(self, meta: memoryview | bytearray) -> None:
        """Write the fixed layout into a slot's meta block."""
        self._LAYOUT.pack_into(
            meta, 0, self.index, self.captured_ns, self.wall_ns, self.pts_ns, self.published_ns,
            self.width, self.height, self.stride_y, self.stride_uv, self.offset_uv,
            self.matrix, self.full_range, self.flags, *pose_numbers(self.pose),
        )  # fmt: skip

    @classmethod
    def unpack(cls, meta: memoryview | bytes | bytearray) -> FrameMeta:
        """Read the fixed layout from a slot's meta block."""
        (index, captured_ns, wall_ns, pts_ns, published_ns, width, height, stride_y, stride_uv, offset_uv,
         matrix, full_range, flags, *pose) = cls._LAYOUT.unpack_from(meta)  # fmt: skip
        return cls(
            index, captured_ns, wall_ns, width, height, stride_y, stride_uv, offset_uv, pts_ns, published_ns,
            ColourMatrix(matrix), bool(full_range), FrameFlag(flags), pose_of_numbers(pose),
        )  # fmt: skip


ROW_ALIGNMENT_BYTES = 256
"""NV12 rows start at multiples of this, so that the same geometry serves CUDA."""


def nv12_geometry(width: int, height: int) -> tuple[int, int, int]:
    """(stride, offset_uv, slot_bytes) of an NV12 frame of `width` × `height` pixels in a slot.

    Both planes have the same stride. Chroma is rounded up for odd sizes.
    """
    stride = -(-(width + width % 2) // ROW_ALIGNMENT_BYTES) * ROW_ALIGNMENT_BYTES
    offset_uv = stride * height
    return stride, offset_uv, offset_uv + stride * ((height + 1) // 2)


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """The same picture in GPU memory, complete and never written again. Its memory lives as long as its arrays.

    y, uv  device arrays of the shapes and type in `FrameNv12`
    """

    y: Any
    uv: Any


@dataclass(frozen=True, slots=True)
class FrameNv12:
    """Views of one NV12 frame in place.

    y        uint8 (height, width)
    uv       uint8 (ceil(height / 2), ceil(width / 2), 2): Cb, Cr
    surface  the same in GPU memory, where it was decoded into that; who reads on the CPU need not care
    """

    meta: FrameMeta
    y: U8
    uv: U8
    surface: Surface | None = None

    @classmethod
    def view(cls, meta: FrameMeta, slot_u8: U8) -> FrameNv12:
        """The planes inside a slot's bytes. No copy: the arrays live as long as the slot's lease."""
        width, height = meta.width, meta.height
        chroma_height, chroma_width = (height + 1) // 2, (width + 1) // 2
        y = slot_u8[: meta.offset_uv].reshape(height, meta.stride_y)[:, :width]
        end = meta.offset_uv + chroma_height * meta.stride_uv
        uv = slot_u8[meta.offset_uv : end].reshape(chroma_height, meta.stride_uv)[:, : 2 * chroma_width]
        return cls(meta, y, uv.reshape(chroma_height, chroma_width, 2))
