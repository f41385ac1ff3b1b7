"""The objects of a camera to one job: who needs what, and who fits.

Knows the table and what may be spent. Does not know what the answer will be (`answers`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.segmentation.costs import Load
from engine.segmentation.jobs import Memory, ObjectRequest
from engine.segmentation.order import Allowance, Candidate, choose, in_order
from engine.segmentation.pointing import box_of, carried
from engine.segmentation.sweep import PointSweep
from engine.segmentation.table import HeldObject, ObjectTable, Origin, Pointed
from engine.types import F32, MaskSource, Prompt

LOOK_EVERY_S = 2.0
"""A lost object is looked for so often, and at once when something of its class appears."""
POINTS_SHARE = 0.25
"""Part of a keyframe's allowance that mode `auto` spends on its grid: the objects found must still be followed."""
POINTS_OFFLINE = 64
"""Points of the grid at a keyframe where nothing limits it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What an object would be asked for at a keyframe."""

    held: HeldObject
    memory: Memory
    source: MaskSource

    @property
    def load(self) -> Load:
        """What that costs."""
        return Load(prompts=1) if self.memory in (Memory.NONE, Memory.START) else Load(memory=1)


def wishes(table: ObjectTable, *, remember: bool) -> list[Wish]:
    """What every object that can be refreshed now would be asked for."""
    found = (_wish(table, held, remember) for held in table.objects.values())
    return [wish for wish in found if wish is not None]


def _wish(table: ObjectTable, held: HeldObject, remember: bool) -> Wish | None:
    if held.object_id in table.asked:
        return None
    if held.pointed is not None:
        return Wish(held, Memory.REFINE if held.remembers else Memory.START, MaskSource.PROMPT)
    if table.now_s < held.frozen_until_s:
        return None
    if not remember:
        return Wish(held, Memory.NONE, MaskSource.BOX) if held.tracked else None
    if held.lost_since_s is not None:
        due = held.remembers and table.now_s >= held.look_at_s
        return Wish(held, Memory.LOOK, MaskSource.MEMORY) if due else None
    if held.remembers and not held.begin_again:
        return Wish(held, Memory.GO_ON, MaskSource.MEMORY)
    if held.tracked or held.origin is not Origin.TRACK:
        return Wish(held, Memory.START, MaskSource.BOX)
    return None


def candidate(table: ObjectTable, wish: Wish) -> Candidate:
    """The same as the order of service sees it."""
    held = wish.held
    size = np.maximum(held.box_xyxy[2:] - held.box_xyxy[:2], 1.0)
    age_s = float("inf") if held.masked_s is None else max(0.0, table.now_s - held.masked_s)
    if wish.memory is Memory.LOOK:
        age_s = 0.0  # it has no mask to grow old, and those that have come first
    return Candidate(
        held.object_id, wish.load, held.pointed is not None, held.protected, held.passed, age_s,
        float(np.abs(held.velocity_xy / size).max()),
    )  # fmt: skip


def pick(
    table: ObjectTable, every: list[Wish], allowance: Allowance, stale_s: float, turn: int
) -> list[Wish]:
    """Who goes into the keyframe; counts whom it passes over."""
    by_id = {wish.held.object_id: wish for wish in every}
    ordered = in_order([candidate(table, wish) for wish in every], stale_s, turn)
    chosen = {c.object_id for c in choose(ordered, allowance)}
    for wish in every:
        wish.held.passed = 0 if wish.held.object_id in chosen else wish.held.passed + 1
    return [by_id[c.object_id] for c in ordered if c.object_id in chosen]


def request(table: ObjectTable, wish: Wish, size_wh: tuple[int, int]) -> ObjectRequest | None:
    """The request for an object, which is asked from now on.

    Where there is no place in the memory, an object with a track gets a mask without; one without a track goes.
    None: it has gone since the wish was made.
    """
    held, memory, source = wish.held, wish.memory, wish.source
    if table.objects.get(held.object_id) is not held:
        return None
    if memory is Memory.START and not table.seat(held, insist=held.protected):
        if not held.tracked:
            held.announced = True
            table.lose_memory(held)
            return None
        memory = Memory.NONE
    elif memory in (Memory.GO_ON, Memory.LOOK, Memory.REFINE) and not held.remembers:
        return None  # it had to give way to one before it in this very keyframe
    prompt: Prompt | None = None
    if held.pointed is not None:
        prompt = _pointed(held, held.pointed, size_wh)
        held.pointed = None
    elif memory in (Memory.NONE, Memory.START):
        prompt = Prompt.of_box(_inside(held.box_xyxy, size_wh))
    if memory is Memory.LOOK:
        held.look_at_s = table.now_s + LOOK_EVERY_S
    if memory is Memory.START:
        held.begin_again = False
        table.announce(held, f"begins from {'a prompt' if source is MaskSource.PROMPT else 'its box'}")
    table.asked[held.object_id] = memory
    return ObjectRequest(held.object_id, memory, source, prompt)


def _pointed(held: HeldObject, pointed: Pointed, size_wh: tuple[int, int]) -> Prompt:
    if pointed.anchor_xyxy is None or not held.tracked:
        return pointed.prompt
    return carried(pointed.prompt, pointed.anchor_xyxy, held.box_xyxy, size_wh)


def _inside(box_xyxy: F32, size_wh: tuple[int, int]) -> F32:
    """The box cut at the edges of the picture, at least a pixel wide and high."""
    edges = np.array(size_wh, np.float32)
    low = np.clip(box_xyxy[:2], 0, edges - 1)
    high = np.clip(box_xyxy[2:], low + 1, edges)
    return np.concatenate((low, high)).astype(np.float32)


def points(
    table: ObjectTable, sweep: PointSweep, allowance: Allowance, size_wh: tuple[int, int]
) -> F32 | None:
    """The next points of the grid for which there is room, at least one; None where all lie on known objects."""
    if allowance.objects_s is None:
        count = POINTS_OFFLINE
    else:
        count = int(POINTS_SHARE * allowance.objects_s / max(allowance.costs.point_s, 1e-6))
    known = [outline for held in table.objects.values() if (outline := held.current_outline()) is not None]
    found = sweep.take(min(max(1, count), len(sweep)), size_wh, known)
    return found if len(found) else None


def without_points_share(allowance: Allowance) -> Allowance:
    """What is left for objects when the grid has had its part."""
    if allowance.objects_s is None:
        return allowance
    return replace(allowance, objects_s=(1 - POINTS_SHARE) * allowance.objects_s)


def restart_prompt(held: HeldObject) -> list[float]:
    """The box that an object begins from after a restart."""
    box = held.box_xyxy if held.pointed is None else box_of(held.pointed.prompt)
    return [round(float(edge), 1) for edge in box]
