"""What has happened before a camera so far, in numbers that a successor goes on from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.config import CameraConfig
from engine.events.happenings import Happening
from engine.types import EventKind


@dataclass
class LineCount:
    """Crossings of one line."""

    left_to_right: int = 0
    right_to_left: int = 0


@dataclass
class ZoneCount:
    """Visits of one zone. At every moment `entries = exits + present`.

    told  the count that was reported last
    """

    entries: int = 0
    exits: int = 0
    dwells: int = 0
    present: int = 0
    told: int = 0


@dataclass
class Counters:
    """Everything that is counted for one camera.

    kinds   events by kind (a group counts once, not once a member)
    lost    events that found no room in a record
    groups  groups that there are now
    """

    lines: list[LineCount]
    zones: list[ZoneCount]
    kinds: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    groups: int = 0

    @classmethod
    def of(cls, lines: int, zones: int, before: Mapping[str, Any] | None = None) -> Counters:
        """Counters for so many lines and zones; from a predecessor's, where there was one.

        Whom the predecessor knew to be in a zone has gone with it: they are counted as having left, and enter again
        when they are seen again, under whatever ID.
        """
        counters = cls([LineCount() for _ in range(lines)], [ZoneCount() for _ in range(zones)])
        if not before:
            return counters
        for line, told in zip(counters.lines, before["lines"], strict=True):
            line.left_to_right, line.right_to_left = told
        for zone, told in zip(counters.zones, before["zones"], strict=True):
            zone.entries, zone.exits, zone.dwells, present, zone.told = told
            zone.exits += present
        counters.kinds.update(before["kinds"])
        counters.lost = before["lost"]
        return counters

    def follow(self, before: CameraConfig, after: CameraConfig) -> None:
        """Other regions from now on. One of the same name counts on; where it has been drawn anew, those in it are
        counted as having left, and enter again when they are seen in it.
        """
        lines = {line.name: count for line, count in zip(before.lines, self.lines, strict=True)}
        zones = {zone.name: (zone, count) for zone, count in zip(before.zones, self.zones, strict=True)}
        self.lines = [lines.get(line.name) or LineCount() for line in after.lines]
        self.zones = []
        for zone in after.zones:
            old, count = zones.get(zone.name, (zone, ZoneCount()))
            if old != zone:
                count = ZoneCount(count.entries, count.exits + count.present, count.dwells, 0, count.told)
            self.zones.append(count)

    def to_json(self) -> dict[str, Any]:
        """For a status: small, by place in the configuration; `of` reads it."""
        return {
            "lines": [[line.left_to_right, line.right_to_left] for line in self.lines],
            "zones": [
                [zone.entries, zone.exits, zone.dwells, zone.present, zone.told] for zone in self.zones
            ],
            "kinds": dict(self.kinds),
            "lost": self.lost,
            "groups": self.groups,
        }

    def count(self, happenings: list[Happening]) -> None:
        """Take down what has happened in a frame."""
        groups = set()
        for one in happenings:
            if one.kind == EventKind.GROUPED:
                groups.add(one.group)
                continue
            self.kinds[one.kind.name.lower()] += 1
            self._count_region(one)
        if groups:
            self.kinds["grouped"] += len(groups)

    def _count_region(self, one: Happening) -> None:
        if one.kind == EventKind.CROSSED:
            line = self.lines[one.region]
            line.left_to_right += one.value > 0
            line.right_to_left += one.value < 0
        elif one.kind == EventKind.ENTERED:
            self.zones[one.region].entries += 1
            self.zones[one.region].present += 1
        elif one.kind == EventKind.EXITED:
            self.zones[one.region].exits += 1
            self.zones[one.region].present -= 1
        elif one.kind == EventKind.DWELLED:
            self.zones[one.region].dwells += 1
