"""What trackers tell about their tracks: states, coasting, new and removed ones, names; and the camera's motion."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.tracking_scenes import street, with_looks
from engine.tracking.base import create_tracker
from engine.tracking.botsort import BotSort
from engine.tracking.box_tracker import BoxTracker
from engine.tracking.bytetrack import ByteTrack
from engine.tracking.camera_motion import CameraMotion
from engine.tracking.camera_motion_warp import Warp
from engine.tracking.settings import TrackerSettings
from engine.tracking.sort import Sort
from engine.types import Detections, FrameMeta, FrameNv12, Masks, Tracks, TrackState

F64 = NDArray[np.float64]
Box = tuple[float, float, float, float]
NONE, TENTATIVE, CONFIRMED, COASTING, LOST, REMOVED = (int(state) for state in TrackState)


def at(x: float, y: float = 100, width: float = 40, height: float = 100) -> Box:
    return (x, y, x + width, y + height)


def found(*objects: tuple[Box, float]) -> Detections:
    return Detections(
        np.array([box for box, _ in objects], np.float32).reshape(-1, 4),
        np.array([score for _, score in objects], np.float32),
        np.zeros(len(objects), np.int32),
    )


def frame(width: int = 64, height: int = 48) -> FrameNv12:
    meta = FrameMeta(0, 0, 0, width, height, width, width, width * height)
    uv = np.zeros(((height + 1) // 2, (width + 1) // 2, 2), np.uint8)
    return FrameNv12(meta, np.zeros((height, width), np.uint8), uv)


@pytest.fixture(params=[BotSort, ByteTrack])
def coaster(request: pytest.FixtureRequest) -> BoxTracker:
    made = request.param(settings=TrackerSettings(coast_s=0.5))
    assert isinstance(made, BoxTracker)
    return made


def states(tracks: Tracks) -> list[int]:
    return [int(state) for state in tracks.states]


def test_states_of_what_is_seen(coaster: BoxTracker) -> None:
    coaster.update(found((at(0), 0.9)), 0.0)
    tracks = coaster.update(found((at(1), 0.9), (at(300), 0.9), (at(600), 0.4)), 0.04)
    assert states(tracks) == [CONFIRMED, TENTATIVE, NONE]
    tracks = coaster.update(found((at(2), 0.9), (at(300), 0.9), (at(600), 0.4)), 0.08)
    assert states(tracks) == [CONFIRMED, CONFIRMED, NONE]


def test_an_unsure_detector_has_to_say_it_three_times() -> None:
    tracker = BotSort()
    tracker.update(Detections.empty(), 0.0)
    seen = [states(tracker.update(found((at(k), 0.62)), k / 25)) for k in range(1, 5)]
    assert seen == [[TENTATIVE], [TENTATIVE], [CONFIRMED], [CONFIRMED]]


def test_a_track_coasts_where_it_is_expected_then_is_lost_then_removed(coaster: BoxTracker) -> None:
    for k in range(50):
        coaster.update(found((at(4 * k), 0.8), (at(900), 0.9)), k / 25)
    for k in range(50, 125):
        tracks = coaster.update(found((at(900), 0.9)), k / 25)
        away_s = (k - 49) / 25
        state = coaster.states_of(np.array([1, 2, 0, 7])).tolist()
        assert state[1:] == [CONFIRMED, NONE, NONE]
        if away_s <= 0.5:
            assert tracks.track_ids.tolist() == [2, 1] and states(tracks) == [CONFIRMED, COASTING]
            np.testing.assert_allclose(tracks.boxes_xyxy[1], at(4 * k), atol=8)
            assert tracks.scores[1] == np.float32(0.8) and tracks.ages[1] == k
            np.testing.assert_allclose(tracks.velocities_xy[1], (100, 0), atol=10)
            assert state[0] == COASTING and len(tracks.seen()) == 1
        else:
            assert tracks.track_ids.tolist() == [2]
            assert state[0] == (LOST if away_s <= 2 else REMOVED)
        assert coaster.removed_ids.tolist() == ([1] if k == 100 else [])


def test_coasting_rows_have_no_masks_and_the_others_keep_theirs(coaster: BoxTracker) -> None:
    one = found((at(900), 0.9))
    two = found((at(0), 0.9), (at(900), 0.9))
    masks = Masks.of_grids(two.boxes_xyxy, [np.ones((3, 2), np.bool_), np.ones((5, 2), np.bool_)])
    coaster.update(Detections(two.boxes_xyxy, two.scores, two.class_ids, masks), 0.0)
    masks = masks.take(np.array([False, True]))
    tracks = coaster.update(Detections(one.boxes_xyxy, one.scores, one.class_ids, masks), 0.04)
    assert states(tracks) == [CONFIRMED, COASTING]
    assert tracks.masks is not None and tracks.masks.sizes_hw.tolist() == [[5, 2], [0, 0]]


def test_by_default_nothing_coasts() -> None:
    tracker = BotSort()
    tracker.update(found((at(0), 0.9)), 0.0)
    assert len(tracker.update(Detections.empty(), 0.04)) == 0
    assert tracker.states_of(np.array([1])).tolist() == [LOST]


def test_new_ids_are_those_of_this_frame(coaster: BoxTracker) -> None:
    coaster.update(found((at(0), 0.9)), 0.0)
    assert coaster.new_ids.tolist() == [1]
    coaster.update(found((at(0), 0.9), (at(300), 0.9), (at(600), 0.9)), 0.04)
    assert coaster.new_ids.tolist() == []
    coaster.update(found((at(0), 0.9), (at(300), 0.9), (at(600), 0.9)), 0.08)
    assert coaster.new_ids.tolist() == [2, 3]


def test_every_id_is_new_once_and_removed_once(coaster: BoxTracker) -> None:
    given: list[int] = []
    removed: list[int] = []
    frames = street(people=12, fps=10, seconds=30, seed=5)
    for scene in frames:
        coaster.update(scene.detections, scene.time_s)
        given += coaster.new_ids.tolist()
        removed += coaster.removed_ids.tolist()
    for k in range(40):
        coaster.update(Detections.empty(), frames[-1].time_s + (k + 1) / 10)
        removed += coaster.removed_ids.tolist()
    assert given == list(range(1, coaster.next_track_id))
    assert sorted(removed) == given and len(given) > 10


def test_those_who_make_room_are_removed() -> None:
    tracker = BotSort(settings=TrackerSettings(most_tracks=2))
    tracker.update(found(*[(at(300.0 * k), 0.9) for k in range(3)]), 0.0)
    assert tracker.new_ids.tolist() == [1, 2, 3]
    assert len(tracker.removed_ids) == 1


def test_a_renamed_track_goes_on_under_its_old_name(coaster: BoxTracker) -> None:
    coaster.update(found((at(0), 0.9), (at(300), 0.9)), 0.0)
    coaster.rename(2, 77)
    tracks = coaster.update(found((at(0), 0.9), (at(300), 0.9)), 0.04)
    assert tracks.track_ids.tolist() == [1, 77]
    assert coaster.next_track_id == 78
    assert coaster.states_of(np.array([2, 77])).tolist() == [REMOVED, CONFIRMED]
    coaster.rename(77, 2)
    assert coaster.update(found((at(0), 0.9), (at(300), 0.9)), 0.08).track_ids.tolist() == [1, 2]


def test_names_that_cannot_be_given(coaster: BoxTracker) -> None:
    coaster.update(found((at(0), 0.9), (at(300), 0.9)), 0.0)
    with pytest.raises(KeyError):
        coaster.rename(9, 5)
    with pytest.raises(KeyError):
        coaster.rename(0, 5)
    for taken in (2, 0, -3):
        with pytest.raises(ValueError, match=str(taken)):
            coaster.rename(1, taken)
    coaster.rename(1, 1)
    assert coaster.states_of(np.array([1, 2])).tolist() == [CONFIRMED, CONFIRMED]


def test_who_follows_the_camera() -> None:
    assert BotSort().camera_motion is not None
    for kind in (ByteTrack, Sort):
        assert kind().camera_motion is None
        asked = kind(settings=TrackerSettings(camera_motion="flow"))
        assert asked.camera_motion is not None and asked.camera_motion.mode == "flow"
    assert BotSort(settings=TrackerSettings(camera_motion="off")).camera_motion is None
    tracker = create_tracker("botsort", 5, 0.3, TrackerSettings(coast_s=1))
    assert (tracker.next_track_id, tracker.show_score, tracker.settings.coast_s) == (5, 0.3, 1)


class Panning(CameraMotion):
    """A camera whose motion is known."""

    def __init__(self, matrix: F64) -> None:
        super().__init__("off")
        self.matrix = matrix
        self.boxes_seen = 0

    def estimate(self, frame: FrameNv12, boxes_xyxy: F64) -> Warp:
        self.boxes_seen += len(boxes_xyxy)
        return Warp(self.matrix, True, "flow")


def shift(x: float, y: float) -> F64:
    return np.array(((1.0, 0, x), (0, 1, y), (0, 0, 1)))


def test_on_a_panning_camera_places_follow_and_speeds_are_those_in_the_scene() -> None:
    """90 px a frame is more than twice the width: without the motion known nobody would be found again."""
    tracker = BotSort()
    tracker.camera_motion = Panning(shift(-90, 0))
    for k in range(20):
        boxes = [(at(2000 + (4 - 90) * k), 0.9), (at(2300 - 90 * k), 0.9), (at(2200 - 90 * k), 0.9)]
        tracks = tracker.update(found(*boxes), k / 25, frame())
        assert tracks.track_ids.tolist() == [1, 2, 3]
    np.testing.assert_allclose(tracks.velocities_xy, [(100, 0), (0, 0), (0, 0)], atol=5)
    assert tracker.camera_motion.boxes_seen > 60


def test_a_lost_track_is_where_the_camera_has_moved_it() -> None:
    tracker = BotSort(settings=TrackerSettings(coast_s=1.0))
    for k in range(20):
        tracker.update(found((at(500), 0.9)), k / 25, frame())
    tracker.camera_motion = Panning(shift(-30, 5))
    for k in range(20, 40):
        tracks = tracker.update(Detections.empty(), k / 25, frame())
    np.testing.assert_allclose(tracks.boxes_xyxy[0], at(500 - 600, 200), atol=2)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e9, 1e300])
def test_a_motion_that_cannot_be_true_is_not_applied_and_counted(bad: float) -> None:
    tracker = BotSort()
    for k in range(5):
        tracker.camera_motion = Panning(shift(bad, 0))
        assert tracker.update(found((at(2 * k), 0.9)), k / 25, frame()).track_ids.tolist() == [1]
    assert tracker.unused_warps == 4
    for matrix in (np.full((3, 3), bad), np.zeros((3, 3)), np.diag((-1.0, 1, 1)), np.diag((1e4, 1e4, 1))):
        tracker.camera_motion = Panning(matrix)
        assert tracker.update(found((at(10), 0.9)), 0.3, frame()).track_ids.tolist() == [1]
    assert tracker.unused_warps == 8


@pytest.mark.parametrize("name", ["botsort", "bytetrack", "sort"])
def test_the_same_input_gives_the_same_bytes(name: str) -> None:
    def run() -> bytes:
        tracker = create_tracker(name, settings=TrackerSettings(coast_s=0.3))
        out = bytearray()
        for scene in with_looks(street(people=15, fps=10, seconds=15, seed=6), seed=6):
            tracks = tracker.update(scene.detections, scene.time_s)
            slot = np.zeros(len(tracks) * Tracks.BYTES_PER_OBJECT, np.uint8)
            tracks.write_into(slot)
            vectors, sightings = tracker.looks(tracks.track_ids)
            for array in (slot, vectors, sightings, tracker.new_ids, tracker.removed_ids):
                out += array.tobytes()
        return bytes(out)

    assert run() == run()
