"""Writes down a run of a simulated camera: where it pointed, where people were in its picture, how it turned."""

from __future__ import annotations

import numpy as np

from ptz.metrics import Series, Turning
from ptz.simulator.device import Device
from ptz.simulator.truth import Truth
from ptz.types import Pose


class Recorder:
    """Collects the moments of one camera.

    target_ids     who is to be shown; empty = everybody who is there
    wanted_height  share of the picture's height that they were to take, NaN = none was asked for
    """

    def __init__(self, target_ids: tuple[int, ...], wanted_height: float) -> None:
        self.target_ids = target_ids
        self.wanted_height = wanted_height
        self._rows: list[tuple[float, ...]] = []
        self._turning: list[tuple[float, float, float]] = []

    def picture(self, pose: Pose, truth: Truth, now_s: float) -> None:
        """A moment at which a picture was taken."""
        ids = np.asarray(self.target_ids)
        chosen = np.isin(truth.ids, ids) if len(ids) else np.ones(len(truth), bool)
        where = (now_s, pose.pan_deg, pose.tilt_deg, pose.zoom)
        if not chosen.any():
            nobody = (np.nan, np.nan, np.nan, np.nan, np.nan, np.nan)
            self._rows.append((*where, *nobody, 0.0, 0.0, 0.0, 0.0))
            return
        boxes, view = truth.full_boxes_xyxy[chosen].astype(float), truth.view
        front = bool(truth.in_front[chosen].all())
        pan, tilt = _middle(truth.pan_deg[chosen], truth.tilt_deg[chosen])
        x = (boxes[:, 0].min() + boxes[:, 2].max()) / 2 / view.width - 0.5 if front else np.nan
        y = (boxes[:, 1].min() + boxes[:, 3].max()) / 2 / view.height - 0.5 if front else np.nan
        height = float((boxes[:, 3] - boxes[:, 1]).max()) / view.height if front else np.nan
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        inside = truth.in_front[chosen] & ((centres >= 0) & (centres < (view.width, view.height))).all(axis=1)
        full, seen = truth.fully_in_frame[chosen].all(), (truth.visibility[chosen] > 0).any()
        self._rows.append((
            *where, pan, tilt, x, y, height, self.wanted_height,
            float(inside.all()), float(full), 1.0, float(seen),
        ))  # fmt: skip

    def turned(self, device: Device, from_s: float, to_s: float, step_s: float = 0.02) -> None:
        """How the head turned over some time that is past."""
        for at_s in np.arange(from_s, to_s - step_s / 2, step_s):
            velocity = device.velocity(float(at_s))
            self._turning.append((float(at_s), velocity.pan_deg_s, velocity.tilt_deg_s))

    def series(self) -> tuple[Series, Turning]:
        """All of it."""
        rows = np.array(self._rows, float).reshape(-1, 14).T
        time_s, pan, tilt, zoom, target_pan, target_tilt, x, y, height, wanted = rows[:10]
        flags = rows[10:].astype(bool)
        series = Series(
            time_s, _unwrapped(pan), tilt, zoom, _near(_unwrapped(target_pan), _unwrapped(pan)), target_tilt, x, y,
            height, wanted, *flags,
        )  # fmt: skip
        return series, Turning(*np.array(self._turning, float).reshape(-1, 3).T)


def _middle(pan_deg: np.ndarray, tilt_deg: np.ndarray) -> tuple[float, float]:
    """The direction in the middle of several."""
    pan, tilt = np.radians(pan_deg), np.radians(tilt_deg)
    east, north = (np.sin(pan) * np.cos(tilt)).mean(), (np.cos(pan) * np.cos(tilt)).mean()
    return float(np.degrees(np.arctan2(east, north))), float(
        np.degrees(np.arctan2(np.sin(tilt).mean(), np.hypot(east, north)))
    )


def _unwrapped(angles_deg: np.ndarray) -> np.ndarray:
    """Without jumps at north; NaN where it was."""
    known = np.isfinite(angles_deg)
    unwrapped = np.full_like(angles_deg, np.nan)
    unwrapped[known] = np.unwrap(angles_deg[known], period=360.0)
    return unwrapped


def _near(angles_deg: np.ndarray, others_deg: np.ndarray) -> np.ndarray:
    """The same angles, turned by whole circles so that they begin next to the others."""
    known = np.flatnonzero(np.isfinite(angles_deg))
    if not len(known):
        return angles_deg
    apart = angles_deg[known[0]] - others_deg[known[0]]
    return np.asarray(angles_deg - 360.0 * np.round(apart / 360.0))
