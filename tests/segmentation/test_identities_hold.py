"""Objects come and go, tracks break and start anew, somebody points at things: what must hold in every frame."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping, Sequence, Set

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import PromptError
from engine.segmentation.budget import Budget
from engine.segmentation.camera import CameraObjects
from engine.segmentation.identities import FIRST_OWN_ID
from engine.segmentation.jobs import KeyframeResult, ObjectRequest
from engine.segmentation.scene import CameraRules
from engine.segmentation.seats import Seats
from tests.segmentation.scenario import HEIGHT, WIDTH, Box, answer, box_prompt, mask_of, meta_of, tracks_of

STEP_S = 0.2


class Thing:
    """Something in the picture, on a straight way."""

    def __init__(self, rng: random.Random, number: int) -> None:
        self.number = number
        self.x, self.y = rng.uniform(0, WIDTH - 80), rng.uniform(0, HEIGHT - 80)
        self.dx, self.dy = rng.uniform(-6, 6), rng.uniform(-4, 4)
        self.width, self.height = rng.uniform(20, 80), rng.uniform(20, 80)
        self.track_id = 0

    def move(self) -> bool:
        """Whether it is still in the picture."""
        self.x, self.y = self.x + self.dx, self.y + self.dy
        return -self.width / 2 < self.x < WIDTH and -self.height / 2 < self.y < HEIGHT

    @property
    def box(self) -> Box:
        return (self.x, self.y, self.x + self.width, self.y + self.height)


class World:
    """Things, a tracker that loses some, and a segmenter that is mostly right."""

    def __init__(self, seed: int, mode: str, cameras: int = 1, most_things: int = 8) -> None:
        self.rng = random.Random(seed)
        self.seats = Seats(6)
        self.most_things = most_things
        rules = CameraRules(lost_s=3.0, grid=4)
        self.cameras = [CameraObjects(f"cam{n}", mode, rules, self.seats) for n in range(cameras)]
        self.budget = Budget(1.0)
        self.things: list[list[Thing]] = [[] for _ in self.cameras]
        self.next_track = 1
        self.now_s, self.seq = 0.0, 0
        self.names: list[dict[int, int]] = [{} for _ in self.cameras]
        self.gone: list[set[int]] = [set() for _ in self.cameras]
        self.born: list[set[int]] = [set() for _ in self.cameras]
        self.renames = 0

    def step(self) -> None:
        self.seq += 1
        self.now_s += STEP_S
        for number, camera in enumerate(self.cameras):
            self._move(number)
            self._record(number, camera)
            self._point(number, camera)
        self._keyframe()

    def _move(self, number: int) -> None:
        things = self.things[number]
        things[:] = [thing for thing in things if thing.move()]
        if len(things) < self.most_things and self.rng.random() < 0.2:
            things.append(Thing(self.rng, self.seq))
        for thing in things:
            if thing.track_id == 0 and self.rng.random() < 0.5:
                thing.track_id = self.next_track
                self.next_track += 1
            elif self.rng.random() < 0.05:
                thing.track_id = 0

    def _record(self, number: int, camera: CameraObjects) -> None:
        seen = {thing.track_id: thing.box for thing in self.things[number]
                if thing.track_id and self.rng.random() < 0.95}  # fmt: skip
        tracks = tracks_of(seen)
        camera.on_tracks(tracks, meta_of(self.seq), self.now_s)
        rows = camera.objects(tracks)
        ids = [int(one) for one in rows.track_ids]
        assert len(set(ids)) == len(ids), "an ID stands twice in a frame"
        assert len(ids) >= len(seen)
        names = self.names[number]
        for old, new in camera.drain_renamed():
            self.renames += 1
            names.update({track_id: new for track_id, name in [*names.items(), (old, old)] if name == old})
        for track_id, name in zip(seen, ids, strict=False):
            before = names.get(track_id, name)
            assert before == name or before in ids, "a track changes its name and nobody says so"
            names[track_id] = name
        assert ids[len(seen) :] == sorted(ids[len(seen) :])
        assert list(camera.alone_ids()) == ids[len(seen) :]
        own = {one for one in ids if one >= FIRST_OWN_ID}
        fresh = own - self.born[number]
        assert all(one > max(self.born[number], default=0) for one in fresh), "an ID is given again"
        self.born[number] |= own | {one for one in camera.object_ids() if one >= FIRST_OWN_ID}
        camera.drain_gone()

    def _point(self, number: int, camera: CameraObjects) -> None:
        chance = self.rng.random()
        others = set(camera.object_ids())
        try:
            if chance < 0.05 and self.things[number]:
                left, top, right, bottom = self.rng.choice(self.things[number]).box
                if right > 0 and bottom > 0:
                    edges = (max(0, left), max(0, top), min(WIDTH, right), min(HEIGHT, bottom))
                    named = camera.prompt(box_prompt(*edges), None, None, self.now_s)
                    assert named in camera.object_ids()
            elif chance < 0.08 and others:
                removed = self.rng.choice(sorted(others))
                camera.remove(removed, self.now_s)
                assert set(camera.object_ids()) == others - {removed}, "a removal touches another object"
            elif chance < 0.10 and others:
                camera.protect(self.rng.choice(sorted(others)), self.now_s, protected=self.rng.random() < 0.3)
        except PromptError as error:
            assert "\n" not in str(error)
            assert set(camera.object_ids()) == others, "an error changes something"
        self.born[number] |= {one for one in camera.object_ids() if one >= FIRST_OWN_ID}

    def _keyframe(self) -> None:
        demands = [camera.demand(self.now_s) for camera in self.cameras]
        turn = self.budget.next(demands)
        if turn is None:
            return
        number = [camera.name for camera in self.cameras].index(turn.camera)
        camera = self.cameras[number]
        job = camera.plan(self.now_s, turn.allowance)
        assert len(self.seats) <= self.seats.capacity
        if job is None:
            return
        if self.rng.random() < 0.1:
            camera.cancel(job, self.now_s)
            return
        result = answer(job, lambda request: self._truth(number, request))
        grid = job.automatic_points_xy
        if grid is not None:
            found = [thing.box for thing in self.things[number] if self.rng.random() < 0.3]
            masks = (*result.masks, *(mask_of(0, edges) for edges in found))
            result = KeyframeResult(job.camera, job.frame_seq, masks, (), 0.1, 0.1)
        if self.rng.random() < 0.05 and job.requests:
            evicted = (job.requests[0].object_id,)
            result = KeyframeResult(job.camera, job.frame_seq, result.masks[: len(job.requests) - 1], evicted)
        self.budget.learn(job, result, camera.demand(self.now_s))
        camera.on_result(result, self.now_s)

    def _truth(self, number: int, request: ObjectRequest) -> Box | None:
        if self.rng.random() < 0.1 or not self.things[number]:
            return None
        prompt, things = request.prompt, self.things[number]
        if prompt is not None and prompt.box_xyxy is not None:
            left, top, right, bottom = (float(edge) for edge in prompt.box_xyxy)
            return (left, top, right, bottom)
        return things[request.object_id % len(things)].box

    def check_conservation(self) -> None:
        for camera in self.cameras:
            counts = camera.requests
            done = counts.answered + counts.failed + counts.orphaned + counts.cancelled
            assert counts.planned == done
            held = camera.to_dict()
            assert held["remembered"] <= self.seats.capacity


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["track", "prompt", "auto", "boxes"]), st.integers(1, 3))
def test_ids_hold_whatever_happens(seed: int, mode: str, cameras: int) -> None:
    world = World(seed, mode, cameras=cameras)
    for _ in range(80):
        world.step()
    world.check_conservation()


@pytest.mark.parametrize(("mode", "frames"), [("track", 10_000), ("auto", 1_000)])
def test_ten_thousand_frames_leave_nothing_behind(
    mode: str, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries are counted, wherever the policy keeps any."""
    monkeypatch.setattr("engine.segmentation.identities.MOST_NAMES", 64)
    monkeypatch.setattr("engine.segmentation.follow.MOST_DECLINED", 32)
    world = World(7, mode, most_things=4)
    sizes: list[int] = []
    for frame in range(frames):
        world.step()
        world.cameras[0].events.drain()
        if frame % (frames // 10) == frames // 10 - 1:
            sizes.append(entries(world.cameras[0]) + entries(world.seats))
    world.check_conservation()
    assert world.next_track > frames / 20, "objects came and went"
    assert max(sizes[5:]) < 1.25 * max(sizes[:5]), sizes
    assert len(world.cameras[0].object_ids()) < 40


def entries(part: object, seen: set[int] | None = None) -> int:
    """Entries of all containers that can be reached, at any depth, as long as they are the policy's own."""
    seen = set() if seen is None else seen
    if id(part) in seen or isinstance(part, str | bytes | np.ndarray | int | float | type):
        return 0
    seen.add(id(part))
    if isinstance(part, Mapping):
        return len(part) + sum(entries(one, seen) for one in part.values())
    if isinstance(part, Sequence | Set | deque):
        return len(part) + sum(entries(one, seen) for one in part)
    if not type(part).__module__.startswith("engine."):
        return 0
    names = getattr(part, "__dict__", None) or {
        name: None for owner in type(part).__mro__ for name in getattr(owner, "__slots__", ())
    }
    return sum(entries(getattr(part, name), seen) for name in names if hasattr(part, name))
