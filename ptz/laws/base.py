"""The contract of a control law, and the registry of their names.

A law is told where the target is and has the log of the head's own motion; it decides a velocity (or a place to go to).
It knows nothing of people, framing or cameras, and never waits: times are given.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from engine.errors import PtzRefused
from engine.registry import import_siblings, nearest
from ptz.pose_log import PoseLog
from ptz.types import GoTo, Stay, Turn


@dataclass(frozen=True, slots=True)
class Aim:
    """What to centre, as known from pictures.

    time_s                       when the newest picture with the target was taken
    measured_pan_deg, measured_tilt_deg  direction of the aim point in that picture
    offset_x, offset_y           the same in that picture, as `geometry.normalised_offset`: (1, 1) = upper right corner
    pan_deg, tilt_deg            filtered direction at `time_s`
    pan_deg_s, tilt_deg_s        filtered velocity at `time_s`
    pan_sigma_deg_s, tilt_sigma_deg_s  how unsure that velocity is (standard deviation)
    pan_sigma_deg, tilt_sigma_deg      how unsure the filtered direction is
    zoom                         wanted zoom ratio, limits already applied
    hfov_deg                     horizontal field of view of the newest picture
    aspect                       width / height of the picture
    """

    time_s: float
    measured_pan_deg: float
    measured_tilt_deg: float
    offset_x: float
    offset_y: float
    pan_deg: float
    tilt_deg: float
    pan_deg_s: float
    tilt_deg_s: float
    pan_sigma_deg_s: float
    tilt_sigma_deg_s: float
    zoom: float
    hfov_deg: float
    pan_sigma_deg: float = 0.0
    tilt_sigma_deg: float = 0.0
    aspect: float = 16 / 9


class Law(ABC):
    """Decides where to turn. Subclasses name themselves: `class Predictive(Law, name="predictive")`.

    `Options` of a subclass is a frozen dataclass of numbers: its settings, with defaults.
    """

    laws: ClassVar[dict[str, type[Law]]] = {}
    Options: ClassVar[type[Any]]

    def __init_subclass__(cls, name: str = "") -> None:
        if name:
            Law.laws[name] = cls

    def __init__(self, options: Any = None) -> None:
        self.options = self.Options() if options is None else options

    @abstractmethod
    def decide(self, aim: Aim, log: PoseLog, now_s: float) -> Turn | GoTo | Stay:
        """What to do now. Called at every decision (10 Hz or less), also when `aim` is the same as before."""

    @abstractmethod
    def reset(self) -> None:
        """Forget what was decided: the target changed, was lost, or somebody else turned the head."""


def law_names() -> list[str]:
    """Names of all laws."""
    import_siblings("ptz.laws")
    return sorted(Law.laws)


def create_law(name: str = "predictive", options: Mapping[str, float] | None = None) -> Law:
    """The law of this name with some options changed.

    Raises `PtzRefused` for an unknown name or option, and for a value that is no finite number.
    """
    known = law_names()
    if name not in known:
        raise PtzRefused(f"no control law {name!r}{nearest(name, known)}; there are: {', '.join(known)}")
    law = Law.laws[name]
    names = [field.name for field in fields(law.Options)]
    for option, value in (options or {}).items():
        if option not in names:
            hint = nearest(option, names)
            raise PtzRefused(f"law {name}: no option {option!r}{hint}; there are: {', '.join(names)}")
        if not math.isfinite(value):
            raise PtzRefused(f"law {name}: {option} must be a finite number, found {value}")
    return law(law.Options(**(options or {})))
