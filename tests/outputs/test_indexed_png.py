"""PNGs of object numbers: what others read in them, and what is read back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import OutputError
from engine.outputs.indexed_png import index_picture, indexed_png, read_indices, voc_palette
from engine.types import U8, Masks


@settings(max_examples=40, deadline=None)
@given(size=st.tuples(st.integers(1, 60), st.integers(1, 60)), seed=st.integers(0, 2**32 - 1))
def test_numbers_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, size: tuple[int, int], seed: int
) -> None:
    numbers = np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)
    path = tmp_path_factory.mktemp("png") / "a.png"
    path.write_bytes(indexed_png(numbers))
    np.testing.assert_array_equal(read_indices(path), numbers)


def test_a_viewer_shows_the_colours_of_davis() -> None:
    """The first ones, as every tool of that data set has them."""
    palette = voc_palette()
    known = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128], [0, 128, 128],
             [128, 128, 128], [64, 0, 0], [192, 0, 0]]  # fmt: skip
    assert palette[:10].tolist() == known and palette[255].tolist() == [224, 224, 192]
    numbers = np.arange(256, dtype=np.uint8).reshape(16, 16)
    shown = cv2.imdecode(np.frombuffer(indexed_png(numbers), np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    np.testing.assert_array_equal(shown[..., ::-1].reshape(-1, 3), palette)


def test_grey_levels_and_black_and_white_are_numbers_too(tmp_path: Path) -> None:
    levels = np.array([[0, 255], [7, 0]], np.uint8)
    cv2.imwrite(str(tmp_path / "grey.png"), levels)
    np.testing.assert_array_equal(read_indices(tmp_path / "grey.png"), levels)
    cv2.imwrite(str(tmp_path / "bits.png"), levels, [cv2.IMWRITE_PNG_BILEVEL, 1])
    assert (read_indices(tmp_path / "bits.png") > 0).tolist() == [[False, True], [True, False]]


def test_what_holds_no_numbers_is_refused_in_one_line(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "colours.png"), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "text.png").write_text("no picture")
    for name, why in (
        ("colours.png", "has colours"),
        ("text.png", "cannot be read"),
        ("none.png", "cannot be read"),
    ):
        with pytest.raises(OutputError, match=f"{name}.*{why}") as caught:
            read_indices(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_small_objects_lie_over_large_ones_and_missing_ones_leave_nothing() -> None:
    rects = np.array([[20, 20, 30, 30], [0, 0, 40, 40], [0, 0, 40, 40]], np.float32)
    solid = np.ones((4, 4), np.bool_)
    masks = Masks.of_grids(rects, [solid, solid, np.zeros((0, 0), np.bool_)])
    picture: U8 = index_picture(masks, [3, 9, 5], 60, 50)
    assert picture.shape == (50, 60) and set(np.unique(picture)) == {0, 3, 9}
    assert (picture[25, 25], picture[5, 5], picture[45, 5]) == (3, 9, 0)
