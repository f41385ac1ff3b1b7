"""Samples of a head: when they are given, of which moment, and when there are none."""

from __future__ import annotations

import pytest

from engine import ptz_setup
from engine.config.ptz import PtzConfig
from engine.types import PoseSample
from engine.workers.decode_pose import pose_at
from engine.workers.ptz_poses import AHEAD_S, BELIEVED_S, INTERVAL_S, RESTING_S, PoseSampler
from ptz.follower import Follower
from ptz.types import Pose, Velocity

LATENCY_S = 0.25


@pytest.fixture
def follower() -> Follower:
    config = PtzConfig("hikvision", "http://192.0.2.7", 60.0, image_latency_ms=1e3 * LATENCY_S)
    return ptz_setup.follower_of(config)


def watch(
    follower: Follower, sampler: PoseSampler, from_s: float, to_s: float, tell: bool = True
) -> list[tuple[float, PoseSample]]:
    """Every sample with the time at which it was given; reports confirm what the log says, twice a second."""
    found = []
    for tick in range(round(from_s / INTERVAL_S), round(to_s / INTERVAL_S)):
        now_s = tick * INTERVAL_S
        if tell and tick % 10 == 0:
            asked_s = now_s - follower.log.status_lag_s
            seen = follower.log.at(asked_s)
            follower.reported(Pose(now_s, seen.pan_deg, seen.tilt_deg, seen.zoom))
        found += [(now_s, sample) for sample in sampler.samples(now_s)]
    return found


def test_nothing_is_said_before_the_camera_told_where_it_is(follower: Follower) -> None:
    sampler = PoseSampler(follower)
    assert watch(follower, sampler, 10, 12, tell=False) == []
    follower.reported(Pose(12.0, 350.0, -5.0, 2.0))
    (sample,) = sampler.samples(12.0)
    assert (sample.pan_deg, sample.tilt_deg) == (350.0, -5.0)
    assert sample.hfov_deg == pytest.approx(follower.lens.hfov_deg(2.0))
    assert sample.time_s == pytest.approx(12.0 - LATENCY_S + AHEAD_S) and sample.image_latency_s == LATENCY_S
    assert not sample.turning


def test_twice_a_second_at_rest_and_often_while_it_turns(follower: Follower) -> None:
    sampler = PoseSampler(follower)
    follower.reported(Pose(9.9, 0.0, 0.0, 1.0))
    assert len(watch(follower, sampler, 10, 14)) == pytest.approx(4 / RESTING_S, abs=1)
    follower.commanded(14.0, Velocity(20.0, 0.0, 0.0))
    turning = watch(follower, sampler, 14, 15)
    assert len(turning) >= 12
    assert turning[-1][1].pan_deg_s == pytest.approx(20.0, abs=0.5)
    follower.commanded(15.0, Velocity())
    watch(follower, sampler, 15, 17)
    assert len(watch(follower, sampler, 17, 21)) == pytest.approx(4 / RESTING_S, abs=1)


def test_what_pictures_get_is_what_the_log_knows(follower: Follower) -> None:
    """Through a rest, a start, a turn over north with zoom, a stop and a rest again."""
    sampler = PoseSampler(follower)
    follower.reported(Pose(9.9, 355.0, 0.0, 2.0))
    given = watch(follower, sampler, 10, 11)
    follower.commanded(11.0, Velocity(30.0, -5.0, 0.5))
    given += watch(follower, sampler, 11, 12)
    follower.commanded(12.0, Velocity())
    given += watch(follower, sampler, 12, 14)
    asked = 0
    for hundredth in range(1050, 1390):
        captured_s = hundredth / 100
        there = [sample for given_s, sample in given if given_s <= captured_s - 0.02][-12:]
        pose = pose_at(there, captured_s - LATENCY_S)
        truth = follower.log.at(captured_s - LATENCY_S)
        assert pose is not None
        assert abs((pose.pan_deg - truth.pan_deg + 180) % 360 - 180) < 0.05
        assert abs(pose.tilt_deg - truth.tilt_deg) < 0.05
        assert pose.hfov_deg == pytest.approx(follower.lens.hfov_deg(truth.zoom), abs=0.05)
        asked += truth.pan_deg < 350 and pose.pan_deg < 350
    assert asked > 100, "it went over north"


def test_a_head_that_is_found_somewhere_else_is_told_at_once(follower: Follower) -> None:
    sampler = PoseSampler(follower)
    follower.reported(Pose(9.9, 0.0, 0.0, 1.0))
    watch(follower, sampler, 10, 11)
    for now_s in (11.0, 11.1):
        follower.reported(Pose(now_s, 40.0, 0.0, 1.0))
    (*_, last) = watch(follower, sampler, 11.15, 11.5, tell=False)
    assert last[1].pan_deg == pytest.approx(40.0, abs=0.1)


def test_a_camera_that_went_silent_has_no_pose(follower: Follower) -> None:
    sampler = PoseSampler(follower)
    follower.reported(Pose(10.0, 0.0, 0.0, 1.0))
    given = watch(follower, sampler, 10, 20, tell=False)
    assert 10 + BELIEVED_S - 1 < given[-1][0] < 10 + BELIEVED_S + 0.1
