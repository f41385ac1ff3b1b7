"""Fragmented mp4 seen as a row of boxes: how far is a file whole, and cutting off what is torn.

Box layout: ISO/IEC 14496-12 section 4.2. Knows nothing of codecs and does not look inside the boxes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_HEADER_BYTES = 8
_LARGE_HEADER_BYTES = 16
_WHOLE_UP_TO = (b"mdat", b"mfra")
"""Boxes that end a fragment, and the index that ends a finished file."""


def whole_bytes(path: Path) -> int:
    """Bytes up to the end of the last whole fragment; 0 if there is none, that is, no picture to play."""
    end = 0
    with path.open("rb") as file:
        for kind, box_end in _boxes(file, os.fstat(file.fileno()).st_size):
            if kind in _WHOLE_UP_TO:
                end = box_end
    return end


def cut_torn_end(path: Path) -> bool:
    """Cut a file of a killed or failed writer behind its last whole fragment.

    A file without any is removed; returns False then.
    """
    end = whole_bytes(path)
    if end == 0:
        path.unlink()
        return False
    if end < path.stat().st_size:
        os.truncate(path, end)
    return True


def _boxes(file: BinaryIO, file_bytes: int) -> Iterator[tuple[bytes, int]]:
    """(type, offset of the end) of each whole box on the top level."""
    start = 0
    while start + _HEADER_BYTES <= file_bytes:
        file.seek(start)
        header = file.read(_LARGE_HEADER_BYTES)
        size = int.from_bytes(header[:4], "big")
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        if size < _HEADER_BYTES or start + size > file_bytes:
            return
        start += size
        yield header[4:8], start
