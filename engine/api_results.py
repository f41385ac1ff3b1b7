"""What a program is given for each frame (`engine.api`): the result as arrays, and its frame as a leased view."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import TracebackType
from typing import Any

import numpy as np

from engine.outputs.base import FrameResult
from engine.outputs.events import event_records
from engine.outputs.jpeg import bgr_of
from engine.outputs.jsonl import frame_record
from engine.outputs.masks import full_size
from engine.types import (
    F32,
    I32,
    I64,
    U8,
    Bools,
    Events,
    FrameMeta,
    FrameNv12,
    Masks,
    PtzPose,
    Tracks,
    TrackState,
)


class Frame:
    """The very frame that a result speaks of, in shared memory and not copied. Use as a context manager, or `release`.

    The engine cannot write this slot while it is leased, so keep it as short as possible. It is released by itself when
    the iteration goes on. Arrays that were taken from it must not be used after that: take `copy` or `to_bgr` instead.
    """

    def __init__(self, frame: FrameNv12, let_go: Callable[[], None]) -> None:
        self._frame: FrameNv12 | None = frame
        self._let_go = let_go
        self.meta: FrameMeta = frame.meta

    @property
    def nv12(self) -> FrameNv12:
        """Both planes with their `FrameMeta`. Raises `ValueError` once it is released."""
        if self._frame is None:
            raise ValueError(
                f"frame {self.meta.index} has been released: use it before the next result, or copy it"
            )
        return self._frame

    @property
    def y(self) -> U8:
        """uint8 (height, width), read-only; rows are strided. Raises `ValueError` once it is released."""
        return self.nv12.y

    @property
    def uv(self) -> U8:
        """uint8 (⌈height/2⌉, ⌈width/2⌉, 2): Cb, Cr, read-only. Raises `ValueError` once it is released."""
        return self.nv12.uv

    @property
    def released(self) -> bool:
        """Whether the engine may have written over it."""
        return self._frame is None

    def copy(self) -> FrameNv12:
        """Planes of one's own, which stay."""
        frame = self.nv12
        return replace(frame, y=frame.y.copy(), uv=frame.uv.copy(), surface=None)

    def to_bgr(self) -> U8:
        """uint8 (height, width, 3), BGR as OpenCV wants it: a copy, which stays."""
        return bgr_of(self.y, self.uv, self.meta.matrix, self.meta.full_range)

    def release(self) -> None:
        """Let the engine have the slot again. A second call does nothing."""
        if self._frame is not None:
            self._frame = None
            self._let_go()

    def __enter__(self) -> Frame:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@dataclass(frozen=True, eq=False)
class Result:
    """Everything known of one frame. The arrays have one length, are the program's own, and stay.

    raw     the result as the engine's outputs see it
    frame   the picture, None where it was gone already, or was not asked for
    lost    results of this camera that were overwritten before this one was read: the program was too slow for them
    """

    raw: FrameResult
    frame: Frame | None = None
    lost: int = 0

    @property
    def camera(self) -> str:
        """Name of the camera."""
        return self.raw.camera

    @property
    def frame_number(self) -> int:
        """0-based number of the frame in its source."""
        return self.raw.meta.index

    @property
    def time(self) -> float:
        """When the frame was captured, seconds since the Unix epoch."""
        return self.raw.meta.wall_ns / 1e9

    @property
    def skipped(self) -> int:
        """Frames of the source passed over since the result before this one."""
        return self.raw.skipped

    @property
    def width(self) -> int:
        """Pixels of the frame."""
        return self.raw.meta.width

    @property
    def height(self) -> int:
        """Pixels of the frame."""
        return self.raw.meta.height

    @property
    def boxes_xyxy(self) -> F32:
        """float32 (n, 4): left, top, right, bottom in pixels of the source."""
        return self.raw.tracks.boxes_xyxy

    @property
    def ids(self) -> I64:
        """int64 (n,): track IDs, unique per camera and run; 0 = seen, not confirmed as a track yet."""
        return self.raw.tracks.track_ids

    @property
    def gids(self) -> I64:
        """int64 (n,): identities over all cameras, 0 = none known."""
        return self.raw.tracks.gids

    @property
    def scores(self) -> F32:
        """float32 (n,): 0..1."""
        return self.raw.tracks.scores

    @property
    def class_ids(self) -> I32:
        """int32 (n,): index into the model's classes."""
        return self.raw.tracks.class_ids

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Class name of each object."""
        return tuple(self.raw.label_of(number) for number in self.class_ids.tolist())

    @cached_property
    def states(self) -> tuple[str, ...]:
        """State of each object's track: `untracked`, `tentative`, `confirmed` or `coasting`."""
        return tuple(TrackState(number).name.lower() for number in self.raw.tracks.states.tolist())

    @property
    def velocities_xy(self) -> F32:
        """float32 (n, 2): motion of each box's centre, pixels a second."""
        return self.raw.tracks.velocities_xy

    @property
    def masks(self) -> Masks | None:
        """The objects' masks as grids of bits, None where nobody makes any."""
        return self.raw.tracks.masks

    def mask(self, index: int) -> Bools | None:
        """bool (height, width): what object `index` covers; None where it has no mask."""
        masks = self.masks
        if masks is None or not masks.present()[index]:
            return None
        return np.asarray(full_size(masks, index, self.width, self.height), np.bool_)

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """What happened in it, as in the records of docs/events.md."""
        return event_records(self.raw)

    @property
    def degraded(self) -> tuple[str, ...]:
        """A line for each model that stands in for the one that was asked for, and why (docs/models.md)."""
        return self.raw.degraded

    @property
    def pose(self) -> PtzPose | None:
        """Where the camera looked, None where that is not known."""
        return self.raw.meta.pose

    @cached_property
    def latency_ms(self) -> Mapping[str, float | None]:
        """Milliseconds from capture to here (`total`) and in each stage."""
        return self.raw.latency_ms()

    def record(self, masks: str = "polygon") -> dict[str, Any]:
        """The line of `<camera>.jsonl` for this frame, as plain values (schema `camring.frame/1`)."""
        return frame_record(self.raw, masks)


def own(tracks: Tracks) -> Tracks:
    """The same objects in memory of their own."""
    return tracks.take(np.arange(len(tracks)))


def own_events(events: Events) -> Events:
    """The same events in memory of their own."""
    columns = ("track_ids", "gids", "groups", "kinds", "regions", "class_ids", "values", "points_xy")
    return Events(**{name: getattr(events, name).copy() for name in columns})
