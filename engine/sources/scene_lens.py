"""A panorama seen through a moving lens: direction and field of view in, NV12 planes out.

The map from pixels to directions is computed on every 16th pixel and interpolated, which is exact to a fraction of a
pixel but near the nadir, where all pixels are computed. What was warped last is kept: a head that stands costs a copy.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from engine.sources.scene_panorama import TOP_DEG, Panorama
from engine.types import U8
from ptz.geometry import focal_px
from ptz.types import View

STEP_PX = 16
STEEPEST_BLUR_PX = 60


class Backdrop:
    """What stands still, through a view. Keeps its last picture."""

    def __init__(self, panorama: Panorama, px_per_deg: float) -> None:
        self._height, self._width = panorama.y.shape
        # Half of it once more, so that no view of less than 180° runs over the edge: wrapping makes a warp slow.
        self._luma, self._chroma = (
            np.ascontiguousarray(np.concatenate([plane, plane[:, : plane.shape[1] // 2]], axis=1))
            for plane in (panorama.y, panorama.uv)
        )
        self._px_per_deg = px_per_deg
        self._view: View | None = None
        self._y: U8 = np.zeros((0, 0), np.uint8)
        self._uv: U8 = np.zeros((0, 0, 2), np.uint8)

    def draw(self, view: View, blur_px: tuple[float, float], y: U8, uv: U8) -> None:
        """Write the backdrop into `y` (height, width) and `uv` (⌈height/2⌉, ⌈width/2⌉, 2).

        blur_px  how far the picture moves right and down while the shutter is open
        """
        if view != self._view:
            self._warp(view)
        np.copyto(y, self._y)
        np.copyto(uv, self._uv)
        smear(y, blur_px)
        smear(uv, (blur_px[0] / 2, blur_px[1] / 2))

    def _warp(self, view: View) -> None:
        shape = ((view.height + 1) // 2, (view.width + 1) // 2)
        if self._y.shape != (view.height, view.width):
            self._y = np.empty((view.height, view.width), np.uint8)
            self._uv = np.empty((*shape, 2), np.uint8)
        steep = abs(view.tilt_deg) + view.hfov_deg / 2 > 80
        columns, rows = self._directions(view, 1 if steep else STEP_PX)
        if steep:
            # All round the nadir there is no half that a view would keep to.
            maps = (columns - np.float32(0.5)) % self._width, rows - np.float32(0.5)
            # Chroma lies between the four pixels of luma that it belongs to.
            half = (
                (columns[::2, ::2] / 2 - np.float32(0.25)) % (self._width // 2),
                rows[::2, ::2] / 2 - np.float32(0.25),
            )
        else:
            maps = (
                _enlarged(columns - 0.5, STEP_PX, self._y.shape),
                _enlarged(rows - 0.5, STEP_PX, self._y.shape),
            )
            half = (
                _enlarged(columns / 2 - 0.5, STEP_PX // 2, shape), _enlarged(rows / 2 - 0.5, STEP_PX // 2, shape)
            )  # fmt: skip
        for plane, out, (map_x, map_y) in ((self._luma, self._y, maps), (self._chroma, self._uv, half)):
            cv2.remap(plane, map_x, map_y, cv2.INTER_LINEAR, dst=out, borderMode=cv2.BORDER_REPLICATE)
        self._view = view

    def _directions(self, view: View, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Columns and rows of the panorama (float32) for every `step`-th pixel.

        With a step of more than 1 for the middle of each block of pixels, and for one block more on each side.
        """
        focal = focal_px(view.width, view.hfov_deg)
        across, down = (_middles(length, step) for length in (view.width, view.height))
        right = ((across - view.width / 2) / focal).astype(np.float32)[None, :]
        lower = ((down - view.height / 2) / focal).astype(np.float32)[:, None]
        tilt = math.radians(view.tilt_deg)
        sine, cosine = np.float32(math.sin(tilt)), np.float32(math.cos(tilt))
        ahead = cosine + lower * sine
        azimuth = np.degrees(np.arctan2(right, ahead)) + np.float32(view.pan_deg)
        elevation = np.degrees(np.arctan2(sine - lower * cosine, np.hypot(right, ahead)))
        rows = np.clip((TOP_DEG - elevation) * self._px_per_deg, 1, self._height - 2)
        columns = azimuth * np.float32(self._px_per_deg)
        columns -= math.floor(float(columns.min() - 1) / self._width) * self._width
        return columns.astype(np.float32), rows.astype(np.float32)


def _middles(length: int, step: int) -> np.ndarray:
    if step == 1:
        return np.arange(length) + 0.5
    return (np.arange(-(-length // step) + 2) - 0.5) * step


def _enlarged(coarse: np.ndarray, step: int, shape: tuple[int, ...]) -> np.ndarray:
    """A map of every `step`-th pixel as one of all pixels, without its margin."""
    full = cv2.resize(
        coarse.astype(np.float32),
        (coarse.shape[1] * step, coarse.shape[0] * step),
        interpolation=cv2.INTER_LINEAR,
    )
    return np.ascontiguousarray(np.asarray(full)[step : step + shape[0], step : step + shape[1]])


def smear(picture: U8, blur_px: tuple[float, float]) -> None:
    """Motion blur in place: a box as long as the way in pixels. Less than a pixel is none."""
    kernel = tuple(min(STEEPEST_BLUR_PX, max(1, round(abs(length)))) for length in blur_px)
    if kernel[0] > 1 or kernel[1] > 1:
        cv2.blur(picture, kernel, dst=picture)
