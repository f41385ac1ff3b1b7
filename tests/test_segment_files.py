"""What `engine-segment` writes: the right pixels in the right colours, for any size of picture and colour matrix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import OutputError
from engine.outputs.indexed_png import read_indices
from engine.segment_files import ResultFiles, Segmented, drawn_bgr
from engine.types import ColourMatrix, FrameNv12, Masks, Tracks
from kernels.colour import ycbcr_to_rgb
from tests.outputs.results import make_frame, make_tracks


def segmented(frame: FrameNv12, tracks: Tracks) -> Segmented:
    return Segmented("a/b", "b.jpg", frame, tracks, ("thing",))


def many(count: int) -> Tracks:
    """Objects of 4 × 4 pixels each, side by side."""
    corners = [(5.0 * (index % 60), 5.0 * (index // 60)) for index in range(count)]
    tracks = make_tracks([(index + 1, 0.5, (x, y, x + 4, y + 4)) for index, (x, y) in enumerate(corners)])
    return replace(tracks, masks=Masks.of_grids(tracks.boxes_xyxy, [np.ones((2, 2), np.bool_)] * count))


def test_more_objects_than_a_png_has_numbers_are_said(tmp_path: Path) -> None:
    shown = segmented(make_frame(320, 240), many(260))
    assert ResultFiles(tmp_path, ("png",), "polygon", "m").write(shown) == (
        "5 of 260 objects are not in the PNG, which has room for 255",
    )
    assert np.unique(read_indices(tmp_path / "a" / "b.png")).tolist() == list(range(256))
    assert (
        ResultFiles(tmp_path, ("png",), "polygon", "m").write(segmented(make_frame(320, 240), many(255)))
        == ()
    )


@pytest.mark.parametrize("size", [(64, 48), (63, 47), (1, 1), (2, 3)])
@pytest.mark.parametrize("matrix", list(ColourMatrix))
@pytest.mark.parametrize("full_range", [False, True])
def test_the_drawn_picture_has_the_frame_s_own_colours(
    size: tuple[int, int], matrix: ColourMatrix, full_range: bool
) -> None:
    frame = make_frame(*size, matrix=matrix, full_range=full_range)
    frame.uv[:] = (150, 90)
    drawn = drawn_bgr(segmented(frame, replace(make_tracks([]), masks=Masks.none(0))))
    assert drawn.shape == (size[1], size[0], 3) and drawn.dtype == np.uint8
    wanted = ycbcr_to_rgb(matrix is ColourMatrix.BT709, full_range, bgr=True) @ np.array([110, 150, 90, 1])
    if size == (64, 48):  # on the smaller ones the status line covers everything
        np.testing.assert_allclose(drawn[5, 60], wanted, atol=1)
    assert (frame.y == 110).all(), "the frame itself is not drawn on"


def test_a_picture_too_large_for_a_jpeg_is_one_line(tmp_path: Path) -> None:
    shown = segmented(make_frame(65_600, 2), replace(make_tracks([]), masks=Masks.none(0)))
    with pytest.raises(OutputError, match="at most 65500 pixels a side; leave out `overlay`"):
        ResultFiles(tmp_path, ("json", "overlay"), "polygon", "m").write(shown)
    assert (tmp_path / "a" / "b.json").is_file() and not (tmp_path / "a" / "b.overlay.jpg").exists()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file where a folder should be")
    with pytest.raises(OutputError, match=r"a/b\.png: cannot be written: .*; choose another --out"):
        ResultFiles(tmp_path, ("png",), "polygon", "m").write(segmented(make_frame(32, 24), many(1)))
