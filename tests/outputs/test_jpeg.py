"""JPEGs have the colours of their frames, whatever the matrix, range and size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engine.errors import OutputError
from engine.outputs.jpeg import MOST_JPEG_PX, encode_jpeg
from engine.outputs.overlay_style import ycbcr
from engine.types import ColourMatrix

ORANGE = (1.0, 0.5, 0.1)


@pytest.mark.parametrize("size", [(64, 48), (65, 49), (1, 1)])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", list(ColourMatrix))
def test_colours_and_size_come_back(matrix: ColourMatrix, full_range: bool, size: tuple[int, int]) -> None:
    width, height = size
    colour = ycbcr(ORANGE, matrix, full_range)
    y = np.full((height, width), colour.y, np.uint8)
    uv = np.full(((height + 1) // 2, (width + 1) // 2, 2), (colour.cb, colour.cr), np.uint8)
    data = encode_jpeg(y, uv, matrix, full_range, 95)
    back = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert back is not None and back.shape == (height, width, 3)
    np.testing.assert_allclose(back.reshape(-1, 3).mean(axis=0), np.array(ORANGE[::-1]) * 255, atol=4)


def test_a_lower_quality_is_smaller() -> None:
    y = np.random.default_rng(0).integers(16, 235, (96, 128)).astype(np.uint8)
    uv = np.full((48, 64, 2), 128, np.uint8)
    small, large = (len(encode_jpeg(y, uv, ColourMatrix.BT601, False, quality)) for quality in (20, 90))
    assert small < large / 2


def test_a_picture_that_is_too_large_is_refused() -> None:
    y, uv = np.zeros((2, MOST_JPEG_PX + 2), np.uint8), np.zeros((1, MOST_JPEG_PX // 2 + 1, 2), np.uint8)
    with pytest.raises(OutputError, match="at most 65500 pixels a side"):
        encode_jpeg(y, uv, ColourMatrix.BT601, False, 80)
