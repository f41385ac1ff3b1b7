"""Whose look is wanted in the frames of all cameras, and who gets one: demand and budget put together.

Frames are asked about once, per camera in their order. Live all cameras share one budget, in the clock of capture, and
what is ready together is dealt out by need. Offline everything depends on the frames alone, so that a run can be
repeated: each camera has its share of the budget, in its own time. Knows no network and no thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine import topology
from engine.batching.thinning import UNKNOWN_STEP_NS
from engine.config import RunConfig
from engine.tracking.demand import Demand, DemandSettings, Need, Wanted
from engine.types import Detections, FrameFlag, ResultMeta
from engine.workers.infer_budget import CropBudget
from engine.workers.infer_cameras import Camera, Job
from engine.workers.infer_looks import NOTHING, Look

LEFT_OUT = ("budget", "frame", "late", "room", "unusable", "failed")
"""Why a box that was worth a look has no embedding: the budget was spent, its frame had its `reid.crops_per_frame`,
too many frames of its camera waited for the network (live only), the slot has no room, the crop held no picture or the
network gave no numbers, the network has failed."""


@dataclass
class CameraDemand:
    """What is kept for one camera.

    boxes     detections of all frames that were asked about
    embedded  boxes that were looked at, by need
    left_out  boxes that were not, although they were worth it, by reason (`LEFT_OUT`)
    size      of the last picture
    """

    demand: Demand
    budget: CropBudget
    boxes: int = 0
    embedded: dict[Need, int] = field(default_factory=lambda: dict.fromkeys(Need, 0))
    left_out: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LEFT_OUT, 0))
    size: tuple[int, int] = (0, 0)

    def wanted(self, found: Detections, meta: ResultMeta) -> Wanted:
        """What of the next frame is worth a look."""
        size = (meta.width, meta.height)
        if meta.flags & FrameFlag.DISCONTINUITY or size != self.size:
            self.demand.forget()
        self.size = size
        self.boxes += len(found)
        return self.demand.wanted(found)


@dataclass(frozen=True, slots=True)
class Asked:
    """One frame of a camera, its detections, what of them is worth a look, whether the network is too far behind."""

    camera: CameraDemand
    job: Job
    found: Detections
    wanted: Wanted
    late: bool


@dataclass(frozen=True, slots=True)
class Order:
    """Boxes of one frame that are to be embedded."""

    camera: CameraDemand
    job: Job
    found: Detections
    look: Look


class Demands:
    """See the module. `most_rows`: embeddings of a frame that its record has room for."""

    def __init__(self, config: RunConfig, settings: DemandSettings, most_rows: int) -> None:
        reid, count = config.reid, max(1, len(config.cameras))
        self._live = not config.offline
        self._most = {"room": most_rows, "frame": reid.crops_per_frame}
        self._newest_s = 0.0
        self._settings = settings
        self._shared = CropBudget(reid.crops_per_s)
        self._share = reid.crops_per_s / count
        self.cameras = {camera.name: self._new() for camera in config.cameras}

    def _new(self) -> CameraDemand:
        return CameraDemand(Demand(self._settings), self._shared if self._live else CropBudget(self._share))

    def follow(self, names: Sequence[str]) -> None:
        """These are the cameras from now on: what was kept of others is forgotten. Live only."""
        self.cameras = {name: self.cameras.get(name) or self._new() for name in names}

    def ask(self, cameras: Iterable[Camera], now_ns: int) -> Iterator[Order]:
        """Decide about every frame whose detections are there; those that get nothing are done with."""
        cameras = list(cameras)
        while asked := [
            self._asked(camera, job) for camera in cameras if (job := camera.next_unasked()) is not None
        ]:
            for one, rows in zip(asked, self._dealt(asked), strict=True):
                one.job.look = NOTHING
                if rows:
                    one.job.look = look = look_at(sorted(rows), now_ns)
                    one.camera.demand.granted(look.rows)
                    yield Order(one.camera, one.job, one.found, look)

    def _asked(self, camera: Camera, job: Job) -> Asked:
        own, found = self.cameras[camera.name], job.detections()
        own.budget.come_to(self._time_s(job.meta))
        late = self._live and camera.looks_under_way() >= topology.FRAMES_EMBEDDED
        return Asked(own, job, found, own.wanted(found, job.meta), late)

    def _dealt(self, asked: list[Asked]) -> list[list[tuple[int, Need]]]:
        """(row, need) of what each frame gets: by need, in turns among equals."""
        candidates = [
            (Need(need), rank, turn, row)
            for turn, one in enumerate(asked)
            for rank, (row, need) in enumerate(
                zip(one.wanted.rows.tolist(), one.wanted.needs.tolist(), strict=True)
            )
        ]
        dealt: list[list[tuple[int, Need]]] = [[] for _ in asked]
        for need, _, turn, row in sorted(candidates):
            camera, own = asked[turn].camera, dealt[turn]
            full = next((reason for reason, most in self._most.items() if len(own) >= most), "")
            against = "late" if asked[turn].late else full
            if against or not camera.budget.take(need):
                camera.left_out[against or "budget"] += 1
            else:
                own.append((row, need))
        return dealt

    def _time_s(self, meta: ResultMeta) -> float:
        """Live the clock of capture, which all cameras share; offline the camera's own time, the same in every run."""
        if self._live:
            self._newest_s = max(self._newest_s, meta.trace.captured_ns / 1e9)
            return self._newest_s
        return (meta.pts_ns if meta.pts_ns >= 0 else meta.index * UNKNOWN_STEP_NS) / 1e9


def look_at(rows_and_needs: list[tuple[int, Need]], now_ns: int) -> Look:
    """A look at these boxes, decided now."""
    rows = np.array([row for row, _ in rows_and_needs], np.int32)
    return Look(rows, tuple(need for _, need in rows_and_needs), now_ns)
