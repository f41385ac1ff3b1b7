"""Batches for nano-sam: masks belong to pictures whatever is done to both, and chance is in the seed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.tools.nano.drawn import COLOURS, HEIGHT, WIDTH, drawn_clip
from tools.nano.pictures import Clip
from tools.nano.segmenter_batches import Batch, BatchSettings, Piece, assembled, covered, draw, piece_of
from tools.nano.segmenter_looks import Looks, looks

SIZE = 64
FRAMES = 4


def settings(**changes: object) -> BatchSettings:
    usual: dict[str, object] = {"clips": 2, "frames": FRAMES, "objects": 2, "size": SIZE}
    return BatchSettings(**{**usual, **changes})  # type: ignore[arg-type]  # a table of different types


def data() -> list[Clip]:
    return [drawn_clip(seed, people=2, frames=8) for seed in range(3)]


def near_colour(picture: np.ndarray, person: int) -> np.ndarray:
    """Where a picture has about the colour of somebody's bar."""
    near: np.ndarray = np.abs(picture.astype(int) - COLOURS[person - 1]).max(-1) < 60
    return near


def test_shapes_and_kinds() -> None:
    batch = draw(np.random.default_rng(0), data(), settings())
    rows = len(batch.person)
    assert batch.pictures_bgr.shape == (FRAMES, 2, SIZE, SIZE, 3) and batch.pictures_bgr.dtype == np.uint8
    assert batch.ids.shape == (FRAMES, 2, SIZE, SIZE)
    assert batch.masks.shape == (FRAMES, rows, SIZE // 2, SIZE // 2) and batch.masks.dtype == np.float32
    assert batch.present.shape == (FRAMES, rows) and batch.present[0].all()
    assert (np.diff(batch.clip_index) >= 0).all() and batch.masks.min() >= 0 and batch.masks.max() <= 1


def test_the_same_seed_is_the_same_batch() -> None:
    one, same, other = (draw(np.random.default_rng(seed), data(), settings()) for seed in (3, 3, 4))
    assert np.array_equal(one.pictures_bgr, same.pictures_bgr) and np.array_equal(one.masks, same.masks)
    assert not np.array_equal(one.pictures_bgr, other.pictures_bgr)


@pytest.mark.parametrize("seed", range(4))
def test_masks_lie_where_the_colours_are(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cropped, stretched, mirrored, but with the colours left alone."""
    monkeypatch.setattr("tools.nano.segmenter_batches.looks", lambda rng: Looks())
    batch = draw(np.random.default_rng(seed), data(), settings())
    for row, (clip, person) in enumerate(zip(batch.clip_index, batch.person, strict=True)):
        for frame in range(FRAMES):
            coloured = near_colour(batch.pictures_bgr[frame, clip], int(person))
            mask = batch.full_mask(frame, row)
            # Colours mix at the outline, and the grey noise between the bars is never as far from all of them.
            kernel = np.ones((5, 5), np.uint8)
            inner, outer = (change(mask.astype(np.uint8), kernel) > 0 for change in (cv2.erode, cv2.dilate))
            assert not (coloured & ~outer).any() and (coloured | ~inner).mean() > 0.995
            assert batch.masks[frame, row].sum() * 4 == pytest.approx(mask.sum(), abs=0.1 * mask.sum() + 40)


def test_without_augmentation_pictures_are_whole_and_frames_the_first() -> None:
    clip = drawn_clip(5, frames=8)
    piece = piece_of(np.random.default_rng(0), clip, settings(augment=False))
    assert piece is not None
    assert len(piece.frames_bgr) == FRAMES and piece.people.tolist() == [1, 2]
    share = (piece.ids[0] == 1).mean()
    assert share == pytest.approx((clip.ids[0] == 1).mean(), rel=0.05)
    scale = np.array([SIZE / WIDTH, SIZE / HEIGHT] * 2)
    assert np.allclose(piece.full_boxes, clip.full_boxes_xyxy[0] * scale, atol=1e-4)


def test_nobody_in_the_first_frame_is_no_piece() -> None:
    clip = drawn_clip(5, frames=4)
    clip.ids[0] = 0
    assert piece_of(np.random.default_rng(0), clip, settings(augment=False)) is None
    empty = Clip(clip.frames_bgr, np.zeros_like(clip.ids), *(getattr(clip, name) for name in _BOXES))
    with pytest.raises(ValueError, match="hardly a clip"):
        draw(np.random.default_rng(0), [empty], settings(clips=1))


_BOXES = ("full_boxes_xyxy", "visible_boxes_xyxy", "visibility")


def test_boxes_are_those_of_the_pixels_and_who_is_gone_is_absent() -> None:
    ids = np.zeros((2, 2 * SIZE, 2 * SIZE), np.uint8)
    ids[0, 20:60, 10:30] = 7
    pictures = np.zeros((2, SIZE, SIZE, 3), np.uint8)
    batch = assembled([Piece(pictures, ids, np.array([7]), np.zeros((1, 4), np.float32))], SIZE)
    assert batch.box(0, 0).tolist() == [5, 10, 15, 30] and batch.box(1, 0).tolist() == [0, 0, 0, 0]
    assert batch.present[:, 0].tolist() == [True, False]
    assert batch.masks[0, 0].sum() == pytest.approx(40 * 20 / 16)
    assert np.array_equal(batch.anybody(0)[0], covered(ids[0, ::2, ::2] > 0, SIZE // 2))


def test_cells_know_how_far_their_sides_are() -> None:
    ids = np.zeros((16, 16), np.uint8)
    ids[2:14, 4:10] = 7
    batch = Batch(
        np.zeros((1, 1, 16, 16, 3), np.uint8), ids[None, None], np.zeros(1, np.int64), np.array([7]),
        np.zeros((1, 4), np.float32), np.zeros((1, 1, 8, 8), np.float32), np.ones((1, 1), np.bool_),
    )  # fmt: skip
    sides = batch.sides(0)[0]
    assert sides.shape == (4, 4, 4)
    # The cell in the second row and column has its middle at (6.5, 6.5).
    assert sides[:, 1, 1].tolist() == [2.5, 4.5, 3.5, 7.5]
    assert not sides[:, :, 3].any()


def test_somebody_is_hidden_for_a_while() -> None:
    """Never in the first frame; what is put before them is nobody, and their pixels show it."""
    hidden = 0
    for seed in range(40):
        batch = draw(np.random.default_rng(seed), data(), settings(clips=1))
        assert batch.present[0].all()
        gone = np.argwhere(~batch.present)
        hidden += bool(len(gone))
        for frame, row in gone:
            assert not batch.full_mask(frame, row).sum() > 6
            where = batch.full_mask(0, row) & (batch.ids[frame, 0] == 0)
            assert (batch.pictures_bgr[frame, 0][where] != batch.pictures_bgr[0, 0][where]).any()
    assert 5 < hidden < 25


def test_boxes_of_whole_bodies_go_with_the_picture() -> None:
    """Bars are never hidden, so that both boxes are the same but for the pixels' size."""
    for seed in range(12):
        batch = draw(np.random.default_rng(seed), data(), settings(clips=1))
        for row in range(len(batch.person)):
            assert np.abs(batch.box(0, row) - batch.full_boxes[row]).max() < 2.5


def test_a_mask_is_the_share_of_each_cell() -> None:
    mask = np.zeros((8, 8), np.bool_)
    mask[:3, :4] = True
    assert covered(mask, 2).tolist() == [[0.75, 0], [0, 0]]


def test_looks_change_what_they_say() -> None:
    picture = drawn_clip(1).frames_bgr[0]
    rng = np.random.default_rng(0)
    assert np.array_equal(Looks().apply(rng, picture), picture)
    grey = Looks(saturation=0.0).apply(rng, picture)
    assert (np.ptp(grey.astype(int), axis=-1) <= 1).all()
    noisy = Looks(noise=8.0).apply(rng, picture).astype(int) - picture
    assert 5 < noisy[(picture > 60) & (picture < 200)].std() < 9
    table = np.full((256, 3), 9, np.uint8)
    assert (Looks(table_bgr=table).apply(rng, picture) == 9).all()
    assert Looks(blur_px=1.0, jpeg=50).apply(rng, picture).shape == (HEIGHT, WIDTH, 3)


def test_cameras_differ() -> None:
    rng = np.random.default_rng(0)
    drawn = [looks(rng) for _ in range(200)]
    assert 5 < sum(each.saturation == 0 for each in drawn) < 50
    assert 40 < sum(each.noise > 0 for each in drawn) < 100
    assert {each.interpolation for each in drawn} == {1, 3}
