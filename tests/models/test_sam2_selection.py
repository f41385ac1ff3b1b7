"""The choice among candidates, the motion behind it, and what is sure enough to be remembered."""

from __future__ import annotations

import numpy as np
import pytest

from engine.models.sam2_selection import SETTLED, BoxMotion, boxes_of, choose, iou_xyxy, is_sure
from engine.types import F32

ROW = np.array([1])


def box_at(x: float, y: float = 0.5, size: float = 0.2) -> F32:
    return np.array([[x - size / 2, y - size / 2, x + size / 2, y + size / 2]], np.float32)


def moving(steps: int, speed: float = 0.02, step_s: float = 0.2) -> BoxMotion:
    motion = BoxMotion(3)
    for index in range(steps):
        motion.update(ROW, box_at(0.2 + speed * index), np.array([index * step_s]))
    return motion


def test_steady_motion_is_foreseen_at_any_distance_in_time() -> None:
    motion = moving(12)
    for ahead in (1, 2.5):
        foreseen = motion.predict(ROW, np.array([(11 + ahead) * 0.2]))
        assert np.abs(foreseen - box_at(0.2 + 0.02 * (11 + ahead))).max() < 0.01


def test_motion_is_known_after_a_few_boxes_and_forgotten_on_demand() -> None:
    assert not moving(SETTLED - 1).settled(ROW)[0]
    motion = moving(SETTLED)
    assert motion.settled(ROW)[0]
    motion.forget(1)
    assert not motion.settled(ROW)[0]


def test_an_empty_box_changes_nothing() -> None:
    motion = moving(5)
    before = motion.predict(ROW, np.array([1.0]))
    motion.update(ROW, np.zeros((1, 4), np.float32), np.array([1.0]))
    assert np.array_equal(motion.predict(ROW, np.array([1.0])), before)


def test_a_clock_that_goes_back_does_not_move_the_box_back() -> None:
    motion = moving(5)
    assert np.isfinite(motion.predict(ROW, np.array([-100.0]))).all()
    assert np.array_equal(motion.predict(ROW, np.array([-100.0])), motion.predict(ROW, np.array([0.8])))


def candidates(*centres: float) -> F32:
    """Four masks, the single one first, each a square at a place of the picture."""
    masks = np.full((1, 4, 64, 64), -5, np.float32)
    for index, centre in enumerate(centres):
        left, top, right, bottom = (box_at(centre)[0] * 64).round().astype(int)
        masks[0, index, top:bottom, left:right] = 5
    return masks


def test_motion_outvotes_a_candidate_that_is_only_a_little_surer() -> None:
    masks, ious = candidates(0.3, 0.8, 0.3, 0.8), np.array([[0.99, 0.80, 0.78, 0.1]], np.float32)
    yes, no = np.array([True]), np.array([False])
    chosen = choose(masks, ious, box_at(0.3), yes)
    assert chosen.candidates.tolist() == [2]
    assert chosen.motion_ious[0] > 0.85
    without = choose(masks, ious, box_at(0.3), no)
    assert without.candidates.tolist() == [1], "the official choice, never the single mask"
    assert np.isnan(without.motion_ious[0])
    surer = choose(masks, np.array([[0.9, 0.99, 0.5, 0.1]], np.float32), box_at(0.3), yes)
    assert surer.candidates.tolist() == [1]


@pytest.mark.parametrize(
    ("iou", "score", "motion", "expected"),
    [(0.9, 3.0, np.nan, True), (0.4, 3.0, np.nan, False), (0.9, -0.1, np.nan, False), (0.9, 3.0, 0.0, False),
     (0.9, 3.0, 0.01, True)],
)  # fmt: skip
def test_unsure_frames_are_not_remembered(iou: float, score: float, motion: float, expected: bool) -> None:
    ious, scores, motions = (np.array([value], np.float32) for value in (iou, score, motion))
    assert is_sure(ious, scores, motions, 0.5).tolist() == [expected]
    assert is_sure(ious, scores, motions, 0.0).tolist() == [True], "as the official predictor"


def test_boxes_of_masks_and_their_overlap() -> None:
    masks = np.zeros((2, 8, 16), np.bool_)
    masks[0, 2:4, 4:8] = True
    assert boxes_of(masks).tolist() == [[0.25, 0.25, 0.5, 0.5], [0, 0, 0, 0]]
    assert iou_xyxy(box_at(0.5), box_at(0.5))[0] == pytest.approx(1)
    assert iou_xyxy(box_at(0.5), box_at(0.6))[0] == pytest.approx(1 / 3, abs=1e-5)
    assert iou_xyxy(np.zeros((1, 4), np.float32), np.zeros((1, 4), np.float32))[0] == 0
