"""Optical flow inside windows, and the maps that lead from where a thing is now to where it was when it was segmented.

A map says for each cell of a window how far away that point of the object was in an earlier frame. Maps are
carried from frame to frame by composing them with the flow of the step, so that a mask is interpolated once,
however far it is moved. Flow is dense inverse search (Kroeger et al., ECCV 2016), which is dense and cheap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.segmentation.mask_motion_window import F64, Axes, Window
from engine.types import F32, U8, Bools

LEAST_CUT_DIFFERENCE = 16.0
"""Mean difference in grey levels of two small pictures from which on they may show two scenes."""
MOST_CUT_LIKENESS = 1.1
"""Correlation of one's middle with the best place of the other, and shared part of the histograms, together: most of
what two frames of one scene have less of is a cut. Frames of unlike scenes have 0.94 in the median, neighbours in the
wildest of clips 1.35 and more."""
EDGE_RADIUS_SHARE = 0.04
EDGE_VARIANCE = 1e-4
"""How far, in sides of the window, and to how faint edges a moved outline is drawn; grey levels are 0..1."""
LEAST_APART_CELLS = 0.5
"""How differently an object and the ground around it must move, in cells a frame, to be told apart by that."""
_LEAST_SEEN = 8
_GROUND_TO, _OBJECT_FROM = 0.4, 0.8
"""Likeness to the object's motion as against the ground's: up to where a cell is of this, from where of that."""
_NEAR_SHARE, _FAR_SHARE, _FAR_WEIGHT = 0.05, 0.3, 1e-3
"""Parts of the window that motion is taken from: cells nearby and, where there are none, farther ones."""
_THUMBNAIL_WH = (32, 18)
_MIDDLE = (slice(4, 14), slice(7, 25))
_LEVELS = (16, (0.0, 256.0))
_LONG_SIDE_PX = 800


@dataclass(frozen=True, slots=True)
class Grey:
    """A small copy of a frame's Y plane.

    y          uint8 (height, width)
    px         source pixels per pixel of it
    thumbnail  float32 (18, 32): the same, tiny
    """

    y: U8
    px: float
    thumbnail: F32

    @classmethod
    def of(cls, y: U8) -> Grey:
        """Averages over squares of whole pixels, so that the long side has about 800."""
        px = max(1, round(max(y.shape) / _LONG_SIDE_PX))
        height, width = (length // px * px for length in y.shape)
        size_wh = (max(1, width // px), max(1, height // px))
        small = y.copy() if px == 1 else cv2.resize(y[:height, :width], size_wh, interpolation=cv2.INTER_AREA)
        thinned = np.ascontiguousarray(small[::4, ::4])
        thumbnail = cv2.resize(thinned, _THUMBNAIL_WH, interpolation=cv2.INTER_AREA)
        return cls(np.asarray(small, np.uint8), float(px), np.asarray(thumbnail, np.float32))

    def shows_another_scene(self, before: Grey) -> bool:
        """Whether a cut lies between, as against a camera that was turned quickly."""
        a, b = self.thumbnail, before.thumbnail
        if float(np.abs(a - b).mean()) < LEAST_CUT_DIFFERENCE:
            return False
        found = [
            cv2.matchTemplate(*pair, cv2.TM_CCOEFF_NORMED).max()
            for pair in ((a, b[_MIDDLE]), (b, a[_MIDDLE]))
        ]
        levels = [np.histogram(each, *_LEVELS)[0] for each in (a, b)]
        return float(max(found)) + float(np.minimum(*levels).sum()) / a.size < MOST_CUT_LIKENESS


@dataclass(frozen=True, slots=True)
class Step:
    """Where the cells of a window were one frame before: x and y float32 (height, width), in source pixels."""

    window: Window
    x: F32
    y: F32

    def led_by(self, inside: F32, guess: Axes) -> Step:
        """The same, but everywhere as the object goes: what goes with the ground around it is not taken for it.

        inside float32 (height, width): how much of each cell is the object, by this step. At an outline flow is
        something between both sides; without this a mask that no box bounds would be drawn out along its way.
        """
        x, y = self.window.centres()
        scale, shift = guess.scale.astype(np.float32), guess.shift.astype(np.float32)
        rest = np.dstack((self.x - (scale[0] * x + shift[0]), self.y - (scale[1] * y + shift[1])))
        thinned = rest[::2, ::2]
        own = inside[::2, ::2] > 0.5
        if min(np.count_nonzero(own), np.count_nonzero(~own)) < _LEAST_SEEN:
            return self
        object_xy, ground_xy = (np.median(thinned[part], axis=0).astype(np.float32) for part in (own, ~own))
        if np.hypot(*(object_xy - ground_xy)) < self.window.cell_wh.max() * LEAST_APART_CELLS:
            return self
        to_object, to_ground = (((rest - each) ** 2).sum(axis=2) for each in (object_xy, ground_xy))
        likeness = to_ground / (to_object + to_ground + np.float32(1e-6))
        sure = inside * np.clip((likeness - _GROUND_TO) / (_OBJECT_FROM - _GROUND_TO), 0, 1).astype(
            np.float32
        )
        rest = _spread(rest, sure, object_xy)
        return Step(
            self.window, rest[..., 0] + (scale[0] * x + shift[0]), rest[..., 1] + (scale[1] * y + shift[1])
        )

    def middle_xy(self) -> F64:
        """How far the middle half of the window has come, float64 (2,)."""
        rows, columns = (
            slice(length // 4, -length // 4) for length in (self.window.height, self.window.width)
        )
        x, y = self.window.centres()
        return np.array([(x - self.x)[rows, columns].mean(), (y - self.y)[rows, columns].mean()], np.float64)


class Flow:
    """Dense optical flow in windows. Keeps its work space from call to call; not for two threads at once."""

    def __init__(self) -> None:
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._search.setFinestScale(1)

    def step(self, window: Window, now: Grey, before: Grey, guess: Axes) -> Step:
        """Where what the window shows now was before. `guess` is from now to before and should be near."""
        current = window.sample(now.y, now.px, Axes.identity())
        earlier = window.sample(before.y, before.px, guess)
        nothing_known: Any = None  # an array would be taken for a first guess; the type hints ask for one
        flow = self._search.calc(current, earlier, nothing_known)
        x, y = window.centres()
        cell = (window.cell_wh * guess.scale).astype(np.float32)
        scale, shift = guess.scale.astype(np.float32), guess.shift.astype(np.float32)
        return Step(
            window,
            flow[..., 0] * cell[0] + (scale[0] * x + shift[0]),
            flow[..., 1] * cell[1] + (scale[1] * y + shift[1]),
        )


@dataclass(frozen=True, slots=True)
class Map:
    """How far each cell of a window was away in an earlier frame: float32 (height, width, 2), source pixels."""

    window: Window
    away_xy: F32

    @classmethod
    def affine(cls, window: Window, moved: Axes) -> Map:
        """A map that moves the whole window in one piece; with `Axes.identity()`, to the very frame itself."""
        away = np.empty((window.height, window.width, 2), np.float32)
        for axis, places in enumerate(window.centres()):
            away[..., axis] = (moved.scale[axis] - 1) * places + moved.shift[axis]
        return cls(window, away)

    def carried(self, step: Step, lag: Axes) -> Map:
        """The map of the step's window. `lag` leads from the frame before it to the frame of this map."""
        x = np.float32(lag.scale[0]) * step.x + np.float32(lag.shift[0])
        y = np.float32(lag.scale[1]) * step.y + np.float32(lag.shift[1])
        away = self.window.at(self.away_xy, (x, y))
        now_x, now_y = step.window.centres()
        away[..., 0] += x - now_x
        away[..., 1] += y - now_y
        return Map(step.window, away)

    def shares(self, values: F32, rect_xyxy: F64) -> F32:
        """float32 (height, width): a mask, float32 (rows, columns) over its rectangle, in this map's cells."""
        mask = Window(rect_xyxy, values.shape[1], values.shape[0])
        x, y = self.window.centres()
        return mask.at(values, (self.away_xy[..., 0] + x, self.away_xy[..., 1] + y), outside_zero=True)

    def resampled(self, window: Window) -> Map:
        """The same for the cells of another window of the same frame."""
        x, y = np.broadcast_arrays(*window.centres())
        return Map(window, self.window.at(self.away_xy, (x, y)))

    def look_up(self, values: F32, rect_xyxy: F64, now: Grey | None) -> Bools:
        """bool (height, width): which cells were inside of a mask, float32 (rows, columns) over its rectangle.

        Where the picture is given the outline is drawn to the edges in it, by the guided filter (He et al., 2013).
        """
        inside = self.shares(values, rect_xyxy)
        if now is not None:
            guide = self.window.sample(now.y, now.px, Axes.identity())
            inside = _guided(inside, guide.astype(np.float32) * np.float32(1 / 255))
        return inside > 0.5

    def now_of(self, place_xy: F64) -> F64:
        """About where a point of the earlier frame is now, float64 (2,)."""
        x, y = self.window.centres()
        far = (self.away_xy[..., 0] + (x - place_xy[0])) ** 2 + (
            self.away_xy[..., 1] + (y - place_xy[1])
        ) ** 2
        row, column = divmod(int(far.argmin()), self.window.width)
        now_xy: F64 = place_xy - self.away_xy[row, column]
        return now_xy


