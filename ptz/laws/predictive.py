"""The law that is used unless another is asked for: predicts target and head to the moment the command acts.

Feed-forward of the target's velocity as far as it is significant, plus a proportional part on the predicted error, no
faster than the head can brake. Commands are few: a dead zone with hysteresis on error and speed, and a velocity that is
kept while it is about right. After P. Corke and G. Hager (visual servoing with feed-forward of target velocity).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ptz.geometry import STEEP_DEG, pan_share, tilt_in_plane, turn_deg
from ptz.laws.base import Aim, Law
from ptz.laws.zooming import Zooming, ZoomOptions
from ptz.pose_log import PoseLog
from ptz.types import Turn, Velocity


@dataclass(frozen=True, slots=True)
class PredictiveOptions:
    """Settings. Shares are of the picture's width, so that they mean the same at every zoom.

    gain            1/s on the predicted error
    start_share     the head begins to turn when the error is larger than this
    look_ahead_s    ... or will be in so much time, by the target's significant velocity
    stop_share      it stands still again when the error is less than this
    stop_share_s    and the target slower than this, widths a second
    hold_share_s    a change of speed smaller than this (widths a second), and
    hold            smaller than this share of the speed, is not worth a command
    horizon_s       velocity is not trusted for longer than this after the newest picture
    accel_deg_s2    of braking that is counted on; 0 = the head's own
    """

    gain: float = 2.5
    start_share: float = 0.055
    look_ahead_s: float = 0.25
    stop_share: float = 0.033
    stop_share_s: float = 0.04
    hold_share_s: float = 0.03
    hold: float = 0.1
    horizon_s: float = 1.2
    accel_deg_s2: float = 0.0


class Predictive(Law, name="predictive"):
    """See the module."""

    Options = PredictiveOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._zooming = Zooming(ZoomOptions())
        self.reset()

    def reset(self) -> None:
        self._turning = False
        self._sent = (0.0, 0.0)
        self._zooming.reset()

    def decide(self, aim: Aim, log: PoseLog, now_s: float) -> Turn:
        options: PredictiveOptions = self.options
        ahead_s = now_s + log.command_latency_s
        pose = log.at(ahead_s)
        since_s = min(max(ahead_s - aim.time_s, 0.0), options.horizon_s)
        fade = 1.0 if ahead_s - aim.time_s < options.horizon_s else 0.0
        speed = (
            fade * _significant(aim.pan_deg_s, aim.pan_sigma_deg_s),
            fade * _significant(aim.tilt_deg_s, aim.tilt_sigma_deg_s),
        )
        pan = turn_deg(pose.pan_deg, aim.pan_deg + since_s * aim.pan_deg_s, log.plant.pan_range_deg)
        tilt_deg = aim.tilt_deg + since_s * aim.tilt_deg_s
        share = pan_share(pose.tilt_deg)
        if share < 1:
            tilt_deg = tilt_in_plane(pan, tilt_deg)
        low, high = log.plant.tilt_range_deg
        error = (pan * share, min(max(tilt_deg, low), high) - pose.tilt_deg)
        speed = (speed[0] * share, speed[1])
        wanted = self._turn(aim, log, error, speed)
        if abs(pose.tilt_deg) > STEEP_DEG:
            most = log.plant.most_deg_s[0] / 2
            wanted = (min(max(wanted[0], -most), most), wanted[1])
        self._sent = wanted
        return Turn(Velocity(*wanted, self._zooming.decide(aim, log, now_s)))

    def _turn(
        self, aim: Aim, log: PoseLog, error: tuple[float, float], speed: tuple[float, float]
    ) -> tuple[float, float]:
        """Pan and tilt speed for predicted errors and significant speeds of the target."""
        options: PredictiveOptions = self.options
        width = aim.hfov_deg
        narrow = math.cos(math.radians(log_tilt(aim)))
        seen = (error[0] * narrow, error[1])
        off = math.hypot(*seen)
        fast = math.hypot(speed[0] * narrow, speed[1])
        later = math.hypot(
            seen[0] + options.look_ahead_s * speed[0] * narrow, seen[1] + options.look_ahead_s * speed[1]
        )
        if self._turning:
            self._turning = off > options.stop_share * width or fast > options.stop_share_s * width
        else:
            self._turning = max(off, later if fast > options.stop_share_s * width else 0.0) > (
                options.start_share * width
            )
        if not self._turning:
            return 0.0, 0.0
        accel = options.accel_deg_s2 or log.plant.decel_deg_s2
        wanted = []
        for axis in (0, 1):
            most = abs(speed[axis]) + math.sqrt(accel * abs(error[axis]))
            wanted.append(min(max(speed[axis] + options.gain * error[axis], -most), most))
        return self._held((wanted[0], wanted[1]), width)

    def _held(self, wanted: tuple[float, float], width: float) -> tuple[float, float]:
        """What was decided before, while it is about right: every change is a command."""
        options: PredictiveOptions = self.options
        slack = max(options.hold_share_s * width, options.hold * math.hypot(*self._sent))
        if any(self._sent) and math.dist(wanted, self._sent) < slack:
            return self._sent
        return wanted


def log_tilt(aim: Aim) -> float:
    """Elevation at which a degree of azimuth is measured in the picture, kept away from the pole."""
    return min(abs(aim.tilt_deg), 80.0)


def _significant(speed: float, sigma: float) -> float:
    """A speed as far as it can be told from none: w·v with w = v² / (v² + σ²)."""
    return speed**3 / (speed * speed + sigma * sigma) if speed else 0.0
