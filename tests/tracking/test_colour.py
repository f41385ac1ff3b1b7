"""Colours of clothes: what a vector says, what it does not hang on, and when there is none."""

from __future__ import annotations

import numpy as np
import pytest

from engine.tracking.association import iou_matrix
from engine.tracking.botsort import BotSort
from engine.tracking.colour import DIMS, Colours, describe
from engine.tracking.settings import TrackerSettings
from engine.tracking.sort import Sort
from engine.types import Detections, Embeddings, FrameMeta, FrameNv12, nv12_geometry

WIDTH, HEIGHT = 320, 240
GREY = (120, 128, 128)
RED, BLUE, GREEN = (90, 110, 160), (80, 160, 110), (100, 110, 110)
Clothes = tuple[tuple[int, int, int], tuple[int, int, int]]
ANN, BEN = (RED, BLUE), (GREEN, RED)
Box = tuple[float, float, float, float]


def frame(
    *people: tuple[Box, Clothes], background: tuple[int, int, int] = GREY, lighter: int = 0
) -> FrameNv12:
    """People as two blocks of colour, the later ones before the earlier ones, on one colour; with noise."""
    stride, offset, size = nv12_geometry(WIDTH, HEIGHT)
    meta = FrameMeta(1, 0, 0, WIDTH, HEIGHT, stride, stride, offset, pts_ns=0)
    made = FrameNv12.view(meta, np.zeros(size, np.uint8))
    made.y[:], made.uv[:] = background[0], background[1:]
    for (left, top, right, bottom), clothes in people:
        middle = (top + bottom) / 2
        for (low, high), colour in zip(((top, middle), (middle, bottom)), clothes, strict=True):
            rows, columns = slice(max(0, round(low)), round(high)), slice(max(0, round(left)), round(right))
            made.y[rows, columns] = colour[0]
            half = [slice(part.start // 2, -(-part.stop // 2)) for part in (rows, columns)]
            made.uv[half[0], half[1]] = colour[1:]
    noise = np.random.default_rng(0).normal(lighter, 3, made.y.shape)
    made.y[:] = np.clip(made.y + noise, 0, 255)
    return made


def look(picture: FrameNv12, *boxes: Box) -> Colours:
    boxes_xyxy = np.array(boxes, np.float64).reshape(-1, 4)
    return describe(picture, boxes_xyxy, iou_matrix(boxes_xyxy, boxes_xyxy))


def at(x: float, y: float = 60, height: float = 120) -> Box:
    return (x, y, x + 0.4 * height, y + height)


def test_the_same_clothes_look_alike_and_others_do_not() -> None:
    """Further away, before another background and in another light it is the same person."""
    ann = look(frame((at(50), ANN)), at(50)).vectors[0]
    again = look(frame((at(203, 90, 60), ANN), background=BLUE, lighter=8), at(203, 90, 60)).vectors[0]
    ben = look(frame((at(50), BEN)), at(50)).vectors[0]
    turned = look(frame((at(50), (BLUE, RED))), at(50)).vectors[0]
    assert ann @ again > 0.9
    assert max(ann @ ben, ann @ turned) < 0.6
    np.testing.assert_allclose(np.linalg.norm([ann, ben], axis=1), 1, atol=1e-5)


def test_what_somebody_nearer_covers_is_not_read() -> None:
    """Half of Ben is behind Ann, whose feet are further down: what is said of him is his."""
    ben, ann = at(60), at(84, 70)
    both = look(frame((ben, BEN), (ann, ANN)), ben, ann)
    alone = look(frame((ben, BEN)), ben).vectors[0]
    assert both.seen.tolist() == [True, True] and both.clear.tolist() == [False, True]
    assert both.vectors[0] @ alone > 0.95


def test_who_is_covered_or_out_of_the_picture_has_no_look() -> None:
    hidden, nearer = at(60), at(62, 66)
    found = look(frame((hidden, BEN), (nearer, ANN)), hidden, nearer, (-45.0, 60.0, 5.0, 180.0))
    assert found.seen.tolist() == [False, True, False]
    assert not found.vectors[[0, 2]].any() and found.vectors.shape == (3, DIMS)


@pytest.mark.parametrize(("top", "clear"), [(-60.0, False), (130.0, False), (60.0, True)])
def test_nothing_is_learnt_of_who_is_cut_by_the_border(top: float, clear: bool) -> None:
    bottom = min(top + 120, HEIGHT)
    found = look(frame((at(60, top), ANN)), (60.0, max(top, 0.0), 108.0, bottom))
    assert found.seen.all() and found.clear.tolist() == [clear]


def test_no_boxes_are_no_trouble() -> None:
    assert look(frame()).vectors.shape == (0, DIMS)


def crossing(k: int) -> tuple[float, float]:
    """Two who walk towards each other, one hides the other for half a second, and both turn back."""
    x = 4.0 * k if k < 30 else 4.0 * (60 - k)
    return 10 + x, 262 - x


def walk(tracker: BotSort | Sort) -> list[int]:
    for k in range(61):
        ann, ben = (at(x) for x in crossing(k))
        boxes = [ann, ben] if abs(k - 30) > 7 else [ann]
        found = Detections(
            np.array(boxes, np.float32), np.full(len(boxes), 0.9, np.float32), np.zeros(len(boxes), np.int32)
        )
        tracks = tracker.update(found, k / 25, frame((ben, BEN), (ann, ANN)))
    return [int(track_id) for track_id in tracks.track_ids]


def test_two_who_meet_and_part_keep_their_identity_by_their_clothes() -> None:
    """By place alone they have walked past each other."""
    still = TrackerSettings(camera_motion="off")
    assert walk(BotSort(settings=TrackerSettings(camera_motion="off", appearance="colour"))) == [1, 2]
    assert walk(BotSort(settings=still)) != [1, 2]


def test_a_tracker_without_a_use_for_looks_does_not_look() -> None:
    tracker = Sort(settings=TrackerSettings(appearance="colour", recall_s=8.0, camera_motion="off"))
    walk(tracker)
    assert tracker.looks(np.array([1]))[1].tolist() == [0]


def test_a_network_that_has_looked_once_does_it_from_then_on() -> None:
    """Vectors of two kinds cannot be compared: those of the network are the better ones."""
    tracker = BotSort(settings=TrackerSettings(appearance="colour", camera_motion="off"))
    boxes = np.array([at(60)], np.float32)
    plain = Detections(boxes, np.full(1, 0.9, np.float32), np.zeros(1, np.int32))
    seen = Detections(
        plain.boxes_xyxy, plain.scores, plain.class_ids,
        embeddings=Embeddings(np.zeros(1, np.int32), np.eye(1, 16, dtype=np.float16)),
    )  # fmt: skip
    dims = []
    for k, found in enumerate((plain, plain, seen, plain)):
        tracker.update(found, k / 25, frame((at(60), ANN)))
        dims.append(tracker.looks(np.array([1]))[0].shape[1])
    assert dims == [DIMS, DIMS, 16, 16]
