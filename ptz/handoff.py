"""Which of several cameras over one scene follows a target, and where the next one should look beforehand.

Pure: what the cameras see goes in, owners come out. A target is the same for two cameras by its identity (gid), or,
where there is none, by where a learned mapping puts it. It does not know heads, processes or pictures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping as Table
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from engine.errors import PtzRefused
from ptz.geometry import azimuth_deg, wrap_deg
from ptz.mapping import MappedDirection, Mapping
from ptz.types import GoTo

SIZE_DEG = 4.0
"""A body of this angular height scores half of what is possible for its size."""
RATE_DEG_S = 25.0
"""A target this fast across the view scores half of what is possible for its calm."""
EDGE_DEG = 10.0
"""A target this far from the end of what a camera reaches scores all for its place."""
STALE_S = 1.0
"""A bid is worth less and less, and nothing after this long."""
SAME_DEG = 3.0
"""Two bids without identity within this distance of where they are expected are of one target."""
MOST_TARGETS = 512


@dataclass(frozen=True, slots=True)
class HandoffSettings:
    """When a target changes cameras.

    margin      another camera must be better by this share ...
    dwell_s     ... for this long; and an owner stays at least this long
    lost_s      an owner that has not seen the target for this long (and for two of its pictures) loses it to one who
                sees it
    ahead_s     how far ahead the next camera is pre-positioned
    least_trust a mapping that is trusted less is not used
    body_m      height of people, for aiming at their middle where their feet are known
    forget_s    a target that nobody saw for this long has no owner

    Raises `PtzRefused` for what is no number or out of range.
    """

    margin: float = 0.2
    dwell_s: float = 1.5
    lost_s: float = 0.2
    ahead_s: float = 2.5
    least_trust: float = 0.2
    body_m: float = 1.7
    forget_s: float = 10.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not (math.isfinite(value) and 0.0 <= value <= 3600.0):
                raise PtzRefused(f"hand-over: {entry.name} must be from 0 to 3600, found {value}")


@dataclass(frozen=True, slots=True)
class Station:
    """A PTZ camera of the scene.

    pan_deg    (from, to) azimuth clockwise that it can look at, None = all around
    tilt_deg   (least, greatest) elevation
    height_m   above the ground, 0 = not known
    zoom       ratio to look with at where a target is expected
    """

    camera: str
    pan_deg: tuple[float, float] | None = None
    tilt_deg: tuple[float, float] = (-90.0, 90.0)
    height_m: float = 0.0
    zoom: float = 1.0

    def margin_deg(self, pan_deg: float, tilt_deg: float) -> float:
        """How far a direction is inside of what this camera can look at; negative outside."""
        margin = min(tilt_deg - self.tilt_deg[0], self.tilt_deg[1] - tilt_deg)
        if self.pan_deg is not None:
            first, last = self.pan_deg
            span = (last - first) % 360.0 or 360.0
            margin = min(margin, span / 2 - abs(wrap_deg(pan_deg - (first + span / 2))))
        return margin


@dataclass(frozen=True, slots=True)
class Bid:
    """What one camera says of one target at one moment.

    target      identity that all cameras agree on (gid); 0 = none: matched by mapped position
    pan_deg, tilt_deg      direction of its feet from this camera, with its speed
    height_deg  angular height of the body
    visible     share of the body that is seen
    """

    camera: str
    time_s: float
    target: int
    pan_deg: float
    tilt_deg: float
    height_deg: float
    pan_deg_s: float = 0.0
    tilt_deg_s: float = 0.0
    visible: float = 1.0
    seen: bool = True


@dataclass(frozen=True, slots=True)
class Owned:
    """A target and the camera that follows it.

    target    its gid; where there is none, a negative number of ours
    owner     "" while nobody has it
    scores    of all cameras that see it
    prepare   where cameras shall look that will see it soon
    """

    target: int
    owner: str
    since_s: float
    scores: dict[str, float] = field(default_factory=dict)
    prepare: dict[str, GoTo] = field(default_factory=dict)
    why: str = ""


@dataclass(slots=True)
class _Case:
    """One target: the newest bid of every camera, the owner, and who is about to become it."""

    target: int
    bids: dict[str, Bid] = field(default_factory=dict)
    seen_s: dict[str, float] = field(default_factory=dict)
    owner: str = ""
    since_s: float = -math.inf
    rival: str = ""
    rival_since_s: float = 0.0
    changes: int = 0

    @property
    def newest_s(self) -> float:
        return max(self.seen_s.values(), default=-math.inf)


@dataclass(slots=True)
class _Rhythm:
    """How often a camera says something."""

    interval_s: float = 0.0
    newest_s: float = -math.inf

    def heard(self, time_s: float) -> None:
        gap_s = time_s - self.newest_s
        if 0.0 < gap_s < 1.0:
            self.interval_s += 0.1 * (gap_s - self.interval_s)
        self.newest_s = max(self.newest_s, time_s)


class Handoff:
    """Ownership of targets by cameras. Remembers at most `MOST_TARGETS` targets."""

    def __init__(
        self,
        settings: HandoffSettings,
        stations: Sequence[Station],
        mappings: Table[tuple[str, str], Mapping] | None = None,
    ) -> None:
        """`mappings[(a, b)]`: from directions of feet seen by camera `a` to directions from camera `b`."""
        self.settings = settings
        self.stations = {station.camera: station for station in stations}
        self.mappings = dict(mappings or {})
        self.dropped = 0
        """Bids that were none: not finite, or of a camera that is not of this scene."""
        self._cases: dict[int, _Case] = {}
        self._next_own = -1
        self._newest_s = -math.inf
        self._rhythms: dict[str, _Rhythm] = {station.camera: _Rhythm() for station in stations}

    def bid(self, bid: Bid) -> None:
        """A camera sees a target, or says that it does not any more (`seen=False`)."""
        numbers = (
            bid.time_s,
            bid.pan_deg,
            bid.tilt_deg,
            bid.height_deg,
            bid.pan_deg_s,
            bid.tilt_deg_s,
            bid.visible,
        )
        if bid.camera not in self.stations or not all(map(math.isfinite, numbers)):
            self.dropped += 1
            return
        self._newest_s = max(self._newest_s, bid.time_s)
        self._rhythms[bid.camera].heard(bid.time_s)
        case = self._case_of(bid)
        before = case.bids.get(bid.camera)
        if before is not None and bid.time_s < before.time_s:
            return
        case.bids[bid.camera] = bid
        if bid.seen:
            case.seen_s[bid.camera] = bid.time_s

    def decide(self, now_s: float) -> list[Owned]:
        """Who follows whom now; one camera per target, and one target per camera where there are enough."""
        self._newest_s = min(self._newest_s, now_s)
        for target, case in list(self._cases.items()):
            if now_s - case.newest_s > self.settings.forget_s:
                del self._cases[target]
        return [self._decide(case, now_s) for case in self._cases.values()]

    def _case_of(self, bid: Bid) -> _Case:
        if bid.target:
            if bid.target not in self._cases:
                case = self._adopted(bid) or _Case(bid.target)
                case.target = bid.target
                self._make_room()
                self._cases[bid.target] = case
            return self._cases[bid.target]
        best, nearest = None, 1.0
        for case in self._cases.values():
            distance = self._distance(case, bid)
            if distance < nearest:
                best, nearest = case, distance
        if best is None:
            best = _Case(self._next_own)
            self._make_room()
            self._cases[self._next_own] = best
            self._next_own -= 1
        return best

    def _adopted(self, bid: Bid) -> _Case | None:
        """A target of ours without identity that now turns out to have this one."""
        for target, case in list(self._cases.items()):
            if target < 0 and self._distance(case, bid) < 1.0:
                return self._cases.pop(target)
        return None

    def _make_room(self) -> None:
        while len(self._cases) >= MOST_TARGETS:
            oldest = min(self._cases, key=lambda target: self._cases[target].newest_s)
            del self._cases[oldest]

    def _distance(self, case: _Case, bid: Bid) -> float:
        """How far a bid is from where this target is expected in its camera: below 1 where it may be the same."""
        best = math.inf
        for camera, known in case.bids.items():
            gone_s = bid.time_s - known.time_s
            if not -STALE_S <= gone_s <= STALE_S:
                continue
            expected = _moved(known, gone_s)
            room = SAME_DEG
            if camera != bid.camera:
                mapped = self._mapped(camera, bid.camera, expected)
                if mapped is None:
                    continue
                expected, room = (mapped.pan_deg, mapped.tilt_deg), SAME_DEG + 2 * mapped.sigma_deg
            flat = math.cos(math.radians(bid.tilt_deg))
            away = math.hypot(wrap_deg(bid.pan_deg - expected[0]) * flat, bid.tilt_deg - expected[1])
            best = min(best, away / room)
        return best

    def _mapped(self, camera: str, other: str, place: tuple[float, float]) -> MappedDirection | None:
        mapping = self.mappings.get((camera, other))
        mapped = None if mapping is None else mapping.direction(place)
        return mapped if mapped is not None and mapped.trust >= self.settings.least_trust else None

    def _decide(self, case: _Case, now_s: float) -> Owned:
        settings = self.settings
        # Ages are measured from the newest sight, not from now: pictures of all cameras are late.
        scores = {camera: self._score(bid) for camera, bid in case.bids.items()}
        scores = {camera: score for camera, score in scores.items() if score > 0}
        best = max(scores, key=lambda camera: (scores[camera], camera), default="")
        own = scores.get(case.owner, 0.0)
        lost = case.newest_s - case.seen_s.get(case.owner, -math.inf) > settings.lost_s
        if not case.owner or (best and lost and best != case.owner):
            self._give(case, best, now_s)
        elif best and best != case.owner and scores[best] > own * (1.0 + settings.margin):
            if case.rival != best:
                case.rival, case.rival_since_s = best, now_s
            patient = now_s - case.rival_since_s >= settings.dwell_s
            if patient and now_s - case.since_s >= settings.dwell_s:
                self._give(case, best, now_s)
        else:
            case.rival = ""
        prepare = self._prepare(case, scores, now_s)
        return Owned(
            case.target, case.owner, case.since_s, scores, prepare, _why(case, scores, prepare, now_s)
        )

    def _is_lost(self, case: _Case) -> bool:
        """Whether the owner is blind for a target that others see: longer than between its pictures."""
        patience_s = max(self.settings.lost_s, 2.2 * self._rhythms[case.owner].interval_s)
        return case.newest_s - case.seen_s.get(case.owner, -math.inf) > patience_s

    def _give(self, case: _Case, camera: str, now_s: float) -> None:
        case.changes += bool(case.owner)
        case.owner, case.since_s, case.rival = camera, now_s, ""

    def _score(self, bid: Bid) -> float:
        """0..1: how well this camera can follow, by size, calm, place and how fresh the sight is."""
        age_s = self._newest_s - bid.time_s
        if not bid.seen or age_s > STALE_S:
            return 0.0
        flat = math.cos(math.radians(bid.tilt_deg))
        rate = math.hypot(bid.pan_deg_s * flat, bid.tilt_deg_s) / RATE_DEG_S
        soon = _moved(bid, 1.0)
        station = self.stations[bid.camera]
        margin = min(station.margin_deg(bid.pan_deg, bid.tilt_deg), station.margin_deg(*soon))
        place = min(1.0, max(0.05, 0.05 + margin / EDGE_DEG))
        size = bid.height_deg / (bid.height_deg + SIZE_DEG)
        fresh = 1.0 - max(0.0, age_s - 0.3) / STALE_S
        return max(0.0, size * place * fresh * min(1.0, max(0.0, bid.visible)) / (1.0 + rate * rate))

    def _prepare(self, case: _Case, scores: Table[str, float], now_s: float) -> dict[str, GoTo]:
        """Where the cameras shall look that do not see the target yet and will soon have it in their part."""
        known = case.bids.get(case.owner)
        if known is None or now_s - known.time_s > STALE_S + self.settings.ahead_s:
            return {}
        prepared = {}
        for camera, station in self.stations.items():
            if camera == case.owner or camera in scores:
                continue
            place = _moved(known, now_s - known.time_s + self.settings.ahead_s)
            mapped = self._mapped(case.owner, camera, place)
            if mapped is None or station.margin_deg(mapped.pan_deg, mapped.tilt_deg) <= 0:
                continue
            tilt_deg = _middle_deg(mapped.tilt_deg, station.height_m, self.settings.body_m)
            prepared[camera] = GoTo(azimuth_deg(mapped.pan_deg), tilt_deg, station.zoom)
        return prepared


def _moved(bid: Bid, seconds: float) -> tuple[float, float]:
    """Where its feet will be."""
    return azimuth_deg(bid.pan_deg + bid.pan_deg_s * seconds), bid.tilt_deg + bid.tilt_deg_s * seconds


def _middle_deg(feet_deg: float, height_m: float, body_m: float) -> float:
    """Elevation of the middle of a body whose feet are seen at `feet_deg` from a camera `height_m` above the ground."""
    if not height_m or feet_deg >= 0:
        return feet_deg
    reach_m = height_m / math.tan(math.radians(-feet_deg))
    return math.degrees(math.atan2(body_m / 2 - height_m, reach_m))


def _why(case: _Case, scores: Table[str, float], prepare: Table[str, GoTo], now_s: float) -> str:
    if not case.owner:
        return "nobody sees it"
    told = ", ".join(f"{camera} {score:.2f}" for camera, score in sorted(scores.items()))
    line = f"{case.owner} for {now_s - case.since_s:.0f} s ({told or 'out of sight'})"
    if case.rival:
        line += f"; {case.rival} is better since {now_s - case.rival_since_s:.1f} s"
    return line + (f"; {', '.join(prepare)} gets ready" if prepare else "")
