"""One device's time for segmentation, shared by all cameras: whose turn it is, and how much of it.

Knows costs (`costs`), what each camera would have done, and the latency that masks are to be held to. Does not know
objects or frames; who goes first inside a camera is `order`'s.

With C cameras that want something, a mask grows as old as C keyframes until the next and one more until that arrives.
So a keyframe may take latency / (C + 1). Where the picture alone takes more than half of that, as much time again goes
to objects: a keyframe for one row would spend all its time on the picture and hold the latency no better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.segmentation.costs import CostModel, Load
from engine.segmentation.events import EventKind, EventLog
from engine.segmentation.jobs import KeyframeJob, KeyframeResult
from engine.segmentation.order import Allowance

PROTECTED_WEIGHT = 2.0
"""A camera with a protected object has its turn as if it had waited so many times longer."""
JUDGEMENTS = 3
"""Keyframes running that are late before it is said, and in time before that is taken back. One slow keyframe makes
two late: its own masks, and those that waited for it."""
LIVE_S = 2.0
"""A camera that wanted something within this time takes its turns."""
RECOVERED = 0.8
"""Part of the latency below which a camera is in time again."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a camera would have segmented now.

    rows, points      objects, and points of the automatic grid
    pointed           of the rows: somebody waits for them
    protected         of the rows
    forgets           memories to give back
    since_s           when its last keyframe was; where there was none, when it first wanted one
    protected_age_s   of the oldest mask of a protected object in the picture; None: there is none
    oldest_age_s      of the oldest mask in the picture; None: there is none
    newest_age_s      of the youngest
    now_s             when this was asked
    """

    camera: str
    rows: int = 0
    points: int = 0
    pointed: int = 0
    protected: int = 0
    forgets: int = 0
    since_s: float = 0.0
    protected_age_s: float | None = None
    oldest_age_s: float | None = None
    newest_age_s: float | None = None
    now_s: float = 0.0

    @property
    def wants(self) -> bool:
        """Whether there is anything to do."""
        return self.rows > 0 or self.points > 0 or self.forgets > 0


@dataclass(frozen=True, slots=True)
class Turn:
    """This camera is next, and may spend so much."""

    camera: str
    allowance: Allowance


@dataclass(slots=True)
class _Standing:
    """How a camera does. `running`: judgements that differ from `late`, one after another."""

    lag_s: float | None = None
    late: bool = False
    running: int = 0
    reason: str = ""


class Budget:
    """See the module. One for a device; `latency_s` None runs everything, as offline."""

    def __init__(self, latency_s: float | None) -> None:
        self.latency_s = latency_s
        self.costs = CostModel()
        self.events = EventLog()
        self._standing: dict[str, _Standing] = {}
        self._cameras = 1
        self._wanted_s: dict[str, float] = {}
        self._pointed_last = False

    def next(self, demands: Sequence[Demand]) -> Turn | None:
        """Whose turn it is; None: nobody wants anything.

        A camera where somebody has just pointed at something comes first, but not twice running before others.
        Otherwise the one that has waited longest, cameras with protected objects twice as soon.
        """
        waiting = [demand for demand in demands if demand.wants]
        self._count_cameras(demands)
        if not waiting:
            return None
        pointed = [demand for demand in waiting if demand.pointed]
        first = pointed if pointed and not (self._pointed_last and len(waiting) > len(pointed)) else waiting
        chosen = max(first, key=lambda demand: self._urgency(demand))
        self._pointed_last = first is pointed and bool(pointed)
        return Turn(chosen.camera, self.allowance())

    def allowance(self) -> Allowance:
        """What the objects of the next keyframe may take."""
        costs = self.costs.costs()
        if self.latency_s is None:
            return Allowance(None, costs)
        picture_s = self.costs.encode.careful_s
        return Allowance(max(self.latency_s / (self._cameras + 1) - picture_s, picture_s), costs)

    def learn(self, job: KeyframeJob, result: KeyframeResult, demand: Demand) -> None:
        """A keyframe has come back. `demand` of its camera from before its masks are taken over, when its masks
        are as old as they get."""
        load = Load.of(job)
        self.costs.learn(load, result)
        if self.latency_s is not None and not load.empty:
            self._judge(demand, load)

    def forget(self, camera: str) -> None:
        """The camera is not segmented any more."""
        self._standing.pop(camera, None)
        self._wanted_s.pop(camera, None)

    def mask_lag_ms(self, camera: str) -> float | None:
        """How old the oldest mask of a camera was at its last keyframe; None: it has no masks."""
        lag_s = self._standing.get(camera, _Standing()).lag_s
        return None if lag_s is None else 1e3 * lag_s

    def late(self) -> tuple[str, ...]:
        """One line for each camera whose masks are older than they should be."""
        return tuple(standing.reason for standing in self._standing.values() if standing.late)

    def to_dict(self) -> dict[str, Any]:
        """For /health."""
        return {
            "latency_ms": None if self.latency_s is None else 1e3 * self.latency_s,
            "costs": self.costs.to_dict(),
            "mask_lag_ms": {camera: self.mask_lag_ms(camera) for camera in self._standing},
            "late": list(self.late()),
        }

    def _count_cameras(self, demands: Sequence[Demand]) -> None:
        """Cameras that take turns: also those whose next frame has not come just now. What was said of one that has
        wanted nothing for a while (it was switched off, or has ended) holds no longer."""
        now_s = max((demand.now_s for demand in demands), default=0.0)
        self._wanted_s.update({demand.camera: now_s for demand in demands if demand.rows or demand.points})
        horizon_s = max(LIVE_S, self.latency_s or 0.0)
        for camera, at_s in list(self._wanted_s.items()):
            if now_s - at_s > horizon_s:
                self.forget(camera)
        self._cameras = max(1, len(self._wanted_s))

    @staticmethod
    def _urgency(demand: Demand) -> tuple[float, str]:
        waited_s = max(0.0, demand.now_s - demand.since_s)
        return waited_s * (PROTECTED_WEIGHT if demand.protected else 1.0), demand.camera

    def _judge(self, demand: Demand, load: Load) -> None:
        assert self.latency_s is not None
        standing = self._standing.setdefault(demand.camera, _Standing())
        standing.lag_s = demand.oldest_age_s
        age_s = demand.protected_age_s
        whose = "protected masks"
        if age_s is None:
            # Nobody is protected: it is late when not even one keyframe in the latency can be had.
            age_s, whose = demand.newest_age_s, "the newest masks"
        if age_s is None:
            return
        wrong = age_s > self.latency_s * (RECOVERED if standing.late else 1.0)
        if wrong:
            standing.reason = self._reason(demand.camera, whose, age_s, load)
        standing.running = 0 if wrong is standing.late else standing.running + 1
        if standing.running < JUDGEMENTS:
            return
        standing.late, standing.running = wrong, 0
        text = standing.reason if wrong else f"{demand.camera}: masks are younger than {self._target()} again"
        self.events.camera = demand.camera
        self.events.add(EventKind.LATE, 0, demand.now_s, text)

    def _reason(self, camera: str, whose: str, age_s: float, load: Load) -> str:
        keyframe_s = self.costs.expected_s(load)
        cameras = f", {self._cameras} cameras take turns" if self._cameras > 1 else ""
        rows = load.memory + load.prompts
        return (
            f"{camera}: {whose} grow {1e3 * age_s:.0f} ms old, not {self._target()}: a keyframe takes "
            f"{1e3 * keyframe_s:.0f} ms (picture {1e3 * self.costs.encode.mean_s:.0f} ms, {rows} objects){cameras}"
        )

    def _target(self) -> str:
        return f"{1e3 * (self.latency_s or 0.0):.0f} ms"
