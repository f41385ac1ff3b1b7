"""What travels between processes: headers and arrays come out of a slot as they went in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

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
    Masks,
    PictureShift,
    PoseSample,
    PtzPose,
    ResultMeta,
    Trace,
    Tracks,
    Written,
    nv12_geometry,
)
from ipc.pool import META_BYTES

INT64 = st.integers(-(2**63), 2**63 - 1)
UINT32 = st.integers(0, 2**32 - 1)
FLAGS = st.sampled_from([FrameFlag(bits) for bits in range(8)])

NUMBERS = st.floats(allow_nan=False)
POSES = st.builds(PtzPose, pan_deg=NUMBERS, tilt_deg=NUMBERS, hfov_deg=NUMBERS, roll_deg=NUMBERS)
FRAME_METAS = st.builds(
    FrameMeta,
    index=INT64, captured_ns=INT64, wall_ns=INT64, pts_ns=INT64, published_ns=INT64,
    width=UINT32, height=UINT32, stride_y=UINT32, stride_uv=UINT32, offset_uv=UINT32,
    matrix=st.sampled_from(ColourMatrix), full_range=st.booleans(), flags=FLAGS,
    pose=st.none() | POSES,
)  # fmt: skip
SHIFTS = st.none() | st.builds(PictureShift, x_px=NUMBERS, y_px=NUMBERS, scale=NUMBERS)
TRACES = st.builds(Trace, **{f.name: INT64 for f in fields(Trace)})
RESULT_METAS = st.builds(
    ResultMeta,
    frame_seq=INT64, index=INT64, wall_ns=INT64, pts_ns=INT64, width=UINT32, height=UINT32, count=UINT32,
    dropped_superseded=INT64, dropped_restart=INT64, next_track_id=INT64, flags=FLAGS, trace=TRACES,
    dropped_rate=INT64, dropped_stale=INT64, mask_bytes=UINT32, masks_lost=UINT32,
    dropped_empty=INT64, notices=INT64, event_count=UINT32, embedding_count=UINT32, embedding_dims=UINT32, shift=SHIFTS,
    pose=st.none() | POSES,
)  # fmt: skip

POSE_SAMPLES = st.builds(PoseSample, **{f.name: NUMBERS for f in fields(PoseSample)})


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


@given(POSE_SAMPLES)
def test_a_sample_of_a_head_comes_back_whole(sample: PoseSample) -> None:
    block = bytearray(META_BYTES)
    sample.pack_into(block)
    assert PoseSample.unpack(bytes(block)) == sample


def test_the_strategies_above_name_every_field() -> None:
    """Or a field that is forgotten in `pack_into` would go unnoticed."""
    for meta, example in ((FrameMeta, FRAME_METAS), (ResultMeta, RESULT_METAS)):
        assert f"builds({meta.__name__}" in repr(example)
        assert all(f"{f.name}=" in repr(example) for f in fields(meta)), meta


def test_a_result_speaks_of_its_frame() -> None:
    frame = FrameMeta(
        7, 100, 200, 640, 480, 768, 768, 368640, pts_ns=300, published_ns=400, flags=FrameFlag.DISCONTINUITY,
        pose=PtzPose(10, -5, 60),
    )  # fmt: skip
    meta = ResultMeta.of_frame(11, frame)
    assert (meta.frame_seq, meta.index, meta.wall_ns, meta.pts_ns) == (11, 7, 200, 300)
    assert (meta.width, meta.height, meta.flags) == (640, 480, FrameFlag.DISCONTINUITY)
    assert meta.trace == Trace(captured_ns=100, published_ns=400)
    assert meta.pose == PtzPose(10, -5, 60)


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
        np.stack((numbers, -numbers), axis=1).astype(np.float32), numbers.astype(np.int32) % 4, numbers + 2**41,
    )  # fmt: skip


def columns(objects: Detections | Tracks) -> dict[str, NDArray[np.generic]]:
    """The arrays of every object; masks are looked at on their own."""
    return {
        f.name: getattr(objects, f.name) for f in fields(objects) if f.name not in ("masks", "embeddings")
    }


@pytest.mark.parametrize("make", [detections, tracks])
@given(count=st.integers(0, 40), room=st.integers(0, 50), spare_bytes=st.integers(0, 23))
def test_objects_come_out_of_a_slot_as_they_went_in(
    make: Make, count: int, room: int, spare_bytes: int
) -> None:
    """As many as fit, the first ones; nothing is copied on the way out."""
    objects = make(count)
    slot = np.full(room * objects.BYTES_PER_OBJECT + spare_bytes, 0xAA, np.uint8)
    written = objects.write_into(slot)
    fitted = min(count, room)
    assert written == Written(fitted, 0, 0)
    found = type(objects).view(fitted, slot)
    expected = objects.take(np.arange(fitted))
    for name, array in columns(found).items():
        np.testing.assert_array_equal(array, columns(expected)[name], err_msg=name, strict=True)
        assert fitted == 0 or np.shares_memory(array, slot)
    assert found.masks is None
    assert (slot[fitted * objects.BYTES_PER_OBJECT :] == 0xAA).all(), "wrote beyond its objects"


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
    assert Detections.empty().write_into(np.empty(0, np.uint8)) == Written(0, 0, 0)


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


def random_masks(sizes_hw: list[tuple[int, int]], seed: int = 0) -> Masks:
    """Noise of these sizes."""
    noise = np.random.default_rng(seed)
    rects = noise.uniform(0, 900, (len(sizes_hw), 4)).astype(np.float32)
    return Masks.of_grids(rects, [noise.random(size) < 0.5 for size in sizes_hw])


def grids(masks: Masks) -> list[list[list[bool]]]:
    return [masks.grid(index).tolist() for index in range(len(masks))]


SIZES_HW = st.lists(st.tuples(st.integers(0, 17), st.integers(0, 17)), max_size=12)


@given(SIZES_HW)
def test_grids_of_any_size_come_back(sizes_hw: list[tuple[int, int]]) -> None:
    noise = np.random.default_rng(1)
    given_grids = [noise.random(size) < 0.5 for size in sizes_hw]
    masks = Masks.of_grids(np.zeros((len(sizes_hw), 4), np.float32), given_grids)
    for index, grid in enumerate(given_grids):
        found = masks.grid(index)
        if grid.size:
            np.testing.assert_array_equal(found, grid, strict=True)
        else:
            assert found.shape == (0, 0) and not masks.present()[index]
    assert masks.present().sum() == sum(grid.size > 0 for grid in given_grids)


def test_a_grid_in_bits() -> None:
    """Rows from the top, the first cell in the highest bit, the rest of the last byte empty."""
    cells = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1]], np.bool_)
    masks = Masks.of_grids(np.zeros((2, 4), np.float32), [cells, np.ones((1, 2), np.bool_)])
    assert masks.bits.tolist() == [0b10100111, 0b10000000, 0b11000000]
    assert masks.sizes_hw.tolist() == [[3, 3], [1, 2]] and masks.grid_bytes().tolist() == [2, 1]


@given(sizes_hw=SIZES_HW, data=st.data())
def test_masks_are_taken_by_mask_and_by_index(sizes_hw: list[tuple[int, int]], data: st.DataObject) -> None:
    masks, count = random_masks(sizes_hw), len(sizes_hw)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), np.bool_)
    any_order = np.array(data.draw(st.lists(st.integers(0, count - 1), max_size=8)) if count else [], np.intp)
    for chosen, index in ((kept, np.flatnonzero(kept)), (any_order, any_order)):
        taken = masks.take(chosen)
        assert grids(taken) == [grids(masks)[position] for position in index]
        np.testing.assert_array_equal(taken.rects_xyxy, masks.rects_xyxy[index])
        for name in ("rects_xyxy", "sizes_hw", "bits"):
            assert not np.shares_memory(getattr(taken, name), getattr(masks, name))


@pytest.mark.parametrize("make", [detections, tracks])
@given(sizes_hw=SIZES_HW, short=st.integers(-40, 400))
def test_masks_come_out_of_a_slot_as_they_went_in(
    make: Make, sizes_hw: list[tuple[int, int]], short: int
) -> None:
    """Where a slot is `short` of bytes the last masks stay behind, and are counted; no box does before."""
    masks, count = random_masks(sizes_hw), len(sizes_hw)
    objects = replace(make(count), masks=masks)
    whole = count * (objects.BYTES_PER_OBJECT + Masks.BYTES_PER_OBJECT) + masks.bits.size
    slot = np.full(max(count * objects.BYTES_PER_OBJECT, whole - short), 0xAA, np.uint8)
    written = objects.write_into(slot)
    found = type(objects).view(written.count, slot, written.mask_bytes)
    assert written.count == count and len(found) == count
    np.testing.assert_array_equal(found.boxes_xyxy, objects.boxes_xyxy)
    end = count * objects.BYTES_PER_OBJECT + written.mask_bytes
    assert (slot[end:] == 0xAA).all(), "wrote beyond its masks"
    if not written.mask_bytes:
        assert found.masks is None and written.masks_lost == masks.present().sum()
        assert count == 0 or len(slot) < whole
        return
    assert found.masks is not None
    for name in ("rects_xyxy", "sizes_hw"):
        assert np.shares_memory(getattr(found.masks, name), slot)
    np.testing.assert_array_equal(found.masks.rects_xyxy, masks.rects_xyxy)
    here, there = masks.present(), found.masks.present()
    assert written.masks_lost == here.sum() - there.sum() == (here & ~there).sum()
    assert (written.masks_lost == 0) == (len(slot) >= whole)
    lost = np.flatnonzero(here & ~there)
    assert not there[lost[0] :].any() if len(lost) else True
    for index in np.flatnonzero(there).tolist():
        np.testing.assert_array_equal(found.masks.grid(index), masks.grid(index))


def test_objects_that_do_not_fit_take_their_masks_with_them() -> None:
    objects = replace(detections(3), masks=random_masks([(8, 8), (8, 8), (8, 8)]))
    slot = np.zeros(2 * objects.BYTES_PER_OBJECT + 23, np.uint8)
    assert objects.write_into(slot) == Written(2, 0, 2)


@pytest.mark.parametrize("make", [detections, tracks])
def test_objects_are_taken_with_their_masks(make: Make) -> None:
    masks = random_masks([(3, 5), (0, 0), (9, 2), (4, 4)])
    taken = replace(make(4), masks=masks).take(np.array([3, 0]))
    assert taken.masks is not None and grids(taken.masks) == [grids(masks)[3], grids(masks)[0]]
    assert make(4).take(np.array([3, 0])).masks is None


def test_no_masks() -> None:
    none = Masks.none(3)
    assert len(none) == 3 and not none.present().any() and none.grid(1).shape == (0, 0)
    assert len(Masks.none(0)) == len(Masks.of_grids(np.empty((0, 4), np.float32), [])) == 0
    objects = replace(detections(3), masks=none)
    assert objects.write_into(np.zeros(1000, np.uint8)) == Written(3, 3 * Masks.BYTES_PER_OBJECT, 0)


@pytest.mark.parametrize("make", [detections, tracks])
def test_masks_of_another_number_of_objects_are_refused(make: Make) -> None:
    with pytest.raises(ValueError, match="masks must be of 2 objects, not 3"):
        replace(make(2), masks=Masks.none(3))


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("rects_xyxy", np.zeros((2, 4), np.float64)),
        ("rects_xyxy", np.zeros((2, 3), np.float32)),
        ("sizes_hw", np.zeros((2, 2), np.int64)),
        ("sizes_hw", np.zeros((1, 2), np.int32)),
        ("ages_ms", np.zeros(2, np.float64)),
        ("confidences", np.zeros(3, np.float32)),
        ("sources", np.zeros(2, np.uint8)),
        ("bits", np.zeros(3, np.uint8)),
        ("bits", np.zeros(2, np.int8)),
    ],
)
def test_masks_of_another_type_or_length_are_refused(name: str, array: NDArray[np.generic]) -> None:
    masks = random_masks([(2, 3), (1, 4)])
    parts = {f.name: getattr(masks, f.name) for f in fields(masks)}
    with pytest.raises(ValueError, match=f"{name} must be"):
        Masks(**{**parts, name: array})
