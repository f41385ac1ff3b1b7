"""What a head sends, how often, and how it stops: in virtual time over a simulated device."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import replace
from itertools import pairwise

import pytest

from engine.errors import PtzBusy, PtzRefused, PtzUnreachable
from ptz.head import HeadSettings
from ptz.simulator.faults import Fault
from ptz.types import GoTo, GoToPreset, HeadState, Levels, Turn, Velocity
from tests.ptz.heads import START_S, STILL, UNPROBED, Ride, most_in_a_second, ride, right


def test_turns_are_renewed_only_while_they_last_and_nothing_is_sent_at_rest() -> None:
    async def script(it: Ride) -> None:
        await it.go(1.0)
        await it.go(2.0, right(10))
        assert it.speed() == pytest.approx(10, abs=1)
        await it.go(3.0, STILL)
        await it.go(5.0)

    it = ride(script)
    moves = it.recording.times("move")
    assert 9 <= len(moves) <= 11
    assert all(0.19 <= b - a <= 0.31 for a, b in pairwise(moves))
    assert 1 <= len(it.recording.times("stop")) <= 2
    assert not [t for t in it.recording.times("move", "stop") if t < START_S + 0.9 or t > START_S + 4.5]
    assert it.speed() == 0
    assert it.head.state is HeadState.OK


def test_a_turn_without_an_end_of_its_own_is_sent_again_more_seldom() -> None:
    it = ride(lambda it: it.go(4.2, right(10)), Ride("onvif-reolink"))
    moves = it.recording.times("move")
    assert 9 <= len(moves) <= 12


def test_never_more_than_ten_requests_in_a_second_nor_two_at_once() -> None:
    async def script(it: Ride) -> None:
        for step in range(200):
            await it.go(0.03, right(20 * math.sin(step / 5)))

    it = ride(script)
    assert most_in_a_second(it.recording.times("move")) <= 10
    assert most_in_a_second(it.recording.times("status")) <= 4
    assert it.recording.most_in_flight == 1
    assert it.head.told()["counters"]["superseded"] > 20
    assert it.head.told()["counters"]["reversals"] >= 3


def test_what_is_new_does_not_wait_for_a_renewal() -> None:
    async def script(it: Ride) -> None:
        await it.go(2.0, right(20))
        while it.now() - it.recording.times("move")[-1] > 0.03:
            await it.go(0.01, right(20))
        said_s = it.now()
        await it.go(0.3, right(30))
        assert (
            next(t for t, what, value in it.recording.calls if what == "move" and value.pan > 30) - said_s
            <= 0.05
        )

    ride(script)


def test_less_than_a_level_is_no_reason_to_send() -> None:
    async def script(it: Ride) -> None:
        for step in range(40):
            await it.go(0.05, right(10 + 0.2 * (step % 2)))

    moves = ride(script).recording.times("move")
    assert len(moves) <= 11


def test_the_latest_wish_wins_over_a_slow_answer() -> None:
    async def script(it: Ride) -> None:
        async def slowly(what: str) -> None:
            await asyncio.sleep(0.4 if what == "move" else 0.0)

        it.recording.answers = slowly
        for speed in range(4, 40):
            await it.go(0.05, right(speed))

    it = ride(script)
    levels = [value.pan for _, what, value in it.recording.calls if what == "move"]
    assert len(levels) <= 6
    assert levels == sorted(levels)
    assert levels[-1] >= 36


def test_a_stop_overtakes_a_status_that_blocks() -> None:
    async def script(it: Ride) -> None:
        async def blocks(what: str) -> None:
            await asyncio.sleep(30.0 if what == "status" else 0.0)

        await it.go(1.5, right(20))
        it.recording.answers = blocks
        await it.go(0.6, right(20))
        told_s = it.now()
        await it.until(lambda: it.speed() == 0, 1.0, STILL)
        assert it.recording.times("stop")[0] - told_s <= 0.12

    ride(script)


def test_a_stop_overtakes_a_move_that_is_not_answered() -> None:
    async def script(it: Ride) -> None:
        async def slowly(what: str) -> None:
            await asyncio.sleep(1.9 if what == "move" else 0.0)

        await it.go(1.5, right(20))
        it.recording.answers = slowly
        await it.go(0.25, right(21))
        told_s = it.now()
        await it.go(0.5, STILL)
        assert it.recording.times("stop")[0] - told_s <= 0.25

    ride(script)


def test_a_wish_that_nobody_confirms_is_stopped() -> None:
    async def script(it: Ride) -> None:
        await it.go(1.0, right(20))
        await it.go(2.0)
        assert it.speed() > 15, "staying confirms"
        silent_s = it.now()
        await it.idle(1.5)
        assert it.speed() == 0
        assert it.recording.times("stop")[0] - silent_s <= 0.75

    ride(script)


def test_a_lost_stop_is_repeated_until_it_is_seen() -> None:
    async def script(it: Ride) -> None:
        await it.go(1.5, right(20))
        it.device.faults.add(Fault("stop_lost", it.now(), 0.8))
        it.device.faults.add(Fault("expiry_ignored"))
        took_s = await it.until(lambda: it.speed() == 0, 2.5, STILL)
        assert 0.8 <= took_s <= 1.5
        await it.go(2.0, STILL)
        assert not it.head.turning
        assert not it.event_times("stop_alarm")

    it = ride(script)
    assert len(it.recording.times("stop")) >= 3


def test_another_way_of_stopping_is_found_and_kept() -> None:
    async def script(it: Ride) -> None:
        it.recording.ways = ("stop", "zeros")
        it.device.faults.add(Fault("expiry_ignored"))
        await it.go(1.5, right(20))
        took_s = await it.until(lambda: it.speed() == 0, 3.0, STILL)
        assert took_s <= 2.0
        await it.go(2.0, STILL)
        assert it.head.told()["stop_way"] == "zeros"
        await it.go(1.0, right(20))
        took_s = await it.until(lambda: it.speed() == 0, 3.0, STILL)
        assert took_s < 0.5
        await it.go(1.0, STILL)

    it = ride(script)
    assert any("zeros" in line for line in it.head.told()["choices"])


def test_a_way_of_stopping_that_is_refused_is_left_at_once() -> None:
    async def script(it: Ride) -> None:
        async def refuses(what: str) -> None:
            if what == "stop" and it.recording.way == "stop":
                raise PtzRefused("no Stop here")

        it.recording.ways = ("stop", "zeros")
        it.recording.answers = refuses
        await it.go(1.5, right(20))
        assert await it.until(lambda: it.speed() == 0, 3.0, STILL) < 0.7

    ride(script)


def test_a_head_that_does_not_stop_is_an_alarm_within_two_seconds() -> None:
    async def script(it: Ride) -> None:
        await it.go(1.5, right(10))
        it.device.faults.add(Fault("expiry_ignored", it.now(), 6.0))
        it.device.faults.add(Fault("stop_lost", it.now(), 6.0))
        await it.go(0.5, right(10))
        told_s = it.now()
        await it.go(2.3, STILL)
        assert it.head.state is HeadState.DEGRADED
        assert "does not stop" in it.head.reason
        assert it.event_times("stop_alarm")[0] - told_s <= 2.15
        await it.until(lambda: it.head.state is HeadState.OK, 8.0, STILL)
        assert it.speed() == 0
        assert it.now() <= START_S + 1.5 + 6.0 + 3.0

    ride(script)


def test_busy_cameras_are_asked_more_and_more_seldom_and_for_the_latest() -> None:
    async def script(it: Ride) -> None:
        async def busy(what: str) -> None:
            if what == "move":
                raise PtzBusy("503")

        await it.go(0.5, right(5))
        it.recording.answers = busy
        before = len(it.recording.calls)
        await it.go(3.0, right(30))
        tries = [t for t, what, _ in it.recording.calls[before:] if what == "move"]
        gaps = [b - a for a, b in pairwise(tries)]
        assert gaps[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8], abs=0.08)
        assert it.head.state is HeadState.DEGRADED
        assert "busy" in it.head.reason
        it.recording.answers = None
        await it.until(lambda: it.speed() > 25 and it.head.state is HeadState.OK, 3.0, right(30))

    ride(script)


def test_a_camera_that_is_away_is_found_again() -> None:
    async def script(it: Ride) -> None:
        async def away(what: str) -> None:
            await asyncio.sleep(0.01)
            raise PtzUnreachable("refused")

        await it.go(1.0, right(10))
        it.recording.answers = away
        await it.until(lambda: it.head.state is HeadState.UNREACHABLE, 2.0, right(10))
        before = len(it.recording.calls)
        await it.go(8.0, right(10))
        assert len(it.recording.calls) - before <= 20
        it.recording.answers = None
        await it.until(lambda: it.head.state is HeadState.OK and it.speed() > 8, 3.0, right(10))

    ride(script)


def test_the_listener_knows_what_is_in_force() -> None:
    async def script(it: Ride) -> None:
        async def busy(what: str) -> None:
            if what == "move":
                raise PtzBusy("503")

        await it.go(1.0, right(10))
        it.recording.answers = busy
        await it.go(1.5, right(30))

    it = ride(script)
    told = [sent.velocity.pan_deg_s for sent in it.sent if sent.velocity is not None]
    assert told[0] == pytest.approx(10, abs=1)
    assert max(told) == pytest.approx(30, abs=1)
    failed = [sent for sent in it.sent if sent.velocity and sent.velocity.pan_deg_s > 25]
    after = it.sent[it.sent.index(failed[0]) + 1]
    assert after.velocity is not None
    assert after.velocity.pan_deg_s == pytest.approx(10, abs=1), "the old turn goes on until it ends"
    assert it.sent[-1].velocity == Velocity(), "and ends by itself"


def test_places_are_reached_sent_once_and_reported_as_reached() -> None:
    async def script(it: Ride) -> None:
        await it.go(0.5)
        await it.go(6.0, GoTo(40.0, -10.0, 3.0))
        pose = it.device.true_pose(it.now())
        assert (pose.pan_deg, pose.tilt_deg, pose.zoom) == pytest.approx((40, -10, 3), abs=0.4)
        assert not it.head.turning
        await it.go(5.0, GoTo(40.05, -10.0, 3.0))

    it = ride(script)
    assert len(it.recording.times("absolute")) == 1
    assert it.sent[0].pose is not None


def test_a_camera_that_cannot_be_sent_is_turned_there() -> None:
    async def script(it: Ride) -> None:
        await it.go(0.5)
        await it.until(
            lambda: not it.head.turning and it.speed() == 0 and it.now() > 103, 12.0, GoTo(355.0, 5.0, 2.0)
        )
        await it.until(lambda: not it.head.turning, 12.0, GoTo(355.0, 5.0, 2.0))
        pose = it.device.true_pose(it.now())
        assert (pose.pan_deg, pose.tilt_deg) == pytest.approx((355, 5), abs=1.0)
        assert pose.zoom == pytest.approx(2, rel=0.15)

    it = Ride()

    async def without(it: Ride) -> None:
        opened = it.driver.open

        async def open_without() -> object:
            it.driver.capabilities = replace(await opened(), absolute=False)
            return it.driver.capabilities

        it.driver.open = open_without  # type: ignore[method-assign, assignment]  # one ability less
        await script(it)

    ride(without, it)
    assert not it.recording.times("absolute")


def test_a_turn_takes_over_from_a_place_at_once() -> None:
    async def script(it: Ride) -> None:
        await it.go(0.5)
        await it.go(0.6, GoTo(170.0, 0.0, 1.0))
        await it.go(1.0, right(-10))
        assert it.device.velocity(it.now()).pan_deg_s == pytest.approx(-10, abs=1)

    ride(script)


@pytest.mark.parametrize("preset", ["33", "94", "200", "12"])
def test_reserved_presets_are_refused(preset: str) -> None:
    settings = HeadSettings(probe=False, reserved_presets=frozenset({12}))

    async def script(it: Ride) -> None:
        await it.go(1.0, GoToPreset(preset))

    it = ride(script, Ride(settings=settings))
    assert not it.recording.times("preset")
    assert it.head.told()["counters"]["refused"] == 1
    assert "reserved" in it.event_texts("refused")


def test_a_preset_is_called_once() -> None:
    async def script(it: Ride) -> None:
        it.device.store_preset("5", "Door", it.now())
        await it.go(2.0, right(20))
        await it.go(5.0, GoToPreset("5"))
        assert abs((it.device.true_pose(it.now()).pan_deg + 180) % 360 - 180) < 0.5
        assert not it.head.turning

    assert len(ride(script).recording.times("preset")) == 1


def test_pan_limits_are_never_crossed_however_fast_it_turns() -> None:
    settings = HeadSettings(probe=False, pan_limits_deg=(340.0, 30.0), tilt_limits_deg=(-20.0, 10.0))
    most = []

    async def script(it: Ride) -> None:
        await it.go(0.5)
        for velocity in (Velocity(80, 0), Velocity(-80, 30), Velocity(40, -60), Velocity(-60, 60)):
            for _ in range(60):
                await it.go(0.05, Turn(velocity))
                pose = it.device.true_pose(it.now())
                most.append(((pose.pan_deg + 180) % 360 - 180, pose.tilt_deg))

    ride(script, Ride(settings=settings))
    pans, tilts = zip(*most, strict=True)
    assert -20.5 <= min(pans) < -17
    assert 27 < max(pans) <= 30.5
    assert -20.5 <= min(tilts) < -17
    assert 7 < max(tilts) <= 10.5


def test_places_beyond_the_limits_are_clipped_and_never_reached_through_them() -> None:
    settings = HeadSettings(probe=False, pan_limits_deg=(10.0, 350.0), tilt_limits_deg=(-20.0, 10.0))
    pans = []

    async def script(it: Ride) -> None:
        await it.go(6.0, GoTo(30.0, 0.0, 1.0))
        for _ in range(160):
            await it.go(0.05, GoTo(5.0, 40.0, 1.0) if it.now() < START_S + 9 else GoTo(330.0, 0.0, 1.0))
            pans.append(it.device.true_pose(it.now()).pan_deg)
        pose = it.device.true_pose(it.now())
        assert pose.pan_deg == pytest.approx(330, abs=0.5)

    it = ride(script, Ride(settings=settings))
    assert min(pans) >= 9.5, "not the short way round through north"
    assert max(pans) <= 350
    assert it.event_times("limit")


def test_no_turn_where_limits_are_set_and_nobody_knows_where_it_points() -> None:
    settings = HeadSettings(probe=False, tilt_limits_deg=(-20.0, 10.0))
    it = ride(lambda it: it.go(3.0, right(10)), Ride("encoder-mh6171", settings=settings))
    assert not it.recording.times("move")
    assert it.head.state is HeadState.DEGRADED
    assert "limits" in it.head.reason


@pytest.mark.parametrize(
    "wrong",
    [
        {"tilt_limits_deg": (10.0, -20.0)}, {"tilt_limits_deg": (math.nan, 10.0)}, {"zoom_limits": (4.0, 2.0)},
        {"pan_limits_deg": (20.0, 20.0)}, {"pan_limits_deg": (0.0, 360.0)}, {"pan_limits_deg": (math.nan, 1.0)},
        {"renew_s": 0.6}, {"window_s": math.nan}, {"most_commands_s": 0}, {"probe_level": 101}, {"stop_alarm_s": 0.0},
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_one_line(wrong: dict[str, object]) -> None:
    with pytest.raises(PtzRefused) as error:
        HeadSettings(**wrong)  # type: ignore[arg-type]  # one wrong value each
    assert "\n" not in str(error.value)
    assert next(iter(wrong)) in str(error.value)


def test_wishes_that_are_no_numbers_stop_the_head() -> None:
    async def script(it: Ride) -> None:
        await it.go(1.0, right(10))
        await it.go(1.5, Turn(Velocity(math.nan, 0.0, 0.0)))
        assert it.speed() == 0

    it = ride(script)
    assert it.head.told()["counters"]["refused"] >= 1


def test_at_the_end_of_its_run_the_head_is_stopped() -> None:
    it = Ride()
    ride(lambda it: it.go(1.5, right(30)), it)
    assert it.recording.times("stop")
    assert not it.head.turning


def test_what_is_told_is_plain() -> None:
    it = ride(lambda it: it.go(3.0, right(10)), Ride(settings=UNPROBED))
    told = json.loads(json.dumps(it.head.told()))
    assert told["state"] == "ok"
    assert told["counters"]["moving_minutes"] > 0.04
    assert told["commands_per_s"] > 0
    assert told["counters"]["sent"] >= told["counters"]["renewed"] > 5
    assert Levels(*told["levels"]).is_zero
