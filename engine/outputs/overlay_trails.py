"""Where each object has been: trails that fade, kept in the scene's coordinates, so that they stay where somebody
walked when the camera turns (as far as `ResultMeta.shift` tells of it).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.outputs.overlay_masks import tint_chroma, tint_luma
from engine.outputs.overlay_style import OverlayStyle, YCbCr
from engine.types import U8, FrameFlag, PictureShift, ResultMeta, Tracks

TRAIL_S = 2.0
"""How long a place stays in a trail."""
MOST_POINTS = 64
MOST_TRAILS = 256
_OPACITIES = (0.25, 0.5, 1.0)
"""Of the oldest, the middle and the newest third of a trail."""
_STEP_PX = 2.0
"""Places nearer to each other than this are one."""
_SCALE_LIMIT = 100.0

Points = NDArray[np.float64]


@dataclass(slots=True)
class SceneFrame:
    """How places of the scene lie in the present picture: `picture = scale · scene + offset`."""

    scale: float = 1.0
    offset_xy: Points = field(default_factory=lambda: np.zeros(2))

    def move(self, shift: PictureShift, width: int, height: int) -> None:
        """The picture has moved as a whole."""
        middle = np.array((width / 2.0, height / 2.0))
        self.offset_xy = middle + (self.offset_xy - middle) * shift.scale + (shift.x_px, shift.y_px)
        self.scale *= shift.scale

    def to_scene(self, points_xy: Points) -> Points:
        """Places of the picture as places of the scene."""
        return np.asarray((points_xy - self.offset_xy) / self.scale)

    def to_picture(self, points_xy: Points) -> Points:
        """Places of the scene as places of the picture."""
        return np.asarray(points_xy * self.scale + self.offset_xy)

    @property
    def usable(self) -> bool:
        """Whether it is still near enough to where it began for its numbers to mean something."""
        return 1 / _SCALE_LIMIT < self.scale < _SCALE_LIMIT and bool(np.abs(self.offset_xy).max() < 1e7)


@dataclass(slots=True)
class Trail:
    """One object's: the newest `count` of the places, in the scene, oldest first; and when each was."""

    places_xy: Points = field(default_factory=lambda: np.zeros((MOST_POINTS, 2)))
    times_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(MOST_POINTS))
    count: int = 0

    def add(self, place_xy: Points, time_s: float, least_step: float) -> None:
        """Another place; one that is hardly elsewhere takes the place of the last."""
        if self.count > 1 and np.abs(place_xy - self.places_xy[self.count - 2]).max() < least_step:
            self.count -= 1
        elif self.count == MOST_POINTS:
            self.forget(1)
        self.places_xy[self.count], self.times_s[self.count] = place_xy, time_s
        self.count += 1

    def forget_before(self, time_s: float) -> None:
        """Drop what is older."""
        old = int(np.searchsorted(self.times_s[: self.count], time_s))
        if old:
            self.forget(old)

    def forget(self, places: int) -> None:
        """Drop the oldest places."""
        self.count -= places
        self.places_xy[: self.count] = self.places_xy[places : places + self.count]
        self.times_s[: self.count] = self.times_s[places : places + self.count]


class Trails:
    """The trails of one camera by track ID, `MOST_TRAILS` at most: then the one longest without news goes."""

    def __init__(self) -> None:
        self.scene = SceneFrame()
        self._trails: dict[int, Trail] = {}
        self._time_s = 0.0

    def take(self, meta: ResultMeta, tracks: Tracks) -> None:
        """Note where the objects of the next frame stand: the middle of the lower edge of each box."""
        went_back = meta.time_s < self._time_s or meta.time_s > self._time_s + 10 * TRAIL_S
        if meta.flags & FrameFlag.DISCONTINUITY or went_back or not self.scene.usable:
            self._trails.clear()
            self.scene = SceneFrame()
        self._time_s = meta.time_s
        if meta.shift is not None:
            self.scene.move(meta.shift, meta.width, meta.height)
        boxes = tracks.boxes_xyxy.astype(np.float64)
        feet = self.scene.to_scene(np.stack(((boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]), axis=1))
        for track_id, place in zip(tracks.track_ids.tolist(), feet, strict=True):
            if track_id:
                trail = self._trails.pop(track_id, None) or Trail()
                trail.add(place, meta.time_s, _STEP_PX / self.scene.scale)
                self._trails[track_id] = trail
        self._forget(meta.time_s - TRAIL_S)

    def _forget(self, before_s: float) -> None:
        for track_id, trail in list(self._trails.items()):
            trail.forget_before(before_s)
            if not trail.count:
                del self._trails[track_id]
        while len(self._trails) > MOST_TRAILS:
            del self._trails[next(iter(self._trails))]

    def in_picture(self) -> dict[int, Points]:
        """By track ID the places (n, 2) of each trail in the present picture, oldest first."""
        return {
            track_id: self.scene.to_picture(trail.places_xy[: trail.count])
            for track_id, trail in self._trails.items()
            if trail.count > 1
        }


def draw_trails(y: U8, uv: U8, trails: Trails, style: OverlayStyle) -> None:
    """Draw every trail in the colour of its object, paler where it is older."""
    for track_id, points in trails.in_picture().items():
        colour = style.colour_of(track_id)
        thirds = np.array_split(np.arange(len(points)), len(_OPACITIES))
        for part, opacity in zip(thirds, _OPACITIES, strict=True):
            if len(part):
                # One place more, so that the thirds meet.
                _draw_line(y, uv, points[max(0, part[0] - 1) : part[-1] + 1], colour, opacity, style.line_px)


def _draw_line(y: U8, uv: U8, points: Points, colour: YCbCr, opacity: float, line_px: int) -> None:
    """A line along these places."""
    for plane, scale in ((y, 1.0), (uv, 0.5)):
        height, width = plane.shape[:2]
        thick = max(1, round(line_px * scale))
        left, top = np.maximum(np.floor(points.min(axis=0) * scale).astype(int) - thick, 0).tolist()
        right, bottom = (np.ceil(points.max(axis=0) * scale).astype(int) + thick + 1).tolist()
        part = plane[top : min(bottom, height), left : min(right, width)]
        if len(points) < 2 or bottom <= 0 or right <= 0 or not part.size:
            continue
        # Far outside of the picture OpenCV's own clipping would lose bits.
        corner = np.array((left, top))
        line = [np.clip(points * scale - corner, -30_000, 30_000).round().astype(np.int32)]
        if opacity == 1.0:
            cv2.polylines(part, line, False, colour.y if scale == 1.0 else (colour.cb, colour.cr), thick)
            continue
        inside = np.zeros(part.shape[:2], np.uint8)
        cv2.polylines(inside, line, False, 255, thick)
        (tint_luma if scale == 1.0 else tint_chroma)(part, inside, colour, opacity)
