"""Results and frames to write: hand-made ones of any size, and those of real clips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from engine.outputs.base import FrameResult
from engine.types import (
    Bools,
    ColourMatrix,
    Detections,
    FrameMeta,
    FrameNv12,
    Masks,
    ResultMeta,
    Trace,
    Tracks,
    nv12_geometry,
)

ObjectRow = tuple[int, float, tuple[float, float, float, float]]
"""(track id, score, box left, top, right, bottom)."""

CAPTURED_NS = 5_000_000_000
WALL_NS = 1_700_000_000_123_456_789
TRACE = Trace(
    captured_ns=CAPTURED_NS,
    published_ns=CAPTURED_NS + 2_000_000,
    batched_ns=CAPTURED_NS + 5_000_000,
    inferred_ns=CAPTURED_NS + 65_040_000,
    tracked_ns=CAPTURED_NS + 66_040_000,
)
PERSON: ObjectRow = (7, 0.87, (10.0, 20.0, 60.0, 150.0))


def make_tracks(rows: list[ObjectRow]) -> Tracks:
    """Tracks of class 0 with these ids, scores and boxes."""
    count = len(rows)
    found = Detections(
        boxes_xyxy=np.array([row[2] for row in rows], np.float32).reshape(count, 4),
        scores=np.array([row[1] for row in rows], np.float32),
        class_ids=np.zeros(count, np.int32),
    )
    return Tracks.of(found, np.array([row[0] for row in rows], np.int64), np.ones(count, np.int32))


def disc(rows: int, columns: int) -> Bools:
    """A grid of cells with the ellipse that touches its edges."""
    y, x = np.ogrid[:rows, :columns]
    return np.asarray(((x + 0.5) / columns - 0.5) ** 2 + ((y + 0.5) / rows - 0.5) ** 2 < 0.25)


def make_result(
    index: int = 0, rows: list[ObjectRow] | None = None, skipped: int = 0, grids: list[Bools] | None = None
) -> FrameResult:
    """A result for frame `index` that took 70 ms; `grids` lie over the boxes."""
    tracks = make_tracks([PERSON] if rows is None else rows)
    if grids is not None:
        tracks = replace(tracks, masks=Masks.of_grids(tracks.boxes_xyxy, grids))
    meta = ResultMeta(index + 1, index, WALL_NS, 320, 240, count=len(tracks), trace=TRACE)
    return FrameResult("cam0", meta, tracks, ("person",), CAPTURED_NS + 70_000_000, skipped)


def make_frame(
    width: int,
    height: int,
    index: int = 0,
    *,
    fps: float = 25.0,
    matrix: ColourMatrix = ColourMatrix.BT601,
    full_range: bool = False,
) -> FrameNv12:
    """A grey frame in a slot of its own, with the padding between rows filled with rubbish."""
    stride, offset_uv, slot_bytes = nv12_geometry(width, height)
    step_ns = round(index * 1e9 / fps)
    meta = FrameMeta(
        index, CAPTURED_NS + step_ns, WALL_NS + step_ns, width, height, stride, stride, offset_uv,
        pts_ns=step_ns, matrix=matrix, full_range=full_range,
    )  # fmt: skip
    frame = FrameNv12.view(meta, np.full(slot_bytes, 77, np.uint8))
    frame.y[:] = 110
    frame.uv[:] = 128
    return frame


def decoded_frames(path: Path, limit: int = 1_000_000) -> Iterator[FrameNv12]:
    """The frames of a file as they would lie in a pool slot (the same memory for each)."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        width, height = stream.width, stream.height
        assert stream.time_base is not None
        stride, offset_uv, slot_bytes = nv12_geometry(width, height)
        slot = np.zeros(slot_bytes, np.uint8)
        for index, picture in enumerate(container.decode(stream)):
            if index == limit:
                return
            assert picture.pts is not None
            pts_ns = round(picture.pts * stream.time_base * 10**9)
            meta = FrameMeta(
                index, CAPTURED_NS + pts_ns, WALL_NS + pts_ns, width, height, stride, stride, offset_uv,
                pts_ns=pts_ns,
            )  # fmt: skip
            frame = FrameNv12.view(meta, slot)
            y, uv = (
                np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
                for plane in picture.reformat(format="nv12").planes
            )
            frame.y[:] = y[:, :width]
            frame.uv[:] = uv[:, :width].reshape(frame.uv.shape)
            yield frame
