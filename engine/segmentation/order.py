"""Which objects of a camera go into a keyframe: those that somebody points at or protects, then the stale, then the
fast. Pure ordering of numbers; nobody waits for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.segmentation.costs import Costs, Load

PATIENCE = 4
"""Keyframes of its camera that may pass an object over before it is served ahead of protected ones."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An object that could be refreshed.

    load       what it costs: one row of some kind
    pointed    somebody has just pointed at it and waits for the mask
    protected  a PTZ camera's target, or somebody's choice
    passed     keyframes of its camera that could have refreshed it and did not, since the last that did
    age_s      of its mask; infinite while it has none
    motion     speed of its box in widths or heights of itself per second
    """

    object_id: int
    load: Load
    pointed: bool = False
    protected: bool = False
    passed: int = 0
    age_s: float = float("inf")
    motion: float = 0.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the objects of a keyframe may take: seconds, and what a row costs. None: everything, as in offline runs."""

    objects_s: float | None
    costs: Costs

    def fits(self, load: Load) -> bool:
        """Whether these rows can be paid for."""
        return self.objects_s is None or self.costs.of(load) <= self.objects_s


def in_order(candidates: Sequence[Candidate], stale_s: float, turn: int) -> list[Candidate]:
    """The order of service of one keyframe; `turn` counts the keyframes of this camera that hold more than prompts.

    Pointed at first. Then protected ones, longest passed over first. Then those whose mask is older than `stale_s`,
    by how many times, and within that by motion. One object that has been passed over for too long comes
    second, in every second keyframe ahead of all protected ones: where a keyframe has room for one row only, both
    kinds get half of them.
    """
    pointed = [c for c in candidates if c.pointed]
    protected = sorted(
        (c for c in candidates if c.protected and not c.pointed),
        key=lambda c: (-c.passed, -c.age_s, c.object_id),
    )
    rest = sorted(
        (c for c in candidates if not c.protected and not c.pointed),
        key=lambda c: (-_times_stale(c.age_s, stale_s), -c.motion, -c.age_s, c.object_id),
    )
    overdue = max(
        (c for c in rest if c.passed >= PATIENCE), key=lambda c: (c.passed, -c.object_id), default=None
    )
    if overdue is not None:
        rest.remove(overdue)
        protected.insert(0 if turn % 2 else min(1, len(protected)), overdue)
    return pointed + protected + rest


def choose(ordered: Sequence[Candidate], allowance: Allowance) -> list[Candidate]:
    """As many as the allowance pays for, in order, at least one; those pointed at always."""
    chosen: list[Candidate] = []
    load = Load()
    for candidate in ordered:
        if chosen and not candidate.pointed and not allowance.fits(load + candidate.load):
            break
        chosen.append(candidate)
        load += candidate.load
    return chosen


def _times_stale(age_s: float, stale_s: float) -> float:
    return age_s // stale_s if age_s < float("inf") else float("inf")
