"""The contract of a framing policy: people in world angles go in, what shall be in the picture comes out.

A policy knows nothing of cameras, commands or zoom ratios; only whom to show, where they are, and how they move.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from engine.errors import PtzRefused
from engine.registry import import_siblings, nearest
from ptz.framing.targets import Target
from ptz.settings import FollowSettings
from ptz.types import GoToPreset, Pose


@dataclass(frozen=True, slots=True)
class Framing:
    """What shall be in the picture, in world angles.

    members       keys of the targets that are framed, empty for a place
    pan_deg, tilt_deg      middle; azimuth 0..360
    pan_deg_s, tilt_deg_s  its speed
    width_deg, height_deg  extent as seen from the camera (not in azimuth): who is framed, without margins
    body_deg      height of a body in it, 0 where there is none
    time_s        when its parts were measured
    why           one line for people
    single        one person: shown by the height of the body, the rest is for groups and places
    """

    members: tuple[int, ...]
    time_s: float
    pan_deg: float
    tilt_deg: float
    width_deg: float
    height_deg: float
    why: str
    pan_deg_s: float = 0.0
    tilt_deg_s: float = 0.0
    body_deg: float = 0.0
    single: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """What a policy may know besides the people: now, where the head points, what the lens reaches at its widest."""

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


def framing_of(target: Target, why: str) -> Framing:
    """One person, as measured and filtered."""
    return Framing(
        members=(target.key,), time_s=target.time_s, pan_deg=target.pan_deg, tilt_deg=target.tilt_deg,
        width_deg=target.width_deg, height_deg=target.height_deg, why=why,
        pan_deg_s=target.pan_deg_s, tilt_deg_s=target.tilt_deg_s, body_deg=target.height_deg, single=True,
    )  # fmt: skip
