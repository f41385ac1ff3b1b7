"""The policy `zone`: a part of the world, and who is in it."""

from __future__ import annotations

from collections.abc import Sequence

from ptz.framing.base import Choice, Framing, Moment
from ptz.framing.group import Group, flat_share
from ptz.framing.targets import Target
from ptz.geometry import wrap_deg
from ptz.settings import FollowSettings

SLACK = 0.1
"""Who is in the zone leaves it this share of its size beyond its edge."""


class Zone(Group, name="zone"):
    """Shows who is in the zone, as a group, and all of the zone while nobody is."""

    def __init__(self, settings: FollowSettings) -> None:
        super().__init__(settings)
        self._inside: set[int] = set()

    def choose(self, people: Sequence[Target], moment: Moment) -> Choice:
        """Whoever is inside, or the zone itself."""
        box = self.settings.zone.box_deg
        if box is None:
            return None
        grace_s = self.settings.group.grace_s
        inside = [
            one for one in people
            if one.confirmed and one.unseen_s(moment.time_s) <= grace_s and self._holds(one, moment)
        ]  # fmt: skip
        self._inside = {one.key for one in inside}
        if inside and self.settings.zone.follow:
            return self.frame(inside, moment)
        self._edges = None
        return self._whole(box, moment, len(inside))

    def _holds(self, target: Target, moment: Moment) -> bool:
        assert self.settings.zone.box_deg is not None
        west, east, bottom, top = self.settings.zone.box_deg
        slack = SLACK if target.key in self._inside else 0.0
        now = target.at(max(moment.time_s, target.time_s))
        wide, high = (east - west) % 360.0 or 360.0, top - bottom
        off_middle = abs(wrap_deg(now.pan_deg - (west + wide / 2)))
        return (
            off_middle <= wide * (0.5 + slack)
            and bottom - slack * high <= now.tilt_deg <= top + slack * high
        )  # fmt: skip

    def _whole(self, box: tuple[float, float, float, float], moment: Moment, inside: int) -> Framing:
        west, east, bottom, top = box
        wide, tilt_deg = (east - west) % 360.0 or 360.0, (bottom + top) / 2
        pan_deg = (west + wide / 2) % 360.0
        return Framing(
            members=(), time_s=moment.now_s, seen_s=moment.now_s,
            pan_deg=pan_deg, tilt_deg=tilt_deg, measured_pan_deg=pan_deg, measured_tilt_deg=tilt_deg,
            width_deg=wide * flat_share(tilt_deg), height_deg=top - bottom,
            why=f"showing the zone, {inside} people in it",
        )  # fmt: skip
