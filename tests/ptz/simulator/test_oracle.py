"""Sightings from truth: as noisy as asked, and the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from ptz.simulator.oracle import FIRST_FALSE_ID, Oracle
from ptz.simulator.scenes import SCENES
from ptz.simulator.truth import Truth, truth
from ptz.simulator.world import World
from ptz.types import View


@pytest.fixture(scope="module")
def truths() -> list[Truth]:
    world = World(SCENES["group_5_merge_split"])
    head = world.scene.heads[0]
    view = View(1280, 720, head.pan_deg, head.tilt_deg, head.hfov_wide_deg)
    return [truth(world, head, view, 4.0 * number / 400) for number in range(400)]


def test_the_same_seed_and_time_say_the_same_whatever_was_asked_before(truths: list[Truth]) -> None:
    oracle = Oracle(seed=3)
    first = oracle.sightings(truths[7])
    oracle.sightings(truths[9])
    again = Oracle(seed=3).sightings(truths[7])
    assert np.array_equal(first.boxes_xyxy, again.boxes_xyxy)
    other = Oracle(seed=4).sightings(truths[7])
    assert len(other) != len(first) or not np.array_equal(first.boxes_xyxy, other.boxes_xyxy)


def test_noise_misses_and_false_boxes_are_as_many_as_asked(truths: list[Truth]) -> None:
    oracle = Oracle(seed=1, noise=0.02, miss=0.05, false=0.1)
    errors, seen, false = [], 0, 0
    for exact in truths:
        sightings = oracle.sightings(exact)
        false += int((sightings.track_ids >= FIRST_FALSE_ID).sum())
        for track_id, box in zip(sightings.track_ids, sightings.boxes_xyxy, strict=True):
            if track_id < FIRST_FALSE_ID:
                seen += 1
                real = exact.visible_boxes_xyxy[exact.ids.tolist().index(track_id)]
                errors.append((box[[1, 3]] - real[[1, 3]]) / (real[3] - real[1]))
    assert np.std(errors) == pytest.approx(0.02, rel=0.1)
    assert seen / (5 * len(truths)) == pytest.approx(0.95, abs=0.02)
    assert false / len(truths) == pytest.approx(0.1, abs=0.05)


def test_a_perfect_oracle_is_the_truth(truths: list[Truth]) -> None:
    sightings = Oracle(noise=0, miss=0, false=0, identities=False).sightings(truths[0], time_s=123.0)
    assert sightings.time_s == 123.0
    assert np.allclose(sightings.boxes_xyxy, truths[0].visible_boxes_xyxy)
    assert sightings.track_ids.tolist() == [1, 2, 3, 4, 5] and not sightings.gids.any()
    assert sightings.seen.all() and sightings.boxes_xyxy.dtype == np.float32


def test_who_hides_or_is_too_small_is_not_seen() -> None:
    world = World(SCENES["zoom_in_far"])
    head = world.scene.heads[0]
    exact = truth(world, head, View(640, 360, 0.0, -3.0, 60.0), 5.0)
    assert len(Oracle(miss=0, false=0, least_height_px=30).sightings(exact)) == 0
    assert len(Oracle(miss=0, false=0, least_height_px=10).sightings(exact)) == 1
