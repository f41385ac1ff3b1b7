"""Placements: known ones, and properties that hold for every size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.letterbox import Fit, Letterbox, fit_letterbox

SIZES = st.tuples(st.integers(1, 5000), st.integers(1, 5000))
INPUTS = st.sampled_from([(640, 640), (416, 416), (320, 320), (192, 192), (640, 384), (257, 129)])


@pytest.mark.parametrize(
    ("source_wh", "fit", "placed"),
    [
        ((1280, 720), Fit.CENTRED, (640, 360, 0, 140)),
        ((810, 1080), Fit.CENTRED, (480, 640, 80, 0)),
        ((768, 576), Fit.CENTRED, (640, 480, 0, 80)),
        ((1920, 1075), Fit.CENTRED, (640, 358, 0, 141)),
        ((1920, 1077), Fit.CENTRED, (640, 359, 0, 140)),  # an odd rest: the smaller half comes first
        ((640, 640), Fit.CENTRED, (640, 640, 0, 0)),
        ((1280, 720), Fit.TOP_LEFT, (640, 360, 0, 0)),
        ((1000, 999), Fit.TOP_LEFT, (640, 639, 0, 0)),
        ((1280, 720), Fit.STRETCH, (640, 640, 0, 0)),
    ],
)
def test_known_placements(source_wh: tuple[int, int], fit: Fit, placed: tuple[int, int, int, int]) -> None:
    assert fit_letterbox(source_wh, (640, 640), fit) == Letterbox(*source_wh, 640, 640, *placed)


@given(SIZES, INPUTS, st.sampled_from(Fit))
def test_the_picture_lies_inside_and_touches_two_sides(
    source_wh: tuple[int, int], input_wh: tuple[int, int], fit: Fit
) -> None:
    box = fit_letterbox(source_wh, input_wh, fit)
    assert box.left >= 0 and box.left + box.width <= box.input_width
    assert box.top >= 0 and box.top + box.height <= box.input_height
    # Truncation may leave one pixel free, but no more.
    assert box.width >= box.input_width - 1 or box.height >= box.input_height - 1


@given(SIZES, INPUTS)
def test_a_centred_picture_is_in_the_middle(source_wh: tuple[int, int], input_wh: tuple[int, int]) -> None:
    box = fit_letterbox(source_wh, input_wh, Fit.CENTRED)
    assert 0 <= box.input_width - box.width - 2 * box.left <= 1
    assert 0 <= box.input_height - box.height - 2 * box.top <= 1


@pytest.mark.parametrize("source_wh", [(0, 10), (10, 0), (-1, 5)])
def test_sizes_without_pixels_are_refused(source_wh: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        fit_letterbox(source_wh, (640, 640), Fit.CENTRED)
