"""What travels between processes: headers and arrays come out of a slot as they went in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.types import (
    ROW_ALIGNMENT_BYTES,
    ColourMatrix,
    Detections,
    FrameFlag,
    FrameMeta,
    FrameNv12,
    ResultMeta,
    Trace,
    Tracks,
    nv12_geometry,
)
from ipc.pool import META_BYTES

INT64 = st.integers(-(2**63), 2**63 - 1)
UINT32 = st.integers(0, 2**32 - 1)
FLAGS = st.sampled_from([FrameFlag(bits) for bits in range(4)])

FRAME_METAS = st.builds(
    FrameMeta,
    index=INT64, captured_ns=INT64, wall_ns=INT64, pts_ns=INT64, published_ns=INT64,
    width=UINT32, height=UINT32, stride_y=UINT32, stride_uv=UINT32, offset_uv=UINT32,
    matrix=st.sampled_from(ColourMatrix), full_range=st.booleans(), flags=FLAGS,
)  # fmt: skip
TRACES = st.builds(Trace, **{f.name: INT64 for f in fields(Trace)})
RESULT_METAS = st.builds(
    ResultMeta,
    frame_seq=INT64, index=INT64, wall_ns=INT64, pts_ns=INT64, width=UINT32, height=UINT32, count=UINT32,
    dropped_superseded=INT64, dropped_restart=INT64, next_track_id=INT64, flags=FLAGS, trace=TRACES,
)  # fmt: skip


@given(FRAME_METAS)
def test_a_frame_header_comes_back_whole(meta: FrameMeta) -> None:
    block = bytearray(META_BYTES)
    meta.pack_into(block)
    found = FrameMeta.unpack(block)
    assert found == meta
    assert type(found.full_range) is bool and found.matrix in ColourMatrix


@given(RESULT_METAS)
def test_a_result_header_comes_back_whole(meta: ResultMeta) -> None:
    block = bytearray(META_BYTES)
    meta.pack_into(block)
    assert ResultMeta.unpack(bytes(block)) == meta


def test_the_strategies_above_name_every_field() -> None:
    """Or a field that is forgotten in `pack_into` would go unnoticed."""
    for meta, example in ((FrameMeta, FRAME_METAS), (ResultMeta, RESULT_METAS)):
        assert f"builds({meta.__name__}" in repr(example)
        assert all(f"{f.name}=" in repr(example) for f in fields(meta)), meta


def test_a_result_speaks_of_its_frame() -> None:
    frame = FrameMeta(
        7, 100, 200, 640, 480, 768, 768, 368640, pts_ns=300, published_ns=400, flags=FrameFlag.DISCONTINUITY
    )
    meta = ResultMeta.of_frame(11, frame)
    assert (meta.frame_seq, meta.index, meta.wall_ns, meta.pts_ns) == (11, 7, 200, 300)
    assert (meta.width, meta.height, meta.flags) == (640, 480, FrameFlag.DISCONTINUITY)
    assert meta.trace == Trace(captured_ns=100, published_ns=400)


def test_time_is_the_sources_own_where_it_has_one() -> None:
    trace = Trace(captured_ns=5_000_000_000)
    assert ResultMeta(1, 0, 0, 0, 0, pts_ns=2_500_000_000, trace=trace).time_s == 2.5
    assert ResultMeta(1, 0, 0, 0, 0, pts_ns=0, trace=trace).time_s == 0.0
    assert ResultMeta(1, 0, 0, 0, 0, pts_ns=-1, trace=trace).time_s == 5.0


SIZES = st.tuples(st.integers(1, 900), st.integers(1, 700))


def frame_meta(width: int, height: int) -> FrameMeta:
    stride, offset_uv, _ = nv12_geometry(width, height)
    return FrameMeta(0, 0, 0, width, height, stride, stride, offset_uv)


@given(SIZES)
def test_planes_of_any_size_lie_in_the_slot_without_overlap(size: tuple[int, int]) -> None:
    width, height = size
    stride, offset_uv, slot_bytes = nv12_geometry(width, height)
    assert stride % ROW_ALIGNMENT_BYTES == 0 and stride - ROW_ALIGNMENT_BYTES < 2 * -(-width // 2) <= stride
    slot = np.zeros(slot_bytes, np.uint8)
    frame = FrameNv12.view(frame_meta(width, height), slot)
    assert frame.y.shape == (height, width)
    assert frame.uv.shape == (-(-height // 2), -(-width // 2), 2)
    frame.y[:] = 1
    frame.uv[:] = 2
    assert np.count_nonzero(slot == 1) == width * height, "the Y plane was written over, or is no view"
    assert np.count_nonzero(slot == 2) == frame.uv.size
    assert slot[offset_uv] == 2 and slot[offset_uv - stride] == 1


@pytest.mark.parametrize(
    ("size", "geometry"),
    [
        ((1920, 1080), (2048, 2048 * 1080, 2048 * 1620)),
        ((256, 2), (256, 512, 768)),
        ((257, 3), (512, 1536, 2560)),
        ((255, 1), (256, 256, 512)),
        ((0, 0), (0, 0, 0)),
    ],
)
def test_geometry_in_numbers(size: tuple[int, int], geometry: tuple[int, int, int]) -> None:
    assert nv12_geometry(*size) == geometry


def test_a_slot_may_be_longer_than_its_picture() -> None:
    """A pool keeps its slots when the picture gets smaller."""
    slot = np.arange(3 * nv12_geometry(300, 200)[2], dtype=np.uint32).astype(np.uint8)
    frame = FrameNv12.view(frame_meta(300, 200), slot)
    assert np.shares_memory(frame.y, slot) and np.shares_memory(frame.uv, slot)
    assert frame.uv[0, 0, 0] == slot[frame.meta.offset_uv]


Make = Callable[[int], Detections | Tracks]


def detections(count: int) -> Detections:
    values = np.arange(count * 4, dtype=np.float32)
    return Detections(
        values.reshape(count, 4), values[:count] / np.float32(7), np.arange(count, dtype=np.int32) - 1
    )


def tracks(count: int) -> Tracks:
    found = detections(count)
    numbers = np.arange(count, dtype=np.int64)
    return Tracks(
        found.boxes_xyxy, found.scores, found.class_ids, numbers + 2**40, numbers.astype(np.int32) * 3,
        np.stack((numbers, -numbers), axis=1).astype(np.float32),
    )  # fmt: skip


def columns(objects: Detections | Tracks) -> dict[str, NDArray[np.generic]]:
    return {f.name: getattr(objects, f.name) for f in fields(objects)}


@pytest.mark.parametrize("make", [detections, tracks])
@given(count=st.integers(0, 40), room=st.integers(0, 50), spare_bytes=st.integers(0, 23))
def test_objects_come_out_of_a_slot_as_they_went_in(
    make: Make, count: int, room: int, spare_bytes: int
) -> None:
    """As many as fit, the first ones; nothing is copied on the way out."""
    objects = make(count)
    slot = np.full(room * objects.BYTES_PER_OBJECT + spare_bytes, 0xAA, np.uint8)
    written = objects.write_into(slot)
    assert written == min(count, room)
    found = type(objects).view(written, slot)
    expected = objects.take(np.arange(written))
    for name, array in columns(found).items():
        np.testing.assert_array_equal(array, columns(expected)[name], err_msg=name, strict=True)
        assert written == 0 or np.shares_memory(array, slot)
    assert (slot[written * objects.BYTES_PER_OBJECT :] == 0xAA).all(), "wrote beyond its objects"


@pytest.mark.parametrize("make", [detections, tracks])
def test_the_size_of_an_object_is_that_of_its_columns(make: Make) -> None:
    objects = make(10)
    assert sum(array.nbytes for array in columns(objects).values()) == 10 * objects.BYTES_PER_OBJECT


@pytest.mark.parametrize("make", [detections, tracks])
def test_objects_are_taken_by_mask_and_by_index(make: Make) -> None:
    objects = make(4)
    by_mask = objects.take(np.array([True, False, False, True]))
    by_index = objects.take(np.array([0, 3]))
    assert len(by_mask) == len(by_index) == 2
    for name, array in columns(by_mask).items():
        np.testing.assert_array_equal(array, columns(objects)[name][[0, 3]], strict=True)
        np.testing.assert_array_equal(array, columns(by_index)[name], strict=True)


def test_no_objects() -> None:
    assert len(Detections.empty()) == len(Tracks.empty()) == 0
    assert Tracks.empty().velocities_xy.shape == (0, 2)
    assert Detections.empty().write_into(np.empty(0, np.uint8)) == 0


@pytest.mark.parametrize(
    ("make", "name", "array"),
    [
        (detections, "boxes_xyxy", np.zeros((2, 3), np.float32)),
        (detections, "boxes_xyxy", np.zeros((2, 4), np.float64)),
        (detections, "boxes_xyxy", np.zeros((3, 4), np.float32)),
        (detections, "boxes_xyxy", np.zeros(8, np.float32)),
        (detections, "class_ids", np.zeros(2, np.int64)),
        (detections, "class_ids", np.zeros(1, np.int32)),
        (tracks, "scores", np.zeros(3, np.float32)),
        (tracks, "track_ids", np.zeros(2, np.int32)),
        (tracks, "ages", np.zeros(2, np.int64)),
        (tracks, "velocities_xy", np.zeros((2, 1), np.float32)),
        (tracks, "velocities_xy", np.zeros(2, np.float32)),
    ],
)
def test_columns_of_another_type_or_length_are_refused(
    make: Make, name: str, array: NDArray[np.generic]
) -> None:
    """They would shift every column behind them in the slot."""
    objects = make(2)
    with pytest.raises(ValueError, match=f"{name} must be"):
        type(objects)(**{**columns(objects), name: array})  # type: ignore[arg-type]  # wrong on purpose