def _spread(values: F32, weights: F32, otherwise: F32) -> F32:
    """Weighted means (height, width, 2) of the values nearby, of those farther away where there are none."""
    stack = np.dstack((values * weights[..., None], weights))
    total = np.append(otherwise, np.float32(1)) * np.float32(1e-9)
    for share, weight in ((_NEAR_SHARE, 1.0), (_FAR_SHARE, _FAR_WEIGHT)):
        side = 2 * max(1, round(max(weights.shape) * share)) + 1
        total = total + cv2.blur(stack, (side, side), borderType=cv2.BORDER_CONSTANT) * np.float32(weight)
    return np.asarray(total[..., :2] / total[..., 2:], np.float32)


def _guided(inside: F32, guide: F32) -> F32:
    """The shares `inside` as, nearby, a straight function of the guide."""
    radius = max(2, round(max(guide.shape) * EDGE_RADIUS_SHARE))

    def mean(values: NDArray[np.floating[Any]]) -> F32:
        return np.asarray(cv2.blur(values, (2 * radius + 1, 2 * radius + 1)), np.float32)

    mean_guide, mean_inside = mean(guide), mean(inside)
    slope = (mean(guide * inside) - mean_guide * mean_inside) / (
        mean(guide * guide) - mean_guide * mean_guide + np.float32(EDGE_VARIANCE)
    )
    return mean(slope) * guide + mean(mean_inside - slope * mean_guide)
