"""The pose of a picture from samples of its head: between them, beyond them, and when they say nothing any more."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, radians, sin

import pytest

from engine.config import CameraConfig, RunConfig
from engine.config.ptz import PtzConfig
from engine.types import PoseSample, PtzPose
from engine.workers.decode_pose import HeadPose, pose_at
from engine.workers.feed import Feed
from ipc.pool import Producer
from tests.workers.house import House

OpenHouse = Callable[[RunConfig], House]

CONFIG = RunConfig(
    "m3-cpu", (CameraConfig("yard", "test://", ptz=PtzConfig("hikvision", "http://192.0.2.7", 60.0)),)
)


def approximately(pan_deg: float, tilt_deg: float, hfov_deg: float) -> object:
    return pytest.approx((pan_deg, tilt_deg, hfov_deg), abs=1e-9)


def angles(pose: PtzPose | None) -> tuple[float, float, float]:
    assert pose is not None
    return pose.pan_deg, pose.tilt_deg, pose.hfov_deg


def test_beyond_a_sample_a_head_goes_on_with_its_speed_and_over_north() -> None:
    turning = PoseSample(10.0, 359.0, -5.0, 40.0, 20.0, 2.0, -10.0)
    assert angles(pose_at([turning], 10.2)) == approximately(3.0, -4.6, 38.0)
    assert angles(pose_at([turning], 9.9)) == approximately(357.0, -5.2, 41.0)


def test_a_sample_gets_too_old_sooner_when_the_head_was_turning() -> None:
    turning, resting = PoseSample(10.0, 10.0, 0.0, 40.0, 20.0), PoseSample(10.0, 10.0, 0.0, 40.0)
    assert pose_at([turning], 10.49) is not None and pose_at([turning], 10.51) is None
    assert angles(pose_at([resting], 12.49)) == (10.0, 0.0, 40.0)
    assert pose_at([resting], 12.51) is None and pose_at([resting], 7.49) is None
    zooming = PoseSample(10.0, 10.0, 0.0, 40.0, hfov_deg_s=-20.0)
    assert pose_at([zooming], 10.6) is None


def test_between_samples_the_shorter_way_round_and_by_both_speeds() -> None:
    before, then = PoseSample(10.0, 359.5, 0.0, 40.0, 20.0), PoseSample(10.05, 0.5, 0.0, 38.0, 20.0)
    assert angles(pose_at([before, then], 10.025)) == approximately(0.0, 0.0, 39.0)
    assert angles(pose_at([before, then], 10.0)) == approximately(359.5, 0.0, 40.0)
    assert angles(pose_at([before, then], 10.05)) == approximately(0.5, 0.0, 38.0)


def swing(time_s: float) -> PoseSample:
    """To and fro by 10° around north in 4 s."""
    phase = radians(90 * time_s)
    return PoseSample(time_s, 10 * sin(phase) % 360, 0.0, 40.0, 10 * radians(90) * cos(phase))


def test_a_swing_is_followed_to_a_thousandth() -> None:
    samples = [swing(0.05 * number) for number in range(12)]
    for hundredths in range(55):
        pose = pose_at(samples, hundredths / 100)
        truth = swing(hundredths / 100).pan_deg
        assert pose is not None and abs((pose.pan_deg - truth + 180) % 360 - 180) < 1e-3


def test_over_a_hole_between_samples_only_the_nearest_counts() -> None:
    """The worker of heads was killed, and somebody else turned the head meanwhile."""
    before, then = PoseSample(10.0, 10.0, 0.0, 40.0), PoseSample(14.0, 80.0, 0.0, 40.0, 20.0)
    assert angles(pose_at([before, then], 11.0)) == (10.0, 0.0, 40.0)
    assert angles(pose_at([before, then], 13.9)) == approximately(78.0, 0.0, 40.0)
    assert pose_at([before, then], 13.0) is None


def test_no_field_of_view_is_made_up_that_no_lens_has() -> None:
    assert pose_at([PoseSample(10.0, 0.0, 0.0, 3.0, hfov_deg_s=-30.0)], 10.2) is None
    assert angles(pose_at([PoseSample(10.0, 0.0, 89.0, 60.0, tilt_deg_s=10.0)], 10.4)) == (0.0, 90.0, 60.0)


def publish(producer: Producer, *samples: PoseSample) -> None:
    for sample in samples:
        with producer.write() as slot:
            sample.pack_into(slot.meta)


def at(head: HeadPose, captured_s: float) -> PtzPose | None:
    return head.at(round(captured_s * 1e9))


def head_of(house: House, name: str = "decode:yard") -> HeadPose:
    return HeadPose(house.workers[name].context.feeds.setdefault("pose:yard", Feed()))


def test_a_picture_has_the_pose_of_when_it_was_taken(open_house: OpenHouse) -> None:
    house = open_house(CONFIG)
    house.start("decode:yard")
    head = head_of(house)
    assert at(head, 10.0) is None
    producer = house.producer("pose:yard")
    publish(producer, PoseSample(10.0, 20.0, 0.0, 40.0, 20.0, image_latency_s=0.3))
    assert angles(at(head, 10.4)) == approximately(22.0, 0.0, 40.0)
    publish(producer, PoseSample(10.1, 22.0, 0.0, 40.0, 20.0, image_latency_s=0.3))
    assert angles(at(head, 10.35)) == approximately(21.0, 0.0, 40.0)


def test_a_latency_found_to_be_greater_takes_back_what_was_said_of_later(open_house: OpenHouse) -> None:
    house = open_house(CONFIG)
    house.start("decode:yard")
    head, producer = head_of(house), house.producer("pose:yard")
    publish(producer, PoseSample(10.0, 0.0, 0.0, 40.0), PoseSample(10.4, 90.0, 0.0, 40.0))
    assert at(head, 10.1) is not None
    publish(producer, PoseSample(10.1, 1.0, 0.0, 40.0, image_latency_s=0.4))
    assert angles(at(head, 10.5)) == approximately(1.0, 0.0, 40.0)
    assert angles(at(head, 10.8)) == approximately(1.0, 0.0, 40.0)


@pytest.mark.parametrize("killed", ["ptz", "decode:yard"])
def test_either_side_may_be_killed_and_started_again(open_house: OpenHouse, killed: str) -> None:
    house = open_house(CONFIG)
    house.start("decode:yard")
    writer = house.start("ptz").context.writers["pose:yard"].producer
    publish(writer, PoseSample(10.0, 20.0, 0.0, 40.0))
    head = head_of(house)
    assert at(head, 10.0) is not None
    house.kill(killed)
    house.start(killed)
    if killed == "ptz":
        writer = house.workers["ptz"].context.writers["pose:yard"].producer
    else:
        head = head_of(house)
        assert angles(at(head, 10.0)) == (20.0, 0.0, 40.0), "what is still good is found again"
    for number in range(100):
        publish(writer, PoseSample(12.0 + number, 30.0, 0.0, 40.0))
    assert angles(at(head, 111.0)) == (30.0, 0.0, 40.0)
    assert at(head, 40.0) is None
