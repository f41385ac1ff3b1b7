"""Events on their way through the tracking worker: into the record, past masks and objects, through restarts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.config import CameraConfig, PoolConfig, RunConfig
from engine.config.identity import EventsConfig
from engine.config.regions import Zone
from engine.events import CameraEvents
from engine.types import EventKind, Events, ResultMeta, Tracks
from engine.workers.runtime import Context
from engine.workers.track import Camera, advance, open_camera
from engine.workers.track_events import events_told, write_record
from tests.workers.house import House, detections_of, publish_frame, publish_result, with_masks

OpenHouse = Callable[[RunConfig], House]
LEFT_HALF = Zone("left", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))


def config(**more: object) -> RunConfig:
    cameras = (CameraConfig("a", "test://", zones=(LEFT_HALF,)),)
    return RunConfig("m3-cpu", cameras, pool=PoolConfig(result_history=30, history=30), **more)  # type: ignore[arg-type]  # passed on


def start(house: House, before: dict[str, Any] | None = None) -> tuple[Context, Camera]:
    context = house.start("track", before).context
    return context, open_camera(context, "a")


def see(house: House, context: Context, camera: Camera, count: int) -> None:
    frames, results = house.producer("frames:a"), house.producer("detections:a")
    for _ in range(count):
        seq = publish_frame(frames, frames.newest_seq())
        publish_result(results, seq, detections_of((4, 4, 16, 24), (44, 4, 56, 24)))
        advance(context, camera)


def events_in(house: House) -> list[tuple[int, EventKind, int]]:
    """(record, kind, track) of everything that is in the pool."""
    reader, found, after = house.reader("tracks:a"), [], 0
    while (lease := reader.lease_next(after)) is not None:
        with lease:
            meta, after = ResultMeta.unpack(lease.meta), lease.seq
            events = Events.view_at_end(meta.event_count, lease.array())
            found += [
                (after, EventKind(kind), track_id)
                for kind, track_id in zip(events.kinds.tolist(), events.track_ids.tolist(), strict=True)
            ]
            del events
    return found


def test_events_are_in_the_record_of_their_frame(open_house: OpenHouse) -> None:
    house = open_house(config())
    house.create_frame_pool("a", 64, 48)
    context, camera = start(house)
    see(house, context, camera, 4)
    kinds = [kind for _, kind, _ in events_in(house)]
    assert kinds.count(EventKind.APPEARED) == 2
    assert kinds.count(EventKind.ENTERED) == kinds.count(EventKind.COUNT) == 1


def test_counters_survive_a_kill(open_house: OpenHouse) -> None:
    house = open_house(config())
    house.create_frame_pool("a", 64, 48)
    context, camera = start(house)
    see(house, context, camera, 4)
    before = {"events": events_told({"a": camera.events})}
    house.kill("track")
    context, camera = start(house, before)
    see(house, context, camera, 4)
    assert camera.events is not None
    (zone,) = camera.events.counters.zones
    assert (zone.entries, zone.exits, zone.present) == (2, 1, 1)
    assert camera.events.counters.kinds["appeared"] == 4


def test_without_events_there_are_none(open_house: OpenHouse) -> None:
    house = open_house(config(events=EventsConfig(enabled=False)))
    house.create_frame_pool("a", 64, 48)
    context, camera = start(house)
    see(house, context, camera, 4)
    assert camera.events is None and events_in(house) == [] and events_told({"a": camera.events}) == {}


def test_a_record_waits_for_the_names_of_the_classes_that_are_asked_for(open_house: OpenHouse) -> None:
    house = open_house(config(events=EventsConfig(classes=("person", "zebra"))))
    house.create_frame_pool("a", 64, 48)
    context, camera = start(house)
    see(house, context, camera, 1)
    assert camera.last_seq == 0
    house.workers["track"].send({"type": "labels", "labels": ["person"]})
    context.handle_messages()
    assert advance(context, camera) and camera.last_seq == 1
    (message,) = house.workers["track"].heard("log")
    assert "'zebra'" in message["text"] and message["level"] == "warning"
    see(house, context, camera, 3)
    assert len(house.workers["track"].heard("log")) == 1, "said once"
    assert len(events_in(house)) == 4


def test_objects_go_first_then_events_then_masks() -> None:
    boxes = [(k * 10.0, 0.0, k * 10 + 8.0, 20.0) for k in range(20)]
    found = with_masks(detections_of(*boxes), 10)
    tracks = Tracks.of(found, np.arange(1, 21))
    camera = CameraEvents(CameraConfig("a", "test://"), EventsConfig(), ())
    happened = camera.advance(tracks, np.empty(0, np.int64), ResultMeta(1, 1, 0, 320, 240, pts_ns=0))
    assert len(happened) == 20
    for room, events, lost in ((20 * 56 + 5 * 48 + 47, 5, 15), (20 * 56 - 1, 0, 20), (1 << 16, 20, 0)):
        camera.counters.lost = 0
        slot = np.zeros(room, np.uint8)
        written, count = write_record(camera, tracks, happened, slot)
        assert (count, camera.counters.lost) == (events, lost)
        assert written.count == min(20, (room - count * 48) // 56)
        shown = Events.view_at_end(count, slot)
        assert shown.track_ids.tolist() == happened.track_ids.tolist()[:events]
        assert Tracks.view(written.count, slot, written.mask_bytes).track_ids.tolist()[:19] == list(
            range(1, 20)
        )
        assert bool(written.mask_bytes) == (room == 1 << 16)
