"""What tracks look like: the scale of likeness, what is remembered, and bad vectors."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bench.tracking_scenes import street, with_looks
from engine.tracking.appearance import Strangers
from engine.tracking.botsort import BotSort
from engine.tracking.bytetrack import ByteTrack
from engine.tracking.settings import TrackerSettings
from engine.tracking.sort import Sort
from engine.tracking.two_stage import WAIT_S, TwoStageTracker
from engine.types import F32, Detections, Embeddings, Tracks

DIMS = 32
Box = tuple[float, float, float, float]


@pytest.fixture(params=[BotSort, ByteTrack])
def tracker(request: pytest.FixtureRequest) -> TwoStageTracker:
    made = request.param()
    assert isinstance(made, TwoStageTracker)
    return made


def person(number: int, dims: int = DIMS) -> F32:
    """Unit vectors at right angles to each other."""
    vector = np.zeros(dims, np.float32)
    vector[number] = 1
    return vector


def at(x: float, width: float = 40, height: float = 100) -> Box:
    return (x, 100, x + width, 100 + height)


def seen(*people: tuple[float, F32 | None], score: float = 0.9) -> Detections:
    """People at x with their looks, None where nobody looked."""
    boxes = np.array([at(x) for x, _ in people], np.float32).reshape(-1, 4)
    found = Detections(boxes, np.full(len(people), score, np.float32), np.zeros(len(people), np.int32))
    rows = [row for row, (_, look) in enumerate(people) if look is not None]
    if not rows:
        return found
    vectors = np.stack([look for _, look in people if look is not None]).astype(np.float16)
    return replace(found, embeddings=Embeddings(np.array(rows, np.int32), vectors))


def ids(tracks: Tracks) -> list[int]:
    return [int(track_id) for track_id in tracks.track_ids]


@pytest.mark.parametrize(("mean", "deviation", "same"), [(0.46, 0.09, 0.77), (0.25, 0.13, 0.68)])
def test_the_scale_is_that_of_the_network(mean: float, deviation: float, same: float) -> None:
    """OSNet x0.25 and OMZ 0248 on people of PETS09-S2L1: what one calls the same person the other calls a twin."""
    strangers = Strangers()
    rng = np.random.default_rng(0)
    for _ in range(100):
        strangers.learn(rng.normal(mean, deviation, 10))
    degrees = strangers.likeness(np.array([-1.0, mean, same, 1.0]))
    np.testing.assert_allclose(degrees, [0, 0, 1, 1], atol=0.08)


def test_the_scale_follows_and_never_collapses() -> None:
    strangers = Strangers()
    for _ in range(5000):
        strangers.learn(np.full(50, 0.9))
    assert strangers.mean == pytest.approx(0.9, abs=0.01)
    for _ in range(5000):
        strangers.learn(np.full(50, 0.3))
    assert strangers.mean == pytest.approx(0.3, abs=0.01)
    assert strangers.deviation >= 0.03
    strangers.learn(np.empty(0))
    assert np.isfinite(strangers.likeness(np.array([0.3]))).all()


def test_two_who_meet_and_part_are_told_apart_by_looks(tracker: TwoStageTracker) -> None:
    """They walk up to each other, one hides the other for half a second, and both turn back."""

    def x_of(k: int) -> float:
        return 4.0 * k if k < 34 else 4.0 * (68 - k)

    for k in range(69):
        left, right = (x_of(k), person(0)), (300 - x_of(k), person(1))
        tracks = tracker.update(seen(left, right) if abs(k - 34) > 6 else seen(left), k / 25)
    assert ids(tracks) == [1, 2]


@pytest.mark.parametrize("appearance", ["model", "colour", "off"])
def test_a_stranger_who_steps_where_somebody_vanished(tracker: TwoStageTracker, appearance: str) -> None:
    """By place alone it is the one who vanished."""
    tracker = type(tracker)(settings=TrackerSettings(appearance=appearance))
    for k in range(35):
        first = [] if 25 <= k < 30 else [(100, person(0)) if k < 25 else (118, person(2))]
        tracks = tracker.update(seen(*first, (600, person(1))), k / 25)
    assert ids(tracks) == [1 if appearance == "off" else 3, 2]


@pytest.mark.parametrize(("look", "found"), [(0, True), (2, False), (None, False)])
def test_a_lost_track_is_found_by_its_looks_outside_of_the_filters_gate(
    look: int | None, found: bool
) -> None:
    """It stood still, and comes out from behind a pillar more than a height further on."""
    tracker = BotSort()
    for k in range(50):
        tracker.update(seen((100, person(0)), (900, person(1))), k / 25)
    for k in range(50, 75):
        tracker.update(seen((900, person(1))), k / 25)
    again = (235.0, None if look is None else person(look))
    for k in range(75, 77):
        tracks = tracker.update(seen(again, (900, person(1))), k / 25)
    # Of whom nothing is known yet may be the one who is lost: that can wait.
    assert ids(tracks) == [1 if found else 0 if look is None else 3, 2]
    for k in range(77, 77 + round(WAIT_S * 25)):
        tracks = tracker.update(seen(again, (900, person(1))), k / 25)
    assert ids(tracks) == [1 if found else 3, 2]


@pytest.mark.parametrize(
    ("away_s", "recall_s", "found"), [(6.0, 8.0, True), (6.0, 0.0, False), (6.0, 5.0, False)]
)
def test_who_was_hidden_for_long_is_recalled_by_looks_alone(
    away_s: float, recall_s: float, found: bool
) -> None:
    tracker = BotSort(settings=TrackerSettings(recall_s=recall_s))
    frames = round(away_s * 25)
    for k in range(100):
        tracker.update(seen((100, person(0)), (900, person(1))), k / 25)
    for k in range(100, 100 + frames):
        tracks = tracker.update(seen((900, person(1))), k / 25)
    for k in range(100 + frames, 103 + frames):
        tracks = tracker.update(seen((180, person(0)), (900, person(1))), k / 25)
    assert ids(tracks) == [1 if found else 3, 2]
    assert len(tracker) == 2


@pytest.mark.parametrize(("look", "looked"), [(2, True), (None, True), (None, False)])
@pytest.mark.parametrize("x", [100.0, 150.0])
def test_after_the_ordinary_patience_place_alone_brings_nobody_back(
    look: int | None, looked: bool, x: float
) -> None:
    """Somebody else, or who cannot be seen well, stands where the one who is away was, or near."""
    tracker = BotSort(settings=TrackerSettings(recall_s=8.0))
    for k in range(100):
        tracker.update(seen((100, person(0)), (900, person(1))), k / 25)
    for k in range(100, 180):
        tracker.update(seen((900, person(1))), k / 25)
    other = None if look is None else person(look)
    for k in range(180, 180 + 2 + round(WAIT_S * 25)):
        tracks = tracker.update(seen((x, other), (900, person(1) if looked else None)), k / 25)
    assert ids(tracks) == [3, 2]


def test_whoever_stands_beside_the_place_of_one_long_away_is_nobody_while_nothing_is_seen_of_them() -> None:
    """The filter would have it: it has grown unsure enough to expect the one who is away anywhere around."""
    tracker = BotSort()
    for k in range(100):
        tracker.update(seen((100, person(0)), (900, person(1))), k / 25)
    for k in range(100, 140):
        tracker.update(seen((900, person(1))), k / 25)
    tracks = tracker.update(seen((150, None), (900, person(1))), 140 / 25)
    assert ids(tracks) == [0, 2]


def test_sort_keeps_nobody_for_their_looks() -> None:
    tracker = Sort(settings=replace(Sort.defaults, recall_s=8.0))
    for k in range(60):
        tracker.update(seen((100, person(0)), (900, person(1))), k / 25)
    for k in range(60, 70):
        tracker.update(seen((900, person(1))), k / 25)
    assert len(tracker) == 1


def test_who_comes_out_from_behind_another_wins_the_box_by_looks() -> None:
    """The other is hidden just then, and nearer to that box: it is not theirs for all that."""
    tracker = BotSort()
    for k in range(50):
        tracker.update(seen((100, person(0)), (300, person(1))), k / 25)
    for k in range(50, 75):
        tracker.update(seen((300 - 5.0 * (k - 50), person(1))), k / 25)
    for k in range(75, 78):
        tracks = tracker.update(seen((172.0, person(0))), k / 25)
    assert ids(tracks) == [1]


def test_nobody_is_found_by_looks_across_the_street() -> None:
    tracker = BotSort()
    for k in range(50):
        tracker.update(seen((100, person(0)), (900, person(1))), k / 25)
    for k in range(50, 54):
        tracks = tracker.update(seen((500, person(0)), (900, person(1))), k / 25)
    assert ids(tracks) == [3, 2]


def test_looks_are_a_mean_of_the_first_sightings_and_then_a_slow_one(tracker: TwoStageTracker) -> None:
    """At a score of 1: as if every sighting of the first ten counted the same."""
    for k in range(3):
        tracker.update(seen((2.0 * k, person(0))), k / 25)
        tracker.update(seen((2.0 * k + 1, None)), k / 25 + 0.02)
    vectors, sightings = tracker.looks(np.array([1]))
    np.testing.assert_allclose(vectors, [person(0)], atol=1e-3)
    assert sightings.tolist() == [3]
    tilted = ((person(0) + 0.5 * person(1)) / math.sqrt(1.25)).astype(np.float32)
    tracker.update(seen((6, tilted), score=1.0), 0.2)
    vectors, sightings = tracker.looks(np.array([1]))
    expected = 0.75 * person(0) + 0.25 * tilted
    np.testing.assert_allclose(vectors[0], expected / np.linalg.norm(expected), atol=2e-3)
    assert sightings.tolist() == [4]
    assert np.linalg.norm(vectors) == pytest.approx(1, abs=1e-5)


def test_looks_of_those_who_are_unknown_or_were_never_looked_at_are_nothing(tracker: TwoStageTracker) -> None:
    tracker.update(seen((0, person(0)), (300, None)), 0.0)
    vectors, sightings = tracker.looks(np.array([2, 0, 99, 1]))
    assert vectors.shape == (4, DIMS) and vectors.dtype == np.float32
    assert sightings.tolist() == [0, 0, 0, 1]
    assert np.abs(vectors[:3]).max() == 0
    assert tracker.looks(np.empty(0, np.int64))[0].shape == (0, DIMS)


def test_without_embeddings_there_are_no_looks(tracker: TwoStageTracker) -> None:
    tracker.update(seen((0, None)), 0.0)
    vectors, sightings = tracker.looks(np.array([1]))
    assert vectors.shape == (1, 0) and sightings.tolist() == [0]


def test_looks_of_those_just_removed_are_still_there_and_then_gone(tracker: TwoStageTracker) -> None:
    for k in range(50):
        tracker.update(seen((0, person(3)), (300, person(1))), k / 25)
    k = 50
    while not len(tracker.removed_ids):
        tracker.update(seen((300, person(1))), k / 25)
        k += 1
    assert tracker.removed_ids.tolist() == [1]
    vectors, sightings = tracker.looks(tracker.removed_ids)
    np.testing.assert_allclose(vectors, [person(3)], atol=1e-3)
    assert sightings.tolist() == [50]
    tracker.update(seen((300, person(1))), k / 25)
    assert tracker.looks(np.array([1]))[1].tolist() == [0]


def test_another_network_in_the_middle_of_the_run(tracker: TwoStageTracker) -> None:
    """Vectors of another length cannot be compared: what was known is forgotten, places go on."""
    for k in range(20):
        tracker.update(seen((2.0 * k, person(0)), (500, person(1))), k / 25)
    for k in range(20, 25):
        tracks = tracker.update(seen((2.0 * k, person(0, 2 * DIMS)), (500, person(1, 2 * DIMS))), k / 25)
        assert ids(tracks) == [1, 2]
    vectors, sightings = tracker.looks(np.array([1, 2]))
    assert vectors.shape == (2, 2 * DIMS) and sightings.tolist() == [5, 5]


def test_looks_of_the_removed_when_the_network_is_exchanged_in_that_frame(tracker: TwoStageTracker) -> None:
    for k in range(60):
        tracker.update(seen((0, person(0)), (300, person(1))), k / 25)
    tracker.update(seen((300, person(1, 2 * DIMS))), 30.0)
    assert tracker.removed_ids.tolist() == [1, 2]
    vectors, sightings = tracker.looks(tracker.removed_ids)
    assert vectors.shape == (2, 2 * DIMS) and sightings.tolist() == [0, 0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, 1e-4])
def test_vectors_that_are_none_are_dropped_and_counted(tracker: TwoStageTracker, bad: float) -> None:
    for k in range(10):
        tracks = tracker.update(seen((2.0 * k, np.full(DIMS, bad, np.float32)), (300, person(1))), k / 25)
        assert ids(tracks) == [1, 2]
    assert tracker.looks(np.array([1, 2]))[1].tolist() == [0, 10]
    assert tracker.invalid_embeddings == 10


def test_looks_that_cancel_out_keep_what_was_known(tracker: TwoStageTracker) -> None:
    tracker.update(seen((0, person(0)), score=1.0), 0.0)
    tracker.update(seen((0, -person(0)), score=1.0), 0.04)
    assert np.isfinite(tracker.looks(np.array([1]))[0]).all()
    assert np.linalg.norm(tracker.looks(np.array([1]))[0]) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_looks_are_every_box_is_there_once(tracker: TwoStageTracker, seed: int) -> None:
    """Some boxes looked at, some vectors broken, and the network exchanged twice."""
    rng = np.random.default_rng(seed)
    known: set[int] = set()
    for k, scene in enumerate(with_looks(street(people=12, fps=10, seconds=9, seed=seed), seed)):
        detections = scene.detections
        if detections.embeddings is not None:
            rows = np.flatnonzero(rng.random(len(detections)) < rng.random()).astype(np.int32)
            vectors = detections.embeddings.vectors[rows]
            vectors = np.tile(vectors, (1, 2)) if 30 <= k < 60 else vectors
            vectors[rng.random(len(rows)) < 0.2] = rng.choice([math.nan, math.inf, 0])
            detections = replace(detections, embeddings=Embeddings(rows, vectors))
        tracks = tracker.update(detections, scene.time_s)
        given = [track_id for track_id in ids(tracks) if track_id]
        assert len(set(given)) == len(given)
        known.update(given)
        np.testing.assert_array_equal(
            tracks.scores[tracks.scores >= 0.25], detections.scores[detections.scores >= 0.25]
        )
        looks, sightings = tracker.looks(tracks.track_ids)
        assert np.isfinite(looks).all() and np.isfinite(tracks.boxes_xyxy).all()
        lengths = np.linalg.norm(looks, axis=1)
        np.testing.assert_allclose(lengths, np.where(sightings > 0, 1, 0), atol=1e-5)
    assert known <= set(range(1, tracker.next_track_id))
