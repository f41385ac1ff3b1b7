"""The contract of a framing policy: people in world angles go in, what shall be in the picture comes out.

A policy knows nothing of cameras, commands or zoom ratios; only whom to show, where they are, and how they move.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from engine.errors import PtzRefused
from engine.registry import import_siblings, nearest
from ptz.framing.targets import Target
from ptz.settings import FollowSettings
from ptz.types import GoToPreset, Pose


@dataclass(frozen=True, slots=True)
class Framing:
    """What shall be in the picture, in world angles, as of `time_s`.

    members       keys of the targets that are framed, empty for a place
    seen_s        when one of them was last seen; a place is always seen
    pan_deg, tilt_deg      middle; azimuth 0..360
    pan_deg_s, tilt_deg_s  its speed
    measured_pan_deg, measured_tilt_deg  the middle by the newest measurements alone
    width_deg, height_deg  extent as seen from the camera (not in azimuth): who is framed, without margins
    body_deg      height of the tallest body in it, 0 where there is none
    why           one line for people
    """

    members: tuple[int, ...]
    time_s: float
    seen_s: float
    pan_deg: float
    tilt_deg: float
    measured_pan_deg: float
    measured_tilt_deg: float
    width_deg: float
    height_deg: float
    why: str
    pan_deg_s: float = 0.0
    tilt_deg_s: float = 0.0
    pan_sigma_deg: float = 0.0
    tilt_sigma_deg: float = 0.0
    pan_sigma_deg_s: float = 0.1
    tilt_sigma_deg_s: float = 0.1
    body_deg: float = 0.0

    @property
    def is_place(self) -> bool:
        """Nobody is in it: it neither moves nor gets lost."""
        return not self.members


@dataclass(frozen=True, slots=True)
class Moment:
    """What a policy may know besides the people.

    time_s      when the newest picture was taken; now_s: now
    pose        where the head points now
    widest_deg  horizontal field of view at the widest that is allowed
    aspect      width / height of the picture
    """

    time_s: float
    now_s: float
    pose: Pose
    widest_deg: float
    aspect: float


Choice = Framing | GoToPreset | None
"""None: nobody to follow."""


class Policy(ABC):
    """Whom to follow. Subclasses register a name: `class Group(Policy, name="group")`."""

    policies: ClassVar[dict[str, type[Policy]]] = {}

    def __init_subclass__(cls, name: str = "") -> None:
        if name:
            Policy.policies[name] = cls

    def __init__(self, settings: FollowSettings) -> None:
        self.settings = settings

    @abstractmethod
    def choose(self, people: Sequence[Target], moment: Moment) -> Choice:
        """What to show now. `people` are all targets that are remembered, also those not seen in this picture."""

    def explain(self) -> str:
        """What it waits for where it follows nobody, one line."""
        return "nobody is seen"


def create_policy(name: str, settings: FollowSettings) -> Policy:
    """Raises `PtzRefused` for an unknown name."""
    import_siblings("ptz.framing")
    try:
        return Policy.policies[name](settings)
    except KeyError:
        known = ", ".join(sorted(Policy.policies))
        raise PtzRefused(
            f"no framing policy {name!r}{nearest(name, Policy.policies)}; there are: {known}"
        ) from None


def name_of(target: Target) -> str:
    """How a target is called in a line for people."""
    return f"person {target.gid}" if target.gid else f"track {target.track_id}"


def framing_of(target: Target, time_s: float, why: str) -> Framing:
    """One person, as expected at `time_s`."""
    now = target.at(max(time_s, target.time_s))
    return Framing(
        members=(target.key,), time_s=now.time_s, seen_s=target.time_s,
        pan_deg=now.pan_deg, tilt_deg=now.tilt_deg,
        measured_pan_deg=target.pan_deg, measured_tilt_deg=target.tilt_deg,
        width_deg=target.width_deg, height_deg=target.height_deg, why=why,
        pan_deg_s=now.pan_deg_s, tilt_deg_s=now.tilt_deg_s,
        pan_sigma_deg=now.pan_sigma_deg, tilt_sigma_deg=now.tilt_sigma_deg,
        pan_sigma_deg_s=now.pan_sigma_deg_s, tilt_sigma_deg_s=now.tilt_sigma_deg_s, body_deg=target.height_deg,
    )  # fmt: skip


def field_of(extent_deg: float, share: float) -> float:
    """The field of view in which something of `extent_deg` in its middle takes `share` of the picture; at most 170."""
    half = math.tan(math.radians(min(extent_deg, 170.0) / 2)) / share
    return min(170.0, math.degrees(2 * math.atan(half)))


def across(vertical_deg: float, aspect: float) -> float:
    """The horizontal field of view of a picture with this vertical one; at most 170."""
    return min(170.0, math.degrees(2 * math.atan(math.tan(math.radians(vertical_deg) / 2) * aspect)))
