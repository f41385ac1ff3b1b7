"""The start-up probe: motion and stop proven on every kind of camera, signs found, and nothing turned without proof."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from engine.errors import PtzBusy
from ptz.drivers.base import DriverOptions
from ptz.head import HeadSettings
from ptz.simulator.faults import Fault
from ptz.simulator.profiles import PROFILES
from ptz.types import Capabilities, HeadState, Pose
from tests.ptz.heads import START_S, Ride, ride, right

PROBED = HeadSettings()


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_kind_of_camera(profile: str) -> None:
    async def script(it: Ride) -> None:
        if profile == "encoder-mh6171":
            took_s = await it.until(lambda: it.head.state is HeadState.NOT_MOVING, 3.0)
            assert took_s <= 3.0
            before = it.device.commands
            await it.go(20.0, right(10))
            assert it.device.commands - before <= 12
            return
        await it.until(lambda: it.head.state is HeadState.OK, 5.0)
        pose = it.device.true_pose(it.now())
        assert abs((pose.pan_deg + 180) % 360 - 180) < 1.5, "back where it was"
        assert it.speed() < 1
        told = it.head.told()
        assert told["stop_way"] == "stop"
        assert 0.05 <= told["command_latency_s"] <= 1.2
        assert any("moved pan" in line for line in told["choices"])

    it = ride(script, Ride(profile, settings=PROBED))
    travelled = [
        place for time_s, what, place in it.recording.calls if what == "move" and time_s < START_S + 4
    ]
    assert all(abs(levels.pan) <= 60 for levels in travelled)


def test_a_head_whose_stop_is_not_proven_is_not_turned() -> None:
    async def script(it: Ride) -> None:
        it.device.faults.add(Fault("stop_lost"))
        it.device.faults.add(Fault("expiry_ignored"))
        await it.go(6.0, right(10))
        assert it.head.state is HeadState.DEGRADED
        assert "does not stop" in it.head.reason
        moves = len(it.recording.times("move"))
        await it.go(5.0, right(10))
        assert len(it.recording.times("move")) == moves

    ride(script, Ride(settings=PROBED))


def test_the_way_of_stopping_that_works_is_learned() -> None:
    it = Ride(settings=PROBED)

    async def script(it: Ride) -> None:
        it.recording.ways = ("stop", "zeros")
        it.device.faults.add(Fault("expiry_ignored"))
        await it.until(lambda: it.head.state is HeadState.OK, 8.0)
        assert it.head.told()["stop_way"] == "zeros"

    ride(script, it)


@pytest.mark.parametrize("option", ["position_pan_sign", "position_tilt_sign"])
def test_a_report_that_runs_the_other_way_is_found_and_corrected(option: str) -> None:
    it = Ride(protocol=True, settings=PROBED, options=DriverOptions("sim://test", **{option: -1}))  # type: ignore[arg-type]  # one sign each

    async def script(it: Ride) -> None:
        await it.until(lambda: it.head.state is HeadState.OK, 8.0)
        assert getattr(it.driver.options, option) == 1
        await it.go(3.0, right(10))
        pose, true = it.head.pose, it.device.true_pose(it.now())
        assert pose is not None
        assert pose.pan_deg == pytest.approx(true.pan_deg % 360, abs=3)
        assert pose.tilt_deg == pytest.approx(true.tilt_deg, abs=1)

    ride(script, it)
    assert any(option in line for line in it.head.told()["choices"])


def test_pictures_tell_which_of_the_two_signs_is_wrong() -> None:
    it = Ride(protocol=True, settings=PROBED, options=DriverOptions("sim://test", command_pan_sign=-1))

    async def watch(it: Ride) -> None:
        before = it.device.true_pose(it.now())
        while True:
            await asyncio.sleep(0.1)
            pose = it.device.true_pose(it.now())
            turned = (pose.pan_deg - before.pan_deg + 180) % 360 - 180
            it.head.image_moved(it.now(), turned, pose.tilt_deg - before.tilt_deg)
            before = pose

    async def script(it: Ride) -> None:
        watching = asyncio.create_task(watch(it))
        await it.until(lambda: it.head.state is HeadState.OK, 8.0)
        watching.cancel()
        assert it.driver.options.command_pan_sign == 1
        assert it.driver.options.position_pan_sign == 1

    ride(script, it)


def test_a_camera_without_positions_is_proven_by_pictures() -> None:
    """A head that tells nothing, seen to move by who looks at its pictures."""
    profile = replace(PROFILES["hik-8425ix"], reporting=replace(PROFILES["encoder-mh6171"].reporting))
    PROFILES["blind"] = profile
    it = Ride("blind", settings=PROBED)

    async def script(it: Ride) -> None:
        before = it.device.true_pose(it.now())
        while it.now() < START_S + 6:
            wish = right(10) if it.now() > START_S + 4 else None
            await it.go(0.1, wish)
            pose = it.device.true_pose(it.now())
            turned = (pose.pan_deg - before.pan_deg + 180) % 360 - 180
            it.head.image_moved(it.now(), turned, pose.tilt_deg - before.tilt_deg)
            before = pose
        assert it.head.state is HeadState.DEGRADED
        assert "does not tell where it points" in it.head.reason
        assert it.speed() > 8

    try:
        ride(script, it)
    finally:
        del PROFILES["blind"]


def test_the_probe_waits_for_a_camera_that_is_busy() -> None:
    async def script(it: Ride) -> None:
        async def busy(what: str) -> None:
            if what in ("move", "stop") and it.now() < START_S + 3:
                raise PtzBusy("503")

        it.recording.answers = busy
        await it.until(lambda: it.head.state is HeadState.OK and it.now() > START_S + 3, 10.0)

    it = ride(script, Ride(settings=PROBED))
    assert it.event_times("probe")


def test_it_moves_away_from_its_limits() -> None:
    from ptz.probe import directions

    capabilities = Capabilities(tilt_range_deg=(-90.0, 20.0))
    assert directions(Pose(0, 0, -60), capabilities, (False, False)) == (1, 1)
    assert directions(Pose(0, 0, 10), capabilities, (True, False)) == (-1, -1)
    assert directions(Pose(0, 0, -60), capabilities, (False, True)) == (1, -1)


def test_a_move_that_ends_by_itself_proves_no_stop() -> None:
    async def script(it: Ride) -> None:
        it.recording.ways = ("one", "two", "three", "four")
        it.device.faults.add(Fault("stop_lost"))
        await it.go(9.0)
        assert it.speed() == 0
        assert it.head.state is HeadState.DEGRADED
        assert "not turned at a speed" in it.head.reason

    ride(script, Ride(settings=PROBED))
