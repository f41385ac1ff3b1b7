"""Measures what a camera's levels are in degrees a second, level by level and zoom by zoom, and how late it obeys.

One run: turn at a level for a moment, watch the reported position, stop, wait until it stands. The procedure is a
coroutine that only ever waits; it may be cancelled at any moment (the head is stopped first) and goes on from its JSON
later. The fits are functions of what was recorded and know nothing of cameras.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from engine.errors import PtzBusy, PtzError, PtzUnsupported
from ptz.drivers.base import PtzDriver
from ptz.geometry import turn_deg, wrap_deg
from ptz.latency import Median, command_latency_s
from ptz.pose_log import Plant
from ptz.speed_table import AXES, AxisTable, SpeedTable
from ptz.types import Capabilities, Levels, Pose

Answer = TypeVar("Answer")
Where = Callable[[], Awaitable[Pose]]
LIMIT_MARGIN_DEG = 5.0
STOP_TRIES = 3
STILL = {"pan": 0.12, "tilt": 0.12, "zoom": 0.03}
"""Slower than this is standing still: °/s, octaves/s."""


@dataclass(frozen=True, slots=True)
class CalibrationPlan:
    """What is measured.

    levels, zooms   zooms beyond the camera's are left out, and its greatest is added
    zoom_levels     of the zoom motor
    run_s           how long a run takes; less where a limit is near
    ramp_s          left out of the fit at its begin
    poll_s          between questions for the position
    settle_s        the position must stay for this long before the next run
    """

    levels: tuple[int, ...] = (5, 10, 20, 35, 50, 70, 100)
    zooms: tuple[float, ...] = (1.0, 3.0, 10.0, math.inf)
    zoom_levels: tuple[int, ...] = (20, 50, 100)
    run_s: float = 1.5
    ramp_s: float = 0.5
    poll_s: float = 0.1
    settle_s: float = 0.4


QUICK = CalibrationPlan(levels=(5, 20, 50, 100), zooms=(1.0,), zoom_levels=(50, 100))
"""Fewer levels, widest zoom only: the fall of speed with zoom stays unknown."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run found. `speed` None: why not is in `reason`."""

    axis: str
    zoom: float
    level: int
    speed: float | None
    reason: str = ""
    latency_s: float | None = None


