"""Motion without weights: drawn scenes with a known answer, and people in a real clip."""

import csv
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.models.base import BatchItem, DetectorOptions
from engine.models.motion import MotionDetector
from engine.types import Detections, FrameMeta, FrameNv12
from kernels.reference import overlap

U8 = NDArray[np.uint8]
FPS = 10


def frame_of_luma(y: U8, index: int, timed: bool = True) -> FrameNv12:
    height, width = y.shape
    time_ns = index * 1_000_000_000 // FPS
    meta = FrameMeta(index, time_ns, 0, width, height, width, width, 0, pts_ns=time_ns if timed else -1)
    return FrameNv12(meta, y, np.full((height // 2, width // 2, 2), 128, np.uint8))


def background(width: int = 640, height: int = 360) -> U8:
    return np.random.default_rng(0).integers(60, 120, (height, width), dtype=np.uint8)


def scene(index: int, boxes: list[tuple[int, int, int, int]], gain: float = 1.0, side: int = 640) -> U8:
    """The background with sensor noise, bright boxes on it, and the light changed by `gain`."""
    noise = np.random.default_rng(index + 1).normal(0, 2, (side * 9 // 16, side))
    picture = background(side, side * 9 // 16) + noise
    for left, top, right, bottom in boxes:
        picture[top:bottom, left:right] = 200
    return np.clip(picture * gain, 0, 255).astype(np.uint8)


class Camera:
    """A detector and the state of one camera."""

    def __init__(self, options: DetectorOptions | None = None) -> None:
        self.detector = MotionDetector(options or DetectorOptions())
        self.state = self.detector.new_state()
        self.index = 0

    def see(self, y: U8) -> Detections:
        [found] = self.detector.infer([BatchItem(frame_of_luma(y, self.index), self.state)])
        self.index += 1
        return found

    def settle(self, frames: int = 20) -> None:
        for _ in range(frames):
            self.see(scene(self.index, []))


def person(index: int) -> tuple[int, int, int, int]:
    return 100 + 6 * index, 100, 140 + 6 * index, 220


def test_a_moving_object_is_boxed_and_its_score_grows() -> None:
    camera = Camera()
    camera.settle()
    scores = []
    for step in range(10):
        found = camera.see(scene(camera.index, [person(step)]))
        assert len(found) == 1, step
        assert overlap(found.boxes_xyxy[0], np.array(person(step), np.float32)) > 0.7
        scores.append(float(found.scores[0]))
    assert scores[0] < 0.55 and scores[-1] > 0.85 and sorted(scores) == pytest.approx(scores, abs=0.1)
    assert camera.detector.labels[found.class_ids[0]] == "motion"


def test_pieces_of_one_object_are_one_box() -> None:
    camera = Camera()
    camera.settle()
    for step in range(6):
        left, top, right, bottom = person(step)
        middle = (top + bottom) // 2
        found = camera.see(
            scene(camera.index, [(left, top, right, middle - 5), (left, middle + 5, right, bottom)])
        )
    assert len(found) == 1 and found.boxes_xyxy[0, 3] - found.boxes_xyxy[0, 1] > 110


def test_nothing_moves_nothing_is_found() -> None:
    camera = Camera()
    camera.settle()
    assert sum(len(camera.see(scene(camera.index, []))) for _ in range(40)) == 0


def test_specks_are_not_objects() -> None:
    camera = Camera()
    camera.settle()
    specks = [(x, y, x + 3, y + 3) for x in range(20, 600, 60) for y in range(20, 340, 60)]
    assert len(camera.see(scene(camera.index, specks))) == 0


@pytest.mark.parametrize("gain", [0.5, 1.6])
def test_a_change_of_light_is_not_two_hundred_boxes(gain: float) -> None:
    camera = Camera()
    camera.settle()
    counts = [len(camera.see(scene(camera.index, [], gain))) for _ in range(15)]
    assert max(counts) <= 2 and counts[-5:] == [0] * 5
    found = [camera.see(scene(camera.index, [person(step)], gain)) for step in range(3)][-1]
    assert len(found) == 1


def test_what_stops_becomes_background() -> None:
    camera = Camera()
    camera.settle()
    stopped = scene(camera.index, [person(0)])
    counts = [len(camera.see(stopped)) for _ in range(15 * FPS)]
    assert counts[3 * FPS] == 1 and counts[-1] == 0


def test_another_picture_size_starts_again() -> None:
    camera = Camera()
    camera.settle()
    for _ in range(12):
        assert len(camera.see(scene(camera.index, [], side=320))) == 0
    found = camera.see(scene(camera.index, [(50, 50, 80, 120)], side=320))
    assert overlap(found.boxes_xyxy[0], np.array([50, 50, 80, 120], np.float32)) > 0.8


def test_cameras_do_not_disturb_each_other() -> None:
    detector = MotionDetector(DetectorOptions(batch=2))
    states = [detector.new_state(), detector.new_state()]
    for index in range(30):
        moving = [person(index - 20)] if index >= 20 else []
        pictures = [scene(index, moving), 255 - scene(index, [])]
        items = [
            BatchItem(frame_of_luma(y.astype(np.uint8), index), state)
            for y, state in zip(pictures, states, strict=True)
        ]
        found = detector.infer(items)
    assert [len(one) for one in found] == [1, 0]


def test_time_that_jumps_or_stands_still_is_survived() -> None:
    detector = MotionDetector(DetectorOptions())
    state = detector.new_state()
    for index in [*range(20), 5000, 3, 3, 3, *range(4, 20)]:
        [found] = detector.infer([BatchItem(frame_of_luma(scene(index, []), index), state)])
    assert len(found) == 0


def test_options_are_kept() -> None:
    camera = Camera(DetectorOptions(confidence=0.99, classes=("person",)))
    camera.settle()
    assert len(camera.see(scene(camera.index, [person(0)]))) == 0
    assert "person" in camera.detector.choices[0].reason
    crowd = [(x, 100, x + 20, 160) for x in range(20, 600, 60)]
    camera = Camera(DetectorOptions(max_objects=3))
    camera.settle()
    assert len(camera.see(scene(camera.index, crowd))) == 3


def test_a_frame_without_state_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError, match="new_state"):
        MotionDetector(DetectorOptions()).infer([BatchItem(frame_of_luma(background(), 0))])


@pytest.mark.data
def test_most_people_of_a_real_clip_are_boxed(data_dir: Path) -> None:
    truth: dict[int, list[NDArray[np.float32]]] = {}
    with open(data_dir / "mot" / "PETS09-S2L1-a" / "gt" / "gt.txt") as file:
        for row in csv.reader(file):
            left, top, width, height, flag = map(float, row[2:7])
            box = np.array([left - 1, top - 1, left - 1 + width, top - 1 + height], np.float32)
            if flag:
                truth.setdefault(int(row[0]) - 1, []).append(box)
    camera = Camera()
    people = hits = boxes = 0
    with av.open(str(data_dir / "clips" / "pets09_s2l1_0001-0320.mp4")) as container:
        for index, picture in enumerate(container.decode(video=0)):
            found = camera.see(np.asarray(picture.reformat(format="gray8").to_ndarray(), np.uint8))
            if index < 20:
                continue
            boxes += len(found)
            people += len(truth[index])
            hits += sum(
                any(overlap(person, box) >= 0.3 for box in found.boxes_xyxy) for person in truth[index]
            )
    # Measured: 0.72 one to one, a few more where two people share a box; people who walk side by side are one box.
    assert hits / people > 0.68
    assert boxes < people
