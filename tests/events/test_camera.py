"""One camera as a whole: who is looked at, odd input, restarts, room."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import orjson
import pytest

from engine.config import CameraConfig
from engine.config.identity import EventsConfig
from engine.config.regions import Line, Zone
from engine.events import CameraEvents, fitting
from engine.events.camera import FORGOTTEN_AFTER_S
from engine.events.happenings import IMPORTANCE
from engine.types import EventKind, Events, FrameFlag, ResultMeta, Tracks, TrackState
from tests.events.scenes import Scene, Told, quiet, straight, told, tracks_of

YARD = Zone("yard", ((0.4, 0.4), (0.8, 0.4), (0.8, 0.8), (0.4, 0.8)), dwell_s=2.0)
GATE = Line("gate", ((0.5, 0.2), (0.5, 0.8)))


def test_appeared_and_left() -> None:
    scene = Scene(fps=10)
    assert scene.frame({1: (500.0, 500.0)}) == [Told("APPEARED", 1, -1, 0.0)]
    scene.walk([(500, 500)] * 15)
    scene.frame({})
    assert scene.frame({}, removed=[1]) == [Told("LEFT", 1, -1, 1.5)]
    assert scene.frame({1: (500.0, 500.0)}) == [Told("APPEARED", 1, -1, 0.0)], "known again under its ID"


def test_only_confirmed_tracks_are_looked_at() -> None:
    scene = Scene([YARD])
    for state in (TrackState.UNTRACKED, TrackState.TENTATIVE, TrackState.COASTING, TrackState.LOST):
        assert scene.frame({1: (600.0, 600.0)}, states={1: state}) == []
    assert scene.frame({0: (600.0, 600.0)}, states={0: TrackState.CONFIRMED}) == []


def test_one_that_is_never_given_up_is_forgotten() -> None:
    scene = Scene([YARD], fps=1)
    scene.frame({1: (600.0, 600.0)})
    found = [one for _ in range(round(FORGOTTEN_AFTER_S) + 1) for one in scene.frame({})]
    assert [one.kind for one in found] == ["EXITED", "COUNT", "LEFT"]
    assert len(scene.events._table) == 0


def test_one_that_is_given_up_and_seen_again_in_the_same_frame_stays() -> None:
    scene = Scene()
    scene.frame({1: (500.0, 500.0)})
    assert scene.frame({1: (500.0, 500.0)}, removed=[1]) == []


def test_an_id_that_is_there_twice_counts_once() -> None:
    scene = Scene([YARD])
    tracks = tracks_of({1: (600.0, 600.0), 2: (100.0, 100.0)})
    tracks.track_ids[1] = 1
    assert [one.kind for one in scene.frame(tracks)] == ["ENTERED", "COUNT", "APPEARED"]


@pytest.mark.parametrize(
    "box",
    [
        (np.nan, 0, 10, 10), (0, 0, np.inf, 10), (10, 10, 10, 20), (10, 20, 20, 10), (5, 5, 5, 5),
        (-1e30, -1e30, 1e30, 1e30), (-500, -500, -400, -400), (3000, 3000, 4000, 4000),
    ],
)  # fmt: skip
def test_boxes_that_make_no_sense_do_no_harm(box: tuple[float, float, float, float]) -> None:
    scene = Scene([YARD], [GATE], settings=EventsConfig(group_size=2, group_for_s=0.0, speed_every_s=0.1))
    for k in range(20):
        tracks = tracks_of({1: (600.0, 600.0), 2: (100.0, 100.0)})
        if k % 2:
            tracks.boxes_xyxy[1] = box
            tracks.velocities_xy[1] = np.nan if k % 4 == 1 else 1e30
        scene.frame(tracks)
    assert [one.track_id for one in scene.all if one.kind == "ENTERED"] == [1]
    assert all(np.isfinite(one.value) for one in scene.all)


def test_empty_frames_ends_and_notices_say_nothing() -> None:
    scene = Scene([YARD], [GATE])
    assert scene.frame({}) == []
    scene.frame({1: (600.0, 600.0)})
    for flags in (FrameFlag.END_OF_STREAM, FrameFlag.NOTICE):
        assert scene.frame({}, removed=[1], flags=flags) == []
    scene.size = (0, 0)
    assert scene.frame({}) == []


def test_thousands_of_tracks() -> None:
    rng = np.random.default_rng(0)
    scene = Scene(
        [YARD, Zone("left", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))],
        [GATE],
        settings=EventsConfig(speed_every_s=1.0),
    )
    places = rng.uniform(0, 1000, (3000, 2))
    took_s = []
    for k in range(10):
        people = {1 + each: (x + k, y) for each, (x, y) in enumerate(places.tolist())}
        begun = time.perf_counter()
        scene.frame(tracks_of(people, height=20.0))
        took_s.append(time.perf_counter() - begun)
    assert min(took_s) < 0.5
    assert scene.events.counters.zones[1].present > 1000


def test_churn_leaves_nothing_behind() -> None:
    scene = Scene([YARD], [GATE], settings=EventsConfig())
    for k in range(1000):
        scene.frame({1 + k: (600.0, 600.0), 100_000 + k // 3: (300.0, 300.0)}, removed=[k, 99_999 + k // 3])
    assert len(scene.events._table) <= 3
    assert len(scene.events._table._ids.data) == 64, "rows are used again"
    assert scene.events.counters.zones[0].entries == 1000


def test_the_same_frames_make_the_same_events() -> None:
    def bytes_of_a_run() -> bytes:
        rng = np.random.default_rng(7)
        camera = CameraConfig("gate", "test://", zones=(YARD,), lines=(GATE,))
        events = CameraEvents(camera, EventsConfig(group_for_s=0.2, speed_every_s=0.3), ("person",))
        out = bytearray()
        places = rng.uniform(200, 900, (30, 2))
        for k in range(100):
            places += rng.normal(0, 8, places.shape)
            tracks = tracks_of({1 + each: (x, y) for each, (x, y) in enumerate(places.tolist())})
            found = events.advance(
                tracks, np.empty(0, np.int64), ResultMeta(k, k, 0, 1000, 1000, pts_ns=k * 40_000_000)
            )
            slot = np.zeros(1 << 16, np.uint8)
            found.write_at_end(slot)
            out += slot.tobytes()
        return bytes(out)

    assert bytes_of_a_run() == bytes_of_a_run()


def test_the_most_important_come_first_and_the_rest_is_left_out() -> None:
    scene = Scene([YARD], [GATE])
    scene.walk(straight((300, 500), (499, 500), 20))
    tracks = tracks_of({1: (515.0, 500.0), 2: (600.0, 600.0), 3: (100.0, 100.0)})
    meta = ResultMeta(99, 99, 0, 1000, 1000, pts_ns=round((scene.time_s + 0.04) * 1e9))
    events = scene.events.advance(tracks, np.empty(0, np.int64), meta)
    kinds = [one.kind for one in told(events)]
    assert kinds == ["CROSSED", "ENTERED", "COUNT", "APPEARED", "APPEARED"]
    assert told(fitting(events, 2 * Events.BYTES_PER_EVENT + 47)) == told(events)[:2]
    assert fitting(events, 10_000) is events and len(fitting(events, -5)) == 0


def test_every_kind_has_its_rank() -> None:
    assert sorted(IMPORTANCE) == sorted(EventKind)


def test_counters_go_on_after_a_restart_and_the_books_balance() -> None:
    scene = Scene([YARD], [GATE])
    scene.walk(straight((300, 500), (700, 500), 40))
    before = orjson.loads(orjson.dumps(scene.events.state()))
    successor = Scene([YARD], [GATE], before=before)
    assert successor.frame({}) == [Told("COUNT", 0, 0, 0.0)], "who was in the zone is not known any more"
    successor.walk(straight((700, 500), (300, 500), 40), track_id=5)
    line, zone = successor.events.counters.lines[0], successor.events.counters.zones[0]
    assert (line.left_to_right, line.right_to_left) == (1, 1)
    assert (zone.entries, zone.exits, zone.present) == (2, 2, 0)
    assert successor.events.counters.kinds["crossed"] == 2


def test_names_of_classes_may_come_late_and_unknown_ones_are_told() -> None:
    settings = quiet(classes=("person", "zebra"))
    scene = Scene([YARD], settings=settings, labels=None)
    assert (scene.events.ready, scene.events.unknown_classes()) == (False, [])
    scene.events.set_labels(("person", "car"))
    assert (scene.events.ready, scene.events.unknown_classes()) == (True, ["zebra"])
    assert Scene([YARD], labels=None).events.ready


def test_gids_and_classes_go_with_the_event() -> None:
    scene = Scene()
    tracks = replace(tracks_of({7: (500.0, 500.0)}, classes={7: 1}), gids=np.array([42], np.int64))
    meta = ResultMeta(1, 1, 0, 1000, 1000, pts_ns=0)
    events = scene.events.advance(tracks, np.empty(0, np.int64), meta)
    assert events.gids.tolist() == [42] and events.class_ids.tolist() == [1]
    assert events.points_xy.tolist() == [[500.0, 500.0]]
    left = scene.events.advance(Tracks.empty(), np.array([7]), replace(meta, pts_ns=40_000_000))
    assert left.gids.tolist() == [42] and left.points_xy.tolist() == [[500.0, 500.0]]


def camera_with(*zones: Zone, lines: tuple[Line, ...] = ()) -> CameraConfig:
    return CameraConfig("gate", "test://", zones=zones, lines=lines)


def test_zones_change_while_people_are_in_them() -> None:
    scene = Scene([YARD], [GATE], fps=10)
    scene.frame({1: (600.0, 600.0)})
    other = Zone("left", ((0.0, 0.0), (0.3, 0.0), (0.3, 1.0), (0.0, 1.0)))
    scene.events.set_regions(camera_with(other, YARD))
    told = scene.walk([(600, 600)] * 25)
    assert [(one.kind, one.region) for one in told] == [("DWELLED", 1)], (
        "it did not enter again, and time went on"
    )
    scene.walk(straight((600, 600), (150, 600), 20))
    assert [(one.kind, one.region) for one in scene.all[-4:]] == [
        ("EXITED", 1), ("COUNT", 1), ("ENTERED", 0), ("COUNT", 0),
    ]  # fmt: skip
    assert scene.events.counters.lines == [] and "CROSSED" not in scene.kinds()
    counts = scene.events.counters.zones
    assert [(count.entries, count.exits, count.present) for count in counts] == [(1, 0, 1), (1, 1, 0)]


def test_a_zone_that_is_drawn_anew_counts_on_under_its_name() -> None:
    scene = Scene([YARD], fps=10)
    scene.frame({1: (600.0, 600.0)})
    scene.events.set_regions(
        camera_with(replace(YARD, polygon=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))))
    )
    found = scene.frame({1: (600.0, 600.0)})
    assert [one.kind for one in found] == ["ENTERED"], (
        "the count is what it was, so that nothing is told of it"
    )
    (count,) = scene.events.counters.zones
    assert (count.entries, count.exits, count.present) == (2, 1, 1)


def test_changing_regions_a_thousand_times_takes_no_more_room() -> None:
    scene = Scene([YARD], [GATE])
    scene.frame({1: (600.0, 600.0)})
    columns = len(scene.events._table._columns)
    for _ in range(1000):
        scene.events.set_regions(camera_with())
        scene.events.set_regions(camera_with(YARD, lines=(GATE,)))
    assert len(scene.events._table._columns) == columns
    assert scene.events.labelled and [one.kind for one in scene.frame({1: (600.0, 600.0)})] == [
        "ENTERED",
        "COUNT",
    ]
