"""Calibration of simulated cameras in virtual time: right speeds, never beyond a limit, cancelled and gone on with."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from engine.errors import PtzBusy, PtzUnsupported
from ptz.calibration import QUICK, Calibration, CalibrationPlan, Run, fit_speed, fit_table
from ptz.drivers.base import DriverOptions
from ptz.drivers.simulator import SimulatorDriver
from ptz.simulator.device import Device
from ptz.simulator.faults import Fault, Faults
from ptz.simulator.profiles import PROFILES
from ptz.speed_table import SpeedTable
from ptz.types import Levels
from ptz.virtual_time import run_virtual

SHORT = CalibrationPlan(levels=(10, 30, 100), zooms=(1.0, 4.0), zoom_levels=(50, 100))


class Bench:
    """A simulated camera to calibrate."""

    def __init__(self, profile: str = "hik-8425ix", faults: list[Fault] | None = None) -> None:
        self.device = Device(PROFILES[profile], 1, Faults(faults or []))
        self.saved: list[dict[str, Any]] = []

    async def calibration(self, plan: CalibrationPlan = SHORT) -> Calibration:
        now = asyncio.get_running_loop().time
        driver = SimulatorDriver(DriverOptions("sim://bench"), now, self.device)
        await driver.open()
        return Calibration(driver, now, plan, saved=self.saved.append)

    def calibrate(self, plan: CalibrationPlan = SHORT) -> tuple[Calibration, SpeedTable]:
        async def run() -> tuple[Calibration, SpeedTable]:
            calibration = await self.calibration(plan)
            return calibration, await calibration.run()

        return run_virtual(run(), limit_s=2000.0)

    def true_speed(self, axis: str, level: int, zoom: float) -> float:
        """°/s by the profile."""
        profile = self.device.profile
        limits = {"pan": profile.pan, "tilt": profile.tilt, "zoom": profile.zoom}[axis]
        slower = 1.0 if axis == "zoom" else zoom**-profile.proportional_zoom
        return max(limits.most_speed * profile.level_share(level) * slower, limits.least_speed)


@pytest.mark.parametrize("profile", ["hik-8425ix", "hik-de2a404", "hik-de7a432", "onvif-generic"])
def test_speeds_are_found(profile: str) -> None:
    bench = Bench(profile)
    calibration, table = bench.calibrate()
    near = 0.08 if bench.device.profile.reporting.refresh_s <= 0.1 else 0.2
    for run in calibration.runs:
        assert run.speed is not None, run
        assert run.speed == pytest.approx(
            bench.true_speed(run.axis, run.level, run.zoom), rel=near, abs=0.1
        ), run
    assert table.velocity(Levels(30, 0, 0), 2.0).pan_deg_s == pytest.approx(
        bench.true_speed("pan", 30, 2.0), rel=0.15
    )
    assert calibration.progress == (14, 14)
    if near < 0.1:
        assert calibration.command_latency_s == pytest.approx(0.1, abs=0.06)  # with the time of an answer
    assert bench.device.velocity(5000.0).is_zero


def test_it_is_gone_on_with_from_its_json() -> None:
    bench = Bench()

    async def cut_off() -> None:
        calibration = await bench.calibration()
        task = asyncio.create_task(calibration.run())
        await asyncio.sleep(17.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        now_s = asyncio.get_running_loop().time()
        assert bench.device.velocity(now_s + 1.0).is_zero  # stopped before it was let go

    run_virtual(cut_off())
    assert 1 < len(bench.saved) < 12
    state = json.loads(json.dumps(bench.saved[-1]))

    async def go_on() -> Calibration:
        calibration = await bench.calibration()
        calibration.resume(state)
        before = calibration.progress[0]
        assert before == len(state["runs"])
        await calibration.run()
        return calibration

    done = run_virtual(go_on(), start_s=100.0)
    assert done.progress == (14, 14)
    assert len({(run.axis, run.zoom, run.level) for run in done.runs}) == 14
    assert SpeedTable.from_json(json.loads(json.dumps(done.to_json()))).source.startswith(
        "measured on DS-2DF"
    )


def test_limits_are_kept_away_from() -> None:
    bench = Bench("hik-de2a404")
    calibration, _ = bench.calibrate(QUICK)
    low, high = bench.device.profile.tilt_range_deg
    tilts = [bench.device.true_pose(bench.device.now_s - back / 10).tilt_deg for back in range(100)]
    assert low <= min(tilts)
    assert max(tilts) <= high
    assert all(run.speed for run in calibration.runs if run.axis == "tilt")


def test_a_camera_that_does_not_move_makes_no_table() -> None:
    with pytest.raises(ValueError, match="moves"):
        Bench(faults=[Fault("dead")]).calibrate(QUICK)


def test_a_camera_that_tells_no_position() -> None:
    with pytest.raises(PtzUnsupported, match="image motion"):
        Bench("encoder-mh6171").calibrate(QUICK)


def test_frozen_and_wild_reports_give_no_wrong_speed() -> None:
    bench = Bench(faults=[Fault("report_nan", 0.0, 60.0, probability=0.2)])
    calibration, _ = bench.calibrate(QUICK)
    for run in calibration.runs:
        assert run.speed == pytest.approx(bench.true_speed(run.axis, run.level, run.zoom), rel=0.1, abs=0.1)


def test_a_busy_camera_is_asked_again() -> None:
    bench = Bench()

    async def run() -> SpeedTable:
        calibration = await bench.calibration(QUICK)
        move, count = calibration.driver.move, 0

        async def busy(levels: Levels, ttl_s: float) -> None:
            nonlocal count
            count += 1
            if count % 3 == 1:
                raise PtzBusy("busy")
            await move(levels, ttl_s)

        calibration.driver.move = busy  # type: ignore[method-assign]  # a camera that is busy now and then
        return await calibration.run()

    assert run_virtual(run()).pan.speed(50, 1.0) == pytest.approx(40.0, rel=0.08)


def test_a_state_of_another_camera_is_refused() -> None:
    bench = Bench()

    async def run() -> None:
        calibration = await bench.calibration()
        with pytest.raises(ValueError, match="not of"):
            calibration.resume({"device": "another", "runs": []})
        with pytest.raises(ValueError, match="no state"):
            calibration.resume({"runs": []})

    run_virtual(run())


def test_the_fit_of_a_speed() -> None:
    times = [0.1 * index for index in range(20)]
    assert fit_speed(times, [2.0 * at for at in times], 0.5, 0.1)[0] == pytest.approx(2.0)
    wild = [2.0 * at + (50.0 if index == 12 else 0.0) for index, at in enumerate(times)]
    assert fit_speed(times, wild, 0.5, 0.1)[0] == pytest.approx(2.0, rel=0.1)
    assert fit_speed(times, [-2.0 * at for at in times], 0.5, 0.1)[0] == pytest.approx(2.0)
    assert fit_speed(times, [3.0] * 20, 0.5, 0.1) == (0.0, "")
    assert fit_speed(times, [at * at * 3 for at in times], 0.0, 0.1)[0] is None
    assert fit_speed(times[:3], [0.0, 1.0, 2.0], 0.0, 0.1)[0] is None


def test_speeds_that_fall_are_averaged() -> None:
    runs = [Run("pan", 1.0, level, speed) for level, speed in ((10, 5.0), (20, 4.0), (50, 20.0))]
    runs += [Run("tilt", 1.0, 50, 10.0), Run("tilt", 1.0, 5, None, "only 3° to the limit")]
    table = fit_table(runs, "a test")
    assert table.pan.speed(10, 1.0) == pytest.approx(4.5)
    assert table.pan.speed(20, 1.0) == pytest.approx(4.5)
    assert table.zoom.speed(100, 1.0) == 1.0
