"""The square pictures that are encoded: colours, places, and nothing left out of large ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engine.models.sam2_pictures import Pictures, shrunk
from engine.types import F32, U8
from tests.models.samples import frame_of, grey_frame

MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


def levels(picture: F32) -> F32:
    """Back to grey levels, (S, S, 3) RGB."""
    found: F32 = 255 * (picture.transpose(1, 2, 0) * STD + MEAN)
    return found


def scenery(width: int, height: int) -> U8:
    """A picture with detail at every scale, BGR."""
    generator = np.random.default_rng(0)
    layers = []
    for cell in (2, 7, 40):
        coarse = generator.random((height // cell + 1, width // cell + 1, 3)).astype(np.float32)
        layers.append(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    mixed = np.clip(255 * sum(layers) / len(layers), 0, 255)
    return np.asarray(mixed, np.uint8)


def test_values_are_those_of_imagenet() -> None:
    picture = Pictures(64, MEAN, STD).fill([grey_frame(128, 72, 100)])
    assert picture.shape == (1, 3, 64, 64) and picture.dtype == np.float32
    assert np.abs(levels(picture[0]) - 100).max() < 2


@pytest.mark.parametrize("size_wh", [(1920, 1080), (1280, 720), (640, 480), (300, 200)])
def test_large_pictures_are_averaged_not_sampled(size_wh: tuple[int, int]) -> None:
    image = pytest.importorskip("PIL.Image")
    bgr = scenery(*size_wh)
    rgb = np.ascontiguousarray(bgr[..., ::-1])
    wanted = np.asarray(image.fromarray(rgb).resize((256, 256)), np.float32)  # as the official predictor
    found = levels(Pictures(256, MEAN, STD).fill([frame_of(bgr)])[0])
    plain = cv2.resize(rgb, (256, 256), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    # 4:2:0 costs some colour anywhere; a sampling resize costs more the larger the picture is.
    luma = np.array([0.299, 0.587, 0.114], np.float32)
    off, plain_off = (np.abs((other - wanted) @ luma).mean() for other in (found, plain))
    assert off < 4
    if min(size_wh) >= 2 * 256:
        assert off < 0.6 * plain_off


def test_the_whole_picture_is_stretched() -> None:
    bgr = np.zeros((360, 640, 3), np.uint8)
    bgr[:90, 480:] = 255  # the upper right: a quarter each way
    found = levels(Pictures(64, MEAN, STD).fill([frame_of(bgr)])[0])[..., 1]
    assert found[1:15, 49:63].min() > 240
    assert found[17:, :].max() < 15 and found[:, :47].max() < 15


def test_frames_of_different_cameras_share_the_memory() -> None:
    pictures = Pictures(64, MEAN, STD)
    first = pictures.fill([grey_frame(128, 72, 30), grey_frame(320, 240, 200)])
    assert np.abs(levels(first[0]) - 30).max() < 2 and np.abs(levels(first[1]) - 200).max() < 2
    again = pictures.fill([grey_frame(64, 64, 90)])
    assert np.shares_memory(first, again), "nothing is allocated for fewer frames"
    assert np.abs(levels(first[1]) - 200).max() < 2, "the second is as it was"


def test_small_planes_stay_as_they_are() -> None:
    plane = np.zeros((100, 120), np.uint8)
    assert shrunk(plane, 64) is plane
    assert shrunk(plane, 50).shape == (50, 60)
