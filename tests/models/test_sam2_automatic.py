"""Everything in a picture: the filters against the official definitions, and the whole on a real set of graphs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import PromptError
from engine.models.sam2 import Segmenter, SegmenterOptions
from engine.models.sam2_automatic import (
    AutomaticFilters,
    automatic,
    distinct_boxes,
    distinct_masks,
    point_grid,
    select,
    stability_of,
)
from engine.models.sam2_predictions import Features, Predictions
from engine.models.sam2_selection import boxes_of
from engine.types import F32, Bools, FrameMeta, FrameNv12, Prompt, nv12_geometry

WIDTH, HEIGHT = 200, 120
ANYTHING = AutomaticFilters(predicted_iou=-10.0, stability=0.0, box_iou=1.0, mask_iou=1.0)


def test_the_grid_is_the_official_one() -> None:
    amg = pytest.importorskip("sam2.utils.amg")
    for side in (1, 2, 7, 32):
        expected = amg.build_point_grid(side) * (WIDTH, HEIGHT)
        np.testing.assert_allclose(point_grid(side, (WIDTH, HEIGHT)), expected, rtol=1e-6)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), offset=st.sampled_from([0.5, 1.0, 2.0]))
def test_stability_is_the_official_one(seed: int, offset: float) -> None:
    amg, torch = pytest.importorskip("sam2.utils.amg"), pytest.importorskip("torch")
    logits = np.random.default_rng(seed).normal(0, 2, (5, 9, 9)).astype(np.float32)
    expected = amg.calculate_stability_score(torch.from_numpy(logits), 0.0, offset).numpy()
    np.testing.assert_allclose(stability_of(logits, offset), expected, rtol=1e-6)


def test_a_mask_of_nothing_is_not_stable() -> None:
    """Where the official score is nothing divided by nothing."""
    assert stability_of(np.full((1, 4, 4), -5.0, np.float32), 1.0).tolist() == [0.0]


def square(left: int, top: int, right: int, bottom: int, edge: float = 5.0, side: int = 20) -> F32:
    """Logits of 8 in a rectangle and minus 8 outside, with its outermost cells at `edge`."""
    logits = np.full((side, side), -8.0, np.float32)
    logits[top:bottom, left:right] = edge
    logits[top + 1 : bottom - 1, left + 1 : right - 1] = 8.0
    return logits


def test_one_mask_alone_is_kept_if_it_is_sure_stable_and_large_enough() -> None:
    sure, unsure = square(2, 2, 12, 12), square(2, 2, 12, 12)
    # 36 of 100 cells are below the upper threshold and above the lower one.
    blurred, empty, small = (
        square(2, 2, 12, 12, edge=0.5),
        np.full((20, 20), -8, np.float32),
        square(0, 0, 2, 2),
    )
    logits = np.stack([sure, unsure, blurred, empty, small])
    ious = np.array([0.9, 0.8, 0.9, 0.9, 0.9], np.float32)
    filters = AutomaticFilters(least_area_px=5 * WIDTH * HEIGHT / 400)
    chosen, stabilities = select(logits, ious, (WIDTH, HEIGHT), filters)
    assert chosen.tolist() == [0] and stabilities.tolist() == [1.0]
    chosen, stabilities = select(
        logits, ious, (WIDTH, HEIGHT), replace(filters, stability=0.6, least_area_px=0)
    )
    assert chosen.tolist() == [0, 2, 4]
    np.testing.assert_allclose(stabilities, [1.0, 0.64, 1.0])
    assert select(logits, ious, (WIDTH, HEIGHT), replace(filters, predicted_iou=0.5))[0].tolist() == [0, 1]


def test_numbers_that_are_none_are_not_kept() -> None:
    logits = np.stack([square(2, 2, 12, 12), np.full((20, 20), np.nan, np.float32)])
    for ious in ([np.nan, 0.9], [np.nan, np.nan]):
        assert len(select(logits, np.array(ious, np.float32), (WIDTH, HEIGHT), AutomaticFilters())[0]) == 0


def test_of_boxes_that_overlap_the_better_ones_stay() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 6], [20, 20, 30, 30]], np.float32)
    # The first two overlap by 0.8, the last of them and the third by 0.75, the first and the third by 0.6.
    ious = np.array([0.9, 0.95, 0.8, 0.5], np.float32)
    assert distinct_boxes(boxes, ious, 0.7).tolist() == [1, 3]
    assert distinct_boxes(boxes, ious, 0.75).tolist() == [1, 2, 3]
    # What is gone takes nothing with it: the third stays where the second is the worst.
    assert distinct_boxes(boxes, np.array([0.9, 0.3, 0.8, 0.5], np.float32), 0.7).tolist() == [0, 2, 3]
    assert distinct_boxes(boxes[:0], ious[:0], 0.7).tolist() == []


def test_of_masks_that_overlap_the_better_ones_stay_though_their_boxes_are_the_same() -> None:
    left, ring = np.zeros((20, 20), np.bool_), np.ones((20, 20), np.bool_)
    left[:, :10] = True
    ring[5:15, 5:15] = False
    whole = np.ones((20, 20), np.bool_)
    masks, ious = np.stack([whole, ring, left]), np.array([0.9, 0.8, 0.85], np.float32)
    assert distinct_masks(masks, ious, 0.8).tolist() == [0, 2, 1]  # whole and ring overlap by 0.75
    assert distinct_masks(masks, ious, 0.7).tolist() == [0, 2]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), most=st.sampled_from([0.2, 0.4, 0.7]))
def test_masks_are_compared_cell_by_cell(seed: int, most: float) -> None:
    noise = np.random.default_rng(seed)
    masks, scores = noise.random((12, 5, 7)) < 0.6, noise.random(12).astype(np.float32)
    kept: list[int] = []
    for one in np.argsort(-scores):
        overlaps = [(masks[one] & masks[k]).sum() / max(1, (masks[one] | masks[k]).sum()) for k in kept]
        if all(overlap <= most for overlap in overlaps):
            kept.append(int(one))
    assert distinct_masks(masks, scores, most).tolist() == kept


def picture(seed: int = 0) -> FrameNv12:
    """Blocks of grey and colour with some noise."""
    stride, offset_uv, slot_bytes = nv12_geometry(WIDTH, HEIGHT)
    meta = FrameMeta(0, 0, 0, WIDTH, HEIGHT, stride, stride, offset_uv)
    frame, noise = FrameNv12.view(meta, np.zeros(slot_bytes, np.uint8)), np.random.default_rng(seed)
    blocks = noise.integers(30, 220, (6, 10)).repeat(20, axis=0).repeat(20, axis=1)
    frame.y[:] = blocks + noise.integers(-8, 8, frame.y.shape)
    frame.uv[:] = noise.integers(90, 170, (6, 10, 2)).repeat(10, axis=0).repeat(10, axis=1)
    return frame


@pytest.fixture(scope="module")
def segmenter(sam2_folder: Path) -> Iterator[Segmenter]:
    loaded = Segmenter.load(sam2_folder, SegmenterOptions(threads=1))
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def features(segmenter: Segmenter) -> Features:
    return segmenter.encode([picture(0), picture(1)])


def candidates_of(segmenter: Segmenter, features: Features, points_xy: F32) -> tuple[F32, F32, Predictions]:
    """Logits and predicted IoU of the three masks of each point of the second frame, point by point; and the answer."""
    prompts = [Prompt(points_xy=point[None], labels=np.ones(1, np.int32)) for point in points_xy]
    answer = segmenter.prompt(features, np.ones(len(prompts), np.int64), prompts, candidates=True)
    assert answer.candidate_masks is not None and answer.candidate_ious is not None
    logits = answer.candidate_masks[:, 1:]
    return logits.reshape(-1, *logits.shape[2:]), answer.candidate_ious[:, 1:].reshape(-1), answer


def as_set(masks_nhw: Bools) -> set[bytes]:
    return {np.packbits(mask).tobytes() for mask in masks_nhw}


def test_everything_at_the_points_is_what_the_decoder_gives_there(
    segmenter: Segmenter, features: Features
) -> None:
    points = point_grid(3, (WIDTH, HEIGHT))
    logits, ious, answer = candidates_of(segmenter, features, points)
    assert answer.candidate_pointers is not None
    found = automatic(segmenter, features, 1, points, ANYTHING)
    assert as_set(found.low_res_masks > 0) == as_set(logits[(logits > 0).any(axis=(1, 2))] > 0)
    assert found.failures == () and (np.diff(found.ious) <= 0).all()
    # Each stands beside its own numbers.
    numbers = (found.low_res_masks, found.ious, found.stabilities, found.points_xy, found.pointers)
    for mask, iou, stability, point, pointer in zip(*numbers, strict=True):
        of_point = int(np.flatnonzero((points == point).all(axis=1))[0])
        near = [np.abs(logits[3 * of_point + k].clip(-32, 32) - mask).max() for k in range(3)]
        source = 3 * of_point + int(np.argmin(near))
        assert min(near) < 0.02
        np.testing.assert_array_equal(pointer, answer.candidate_pointers[of_point, 1 + source % 3])
        assert iou == ious[source] and stability == stability_of(logits[source : source + 1], 1.0)[0]
    assert found.object_scores.shape == (len(found),) and np.isfinite(found.object_scores).all()


def test_filters_are_those_of_the_definitions(segmenter: Segmenter, features: Features) -> None:
    points = point_grid(4, (WIDTH, HEIGHT))
    logits, ious, _ = candidates_of(segmenter, features, points)
    stabilities = stability_of(logits, 1.0)
    filters = AutomaticFilters(
        predicted_iou=float(np.quantile(ious, 0.3)), stability=float(np.quantile(stabilities, 0.3)),
        box_iou=0.9, mask_iou=0.6, least_area_px=0.02 * WIDTH * HEIGHT,
    )  # fmt: skip
    passed = (ious > filters.predicted_iou) & (stabilities >= np.float32(filters.stability))
    passed &= (logits > 0).mean(axis=(1, 2)) >= 0.02
    found = automatic(segmenter, features, 1, points, filters)
    assert 1 <= len(found) < passed.sum() < len(ious)
    assert as_set(found.low_res_masks > 0) <= as_set(logits[passed] > 0)
    assert found.ious[0] == ious[passed].max()


@pytest.mark.parametrize("by", ["box", "mask"])
def test_of_two_that_are_the_same_the_better_one_is_left(
    segmenter: Segmenter, features: Features, by: str
) -> None:
    points = point_grid(4, (WIDTH, HEIGHT))
    everything = automatic(segmenter, features, 1, points, ANYTHING)
    filters = replace(ANYTHING, box_iou=0.5) if by == "box" else replace(ANYTHING, mask_iou=0.3)
    found = automatic(segmenter, features, 1, points, filters)
    masks = everything.low_res_masks > 0
    kept = (
        distinct_boxes(boxes_of(masks), everything.ious, 0.5)
        if by == "box"
        else distinct_masks(masks, everything.ious, 0.3)
    )
    assert 1 <= len(found) < len(everything)
    np.testing.assert_array_equal(found.ious, everything.ious[kept])
    np.testing.assert_array_equal(found.low_res_masks, everything.low_res_masks[kept])


def test_calls_of_the_decoder_may_have_any_number_of_points(segmenter: Segmenter, features: Features) -> None:
    points, told = point_grid(3, (WIDTH, HEIGHT)), []
    at_once = automatic(segmenter, features, 1, points, ANYTHING)
    by_two = automatic(
        segmenter, features, 1, points, replace(ANYTHING, points_per_call=2), lambda *done: told.append(done)
    )
    assert len(at_once) == len(by_two) > 3
    np.testing.assert_allclose(at_once.ious, by_two.ious, atol=1e-5)
    assert told == [(2, 9), (4, 9), (6, 9), (8, 9), (9, 9)]


def test_a_grid_in_slices_finds_what_the_whole_grid_does(segmenter: Segmenter, features: Features) -> None:
    points = point_grid(3, (WIDTH, HEIGHT))
    whole = automatic(segmenter, features, 1, points, ANYTHING)
    slices = [automatic(segmenter, features, 1, points[turn::3], ANYTHING) for turn in range(3)]
    found = [{(*point, iou) for point, iou in zip(part.points_xy.tolist(), part.ious.round(4).tolist(), strict=True)}
             for part in (whole, *slices)]  # fmt: skip
    assert found[0] == set.union(*found[1:])


def test_no_points_give_no_masks(segmenter: Segmenter, features: Features) -> None:
    found = automatic(segmenter, features, 0, np.empty((0, 2), np.float32))
    assert len(found) == 0 and found.low_res_masks.shape == (0, 64, 64)


def test_a_point_outside_of_the_picture_is_refused(segmenter: Segmenter, features: Features) -> None:
    with pytest.raises(PromptError, match="outside of the picture of 200 × 120"):
        automatic(segmenter, features, 0, np.array([[WIDTH + 5, 3]], np.float32))


def test_a_frame_that_could_not_be_encoded_has_no_masks_and_says_why(
    segmenter: Segmenter, features: Features
) -> None:
    broken = replace(features, failures=("", "image_encoder gave numbers that are not finite"))
    found = automatic(segmenter, broken, 1, point_grid(2, (WIDTH, HEIGHT)), ANYTHING)
    assert len(found) == 0
    assert found.failures == ("image_encoder gave numbers that are not finite",)


def test_a_thousand_masks_are_compared_in_no_time() -> None:
    noise = np.random.default_rng(0)
    corners = noise.integers(0, 100, (1000, 2))
    masks = np.zeros((1000, 128, 128), np.bool_)
    for mask, (x, y) in zip(masks, corners, strict=True):
        mask[y : y + 28, x : x + 28] = True
    began = time.process_time()
    kept = distinct_masks(masks, noise.random(1000).astype(np.float32), 0.7)
    assert len(kept) > 200 and time.process_time() - began < 5
