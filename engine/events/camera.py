"""The events of one camera: tracks of a frame in, what has happened out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.config import CameraConfig
from engine.config.identity import EventsConfig
from engine.events.counters import Counters
from engine.events.frame_time import FrameTime
from engine.events.geometry import F64
from engine.events.groups import Groups
from engine.events.happenings import Happening, as_events
from engine.events.lines import LineCrossings
from engine.events.sight import Sight, among, class_mask, worth_a_look
from engine.events.speed import Speeds
from engine.events.table import TrackTable
from engine.events.zones import ZoneVisits
from engine.types import I64, Bools, EventKind, Events, FrameFlag, ResultMeta, Tracks

LONGEST_GAP_S = 5.0
"""A track that was not seen for longer is not taken to have gone straight from where it was to where it is."""
FASTEST_HEIGHTS_S, FREE_HEIGHTS = 40.0, 2.0
"""Nor one that would have moved faster than so many heights of its box a second, and this far besides."""
FORGOTTEN_AFTER_S = 120.0
"""A track that nobody says is gone, and that is not seen for so long, has left."""
MOST_TRACKS = 20000
"""Beyond that, those not seen for longest have left."""
MOST_PX_S = 1e5
"""Faster than that is nothing, in pixels a second."""
MOST_EVENTS = 1024
"""Most events of one record."""


class CameraEvents:
    """What happens before one camera. The same tracks make the same events, whenever and however fast they come.

    counters  what has happened so far
    """

    def __init__(
        self,
        camera: CameraConfig,
        settings: EventsConfig,
        labels: tuple[str, ...] | None = None,
        before: Mapping[str, Any] | None = None,
    ) -> None:
        """labels  names of the classes, None while they are not known: `set_labels` then, before `advance`
        before  what `state` of a killed predecessor said
        """
        told = before or {}
        self._camera = camera
        self._settings = settings
        self._table = TrackTable()
        self._time = FrameTime()
        self.counters = Counters.of(len(camera.lines), len(camera.zones), told.get("counters"))
        self._lines = LineCrossings(camera.lines, self._table)
        self._zones = ZoneVisits(camera.zones, self._table, self.counters.zones)
        self._speeds = Speeds(settings, self._table)
        self._groups = Groups(settings, self._table, told.get("next_group", 1))
        self._first_s = self._table.column(np.float64, 0.0)
        self._last_s = self._table.column(np.float64, 0.0)
        self._anchors = self._table.column(
            np.float64, 0.0, 2
        )  # relative to the picture, whose size may change
        self._class_ids = self._table.column(np.int32, -1)
        self._gids = self._table.column(np.int64, 0)
        self._appeared = self._table.column(np.bool_, 0)
        self._region_classes = [zone.classes for zone in camera.zones]
        self._region_classes += [line.classes for line in camera.lines]
        self._general: Bools | None = None
        self._wanted: Bools | None = None
        self._labels: tuple[str, ...] | None = None
        if labels is not None:
            self.set_labels(labels)

    @property
    def labelled(self) -> bool:
        """Whether the names of the classes are known."""
        return self._labels is not None

    @property
    def ready(self) -> bool:
        """False while classes are named in the configuration and their names are not known yet."""
        return self._labels is not None or not (self._settings.classes or any(self._region_classes))

    def set_regions(self, camera: CameraConfig) -> None:
        """Other zones and lines from now on. Tracks go on, and so do regions that stay as they are."""
        lines, zones, labels = self._lines, self._zones, self._labels
        self.counters.follow(self._camera, camera)
        self._camera = camera
        self._lines = LineCrossings(camera.lines, self._table)
        self._zones = ZoneVisits(camera.zones, self._table, self.counters.zones)
        self._lines.go_on_from(lines)
        self._zones.go_on_from(zones)
        self._table.drop((*lines.columns, *zones.columns))
        self._region_classes = [zone.classes for zone in camera.zones]
        self._region_classes += [line.classes for line in camera.lines]
        self._labels = None
        if labels is not None:
            self.set_labels(labels)

    def set_labels(self, labels: tuple[str, ...]) -> None:
        """The names of the classes are known."""
        if labels == self._labels:
            return
        self._labels = labels
        self._general = class_mask(self._settings.classes, labels)
        self._lines.set_labels(labels)
        self._zones.set_labels(labels)
        masks = [self._general, *(class_mask(names, labels) for names in self._region_classes if names)]
        named = [mask for mask in masks if mask is not None]
        self._wanted = None if self._general is None else np.logical_or.reduce(named)

    def unknown_classes(self) -> list[str]:
        """Classes that the configuration names and the model does not have: nothing will ever happen to them."""
        named = {*self._settings.classes, *(name for names in self._region_classes for name in names)}
        return sorted(named - set(self._labels)) if self._labels is not None else []

    def state(self) -> dict[str, Any]:
        """For a status: what a successor needs to go on counting."""
        return {"counters": self.counters.to_json(), "next_group": self._groups.next_number}

    def advance(self, tracks: Tracks, removed_ids: I64, meta: ResultMeta) -> Events:
        """What has happened up to this frame, the most important first.

        tracks       of the frame, with the IDs that are published
        removed_ids  tracks that were given up

        The end of a stream and a notice of frames passed over hold no objects and say nothing about any.
        """
        if meta.flags & (FrameFlag.END_OF_STREAM | FrameFlag.NOTICE) or not (meta.width and meta.height):
            return Events.empty()
        self._time.advance(meta)
        sight, new = self._see(tracks, meta)
        found = self._gone(removed_ids, sight)
        found += self._appearances(sight)
        found += self._lines.advance(sight)
        found += self._zones.advance(sight)
        found += self._speeds.advance(sight)
        found += self._groups.advance(sight, self._time.usual_s)
        self._remember(sight, new)
        self.counters.count(found)
        counts = self._zones.changed_counts(sight.size_wh)
        self.counters.count(counts)
        self.counters.groups = len(self._groups)
        return as_events(found + counts)

    def _see(self, tracks: Tracks, meta: ResultMeta) -> tuple[Sight, Bools]:
        places = worth_a_look(tracks, self._wanted)
        track_ids, class_ids = tracks.track_ids[places], tracks.class_ids[places]
        boxes = tracks.boxes_xyxy[places].astype(np.float64)
        points = np.stack(((boxes[:, 0] + boxes[:, 2]) / 2.0, boxes[:, 3]), axis=1)
        heights = boxes[:, 3] - boxes[:, 1]
        rows, new = self._table.take(track_ids)
        before = np.where(new[:, None], points, self._anchors.data[rows] * (meta.width, meta.height))
        gap_s = np.where(new, 0.0, self._time.now_s - self._last_s.data[rows])
        sight = Sight(
            rows=rows, track_ids=track_ids, gids=tracks.gids[places], class_ids=class_ids,
            points_xy=points, before_xy=before, heights=heights,
            velocities=np.clip(tracks.velocities_xy[places].astype(np.float64), -MOST_PX_S, MOST_PX_S), gap_s=gap_s,
            joined=~new & self._joined(before, points, heights, gap_s),
            general=among(class_ids, self._general),
            now_s=self._time.now_s, size_wh=(meta.width, meta.height),
        )  # fmt: skip
        return sight, new

    def _joined(self, before: F64, points: F64, heights: F64, gap_s: F64) -> Bools:
        way = np.hypot(*(points - before).T)
        near: Bools = way <= (FREE_HEIGHTS + FASTEST_HEIGHTS_S * gap_s) * heights
        return near & (gap_s <= LONGEST_GAP_S) & (not self._time.broken)

    def _appearances(self, sight: Sight) -> list[Happening]:
        fresh = sight.general & ~self._appeared.data[sight.rows]
        self._appeared.data[sight.rows[fresh]] = True
        return [sight.happening(EventKind.APPEARED, place) for place in np.flatnonzero(fresh).tolist()]

    def _remember(self, sight: Sight, new: Bools) -> None:
        rows = sight.rows
        self._first_s.data[rows[new]] = sight.now_s
        self._last_s.data[rows] = sight.now_s
        self._anchors.data[rows] = sight.points_xy / sight.size_wh
        self._class_ids.data[rows] = sight.class_ids
        self._gids.data[rows] = sight.gids

    def _gone(self, removed_ids: I64, sight: Sight) -> list[Happening]:
        """Those who were given up, and those who were lost sight of for too long."""
        seen = set(sight.track_ids.tolist())
        gone = [each for each in removed_ids.tolist() if each in self._table and each not in seen]
        rows = self._table.rows()
        unseen = rows[~np.isin(rows, sight.rows)]
        age_s = sight.now_s - self._last_s.data[unseen]
        stale = unseen[age_s > FORGOTTEN_AFTER_S]
        if len(rows) > MOST_TRACKS:
            oldest = unseen[np.argsort(-age_s, kind="stable")]
            stale = np.union1d(stale, oldest[: len(rows) - MOST_TRACKS])
        gone += self._table.ids_of(stale)
        return [one for track_id in dict.fromkeys(gone) for one in self._forget(track_id, sight.size_wh)]

    def _forget(self, track_id: int, size_wh: tuple[int, int]) -> list[Happening]:
        row = self._table.row_of(track_id)
        last_s = float(self._last_s.data[row])
        x, y = (self._anchors.data[row] * size_wh).tolist()
        whom = Happening(
            EventKind.LEFT, (x, y), track_id, int(self._gids.data[row]), int(self._class_ids.data[row])
        )
        found = [
            whom._replace(kind=EventKind.EXITED, region=zone, value=last_s - since_s)
            for zone, since_s in self._zones.visits_of(row)
        ]
        if self._appeared.data[row]:
            found.append(whom._replace(value=last_s - float(self._first_s.data[row])))
        self._groups.forget(row)
        self._table.release(track_id)
        return found


def fitting(events: Events, room_bytes: int) -> Events:
    """The events that find room: the first ones, which matter most."""
    most = max(0, min(MOST_EVENTS, room_bytes // Events.BYTES_PER_EVENT))
    return events if len(events) <= most else events.first(most)
