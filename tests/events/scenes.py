"""Scenes to make events of: people as points with a height, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from engine.config import CameraConfig
from engine.config.identity import EventsConfig
from engine.config.regions import Line, Zone
from engine.events import CameraEvents
from engine.types import Detections, EventKind, Events, FrameFlag, ResultMeta, Tracks, TrackState

Feet = tuple[float, float]


class Told(NamedTuple):
    """One event."""

    kind: str
    track_id: int
    region: int
    value: float
    group: int = 0


def told(events: Events) -> list[Told]:
    return [
        Told(EventKind(kind).name, track_id, region, round(value, 3), group)
        for kind, track_id, region, value, group in zip(
            events.kinds.tolist(), events.track_ids.tolist(), events.regions.tolist(), events.values.tolist(),
            events.groups.tolist(), strict=True,
        )
    ]  # fmt: skip


def tracks_of(
    people: Mapping[int, Feet],
    *,
    height: float = 100.0,
    velocity: Feet = (0.0, 0.0),
    classes: Mapping[int, int] | None = None,
    states: Mapping[int, TrackState] | None = None,
) -> Tracks:
    ids = np.array(list(people), np.int64)
    boxes = np.array(
        [(x - height / 4, y - height, x + height / 4, y) for x, y in people.values()], np.float32
    ).reshape(len(ids), 4)
    class_ids = np.array([(classes or {}).get(each, 0) for each in people], np.int32)
    found = Detections(boxes, np.full(len(ids), 0.9, np.float32), class_ids)
    tracks = Tracks.of(found, ids, None, np.full((len(ids), 2), velocity, np.float32))
    for row, each in enumerate(people):
        if each in (states or {}):
            tracks.states[row] = (states or {})[each]
    return tracks


class Scene:
    """A camera of 1000 by 1000 pixels whose frames are given one by one."""

    def __init__(
        self,
        zones: Iterable[Zone] = (),
        lines: Iterable[Line] = (),
        *,
        settings: EventsConfig | None = None,
        labels: tuple[str, ...] | None = ("person", "car"),
        fps: float = 25.0,
        before: Mapping[str, object] | None = None,
        size: tuple[int, int] = (1000, 1000),
    ) -> None:
        camera = CameraConfig("gate", "test://", zones=tuple(zones), lines=tuple(lines))
        self.events = CameraEvents(camera, settings or quiet(), labels, before)
        self.step_s = 1.0 / fps
        self.time_s = 100.0
        self.index = 0
        self.size = size
        self.all: list[Told] = []

    def frame(
        self,
        people: Mapping[int, Feet] | Tracks,
        *,
        removed: Iterable[int] = (),
        time_s: float | None = None,
        flags: FrameFlag = FrameFlag.NONE,
        **more: object,
    ) -> list[Told]:
        """The next frame: where everybody's feet are; returns what it tells."""
        self.time_s = self.time_s + self.step_s if time_s is None else time_s
        self.index += 1
        tracks = people if isinstance(people, Tracks) else tracks_of(people, **more)  # type: ignore[arg-type]  # passed on
        meta = ResultMeta(self.index, self.index, 0, *self.size, pts_ns=round(self.time_s * 1e9), flags=flags)
        now = told(self.events.advance(tracks, np.array(list(removed), np.int64), meta))
        self.all += now
        return now

    def walk(self, way: Iterable[Feet], track_id: int = 1, **more: object) -> list[Told]:
        """One person along these points, a frame each."""
        return [one for feet in way for one in self.frame({track_id: feet}, **more)]  # type: ignore[arg-type]  # passed on

    def kinds(self) -> list[str]:
        return [one.kind for one in self.all]


def quiet(**more: object) -> EventsConfig:
    """Nothing but appearances, lines and zones, unless it is asked for."""
    return EventsConfig(**{"fast_heights_s": 0.0, "group_size": 0, **more})  # type: ignore[arg-type]  # passed on


def straight(start: Feet, end: Feet, steps: int) -> list[Feet]:
    return [
        (start[0] + (end[0] - start[0]) * k / steps, start[1] + (end[1] - start[1]) * k / steps)
        for k in range(steps + 1)
    ]
