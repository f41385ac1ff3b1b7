"""Styles of the overlay: each draws what it says, at any size; trails stay where somebody walked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.config.overlay import OVERLAY_STYLES
from engine.errors import ConfigError
from engine.outputs.base import FrameResult
from engine.outputs.overlay import OverlayMemory, draw_result, status_text, style_for
from engine.outputs.overlay_masks import covered, draw_masks, pixelate
from engine.outputs.overlay_trails import Trails
from engine.types import Bools, ColourMatrix, FrameFlag, FrameNv12, PictureShift, PtzPose, Trace
from kernels import reference
from tests.outputs.results import ObjectRow, disc, make_frame, make_result, make_tracks

BT601 = ColourMatrix.BT601
GREY_Y = 110
SIZES = [(1, 1), (3, 2), (33, 17), (160, 120), (641, 479), (1920, 1080), (3840, 2160)]


def result_at(
    index: int, rows: list[ObjectRow], size: tuple[int, int], grids: list[Bools] | None = None
) -> FrameResult:
    """The result of frame `index`, 40 ms after the one before."""
    result = make_result(index, rows, grids=grids)
    meta = replace(
        result.meta, width=size[0], height=size[1], pts_ns=index * 40_000_000, trace=Trace(captured_ns=1)
    )
    return replace(result, meta=meta)


def drawn(name: str, result: FrameResult, size: tuple[int, int] = (640, 480)) -> FrameNv12:
    frame = make_frame(*size)
    draw_result(frame.y, frame.uv, result, style_for(size[1], BT601, False, name))
    return frame


@pytest.mark.parametrize("name", OVERLAY_STYLES)
@pytest.mark.parametrize("size", SIZES)
def test_every_style_works_at_every_size_and_stays_in_its_planes(name: str, size: tuple[int, int]) -> None:
    width, height = size
    rows: list[ObjectRow] = [
        (1, 0.9, (0.1 * width, 0.2 * height, 0.4 * width, 0.9 * height)),
        (2, 0.8, (-0.2 * width, -0.1 * height, 0.3 * width, 0.4 * height)),
        (0, 0.4, (0.7 * width, 0.5 * height, 1.3 * width, 1.2 * height)),
    ]
    frame, memory = make_frame(*size), OverlayMemory()
    base = frame.y
    while isinstance(base.base, np.ndarray):
        base = base.base
    for index in range(4):
        moved = [(number, score, tuple(edge + 2 * index for edge in box)) for number, score, box in rows]
        result = result_at(index, moved, size, [disc(9, 7)] * 3)  # type: ignore[arg-type]  # tuple of four
        draw_result(frame.y, frame.uv, result, style_for(height, BT601, False, name), memory)
    padding = base.reshape(-1)[: frame.meta.offset_uv].reshape(height, -1)[:, width:]
    assert (padding == 77).all()
    if size[0] > 30:
        assert (frame.y != GREY_Y).any() == (name != "none")


def test_an_unknown_style_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'fulll'.*full"):
        style_for(480, BT601, False, "fulll")


def test_what_is_drawn_is_what_the_style_says() -> None:
    rows: list[ObjectRow] = [(2, 0.9, (100.0, 60.0, 300.0, 360.0))]
    result = result_at(1, rows, (640, 480), [disc(60, 40)])
    middle, box_edge, corner = (210, 200), (200, 100), (61, 101)
    tinted = {name: drawn(name, result).y[middle] != GREY_Y for name in OVERLAY_STYLES}
    assert {name for name, there in tinted.items() if there} == {"full", "masks"}
    edged = {name: drawn(name, result).y[box_edge] != GREY_Y for name in OVERLAY_STYLES}
    assert {name for name, there in edged.items() if there} == {
        "full",
        "boxes",
        "masks",
        "outline",
        "privacy",
    }
    assert drawn("minimal", result).y[corner] != GREY_Y and drawn("outline", result).y[70, 110] == GREY_Y
    outside = {name: drawn(name, result).y[450, 600] != GREY_Y for name in OVERLAY_STYLES}
    assert {name for name, there in outside.items() if there} == {"spotlight"}
    assert (drawn("none", result).y == GREY_Y).all()


def test_masks_lie_where_the_exact_ones_do_but_for_a_pixel_at_the_edge() -> None:
    random = np.random.default_rng(5)
    for _ in range(40):
        left, top = random.uniform(-30, 400, 2)
        width, height = random.uniform(4, 300, 2)
        rect = (float(left), float(top), float(left + width), float(top + height))
        grid = disc(int(random.integers(2, 90)), int(random.integers(2, 90)))
        for scale, shape in ((1.0, (361, 413)), (0.5, (181, 207))):
            exact = reference.mask_on_plane(grid, rect, shape, round(1 / scale))
            ours = np.zeros(shape, np.bool_)
            if (part := covered(grid.astype(np.uint8) * 255, rect, shape, scale)) is not None:
                ours[part.rows, part.columns] = part.inside > 0
            near = np.zeros(shape, np.bool_)
            for dx in (-1, 0, 1):
                for dy in (-1, 0, 1):
                    near |= np.roll(exact, (dy, dx), (0, 1)) != exact
            assert not ((ours != exact) & ~near).any()


def test_a_mask_at_the_border_is_cut_off_and_not_moved() -> None:
    frame, wide = make_frame(64, 64), make_frame(264, 264)
    inner, outer = ((-40.0, -20.0, 60.0, 90.0), (60.0, 80.0, 160.0, 190.0))
    for picture, box in ((frame, inner), (wide, outer)):
        tracks = make_result(1, [(1, 0.9, box)], grids=[disc(30, 20)]).tracks
        draw_masks(picture.y, picture.uv, tracks, style_for(64, BT601, False))
    np.testing.assert_array_equal(frame.y, wide.y[100:164, 100:164])


def walk(trails: Trails, frames: int, pan_px: float = 0.0) -> None:
    """Somebody at rest in the scene; the picture moves by `pan_px` a frame."""
    for index in range(frames):
        x = 300.0 + pan_px * index
        result = result_at(index, [(3, 0.9, (x - 20, 100, x + 20, 200))], (640, 480))
        shift = PictureShift(pan_px, 0.0) if pan_px and index else None
        trails.take(replace(result.meta, shift=shift), result.tracks)


def test_a_trail_is_where_somebody_stood_also_when_the_camera_turns() -> None:
    trails = Trails()
    walk(trails, 20, pan_px=5.0)
    (points,) = trails.in_picture().values()
    np.testing.assert_allclose(points, [(395.0, 200.0)] * len(points), atol=1e-6)


def test_zooming_moves_a_trail_away_from_the_middle() -> None:
    trails = Trails()
    first = result_at(0, [(3, 0.9, (400, 100, 440, 200))], (640, 480))
    second = result_at(1, [(3, 0.9, (500, 100, 540, 200))], (640, 480))
    trails.take(first.meta, first.tracks)
    trails.take(replace(second.meta, shift=PictureShift(0.0, 0.0, 2.0)), second.tracks)
    np.testing.assert_allclose(trails.in_picture()[3][0], (320 + 2 * 100, 240 + 2 * (200 - 240)))


def test_a_trail_fades_and_ends_after_two_seconds() -> None:
    size = (1920, 1080)
    frame, memory, style = make_frame(*size), OverlayMemory(), style_for(1080, BT601, False, "trails")
    for index in range(100):
        x = 100.0 + 15 * index
        result = result_at(index, [(2, 0.9, (x - 50, 300, x + 50, 600))], size)
        memory.take(result)
    draw_result(frame.y, frame.uv, result, style, memory)
    line = np.abs(frame.y[600].astype(int) - GREY_Y)
    shown = np.flatnonzero(line)
    assert 1585 - 2 * 375 - 10 <= shown.min() <= 1585 - 2 * 375 + 40
    old, middle, new = line[860], line[1150], line[1450]
    assert 0 < old < middle < new
    assert memory.trails.in_picture()[2].shape[0] <= 64


def test_a_trail_does_not_go_over_a_jump_of_the_source() -> None:
    trails = Trails()
    walk(trails, 5)
    result = result_at(5, [(3, 0.9, (0, 0, 9, 9))], (640, 480))
    trails.take(replace(result.meta, flags=FrameFlag.DISCONTINUITY), result.tracks)
    assert not trails.in_picture()


def test_thousands_of_identities_leave_few_trails() -> None:
    trails = Trails()
    for index in range(2):
        rows: list[ObjectRow] = [(number, 0.9, (number, 0, number + 9, 50)) for number in range(1, 2000)]
        result = result_at(index, rows, (640, 480))
        trails.take(result.meta, result.tracks)
    assert len(trails.in_picture()) == 256


def test_the_same_result_twice_counts_once() -> None:
    memory = OverlayMemory()
    result = result_at(4, [(3, 0.9, (0, 0, 50, 50))], (640, 480))
    memory.take(result)
    memory.take(result)
    assert not memory.trails.in_picture()


def test_privacy_leaves_nothing_of_a_person_but_squares() -> None:
    frame = make_frame(640, 480)
    frame.y[:] = np.random.default_rng(0).integers(0, 256, frame.y.shape, np.uint8)
    before = frame.y.copy()
    pixelate(frame.y, frame.uv, [[100.0, 60.0, 200.0, 360.0]])
    hidden = frame.y[60:360, 100:200]
    assert len(np.unique(hidden)) < 300 and (np.diff(hidden.astype(int), axis=1) == 0).mean() > 0.9
    assert (frame.y[:, 220:] == before[:, 220:]).all() and (frame.y[400:] == before[400:]).all()


def test_privacy_hides_persons_alone_and_those_of_a_moment_ago() -> None:
    size, style = (640, 480), style_for(480, BT601, False, "privacy")
    noise = np.random.default_rng(0).integers(0, 256, (480, 640), np.uint8)
    rows: list[ObjectRow] = [(1, 0.9, (100, 100, 200, 300)), (2, 0.9, (400, 100, 500, 300))]
    result = replace(result_at(0, rows, size), labels=("person", "dog"))
    result.tracks.class_ids[1] = 1
    memory, frame = OverlayMemory(), make_frame(*size)
    frame.y[:] = noise
    draw_result(frame.y, frame.uv, result, style, memory)
    assert (frame.y[150:250, 120:180] != noise[150:250, 120:180]).mean() > 0.9
    assert (frame.y[150:250, 420:480] == noise[150:250, 420:480]).all()
    for index, hidden in ((1, True), (24, True), (30, False)):
        frame.y[:] = noise
        later = replace(result_at(index, [], size), tracks=make_tracks([]), labels=("person", "dog"))
        draw_result(frame.y, frame.uv, later, style, memory)
        assert ((frame.y[150:250, 120:180] != noise[150:250, 120:180]).mean() > 0.9) == hidden


def test_who_has_no_class_is_hidden_as_well_and_all_where_no_class_is_a_person() -> None:
    rows: list[ObjectRow] = [(1, 0.9, (100, 100, 200, 300))]
    for labels, class_id, hidden in (
        (("dog", "person"), -1, True),
        (("dog", "person"), 0, False),
        (("moving",), 0, True),
        ((), 0, True),
    ):
        result = replace(result_at(0, rows, (640, 480)), labels=labels)
        result.tracks.class_ids[0] = class_id
        frame = make_frame(640, 480)
        frame.y[::2] = 40
        draw_result(frame.y, frame.uv, result, style_for(480, BT601, False, "privacy"))
        assert (frame.y[200, 150] != 40) == hidden


def test_the_status_line_says_where_the_camera_looks() -> None:
    result = make_result(7, [])
    posed = replace(result, meta=replace(result.meta, pose=PtzPose(12.34, -5.0, 60.0)))
    assert status_text(posed).startswith("cam0  frame 7  pan 12.3 tilt -5.0 fov 60.0  70 ms (")
