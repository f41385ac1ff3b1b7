"""Pictures for tools: frames of any source that the engine reads, as a model's input wants them.

Uses the engine's own sources and preparation, so that a tool sees what the engine feeds. Knows no models.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice

import numpy as np

from engine.errors import ConfigError, SourceError
from engine.models.heads.base import Head
from engine.models.prepare import CpuPreparation
from engine.secrets import mask_url
from engine.sources.base import Picture, SourceOptions, create_source
from engine.types import F32, FrameMeta, FrameNv12, nv12_geometry
from kernels.letterbox import Letterbox

TEST_PICTURES = "test://?width=1280&height=720&fps=25&objects=6&frames=400"
"""What is looked at where no pictures are given: drawn by the engine, hence the same everywhere."""


def read_frames(urls: Sequence[str], count: int, every: int = 1, first: int = 0) -> Iterator[FrameNv12]:
    """At most `count` frames over all sources, as many of each as of the others, every `every`-th from `first` on.

    Raises `SourceError` where a source cannot be read, or gives nothing.
    """
    if count < len(urls):
        raise ConfigError(f"{count} pictures from {len(urls)} sources: ask for at least one of each")
    for index, url in enumerate(urls):
        share = count // len(urls) + (index < count % len(urls))
        found = 0
        for frame in islice(_frames(url), first, first + share * every, every):
            found += 1
            yield frame
        if not found:
            raise SourceError(f"source {mask_url(url)}: no picture from number {first} on")


def _frames(url: str) -> Iterator[FrameNv12]:
    with closing(create_source(SourceOptions(url=url, offline=True))) as source:
        source.open()
        index = 0
        while (picture := source.grab()) is not None:
            frame = _empty_frame(picture, index)
            source.read_into(frame.y, frame.uv)
            yield frame
            index += 1


def _empty_frame(picture: Picture, index: int) -> FrameNv12:
    stride, offset_uv, slot_bytes = nv12_geometry(picture.width, picture.height)
    meta = FrameMeta(
        index, picture.captured_ns, picture.wall_ns, picture.width, picture.height, stride, stride, offset_uv,
        pts_ns=picture.pts_ns, published_ns=time.monotonic_ns(), matrix=picture.matrix,
        full_range=picture.full_range,
    )  # fmt: skip
    return FrameNv12.view(meta, np.zeros(slot_bytes, np.uint8))


def prepared(frame: FrameNv12, head: Head, input_wh: tuple[int, int]) -> tuple[F32, Letterbox]:
    """The frame as float32 (1, 3, height, width) for a model with this head, and where it lies in there."""
    tensor = np.zeros((1, 3, input_wh[1], input_wh[0]), np.float32)
    preparation = CpuPreparation(tensor, head.pixels, head.fit)
    letterbox = preparation.prepare(frame, 0)
    preparation.wait()
    return tensor, letterbox
