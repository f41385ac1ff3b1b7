"""Cuts, mosaics and spoilt pictures: boxes stay with the pixels they are about, and chance is in the seed."""

from __future__ import annotations

import numpy as np
import pytest

from engine.types import F32, U8
from tests.tools.nano.drawn import HEIGHT, WIDTH, drawn_clip
from tools.nano.detector_batches import GREY, Order, batch, cut, frame_of, judged, sample, together, whole
from tools.nano.detector_paste import Frame, pasted, pasted_beside
from tools.nano.detector_spoil import spoil

SIZE_WH = (128, 96)
AS_IT_IS = np.array([[1.0, 0, 0], [0, 1.0, 0]])


def frame_with(full: tuple[float, ...], visible: tuple[float, ...], visibility: float) -> Frame:
    picture, ids = np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
    one: F32 = np.array([full], np.float32)
    return Frame(picture, ids, one, np.array([visible], np.float32), np.array([visibility], np.float32))


def colour_in(picture: U8, box: F32) -> U8:
    left, top, right, bottom = np.round(box).astype(int)
    return np.asarray(np.median(picture[top:bottom, left:right].reshape(-1, 3), axis=0), np.uint8)


def test_a_cut_moves_boxes_with_the_pixels() -> None:
    clip = drawn_clip(1)
    place = np.array([[0.8, 0, -4.0], [0, 0.9, 3.0]])
    made = cut(frame_of(clip, 0), place, SIZE_WH)
    assert len(made.wanted_xyxy) == 2 and made.picture_bgr.shape == (96, 128, 3)
    for box, before in zip(made.wanted_xyxy, clip.full_boxes_xyxy[0], strict=True):
        assert box == pytest.approx(before * [0.8, 0.9, 0.8, 0.9] + [-4, 3, -4, 3], abs=1e-3)
        inner = np.array([1, 1, -1, -1])
        assert colour_in(made.picture_bgr, box + inner) == pytest.approx(
            colour_in(clip.frames_bgr[0], before + inner), abs=2
        )


def test_the_whole_frame_lies_as_the_letterbox_lays_it() -> None:
    made = whole(frame_of(drawn_clip(2), 0), (128, 128))
    # 160 × 96 becomes 128 × 76.8, with grey above and below.
    assert (made.picture_bgr[:24] == GREY).all() and (made.picture_bgr[-24:] == GREY).all()
    assert not (made.picture_bgr[30:95] == GREY).all()
    assert made.wanted_xyxy[0] == pytest.approx(
        drawn_clip(2).full_boxes_xyxy[0, 0] * 0.8 + [0, 25.6, 0, 25.6], abs=1e-3
    )


def test_whole_bodies_are_wanted_up_to_the_edge_of_the_picture() -> None:
    behind_a_wall = frame_with((20, 10, 50, 90), (20, 10, 50, 50), 0.5)
    assert judged(behind_a_wall, AS_IT_IS, (WIDTH, HEIGHT))[0].tolist() == [[20, 10, 50, 90]]
    at_the_edge = frame_with((-20, 10, 30, 130), (0, 10, 30, 96), 1.0)
    larger = (2 * WIDTH, 2 * HEIGHT)
    assert judged(at_the_edge, AS_IT_IS, larger)[0].tolist() == [[0, 10, 30, 96]]


@pytest.mark.parametrize(
    "frame",
    [
        frame_with((20, 10, 50, 90), (20, 10, 50, 30), 0.2),  # hardly to be seen
        frame_with((20, 10, 50, 90), (20, 10, 50, 90), 1.0),  # hardly in the cut
        frame_with((20, 10, 22, 15), (20, 10, 22, 15), 1.0),  # tiny
    ],
    ids=["hidden", "cut off", "tiny"],
)
def test_of_whom_little_is_seen_does_not_count(frame: Frame) -> None:
    place = AS_IT_IS.copy()
    if frame.visibility[0] == 1.0 and frame.full_xyxy[0, 3] == 90:
        place[1, 2] = -75
    wanted, ignored = judged(frame, place, (WIDTH, HEIGHT))
    assert not len(wanted) and len(ignored) == 1


def test_nobody_is_where_nobody_is_seen() -> None:
    wanted, ignored = judged(frame_with((20, 10, 50, 90), (np.nan,) * 4, 0.0), AS_IT_IS, (WIDTH, HEIGHT))
    assert not len(wanted) and not len(ignored)


