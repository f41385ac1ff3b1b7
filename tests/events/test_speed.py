"""Speed and fast movers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.events.scenes import Scene, Told, quiet, straight, tracks_of


def fast(**more: object) -> Scene:
    fps = more.pop("fps", 25.0)
    assert isinstance(fps, float)
    return Scene(settings=quiet(fast_heights_s=1.6, **more), fps=fps)


def run(scene: Scene, speed_px: float, seconds: float, start: float = 0.0) -> list[Told]:
    steps = round(seconds / scene.step_s)
    return scene.walk(
        straight((start, 500), (start + speed_px * seconds, 500), steps), velocity=(speed_px, 0.0)
    )


@pytest.mark.parametrize("fps", [1.0, 5.0, 25.0, 120.0])
def test_a_runner_is_told_once_and_a_walker_never(fps: float) -> None:
    scene = fast(fps=fps)
    assert "FAST" not in [one.kind for one in run(scene, 80.0, 4.0)]
    found = [one for one in run(scene, 250.0, 4.0, start=320.0) if one.kind == "FAST"]
    assert len(found) == 1 and found[0].value >= 1.6


def test_who_slows_down_and_runs_again_is_told_again() -> None:
    scene = fast()
    for _ in range(2):
        run(scene, 250.0, 3.0)
        run(scene, 50.0, 3.0)
    assert scene.kinds().count("FAST") == 2


def test_around_the_threshold_it_is_told_once() -> None:
    scene = fast()
    for k in range(20):
        run(scene, 170.0 if k % 2 else 150.0, 1.0)
    assert scene.kinds().count("FAST") == 1


def test_a_trembling_box_is_not_fast() -> None:
    scene = fast()
    rng = np.random.default_rng(1)
    for k in range(200):
        jolt = (-1) ** k * 400.0 + float(rng.normal(0, 50))
        scene.frame(tracks_of({1: (500.0, 500.0)}, velocity=(jolt, -jolt)))
    assert "FAST" not in scene.kinds()


def test_one_jump_is_not_fast() -> None:
    scene = fast()
    for k in range(50):
        scene.frame({1: (500.0, 500.0)}, velocity=(3000.0 if k == 25 else 0.0, 0.0))
    assert "FAST" not in scene.kinds()


def test_near_and_far_are_the_same_speed() -> None:
    scene = fast()
    far = [one for one in scene.walk([(500, 500)] * 50, height=20.0, velocity=(50.0, 0.0))]
    near = [one for one in scene.walk([(500, 500)] * 50, track_id=2, height=400.0, velocity=(50.0, 0.0))]
    assert [one.kind for one in far] == ["APPEARED", "FAST"] and [one.kind for one in near] == ["APPEARED"]


def test_speed_is_told_as_often_as_asked_for() -> None:
    scene = Scene(settings=quiet(speed_every_s=0.5), fps=10)
    found = scene.walk([(500, 500)] * 26, velocity=(30.0, 40.0))
    speeds = [one for one in found if one.kind == "SPEED"]
    assert len(speeds) == 5 and {one.value for one in speeds} == {0.5}


def test_off_is_off() -> None:
    scene = Scene(settings=quiet())
    run(scene, 900.0, 3.0)
    assert scene.kinds() == ["APPEARED"]
