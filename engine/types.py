"""The vocabulary: what travels between the parts. Imports numpy and nothing of ours.

Frames travel as NV12 planes in a pool slot with a `FrameMeta` in the slot's meta block; results travel as
arrays in a slot with a `ResultMeta`. Both meta blocks have a fixed little-endian layout of at most 256 bytes.
Readers get numpy views of the slot, never copies.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, IntFlag
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]


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

    _LAYOUT: ClassVar[struct.Struct] = struct.Struct("<qqqqq5IBBBx")

    def pack_into(self, meta: memoryview | bytearray) -> None:
        """Write the fixed layout into a slot's meta block."""
        self._LAYOUT.pack_into(
            meta, 0, self.index, self.captured_ns, self.wall_ns, self.pts_ns, self.published_ns,
            self.width, self.height, self.stride_y, self.stride_uv, self.offset_uv,
            self.matrix, self.full_range, self.flags,
        )  # fmt: skip

    @classmethod
    def unpack(cls, meta: memoryview | bytes | bytearray) -> FrameMeta:
        """Read the fixed layout from a slot's meta block."""
        (index, captured_ns, wall_ns, pts_ns, published_ns, width, height, stride_y, stride_uv, offset_uv,
         matrix, full_range, flags) = cls._LAYOUT.unpack_from(meta)  # fmt: skip
        return cls(
            index, captured_ns, wall_ns, width, height, stride_y, stride_uv, offset_uv, pts_ns, published_ns,
            ColourMatrix(matrix), bool(full_range), FrameFlag(flags),
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


@dataclass(frozen=True, slots=True)
class Trace:
    """When a result passed each stage, monotonic ns; 0 where it has not been."""

    captured_ns: int = 0
    published_ns: int = 0
    batched_ns: int = 0
    inferred_ns: int = 0
    tracked_ns: int = 0


@dataclass(frozen=True, slots=True)
class ResultMeta:
    """Header of one result: which frame it speaks of, how it got here, what was lost on the way.

    frame_seq           sequence number of the frame in its pool
    index, wall_ns, pts_ns, width, height   of that frame
    count               number of objects
    dropped_superseded  frames of this camera passed over so far because a newer one was there
    dropped_restart     frames lost so far because the inference process died with them
    dropped_rate        frames passed over so far because the camera's target rate did not ask for them
    dropped_stale       frames passed over so far because they were too old by the time there was room
    dropped_empty       frames refused so far because they had no pixels
    notices             records so far that hold no result (`FrameFlag.NOTICE`)
    mask_bytes          bytes of the masks that lie behind the objects' columns, 0 without masks
    masks_lost          masks of this frame that found no room in a slot on the way
    next_track_id       where the tracker goes on numbering; survives its death because it travels here
    """

    frame_seq: int
    index: int
    wall_ns: int
    width: int
    height: int
    pts_ns: int = -1
    count: int = 0
    dropped_superseded: int = 0
    dropped_restart: int = 0
    next_track_id: int = 1
    flags: FrameFlag = FrameFlag.NONE
    trace: Trace = field(default_factory=Trace)
    dropped_rate: int = 0
    dropped_stale: int = 0
    mask_bytes: int = 0
    masks_lost: int = 0
    dropped_empty: int = 0
    notices: int = 0

    _LAYOUT: ClassVar[struct.Struct] = struct.Struct("<16q6I")

    @classmethod
    def of_frame(cls, frame_seq: int, meta: FrameMeta) -> ResultMeta:
        """The header of a result that speaks of this frame."""
        trace = Trace(captured_ns=meta.captured_ns, published_ns=meta.published_ns)
        return cls(
            frame_seq, meta.index, meta.wall_ns, meta.width, meta.height, meta.pts_ns, flags=meta.flags, trace=trace
        )  # fmt: skip

    @property
    def time_s(self) -> float:
        """When the frame was, in seconds of the source's own time; of the capture clock if it has none.

        For motion between frames of one camera. It may jump where a source reconnects.
        """
        return (self.pts_ns if self.pts_ns >= 0 else self.trace.captured_ns) / 1e9

    def pack_into(self, meta: memoryview | bytearray) -> None:
        """Write the fixed layout into a slot's meta block."""
        t = self.trace
        self._LAYOUT.pack_into(
            meta, 0, self.frame_seq, self.index, self.wall_ns, self.pts_ns, self.dropped_superseded,
            self.dropped_restart, self.next_track_id, self.dropped_rate, self.dropped_stale,
            self.dropped_empty, self.notices,
            t.captured_ns, t.published_ns, t.batched_ns, t.inferred_ns, t.tracked_ns,
            self.width, self.height, self.count, self.flags, self.mask_bytes, self.masks_lost,
        )  # fmt: skip

    @classmethod
    def unpack(cls, meta: memoryview | bytes | bytearray) -> ResultMeta:
        """Read the fixed layout from a slot's meta block."""
        (frame_seq, index, wall_ns, pts_ns, superseded, restart, next_track_id, rate, stale,
         empty, notices, captured, published, batched, inferred, tracked,
         width, height, count, flags, mask_bytes, masks_lost) = cls._LAYOUT.unpack_from(meta)  # fmt: skip
        return cls(
            frame_seq, index, wall_ns, width, height, pts_ns, count, superseded, restart, next_track_id,
            FrameFlag(flags),
            Trace(captured, published, batched, inferred, tracked),
            rate, stale, mask_bytes, masks_lost, empty, notices,
        )  # fmt: skip


_Columns = tuple[tuple[str, type[np.generic], int], ...]
"""Name, type and width of parallel arrays in the order in which they lie in a slot, the largest type first."""


@dataclass(frozen=True, slots=True)
class Written:
    """What of a frame's objects found room in a slot: always the first ones.

    count       objects
    mask_bytes  bytes of their masks, 0 where none are there
    masks_lost  objects that kept their box but not their mask
    """

    count: int
    mask_bytes: int
    masks_lost: int


@dataclass(frozen=True, slots=True)
class Masks:
    """Outlines of the objects of one frame, as one small grid of bits each.

    rects_xyxy  float32 (n, 4): the source rectangle, in pixels, that the grid covers edge to edge
    sizes_hw    int32 (n, 2): rows and columns of the grid; 0 × 0 for an object without a mask
    bits        uint8 (bytes,): the grids one behind the other, rows from the top, eight cells a byte with the
                first in the highest bit, each grid padded to whole bytes

    A cell is set where its centre is inside the object. Raises `ValueError` for other shapes or types.
    """

    rects_xyxy: F32
    sizes_hw: I32
    bits: U8

    BYTES_PER_OBJECT: ClassVar[int] = 24

    def __post_init__(self) -> None:
        count = len(self.rects_xyxy)
        for name, shape, dtype in (
            ("rects_xyxy", (count, 4), np.float32),
            ("sizes_hw", (count, 2), np.int32),
        ):
            array: NDArray[np.generic] = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise ValueError(f"{name} must be {np.dtype(dtype)} {shape}, not {array.dtype} {array.shape}")
        if self.bits.shape != (self.grid_bytes().sum(),) or self.bits.dtype != np.uint8:
            expected = f"uint8 ({self.grid_bytes().sum()},)"
            raise ValueError(f"bits must be {expected}, not {self.bits.dtype} {self.bits.shape}")

    def __len__(self) -> int:
        return len(self.rects_xyxy)

    @classmethod
    def none(cls, count: int) -> Masks:
        """So many objects without a mask."""
        return cls(np.zeros((count, 4), np.float32), np.zeros((count, 2), np.int32), np.empty(0, np.uint8))

    @classmethod
    def of_grids(cls, rects_xyxy: F32, grids: Sequence[Bools]) -> Masks:
        """Masks from one grid of cells, bool (rows, columns), for each rectangle; without cells: no mask."""
        sizes_hw = np.array([grid.shape for grid in grids], np.int32).reshape(len(grids), 2)
        sizes_hw[(sizes_hw == 0).any(axis=1)] = 0
        packed = [np.packbits(grid) for grid in grids]
        return cls(rects_xyxy, sizes_hw, np.concatenate([*packed, np.empty(0, np.uint8)]))

    def grid_bytes(self) -> I64:
        """int64 (n,): bytes of each grid."""
        cells: I64 = self.sizes_hw.astype(np.int64).prod(axis=1)
        return (cells + 7) // 8

    def present(self) -> Bools:
        """bool (n,): which objects have a mask."""
        present: Bools = np.all(self.sizes_hw, axis=1)
        return present

    def grid(self, index: int) -> Bools:
        """bool (rows, columns): the cells of one object."""
        rows, columns = (int(length) for length in self.sizes_hw[index])
        start = int(self.grid_bytes()[:index].sum())
        cells = np.unpackbits(self.bits[start : start + (rows * columns + 7) // 8], count=rows * columns)
        return cells.reshape(rows, columns).view(np.bool_)

    def take(self, index: Bools | NDArray[np.intp]) -> Masks:
        """The masks selected by a mask or an index array; copies."""
        lengths = self.grid_bytes()
        starts, chosen = (np.cumsum(lengths) - lengths)[index], lengths[index]
        moved = starts - (np.cumsum(chosen) - chosen)
        bits = self.bits[np.repeat(moved, chosen) + np.arange(chosen.sum())]
        return Masks(self.rects_xyxy[index], self.sizes_hw[index], bits)

    def first_bytes(self, room: int) -> Masks:
        """The masks of as many objects from the first on as go into `room` bytes; the others have none."""
        ends = np.cumsum(self.grid_bytes())
        fits = ends <= room
        if fits.all():
            return self
        sizes_hw = np.where(fits[:, None], self.sizes_hw, np.int32(0))
        return Masks(self.rects_xyxy, sizes_hw, self.bits[: int(ends[fits].max(initial=0))])


@dataclass(frozen=True, slots=True)
class Detections:
    """Objects found in one frame, as parallel arrays. Raises `ValueError` for other shapes or types.

    boxes_xyxy  float32 (n, 4): left, top, right, bottom in source pixels
    scores      float32 (n,): 0..1
    class_ids   int32 (n,): index into the model's labels
    masks       their outlines, None where the model gives none
    """

    boxes_xyxy: F32
    scores: F32
    class_ids: I32
    masks: Masks | None = None

    _COLUMNS: ClassVar[_Columns] = (
        ("boxes_xyxy", np.float32, 4), ("scores", np.float32, 1), ("class_ids", np.int32, 1),
    )  # fmt: skip
    BYTES_PER_OBJECT: ClassVar[int] = 24

    def __post_init__(self) -> None:
        _check_columns(self._COLUMNS, self)

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def empty(cls) -> Detections:
        """No objects."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))

    def take(self, index: Bools | NDArray[np.intp]) -> Detections:
        """The objects selected by a mask or an index array; copies."""
        return Detections(
            self.boxes_xyxy[index], self.scores[index], self.class_ids[index],
            self.masks.take(index) if self.masks is not None else None,
        )  # fmt: skip

    def write_into(self, slot_u8: U8) -> Written:
        """Lay the arrays out in a result slot, the masks behind them; boxes go before masks where it is full."""
        return _write(self._COLUMNS, self, slot_u8)

    @classmethod
    def view(cls, count: int, slot_u8: U8, mask_bytes: int = 0) -> Detections:
        """The arrays inside a result slot, with the masks if there are any. No copy."""
        masks = _view_masks(count, slot_u8[count * cls.BYTES_PER_OBJECT :], mask_bytes)
        return cls(**_view_columns(cls._COLUMNS, count, slot_u8), masks=masks)


@dataclass(frozen=True, slots=True)
class Tracks:
    """Objects of one frame with identity, as parallel arrays. Raises `ValueError` for other shapes or types.

    boxes_xyxy     float32 (n, 4): left, top, right, bottom in source pixels
    scores         float32 (n,)
    class_ids      int32 (n,)
    track_ids      int64 (n,): unique per camera and run; 0 = seen, not confirmed as a track yet
    ages           int32 (n,): frames since the track was first seen
    velocities_xy  float32 (n, 2): motion of the box centre in pixels per second
    masks          their outlines, None where the model gives none
    """

    boxes_xyxy: F32
    scores: F32
    class_ids: I32
    track_ids: I64
    ages: I32
    velocities_xy: F32
    masks: Masks | None = None

    _COLUMNS: ClassVar[_Columns] = (
        ("track_ids", np.int64, 1), ("boxes_xyxy", np.float32, 4), ("scores", np.float32, 1),
        ("class_ids", np.int32, 1), ("ages", np.int32, 1), ("velocities_xy", np.float32, 2),
    )  # fmt: skip
    BYTES_PER_OBJECT: ClassVar[int] = 44

    def __post_init__(self) -> None:
        _check_columns(self._COLUMNS, self)

    def __len__(self) -> int:
        return len(self.track_ids)

    @classmethod
    def empty(cls) -> Tracks:
        """No objects."""
        none = Detections.empty()
        return cls(
            none.boxes_xyxy, none.scores, none.class_ids,
            np.empty(0, np.int64), np.empty(0, np.int32), np.empty((0, 2), np.float32),
        )  # fmt: skip

    def take(self, index: Bools | NDArray[np.intp]) -> Tracks:
        """The objects selected by a mask or an index array; copies."""
        return replace(
            self, boxes_xyxy=self.boxes_xyxy[index], scores=self.scores[index], class_ids=self.class_ids[index],
            track_ids=self.track_ids[index], ages=self.ages[index], velocities_xy=self.velocities_xy[index],
            masks=self.masks.take(index) if self.masks is not None else None,
        )  # fmt: skip

    def write_into(self, slot_u8: U8) -> Written:
        """Lay the arrays out in a result slot, the masks behind them; boxes go before masks where it is full."""
        return _write(self._COLUMNS, self, slot_u8)

    @classmethod
    def view(cls, count: int, slot_u8: U8, mask_bytes: int = 0) -> Tracks:
        """The arrays inside a result slot, with the masks if there are any. No copy."""
        masks = _view_masks(count, slot_u8[count * cls.BYTES_PER_OBJECT :], mask_bytes)
        return cls(**_view_columns(cls._COLUMNS, count, slot_u8), masks=masks)


def _shape(count: int, width: int) -> tuple[int, ...]:
    return (count, width) if width > 1 else (count,)


def _check_columns(columns: _Columns, objects: Detections | Tracks) -> None:
    # A slot is read by position: one array of another type or length would shift all that follow.
    for name, dtype, width in columns:
        array: NDArray[np.generic] = getattr(objects, name)
        shape = _shape(len(objects), width)
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(f"{name} must be {np.dtype(dtype)} {shape}, not {array.dtype} {array.shape}")
    if objects.masks is not None and len(objects.masks) != len(objects):
        raise ValueError(f"masks must be of {len(objects)} objects, not {len(objects.masks)}")


def _write(columns: _Columns, objects: Detections | Tracks, slot_u8: U8) -> Written:
    count = min(len(objects), len(slot_u8) // objects.BYTES_PER_OBJECT)
    offset = _lay_out([getattr(objects, name)[:count] for name, _, _ in columns], slot_u8)
    if objects.masks is None:
        return Written(count, 0, 0)
    masks = objects.masks if count == len(objects) else objects.masks.take(np.arange(count))
    room = len(slot_u8) - offset - count * masks.BYTES_PER_OBJECT
    wanted = int(masks.present().sum())
    if room < 0:
        return Written(count, 0, wanted)
    fitting = masks.first_bytes(room)
    # Columns are whole float32 words, so what follows them is aligned for these.
    mask_bytes = _lay_out([fitting.rects_xyxy, fitting.sizes_hw, fitting.bits], slot_u8[offset:])
    return Written(count, mask_bytes, wanted - int(fitting.present().sum()))


def _lay_out(arrays: Sequence[NDArray[Any]], slot_u8: U8) -> int:
    """Write arrays one behind the other; the bytes they took."""
    offset = 0
    for array in arrays:
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        slot_u8[offset : offset + flat.size] = flat
        offset += flat.size
    return offset


def _view_masks(count: int, rest_u8: U8, mask_bytes: int) -> Masks | None:
    if not mask_bytes:
        return None
    sizes, bits = count * 16, count * Masks.BYTES_PER_OBJECT
    return Masks(
        rest_u8[:sizes].view(np.float32).reshape(count, 4),
        rest_u8[sizes:bits].view(np.int32).reshape(count, 2),
        rest_u8[bits:mask_bytes],
    )


def _view_columns(columns: _Columns, count: int, slot_u8: U8) -> dict[str, Any]:
    arrays, offset = {}, 0
    for name, dtype, width in columns:
        nbytes = count * width * np.dtype(dtype).itemsize
        arrays[name] = slot_u8[offset : offset + nbytes].view(dtype).reshape(_shape(count, width))
        offset += nbytes
    return arrays
