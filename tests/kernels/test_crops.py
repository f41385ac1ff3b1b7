"""Crops of NV12 pictures: the fast ways against the reference, and all of them against converting everything first."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from kernels.colour import PixelFormat, ycbcr_to_rgb
from kernels.crops import CropBuffers, Rect, pixel_rects
from tests.kernels.crop_twins import CropTwin, every_crop_twin, fast_crop_twin, reference_crop

U8 = NDArray[np.uint8]
IMAGENET = PixelFormat(mean=(123.675, 116.28, 103.53), scale=(1 / 58.395, 1 / 57.12, 1 / 57.375))
MOST_LEVELS, MEAN_LEVELS = 6.0, 0.6


def noise(width: int, height: int, seed: int = 0) -> tuple[U8, U8]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 256, (height, width), dtype=np.uint8)
    return y, rng.integers(0, 256, ((height + 1) // 2, (width + 1) // 2, 2), dtype=np.uint8)


def smooth(width: int, height: int) -> tuple[U8, U8]:
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    luma = (128 + 90 * np.sin(7 * x + 3 * y)).astype(np.uint8)
    chroma = np.stack([100 + 60 * x, 160 - 70 * y], axis=-1)[::2, ::2].astype(np.uint8)
    return luma, np.ascontiguousarray(chroma)


def empty(size_wh: tuple[int, int], *, channels_last: bool, kind: Any = np.float32) -> NDArray[Any]:
    width, height = size_wh
    return np.full((height, width, 3) if channels_last else (3, height, width), 7, kind)


RECTS: list[Rect] = [
    (10, 20, 74, 148),
    (11, 21, 52, 141),
    (0, 0, 2, 2),
    (0, 0, 161, 151),
    (3, 5, 160, 9),
    (150, 140, 161, 151),
]


@fast_crop_twin
@pytest.mark.parametrize("rect", RECTS)
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_crops_are_those_of_the_reference(twin: CropTwin, rect: Rect, channels_last: bool, kind: Any) -> None:
    matrix = ycbcr_to_rgb(False, False, True)
    for y, uv in (noise(161, 151), smooth(161, 151)):
        found, wanted = (empty((32, 64), channels_last=channels_last, kind=kind) for _ in range(2))
        twin(y, uv, rect, matrix, PixelFormat(bgr=True), found, channels_last)
        reference_crop(y, uv, rect, matrix, PixelFormat(bgr=True), wanted, channels_last)
        levels = np.abs(found.astype(np.float64) - wanted)
        assert levels.max() <= MOST_LEVELS and levels.mean() < MEAN_LEVELS


@every_crop_twin
@pytest.mark.parametrize("bt709", [False, True])
@pytest.mark.parametrize("full_range", [False, True])
def test_matrix_range_and_scaling_are_honoured(twin: CropTwin, bt709: bool, full_range: bool) -> None:
    y, uv = np.full((48, 64), 90, np.uint8), np.full((24, 32, 2), 0, np.uint8)
    uv[:] = (150, 110)
    matrix = ycbcr_to_rgb(bt709, full_range)
    wanted = np.clip(np.rint(matrix @ np.array([90, 150, 110, 1], np.float32)), 0, 255)
    target = empty((8, 16), channels_last=False)
    twin(y, uv, (5, 7, 40, 33), matrix, IMAGENET, target, False)
    scaled = (wanted - np.array(IMAGENET.mean)) * np.array(IMAGENET.scale)
    np.testing.assert_allclose(target, np.broadcast_to(scaled[:, None, None], target.shape), atol=0.02)


@every_crop_twin
@pytest.mark.parametrize("rect", [(10, 20, 74, 148), (11, 21, 52, 141), (90, 31, 161, 150)])
def test_crops_are_what_converting_everything_first_gives(twin: CropTwin, rect: Rect) -> None:
    """The usual way: the whole picture as BGR, cut, resized by OpenCV."""
    left, top, right, bottom = rect
    rng = np.random.default_rng(3)
    bgr = cv2.GaussianBlur(rng.integers(0, 256, (152, 162, 3), dtype=np.uint8), (0, 0), 3)
    bgr = cv2.normalize(bgr, np.empty_like(bgr), 30, 220, cv2.NORM_MINMAX)
    planar = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420), np.uint8)
    y = planar[:152]
    uv = np.ascontiguousarray(planar[152:].reshape(2, 76, 81).transpose(1, 2, 0))
    back = cv2.cvtColorTwoPlane(y, uv, cv2.COLOR_YUV2BGR_NV12)
    usual = cv2.resize(back[top:bottom, left:right], (128, 256), interpolation=cv2.INTER_LINEAR)
    target = empty((128, 256), channels_last=True)
    twin(y, uv, rect, ycbcr_to_rgb(False, False, True), PixelFormat(bgr=True), target, True)
    levels = np.abs(target - usual)
    assert levels.max() <= MOST_LEVELS and levels.mean() < MEAN_LEVELS


@every_crop_twin
def test_nothing_outside_the_rectangle_counts(twin: CropTwin) -> None:
    y, uv = noise(64, 48)
    rect = (8, 10, 30, 40)
    crops = []
    for level in (0, 255):
        framed_y, framed_uv = np.full_like(y, level), np.full_like(uv, level)
        framed_y[10:40, 8:30], framed_uv[5:20, 4:15] = y[10:40, 8:30], uv[5:20, 4:15]
        target = empty((16, 32), channels_last=False)
        twin(framed_y, framed_uv, rect, ycbcr_to_rgb(False, False), PixelFormat(), target, False)
        crops.append(target)
    assert np.array_equal(crops[0], crops[1])


@fast_crop_twin
def test_strided_planes_are_read_in_place(twin: CropTwin) -> None:
    y, uv = noise(100, 60)
    wide_y, wide_uv = np.full((60, 128), 9, np.uint8), np.full((30, 64, 2), 9, np.uint8)
    wide_y[:, :100], wide_uv[:, :50] = y, uv
    packed, strided = (empty((16, 32), channels_last=False) for _ in range(2))
    matrix = ycbcr_to_rgb(True, False)
    twin(y, uv, (60, 3, 100, 60), matrix, PixelFormat(), packed, False)
    twin(wide_y[:, :100], wide_uv[:, :50], (60, 3, 100, 60), matrix, PixelFormat(), strided, False)
    assert np.array_equal(packed, strided)


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, 6), st.just(4)),
        elements=st.floats(width=32) | st.floats(-50, 250, width=32),
    ),
    st.integers(1, 200),
    st.integers(1, 200),
)
@settings(max_examples=200, deadline=None)
def test_rectangles_lie_in_the_picture(boxes: NDArray[np.float32], width: int, height: int) -> None:
    rects, usable = pixel_rects(boxes, (width, height))
    assert rects.shape == (len(boxes), 4) and rects.dtype == np.int32 and usable.shape == (len(boxes),)
    left, top, right, bottom = rects[usable].T
    assert (left >= 0).all() and (top >= 0).all() and (right <= width).all() and (bottom <= height).all()
    assert (right - left >= 2).all() and (bottom - top >= 2).all()
    assert not rects[~usable].any()
    assert usable[np.isfinite(boxes).all(axis=1)].size >= np.count_nonzero(usable)


def test_edges_are_rounded_to_the_nearest_pixel() -> None:
    boxes = np.array([[10.4, 10.6, 20.5, 21.5], [-3, -4, 1.4, 9], [-3, -4, 1.6, 9]], np.float32)
    rects, usable = pixel_rects(boxes, (100, 100))
    assert rects.tolist() == [[10, 11, 20, 22], [0, 0, 0, 0], [0, 0, 2, 9]]
    assert usable.tolist() == [True, False, True]


def test_other_targets_are_refused() -> None:
    for target, last in ((np.zeros((3, 4, 5), np.float64), False), (np.zeros((4, 5, 3), np.float32), False)):
        with pytest.raises(ValueError, match="three channels"):
            CropBuffers(target, channels_last=last)