@dataclass
class Calibration:
    """The procedure over one opened driver. `run` it; `to_json` is its state at any time, and its result.

    driver  opened
    now     the clock
    where   asked for the position; None = the camera's status. Where a camera tells none, give what image motion adds
            up to: a `Pose` whose angles need no right zero
    saved   called with the state after every run
    """

    driver: PtzDriver
    now: Callable[[], float]
    plan: CalibrationPlan = field(default_factory=CalibrationPlan)
    where: Where | None = None
    saved: Callable[[dict[str, Any]], None] = lambda state: None
    runs: list[Run] = field(default_factory=list)

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises ValueError where it is none, or of another camera."""
        try:
            device = self.driver.capabilities.device
            if state["device"] != device:
                raise ValueError(f"the measured speeds are those of {state['device']!r}, not of {device!r}")
            self.runs = [Run(**run) for run in state["runs"]]
        except (KeyError, TypeError) as error:
            raise ValueError(f"no state of a calibration: {type(error).__name__}: {error}") from error

    @property
    def progress(self) -> tuple[int, int]:
        """(runs done, runs in all)."""
        steps = self._steps()
        done = {(run.axis, run.zoom, run.level) for run in self.runs}
        return sum(step in done for step in steps), len(steps)

    @property
    def command_latency_s(self) -> float | None:
        """From sending a command until the head begins to move, where enough runs agree."""
        median = Median(most=99)
        for run in self.runs:
            median.add(run.latency_s)
        return median.value_s

    def table(self) -> SpeedTable:
        """The measured speeds. Raises ValueError while there is an axis that was never seen to move."""
        return fit_table(self.runs, f"measured on {self.driver.capabilities.device}")

    def to_json(self) -> dict[str, Any]:
        """State and, as soon as there is one, the table that `SpeedTable.from_json` reads."""
        state: dict[str, Any] = {
            "device": self.driver.capabilities.device,
            "runs": [asdict(run) for run in self.runs],
        }
        state["command_latency_s"] = self.command_latency_s
        try:
            return {**self.table().to_json(), **state}
        except ValueError:
            return state

    async def run(self) -> SpeedTable:
        """Measure what is missing, put the head back, and return the table.

        Raises `PtzUnsupported` without a position to watch, what the driver raises (`PtzBusy` only after some tries),
        and ValueError where nothing moved. Cancelled or failed, the head is stopped before this returns.
        """
        if self.where is None and not self.driver.capabilities.status:
            raise PtzUnsupported("the camera tells no position: speeds can only be measured by image motion")
        done = {(run.axis, run.zoom, run.level) for run in self.runs}
        left = [step for step in self._steps() if step not in done]
        home = await self._position()
        try:
            for axis, zoom, level in left:
                if axis == "zoom":
                    found = await self._zoom_run(level)
                else:
                    await self._zoom_to(zoom)
                    found = await self._pan_tilt_run(axis, zoom, level, home)
                self.runs.append(found)
                self.saved(self.to_json())
            await self._zoom_to(home.zoom)
            if self.driver.capabilities.absolute:
                await self._patiently(
                    partial(self.driver.absolute, home.pan_deg, home.tilt_deg, home.zoom, None)
                )
                await self._settled(10.0)
        finally:
            await asyncio.shield(self._stop())
        return self.table()

    def _steps(self) -> list[tuple[str, float, int]]:
        moves, most = self.driver.capabilities.moves, self.driver.capabilities.zoom_range[1]
        zooms = sorted({min(zoom, most) for zoom in self.plan.zooms}) if "zoom" in moves else [1.0]
        steps: list[tuple[str, float, int]] = [
            (axis, zoom, level)
            for zoom in zooms
            for level in self.plan.levels
            for axis in ("pan", "tilt")
            if axis in moves
        ]
        if "zoom" in moves and most > 1:
            steps = [("zoom", 1.0, level) for level in self.plan.zoom_levels] + steps
        return steps

    # One run

    async def _pan_tilt_run(self, axis: str, zoom: float, level: int, home: Pose) -> Run:
        here = await self._position()
        expected = self._expected(axis, zoom, level)
        sign, room = _direction(axis, here, home, self.driver.capabilities)
        if axis == "tilt" and room < expected * self.plan.run_s:
            sign, room = await self._to_an_end(here, room)
        lasts_s = min(self.plan.run_s, room / expected)
        if lasts_s < self.plan.ramp_s + 3 * self.plan.poll_s:
            return Run(axis, zoom, level, None, f"only {room:.0f}° to the limit")
        levels = Levels(pan=sign * level) if axis == "pan" else Levels(tilt=sign * level)
        times, poses, sent_s = await self._turn(levels, lasts_s, room if axis == "tilt" else math.inf)
        places = _unwrapped(poses) if axis == "pan" else [pose.tilt_deg for pose in poses]
        speed, reason = fit_speed(times, places, sent_s + self.plan.ramp_s, STILL[axis])
        latency_s = command_latency_s(times, places, sent_s, Plant()) if speed and speed > 5 else None
        return Run(axis, zoom, level, speed, reason, latency_s)

    async def _to_an_end(self, here: Pose, room: float) -> tuple[int, float]:
        """Go to the nearer end of the tilt, where the camera can be told to, for the most room."""
        can = self.driver.capabilities
        low, high = can.tilt_range_deg[0] + LIMIT_MARGIN_DEG, can.tilt_range_deg[1] - LIMIT_MARGIN_DEG
        upwards = here.tilt_deg - low < high - here.tilt_deg
        if not can.absolute:
            return (1 if upwards else -1), room
        end = low if upwards else high
        await self._patiently(partial(self.driver.absolute, here.pan_deg, end, here.zoom, None))
        await self._settled(10.0)
        return (1 if upwards else -1), high - low

    async def _zoom_run(self, level: int) -> Run:
        """In from the widest view; by the reported ratio."""
        await self._zoom_to(self.driver.capabilities.zoom_range[0])
        times, poses, sent_s = await self._turn(Levels(zoom=level), self.plan.run_s, math.inf)
        most = math.log2(self.driver.capabilities.zoom_range[1]) - 0.05
        seen = [
            (time_s, math.log2(pose.zoom)) for time_s, pose in zip(times, poses, strict=True) if pose.zoom > 0
        ]
        inside = [entry for entry in seen if entry[1] < most]
        speed, reason = fit_speed(
            [at for at, _ in inside],
            [octaves for _, octaves in inside],
            sent_s + self.plan.ramp_s,
            STILL["zoom"],
        )
        return Run("zoom", 1.0, level, speed, reason)

    async def _turn(
        self, levels: Levels, lasts_s: float, room_deg: float
    ) -> tuple[list[float], list[Pose], float]:
        """Turn for a while and watch; always ends with a stop and a head that stands."""
        start = await self._settled()
        times, poses = [self.now()], [start]
        sent_s = self.now()
        try:
            await self._patiently(lambda: self.driver.move(levels, lasts_s + 1.0))
            while self.now() < sent_s + lasts_s:
                await asyncio.sleep(self.plan.poll_s)
                pose = await self._position()
                times.append(pose.time_s)
                poses.append(pose)
                step_deg = abs(pose.tilt_deg - poses[-2].tilt_deg)
                if abs(pose.tilt_deg - start.tilt_deg) + 3 * step_deg > room_deg:
                    break
        finally:
            await asyncio.shield(self._stop())
        await self._settled()
        return times, poses, sent_s

    def _expected(self, axis: str, zoom: float, level: int) -> float:
        """About how fast this run will be, from the runs before it; a guess on the safe side where there were none."""
        known = [
            run.speed * level / run.level
            for run in self.runs
            if run.axis == axis and run.speed and run.zoom <= zoom and run.level <= level
        ]
        return 1.3 * max(known[-2:]) if known else 2.0 * level

    async def _zoom_to(self, zoom: float) -> None:
        """By a move to a position, else by turning the zoom until it is reached."""
        here = await self._position()
        if abs(math.log2(max(zoom, 1.0) / max(here.zoom, 1.0))) < 0.05:
            return
        if self.driver.capabilities.absolute:
            await self._patiently(lambda: self.driver.absolute(here.pan_deg, here.tilt_deg, zoom, None))
            await self._settled(10.0)
            return
        sign = 1 if zoom > here.zoom else -1
        until_s = self.now() + 12.0
        try:
            while (zoom - here.zoom) * sign > 0.03 * zoom and self.now() < until_s:
                level = 40 * sign if abs(math.log2(zoom / here.zoom)) > 0.4 else 10 * sign
                await self._patiently(partial(self.driver.move, Levels(zoom=level), 1.0))
                await asyncio.sleep(self.plan.poll_s)
                here = await self._position()
        finally:
            await asyncio.shield(self._stop())
        await self._settled()

    async def _settled(self, limit_s: float = 4.0) -> Pose:
        """Wait until the position stays; where it never does, go on after `limit_s`."""
        until_s = self.now() + limit_s
        pose = await self._position()
        since_s = self.now()
        while self.now() < until_s and self.now() - since_s < self.plan.settle_s:
            await asyncio.sleep(self.plan.poll_s)
            before, pose = pose, await self._position()
            moved = abs(wrap_deg(pose.pan_deg - before.pan_deg)) + abs(pose.tilt_deg - before.tilt_deg)
            if moved > 0.15 or abs(pose.zoom - before.zoom) > 0.02 * before.zoom:
                since_s = self.now()
        return pose

    async def _position(self) -> Pose:
        if self.where is not None:
            return await self.where()
        for _ in range(5):
            status = await self._patiently(self.driver.status)
            if status.pose is not None and math.isfinite(status.pose.pan_deg + status.pose.tilt_deg):
                return status.pose
            await asyncio.sleep(self.plan.poll_s)
        raise PtzUnsupported("the camera tells no position")

    async def _patiently(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask again, ever later, while the camera is busy."""
        for wait_s in (0.1, 0.2, 0.4, 0.8):
            try:
                return await ask()
            except PtzBusy:
                await asyncio.sleep(wait_s)
        return await ask()

    async def _stop(self) -> None:
        """Stop, and try again where that fails; the last failure is raised."""
        for tries in range(STOP_TRIES):
            try:
                await self.driver.stop()
                return
            except PtzError:
                if tries == STOP_TRIES - 1:
                    raise
                await asyncio.sleep(0.1)


