"""Latencies found out by looking, and answers refused where there is nothing to see."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ptz.latency import ImageLatency, Median, command_latency_s
from ptz.pose_log import Plant, PoseLog
from ptz.simulator.device import Device
from ptz.simulator.profiles import PROFILES
from ptz.types import Levels, Pose, Velocity
from tests.ptz.control_loop import Loop, step, to_and_fro


def reports(
    level: int = 40, sent_s: float = 1.0, every_s: float = 0.1, seed: int = 0
) -> tuple[list[float], list[float]]:
    device, times, places = Device(PROFILES["hik-8425ix"], seed), [], []
    for tick in range(400):
        now_s = tick * 0.01
        if tick == round(sent_s * 100):
            device.turn(Levels(level, 0, 0), now_s)
        if tick % round(every_s * 100) == 3:
            pose = device.report(now_s).pose
            assert pose is not None
            times.append(now_s)
            places.append(pose.pan_deg)
    return times, list(np.unwrap(places, period=360.0))


def test_command_latency_from_reports() -> None:
    found = [command_latency_s(*reports(seed=seed), 1.0, Plant()) for seed in range(7)]
    median = Median()
    for one in found:
        median.add(one)
    assert median.value_s == pytest.approx(0.06, abs=0.04)


def test_no_motion_no_latency() -> None:
    times = [0.1 * index for index in range(30)]
    assert command_latency_s(times, [5.0] * 30, 1.0, Plant()) is None
    assert command_latency_s(times, [math.nan] * 30, 1.0, Plant()) is None
    assert command_latency_s([], [], 1.0, Plant()) is None
    dice = np.random.default_rng(0)
    assert command_latency_s(times, list(dice.normal(0, 3, 30)), 1.0, Plant()) is None
    assert command_latency_s(times, times, 2.5, Plant()) is None  # it moved before it was told to


def test_a_median_wants_agreement() -> None:
    median = Median()
    for value in (0.3, None, math.nan, 0.31):
        median.add(value)
    assert median.value_s is None
    median.add(0.32)
    assert median.value_s == pytest.approx(0.31)
    for value in (0.9, 0.7, 0.5, 1.2):
        median.add(value)
    assert median.value_s is None
    median.reset()
    assert median.value_s is None


def test_a_median_forgets_what_was_before_a_change() -> None:
    median = Median()
    for value in (0.3, 0.31, 0.3, 0.29, 0.3, 0.8, 0.81, 0.8):
        median.add(value)
    assert median.value_s == pytest.approx(0.8)


@pytest.mark.parametrize(("true_s", "believed_s"), [(0.33, 0.33), (0.33, 0.18), (0.58, 0.33), (0.88, 0.33)])
def test_a_wrong_latency_heals_itself_while_following(true_s: float, believed_s: float) -> None:
    loop = Loop(
        to_and_fro(1.4, 12.0, 6.0), hfov_deg=57.0, video_s=true_s, believed_s=believed_s, meter=ImageLatency()
    )
    loop.run(30.0)
    assert loop.meter is not None
    assert loop.meter.estimate(loop.log, 34.0) == pytest.approx(true_s, abs=0.05)
    assert loop.rms(22.0) < 0.1


def test_without_that_a_wrong_latency_is_the_end_of_following() -> None:
    blind = Loop(step, hfov_deg=57.0, video_s=0.58, believed_s=0.33).run(20.0)
    seeing = Loop(step, hfov_deg=57.0, video_s=0.58, believed_s=0.33, meter=ImageLatency()).run(20.0)
    assert blind.rms(12.0) > 0.3
    assert seeing.rms(12.0) < 0.1


def turned_log() -> PoseLog:
    log = PoseLog(Plant(), Pose(0.0, 0.0, 0.0))
    for index, speed in enumerate((0.0, 20.0, -10.0, 0.0, 30.0, 0.0)):
        log.commanded(5.0 + index, Velocity(speed))
    return log


def test_image_motion_tells_the_latency() -> None:
    log, meter, late_s = turned_log(), ImageLatency(), 0.41
    dice = np.random.default_rng(1)
    for index in range(60, 150):
        start_s, end_s = index / 15, (index + 1) / 15
        turn = log.at(end_s).pan_deg - log.at(start_s).pan_deg
        turn = (turn + 180) % 360 - 180
        meter.turned(start_s + late_s, end_s + late_s, turn + dice.normal(0, 0.05), dice.normal(0, 0.05))
    assert meter.once(log, 10.1) == pytest.approx(late_s, abs=0.02)


def test_a_head_that_stands_tells_nothing() -> None:
    log, meter = PoseLog(Plant(), Pose(0.0, 0.0, 0.0)), ImageLatency()
    for index in range(90):
        meter.saw(index / 15, 0.1 * index, 0.0)
        meter.turned(index / 15, (index + 1) / 15, 0.1, 0.0)
    assert meter.estimate(log, 6.0) is None
    assert meter.refused == 1


def test_noise_tells_nothing() -> None:
    log, meter = turned_log(), ImageLatency()
    dice = np.random.default_rng(2)
    for index in range(60, 150):
        meter.saw(index / 15, float(dice.normal(0, 8)), float(dice.normal(0, 8)))
        meter.saw(math.nan, 0.0, 0.0)
    assert meter.once(log, 10.1) is None
