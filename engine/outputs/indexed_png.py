"""Masks of a whole picture as one PNG whose pixels are numbers of objects, as the DAVIS and VOS data sets have them.

Knows the file format: 8 bits a pixel with a palette, so that viewers show colours and readers find numbers. Does not
know whose the numbers are.

Source of the format: W3C PNG specification, third edition, sections 5 and 11.2; of the palette: the VOC devkit, which
DAVIS took over.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import av
import av.error
import numpy as np

from engine.errors import OutputError
from engine.outputs.masks import full_size
from engine.types import U8, Masks

MOST_OBJECTS = 255
"""Numbers that fit: 0 is the background."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PALETTE_COLOUR = 3


def voc_palette() -> U8:
    """uint8 (256, 3): red, green, blue of each number: its bits in threes fill each colour from the top."""
    numbers = np.arange(256)
    palette = np.zeros((256, 3), np.int64)
    for bit in range(8):
        for colour in range(3):
            palette[:, colour] |= (numbers >> (3 * bit + colour) & 1) << (7 - bit)
    return palette.astype(np.uint8)


def index_picture(masks: Masks, numbers: list[int], width: int, height: int) -> U8:
    """uint8 (height, width): the number of the object on each pixel, 0 where none is; small objects over large ones.

    numbers  of each object, 1..255; those of objects without a mask go unused
    """
    picture: U8 = np.zeros((height, width), np.uint8)
    sides = masks.rects_xyxy[:, 2:] - masks.rects_xyxy[:, :2]
    filled = [masks.grid(index).mean() if present else 0.0 for index, present in enumerate(masks.present())]
    for index in np.argsort(-sides.prod(axis=1) * filled, kind="stable").tolist():
        picture[full_size(masks, index, width, height)] = numbers[index]
    return picture


def indexed_png(picture: U8, texts: Mapping[str, str] | None = None) -> bytes:
    """A PNG file of the numbers, uint8 (height, width); `texts` stand in it as they are, by keyword (Latin-1)."""
    height, width = picture.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _PALETTE_COLOUR, 0, 0, 0)
    # Each row begins with the number of its filter: 0, none.
    rows = np.pad(picture, ((0, 0), (1, 0)))
    chunks = (
        (b"IHDR", header), (b"PLTE", voc_palette().tobytes()),
        *((b"tEXt", f"{key}\0{text}".encode("latin-1")) for key, text in (texts or {}).items()),
        (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""),
    )  # fmt: skip
    return _SIGNATURE + b"".join(_chunk(name, content) for name, content in chunks)


def read_indices(path: Path) -> U8:
    """uint8 (height, width): the numbers in a PNG with a palette, or the grey levels of one without colours.

    Raises `OutputError` where there is no such picture.
    """
    try:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
    except (OSError, av.error.FFmpegError, IndexError, StopIteration) as error:
        raise OutputError(f"{path}: cannot be read as a PNG of object numbers: {error}") from error
    if frame.format.name in ("monob", "monow"):
        frame = frame.reformat(format="gray")
    if frame.format.name not in ("pal8", "gray"):
        raise OutputError(
            f"{path}: has colours ({frame.format.name}); object numbers are a palette's, or grey levels"
        )
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width].copy()


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
