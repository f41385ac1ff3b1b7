"""What viewers see of a silent camera: dark, with words, in any size, matrix and range."""

from __future__ import annotations

import numpy as np
import pytest

from engine.outputs.no_signal import draw_no_signal, slate, words_of
from engine.types import ColourMatrix
from tests.outputs.results import make_frame

SINCE_NS = 1_800_014_400 * 1_000_000_000


@pytest.mark.parametrize("size", [(640, 360), (65, 49), (3840, 2160), (1, 1)])
@pytest.mark.parametrize("full_range", [False, True])
def test_the_picture_is_darkened_and_written_on(size: tuple[int, int], full_range: bool) -> None:
    frame = make_frame(*size, matrix=ColourMatrix.BT709, full_range=full_range)
    frame.y[:], frame.uv[:] = 200, (90, 200)
    draw_no_signal(frame.y, frame.uv, frame.meta, ["NO SIGNAL", "gate"])
    black = 0 if full_range else 16
    if size[0] >= 640:
        corner = frame.y[: size[1] // 10, : size[0] // 10]
        assert np.abs(corner.astype(float) - (black + 0.35 * (200 - black))).max() <= 1.5
        assert np.abs(frame.uv[0, 0].astype(int) - (128 - 0.35 * 38, 128 + 0.35 * 72)).max() <= 1.5
        middle = frame.y[size[1] * 2 // 5 : size[1] * 3 // 5]
        assert (middle > 200).sum() > 50, "no words"
    assert frame.y.max() <= 255


def test_a_camera_that_has_never_given_a_picture_has_a_plain_one() -> None:
    frame = slate(640, 360, 5, 7)
    assert (frame.meta.width, frame.meta.height, frame.meta.index) == (640, 360, -1)
    assert (frame.meta.captured_ns, frame.meta.wall_ns) == (5, 7)
    assert frame.y.shape == (360, 640) and frame.uv.shape == (180, 320, 2)
    assert np.ptp(frame.y) == 0 and (frame.uv == 128).all()


def test_the_words_say_which_camera_since_when_and_what_is_missing() -> None:
    assert words_of("gate", SINCE_NS, frames_come=False) == [
        "NO SIGNAL",
        "gate",
        "since 2027-01-15 12:00:00 UTC",
    ]
    assert words_of("gate", 0, frames_come=True) == ["NO SIGNAL: no results", "gate"]