def _direction(axis: str, here: Pose, home: Pose, can: Capabilities) -> tuple[int, float]:
    """(sign, degrees of room): back towards where it began, unless there is more room on the other side."""
    if axis == "pan":
        back = wrap_deg(home.pan_deg - here.pan_deg)
        if can.pan_range_deg is None:
            return (1 if back >= 0 else -1), math.inf
        first, last = can.pan_range_deg
        up = turn_deg(here.pan_deg, last, can.pan_range_deg)
        down = -turn_deg(here.pan_deg, first, can.pan_range_deg)
    else:
        up, down = can.tilt_range_deg[1] - here.tilt_deg, here.tilt_deg - can.tilt_range_deg[0]
    return (1, up - LIMIT_MARGIN_DEG) if up >= down else (-1, down - LIMIT_MARGIN_DEG)


def _unwrapped(poses: Sequence[Pose]) -> list[float]:
    return [float(pan) for pan in np.unwrap([pose.pan_deg for pose in poses], period=360.0)]


def fit_speed(
    times_s: Sequence[float], positions: Sequence[float], from_s: float, still: float
) -> tuple[float | None, str]:
    """(speed, "") of an even turn from reports after `from_s`, or (None, why not). Repeated reports are left out.

    The median of the slopes between all pairs (Theil and Sen): a wild report or two change nothing.
    """
    points = [
        (at, place)
        for at, place in zip(times_s, positions, strict=True)
        if at >= from_s and math.isfinite(place)
    ]
    if len(points) < 4:
        return None, f"only {len(points)} reports"
    if max(place for _, place in points) == min(place for _, place in points):
        return 0.0, ""
    fresh = [points[0], *(new for old, new in pairwise(points) if new[1] != old[1])]
    if len(fresh) < 3:
        fresh = [points[0], points[-1]]
    slopes = [
        (b[1] - a[1]) / (b[0] - a[0])
        for index, a in enumerate(fresh)
        for b in fresh[index + 1 :]
        if b[0] > a[0]
    ]
    speed = float(np.median(slopes))
    if abs(speed) < still:
        return 0.0, ""
    off = [place - fresh[0][1] - speed * (at - fresh[0][0]) for at, place in fresh]
    spread = float(np.median(np.abs(np.array(off) - np.median(off))))
    if spread > max(0.05 * abs(speed) * (fresh[-1][0] - fresh[0][0]), 0.1):
        return None, "it did not turn evenly"
    return abs(speed), ""


