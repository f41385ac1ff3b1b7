"""Masks in PNG files as DAVIS has them: each pixel holds the number of its object, 0 where there is none.

Such files have a palette, for looking at them, which OpenCV would turn into colours. Does not judge anything.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from engine.errors import ConfigError
from engine.types import U8

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3
_LEVELS = {1: 255, 2: 85, 4: 17, 8: 1}
"""What a reader multiplies grey values of so many bits with, so that they reach from 0 to 255."""


def read_objects(path: Path) -> U8:
    """uint8 (height, width): the object of each pixel; the palette index, or the grey level.

    Raises `ConfigError`: not there, not a PNG, damaged, in colours or with more than 8 bits.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if not content.startswith(_SIGNATURE):
        raise ConfigError(f"{path}: not a PNG file")
    chunks = _chunks(content, path)
    header = chunks[0][1] if chunks and chunks[0][0] == b"IHDR" else b""
    if len(header) != 13:
        raise ConfigError(f"{path}: a damaged PNG file: no header")
    bits, kind = header[8], header[9]
    if kind not in (_GREY, _PALETTE) or bits not in _LEVELS:
        raise ConfigError(
            f"{path}: a PNG of colours or of more than 8 bits; wanted is one with a palette, or grey, whose values "
            "are the numbers of the objects"
        )
    # Said to be grey, the indices are what the decoder gives.
    as_grey = header[:9] + bytes([_GREY]) + header[10:]
    kept = [(b"IHDR", as_grey), *((name, body) for name, body in chunks[1:] if name in (b"IDAT", b"IEND"))]
    encoded = _SIGNATURE + b"".join(_chunk(name, body) for name, body in kept)
    decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.ndim != 2:
        raise ConfigError(f"{path}: a damaged PNG file: its pixels cannot be decoded")
    return np.asarray(decoded // _LEVELS[bits], np.uint8)


def _chunks(content: bytes, path: Path) -> list[tuple[bytes, bytes]]:
    """Names and bodies, up to the end mark."""
    found, offset = [], len(_SIGNATURE)
    while offset + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, offset)
        name, body = content[offset + 4 : offset + 8], content[offset + 8 : offset + 8 + length]
        if len(body) < length:
            break
        found.append((name, body))
        if name == b"IEND":
            return found
        offset += 12 + length
    raise ConfigError(f"{path}: a damaged PNG file: it ends too early")


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
