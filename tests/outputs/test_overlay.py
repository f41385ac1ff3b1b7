"""Drawing on NV12: the right pixels in the right colour, at any size, and fast."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.outputs.base import FrameResult
from engine.outputs.masks import full_size
from engine.outputs.overlay import draw_result, draw_status, status_text, style_for
from engine.outputs.overlay_masks import draw_masks
from engine.outputs.overlay_shapes import draw_box, draw_label
from engine.outputs.overlay_style import YCbCr, colour_of
from engine.types import U8, Bools, ColourMatrix, FrameNv12
from tests.outputs.results import ObjectRow, disc, make_frame, make_result

BT601, BT709 = ColourMatrix.BT601, ColourMatrix.BT709
RED = YCbCr(81, 90, 240)
GREY_Y, GREY_UV, PADDING = 110, 128, 77


def rgb_of(frame: FrameNv12) -> U8:
    """The frame as OpenCV shows it: BT.601, limited range, even sizes."""
    nv12 = np.concatenate((frame.y, frame.uv.reshape(frame.uv.shape[0], -1)))
    return np.asarray(cv2.cvtColor(nv12, cv2.COLOR_YUV2RGB_NV12), np.uint8)


def changed_y(frame: FrameNv12) -> U8:
    return np.asarray(frame.y != GREY_Y)


def padding_of(frame: FrameNv12) -> U8:
    """The bytes between the rows, which belong to nobody."""
    base = frame.y
    while isinstance(base.base, np.ndarray):
        base = base.base
    rows = base.reshape(-1)[: frame.meta.offset_uv].reshape(frame.meta.height, frame.meta.stride_y)
    chroma = base.reshape(-1)[frame.meta.offset_uv :].reshape(-1, frame.meta.stride_uv)
    return np.concatenate(
        (rows[:, frame.meta.width :].reshape(-1), chroma[:, 2 * frame.uv.shape[1] :].reshape(-1))
    )


def test_a_box_is_its_outline_in_the_given_colour() -> None:
    frame = make_frame(64, 48)
    draw_box(frame.y, frame.uv, [10, 8, 40, 30], RED, 2)
    expected_y = np.full((48, 64), GREY_Y, np.uint8)
    expected_y[8:30, 10:40] = RED.y
    expected_y[10:28, 12:38] = GREY_Y
    np.testing.assert_array_equal(frame.y, expected_y)
    expected_uv = np.full((24, 32, 2), GREY_UV, np.uint8)
    expected_uv[4:15, 5:20] = (RED.cb, RED.cr)
    expected_uv[5:14, 6:19] = GREY_UV
    np.testing.assert_array_equal(frame.uv, expected_uv)
    r, g, b = rgb_of(frame)[9, 20].tolist()
    assert r > 240 and g < 15 and b < 15


@pytest.mark.parametrize(
    "box", [[-20, -20, 20, 20], [50, 30, 90, 90], [-5, -5, 90, 90], [200, 5, 300, 9], [-9, 3, -1, 9]]
)
def test_what_reaches_over_the_border_is_cut_off(box: list[int]) -> None:
    wide, frame = make_frame(64 + 600, 48 + 600), make_frame(64, 48)
    draw_box(wide.y, wide.uv, [coordinate + 300 for coordinate in box], RED, 2)
    draw_box(frame.y, frame.uv, box, RED, 2)
    np.testing.assert_array_equal(frame.y, wide.y[300:348, 300:364])
    np.testing.assert_array_equal(frame.uv, wide.uv[150:174, 150:182])


@pytest.mark.parametrize("box", [[10, 10, 10, 30], [10, 10, 30, 10], [30, 30, 10, 10]])
def test_an_empty_box_draws_nothing(box: list[int]) -> None:
    frame = make_frame(64, 48)
    draw_box(frame.y, frame.uv, box, RED, 2)
    assert not changed_y(frame).any()


def test_colours_are_stable_and_neighbours_differ() -> None:
    colours = [colour_of(track_id, BT601, False) for track_id in range(1, 41)]
    assert colours == [colour_of(track_id, BT601, False) for track_id in range(1, 41)]
    for first in range(35):
        for second in range(first + 1, first + 5):
            distance = abs(np.subtract(colours[first], colours[second])).sum()
            assert distance > 40, (first, second)


@pytest.mark.parametrize(
    ("matrix", "full_range"), [(BT601, False), (BT709, False), (BT601, True), (BT709, True)]
)
def test_the_frame_s_own_matrix_and_range_give_the_same_colour(
    matrix: ColourMatrix, full_range: bool
) -> None:
    """Back to RGB by the textbook formula of each standard: full brightness, saturation 0.75."""
    kr, kb = {BT601: (0.299, 0.114), BT709: (0.2126, 0.0722)}[matrix]
    for track_id in range(1, 60):
        colour = colour_of(track_id, matrix, full_range)
        y, scale = (colour.y / 255, 255) if full_range else ((colour.y - 16) / 219, 224)
        r = y + (2 - 2 * kr) * (colour.cr - 128) / scale
        b = y + (2 - 2 * kb) * (colour.cb - 128) / scale
        g = (y - kr * r - kb * b) / (1 - kr - kb)
        assert max(r, g, b) == pytest.approx(1.0, abs=0.02)
        assert min(r, g, b) == pytest.approx(0.25, abs=0.02)


def test_a_label_is_readable_and_sits_on_its_box() -> None:
    frame = make_frame(640, 480)
    style = style_for(480, BT601, False)
    colour = colour_of(2, BT601, False)
    draw_label(frame.y, frame.uv, [100, 200, 180, 400], "person 2 0.87", colour, style)
    rows, columns = np.nonzero(changed_y(frame))
    assert (rows.max(), columns.min()) == (199, 100)
    strip = frame.y[rows.min() : 200, 100 : columns.max() + 1]
    paper, ink = (strip == colour.y).mean(), (strip < colour.y - 60).mean()
    assert paper > 0.5 and 0.05 < ink < 0.5
    assert (frame.uv[rows.min() // 2 + 1 : 99, 51 : columns.max() // 2 - 1] == (colour.cb, colour.cr)).all()


def test_a_dark_colour_takes_light_letters() -> None:
    frame = make_frame(640, 480)
    dark = YCbCr(60, 200, 110)
    draw_label(frame.y, frame.uv, [100, 200, 180, 400], "person", dark, style_for(480, BT601, False))
    assert frame.y.max() > 200


@pytest.mark.parametrize(
    ("box", "inside"),
    [([600, 200, 639, 400], (180, 640)), ([-50, 0, 80, 100], (0, 0)), ([10, -30, 80, 100], (0, 10))],
)
def test_a_label_stays_inside_the_frame(box: list[int], inside: tuple[int, int]) -> None:
    frame = make_frame(640, 480)
    draw_label(frame.y, frame.uv, box, "person 12 0.87", RED, style_for(480, BT601, False))
    rows, columns = np.nonzero(changed_y(frame))
    assert np.ptp(columns) > 80 and np.ptp(rows) > 10  # the whole strip is there
    top, edge = inside
    assert (rows.min() >= top) and (columns.min() == edge or columns.max() == edge - 1)


def test_a_box_outside_of_the_frame_has_no_label() -> None:
    frame = make_frame(640, 480)
    style = style_for(480, BT601, False)
    for box in ([700, 10, 800, 90], [-90, 10, 0, 90], [10, -90, 50, 0], [10, 480, 50, 600]):
        draw_label(frame.y, frame.uv, box, "person", RED, style)
    assert not changed_y(frame).any()


def test_objects_that_are_not_confirmed_are_thin_grey_and_nameless() -> None:
    rows: list[ObjectRow] = [(0, 0.4, (100.0, 100.0, 300.0, 300.0))]
    style = style_for(1080, BT601, False)
    frame, status_only = make_frame(1920, 1080), make_frame(1920, 1080)
    result = make_result(3, rows)
    draw_result(frame.y, frame.uv, result, style)
    draw_status(status_only.y, status_only.uv, status_text(result), style)
    different = frame.y != status_only.y
    thin = style.thin_px
    assert different.sum() == 200 * 200 - (200 - 2 * thin) ** 2
    assert set(frame.y[different].tolist()) == {style.grey.y}
    assert (frame.uv == 128).all()
    assert thin < style.line_px


def masked_object(track_id: int, box: tuple[float, float, float, float], grid: Bools) -> FrameResult:
    return make_result(1, [(track_id, 0.9, box)], grids=[grid])


@pytest.mark.parametrize("track_id", [2, 0])
def test_what_an_object_covers_is_tinted_in_the_colour_of_its_box(track_id: int) -> None:
    box = (100.0, 60.0, 300.0, 360.0)
    style = style_for(480, BT601, False)
    result = masked_object(track_id, box, disc(30, 20))
    tinted, plain = make_frame(640, 480), make_frame(640, 480)
    draw_result(tinted.y, tinted.uv, result, style)
    draw_result(plain.y, plain.uv, replace(result, tracks=replace(result.tracks, masks=None)), style)
    assert result.tracks.masks is not None
    inside = full_size(result.tracks.masks, 0, 640, 480)
    np.testing.assert_array_equal((tinted.y != plain.y) & ~inside, False)
    # Behind line and label nothing shows.
    seen = inside & (plain.y == GREY_Y)
    assert seen.sum() > 0.9 * inside.sum()
    colour = colour_of(track_id, BT601, False) if track_id else style.grey
    expected = [
        round(old + 0.4 * (new - old)) for old, new in zip((GREY_Y, GREY_UV, GREY_UV), colour, strict=True)
    ]
    assert set(tinted.y[seen].tolist()) == {expected[0]}
    centre = tinted.uv[100:110, 95:105].reshape(-1, 2)
    assert (centre == expected[1:]).all()


def test_small_objects_lie_over_large_ones_whatever_their_order() -> None:
    rows: list[ObjectRow] = [(1, 0.9, (200.0, 200.0, 260.0, 260.0)), (2, 0.9, (100.0, 100.0, 500.0, 400.0))]
    solid = [np.ones((4, 4), np.bool_)] * 2
    frames = [make_frame(640, 480), make_frame(640, 480)]
    for frame, order in zip(frames, (1, -1), strict=True):
        tracks = make_result(1, rows[::order], grids=solid).tracks
        draw_masks(frame.y, frame.uv, tracks, style_for(480, BT601, False))
    np.testing.assert_array_equal(frames[0].y, frames[1].y)
    np.testing.assert_array_equal(frames[0].uv, frames[1].uv)
    small, large = (np.array(colour_of(number, BT601, False)[1:]) for number in (1, 2))
    mixed = 128 + 0.4 * (large - 128)
    np.testing.assert_allclose(frames[0].uv[115, 115], mixed + 0.4 * (small - mixed), atol=1)


def test_a_mask_that_was_moved_here_is_lighter_and_pales_with_its_age() -> None:
    """Seen on the picture: how far the tint takes it from its grey."""
    shown = []
    for age_ms in (0.0, 40.0, 500.0, 1000.0, 60_000.0):
        frame, result = make_frame(640, 480), masked_object(2, (100.0, 60.0, 300.0, 360.0), disc(30, 20))
        masks = result.tracks.masks
        assert masks is not None
        aged = replace(result.tracks, masks=replace(masks, ages_ms=np.array([age_ms], np.float32)))
        draw_masks(frame.y, frame.uv, aged, style_for(480, BT601, False))
        colour = np.array(colour_of(2, BT601, False)[1:], np.float64)
        shown.append(np.abs(frame.uv[100, 100] - 128.0).sum() / np.abs(colour - 128.0).sum())
    assert shown == pytest.approx([0.4, 0.28, 0.21, 0.14, 0.14], abs=0.01)


def test_objects_without_a_mask_have_their_box_only() -> None:
    rows: list[ObjectRow] = [(1, 0.9, (200.0, 200.0, 260.0, 260.0))]
    frame = make_frame(640, 480)
    draw_masks(
        frame.y,
        frame.uv,
        make_result(1, rows, grids=[np.zeros((0, 0), np.bool_)]).tracks,
        style_for(480, BT601, False),
    )
    draw_masks(frame.y, frame.uv, make_result(1, rows).tracks, style_for(480, BT601, False))
    assert not changed_y(frame).any() and (frame.uv == GREY_UV).all()


def test_the_status_line_is_in_the_lower_left_corner() -> None:
    result = make_result(1234, [])
    assert status_text(result) == "cam0  frame 1234  70 ms (decode 2 queue 3 infer 60 track 1)"
    frame = make_frame(640, 480)
    draw_result(frame.y, frame.uv, result, style_for(480, BT601, False))
    rows, columns = np.nonzero(changed_y(frame))
    assert (rows.max(), columns.min()) == (479, 0)
    assert rows.min() > 440 and columns.max() < 480
    assert frame.y[rows.min() :, : columns.max()].max() > 200


def test_sizes_follow_the_height() -> None:
    styles = [style_for(height, BT601, False) for height in (240, 480, 720, 1080, 2160, 4320)]
    for name in ("line_px", "thin_px", "text_scale", "text_px", "pad_px"):
        values = [getattr(style, name) for style in styles]
        assert values == sorted(values) and values[-1] > values[0] > 0
    assert all(style.line_px % 2 == 0 for style in styles)


coordinates = st.floats(-5000, 5000, width=32)


@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 200)),
    boxes=st.lists(st.tuples(coordinates, coordinates, coordinates, coordinates), max_size=6),
    masked=st.booleans(),
)
def test_nothing_outside_of_the_frame_is_touched(
    size: tuple[int, int], boxes: list[tuple[float, float, float, float]], masked: bool
) -> None:
    frame = make_frame(*size)
    rows: list[ObjectRow] = [(index, 0.5, box) for index, box in enumerate(boxes)]
    result = make_result(1, rows, grids=[disc(7, 5)] * len(rows) if masked else None)
    draw_result(frame.y, frame.uv, result, style_for(size[1], BT601, False))
    assert (padding_of(frame) == PADDING).all()
