"""What a simulated camera says of where it points: in steps, now and then, and as wrong as its faults make it.

Knows the true pose as a function of time, and no protocol.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from ptz.simulator.faults import Faults
from ptz.simulator.profiles import DeviceProfile
from ptz.types import Pose, Status


class Reporter:
    """The reports of one device. Asked twice within a refresh, it says the same."""

    def __init__(
        self,
        profile: DeviceProfile,
        faults: Faults,
        seed: int,
        start_s: float,
        truth: tuple[Callable[[float], Pose], Callable[[float], bool]],
    ) -> None:
        self._profile = profile
        self._faults = faults
        self._seed = seed
        self._start_s = start_s
        self._true_pose, self._turns_at = truth

    def report(self, now_s: float, fine: bool) -> Status:
        """Position and move state, as told at this moment."""
        reporting = self._profile.reporting
        moving = self.moving(now_s)
        if not reporting.status:
            return Status(None, moving, False)
        pose = self._true_pose(self._taken_s(now_s))
        pan, tilt = self._wrong(pose, now_s)
        step = reporting.fine_deg if fine else reporting.quantum_deg
        zoom = max(_rounded(pose.zoom, reporting.quantum_zoom / (10 if fine else 1)), 1.0)
        zoomed = reporting.zoom and not self._faults.active("report_no_zoom", now_s)
        told = Pose(now_s, _rounded(pan, step), _rounded(tilt, step), zoom if zoomed else 1.0)
        return Status(told, moving, bool(zoomed))

    def moving(self, now_s: float) -> bool | None:
        """The move state, as told at this moment."""
        if not self._profile.reporting.moving or self._faults.active("moving_none", now_s):
            return None
        if self._faults.active("moving_stuck", now_s):
            return True
        return self._turns_at(self._taken_s(now_s))

    def _taken_s(self, now_s: float) -> float:
        """The moment that is reported."""
        if frozen := self._faults.active("report_frozen", now_s):
            now_s = max(frozen.start_s, self._start_s)
        reporting = self._profile.reporting
        refreshed = math.floor((now_s - self._start_s) / reporting.refresh_s + 1e-9) * reporting.refresh_s
        return self._start_s + max(refreshed - reporting.lag_s, 0.0)

    def _wrong(self, pose: Pose, now_s: float) -> tuple[float, float]:
        """Pan and tilt with what faults add."""
        pan, tilt = pose.pan_deg, pose.tilt_deg
        if offset := self._faults.active("report_offset", now_s):
            pan += offset.value
        if drift := self._faults.active("report_drift", now_s):
            pan += (drift.value or 0.02) * (now_s - drift.start_s)
        dice = random.Random(f"{self._seed} {pose.time_s:.6f}")  # noqa: S311 - repeats itself
        if noise := self._faults.active("report_noise", now_s):
            pan += dice.gauss(0.0, noise.value or 0.5)
            tilt += dice.gauss(0.0, noise.value or 0.5)
        pan %= 360.0
        if self._faults.active("report_wrap", now_s) and min(pan, 360.0 - pan) < 2.0:
            pan = dice.choice((0.0, 359.9))
        if self._faults.active("report_hundredths", now_s):
            pan, tilt = pan * 10.0, tilt * 10.0
        if self._faults.active("report_nan", now_s):
            pan, tilt = math.nan, math.nan
        return pan, tilt


def _rounded(value: float, step: float) -> float:
    """To the nearest step; what is no number stays so."""
    return round(round(value / step) * step, 6) if step and math.isfinite(value) else value
