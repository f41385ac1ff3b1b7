"""The log of poses: the model alone, corrected by reports, and reports that lie."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from ptz.geometry import wrap_deg
from ptz.pose_log import Plant, PoseLog
from ptz.simulator.device import Device
from ptz.simulator.faults import Fault, Faults
from ptz.simulator.profiles import PROFILES
from ptz.speed_table import SpeedTable
from ptz.types import GoTo, Levels, Pose, Velocity

PLANT = Plant(jerk_deg_s3=math.inf)
PROFILE = PROFILES["hik-8425ix"]
TABLE = SpeedTable.family("linear")
WEAVE = [
    (0.5, 20),
    (1.5, -35),
    (2.6, 60),
    (3.0, 8),
    (4.1, 0),
    (4.9, -50),
    (5.6, 25),
    (7.0, 0),
    (8.0, 30),
    (9.0, -10),
]


class Head:
    """A simulated head, its log, and the clock of both."""

    def __init__(
        self, faults: list[Fault] | None = None, profile: str = "hik-8425ix", plant: Plant | None = None
    ) -> None:
        self.device = Device(PROFILES[profile], 3, Faults(faults or []))
        self.log = PoseLog(plant or Plant())
        self.now_s = 0.0
        self.worst = 0.0
        self.reasons: list[str] = []

    def turn(self, level: int) -> None:
        levels = Levels(level, 0, 0)
        self.device.turn(levels, self.now_s)
        self.log.commanded(self.now_s, TABLE.velocity(levels, 1.0))

    def run(
        self, until_s: float, every_s: float = 0.13, judge_from_s: float = 0.0, zoomed: bool = True
    ) -> None:
        """Ask for the position now and then; remember how wrong the log was."""
        step, due_s = 0.01, self.now_s
        while self.now_s < until_s:
            self.now_s += step
            if every_s and self.now_s >= due_s:
                due_s += every_s
                status = self.device.report(self.now_s)
                if status.pose is not None:
                    self.reasons.append(self.log.reported(status.pose, status.zoomed))
            off = self.off()
            if self.now_s > judge_from_s:
                self.worst = max(self.worst, off)

    def off(self) -> float:
        true = self.device.true_pose(self.now_s)
        return abs(wrap_deg(self.log.at(self.now_s).pan_deg - true.pan_deg))

    def weave(self, every_s: float = 0.13, judge_from_s: float = 0.0) -> None:
        for at_s, level in WEAVE:
            self.run(at_s, every_s, judge_from_s)
            self.turn(level)
        self.run(10.0, every_s, judge_from_s)


def test_the_model_alone() -> None:
    log = PoseLog(PLANT, Pose(0.0, 350.0, -10.0, 2.0))
    log.commanded(1.0, Velocity(20.0, -5.0, 0.5))
    assert log.at(1.05).pan_deg == 350.0
    at = log.at(2.06)
    assert at.pan_deg == pytest.approx(9.0)  # 20 °/s for a second, less half a ramp of 0.1 s, across north
    assert at.tilt_deg == pytest.approx(-15.0, abs=0.1)
    assert at.zoom == pytest.approx(2 * 2**0.48, abs=0.03)
    assert log.velocity_at(2.0).pan_deg_s == 20.0
    assert log.at(0.5).pan_deg == 350.0


def test_commands_in_flight_act_one_after_the_other() -> None:
    log = PoseLog(replace(PLANT, command_latency_s=0.3), Pose(0.0, 0.0, 0.0))
    log.commanded(1.0, Velocity(20.0))
    log.commanded(1.1, Velocity())
    log.commanded(1.15, Velocity(-20.0))
    assert log.velocity_at(1.39).pan_deg_s == pytest.approx(18.0)
    assert log.at(1.2).pan_deg == 0.0
    assert log.velocity_at(3.0).pan_deg_s == -20.0
    assert not log.settled(1.2)


def test_a_place_is_gone_to_the_short_way_and_within_limits() -> None:
    log = PoseLog(replace(PLANT, tilt_range_deg=(-60.0, 20.0)), Pose(0.0, 355.0, 0.0))
    log.went_to(0.0, GoTo(10.0, -80.0, 4.0))
    assert 355.0 < log.at(0.25).pan_deg < 360.0
    there = log.at(5.0)
    assert (there.pan_deg, there.tilt_deg, there.zoom) == pytest.approx((10.0, -60.0, 4.0))
    assert not log.settled(1.0)
    assert log.settled(5.0)


def test_limits_stop_the_model() -> None:
    log = PoseLog(replace(PLANT, pan_range_deg=(0.0, 350.0)), Pose(0.0, 340.0, 0.0))
    log.commanded(0.0, Velocity(30.0, 40.0, 1.0))
    end = log.at(60.0)
    assert (end.pan_deg, end.tilt_deg) == pytest.approx((350.0, 90.0))
    assert log.velocity_at(60.0).is_zero


def test_the_first_report_says_where_it_all_began() -> None:
    log = PoseLog(PLANT)
    log.commanded(0.0, Velocity(10.0))
    before = log.known
    assert log.reported(Pose(2.1, 103.0, -20.0, 3.0)) == ""
    assert (before, log.known) == (False, True)
    assert log.at(0.0).pan_deg == pytest.approx(103.0 - 19.15, abs=0.1)
    assert log.at(2.0).zoom == pytest.approx(3.0)


def test_an_honest_device_is_followed_closely() -> None:
    head = Head()
    head.weave(judge_from_s=2.0)
    assert head.worst < 2.5  # 30 ms of jitter at 48 °/s are 1.4°
    assert head.off() < 0.3
    assert set(head.log.refused) <= {"repeated"}


def test_a_camera_that_refreshes_slowly_is_understood() -> None:
    profile = replace(PROFILE, reporting=replace(PROFILE.reporting, refresh_s=0.4, lag_s=0.2))
    head = Head()
    head.device = Device(profile, 3)
    for _ in range(3):
        for _, level in WEAVE:
            head.run(head.now_s + 0.7)
            head.turn(level)
    assert head.log.status_lag_s == pytest.approx(0.27, abs=0.1)
    head.turn(0)
    head.run(head.now_s + 1.5)
    assert head.off() < 0.4
    assert 0.8 < head.log.speed_ratio[0] < 1.2


def test_without_reports_the_model_goes_on() -> None:
    head = Head()
    head.log = PoseLog(Plant(), Pose(0.0, 0.0, 0.0))
    head.weave(every_s=0.0)
    assert head.off() < 4.0
    assert math.isinf(head.log.reports_since(head.now_s))


def test_a_head_faster_than_its_table_is_found_out() -> None:
    head = Head()
    head.device = Device(replace(PROFILE, pan=replace(PROFILE.pan, most_speed=100.0)), 3)
    for level in (15, -15) * 8:
        head.turn(level)
        head.run(head.now_s + 1.2)
    assert head.log.speed_ratio[0] == pytest.approx(1.25, abs=0.12)


BAD: dict[str, tuple[list[Fault], Callable[[PoseLog], bool]]] = {
    "frozen": ([Fault("report_frozen", 2.0, 5.0)], lambda log: log.refused["frozen"] > 5),
    "nan": ([Fault("report_nan", 2.0, 5.0)], lambda log: log.refused["not_a_number"] > 5),
    "no zoom": ([Fault("report_no_zoom", 2.0, 5.0)], lambda log: log.refused["no_zoom"] > 5),
    "noise": ([Fault("report_noise", 2.0, 5.0, value=0.5)], lambda log: True),
    "wrap": ([Fault("report_wrap", 0.0, 20.0)], lambda log: True),
    "now and then hundredths": (
        [Fault("report_hundredths", 2.0, 5.0, probability=0.3)],
        lambda log: log.refused["jump"] + log.refused["out_of_range"] > 0,
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_reports_that_lie(name: str) -> None:
    faults, counted = BAD[name]
    head = Head(faults)
    head.weave(judge_from_s=2.5)
    assert counted(head.log), head.log.refused
    assert head.worst < 5.0
    head.run(12.0)
    assert head.off() < 0.5


def test_drift_of_reports_is_followed_as_there_is_no_telling() -> None:
    head = Head([Fault("report_drift", 0.0, 100.0, value=0.02)])
    head.run(20.0)
    assert head.off() == pytest.approx(0.4, abs=0.15)


def test_a_foreign_hand_is_noticed() -> None:
    head = Head()
    head.run(1.0)
    head.device.go_to(90.0, 0.0, 1.0, None, head.now_s)
    head.run(4.0)
    assert head.log.reanchored > 0
    assert head.off() < 0.5


def test_one_wild_report_changes_nothing() -> None:
    head = Head()
    head.run(2.0)
    before = head.log.at(head.now_s)
    assert head.log.reported(Pose(head.now_s + 0.02, 77.0, 0.0, 1.0)) == "jump"
    assert head.log.at(head.now_s) == before
    assert head.log.refused["jump"] == 1


def test_times_that_run_back() -> None:
    log = PoseLog(PLANT)
    log.reported(Pose(100.0, 10.0, 0.0))
    assert log.reported(Pose(50.0, 10.0, 0.0)) == "out_of_order"
    answers = [log.reported(Pose(50.1 + step / 10, 10.0, 0.0)) for step in range(4)]
    assert answers == ["out_of_order", "out_of_order", "", ""]  # the clock was set: it goes on
    assert log.refused["out_of_order"] == 3


def test_commands_after_the_clock_was_set_back() -> None:
    log = PoseLog(PLANT, Pose(0.0, 0.0, 0.0))
    log.commanded(100.0, Velocity(5.0))
    log.commanded(50.0, Velocity(-5.0))
    assert log.velocity_at(51.0).pan_deg_s == -5.0


def test_image_motion_corrects_where_reports_fail() -> None:
    log = PoseLog(PLANT, Pose(0.0, 0.0, 0.0))
    log.commanded(0.0, Velocity(10.0))
    for step in range(20):  # really it turns twice as fast
        log.turned(1.0 + 0.1 * step, 1.1 + 0.1 * step, 2.0, 0.0)
    assert log.at(3.0).pan_deg - log.at(1.0).pan_deg > 34.0
    with pytest.raises(ValueError, match="no turn"):
        log.turned(2.0, 1.0, 1.0, 0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Plant(accel_deg_s2=0.0),
        lambda: Plant(command_latency_s=-1.0),
        lambda: Plant(tilt_range_deg=(10.0, -10.0)),
        lambda: Plant(zoom_range=(0.0, 3.0)),
        lambda: Plant(most_deg_s=(math.nan, 1.0)),
    ],
)
def test_plants_that_cannot_be(wrong: Callable[[], Plant]) -> None:
    with pytest.raises(ValueError, match=r"must|above"):
        wrong()


def test_commands_that_are_no_numbers() -> None:
    log = PoseLog(PLANT)
    with pytest.raises(ValueError, match="finite"):
        log.commanded(0.0, Velocity(math.nan))
    with pytest.raises(ValueError, match="latency"):
        log.set_command_latency(math.nan)
