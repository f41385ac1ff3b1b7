"""Masks: out of prototypes, into a picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.reference import mask_on_plane, sample_bilinear
from tests.kernels.twins import REFERENCE, Rect, Twin, every_twin, fast_twin

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

COLOUR = (80, 90, 200)


def one_mask(
    twin: Twin, prototype: F32, box: Rect, size_hw: tuple[int, int], input_wh: tuple[int, int]
) -> U8:
    """The grid (rows, columns) of one box, from one prototype that is the mask itself."""
    grids = twin.assemble_masks(
        prototype[None],
        np.ones((1, 1), np.float32),
        np.array([box], np.float32),
        np.array([size_hw], np.int32),
        input_wh,
    )
    return grids.reshape(size_hw)


@every_twin
def test_a_grid_like_the_prototypes_is_their_sign(twin: Twin) -> None:
    prototype = np.random.default_rng(0).normal(size=(12, 16)).astype(np.float32)
    assert np.array_equal(one_mask(twin, prototype, (0, 0, 64, 48), (12, 16), (64, 48)), prototype > 0)


@every_twin
def test_a_box_covers_its_part_of_the_prototypes(twin: Twin) -> None:
    prototype = np.random.default_rng(0).normal(size=(12, 16)).astype(np.float32)
    part = one_mask(twin, prototype, (16, 8, 40, 32), (6, 6), (64, 48))
    assert np.array_equal(part, prototype[2:8, 4:10] > 0)


@every_twin
def test_between_two_prototype_pixels_probabilities_are_mixed_not_logits(twin: Twin) -> None:
    """In the middle between logits 9 and -1, the probabilities are about 1 and 0.27: 0.63 on average."""
    prototype = np.array([[9.0, -1.0]], np.float32)
    assert one_mask(twin, prototype, (0.5, 0, 1.5, 1), (1, 1), (2, 1)).tolist() == [[1]]
    prototype = np.array([[9.0, -9.0]], np.float32)  # exactly one half in the middle, which is not above
    assert one_mask(twin, prototype, (0.6, 0, 1.6, 1), (1, 1), (2, 1)).tolist() == [[0]]


@every_twin
def test_beyond_the_edge_the_last_pixels_go_on(twin: Twin) -> None:
    prototype = np.array([[1.0, -1.0], [-1.0, 1.0]], np.float32)
    assert one_mask(twin, prototype, (-40, -40, -20, -20), (3, 3), (8, 8)).all()
    assert not one_mask(twin, prototype, (-40, 20, -20, 40), (3, 3), (8, 8)).any()


@every_twin
def test_coefficients_mix_prototypes(twin: Twin) -> None:
    prototypes = np.stack([np.full((4, 4), 1.0), np.full((4, 4), -3.0)]).astype(np.float32)
    coefficients = np.array([[2, 0.5], [4, 1.5], [0, -1]], np.float32)  # logits 0.5, -0.5, 3
    boxes = np.tile(np.array([[0, 0, 8, 8]], np.float32), (3, 1))
    sizes = np.array([[1, 2], [2, 1], [1, 1]], np.int32)
    grids = twin.assemble_masks(prototypes, coefficients, boxes, sizes, (8, 8))
    assert grids.dtype == np.uint8 and grids.tolist() == [1, 1, 0, 0, 1]


@every_twin
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's word for a NaN in a product
def test_no_number_and_no_cells_give_nothing(twin: Twin) -> None:
    prototype = np.full((4, 4), np.nan, np.float32)
    assert not one_mask(twin, prototype, (0, 0, 8, 8), (2, 2), (8, 8)).any()
    assert one_mask(twin, prototype, (0, 0, 8, 8), (0, 5), (8, 8)).size == 0
    nothing = np.empty((0, 1), np.float32), np.empty((0, 4), np.float32), np.empty((0, 2), np.int32)
    grids = twin.assemble_masks(prototype[None], *nothing, (8, 8))
    assert grids.size == 0 and grids.dtype == np.uint8


@every_twin
def test_a_box_without_width_still_has_its_cells(twin: Twin) -> None:
    prototype = np.array([[1.0, -1.0]], np.float32)
    assert one_mask(twin, prototype, (1, 0, 1, 8), (2, 2), (8, 8)).tolist() == [[1, 1], [1, 1]]


@fast_twin
@given(
    sides=st.tuples(*[st.integers(1, 24)] * 2),
    sizes=st.lists(st.tuples(*[st.integers(0, 20)] * 2), max_size=4),
    seed=st.integers(0, 99),
)
def test_masks_equal_reference(
    twin: Twin, sides: tuple[int, int], sizes: list[tuple[int, int]], seed: int
) -> None:
    random = np.random.default_rng(seed)
    prototypes = random.normal(size=(5, *sides)).astype(np.float32)
    coefficients = random.normal(size=(len(sizes), 5)).astype(np.float32) * 3
    corners = np.sort(random.uniform(-40, 140, (len(sizes), 2, 2)), axis=1)
    boxes = corners.reshape(-1, 4).astype(np.float32)
    sizes_hw = np.array(sizes, np.int32).reshape(-1, 2)
    arguments = prototypes, coefficients, boxes, sizes_hw, (100, 90)
    ours, expected = twin.assemble_masks(*arguments), REFERENCE.assemble_masks(*arguments)
    clear = np.abs(probabilities(*arguments) - 0.5) > 1e-4
    assert np.array_equal(ours[clear], expected[clear])


def probabilities(
    prototypes: F32, coefficients: F32, boxes: F32, sizes_hw: I32, input_wh: tuple[int, int]
) -> NDArray[np.float64]:
    """What the cells are cut from."""
    height, width = prototypes.shape[1:]
    cells = [np.empty(0)]
    for factors, (left, top, right, bottom), (rows, columns) in zip(
        coefficients.astype(np.float64), boxes.astype(np.float64), sizes_hw, strict=True
    ):
        plane = 1 / (1 + np.exp(-np.tensordot(factors, prototypes.astype(np.float64), 1)))
        x = left + (np.arange(columns) + 0.5) * (right - left) / max(columns, 1)
        y = top + (np.arange(rows) + 0.5) * (bottom - top) / max(rows, 1)
        cells.append(sample_bilinear(plane, x * width / input_wh[0], y * height / input_wh[1]).reshape(-1))
    return np.concatenate(cells)


def picture(height: int, width: int, seed: int = 0) -> tuple[U8, U8]:
    """Noise."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 256, (height, width), np.uint8)
    return y, random.integers(0, 256, ((height + 1) // 2, (width + 1) // 2, 2), np.uint8)


@every_twin
def test_a_full_mask_fills_its_rectangle_and_nothing_else(twin: Twin) -> None:
    y, uv = np.full((20, 30), 100, np.uint8), np.full((10, 15, 2), 100, np.uint8)
    twin.blend_mask(y, uv, np.ones((3, 5), np.bool_), (4, 6, 14, 12), COLOUR, 1.0)
    inside = np.zeros((20, 30), np.bool_)
    inside[6:12, 4:14] = True
    assert np.array_equal(y, np.where(inside, 80, 100))
    assert np.array_equal(uv[:, :, 0], np.where(inside[::2, ::2], 90, 100))
    assert np.array_equal(uv[:, :, 1], np.where(inside[::2, ::2], 200, 100))


@every_twin
@pytest.mark.parametrize(("opacity", "level"), [(0.0, 100), (0.25, 95), (0.5, 90), (1.0, 80)])
def test_opacity_is_the_share_of_the_colour(twin: Twin, opacity: float, level: int) -> None:
    y, uv = np.full((4, 4), 100, np.uint8), np.full((2, 2, 2), 100, np.uint8)
    twin.blend_mask(y, uv, np.ones((1, 1), np.bool_), (0, 0, 4, 4), COLOUR, opacity)
    assert (y == level).all()


@every_twin
@pytest.mark.parametrize("width", [40, 41])
def test_the_mask_ends_half_way_between_cells(twin: Twin, width: int) -> None:
    """A pixel exactly half way, as the middle one of 41, is not more than half in."""
    y, uv = np.full((2, width), 100, np.uint8), np.full((1, (width + 1) // 2, 2), 100, np.uint8)
    twin.blend_mask(y, uv, np.array([[True, False]]), (0, 0, width, 2), COLOUR, 1.0)
    assert (y[:, :20] == 80).all() and (y[:, 20:] == 100).all()


@every_twin
@pytest.mark.parametrize(
    "rect",
    [(-50, -50, -10, -10), (100, 0, 120, 10), (5, 5, 5, 9), (6.1, 6.1, 6.3, 6.3), (7.6, 0, 8.4, 8)],
    ids=["left", "right", "no width", "smaller than a pixel", "between two pixels"],
)
def test_a_rectangle_without_pixels_changes_nothing(twin: Twin, rect: Rect) -> None:
    y, uv = picture(30, 40)
    before = y.copy(), uv.copy()
    twin.blend_mask(y, uv, np.ones((4, 4), np.bool_), rect, COLOUR, 0.5)
    assert np.array_equal(y, before[0]) and np.array_equal(uv, before[1])


@every_twin
def test_a_mask_without_cells_changes_nothing(twin: Twin) -> None:
    y, uv = picture(8, 8)
    before = y.copy()
    twin.blend_mask(y, uv, np.ones((0, 4), np.bool_), (0, 0, 8, 8), COLOUR, 0.5)
    assert np.array_equal(y, before)


@fast_twin
@given(
    size_hw=st.tuples(*[st.integers(1, 60)] * 2),
    cells=st.tuples(*[st.integers(1, 12)] * 2),
    corners=st.tuples(*[st.floats(-20, 80, width=32)] * 4),
    opacity=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_blending_equals_reference(
    twin: Twin,
    size_hw: tuple[int, int],
    cells: tuple[int, int],
    corners: Rect,
    opacity: float,
    seed: int,
) -> None:
    y, uv = picture(*size_hw, seed)
    expected_y, expected_uv = y.copy(), uv.copy()
    grid = np.random.default_rng(seed).random(cells) > 0.5
    left, right = sorted(corners[::2])
    top, bottom = sorted(corners[1::2])
    arguments = grid, (left, top, right, bottom), COLOUR, opacity
    twin.blend_mask(y, uv, *arguments)
    REFERENCE.blend_mask(expected_y, expected_uv, *arguments)
    for ours, expected, size in ((y, expected_y, 1), (uv, expected_uv, 2)):
        clear = clearly_in_or_out(grid, arguments[1], ours.shape, size)
        assert np.array_equal(ours[clear], expected[clear])


def clearly_in_or_out(
    grid: NDArray[np.bool_], rect: Rect, shape: tuple[int, ...], size: int
) -> NDArray[np.bool_]:
    """Samples that belong to the mask, or do not, also if the rectangle is moved by a hair."""
    masks = [
        mask_on_plane(grid, (rect[0] + dx, rect[1] + dy, rect[2] + dx, rect[3] + dy), shape, size)
        for dx in (-1e-3, 0, 1e-3)
        for dy in (-1e-3, 0, 1e-3)
    ]
    clear: NDArray[np.bool_] = np.logical_and.reduce(masks) | ~np.logical_or.reduce(masks)
    return clear
