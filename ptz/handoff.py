"""Which of several cameras over one scene follows a target, and where the next one should look beforehand.

Pure: what the cameras see goes in, owners come out. It does not know heads, processes or pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ptz.mapping import Mapping
from ptz.types import GoTo


@dataclass(frozen=True, slots=True)
class HandoffSettings:
    """When a target changes cameras.

    margin      another camera must be better by this share ...
    dwell_s     ... for this long; and an owner stays at least this long
    lost_s      an owner that has not seen the target for this long loses it to one who sees it
    ahead_s     how far ahead the next camera is pre-positioned
    forget_s    a target that nobody saw for this long has no owner
    """

    margin: float = 0.2
    dwell_s: float = 1.5
    lost_s: float = 0.5
    ahead_s: float = 2.5
    forget_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Station:
    """A PTZ camera of the scene: its name and where it can look (azimuth clockwise from, to; elevation from, to)."""

    camera: str
    pan_deg: tuple[float, float] | None = None
    tilt_deg: tuple[float, float] = (-90.0, 90.0)


@dataclass(frozen=True, slots=True)
class Bid:
    """What one camera says of one target at one moment.

    target      identity that all cameras agree on (gid); 0 = none: matched by mapped position
    pan_deg, tilt_deg      direction of its feet from this camera, with its speed
    height_deg  angular height of the body
    """

    camera: str
    time_s: float
    target: int
    pan_deg: float
    tilt_deg: float
    height_deg: float
    pan_deg_s: float = 0.0
    tilt_deg_s: float = 0.0
    seen: bool = True


@dataclass(frozen=True, slots=True)
class Owned:
    """A target and the camera that follows it.

    scores    of all cameras that see it or may see it soon
    prepare   cameras that shall look somewhere before the target is there
    """

    target: int
    owner: str
    since_s: float
    scores: dict[str, float] = field(default_factory=dict)
    prepare: dict[str, GoTo] = field(default_factory=dict)
    why: str = ""


class Handoff:
    """Ownership of targets by cameras."""

    def __init__(
        self,
        settings: HandoffSettings,
        stations: Sequence[Station],
        mappings: dict[tuple[str, str], Mapping] | None = None,
    ) -> None:
        """`mappings[(a, b)]`: from directions (or pixels) of camera `a` to directions of camera `b`."""

    def bid(self, bid: Bid) -> None:
        """A camera sees a target, or says that it does not any more (`seen=False`)."""

    def decide(self, now_s: float) -> list[Owned]:
        """Who follows whom now; at most one camera per target."""
        raise NotImplementedError
