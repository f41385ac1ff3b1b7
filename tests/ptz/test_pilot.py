"""A pilot: ticks, what goes back to the follower, and an operator who always wins. In virtual time over a device."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from ptz.pilot import Pilot, PilotSettings
from ptz.simulator.faults import Fault
from ptz.types import Decision, FollowState, GoTo, Pose, Sightings, Stay, Velocity
from tests.ptz.heads import Ride, most_in_a_second, ride, right


class Wheel:
    """A follower that always wants the same, and notes what it is told."""

    def __init__(self) -> None:
        self.decision: Decision = Stay()
        self.state = FollowState.IDLE
        self.ticks: list[float] = []
        self.poses: list[Pose] = []
        self.speeds: list[Velocity] = []
        self.places: list[Pose] = []
        self.seen = 0
        self.operated = False
        self.shifts: list[tuple[float, ...]] = []

    def observe(self, sightings: Sightings, now_s: float | None = None) -> None:
        self.seen += 1

    def reported(self, pose: Pose, zoomed: bool = True) -> None:
        self.poses.append(pose)

    def image_moved(self, from_s: float, to_s: float, pan_deg: float, tilt_deg: float) -> None:
        self.shifts.append((from_s, to_s, pan_deg, tilt_deg))

    def commanded(self, time_s: float, velocity: Velocity) -> None:
        self.speeds.append(velocity)

    def went_to(self, time_s: float, pose: Pose) -> None:
        self.places.append(pose)

    def decide(self, now_s: float) -> Decision:
        self.ticks.append(now_s)
        return self.decision

    def operator(self, now_s: float) -> None:
        self.operated = True

    def resume(self) -> None:
        self.operated = False

    def was_operated(self) -> bool:
        return self.operated

    def set_policy(self, name: str, **options: object) -> None:
        raise KeyError(name)

    def told(self) -> dict[str, object]:
        return {"target": 7}

    def follow(self, decision: Decision) -> None:
        self.decision, self.state = decision, FollowState.FOLLOWING


def nothing_seen(it: Ride) -> Sightings:
    empty = np.zeros(0)
    return Sightings(
        it.now(), 640, 360, np.zeros((0, 4), np.float32), empty.astype(np.float32), empty.astype(np.int64),
        empty.astype(np.int64), empty.astype(bool), empty.astype(np.int32),
    )  # fmt: skip


def flight(
    script: Callable[[Ride, Pilot, Wheel], Awaitable[None]],
    settings: PilotSettings | None = None,
    **options: Any,
) -> tuple[Ride, Wheel]:
    wheel = Wheel()

    async def fly(it: Ride) -> None:
        pilot = Pilot(wheel, it.head, it.now, settings)
        flying = asyncio.create_task(pilot.run())
        await asyncio.sleep(0.5)
        await script(it, pilot, wheel)
        flying.cancel()
        await asyncio.wait({flying})

    return ride(fly, Ride(**options)), wheel


def test_following_turns_the_head_and_tells_the_follower() -> None:
    async def script(it: Ride, pilot: Pilot, wheel: Wheel) -> None:
        wheel.follow(right(10))
        await asyncio.sleep(3.0)
        assert it.speed() == pytest.approx(10, abs=1)
        told = json.loads(json.dumps(pilot.told()))
        assert told["follow"] == {"target": 7, "state": "following"}
        assert told["operator"]["has_it"] is False
        assert told["state"] == "ok"

    _, wheel = flight(script)
    assert most_in_a_second(wheel.ticks) <= 10
    assert len(wheel.ticks) >= 25
    assert len(wheel.poses) >= 8
    assert wheel.speeds[0].pan_deg_s == pytest.approx(10, abs=1)
    assert wheel.speeds[-1].is_zero


def test_idle_it_ticks_seldom_and_wakes_with_a_picture() -> None:
    async def script(it: Ride, pilot: Pilot, wheel: Wheel) -> None:
        wheel.ticks.clear()
        await asyncio.sleep(5.0)
        assert 8 <= len(wheel.ticks) <= 12
        await asyncio.sleep(0.15)
        pilot.observe(nothing_seen(it))
        before = len(wheel.ticks)
        await asyncio.sleep(0.12)
        assert len(wheel.ticks) == before + 1
        assert wheel.seen == 1

    flight(script)


def test_pictures_at_any_rate_do_not_make_it_tick_faster() -> None:
    async def script(it: Ride, pilot: Pilot, wheel: Wheel) -> None:
        wheel.follow(right(5))
        for _ in range(90):
            pilot.observe(nothing_seen(it))
            await asyncio.sleep(1 / 30)

    _, wheel = flight(script)
    assert most_in_a_second(wheel.ticks) <= 10


def test_an_operator_wins_at_once_and_following_comes_back() -> None:
    async def script(it: Ride, pilot: Pilot, wheel: Wheel) -> None:
        wheel.follow(right(10))
        await asyncio.sleep(2.0)
        said_s = it.now()
        pilot.operate(Velocity(-20.0, 0.0, 0.0), ttl_s=1.0)
        await asyncio.sleep(0.3)
        sent = [(t, value) for t, what, value in it.recording.calls if what == "move" and t >= said_s]
        assert sent[0][0] - said_s <= 0.15
        assert all(levels.pan < 0 for _, levels in sent)
        await asyncio.sleep(0.6)
        assert it.device.velocity(it.now()).pan_deg_s == pytest.approx(-20, abs=1)
        assert pilot.told()["operator"]["who"] == "operator"
        assert wheel.was_operated()
        await asyncio.sleep(1.0)
        assert it.speed() == 0, "after ttl_s it stops"
        await asyncio.sleep(3.4)
        assert not wheel.was_operated()
        assert it.device.velocity(it.now()).pan_deg_s == pytest.approx(10, abs=1)

    flight(script, PilotSettings(resume_s=4.0))


def test_an_operators_stop_stays_until_it_is_resumed() -> None:
    async def script(it: Ride, pilot: Pilot, wheel: Wheel) -> None:
        wheel.follow(right(20))
        await asyncio.sleep(2.0)
        pilot.operator_stop()
        await asyncio.sleep(0.6)
        assert it.speed() == 0
        await asyncio.sleep(60.0)
        assert it.speed() == 0
        pilot.resume()
        await asyncio.sleep(0.6)
        assert it.speed() > 15

    flight(script, PilotSettings(resume_s=0.0))


def test_an_operator_sends_it_to_places_and_presets() -> None:
    async def script(it: Ride, pilot: Pilot, wheel: Wheel) -> None:
        it.device.store_preset("3", "Gate", it.now())
        wheel.follow(right(10))
        await asyncio.sleep(1.0)
        pilot.go_to(GoTo(60.0, -5.0, 2.0))
        await asyncio.sleep(4.0)
        pose = it.device.true_pose(it.now())
        assert (pose.pan_deg, pose.tilt_deg, pose.zoom) == pytest.approx((60, -5, 2), abs=0.4)
        assert wheel.places
        pilot.preset("3")
        await asyncio.sleep(4.0)
        assert it.device.true_pose(it.now()).zoom == pytest.approx(1, abs=0.1)

    it, _ = flight(script)
    assert len(it.recording.times("absolute")) == len(it.recording.times("preset")) == 1


def test_somebody_else_at_the_head_is_left_alone_for_a_while() -> None:
    async def script(it: Ride, pilot: Pilot, wheel: Wheel) -> None:
        await asyncio.sleep(5.0)
        it.device.faults.add(Fault("foreign", it.now(), 3.0))
        await asyncio.sleep(4.0)
        assert pilot.operated
        wheel.follow(right(10))
        before = len(it.recording.times("move"))
        await asyncio.sleep(3.0)
        assert len(it.recording.times("move")) == before
        assert pilot.told()["operator"]["who"] == "somebody else"
        await asyncio.sleep(12.0)
        assert it.speed() > 8

    flight(script)


def test_image_motion_reaches_both() -> None:
    async def script(it: Ride, pilot: Pilot, wheel: Wheel) -> None:
        pilot.image_moved(it.now() - 0.1, it.now(), 1.0, 0.0)

    _, wheel = flight(script)
    assert len(wheel.shifts) == 1


def test_an_unknown_policy_is_the_followers_to_refuse() -> None:
    async def script(it: Ride, pilot: Pilot, wheel: Wheel) -> None:
        with pytest.raises(KeyError):
            pilot.set_policy("nonsense")

    flight(script)


def test_the_end_of_a_pilot_stops_the_head() -> None:
    async def script(it: Ride, pilot: Pilot, wheel: Wheel) -> None:
        wheel.follow(right(20))
        await asyncio.sleep(2.0)

    it, _ = flight(script)
    assert it.recording.times("stop")
