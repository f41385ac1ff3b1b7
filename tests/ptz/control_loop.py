"""A small closed loop for tests of laws and latencies: one target, a simulated head, no head task, no people.

The picture is two numbers: where the target is seen. It arrives late, noisy and sometimes not at all.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from ptz.geometry import angles_to_pixel, normalised_offset, pixel_to_angles, wrap_deg
from ptz.latency import ImageLatency
from ptz.laws.base import Aim, Law, create_law
from ptz.lens import Lens
from ptz.pose_log import Plant, PoseLog
from ptz.predictor import TargetFilter
from ptz.simulator.device import Device
from ptz.simulator.profiles import PROFILES
from ptz.speed_table import SpeedTable
from ptz.types import F64, GoTo, Levels, Turn, Velocity, View

WIDTH, HEIGHT = 1280, 720
STEP_S = 0.005
START_S = 4.0

Path = Callable[[float], tuple[float, float]]
"""Azimuth and distance (m) of the target at a time."""


@dataclass
class Loop:
    """One run; see `run`. Times of the results begin at 0."""

    path: Path
    law: str = "predictive"
    hfov_deg: float = 40.0
    video_s: float = 0.33
    believed_s: float | None = None
    meter: ImageLatency | None = None
    seed: int = 1
    tilt_deg: float = -12.0
    wanted_zoom: float | None = None
    commands: list[tuple[float, Levels | GoTo]] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    off: list[float] = field(default_factory=list)
    panned: list[float] = field(default_factory=list)
    pan_deg: list[float] = field(default_factory=list)

    def run(self, duration_s: float) -> Loop:
        """Follow for so long."""
        profile = PROFILES["hik-8425ix"]
        self._dice = random.Random(self.seed)
        self._device = Device(profile, self.seed)
        self._lens = Lens(59.8, ((1.0, 59.8), (25.0, 3.3)))
        self._zoom = self._lens.zoom_of(self.hfov_deg)
        self._table = SpeedTable.family(profile.curve)
        self.log = PoseLog(Plant(tilt_range_deg=profile.tilt_range_deg, zoom_range=(1.0, 25.0)))
        self.target = TargetFilter()
        self._law: Law = create_law(self.law)
        self._aim: Aim | None = None
        self._sent = Levels()
        self._coming: list[tuple[float, float, float, float]] = []
        self._device.go_to(self.path(0.0)[0], self.tilt_deg, self._zoom, None, 0.0)
        due = {"picture": START_S, "status": START_S, "decision": START_S + 0.05}
        for tick in range(round(duration_s / STEP_S)):
            now_s = START_S + tick * STEP_S
            if now_s >= due["picture"]:
                due["picture"] += 1 / 15
                self._film(now_s)
            if now_s >= due["status"]:
                due["status"] += 0.1 + self._dice.uniform(-0.02, 0.02)
                status = self._device.report(now_s)
                assert status.pose is not None
                self.log.reported(status.pose, status.zoomed)
            while self._coming and self._coming[0][0] <= now_s:
                self._see(*self._coming.pop(0))
            if now_s >= due["decision"]:
                due["decision"] += 0.1
                self._decide(now_s)
        return self

    def _film(self, now_s: float) -> None:
        pose = self._device.true_pose(now_s)
        view = View(WIDTH, HEIGHT, pose.pan_deg, pose.tilt_deg, self._lens.hfov_deg(pose.zoom))
        pan, far_m = self.path(now_s - START_S)
        u, v, front = angles_to_pixel(pan, self.tilt_deg, view)
        self.times_s.append(now_s - START_S)
        self.off.append(u / WIDTH - 0.5 if front else 9.0)
        self.panned.append(self._device.velocity(now_s).pan_deg_s)
        self.pan_deg.append(pose.pan_deg)
        if front and 0 <= u <= WIDTH and 0 <= v <= HEIGHT and self._dice.random() > 0.05:
            noise = 0.003 * WIDTH
            size = math.degrees(1.75 / far_m) * math.exp(self._dice.gauss(0, 0.03))
            seen = (u + self._dice.gauss(0, noise), v + self._dice.gauss(0, noise), size)
            self._coming.append((now_s + self.video_s, *seen))

    def _see(self, arrived_s: float, u: float, v: float, size: float) -> None:
        latency_s = self.video_s if self.believed_s is None else self.believed_s
        if self.meter is not None:
            latency_s = self.meter.estimate(self.log, arrived_s) or latency_s
        pose = self.log.at(arrived_s - latency_s)
        hfov_deg = self._lens.hfov_deg(pose.zoom)
        pan, tilt = pixel_to_angles(u, v, View(WIDTH, HEIGHT, pose.pan_deg, pose.tilt_deg, hfov_deg))
        if self.meter is not None:
            self.meter.saw(arrived_s, wrap_deg(pan - pose.pan_deg), tilt - pose.tilt_deg)
        turning = self.log.velocity_at(pose.time_s)
        self.target.observe(pose.time_s, pan, tilt, size, math.hypot(turning.pan_deg_s, turning.tilt_deg_s))
        now = self.target.at(self.target.time_s)
        self._aim = Aim(
            time_s=now.time_s,
            measured_pan_deg=pan,
            measured_tilt_deg=tilt,
            offset_x=normalised_offset(u, v, WIDTH, HEIGHT)[0],
            offset_y=normalised_offset(u, v, WIDTH, HEIGHT)[1],
            pan_deg=now.pan_deg,
            tilt_deg=now.tilt_deg,
            pan_deg_s=now.pan_deg_s,
            tilt_deg_s=now.tilt_deg_s,
            pan_sigma_deg_s=now.pan_sigma_deg_s,
            tilt_sigma_deg_s=now.tilt_sigma_deg_s,
            zoom=self.wanted_zoom or self._zoom,
            hfov_deg=hfov_deg,
        )

    def _decide(self, now_s: float) -> None:
        decision: object = Turn(Velocity())
        if self._aim is not None and now_s - self._aim.time_s < 1.5:
            decision = self._law.decide(self._aim, self.log, now_s)
        if isinstance(decision, GoTo):
            self._device.go_to(decision.pan_deg, decision.tilt_deg, decision.zoom, decision.max_deg_s, now_s)
            self.log.went_to(now_s, decision)
            self.commands.append((now_s - START_S, decision))
        elif isinstance(decision, Turn):
            zoom = self.log.at(now_s).zoom
            levels = self._table.levels(decision.velocity, zoom)
            if levels != self._sent:
                self._sent = levels
                self._device.turn(levels, now_s)
                self.log.commanded(now_s, self._table.velocity(levels, zoom))
                self.commands.append((now_s - START_S, levels))

    def errors(self, from_s: float = 3.0) -> F64:
        """Offsets in widths of the picture, from a time on; 1 at most."""
        off: F64 = np.clip(np.array(self.off), -1.0, 1.0)
        return off[np.array(self.times_s) >= from_s]

    def rms(self, from_s: float = 3.0) -> float:
        """Of the offsets, widths of the picture."""
        return float(np.sqrt(np.mean(self.errors(from_s) ** 2)))

    def in_frame(self, from_s: float = 3.0) -> float:
        """Share of the time with the target in the picture."""
        return float(np.mean(np.abs(self.errors(from_s)) < 0.5))

    def commands_s(self) -> float:
        """Commands a second."""
        return len(self.commands) / self.times_s[-1]

    def reversals(self, from_s: float = 3.0) -> int:
        """How often the pan was told to go the other way."""
        signs = [
            np.sign(sent.pan)
            for at, sent in self.commands
            if isinstance(sent, Levels) and sent.pan and at > from_s
        ]
        return sum(a != b for a, b in pairwise(signs))


def to_and_fro(speed_m_s: float, far_m: float, half_m: float) -> Path:
    """Walking or running to and fro across the view, turning round in no time."""

    def path(time_s: float) -> tuple[float, float]:
        gone = (speed_m_s * time_s) % (4 * half_m)
        x = gone - half_m if gone < 2 * half_m else 3 * half_m - gone
        return math.degrees(math.atan2(x, far_m)), math.hypot(x, far_m)

    return path


def step(time_s: float) -> tuple[float, float]:
    """12° to the side in no time, after 6 s."""
    return (0.0 if time_s < 6 else 12.0), 12.0


def sway(time_s: float) -> tuple[float, float]:
    """Standing at 12 m, shifting from foot to foot."""
    return math.degrees(0.15 * math.sin(2 * math.pi * time_s / 4.0) / 12.0), 12.0
