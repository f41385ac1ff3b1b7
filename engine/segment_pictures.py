"""What `engine-segment` looks at: pictures, folders of them, or one video, as frames one after the other.

Knows files and what results of them are called; not what is done with the frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engine.errors import ConfigError, SourceError, SourceNotFound, SourceUnsupported
from engine.sources.base import SourceOptions, create_source
from engine.sources.images import SUFFIXES
from engine.sources.nv12 import bgr_to_nv12
from engine.types import ColourMatrix, FrameMeta, FrameNv12, nv12_geometry

SEQUENCE_FPS = 25
"""What a folder of frames is taken for, whose times nobody knows."""


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture, and what its results are called: a path below the output folder, without a suffix."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was found: pictures in order, or one video. `problems` are inputs that are neither, a line each."""

    pictures: tuple[PictureFile, ...]
    video: Path | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of the inputs: its frame, or why there is none."""

    path: Path
    name: str
    frame: FrameNv12 | None
    problem: str = ""


def find_inputs(paths: Sequence[Path], out: Path) -> Inputs:
    """Look at what was named. Pictures of a folder come in the order of their names.

    Results of one folder, and of pictures named one by one, lie side by side; of several folders in one folder each.
    Raises `ConfigError` where results would overwrite each other or an input, or a video does not come alone;
    `SourceNotFound` where there is nothing at all to look at.
    """
    pictures: list[PictureFile] = []
    problems: list[str] = []
    for path in paths:
        if path.is_dir():
            found = sorted(
                entry for entry in path.iterdir() if entry.suffix.lower() in SUFFIXES and entry.is_file()
            )
            if not found:
                problems.append(f"{path}: no pictures in this folder (looked for {', '.join(SUFFIXES)})")
            prefix = f"{path.resolve().name}/" if len(paths) > 1 else ""
            pictures += [PictureFile(entry, prefix + entry.stem) for entry in found]
        elif not path.is_file():
            problems.append(f"{path}: no such file or folder")
        elif path.suffix.lower() in SUFFIXES:
            pictures.append(PictureFile(path, path.stem))
        elif len(paths) > 1:
            raise ConfigError(f"{path}: no picture by its name, and a video has to come alone")
        else:
            return Inputs((), path)
    if not pictures:
        raise SourceNotFound("; ".join(problems) or "no pictures; name files or folders")
    _refuse_collisions(pictures, out)
    return Inputs(tuple(pictures), problems=tuple(problems))


def frames_of(inputs: Inputs) -> Iterator[Shown]:
    """The frames in order; a picture that cannot be read says why. Raises `SourceError` for a video that cannot be."""
    if inputs.video is not None:
        yield from _video_frames(inputs.video)
        return
    for index, picture in enumerate(inputs.pictures):
        try:
            yield Shown(picture.path, picture.name, read_picture(picture.path, index))
        except SourceError as error:
            yield Shown(picture.path, picture.name, None, str(error))


def read_picture(path: Path, index: int = 0) -> FrameNv12:
    """A picture file as a frame, upright where its EXIF data say so. Raises `SourceError`.

    index  its number in a sequence; says when it was taken
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
    picture_bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if picture_bgr is None:
        raise SourceUnsupported(f"{path}: not a picture that can be read")
    height, width = picture_bgr.shape[:2]
    frame = _empty_frame(width, height, index, round(index * 1e9 / SEQUENCE_FPS), full_range=True)
    bgr_to_nv12(np.asarray(picture_bgr, np.uint8), frame.y, frame.uv)
    return frame


def _video_frames(path: Path) -> Iterator[Shown]:
    source = create_source(SourceOptions(str(path), offline=True))
    try:
        source.open()
        index = 0
        while (picture := source.grab()) is not None:
            pts_ns = picture.pts_ns if picture.pts_ns >= 0 else round(index * 1e9 / SEQUENCE_FPS)
            frame = _empty_frame(
                picture.width, picture.height, index, pts_ns, picture.matrix, full_range=picture.full_range
            )
            source.read_into(frame.y, frame.uv)
            yield Shown(path, f"{index:05d}", frame)
            index += 1
    finally:
        source.close()


def _empty_frame(
    width: int,
    height: int,
    index: int,
    pts_ns: int,
    matrix: ColourMatrix = ColourMatrix.BT601,
    *,
    full_range: bool,
) -> FrameNv12:
    stride, offset_uv, slot_bytes = nv12_geometry(width, height)
    meta = FrameMeta(
        index, 0, 0, width, height, stride, stride, offset_uv, pts_ns, matrix=matrix, full_range=full_range
    )
    return FrameNv12.view(meta, np.zeros(slot_bytes, np.uint8))


def _refuse_collisions(pictures: Sequence[PictureFile], out: Path) -> None:
    known: dict[str, Path] = {}
    folders = {picture.path.parent.resolve() for picture in pictures}
    for picture in pictures:
        if (other := known.setdefault(picture.name, picture.path)) is not picture.path:
            raise ConfigError(
                f"{other} and {picture.path} would both be {out / picture.name}.*; give each its own --out"
            )
        if (out / picture.name).parent.resolve() in folders:
            raise ConfigError(f"--out {out}: pictures are there that are looked at; choose another folder")
