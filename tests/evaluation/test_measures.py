"""J and F against their definitions, pixel by pixel, and what must hold for any masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.evaluation.measures import Course, contour, contour_accuracy, jaccard, tolerance_px
from engine.types import Bools
from tests.evaluation.pictures import square


def contour_by_definition(mask: Bools) -> set[tuple[int, int]]:
    height, width = mask.shape
    return {
        (row, column)
        for row in range(height)
        for column in range(width)
        if any(
            row + down < height and column + right < width and mask[row, column] != mask[row + down, column + right]
            for down, right in ((0, 1), (1, 0), (1, 1))
        )
    }  # fmt: skip


def accuracy_by_definition(found: Bools, truth: Bools, share: float) -> float:
    """Every contour pixel of one against every one of the other: in the disc or not."""
    radius = math.ceil(share * math.sqrt(truth.shape[0] ** 2 + truth.shape[1] ** 2))
    edges = [contour_by_definition(mask) for mask in (found, truth)]
    if not edges[0] and not edges[1]:
        return 1.0
    if not edges[0] or not edges[1]:
        return 0.0

    def near(own: set[tuple[int, int]], others: set[tuple[int, int]]) -> float:
        hits = sum(any((a - c) ** 2 + (b - d) ** 2 <= radius**2 for c, d in others) for a, b in own)
        return hits / len(own)

    precision, recall = near(edges[0], edges[1]), near(edges[1], edges[0])
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def blobs(seed: int, height: int, width: int, share: float) -> Bools:
    """Patches of two by two pixels."""
    coarse = np.random.default_rng(seed).random((height // 2 + 1, width // 2 + 1)) < share
    return coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]


MASKS = st.builds(
    blobs, st.integers(0, 2**32 - 1), st.just(14), st.just(19), st.sampled_from((0.0, 0.05, 0.5, 1.0))
)


@settings(max_examples=150, deadline=None)
@given(found=MASKS, truth=MASKS, share=st.sampled_from((0.008, 0.05, 0.1, 0.3)))
def test_contour_accuracy_is_what_the_definition_says(found: Bools, truth: Bools, share: float) -> None:
    assert contour_accuracy(found, truth, share) == pytest.approx(accuracy_by_definition(found, truth, share))


@settings(max_examples=50, deadline=None)
@given(mask=MASKS)
def test_contours_are_what_the_definition_says(mask: Bools) -> None:
    assert {(int(row), int(column)) for row, column in np.argwhere(contour(mask))} == contour_by_definition(
        mask
    )


@settings(max_examples=50, deadline=None)
@given(a=MASKS, b=MASKS)
def test_both_measures_are_shares_the_same_both_ways_and_one_for_the_same_mask(a: Bools, b: Bools) -> None:
    for measure in (jaccard, contour_accuracy):
        assert 0 <= measure(a, b) <= 1
        assert measure(a, b) == pytest.approx(measure(b, a))
        assert measure(a, a) == 1


def test_the_tolerance_of_davis_at_480p_is_eight_pixels() -> None:
    assert tolerance_px(480, 854) == 8


@pytest.mark.parametrize(("moved", "accuracy"), [(0, 1.0), (1, 1.0), (2, 1.0)])
def test_a_shift_within_the_tolerance_costs_no_contour_accuracy(moved: int, accuracy: float) -> None:
    assert tolerance_px(150, 200) == 2
    shifted = square(50 + moved, 40, 60, (150, 200))
    assert contour_accuracy(shifted, square(50, 40, 60, (150, 200))) == accuracy


def test_beyond_the_tolerance_only_the_sides_along_the_shift_still_match() -> None:
    found, truth = square(53, 40, 60, (150, 200)), square(50, 40, 60, (150, 200))
    assert jaccard(found, truth) == pytest.approx(57 / 63)
    assert 0.45 < contour_accuracy(found, truth) < 0.6
    far = square(60, 50, 60, (150, 200))
    assert contour_accuracy(far, truth) < 0.1


def test_empty_masks() -> None:
    nothing, something = np.zeros((48, 64), np.bool_), square(5, 5, 9)
    assert jaccard(nothing, nothing) == contour_accuracy(nothing, nothing) == 1
    for pair in ((nothing, something), (something, nothing)):
        assert jaccard(*pair) == contour_accuracy(*pair) == 0


def test_a_mask_of_the_whole_picture_has_no_contour() -> None:
    everything = np.ones((48, 64), np.bool_)
    assert contour_accuracy(everything, everything) == 1
    assert contour_accuracy(everything, square(5, 5, 9)) == 0


def test_the_course_of_a_measure() -> None:
    course = Course.of([1.0] * 5 + [0.5] * 5 + [0.2] * 10)
    assert course.mean == pytest.approx((5 + 2.5 + 2) / 20)
    assert course.recall == pytest.approx(5 / 20), "one half itself is not found"
    # Quarters of 20 frames: 1 to 6 and 15 to 20, whose ends both neighbours have.
    assert course.decay == pytest.approx(5.5 / 6 - 0.2)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_courses_of_few_frames(count: int) -> None:
    course = Course.of([0.7] * count)
    assert (course.mean, course.recall, course.decay) == pytest.approx((0.7, 1.0, 0.0))


def test_objects_count_once_each() -> None:
    assert Course.average([Course(1.0, 1.0, 0.5), Course(0.5, 0.0, 0.0)]) == Course(0.75, 0.5, 0.25)