def fit_table(runs: Sequence[Run], source: str) -> SpeedTable:
    """The table of all runs that found a speed. Raises ValueError where an axis was never seen to move.

    Speeds that fall as the level rises are noise: neighbours are then averaged until they do not (pool adjacent
    violators). A zoom axis that was never measured is taken as one octave a second at full level.
    """
    axes: dict[str, AxisTable] = {}
    for axis in AXES:
        found = [run for run in runs if run.axis == axis and run.speed is not None]
        points: list[tuple[float, int, float]] = []
        for zoom in sorted({run.zoom for run in found}):
            here = sorted((run.level, run.speed or 0.0) for run in found if run.zoom == zoom)
            speeds = _rising([speed for _, speed in here])
            points += [(zoom, level, speed) for (level, _), speed in zip(here, speeds, strict=True)]
        if axis == "zoom" and not any(speed for _, _, speed in points):
            points = [(1.0, 100, 1.0)]
        axes[axis] = AxisTable(points)
    return SpeedTable(axes["pan"], axes["tilt"], axes["zoom"], source)


def _rising(values: Sequence[float]) -> list[float]:
    """The nearest sequence that never falls."""
    pools: list[list[float]] = []
    for value in values:
        pools.append([value, 1.0])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            last, count = pools.pop()
            mean = (pools[-1][0] * pools[-1][1] + last * count) / (pools[-1][1] + count)
            pools[-1] = [mean, pools[-1][1] + count]
    return [mean for mean, count in pools for _ in range(round(count))]
