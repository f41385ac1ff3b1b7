"""What can be set in following people: whom, how large, how long without them, and how far the head may turn.

Frozen values with the defaults that users of auto-framing cameras expect. Checked when they are made: a value that no
head can follow raises `PtzRefused` with one line. What they do is decided in `ptz.framing` and `ptz.follower`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from engine.errors import PtzRefused
from engine.registry import nearest

POLICIES = ("off", "group", "selected", "runner", "zone", "manual", "tour")
"""Names of the framing policies; `off` switches following off."""
RETURNS = ("preset", "start", "wide", "stay")
SCOPES = ("ptz", "pt", "p")

Range = tuple[float, float]


def _finite(settings: object) -> None:
    """Refuse numbers that are none, also within tuples."""
    for entry in fields(settings):  # type: ignore[arg-type]  # every settings class is a dataclass
        value = getattr(settings, entry.name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, float) and not math.isfinite(part):
                raise PtzRefused(f"{entry.name} must be a finite number, found {value}")


def _between(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise PtzRefused(f"{name} must be from {least:g} to {most:g}, found {value:g}")


def _rising(name: str, limits: Range, least: float, most: float) -> None:
    if not least <= limits[0] < limits[1] <= most:
        raise PtzRefused(
            f"{name} must rise from {least:g} or more to {most:g} or less, found ({limits[0]:g}, {limits[1]:g})"
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """How far the head may turn. Soft limits: kept by the follower, whatever the camera would allow.

    pan_deg    (from, to) azimuth clockwise; None = no limit. May run through north: (300, 60)
    tilt_deg   (least, greatest) elevation
    zoom       (least, greatest) ratio
    """

    pan_deg: Range | None = None
    tilt_deg: Range = (-90.0, 90.0)
    zoom: Range = (1.0, 1000.0)

    def __post_init__(self) -> None:
        _finite(self)
        if self.pan_deg is not None:
            for value in self.pan_deg:
                _between("pan_deg", value, -360.0, 360.0)
            if (self.pan_deg[1] - self.pan_deg[0]) % 360.0 == 0.0:
                raise PtzRefused(f"pan_deg must be two different directions, found {self.pan_deg}")
        _rising("tilt_deg", self.tilt_deg, -90.0, 90.0)
        _rising("zoom", self.zoom, 1.0, 1000.0)


@dataclass(frozen=True, slots=True)
class ZoomSettings:
    """How large people are shown, and what speaks against it.

    body_height        share of the picture's height that a person takes
    head_margin        least share of the picture's height above a head
    side_margin        least share of the picture's width left and right, above and below of a group
    lead               share of the picture's width that a target may cross in the time of one reaction
    stray              share of half a picture that a target's recent strays from the middle may take
    no_zoom_in_beyond  no zooming in while the target is further than this share of the width off the middle
    zoom_in_below, zoom_out_above  hysteresis on (wanted / present) field of view
    in_octaves_s, out_octaves_s    greatest speeds
    narrowest_deg      narrowest field of view
    memory_s           how long speed and strays of a target are remembered at full height
    """

    body_height: float = 0.45
    head_margin: float = 0.08
    side_margin: float = 0.12
    lead: float = 0.18
    stray: float = 0.7
    no_zoom_in_beyond: float = 0.15
    zoom_in_below: float = 0.9
    zoom_out_above: float = 1.1
    in_octaves_s: float = 0.5
    out_octaves_s: float = 1.0
    narrowest_deg: float = 2.0
    memory_s: float = 8.0

    def __post_init__(self) -> None:
        _finite(self)
        _between("body_height", self.body_height, 0.03, 0.9)
        _between("head_margin", self.head_margin, 0.0, 0.4)
        _between("side_margin", self.side_margin, 0.0, 0.4)
        _between("lead", self.lead, 0.02, 0.5)
        _between("stray", self.stray, 0.1, 1.0)
        _between("no_zoom_in_beyond", self.no_zoom_in_beyond, 0.02, 0.5)
        _between("zoom_in_below", self.zoom_in_below, 0.3, 1.0)
        _between("zoom_out_above", self.zoom_out_above, 1.0, 3.0)
        _between("in_octaves_s", self.in_octaves_s, 0.02, 5.0)
        _between("out_octaves_s", self.out_octaves_s, 0.02, 5.0)
        _between("narrowest_deg", self.narrowest_deg, 0.05, 90.0)
        _between("memory_s", self.memory_s, 0.5, 60.0)


@dataclass(frozen=True, slots=True)
class LossSettings:
    """What happens, step by step, after the target was last seen. Times in seconds since then.

    coast_s      going on as expected, ever more slowly; then the head stands
    widen_s      zooming out begins; 0 = never
    widen_by     by this ratio
    search       turn to where it went, after zooming out
    search_deg   by at most this much
    search_s     searching begins
    return_s     going back begins; 0 = never
    return_to    `preset`, `start` (where it looked before it began to follow, at its widest), `wide` (zoom out where it
                 stands) or `stay`
    return_preset  what the camera calls it; "" with `preset` = as `start`
    stall_s      no pictures at all for this long: slow down ...
    stall_stop_s ... to a stop within this
    """

    coast_s: float = 0.6
    widen_s: float = 1.5
    widen_by: float = 1.8
    search: bool = False
    search_deg: float = 40.0
    search_s: float = 3.0
    return_s: float = 8.0
    return_to: str = "preset"
    return_preset: str = ""
    stall_s: float = 0.5
    stall_stop_s: float = 0.2

    def __post_init__(self) -> None:
        _finite(self)
        _between("coast_s", self.coast_s, 0.0, 5.0)
        _between("widen_s", self.widen_s, 0.0, 600.0)
        _between("widen_by", self.widen_by, 1.0, 10.0)
        _between("search_deg", self.search_deg, 0.0, 180.0)
        _between("search_s", self.search_s, 0.0, 600.0)
        _between("return_s", self.return_s, 0.0, 3600.0)
        _between("stall_s", self.stall_s, 0.1, 5.0)
        _between("stall_stop_s", self.stall_stop_s, 0.0, 2.0)
        if self.return_to not in RETURNS:
            raise PtzRefused(f"return_to must be one of {', '.join(RETURNS)}, found {self.return_to!r}")


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """Who counts as a target.

    class_ids   empty = any
    least_score of a box
    confirm_s   how long someone must have been seen before a group counts with them
    forget_s    someone who was not seen for this long is forgotten
    most        targets remembered at the same time
    gate_bodies how far from where they are expected, in heights of their body, someone with a new ID may appear ...
    gate_bodies_s  ... and how much further for every second that they were not seen, to be taken for the same
    size_ratio  and by how much larger or smaller
    """

    class_ids: tuple[int, ...] = (0,)
    least_score: float = 0.3
    confirm_s: float = 0.25
    forget_s: float = 10.0
    most: int = 256
    gate_bodies: float = 0.5
    gate_bodies_s: float = 0.5
    size_ratio: float = 1.5

    def __post_init__(self) -> None:
        _finite(self)
        _between("least_score", self.least_score, 0.0, 1.0)
        _between("confirm_s", self.confirm_s, 0.0, 10.0)
        _between("forget_s", self.forget_s, 1.0, 600.0)
        _between("most", self.most, 1, 10000)
        _between("gate_bodies", self.gate_bodies, 0.05, 10.0)
        _between("gate_bodies_s", self.gate_bodies_s, 0.0, 10.0)
        _between("size_ratio", self.size_ratio, 1.0, 5.0)


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """The policy `group`.

    grace_s       a member who is not seen, or far from the others, is kept in the picture for this long
    outlier       a member further from the others than this many times their spread is an outlier; 0 = nobody is
    least_gap_deg nobody nearer to the others than this is an outlier
    shrink_s      time in which the edges follow the group inwards; outwards they follow at once
    lead_s        how far ahead the edges look where members move apart
    """

    grace_s: float = 2.0
    outlier: float = 4.0
    least_gap_deg: float = 12.0
    shrink_s: float = 2.0
    lead_s: float = 0.8

    def __post_init__(self) -> None:
        _finite(self)
        _between("grace_s", self.grace_s, 0.0, 60.0)
        _between("outlier", self.outlier, 0.0, 100.0)
        _between("least_gap_deg", self.least_gap_deg, 0.0, 180.0)
        _between("shrink_s", self.shrink_s, 0.0, 60.0)
        _between("lead_s", self.lead_s, 0.0, 5.0)


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """The policy `runner`: over how long a speed is measured, and what somebody else must do to take over."""

    over_s: float = 1.0
    faster_by: float = 0.3
    switch_s: float = 1.5
    least_deg_s: float = 2.0

    def __post_init__(self) -> None:
        _finite(self)
        _between("over_s", self.over_s, 0.2, 10.0)
        _between("faster_by", self.faster_by, 0.0, 5.0)
        _between("switch_s", self.switch_s, 0.0, 30.0)
        _between("least_deg_s", self.least_deg_s, 0.0, 60.0)


@dataclass(frozen=True, slots=True)
class ZoneSettings:
    """The policy `zone`: a part of the world, in angles. `box_deg` is (west, east, bottom, top), None = not set.

    follow  False: show all of the zone; True: show who is in it, and all of it when nobody is
    """

    box_deg: tuple[float, float, float, float] | None = None
    follow: bool = True

    def __post_init__(self) -> None:
        _finite(self)
        if self.box_deg is not None:
            west, east, bottom, top = self.box_deg
            _rising("the zone's bottom and top", (bottom, top), -90.0, 90.0)
            if not 0.0 < (east - west) % 360.0 <= 300.0:
                raise PtzRefused(
                    f"the zone must be 0 to 300° wide, from west to east, found {west:g} to {east:g}"
                )


@dataclass(frozen=True, slots=True)
class ManualSettings:
    """How an operator's commands end: following is resumed this long after the last one, 0 = not by itself."""

    resume_s: float = 10.0

    def __post_init__(self) -> None:
        _finite(self)
        _between("resume_s", self.resume_s, 0.0, 86400.0)


