"""States of a head under faults of motion, reports, answers and logins, and how soon it is well again."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from ptz.head import HeadSettings
from ptz.lease import Lease
from ptz.simulator.fault_kinds import ANSWERS, LOGIN, MOTION, WIRE
from ptz.simulator.faults import Fault
from ptz.types import GoTo, HeadState, Levels, Turn, Velocity
from tests.ptz.heads import START_S, STILL, Ride, most_in_a_second, ride, right


def to_and_fro(it: Ride) -> Turn:
    return right(12 * math.cos(it.now()))


async def under(it: Ride, fault: Fault, seconds: float, wish: Callable[[Ride], Turn] = to_and_fro) -> None:
    it.device.faults.add(fault)
    while it.now() < fault.start_s + seconds:
        await it.go(0.1, wish(it))


def test_a_head_that_accepts_and_does_not_move_is_found_within_three_seconds_and_left_alone() -> None:
    async def script(it: Ride) -> None:
        await it.go(2.0, right(10))
        fault = Fault("dead", it.now(), 20.0)
        it.device.faults.add(fault)
        took_s = await it.until(lambda: it.head.state is HeadState.NOT_MOVING, 3.0, right(10))
        assert took_s <= 3.0
        assert "nothing moves" in it.head.reason
        before = len(it.recording.times("move"))
        await it.go(10.0, right(10))
        assert len(it.recording.times("move")) - before <= 5
        await it.go(fault.end_s - it.now(), right(10))
        await it.until(lambda: it.head.state is HeadState.OK and it.speed() > 8, 3.0, right(10))

    ride(script)


def test_short_turns_one_way_and_the_other_prove_it_too() -> None:
    async def script(it: Ride) -> None:
        await it.go(1.0)
        it.device.faults.add(Fault("dead"))
        for step in range(8):
            await it.go(0.6, right(12 if step % 2 else -12))
        assert it.head.state is HeadState.NOT_MOVING

    ride(script)


def test_one_axis_that_does_not_move_leaves_the_other_to_work() -> None:
    async def script(it: Ride) -> None:
        it.device.faults.add(Fault("dead_tilt"))
        wish = Turn(Velocity(10.0, 8.0, 0.0))
        await it.until(lambda: it.head.state is HeadState.DEGRADED, 3.5, wish)
        assert "tilt" in it.head.reason
        await it.go(3.0, wish)
        assert it.speed() > 8

    ride(script)


def test_at_the_end_of_its_range_it_is_not_called_broken() -> None:
    async def script(it: Ride) -> None:
        await it.go(6.0, Turn(Velocity(0.0, 30.0, 0.0)))
        assert it.device.true_pose(it.now()).tilt_deg == pytest.approx(50, abs=0.5)
        assert it.head.state is HeadState.OK
        await it.go(1.0, Turn(Velocity(0.0, -20.0, 0.0)))
        assert it.speed() > 15

    it = ride(script)
    assert "does not go further up" in it.event_texts("limit")


def test_pictures_tell_where_reports_do_not() -> None:
    """A frozen report is told from a head that does not move by what pictures show."""

    async def script(it: Ride) -> None:
        await it.go(1.0, right(10))
        it.device.faults.add(Fault("report_frozen", it.now(), 6.0))
        before = it.device.true_pose(it.now())
        for _ in range(40):
            await it.go(0.1, right(10))
            pose = it.device.true_pose(it.now())
            turned = (pose.pan_deg - before.pan_deg + 180) % 360 - 180
            it.head.image_moved(it.now(), turned, pose.tilt_deg - before.tilt_deg)
            before = pose
        assert it.head.state is HeadState.DEGRADED
        assert "stands still" in it.head.reason
        assert it.speed() > 8
        await it.go(2.0, right(10))
        await it.until(lambda: it.head.state is HeadState.OK, 3.0, right(10))

    assert HeadState.NOT_MOVING not in ride(script).states()


def test_foreign_motion_is_an_event_and_makes_room_for_whoever_it_is() -> None:
    async def script(it: Ride) -> None:
        await it.go(6.0)
        assert it.head.foreign_until_s < it.now()
        it.device.faults.add(Fault("foreign", it.now(), 4.0))
        took_s = await it.until(lambda: it.head.foreign_until_s > it.now(), 4.0)
        assert took_s <= 3.5
        assert it.event_times("foreign_motion")
        await it.go(16.0)
        assert it.head.foreign_until_s < it.now()

    ride(script)


def test_who_turns_against_us_is_noticed_while_we_turn() -> None:
    async def script(it: Ride) -> None:
        await it.go(2.0, right(10))
        begun_s = it.now()
        while it.head.foreign_until_s < it.now():
            it.device.turn(Levels(-60, 0, 0), it.now())
            await it.go(0.1, right(10))
            assert it.now() - begun_s < 4.0

    ride(script)


@pytest.mark.parametrize(
    "kind", ["report_noise", "report_drift", "report_wrap", "report_no_zoom", "report_offset"]
)
def test_reports_that_are_a_little_wrong_start_nothing(kind: str) -> None:
    async def script(it: Ride) -> None:
        it.device.faults.add(Fault(kind, it.now()))
        await it.go(15.0)
        await it.go(4.0, right(10))
        await it.go(6.0, STILL)
        assert it.head.state is HeadState.OK
        assert not it.head.turning

    it = ride(script)
    assert not it.event_times("stop_alarm")
    assert not it.event_times("not_moving")
    assert not it.event_times("foreign_motion")


def test_reports_that_are_no_numbers_are_not_believed() -> None:
    async def script(it: Ride) -> None:
        await it.go(2.0, right(10))
        it.device.faults.add(Fault("report_nan", it.now(), 3.0))
        await it.go(2.5, right(10))
        assert it.head.state is HeadState.DEGRADED
        pose = it.head.pose
        assert pose is not None
        assert math.isfinite(pose.pan_deg)
        await it.until(lambda: it.head.state is HeadState.OK, 3.5, right(10))

    it = ride(script)
    assert it.head.told()["counters"]["reports_refused"]["not a number"] > 3


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_a_clock_that_jumps_stops_the_head_and_then_it_goes_on(jump_s: float) -> None:
    async def script(it: Ride) -> None:
        await it.go(2.0, right(10))
        it.jump_s = jump_s
        await it.go(0.3)
        assert it.event_times("clock")
        await it.go(3.0, right(10))
        assert it.speed() > 8
        await it.go(2.0, STILL)
        assert it.speed() == 0
        assert it.head.state is HeadState.OK

    ride(script)


def test_whoever_takes_the_lease_is_the_only_one_who_sends(tmp_path: Path) -> None:
    def mine() -> Lease:
        return Lease.of_head("http://camera", folder=tmp_path)

    other = mine()

    async def script(it: Ride) -> None:
        await it.go(2.0, right(10))
        assert it.head.told()["lease"] == 1
        other.take(by_force=True)
        before = len(it.recording.times("move", "stop"))
        await it.go(2.0, right(10))
        assert len(it.recording.times("move", "stop")) == before
        assert it.head.state is HeadState.TAKEN
        other.release()
        await it.until(lambda: it.head.state is HeadState.OK and it.speed() > 8, 3.0, right(10))

    ride(script, Ride(lease=mine()))


def test_a_refused_password_costs_two_requests_in_a_minute() -> None:
    async def script(it: Ride) -> None:
        await it.go(60.0, right(10))
        assert it.head.state is HeadState.LOCKED
        assert it.camera.accounts.credentialed_since(START_S) <= 2

    it = Ride(protocol=True, faults=[Fault("unauthorized")])
    ride(script, it)


def test_a_lock_that_ends_is_noticed() -> None:
    async def script(it: Ride) -> None:
        await it.go(2.0, right(10))
        fault = Fault("lockout", it.now(), 6.0)
        await under(it, fault, 6.0)
        assert it.head.state is HeadState.LOCKED
        await it.until(lambda: it.head.state is HeadState.OK, 3.0, right(10))

    ride(script, Ride(protocol=True))


HARMLESS = {"empty_body_refused", "moving_none", "moving_stuck", "clock_jump", "limit_error", "dead_zoomed"}
VALUES = {
    "stop_late": 1.0,
    "slow": 1.2,
    "reboot": 5.0,
    "clock_jump": 100.0,
    "nonce_life": 1.0,
    "status_blocks": 30.0,
}
NOT_OVER = {"unauthorized"}
"""Refused logins are not tried again by themselves."""


@pytest.mark.parametrize(
    "kind", sorted(kind for kind in {**MOTION, **LOGIN, **ANSWERS, **WIRE} if not kind.startswith("video"))
)
def test_every_fault_is_survived_and_over_three_seconds_after_its_end(kind: str) -> None:
    async def script(it: Ride) -> None:
        await it.go(4.5, right(10))
        await it.go(0.5, STILL)
        fault = Fault(kind, it.now(), 6.0, value=VALUES.get(kind, 0.0))
        await under(it, fault, 6.0)
        if kind in NOT_OVER:
            return
        while it.now() < fault.end_s + 3.0 and not (it.head.state is HeadState.OK and it.speed() > 1):
            await it.go(0.05, right(12))
        assert it.head.state is HeadState.OK, it.head.reason
        await it.go(2.0, right(12))
        if it.head.foreign_until_s < it.now():
            assert it.speed() > 8
        await it.until(lambda: it.speed() == 0 and not it.head.turning, 3.0, STILL)

    it = ride(script, Ride(protocol=True))
    control = [e.time_s for e in it.camera.log if e.method == "PUT" and e.status != 401]
    assert most_in_a_second(control) <= 14


def test_a_place_that_is_not_reached_is_told() -> None:
    async def script(it: Ride) -> None:
        await it.go(1.0)
        it.device.faults.add(Fault("dead"))
        await it.go(8.0, GoTo(60.0, 0.0, 1.0))
        assert it.head.state is HeadState.NOT_MOVING

    it = ride(script)
    assert len(it.recording.times("absolute")) == 2


def test_a_slow_and_cheap_camera_is_well_and_stops_without_alarm() -> None:
    async def script(it: Ride) -> None:
        for speed in (12.0, -12.0, 16.0):
            await it.go(4.0, right(speed))
            await it.go(4.0, STILL)
            assert not it.head.turning

    it = ride(script, Ride("slow-cheap", settings=HeadSettings()))
    assert set(it.states()) == {HeadState.OK}
    assert not it.event_times("stop_alarm")
