"""Results as JSON lines: one frame, one line, one write.

Knows the record `camring.frame/1` (frame.schema.json beside this file) and how to keep a file of whole
lines through kills, restarts and full disks. Does not know where frames come from or who reads the file.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from engine.errors import OutputError
from engine.outputs.base import FrameResult, Output
from engine.outputs.events import event_records
from engine.outputs.masks import MASK_FORMATS, mask_fields
from engine.types import FrameNv12, PtzPose, TrackState

SCHEMA = "camring.frame/1"
"""Name and major version of the record. Within one major version keys are only added."""

_TAIL_BLOCK_BYTES = 64 * 1024
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def frame_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) that every line satisfies."""
    text = resources.files("engine.outputs").joinpath("frame.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def frame_record(result: FrameResult, masks: str = "polygon") -> dict[str, Any]:
    """The record of one frame, as plain Python values rounded to what they are worth.

    `masks` names one of `engine.outputs.masks.MASK_FORMATS`, or is `none`: then nothing is said of masks.
    """
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "camera": result.camera,
        "frame": result.meta.index,
        "time": round(result.meta.wall_ns / 1e9, 6),
        "latency_ms": {
            stage: None if span is None else round(span, 1) for stage, span in result.latency_ms().items()
        },
        "skipped": result.skipped,
        **pose_fields(result.meta.pose),
        "objects": [
            {**thing, **tracked}
            for thing, tracked in zip(object_records(result, masks), track_fields(result), strict=True)
        ],
    }
    if len(result.events):
        record["events"] = event_records(result)
    if result.degraded:
        record["degraded"] = list(result.degraded)
    return record


def pose_fields(pose: PtzPose | None) -> dict[str, Any]:
    """What a frame record says of where the camera looked; nothing where that is not known."""
    if pose is None:
        return {}
    pan_deg = round(pose.pan_deg, 3) % 360
    return {"pose": {"pan": pan_deg, "tilt": round(pose.tilt_deg, 3), "hfov": round(pose.hfov_deg, 3)}}


def object_records(result: FrameResult, mask_format: str = "polygon") -> list[dict[str, Any]]:
    """The objects of a `frame_record`, as in its schema."""
    tracks = result.tracks
    boxes = tracks.boxes_xyxy.astype(np.float64)
    boxes_xywh = np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1).round(1)
    columns = zip(
        tracks.track_ids.tolist(),
        tracks.class_ids.tolist(),
        tracks.scores.astype(np.float64).round(3).tolist(),
        boxes_xywh.tolist(),
        strict=True,
    )
    objects: list[dict[str, Any]] = [
        {"id": track_id or None, "label": result.label_of(class_id), "confidence": score, "bbox": bbox}
        for track_id, class_id, score, bbox in columns
    ]
    if tracks.masks is not None and mask_format in MASK_FORMATS:
        size_wh = (result.meta.width, result.meta.height)
        fields = mask_fields(tracks.masks, tracks.track_ids.tolist(), size_wh, mask_format)
        for thing, more in zip(objects, fields, strict=True):
            thing.update(more)
    return objects


def track_fields(result: FrameResult) -> list[dict[str, Any]]:
    """What a frame record says of each object beyond what was detected: its track's state and motion, its `gid`."""
    tracks = result.tracks
    columns = zip(
        tracks.states.tolist(),
        tracks.gids.tolist(),
        tracks.track_ids.tolist(),
        tracks.velocities_xy.astype(np.float64).round(1).tolist(),
        strict=True,
    )
    fields: list[dict[str, Any]] = []
    for state, gid, track_id, velocity in columns:
        fields.append({} if state == TrackState.UNTRACKED else {"state": TrackState(state).name.lower()})
        if track_id:
            fields[-1]["velocity"] = velocity
        if gid:
            fields[-1]["gid"] = gid
    return fields


class JsonlOutput(Output):
    """Appends one line per frame to a file.

    A new run starts the file anew; `resume` goes on with the file of a killed predecessor of the same run:
    a torn last line is dropped and `last_frame` says which frame the file ends with.
    """

    last_frame: int = -1
    """Number of the last frame in the file, -1 while it holds none."""

    def __init__(self, path: str | Path, resume: bool = False, masks: str = "polygon") -> None:
        """Open the file; `masks` as in `frame_record`.

        Raises `OutputError`: no permission, another run writes it, not a file of ours.
        """
        self._path = Path(path)
        self._lines = 0
        self._masks = masks
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self._path, flags, 0o644)
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be opened for writing: {error.strerror}") from error
        try:
            self._claim()
            self._size = self._whole_lines() if resume else 0
            os.ftruncate(self._fd, self._size)
        except (OutputError, OSError) as error:
            self.close()
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"{self._path}: cannot be prepared for writing: {error.strerror}") from error

    def write(self, result: FrameResult, frame: FrameNv12 | None = None) -> None:
        """Append the line of one frame. Raises `OutputError`; the file then ends with the line before it.

        A later call may succeed again, once there is space.
        """
        line = orjson.dumps(frame_record(result, self._masks), option=orjson.OPT_APPEND_NEWLINE)
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            raise self._failure(error.errno or 0, error.strerror or str(error)) from error
        if written != len(line):
            os.ftruncate(self._fd, self._size)
            raise self._failure(errno.ENOSPC, "short write")
        self._size += written
        self._lines += 1
        self.last_frame = result.meta.index

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _claim(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"{self._path}: another run is writing this file; give this one its own folder with --out"
            ) from None

    def _whole_lines(self) -> int:
        """Bytes up to the end of the last whole line; sets `last_frame` from it."""
        end = self._after_newline_before(os.fstat(self._fd).st_size)
        if end == 0:
            return 0
        start = self._after_newline_before(end - 1)
        try:
            self.last_frame = int(orjson.loads(os.pread(self._fd, end - start, start))["frame"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            raise OutputError(
                f"{self._path}: its last line is no {SCHEMA} record, so this run cannot go on with it; "
                "move the file away"
            ) from None
        return end

    def _after_newline_before(self, end: int) -> int:
        """Offset behind the last newline in the first `end` bytes of the file, 0 if there is none."""
        while end > 0:
            start = max(0, end - _TAIL_BLOCK_BYTES)
            found = os.pread(self._fd, end - start, start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
        return 0

    def _failure(self, number: int, reason: str) -> OutputError:
        if number in _NO_SPACE:
            return OutputError(
                f"{self._path}: disk full after {self._lines} lines; free space there or choose another "
                "folder with --out"
            )
        return OutputError(f"{self._path}: cannot be written after {self._lines} lines: {reason}")
