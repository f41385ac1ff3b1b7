"""Which camera owns a target, and where the next one waits."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from engine.errors import PtzRefused
from ptz.geometry import wrap_deg
from ptz.handoff import MOST_TARGETS, Bid, Handoff, HandoffSettings, Owned, Station
from ptz.mapping import Mapping

LEFT, RIGHT = np.array([-14.0, 0.0, 4.5]), np.array([14.0, 0.0, 4.5])
PLACES = {"left": LEFT, "right": RIGHT}
STATIONS = [
    Station("left", (300.0, 80.0), (-60.0, 10.0), 4.5), Station("right", (280.0, 60.0), (-60.0, 10.0), 4.5)
]  # fmt: skip
LATE_S = 0.4


def seen_from(camera: str, east: float, north: float) -> tuple[float, float, float]:
    """Azimuth and elevation of feet, and height of the body."""
    x, y, z = np.array([east, north, 0.0]) - PLACES[camera]
    away = math.hypot(x, y)
    feet, head = math.degrees(math.atan2(z, away)), math.degrees(math.atan2(z + 1.7, away))
    return math.degrees(math.atan2(x, y)) % 360, feet, head - feet


def mapping(source: str, target: str) -> Mapping:
    made = Mapping()
    for east in range(-24, 25, 3):
        for north in (8, 11, 14):
            made.learn(seen_from(source, east, north)[:2], *seen_from(target, east, north)[:2])
    return made


def handoff(settings: HandoffSettings | None = None) -> Handoff:
    mappings = {(a, b): mapping(a, b) for a in PLACES for b in PLACES if a != b}
    return Handoff(settings or HandoffSettings(), STATIONS, mappings)


Sees = Callable[[str, float], bool]


def walk_past(
    made: Handoff, sees: Sees, gid: Callable[[str], int] = lambda camera: 7, seconds: float = 34.0
) -> list[tuple[float, float, list[Owned]]]:
    """Somebody walks from -24 m to 24 m at 1.4 m/s, 11 m in front of both cameras. (time, east, owned), at 5 Hz."""
    random = np.random.default_rng(0)
    told = []
    for step in range(round(seconds * 5)):
        now_s = 50.0 + step / 5
        taken_s = now_s - LATE_S
        east = -24 + 1.4 * (taken_s - 50.0)
        for camera in PLACES:
            if not sees(camera, east):
                continue
            pan, feet, height = seen_from(camera, east, 11.0)
            soon = seen_from(camera, east + 0.14, 11.0)
            noise = random.normal(0, 0.1, 2)
            made.bid(
                Bid(camera, taken_s, gid(camera), pan + noise[0], feet + noise[1], height,
                    10 * wrap_deg(soon[0] - pan), 10 * (soon[1] - feet))
            )  # fmt: skip
        told.append((now_s, east, made.decide(now_s)))
    return told


def near(camera: str, east: float) -> bool:
    """What each camera sees in life: its own side, and somewhat across."""
    return east < 6.0 if camera == "left" else east > -6.0


def test_a_pass_changes_owners_once() -> None:
    told = walk_past(handoff(), near)
    owners = [owned[0].owner for _, _, owned in told if owned]
    changes = [(a, b) for a, b in pairwise(owners) if a != b]
    assert owners[0] == "left"
    assert changes == [("left", "right")]


def test_the_owner_sees_the_target() -> None:
    told = walk_past(handoff(), near)
    good = [near(owned[0].owner, east) for _, east, owned in told if owned]
    assert np.mean(good) > 0.97


def test_noise_at_the_middle_does_not_make_it_flap() -> None:
    made, random = handoff(), np.random.default_rng(4)
    owners = []
    for step in range(300):
        now_s = 10.0 + step / 5
        for camera in PLACES:
            pan, feet, height = seen_from(camera, 0.0 + random.normal(0, 0.5), 11.0)
            made.bid(Bid(camera, now_s, 7, pan, feet, height * random.uniform(0.9, 1.1)))
        owners.append(made.decide(now_s)[0].owner)
    assert len(set(owners)) == 1


def test_a_better_camera_waits_for_its_time() -> None:
    made = handoff()
    owners = []
    for step in range(40):
        now_s = 10.0 + step / 10
        made.bid(Bid("left", now_s, 7, 20.0, -20.0, 3.0))
        if step >= 5:
            made.bid(Bid("right", now_s, 7, 0.0, -20.0, 9.0))
        owners.append(made.decide(now_s)[0].owner)
    first = owners.index("right")
    assert first / 10 - 0.5 == pytest.approx(1.5, abs=0.11)


def test_an_owner_who_lost_it_gives_it_up_soon() -> None:
    made = handoff()
    owners = []
    for step in range(40):
        now_s = 10.0 + step / 10
        if step < 20:
            made.bid(Bid("left", now_s - LATE_S, 7, 20.0, -20.0, 9.0))
        made.bid(Bid("right", now_s - LATE_S, 7, 0.0, -20.0, 7.8))
        owners.append(made.decide(now_s)[0].owner)
    assert owners[19] == "left"
    assert (owners.index("right") - 19) / 10 == pytest.approx(0.3, abs=0.11)


def test_a_camera_with_rare_pictures_is_not_blind_between_them() -> None:
    made = handoff()
    owners = []
    for step in range(60):
        now_s = 10.0 + step / 10
        if step % 5 == 0:
            made.bid(Bid("left", now_s, 7, 20.0, -20.0, 9.0))
        made.bid(Bid("right", now_s, 7, 0.0, -20.0, 7.8))
        owners.append(made.decide(now_s)[0].owner)
    assert set(owners[20:]) == {owners[20]}


def test_the_next_camera_looks_there_before_the_target_comes() -> None:
    told = walk_past(
        handoff(), lambda camera, east: near(camera, east) and not (camera == "right" and east < 3)
    )
    waiting = [
        (east, owned[0].prepare["right"]) for _, east, owned in told if owned and "right" in owned[0].prepare
    ]
    assert waiting
    for east, place in waiting[10:]:
        # 0.4 s of lateness and 2.5 s ahead, at 1.4 m/s
        pan, feet, height = seen_from("right", east + 1.4 * 2.9, 11.0)
        assert wrap_deg(place.pan_deg - pan) == pytest.approx(0.0, abs=5.0)
        assert place.tilt_deg == pytest.approx(feet + height / 2, abs=2.0)


def test_nobody_waits_where_they_cannot_look() -> None:
    stations = [STATIONS[0], Station("right", (20.0, 60.0), (-60.0, 10.0), 4.5)]
    made = Handoff(HandoffSettings(), stations, {("left", "right"): mapping("left", "right")})
    told = walk_past(made, lambda camera, east: camera == "left", seconds=15.0)
    assert not any(owned[0].prepare for _, _, owned in told if owned)


def test_without_identities_the_mapping_tells_that_it_is_one() -> None:
    made = handoff()
    told = walk_past(made, near, gid=lambda camera: 0)
    assert max(len(owned) for _, _, owned in told) == 1
    owners = [owned[0].owner for _, _, owned in told if owned]
    assert owners[-1] == "right"


def test_two_apart_without_identities_are_two() -> None:
    made = handoff()
    for step in range(10):
        made.bid(Bid("left", step / 5, 0, 0.0, -20.0, 8.0))
        made.bid(Bid("left", step / 5, 0, 30.0, -20.0, 8.0))
    assert len(made.decide(2.0)) == 2


def test_an_identity_told_later_is_the_same_target() -> None:
    made = handoff()
    made.bid(Bid("left", 1.0, 0, 0.0, -20.0, 8.0))
    made.decide(1.0)
    made.bid(Bid("left", 1.2, 7, 0.0, -20.0, 8.0))
    assert [(owned.target, owned.owner) for owned in made.decide(1.2)] == [(7, "left")]


def test_who_was_seen_by_nobody_is_forgotten_and_memory_is_bounded() -> None:
    made = handoff()
    for gid in range(1, MOST_TARGETS + 50):
        made.bid(Bid("left", 1.0 + gid * 1e-3, gid, 0.0, -20.0, 8.0))
    assert len(made.decide(2.0)) == MOST_TARGETS
    assert made.decide(30.0) == []


def test_bids_that_are_none_are_counted() -> None:
    made = handoff()
    made.bid(Bid("left", 1.0, 7, math.nan, -20.0, 8.0))
    made.bid(Bid("attic", 1.0, 7, 0.0, -20.0, 8.0))
    assert made.dropped == 2
    assert made.decide(1.0) == []


def test_it_says_why() -> None:
    made = handoff()
    made.bid(Bid("left", 1.0, 7, 0.0, -20.0, 8.0))
    assert made.decide(3.0)[0].why.startswith("left for")
    with pytest.raises(PtzRefused):
        HandoffSettings(dwell_s=math.nan)
