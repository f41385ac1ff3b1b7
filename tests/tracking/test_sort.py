"""Plain SORT: overlap alone, and nothing is waited for."""

from __future__ import annotations

import numpy as np
import pytest

from engine.tracking.base import create_tracker
from engine.tracking.sort import Sort
from engine.types import Detections, Tracks


def found(*objects: tuple[float, float]) -> Detections:
    boxes = np.array([(x, 100, x + 40, 200) for x, _ in objects], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score in objects], np.float32)
    return Detections(boxes, scores, np.zeros(len(objects), np.int32))


def ids(tracks: Tracks) -> list[int]:
    return [int(track_id) for track_id in tracks.track_ids]


def test_known_by_name() -> None:
    assert isinstance(create_tracker("sort"), Sort)


def test_follows_what_overlaps_and_confirms_at_the_second_sighting() -> None:
    tracker = Sort()
    for k in range(20):
        tracks = tracker.update(found((8 * k, 0.9), *[(500 - 8 * k, 0.55)] * (k > 2)), k / 25)
        assert ids(tracks)[1:] == ([] if k < 3 else [0] if k == 3 else [2])
        assert ids(tracks)[0] == 1


@pytest.mark.parametrize(("missing", "same"), [(1, True), (2, False)])
def test_one_frame_away_is_forgiven_two_are_not(missing: int, same: bool) -> None:
    tracker = Sort()
    for k in range(10):
        tracker.update(found((100, 0.9)), k / 25)
    for k in range(missing):
        tracker.update(found(), (10 + k) / 25)
    tracks = tracker.update(found((100, 0.9)), (10 + missing) / 25)
    assert ids(tracks) == [1 if same else 0]


def test_unsure_boxes_are_shown_and_not_tracked() -> None:
    tracker = Sort()
    tracker.update(found((100, 0.9)), 0.0)
    assert ids(tracker.update(found((100, 0.45)), 0.04)) == [0]


def test_what_does_not_overlap_is_somebody_else() -> None:
    tracker = Sort()
    for k in range(10):
        tracker.update(found((100, 0.9)), k / 25)
    assert ids(tracker.update(found((130, 0.9)), 0.4)) == [0]
