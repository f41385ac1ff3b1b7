"""The header of a result: which frame it speaks of, and how it got here."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import ClassVar

from engine.types.frame import FrameFlag, FrameMeta
from engine.types.pose import PtzPose, pose_numbers, pose_of_numbers


@dataclass(frozen=True, slots=True)
class Trace:
    """When a result passed each stage, monotonic ns; 0 where it has not been."""

    captured_ns: int = 0
    published_ns: int = 0
    batched_ns: int = 0
    inferred_ns: int = 0
    tracked_ns: int = 0


@dataclass(frozen=True, slots=True)
class PictureShift:
    """How a picture has moved as a whole since the frame before that the tracker has seen, where the camera turns.

    x_px, y_px  where a point that was in the middle has gone, in pixels of the picture
    scale       how much larger things around it have become
    """

    x_px: float
    y_px: float
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class ResultMeta:
    """Header of one result: which frame it speaks of, how it got here, what was lost on the way.

    frame_seq           sequence number of the frame in its pool
    index, wall_ns, pts_ns, width, height   of that frame
    count               number of objects
    dropped_superseded  frames of this camera passed over so far because a newer one was there
    dropped_restart     frames lost so far because the inference process died with them
    dropped_rate        frames passed over so far because the camera's target rate did not ask for them
    dropped_stale       frames passed over so far because they were too old by the time there was room
    dropped_empty       frames refused so far because they had no pixels
    notices             records so far that hold no result (`FrameFlag.NOTICE`)
    mask_bytes          bytes of the masks that lie behind the objects' columns, 0 without masks
    masks_lost          masks of this frame that found no room in a slot on the way
    event_count         events at the end of the slot (`Events`)
    embedding_count, embedding_dims   embeddings at the end of the slot (`Embeddings`)
    shift               how the picture has moved as a whole, None where the pictures do not say it
    pose                where the camera looked when the frame was taken, None where that is not known
    next_track_id       where the tracker goes on numbering; survives its death because it travels here
    """

    frame_seq: int
    index: int
    wall_ns: int
    width: int
    height: int
    pts_ns: int = -1
    count: int = 0
    dropped_superseded: int = 0
    dropped_restart: int = 0
    next_track_id: int = 1
    flags: FrameFlag = FrameFlag.NONE
    trace: Trace = field(default_factory=Trace)
    dropped_rate: int = 0
    dropped_stale: int = 0
    mask_bytes: int = 0
    masks_lost: int = 0
    dropped_empty: int = 0
    notices: int = 0
    event_count: int = 0
    embedding_count: int = 0
    embedding_dims: int = 0
    shift: PictureShift | None = None
    pose: PtzPose | None = None

    _LAYOUT: ClassVar[struct.Struct] = struct.Struct("<16q9I7d")

    @classmethod
    def of_frame(cls, frame_seq: int, meta: FrameMeta) -> ResultMeta:
        """The header of a result that speaks of this frame."""
        trace = Trace(captured_ns=meta.captured_ns, published_ns=meta.published_ns)
        return cls(
            frame_seq, meta.index, meta.wall_ns, meta.width, meta.height, meta.pts_ns, flags=meta.flags, trace=trace,
            pose=meta.pose,
        )  # fmt: skip

    @property
    def time_s(self) -> float:
        """When the frame was, in seconds of the source's own time; of the capture clock if it has none.

        For motion between frames of one camera. It may jump where a source reconnects.
        """
        return (self.pts_ns if self.pts_ns >= 0 else self.trace.captured_ns) / 1e9

    def pack_into(self, meta: memoryview | bytearray) -> None:
        """Write the fixed layout into a slot's meta block."""
        t = self.trace
        self._LAYOUT.pack_into(
            meta, 0, self.frame_seq, self.index, self.wall_ns, self.pts_ns, self.dropped_superseded,
            self.dropped_restart, self.next_track_id, self.dropped_rate, self.dropped_stale,
            self.dropped_empty, self.notices,
            t.captured_ns, t.published_ns, t.batched_ns, t.inferred_ns, t.tracked_ns,
            self.width, self.height, self.count, self.flags, self.mask_bytes, self.masks_lost,
            self.event_count, self.embedding_count, self.embedding_dims, *_packed(self.shift),
            *pose_numbers(self.pose),
        )  # fmt: skip

    @classmethod
    def unpack(cls, meta: memoryview | bytes | bytearray) -> ResultMeta:
        """Read the fixed layout from a slot's meta block."""
        (frame_seq, index, wall_ns, pts_ns, superseded, restart, next_track_id, rate, stale,
         empty, notices, captured, published, batched, inferred, tracked,
         width, height, count, flags, mask_bytes, masks_lost,
         event_count, embedding_count, embedding_dims, *numbers) = cls._LAYOUT.unpack_from(meta)  # fmt: skip
        return cls(
            frame_seq, index, wall_ns, width, height, pts_ns, count, superseded, restart, next_track_id,
            FrameFlag(flags),
            Trace(captured, published, batched, inferred, tracked),
            rate, stale, mask_bytes, masks_lost, empty, notices, event_count, embedding_count, embedding_dims,
            None if math.isnan(numbers[0]) else PictureShift(*numbers[:3]),
            pose_of_numbers(numbers[3:]),
        )  # fmt: skip


def _packed(shift: PictureShift | None) -> tuple[float, float, float]:
    return (math.nan,) * 3 if shift is None else (shift.x_px, shift.y_px, shift.scale)
