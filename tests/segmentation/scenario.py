"""A small world for the policy: things that move over a picture, a tracker's records of them, and a segmenter that
answers by what is there. No pixels, no models, no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.segmentation.budget import Budget
from engine.segmentation.camera import CameraObjects
from engine.segmentation.jobs import KeyframeJob, KeyframeResult, Memory, ObjectMask, ObjectRequest
from engine.segmentation.order import Allowance
from engine.segmentation.scene import CameraRules
from engine.segmentation.seats import Seats
from engine.types import F32, Detections, MaskSource, Prompt, ResultMeta, Tracks

WIDTH, HEIGHT = 640, 480
FRAME_S = 0.04
ALL = Allowance(None, Budget(None).costs.costs())
"""Everything is refreshed at every keyframe."""

Box = tuple[float, float, float, float]
Truth = Callable[[ObjectRequest], Box | None]


def box(*edges: float) -> F32:
    return np.array(edges, np.float32)


def box_prompt(*edges: float) -> Prompt:
    return Prompt.of_box(box(*edges))


def point_prompt(*points: tuple[float, float, int]) -> Prompt:
    return Prompt(
        np.array([point[:2] for point in points], np.float32),
        np.array([point[2] for point in points], np.int32),
    )


def tracks_of(rows: Mapping[int, Box], class_ids: Mapping[int, int] | None = None) -> Tracks:
    """Tracks by the tracker's number; an ID below 0 stands for a box that is not confirmed (0)."""
    count, classes = len(rows), class_ids or {}
    found = Detections(
        np.array(list(rows.values()), np.float32).reshape(count, 4),
        np.full(count, 0.9, np.float32),
        np.array([classes.get(track_id, 0) for track_id in rows], np.int32),
    )
    return Tracks.of(found, np.array([max(0, track_id) for track_id in rows], np.int64))


def meta_of(frame_seq: int, width: int = WIDTH, height: int = HEIGHT) -> ResultMeta:
    return ResultMeta(frame_seq, frame_seq, 0, width, height)


def mask_of(object_id: int, edges: Box | None, **known: object) -> ObjectMask:
    """A mask that fills a box; none where there is nothing."""
    values: dict[str, object] = {
        "source": MaskSource.MEMORY, "confidence": 0.9, "object_score": 5.0 if edges else -5.0,
        "pointer": pointer(object_id), "remembered": True,
    } | known  # fmt: skip
    grid = np.ones((8, 8), np.bool_) if edges else np.zeros((0, 0), np.bool_)
    return ObjectMask(object_id=object_id, grid=grid, rect_xyxy=box(*(edges or (0, 0, 0, 0))), **values)  # type: ignore[arg-type]  # by name


def pointer(number: int) -> F32:
    """float32 (256,): of each number another, nearly at right angles to all others."""
    return np.random.default_rng(number).standard_normal(256).astype(np.float32)


def answer(job: KeyframeJob, truth: Truth, encode_s: float = 0.1, objects_s: float = 0.1) -> KeyframeResult:
    """The result of a segmenter that sees the truth."""
    masks = tuple(
        mask_of(
            request.object_id, truth(request), source=request.source,
            remembered=request.memory not in (Memory.NONE, Memory.LOOK),
        )
        for request in job.requests
    )  # fmt: skip
    return KeyframeResult(job.camera, job.frame_seq, masks, (), encode_s, objects_s)


@dataclass
class Stage:
    """One camera that is stepped through records, each of them a keyframe unless said otherwise."""

    mode: str = "track"
    seats: Seats = field(default_factory=lambda: Seats(32))
    rules: CameraRules = field(default_factory=CameraRules)
    seq: int = 0
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.camera = CameraObjects("door", self.mode, self.rules, self.seats)
        self.tracks = Tracks.empty()

    def record(
        self, rows: Mapping[int, Box], classes: Mapping[int, int] | None = None, pass_s: float = FRAME_S
    ) -> list[int]:
        """The next record; returns the IDs that are published."""
        self.seq += 1
        self.now_s += pass_s
        self.tracks = tracks_of(rows, classes)
        self.camera.on_tracks(self.tracks, meta_of(self.seq), self.now_s)
        return self.ids()

    def ids(self) -> list[int]:
        return [int(number) for number in self.camera.objects(self.tracks).track_ids]

    def keyframe(
        self, truth: Truth | Mapping[int, Box], allowance: Allowance = ALL
    ) -> list[tuple[int, Memory]]:
        """Segment the newest record's frame; returns who was asked for what."""
        job = self.camera.plan(self.now_s, allowance)
        if job is None:
            return []
        seen = truth if callable(truth) else (lambda request: truth.get(request.object_id))
        self.camera.on_result(answer(job, seen), self.now_s)
        return [(request.object_id, request.memory) for request in job.requests]

    def events(self, *kinds: str) -> list[tuple[str, int]]:
        """Kinds and objects of the events since this was last asked."""
        return [
            (str(event.kind), event.object_id)
            for event in self.camera.events.drain()
            if not kinds or str(event.kind) in kinds
        ]


def unlimited(cameras: Sequence[CameraObjects], now_s: float) -> list[KeyframeJob]:
    """A job of every camera that has anything to do."""
    return [job for camera in cameras if (job := camera.plan(now_s, ALL)) is not None]
