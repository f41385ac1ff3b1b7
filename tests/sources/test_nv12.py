"""Planes into slots, in place."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from engine.sources.nv12 import bgr_to_nv12, copy_nv12, copy_yuv420p, plane_view
from engine.types import U8
from tests.sources.clips import rgb_picture, slot_planes

SIZES = [(64, 48), (65, 47), (1, 1), (810, 1080)]


def random_frame(width: int, height: int, pix_fmt: str) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, pix_fmt)
    rng = np.random.default_rng(width)
    for plane in frame.planes:
        plane.update(rng.bytes(plane.buffer_size))
    return frame


def rows_of(frame: av.VideoFrame, index: int, row_bytes: int) -> U8:
    plane = frame.planes[index]
    return plane_view(plane, plane.height, row_bytes)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_yuv420p_lands_in_the_slot(width: int, height: int) -> None:
    frame = random_frame(width, height, "yuv420p")
    slot, y, uv = slot_planes(width, height)
    copy_yuv420p(frame.planes, y, uv)
    assert np.shares_memory(slot, y) and np.shares_memory(slot, uv)
    assert np.array_equal(y, rows_of(frame, 0, width))
    for component in range(2):
        assert np.array_equal(uv[..., component], rows_of(frame, 1 + component, (width + 1) // 2))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_nv12_lands_in_the_slot(width: int, height: int) -> None:
    frame = random_frame(width, height, "nv12")
    _, y, uv = slot_planes(width, height)
    copy_nv12(frame.planes, y, uv)
    assert np.array_equal(y, rows_of(frame, 0, width))
    assert np.array_equal(uv.reshape(len(uv), -1), rows_of(frame, 1, 2 * ((width + 1) // 2)))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_bgr_becomes_full_range_and_comes_back(width: int, height: int) -> None:
    picture_bgr = np.ascontiguousarray(rgb_picture(3, width, height)[..., ::-1])
    _, y, uv = slot_planes(width, height)
    bgr_to_nv12(picture_bgr, y, uv)
    chroma = np.repeat(np.repeat(uv, 2, axis=0), 2, axis=1)[:height, :width]
    y_cr_cb = np.dstack([y, chroma[..., 1], chroma[..., 0]])
    back_bgr = cv2.cvtColor(y_cr_cb, cv2.COLOR_YCrCb2BGR).astype(np.int16)
    assert np.abs(back_bgr - picture_bgr).mean() <= 1.5
    assert np.abs(back_bgr - picture_bgr).max() <= 10
    assert np.abs(y.astype(np.int16) - cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2GRAY)).max() <= 1
