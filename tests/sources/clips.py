"""Small clips made with PyAV's encoders, and reading a source the way the decode worker does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.stream import VideoStream

from engine.sources.base import Picture, Source
from engine.types import U8, FrameMeta, FrameNv12, nv12_geometry


@dataclass(frozen=True)
class Shown:
    """A picture as it lies in its slot: `y` (height, width), `uv` (⌈height/2⌉, ⌈width/2⌉, 2)."""

    picture: Picture
    y: U8
    uv: U8


def slot_planes(width: int, height: int) -> tuple[U8, U8, U8]:
    """A slot's bytes, filled with 77, and the planes of a picture of this size in it."""
    stride, offset_uv, nbytes = nv12_geometry(width, height)
    slot = np.full(nbytes, 77, np.uint8)
    meta = FrameMeta(0, 0, 0, width, height, stride, stride, offset_uv)
    frame = FrameNv12.view(meta, slot)
    return slot, frame.y, frame.uv


def show(source: Source, picture: Picture) -> Shown:
    """Write the grabbed picture into a slot of its own."""
    _, y, uv = slot_planes(picture.width, picture.height)
    source.read_into(y, uv)
    return Shown(picture, y, uv)


def shown(source: Source, limit: int | None = None) -> Iterator[Shown]:
    """All pictures of an opened source, or the first `limit`."""
    count = 0
    while (limit is None or count < limit) and (picture := source.grab()) is not None:
        count += 1
        yield show(source, picture)


def rgb_picture(index: int, width: int, height: int) -> U8:
    """A smooth picture that differs from frame to frame, uint8 (height, width, 3)."""
    x = np.linspace(30, 200, width, dtype=np.float32)[None, :]
    y = np.linspace(0, 50, height, dtype=np.float32)[:, None]
    red = x + 0 * y
    green = 220 - x + y * 0.5
    blue = 60 + y + 3 * (index % 20) + 0 * x
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def write_clip(
    path: Path,
    size: tuple[int, int] = (160, 120),
    frames: int = 20,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    **options: Any,
) -> Path:
    """A clip at 25 fps. Options: those of the encoder, and `muxer` for those of the container."""
    width, height = size
    muxer = options.pop("muxer", {})
    with av.open(str(path), "w", options=muxer) as container:
        stream = container.add_stream(codec, rate=25, options={k: str(v) for k, v in options.items()})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        if pix_fmt.startswith("yuvj"):
            stream.codec_context.color_range = 2
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(rgb_picture(index, width, height), format="rgb24")
            # One thread: with more, rows at the border of two threads' parts come out wrong for odd heights.
            container.mux(stream.encode(frame.reformat(format=pix_fmt, threads=1)))
        container.mux(stream.encode(None))
    return path


def cut(path: Path, share: float) -> Path:
    """The first part of a file, as if its recording or copying had broken off."""
    part = path.with_name(f"cut-{path.name}")
    data = path.read_bytes()
    part.write_bytes(data[: round(len(data) * share)])
    return part
