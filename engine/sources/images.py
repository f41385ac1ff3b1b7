"""A folder of pictures as a source, in the order of their names, each of its own size."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np

from engine.clock import Clock, SystemClock
from engine.errors import SourceError, SourceNotFound, SourceUnsupported
from engine.sources.base import Picture, Source, SourceOptions, file_path
from engine.sources.nv12 import bgr_to_nv12
from engine.sources.timeline import GUESSED_FPS
from engine.types import U8

_log = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


class ImagesSource(Source, schemes=("images",)):
    """The pictures of a folder: `folder`, `file:///folder` or `images:///folder?fps=10`.

    `fps` is the rate at which they play outside `--offline` runs. Pictures that cannot be read are left out and
    counted in `corrupt_packets`; `unreadable` names them. Turned upright where their EXIF data say so.
    """

    def __init__(self, options: SourceOptions, clock: Clock | None = None) -> None:
        super().__init__(options)
        self.unreadable: list[str] = []
        self._clock: Clock = clock or SystemClock()
        self._folder = Path(file_path(options.url))
        self._paths: list[Path] = []
        self._rest: Iterator[Path] = iter(())
        self._picture_bgr: U8 | None = None
        self._shown = 0
        self._shown_before_pass = 0

    def open(self) -> None:
        self.fps = self._wanted_fps()
        try:
            names = sorted(entry.name for entry in os.scandir(self._folder) if entry.is_file())
        except FileNotFoundError:
            raise SourceNotFound(f"source {self._folder}: no such folder; check the path") from None
        except OSError as error:
            raise SourceError(f"source {self._folder}: cannot be listed ({error.strerror})") from None
        self._paths = [self._folder / name for name in names if name.lower().endswith(SUFFIXES)]
        if not self._paths:
            kinds = ", ".join(SUFFIXES)
            raise SourceNotFound(f"source {self._folder}: no pictures in this folder (looked for {kinds})")
        self._rest = iter(self._paths)
        self.description = f"{len(self._paths)} pictures at {self.fps:g} fps"

    def _wanted_fps(self) -> float:
        query = urlsplit(self.options.url).query if "://" in self.options.url else ""
        wish = parse_qs(query).get("fps", [str(GUESSED_FPS)])[-1]
        try:
            fps = float(wish)
        except ValueError:
            fps = 0.0
        if not 0 < fps <= 1000:
            raise SourceUnsupported(f"source {self._folder}: fps must be a number above 0, not {wish!r}")
        return fps

    def grab(self) -> Picture | None:
        discontinuity = False
        while True:
            path = next(self._rest, None)
            if path is None:
                if not self._may_start_again():
                    return None
                discontinuity = True
            elif (picture_bgr := self._decode(path)) is not None:
                break
        self._picture_bgr = picture_bgr
        pts_ns = round(self._shown * 1e9 / self.fps)
        self._shown += 1
        height, width = picture_bgr.shape[:2]
        return Picture(
            width,
            height,
            self._clock.now_ns(),
            self._clock.wall_ns(),
            pts_ns,
            full_range=True,
            discontinuity=discontinuity,
        )

    def _may_start_again(self) -> bool:
        if self._paths and self._shown == self._shown_before_pass:
            raise SourceUnsupported(
                f"source {self._folder}: none of its {len(self._paths)} pictures can be read"
            )
        if not (self._paths and self.options.loop):
            return False
        self._shown_before_pass = self._shown
        self._rest = iter(self._paths)
        return True

    def _decode(self, path: Path) -> U8 | None:
        try:
            data = np.fromfile(path, np.uint8)
        except OSError:
            data = np.empty(0, np.uint8)
        picture_bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        if picture_bgr is not None:
            return np.asarray(picture_bgr, np.uint8)
        self.corrupt_packets += 1
        if path.name not in self.unreadable:
            self.unreadable.append(path.name)
            _log.warning("source %s: %s is not a picture that can be read; left out", self._folder, path.name)
        return None

    def read_into(self, y: U8, uv: U8) -> None:
        assert self._picture_bgr is not None, "read_into without a picture from grab"
        bgr_to_nv12(self._picture_bgr, y, uv)
        self._picture_bgr = None

    def close(self) -> None:
        self._paths, self._rest, self._picture_bgr = [], iter(()), None
