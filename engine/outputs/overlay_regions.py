"""Zones and lines drawn on NV12 planes in place, under the objects, with what has been counted at them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.config.regions import Point
from engine.outputs.base import FrameResult
from engine.outputs.overlay_shapes import strip_size, write_text
from engine.outputs.overlay_style import OverlayStyle, YCbCr, ycbcr
from engine.types import U8, EventKind, Events

_RGB = (1.0, 0.8, 0.2)
_ARROW_SHARE = 0.03
"""Length of the arrow on a line, as a share of the height of the picture."""


class Tally:
    """What the events of a video have said so far: objects in each zone now, crossings of each line.

    known  whether a zone that nothing was said of is empty; not so where somebody goes on with another's video
    """

    def __init__(self, known: bool = True) -> None:
        self.known = known
        self.present: dict[int, int] = {}
        self.crossed: Counter[tuple[int, bool]] = Counter()

    def add(self, events: Events) -> None:
        """The events of the next frame."""
        for kind, region, value in zip(
            events.kinds.tolist(), events.regions.tolist(), events.values.tolist(), strict=True
        ):
            if kind == EventKind.COUNT:
                self.present[region] = round(value)
            elif kind == EventKind.CROSSED:
                self.crossed[region, value > 0] += 1

    def text_of_zone(self, region: int, name: str) -> str:
        """Name of a zone, and how many are in it where that is known."""
        count = self.present.get(region, 0 if self.known else None)
        return name if count is None else f"{name} {count}"

    def text_of_line(self, region: int, name: str) -> str:
        """Name of a line, and crossings along its arrow and against it."""
        return f"{name} {self.crossed[region, True]} > {self.crossed[region, False]} <"


def draw_regions(y: U8, uv: U8, result: FrameResult, style: OverlayStyle, tally: Tally) -> None:
    """Draw the camera's zones and lines, in place; the arrow on a line points from its left to its right side."""
    if not (result.zones or result.lines):
        return
    colour = ycbcr(_RGB, style.matrix, style.full_range)
    for region, zone in enumerate(result.zones):
        points = _in_pixels(zone.polygon, y)
        _stroke(y, uv, points, colour, style, closed=True)
        _name(y, uv, points[0], tally.text_of_zone(region, zone.name), colour, style)
    for region, line in enumerate(result.lines):
        points = _in_pixels(line.points, y)
        _stroke(y, uv, points, colour, style, closed=False)
        _stroke(y, uv, _arrow(points, y.shape[0]), colour, style, closed=False)
        _name(y, uv, points[0], tally.text_of_line(region, line.name), colour, style)


def _in_pixels(points: Sequence[Point], y: U8) -> NDArray[np.float64]:
    size = np.array((y.shape[1] - 1, y.shape[0] - 1), np.float64)
    return np.array(points, np.float64) * size


def _arrow(points: NDArray[np.float64], height: int) -> NDArray[np.float64]:
    """From the middle of the line's longest piece to its right, with its head."""
    along = np.diff(points, axis=0)
    longest = int(np.argmax(np.hypot(along[:, 0], along[:, 1])))
    start = (points[longest] + points[longest + 1]) / 2.0
    unit = along[longest] / np.hypot(*along[longest])
    right = np.array([-unit[1], unit[0]]) * _ARROW_SHARE * height
    back = unit * _ARROW_SHARE * height / 3.0
    tip = start + right
    return np.stack((start, tip, tip - right / 3.0 + back, tip, tip - right / 3.0 - back))


def _stroke(
    y: U8, uv: U8, points: NDArray[np.float64], colour: YCbCr, style: OverlayStyle, *, closed: bool
) -> None:
    luma = [points.round().astype(np.int32)]
    chroma = [(points / 2.0).round().astype(np.int32)]
    cv2.polylines(y, luma, closed, colour.y, style.line_px)
    cv2.polylines(uv, chroma, closed, (colour.cb, colour.cr), style.line_px // 2)


def _name(y: U8, uv: U8, point: NDArray[np.float64], text: str, colour: YCbCr, style: OverlayStyle) -> None:
    width, height = strip_size(text, style)
    left, top = point.round().astype(int).tolist()
    corner = max(0, min(left, y.shape[1] - width)), max(0, min(top, y.shape[0] - height))
    write_text(y, uv, corner, text, (style.ink, colour), style)
