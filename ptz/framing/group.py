"""The policy `group`: everybody in one picture.

The box around all members grows with them at once and shrinks slowly, edge by edge, while it moves along with them.
Somebody far from the others is let go after a grace; where not all fit at the widest, the most that do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ptz.framing.base import Choice, Framing, Moment, Policy, framing_of, name_of
from ptz.framing.targets import Target
from ptz.geometry import wrap_deg
from ptz.predictor import Estimate
from ptz.settings import FollowSettings

NARROWEST_MARGIN = 0.03
"""A group that needs it is shown with no more than this share of the picture left and right."""


@dataclass(slots=True)
class Place:
    """A member at one moment; `pan_deg` and `east_deg_s` are degrees as seen, from a middle of the group."""

    target: Target
    now: Estimate
    pan_deg: float
    tilt_deg: float
    pan_deg_s: float
    tilt_deg_s: float

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """West, east, bottom, top."""
        wide, high = self.target.width_deg / 2, self.target.height_deg / 2
        return self.pan_deg - wide, self.pan_deg + wide, self.tilt_deg - high, self.tilt_deg + high


@dataclass(slots=True)
class _Edges:
    """The smoothed box: (west, east, bottom, top) from an azimuth, as degrees seen."""

    time_s: float
    azimuth_deg: float
    edges: list[float]


def flat_share(tilt_deg: float) -> float:
    """Degrees seen for a degree of azimuth at this elevation, not less than a tenth."""
    return max(0.1, math.cos(math.radians(tilt_deg)))


class Group(Policy, name="group"):
    """Everybody who is confirmed."""

    def __init__(self, settings: FollowSettings) -> None:
        super().__init__(settings)
        self._edges: _Edges | None = None
        self._members: set[int] = set()
        self._far_since: dict[int, float] = {}

    def choose(self, people: Sequence[Target], moment: Moment) -> Choice:
        """The box around all members, as expected at the time of the newest picture."""
        grace_s = self.settings.group.grace_s
        present = [one for one in people if one.confirmed and one.unseen_s(moment.time_s) <= grace_s]
        if not present:
            gone = [one for one in people if one.confirmed and one.key in self._members]
            self._edges = None
            return self._last_of(gone, moment)
        return self.frame(present, moment)

    def frame(self, present: Sequence[Target], moment: Moment) -> Choice:
        """The box around these people."""
        places = self._places(present, moment)
        near = self._without_outliers(places, moment)
        shown = self._fitting(near, moment)
        self._members = {place.target.key for place in shown}
        if len(shown) == 1 and len(present) == 1:
            self._edges = None
            return framing_of(shown[0].target, moment.time_s, f"following {name_of(shown[0].target)}")
        left_out = len(present) - len(shown)
        why = f"framing {len(shown)} people" + (f", {left_out} too far from them" if left_out else "")
        return self._around(shown, moment, why)

    def _last_of(self, gone: Sequence[Target], moment: Moment) -> Choice:
        """Whoever was seen last, so that it is known where they were lost."""
        if not gone:
            return None
        last = max(gone, key=lambda one: one.time_s)
        return framing_of(last, moment.time_s, f"{name_of(last)} is out of sight")

    def _places(self, people: Sequence[Target], moment: Moment) -> list[Place]:
        """Where all are, in degrees seen from the first one's azimuth."""
        estimates = [one.at(max(moment.time_s, one.time_s)) for one in people]
        first = moment.pose.pan_deg
        places = []
        for target, now in zip(people, estimates, strict=True):
            flat = flat_share(now.tilt_deg)
            pan_deg = wrap_deg(now.pan_deg - first) * flat
            places.append(Place(target, now, pan_deg, now.tilt_deg, now.pan_deg_s * flat, now.tilt_deg_s))
        return sorted(places, key=lambda place: place.pan_deg)

    def _without_outliers(self, places: list[Place], moment: Moment) -> list[Place]:
        """Without whoever has been far from all others for the grace; the others must be many."""
        group = self.settings.group
        far: set[int] = set()
        if group.outlier and len(places) >= 4:
            gaps = [after.pan_deg - before.pan_deg for before, after in pairwise(places)]
            for gap, lone, rest in ((gaps[0], places[0], gaps[1:]), (gaps[-1], places[-1], gaps[:-1])):
                usual = sum(rest) / len(rest)
                if gap > max(group.least_gap_deg, group.outlier * usual):
                    far.add(lone.target.key)
        self._far_since = {key: self._far_since.get(key, moment.time_s) for key in far}
        out = {key for key, since in self._far_since.items() if moment.time_s - since >= group.grace_s}
        return [place for place in places if place.target.key not in out]

    def _fitting(self, places: list[Place], moment: Moment) -> list[Place]:
        """The most of them that fit into the widest picture; those who were shown before are let go last."""
        room_deg = 2 * math.degrees(
            math.atan(math.tan(math.radians(moment.widest_deg) / 2) * (1 - 2 * NARROWEST_MARGIN))
        )
        best: list[Place] = []
        best_worth = -1.0
        for start in range(len(places)):
            west = places[start].edges[0]
            chosen = [place for place in places[start:] if place.edges[1] - west <= room_deg] or [
                places[start]
            ]
            kept = sum(place.target.key in self._members for place in chosen)
            worth = len(chosen) + 0.3 * kept + 0.001 * sum(place.target.height_deg for place in chosen)
            if worth > best_worth:
                best, best_worth = chosen, worth
        return best

    def _around(self, places: list[Place], moment: Moment, why: str) -> Framing:
        group = self.settings.group
        middle_speed = _middle_speed(places)
        wanted = [_edge(places, side, group.lead_s, middle_speed[side // 2]) for side in range(4)]
        edges = self._smooth(wanted, middle_speed, moment)
        middle_pan, middle_tilt = (edges[0] + edges[1]) / 2, (edges[2] + edges[3]) / 2
        flat = flat_share(middle_tilt)
        azimuth = moment.pose.pan_deg + middle_pan / flat
        # A box with more than one person has no middle that was measured: what is filtered stands for it.
        one = framing_of(places[0].target, moment.time_s, why)
        count = len(places)
        return replace(
            one,
            members=tuple(sorted(place.target.key for place in places)),
            seen_s=max(place.target.time_s for place in places),
            pan_deg=azimuth % 360.0, tilt_deg=middle_tilt,
            measured_pan_deg=azimuth % 360.0, measured_tilt_deg=middle_tilt,
            width_deg=edges[1] - edges[0], height_deg=edges[3] - edges[2],
            pan_deg_s=middle_speed[0] / flat, tilt_deg_s=middle_speed[1],
            pan_sigma_deg=max(place.now.pan_sigma_deg for place in places),
            tilt_sigma_deg=max(place.now.tilt_sigma_deg for place in places),
            pan_sigma_deg_s=math.sqrt(sum(place.now.pan_sigma_deg_s**2 for place in places) / count),
            tilt_sigma_deg_s=math.sqrt(sum(place.now.tilt_sigma_deg_s**2 for place in places) / count),
            body_deg=max(place.target.height_deg for place in places),
        )  # fmt: skip

    def _smooth(self, wanted: list[float], speed: tuple[float, float], moment: Moment) -> list[float]:
        """Edges that go outwards at once and inwards slowly, and along with the group."""
        before = self._edges
        edges = wanted
        if before is not None and moment.time_s - before.time_s < 2.0:
            passed_s = max(0.0, moment.time_s - before.time_s)
            flat = flat_share(sum(wanted[2:]) / 2)
            turned = wrap_deg(before.azimuth_deg - moment.pose.pan_deg) * flat
            shrink_s = self.settings.group.shrink_s
            gain = 1.0 - math.exp(-passed_s / shrink_s) if shrink_s else 1.0
            edges = []
            for side, sign in enumerate((-1, 1, -1, 1)):
                moved = before.edges[side] + speed[side // 2] * passed_s + (turned if side < 2 else 0.0)
                inwards = sign * (wanted[side] - moved) < 0
                edges.append(moved + (gain if inwards else 1.0) * (wanted[side] - moved))
        self._edges = _Edges(moment.time_s, moment.pose.pan_deg, list(edges))
        return edges


def _middle_speed(places: list[Place]) -> tuple[float, float]:
    """Speed of the group as a whole, degrees seen per second: that of its median member, unless they part."""
    pans = sorted(place.pan_deg_s for place in places)
    tilts = sorted(place.tilt_deg_s for place in places)
    return _median(pans), _median(tilts)


def _median(ordered: list[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _edge(places: list[Place], side: int, lead_s: float, middle_deg_s: float) -> float:
    """An outermost edge of the group where it will be soon, as far as a member moves out of the group."""
    sign = (-1, 1, -1, 1)[side]

    def ahead(place: Place) -> float:
        own = place.pan_deg_s if side < 2 else place.tilt_deg_s
        return place.edges[side] + sign * max(0.0, sign * (own - middle_deg_s)) * lead_s

    return max((ahead(place) for place in places), key=lambda edge: sign * edge)
