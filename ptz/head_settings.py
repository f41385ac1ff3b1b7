"""What a head may do and how often: the settings of `ptz.head`, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.errors import PtzRefused

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """Rates, limits and patience of one camera's head.

    window_s            a turn ends by itself after this long, where the camera can do that
    renew_s             such a turn is renewed this often while it goes on
    resend_s            a turn without an end of its own is sent again this often
    most_commands_s     control requests in any second; stops do not count
    decision_life_s     a turn that nobody has confirmed for so long (`Head.want`, also with `Stay`) is stopped
    moving_status_s     time between two questions for the position while something turns
    idle_status_s       the same while nothing does
    stop_alarm_s        a head that still turns so long after a stop is an alarm
    not_moving_s        commands are obeyed by then, or the head counts as not moving
    retry_s             time between two tries to move a head that did not
    foreign_pause_s     how long somebody else at the head counts as an operator
    acceleration_deg_s2 what the head brakes with, for the braking distance before a limit
    reaction_s          time from a wish to its effect, for the same
    pan_limits_deg      (from, to) clockwise: the head stays in this part of the circle; None = everywhere
    tilt_limits_deg     (least, greatest) elevation
    zoom_limits         (least, greatest) ratio
    reserved_presets    numbers that are never called or stored, beside those that the camera tells
    allow_reserved_presets  call them all the same: somebody has asked for it
    probe               prove motion and stop by one short move before the first turn
    probe_level         speed of that move, on the scale of `Levels`

    Raises `PtzRefused`, one line, for a value that cannot be meant: NaN, limits the wrong way round, no time at all.
    """

    window_s: float = 0.6
    renew_s: float = 0.2
    resend_s: float = 0.4
    most_commands_s: int = 10
    decision_life_s: float = 0.6
    moving_status_s: float = 0.25
    idle_status_s: float = 2.0
    stop_alarm_s: float = 2.0
    not_moving_s: float = 2.0
    retry_s: float = 2.0
    foreign_pause_s: float = 10.0
    acceleration_deg_s2: float = 100.0
    reaction_s: float = 0.35
    pan_limits_deg: Range | None = None
    tilt_limits_deg: Range | None = None
    zoom_limits: Range | None = None
    reserved_presets: frozenset[int] = frozenset()
    allow_reserved_presets: bool = False
    probe: bool = True
    probe_level: int = 15

    def __post_init__(self) -> None:
        for name in _TIMES:
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise PtzRefused(f"{name} = {value}: must be a number above 0")
        if self.renew_s >= self.window_s:
            raise PtzRefused(f"renew_s = {self.renew_s}: must be less than window_s = {self.window_s}")
        if self.most_commands_s < 1:
            raise PtzRefused(f"most_commands_s = {self.most_commands_s}: must be 1 or more")
        if not 1 <= self.probe_level <= 100:
            raise PtzRefused(f"probe_level = {self.probe_level}: must be between 1 and 100")
        _check_pan(self.pan_limits_deg)
        _check_range("tilt_limits_deg", self.tilt_limits_deg, (-90.0, 90.0))
        _check_range("zoom_limits", self.zoom_limits, (1.0, 1000.0))


_TIMES = (
    "window_s", "renew_s", "resend_s", "decision_life_s", "moving_status_s", "idle_status_s", "stop_alarm_s",
    "not_moving_s", "retry_s", "foreign_pause_s", "acceleration_deg_s2", "reaction_s",
)  # fmt: skip


def _check_range(name: str, limits: Range | None, within: Range) -> None:
    if limits is None:
        return
    least, greatest = limits
    if not (math.isfinite(least) and math.isfinite(greatest)):
        raise PtzRefused(f"{name} = {least}, {greatest}: must be numbers")
    if least >= greatest:
        raise PtzRefused(f"{name} = {least}, {greatest}: the first must be less than the second")
    if least < within[0] or greatest > within[1]:
        raise PtzRefused(f"{name} = {least}, {greatest}: must lie within {within[0]:g} and {within[1]:g}")


def _check_pan(limits: Range | None) -> None:
    if limits is None:
        return
    if not all(math.isfinite(value) and -360 <= value <= 360 for value in limits):
        raise PtzRefused(f"pan_limits_deg = {limits[0]}, {limits[1]}: must be azimuths in degrees")
    if (limits[1] - limits[0]) % 360 == 0:
        raise PtzRefused(
            f"pan_limits_deg = {limits[0]}, {limits[1]}: no room to turn; leave it out to allow all of the circle"
        )