@dataclass(frozen=True, slots=True)
class TourSettings:
    """The policy `tour`.

    presets       what the camera calls them, in order
    dwell_s       time at each, from its call on
    interrupt     follow whoever is seen, and go on with the tour when they are gone
    """

    presets: tuple[str, ...] = ()
    dwell_s: float = 20.0
    interrupt: bool = False

    def __post_init__(self) -> None:
        _finite(self)
        _between("dwell_s", self.dwell_s, 2.0, 86400.0)


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """All of it.

    policy         whom to follow, one of `POLICIES`
    scope          axes that are moved: `ptz`, `pt` or `p`
    image_latency_s  age of a picture when it arrives, as far as that is known; measured by the follower from then on
    """

    policy: str = "group"
    scope: str = "ptz"
    image_latency_s: float = 0.25
    targets: TargetSettings = field(default_factory=TargetSettings)
    zoom: ZoomSettings = field(default_factory=ZoomSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    limits: Limits = field(default_factory=Limits)
    group: GroupSettings = field(default_factory=GroupSettings)
    runner: RunnerSettings = field(default_factory=RunnerSettings)
    zone: ZoneSettings = field(default_factory=ZoneSettings)
    manual: ManualSettings = field(default_factory=ManualSettings)
    tour: TourSettings = field(default_factory=TourSettings)

    def __post_init__(self) -> None:
        _finite(self)
        if self.policy not in POLICIES:
            raise PtzRefused(f"no framing policy {self.policy!r}; there are: {', '.join(POLICIES)}")
        if self.scope not in SCOPES:
            raise PtzRefused(f"scope must be one of {', '.join(SCOPES)}, found {self.scope!r}")
        _between("image_latency_s", self.image_latency_s, 0.0, 5.0)
        if self.policy == "zone" and self.zone.box_deg is None:
            raise PtzRefused("the policy 'zone' needs a zone: west, east, bottom and top in degrees")
        if self.policy == "tour" and not self.tour.presets:
            raise PtzRefused("the policy 'tour' needs presets")


def with_options(settings: FollowSettings, policy: str, options: Mapping[str, object]) -> FollowSettings:
    """These settings with another policy and some of its options changed, from outside: names and types are checked.

    Raises `PtzRefused` for an unknown policy or option, and for a value that cannot be meant.
    """
    if policy not in POLICIES:
        raise PtzRefused(
            f"no framing policy {policy!r}{nearest(policy, POLICIES)}; there are: {', '.join(POLICIES)}"
        )
    if not options:
        return replace(settings, policy=policy)
    part = getattr(settings, policy, None)
    if part is None:
        raise PtzRefused(f"the policy {policy!r} has no options, found {', '.join(options)}")
    known = {entry.name: getattr(part, entry.name) for entry in fields(part)}
    values = {}
    for name, value in options.items():
        if name not in known:
            raise PtzRefused(
                f"policy {policy}: no option {name!r}{nearest(name, known)}; there are: {', '.join(known)}"
            )
        values[name] = _like(known[name], value, f"policy {policy}: {name}")
    return replace(settings, policy=policy, **{policy: replace(part, **values)})


def _like(known: object, value: object, where: str) -> object:
    """A value of the type of the one that is known: numbers for numbers, tuples for lists."""
    if isinstance(known, bool):
        fits = isinstance(value, bool)
    elif isinstance(known, float):
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(value, int):
            value = float(value)
    elif isinstance(value, list | tuple):
        kinds = str if where.endswith("presets") else int | float
        fits = all(isinstance(part, kinds) and not isinstance(part, bool) for part in value)
        fits = fits and (kinds is str or len(value) == 4)
        value = tuple(part if isinstance(part, str) else float(part) for part in value) if fits else value
    else:
        fits = value is None and known is None
    if not fits:
        raise PtzRefused(f"{where} cannot be {value!r}")
    return value
