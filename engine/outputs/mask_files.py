"""Masks of every frame as files: `masks/<camera>/000123.png`, or `.json` with COCO run lengths or polygons.

Written by a thread behind a bounded queue, so that lines of results do not wait for pictures to be packed. Knows files;
does not know who is told of what could not be written. Nothing else may lie in the folder of the results under the
ending `.jsonl`, which is why run lengths are one JSON document a frame.
"""

from __future__ import annotations

import json
import os
import queue
import re
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from engine.errors import OutputError
from engine.outputs.base import FrameResult, Output
from engine.outputs.indexed_png import MOST_OBJECTS, index_picture, indexed_png
from engine.outputs.masks import mask_fields
from engine.types import FrameNv12, Masks

MASKS_SCHEMA = "camring.masks/1"
"""Name and major version of a JSON document of masks. Within one major version keys are only added."""

MOST_WAITING = 32
"""Frames that may wait to be written: a second of a camera."""
RETRY_FRAMES = 25
"""After a failure so many frames pass before the disk is asked again."""
_ENDINGS = {"png": ".png", "rle": ".json", "polygon": ".json"}
_OURS = re.compile(r"\d{6,}\.(png|json)(\.part)?")


@dataclass(frozen=True, slots=True)
class _Picture:
    """What a file needs of a result: copies."""

    camera: str
    frame: int
    time: float
    size_wh: tuple[int, int]
    ids: list[int]
    labels: list[str]
    masks: Masks | None


class MaskFiles:
    """The files of one camera. `write` belongs to one thread; a thread of its own writes.

    wait     offline every frame counts: `write` waits for room. Live what finds no room is dropped and counted
    dropped  frames whose masks were not written, by reason: masks_queue_full, masks_failed
    trouble  why nothing can be written at present, "" while it can
    """

    def __init__(self, folder: Path, form: str, *, wait: bool, resume: bool = False) -> None:
        """Make the folder; what another run has left in it goes. Raises `OutputError`.

        form  `png`, `rle` or `polygon`
        """
        self._folder, self._form, self._wait = folder, form, wait
        self._queue: queue.Queue[_Picture | None] = queue.Queue(MOST_WAITING)
        self._pausing = 0
        self.dropped: Counter[str] = Counter()
        self.written = 0
        self.trouble = ""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in [] if resume else os.listdir(folder):
                if _OURS.fullmatch(name):
                    os.unlink(folder / name)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be prepared for masks: {error.strerror}") from error
        self._thread: threading.Thread | None = threading.Thread(
            target=self._write_all, name="masks", daemon=True
        )
        self._thread.start()

    def write(self, result: FrameResult) -> None:
        """Take the masks of one frame. Offline raises `OutputError` where a file before could not be written."""
        if self._wait and self.trouble:
            raise OutputError(self.trouble)
        picture = _copy_of(result)
        try:
            self._queue.put(picture, block=self._wait)
        except queue.Full:
            self.dropped["masks_queue_full"] += 1

    def close(self) -> None:
        """Finish what waits. May be called twice. Offline raises `OutputError` as `write`."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
            if self._wait and self.trouble:
                raise OutputError(self.trouble)

    def _write_all(self) -> None:
        while (picture := self._queue.get()) is not None:
            if self._pausing:
                self._pausing -= 1
                self.dropped["masks_failed"] += 1
                continue
            path = self._folder / f"{picture.frame:06}{_ENDINGS[self._form]}"
            try:
                _replace(path, content_of(picture, self._form))
            except OSError as error:
                self.trouble = f"{path}: cannot be written: {error.strerror or error}"
                self.dropped["masks_failed"] += 1
                self._pausing = 0 if self._wait else RETRY_FRAMES
            else:
                self.written += 1
                self.trouble = "" if not self._wait else self.trouble


class WithMaskFiles(Output):
    """An output, and the masks of its frames as files beside it."""

    def __init__(self, output: Output, files: MaskFiles) -> None:
        self.output, self.files = output, files

    def write(self, result: FrameResult, frame: FrameNv12 | None = None) -> None:
        """Write the result, then hand over its masks. Raises `OutputError`."""
        self.output.write(result, frame)
        self.files.write(result)

    def close(self) -> None:
        """Finish both. May be called twice. Raises `OutputError`."""
        try:
            self.output.close()
        finally:
            self.files.close()


def content_of(picture: _Picture, form: str) -> bytes:
    """The file of one frame."""
    if form == "png":
        numbers = pixel_numbers(picture.ids)
        width, height = picture.size_wh
        if picture.masks is None:
            pixels = np.zeros((height, width), np.uint8)
        else:
            pixels = index_picture(picture.masks, numbers, width, height)
        owners = {str(number): whose or None for number, whose in zip(numbers, picture.ids, strict=True)}
        return indexed_png(pixels, {"camring:objects": json.dumps(owners)})
    return orjson.dumps(_document(picture, form))


def pixel_numbers(ids: Sequence[int]) -> list[int]:
    """A number from 1 to 255 for each object: its ID where that fits, else one that no other has in this frame.

    Beyond 255 objects in a frame the last ones share the number 255.
    """
    taken = {whose for whose in ids if 0 < whose <= MOST_OBJECTS}
    free = iter(number for number in range(MOST_OBJECTS, 0, -1) if number not in taken)
    return [whose if 0 < whose <= MOST_OBJECTS else next(free, MOST_OBJECTS) for whose in ids]


def _document(picture: _Picture, form: str) -> dict[str, Any]:
    objects: list[dict[str, Any]] = []
    if picture.masks is not None:
        fields = mask_fields(picture.masks, picture.ids, picture.size_wh, form)
        heads = zip(picture.ids, picture.labels, strict=True)
        objects = [
            {"id": whose or None, "label": label, **more}
            for (whose, label), more, there in zip(
                heads, fields, picture.masks.present().tolist(), strict=True
            )
            if there
        ]
    return {
        "schema": MASKS_SCHEMA,
        "camera": picture.camera,
        "frame": picture.frame,
        "time": picture.time,
        "size": [picture.size_wh[1], picture.size_wh[0]],
        "objects": objects,
    }


def _copy_of(result: FrameResult) -> _Picture:
    tracks = result.tracks.take(np.arange(len(result.tracks)))
    return _Picture(
        result.camera,
        result.meta.index,
        round(result.meta.wall_ns / 1e9, 6),
        (result.meta.width, result.meta.height),
        tracks.track_ids.tolist(),
        [result.label_of(class_id) for class_id in tracks.class_ids.tolist()],
        tracks.masks,
    )


def _replace(path: Path, content: bytes) -> None:
    """The whole file or none of it: what a kill leaves behind has another ending."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
