"""Object numbers from PNG files: never the palette's colours, and one line for what is no such file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import ConfigError
from engine.evaluation.annotations import read_objects
from tests.evaluation.pictures import COLOURS, GREY, PALETTE, png


@pytest.mark.parametrize("kind", [PALETTE, GREY])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("filtered", [0, 2])
def test_values_come_back(tmp_path: Path, kind: int, bits: int, filtered: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 2**bits, (13, 21)).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(png(pixels, kind, bits, filtered))
    np.testing.assert_array_equal(read_objects(tmp_path / "a.png"), pixels)


def test_a_file_that_opencv_wrote(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    np.testing.assert_array_equal(read_objects(tmp_path / "a.png"), pixels)


GOOD = png(np.zeros((8, 8), np.uint8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a PNG"),
        (b"\xff\xd8\xff\xe0 a JPEG", "not a PNG"),
        (GOOD[:60], "ends too early"),
        (GOOD[:8], "ends too early"),
        (GOOD.replace(b"IHDR", b"IHDX"), "no header"),
        (GOOD.replace(b"IDAT", b"IDAX"), "cannot be decoded"),
        (png(np.zeros((8, 8, 3), np.uint8), COLOURS), "a palette, or grey"),
        (b"\x89PNG\r\n\x1a\n" + b"\xff" * 200, "ends too early"),
    ],
)
def test_what_is_no_such_file_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as raised:
        read_objects(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_objects(tmp_path / "none.png")
