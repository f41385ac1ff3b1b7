"""What `engine-segment` writes of a picture: object numbers as PNG, a JSON record, the picture with masks drawn in.

A file appears whole or not at all, whenever the run is ended. Knows files and records; not where masks come from.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson

from engine.errors import OutputError
from engine.outputs.base import FrameResult
from engine.outputs.indexed_png import MOST_OBJECTS, index_picture, indexed_png
from engine.outputs.jsonl import object_records
from engine.outputs.overlay import draw_result, style_for
from engine.types import U8, ColourMatrix, FrameNv12, ResultMeta, Tracks
from kernels.colour import ycbcr_to_rgb

SCHEMA = "camring.picture/1"
_SUFFIXES = {"png": ".png", "json": ".json", "overlay": ".overlay.jpg"}
_JPEG_QUALITY = 92
_MOST_JPEG_PX = 65_500


@dataclass(frozen=True, slots=True)
class Segmented:
    """What is known of one picture.

    name     of its results, without a suffix
    picture  file name of the picture
    tracks   its objects; `track_ids` are their numbers in the PNG
    labels   class names
    """

    name: str
    picture: str
    frame: FrameNv12
    tracks: Tracks
    labels: tuple[str, ...]


class ResultFiles:
    """Writes the files of each picture.

    formats      of "png", "json", "overlay"
    mask_format  "polygon" or "rle": how masks stand in the JSON
    model        what made the masks, for the JSON
    degraded     why it is not the one that was asked for, "" where it is
    """

    def __init__(
        self, out: Path, formats: Sequence[str], mask_format: str, model: str, degraded: str = ""
    ) -> None:
        self._out, self._formats, self._mask_format, self._model = out, tuple(formats), mask_format, model
        self._degraded = degraded

    def write(self, segmented: Segmented) -> tuple[str, ...]:
        """Write what was asked for; returns what could not be said in it. Raises `OutputError`."""
        notes: tuple[str, ...] = ()
        if "png" in self._formats:
            picture, notes = _numbers(segmented)
            self._put(segmented.name, "png", indexed_png(picture))
        if "json" in self._formats:
            record = picture_record(segmented, self._mask_format, self._model, self._degraded)
            self._put(segmented.name, "json", orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
        if "overlay" in self._formats:
            self._put(segmented.name, "overlay", _jpeg(drawn_bgr(segmented)))
        return notes

    def _put(self, name: str, what: str, content: bytes) -> None:
        path = self._out / f"{name}{_SUFFIXES[what]}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(path, content)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}; choose another --out") from error


def picture_record(segmented: Segmented, mask_format: str, model: str, degraded: str = "") -> dict[str, Any]:
    """The record of one picture; its objects are those of `camring.frame/1`."""
    meta = segmented.frame.meta
    return {
        "schema": SCHEMA,
        "picture": segmented.picture,
        "frame": meta.index,
        "width": meta.width,
        "height": meta.height,
        "model": model,
        "objects": object_records(_result(segmented), mask_format),
        **({"degraded": [degraded]} if degraded else {}),
    }


def drawn_bgr(segmented: Segmented) -> U8:
    """uint8 (height, width, 3): the picture with masks, boxes and labels."""
    frame, meta = segmented.frame, segmented.frame.meta
    y, uv = frame.y.copy(), frame.uv.copy()
    draw_result(y, uv, _result(segmented), style_for(meta.height, meta.matrix, meta.full_range))
    large = cv2.resize(uv, (2 * uv.shape[1], 2 * uv.shape[0]), interpolation=cv2.INTER_LINEAR)
    y_cb_cr = np.dstack((y, large[: meta.height, : meta.width]))
    matrix = ycbcr_to_rgb(meta.matrix is ColourMatrix.BT709, meta.full_range, bgr=True)
    return np.asarray(cv2.transform(y_cb_cr, matrix), np.uint8)


def _result(segmented: Segmented) -> FrameResult:
    meta = ResultMeta.of_frame(0, segmented.frame.meta)
    return FrameResult(segmented.picture, meta, segmented.tracks, segmented.labels, 0)


def _numbers(segmented: Segmented) -> tuple[U8, tuple[str, ...]]:
    """The picture of object numbers, and what did not go into it."""
    tracks, meta = segmented.tracks, segmented.frame.meta
    fitting = tracks.take(np.flatnonzero(tracks.track_ids <= MOST_OBJECTS))
    left_out = len(tracks) - len(fitting)
    notes = (f"{left_out} of {len(tracks)} objects are not in the PNG, which has room for {MOST_OBJECTS}",)
    assert fitting.masks is not None
    numbers = fitting.track_ids.tolist()
    return index_picture(fitting.masks, numbers, meta.width, meta.height), notes if left_out else ()


def _jpeg(picture_bgr: U8) -> bytes:
    if max(picture_bgr.shape) > _MOST_JPEG_PX:
        raise OutputError(
            f"a JPEG has at most {_MOST_JPEG_PX} pixels a side; leave out `overlay` in --format"
        )
    done, encoded = cv2.imencode(".jpg", picture_bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done
    return encoded.tobytes()


def _write_whole(path: Path, content: bytes) -> None:
    """Put the file in its place when it is complete; raises `OSError` and leaves nothing of it otherwise."""
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chmod(unfinished, 0o644)
        os.replace(unfinished, path)
    except BaseException:
        # An interrupt may come when it is in its place already.
        with suppress(FileNotFoundError):
            os.unlink(unfinished)
        raise