def test_somebody_beside_the_lens_has_the_box_of_what_is_seen() -> None:
    frame = frame_with((np.nan,) * 4, (20, 10, 50, 60), 1.0)
    assert judged(frame, AS_IT_IS, (WIDTH, HEIGHT))[0].tolist() == [[20, 10, 50, 60]]


def test_pasting_hides_whoever_is_behind() -> None:
    rng = np.random.default_rng(3)
    frame, other = frame_of(drawn_clip(4, 3), 0), frame_of(drawn_clip(5), 0)
    met = 0
    for _ in range(30):
        made = pasted(frame, other, rng)
        assert len(made.visibility) == 4 and made.visibility[3] == 1
        box = made.full_xyxy[3].astype(int)
        assert (made.ids[box[1] : box[3], box[0] : box[2]] == 4).mean() > 0.9
        met += bool((made.visibility[:3] < 1).any())
        assert frame.ids.max() == 3, "the clip itself stays as it is"
    assert met > 3


def test_people_next_to_others_hide_them_or_are_hidden() -> None:
    rng = np.random.default_rng(4)
    frame, other = frame_of(drawn_clip(4, 3), 0), frame_of(drawn_clip(5), 0)
    hidden = hiding = 0
    for _ in range(60):
        made = pasted_beside(frame, other, rng)
        if len(made.visibility) == 3:
            continue  # no room there
        hidden += bool(made.visibility[3] < 0.99)
        hiding += bool((made.visibility[:3] < 0.99).any())
        # Of everybody as many pixels are left as their share says.
        for person in range(3):
            share = (made.ids == person + 1).sum() / (frame.ids == person + 1).sum()
            assert made.visibility[person] == pytest.approx(share, abs=1e-3)
        tall = (made.full_xyxy[:, 3] - made.full_xyxy[:, 1])[3]
        assert any(0.6 < tall / (box[3] - box[1]) < 1.6 for box in frame.full_xyxy)
    assert hidden > 5 and hiding > 5


def test_nobody_to_stand_next_to_leaves_the_frame_as_it_is() -> None:
    empty = frame_of(drawn_clip(4, 0), 0)
    assert pasted_beside(empty, frame_of(drawn_clip(5), 0), np.random.default_rng(0)) is empty


def test_same_seed_and_step_same_batch() -> None:
    clips = [drawn_clip(seed, 3, frames=2) for seed in range(4)]
    one, same, other = (batch(clips, Order(7, step, 4, SIZE_WH)) for step in (5, 5, 6))
    assert np.array_equal(one.images_rgb, same.images_rgb) and np.array_equal(
        one.wanted_xyxy, same.wanted_xyxy
    )
    assert not np.array_equal(one.images_rgb, other.images_rgb)
    crowded = batch(clips, Order(7, 5, 4, SIZE_WH, crowded=True))
    assert not np.array_equal(one.images_rgb, crowded.images_rgb)
    assert one.images_rgb.shape == (4, 96, 128, 3) and one.images_rgb.dtype == np.uint8


def test_samples_keep_boxes_in_the_picture_and_on_the_people() -> None:
    clips = [drawn_clip(seed, 4) for seed in range(4)]
    rng = np.random.default_rng(0)
    coloured = 0
    made = [sample(clips, rng, SIZE_WH) for _ in range(40)]
    for each in made:
        boxes = each.wanted_xyxy
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= [128, 96]).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        spread = np.array([np.ptp(np.median(each.picture_bgr[int(y1) : int(y2) + 1, int(x1) : int(x2) + 1]
                                            .reshape(-1, 3), axis=0)) for x1, y1, x2, y2 in boxes])  # fmt: skip
        coloured += int((spread > 15).sum())
    # Bars are colourful and the background is grey; some pictures lose their colour.
    assert coloured > 0.7 * sum(len(each.wanted_xyxy) for each in made)


def test_a_batch_is_filled_up_with_zeros() -> None:
    some = together(
        [whole(frame_of(drawn_clip(seed, people), 0), SIZE_WH) for seed, people in ((0, 1), (1, 3))]
    )
    assert some.counts.sum(axis=1).tolist() == [1, 3]
    assert not some.wanted_xyxy[~some.counts].any()


def test_spoiling_keeps_size_and_kind() -> None:
    rng = np.random.default_rng(0)
    picture = drawn_clip(1).frames_bgr[0]
    before = picture.copy()
    for _ in range(60):
        made = spoil(picture, rng)
        assert made.shape == picture.shape and made.dtype == np.uint8
    assert np.array_equal(picture, before)
