"""PNG files with a palette, written byte by byte, and masks to put into them."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.types import U8, Bools

GREY, COLOURS, PALETTE = 0, 2, 3


def png(pixels: U8, kind: int = PALETTE, bits: int = 8, filtered: int = 0) -> bytes:
    """A PNG file of indices or grey levels (height, width), or of colours (height, width, 3); filter 0 or 2 (up)."""
    height, width = pixels.shape[:2]
    rows = np.packbits(np.unpackbits(pixels[..., None], axis=-1)[..., -bits:].reshape(height, -1), axis=1)
    if kind == COLOURS:
        rows = pixels.reshape(height, -1)
    if filtered == 2:
        rows = np.concatenate((rows[:1], rows[1:] - rows[:-1]))
    lines = np.concatenate((np.full((height, 1), filtered, np.uint8), rows), axis=1)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))]
    if kind == PALETTE:
        # Colours that have nothing to do with the indices, and transparency: neither may count.
        colours = np.random.default_rng(1).integers(0, 256, (2**bits, 3)).astype(np.uint8)
        chunks += [(b"PLTE", colours.tobytes()), (b"tRNS", bytes(2**bits))]
    chunks += [(b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def write_folder(folder: Path, frames: Mapping[int, U8]) -> Path:
    """A sequence as in DAVIS."""
    folder.mkdir(parents=True)
    for number, objects in frames.items():
        (folder / f"{number:05d}.png").write_bytes(png(objects))
    return folder


def write_lines(path: Path, frames: Mapping[int, Sequence[Mapping[str, Any]]]) -> Path:
    """Records of `camring.frame/1` with these objects, as far as they are read here."""
    records = [
        {"schema": "camring.frame/1", "frame": number, "objects": list(objects)}
        for number, objects in frames.items()
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def square(left: int, top: int, side: int, size_hw: tuple[int, int] = (48, 64)) -> Bools:
    """A square in an empty picture."""
    mask = np.zeros(size_hw, np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


def objects_of(masks: Mapping[int, Bools], size_hw: tuple[int, int] = (48, 64)) -> U8:
    """Each pixel the number of its object."""
    picture = np.zeros(size_hw, np.uint8)
    for number, mask in masks.items():
        picture[mask] = number
    return picture
