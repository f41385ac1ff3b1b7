"""The law that is used unless another is asked for: predicts target and head to the moment the command acts.

Feed-forward of the target's velocity as far as it is significant, plus a proportional part on the predicted error, no
faster than the head can brake (after P. Corke and G. Hager's visual servoing with feed-forward). Few commands: a dead
zone with hysteresis on error and speed, and a turn goes on unchanged while the error it leads to stays in a tube.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ptz.geometry import STEEP_DEG, pan_share, tilt_in_plane, turn_deg
from ptz.laws.base import Aim, Law
from ptz.laws.zooming import Zooming
from ptz.pose_log import PoseLog
from ptz.types import Pose, Turn, Velocity

Pair = tuple[float, float]
SPIN_DEG, SPIN_SHARE = 42.0, 0.45
"""From this far below the horizon pan turns at no more than this share of full speed."""


@dataclass(frozen=True, slots=True)
class PredictiveOptions:
    """Settings. Shares are of the picture's width, so that they mean the same at every zoom.

    gain            1/s on the predicted error
    near_gain       the same while the error is less than `near_share`: what is that near is not worth a hurry
    near_share
    far_gain        1/s on what of the error is beyond `far_share`
    far_share
    start_share     the head begins to turn when the error is larger than this
    look_ahead_s    ... or will be in so much time, by the target's significant velocity
    tilt_zone       the dead zone of the tilt is so much of the pan's: pictures are less high than wide
    stop_share      it stands still again when the error is less than this
    stop_share_s    and the target slower than this, widths a second
    tube_share      a turn goes on unchanged while its error stays within this
    tube_s          ... and so much more for every width a second that the target does
    tube_ahead_s    looking so far ahead
    drift_share_s   and it drifts through the middle no faster than this, widths a second
    beyond          a faster one may go past the middle by this share of the tube
    least_approach  or while it brings the target nearer at no less than this share of the speed wanted
    trail_share     the head stays at most so far behind a target that would be lost if it turned round, and only
    trail_from      so far as its way back, seen too late by `trail_s` and the age of the picture, is longer than this
    trail_s         time to notice that a target turned round, and to turn the head round
    steep_ahead_s   steep below, pan turns to where the target will be in so much time
    horizon_s       velocity is not trusted for longer than this after the newest picture
    """

    gain: float = 2.2
    near_gain: float = 1.2
    near_share: float = 0.08
    far_gain: float = 4.0
    far_share: float = 0.12
    start_share: float = 0.055
    look_ahead_s: float = 0.25
    tilt_zone: float = 0.8
    stop_share: float = 0.033
    stop_share_s: float = 0.04
    tube_share: float = 0.04
    tube_s: float = 0.08
    tube_ahead_s: float = 0.2
    drift_share_s: float = 0.08
    beyond: float = 0.25
    least_approach: float = 0.5
    trail_share: float = 0.25
    trail_from: float = 0.43
    trail_s: float = 0.35
    steep_ahead_s: float = 0.8
    horizon_s: float = 1.2


class Predictive(Law, name="predictive"):
    """See the module."""

    Options = PredictiveOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._zooming = Zooming()
        self.reset()

    def reset(self) -> None:
        self._turns = [False, False]
        self._sent: Pair = (0.0, 0.0)
        self._zooming.reset()

    def decide(self, aim: Aim, log: PoseLog, now_s: float) -> Turn:
        options: PredictiveOptions = self.options
        ahead_s = now_s + log.command_latency_s
        since_s = max(ahead_s - aim.time_s, 0.0)
        speed = (0.0, 0.0)
        if since_s < options.horizon_s:
            speed = (
                _significant(aim.pan_deg_s, aim.pan_sigma_deg_s),
                _significant(aim.tilt_deg_s, aim.tilt_sigma_deg_s),
            )
        pose = log.at(ahead_s)
        error = self._error(aim, log, pose, min(since_s, options.horizon_s))
        share = pan_share(pose.tilt_deg)
        error, speed = (error[0] * share, error[1]), (speed[0] * share, speed[1])
        narrow = math.cos(math.radians(min(abs(aim.tilt_deg), 80.0)))
        error = (error[0] - self._trail(speed[0] * narrow, since_s, aim) / narrow, error[1])
        self._sent = self._turn(aim, log, error, speed)
        if max(abs(pose.tilt_deg), abs(aim.tilt_deg)) > SPIN_DEG:
            most = SPIN_SHARE * log.plant.most_deg_s[0]
            self._sent = (min(max(self._sent[0], -most), most), self._sent[1])
        return Turn(Velocity(*self._sent, self._zooming.decide(aim, log, now_s)))

    def _error(self, aim: Aim, log: PoseLog, pose: Pose, since_s: float) -> Pair:
        """How far target and head will be apart when the command acts: degrees of azimuth, degrees of elevation."""
        pan_deg = aim.pan_deg + since_s * aim.pan_deg_s
        pan = turn_deg(pose.pan_deg, pan_deg, log.plant.pan_range_deg)
        tilt_deg = aim.tilt_deg + since_s * aim.tilt_deg_s
        if abs(pose.tilt_deg) > STEEP_DEG:
            tilt_deg = tilt_in_plane(pan, tilt_deg)
            later_deg = _azimuth_below(aim, since_s + self.options.steep_ahead_s)
            pan = turn_deg(pose.pan_deg, later_deg, log.plant.pan_range_deg)
        low, high = log.plant.tilt_range_deg
        return pan, min(max(tilt_deg, low), high) - pose.tilt_deg

    def _trail(self, speed: float, since_s: float, aim: Aim) -> float:
        """How far to stay behind a target so fast that it would be out of the picture before its turning is noticed."""
        options: PredictiveOptions = self.options
        back = 2 * abs(speed) * (since_s + options.trail_s) - options.trail_from * aim.hfov_deg
        return math.copysign(min(max(back, 0.0), options.trail_share * aim.hfov_deg), speed)

    def _turn(self, aim: Aim, log: PoseLog, error: Pair, speed: Pair) -> Pair:
        """Pan and tilt speed for predicted errors and significant speeds of the target."""
        accel, width = log.plant.decel_deg_s2, aim.hfov_deg
        narrow = math.cos(math.radians(min(abs(aim.tilt_deg), 80.0)))
        wanted = []
        for axis, factor in ((0, narrow), (1, 1.0)):
            self._turns[axis] = self._turns_on(axis, error[axis] * factor, speed[axis] * factor, width)
            wanted.append(self._wanted(error[axis], speed[axis], width, accel) if self._turns[axis] else 0.0)
        if all(
            self._goes_on(axis, (error[axis], speed[axis], wanted[axis]), width, accel) for axis in (0, 1)
        ):
            return self._sent
        return wanted[0], wanted[1]

    def _turns_on(self, axis: int, error: float, speed: float, width: float) -> bool:
        """Whether an axis turns at all: a dead zone with hysteresis. `error` and `speed` as in the picture."""
        options: PredictiveOptions = self.options
        size = width if axis == 0 else options.tilt_zone * width
        fast = abs(speed) > options.stop_share_s * size
        if self._turns[axis]:
            return abs(error) > options.stop_share * size or fast
        later = abs(error + options.look_ahead_s * speed) if fast else 0.0
        return max(abs(error), later) > options.start_share * size

    def _wanted(self, error: float, speed: float, width: float, accel: float) -> float:
        """Speed of one axis."""
        options: PredictiveOptions = self.options
        size = abs(error)
        gain = options.near_gain if size < options.near_share * width else options.gain
        far = max(size - options.far_share * width, 0.0) * max(options.far_gain - options.gain, 0.0)
        most = abs(speed) + math.sqrt(accel * size)
        return min(max(speed + math.copysign(gain * size + far, error), -most), most)

    def _goes_on(self, axis: int, now: tuple[float, float, float], width: float, accel: float) -> bool:
        """Whether what an axis does need not be changed: every change is a command, and wear.

        `now` is its predicted error, the target's speed and the speed that would be best.
        """
        options: PredictiveOptions = self.options
        if not self._turns[axis] or not self._sent[axis]:
            return self._sent[axis] == now[2]
        error, speed, wanted = now
        nearing = self._sent[axis] - speed
        after = error - nearing * (options.tube_ahead_s + abs(nearing) / (2 * accel))
        tube = options.tube_share * width + options.tube_s * abs(speed)
        slow = abs(nearing) < options.drift_share_s * width + options.tube_s * abs(speed)
        if max(abs(after), abs(error)) < tube and (slow or after * error > 0):
            return True
        short = after * error > 0 or abs(after) < options.beyond * tube
        enough = abs(nearing) >= options.least_approach * abs(wanted - speed)
        return abs(after) < abs(error) and short and enough


def _azimuth_below(aim: Aim, ahead_s: float) -> float:
    """Azimuth of a target far below (or above) after a while of straight, even motion in its own plane.

    Near the nadir that is another thing than an even change of azimuth: who passes below is behind one a moment later.
    """
    tilt, pan = math.radians(aim.tilt_deg), math.radians(aim.pan_deg)
    if abs(tilt) < math.radians(SPIN_DEG):
        return aim.pan_deg + ahead_s * aim.pan_deg_s
    away = abs(1.0 / math.tan(tilt))
    outwards = math.copysign(math.radians(aim.tilt_deg_s), -tilt * aim.tilt_deg_s) / math.sin(tilt) ** 2
    round_ = away * math.radians(aim.pan_deg_s)
    east = away * math.sin(pan) + ahead_s * (outwards * math.sin(pan) + round_ * math.cos(pan))
    north = away * math.cos(pan) + ahead_s * (outwards * math.cos(pan) - round_ * math.sin(pan))
    return math.degrees(math.atan2(east, north))


def _significant(speed: float, sigma: float) -> float:
    """A speed as far as it can be told from none: w·v with w = v² / (v² + σ²)."""
    return speed**3 / (speed * speed + sigma * sigma) if speed else 0.0
