"""What the decisions about one camera share: its rules and mode, the table, the newest records."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from engine.errors import PromptError
from engine.segmentation.gallery import SAM2_POINTER, EmbeddingKind, Gallery
from engine.segmentation.identities import Identities
from engine.segmentation.modes import Mode
from engine.segmentation.pointing import nearest_ids, rescaled
from engine.segmentation.published import published
from engine.segmentation.seats import Seats
from engine.segmentation.table import HeldObject, ObjectTable
from engine.types import F32, I64, ResultMeta, Tracks

RECENT_RECORDS = 64
"""Records that a prompt may speak of: two and a half seconds at 25 frames/s."""


@dataclass(frozen=True, slots=True)
class CameraRules:
    """What does not change while a run lasts.

    labels          of the detector's classes, to find those in `classes`
    classes         labels whose tracks are segmented; none: all
    latency_s       how old a mask may grow, `segment.latency_ms`
    lost_s          how long a lost object is remembered
    grid            points along each side of the grid of mode `auto`
    detector_masks  masks come from the detector, there is no segmenter
    embeddings      what objects are recognised by
    """

    labels: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    latency_s: float = 1.0
    lost_s: float = 30.0
    grid: int = 16
    detector_masks: bool = False
    embeddings: tuple[EmbeddingKind, ...] = (SAM2_POINTER,)

    def class_ids(self) -> frozenset[int] | None:
        """The classes that are segmented, None for all. Labels that the detector does not have choose nothing."""
        if not self.classes:
            return None
        return frozenset(number for number, label in enumerate(self.labels) if label in self.classes)


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """Where the objects of a published record were; `track_ids` are the tracker's own numbers, 0 without a track."""

    frame_seq: int
    object_ids: I64
    boxes_xyxy: F32


class Scene:
    """One camera. `table.now_s` is the time of the newest call.

    size_wh  of the newest record's picture; None before the first
    latest   the newest record
    """

    def __init__(self, camera: str, mode: Mode, rules: CameraRules, seats: Seats) -> None:
        self.camera = camera
        self.mode = mode
        self.rules = rules
        self.table = ObjectTable(camera, seats, Identities(), Gallery(rules.embeddings))
        self.starts = rules.class_ids()
        self.size_wh: tuple[int, int] | None = None
        self.latest: tuple[Tracks, ResultMeta] | None = None
        self.records: deque[Record] = deque(maxlen=RECENT_RECORDS)

    @property
    def segments(self) -> bool:
        """Whether a segmenter is asked at all."""
        return self.mode is not Mode.OFF and not self.rules.detector_masks

    def at(self, now_s: float) -> None:
        """The time is so much; others may have taken places meanwhile."""
        self.table.now_s = max(self.table.now_s, now_s)
        self.table.take_evictions()

    def remember(self, tracks: Tracks, meta: ResultMeta) -> None:
        """This is the newest record."""
        self.latest = (tracks, meta)
        rows = published(self.table, tracks, self.mode, self.rules.latency_s)
        known = rows.track_ids > 0
        self.records.append(
            Record(meta.frame_seq, rows.track_ids[known].copy(), rows.boxes_xyxy[known].copy())
        )

    def record(self, frame_seq: int | None) -> Record:
        """The newest record up to a frame, or the oldest that is remembered."""
        if not self.records:
            raise PromptError(f"no picture of {self.camera} has come yet; try again when it has")
        if frame_seq is None:
            return self.records[-1]
        return next((one for one in reversed(self.records) if one.frame_seq <= frame_seq), self.records[0])

    def known(self) -> dict[int, None]:
        """IDs that something can be said about: those published now, and those that are held."""
        newest = self.records[-1].object_ids.tolist() if self.records else []
        return dict.fromkeys([*newest, *self.table.objects])

    def unknown(self, object_id: int) -> PromptError:
        """The error for an ID that is none here, with those that are."""
        return PromptError(
            f"no object {object_id} on {self.camera}: it has left or never was; "
            f"{nearest_ids(object_id, [*self.known()])}"
        )

    def resize(self, size_wh: tuple[int, int]) -> None:
        """The pictures have this size from now on; what is known in pixels is scaled with them."""
        before, self.size_wh = self.size_wh, size_wh
        if before is None or before == size_wh:
            return
        scale: F32 = np.array([new / old for new, old in zip(size_wh, before, strict=True)] * 2, np.float32)
        for held in self.table.objects.values():
            _rescale(held, scale)
            if held.pointed is not None:
                held.pointed = type(held.pointed)(
                    rescaled(held.pointed.prompt, before, size_wh),
                    None if held.pointed.anchor_xyxy is None else held.pointed.anchor_xyxy * scale,
                )
        self.records = deque(
            (Record(one.frame_seq, one.object_ids, one.boxes_xyxy * scale) for one in self.records),
            maxlen=RECENT_RECORDS,
        )

    def give_up_lost(self) -> None:
        """Forget objects that have been lost for too long."""
        for held in list(self.table.objects.values()):
            since_s = held.lost_since_s
            if since_s is not None and self.table.now_s - since_s > self.rules.lost_s:
                self.table.drop(held, f"was not found again within {self.rules.lost_s:g} s")


def _rescale(held: HeldObject, scale: F32) -> None:
    held.box_xyxy = held.box_xyxy * scale
    held.velocity_xy = held.velocity_xy * scale[:2]
    if held.outline is not None and held.outline_box_xyxy is not None:
        held.outline = held.outline.scaled(scale)
        held.outline_box_xyxy = held.outline_box_xyxy * scale
