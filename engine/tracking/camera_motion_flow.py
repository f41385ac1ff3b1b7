"""Camera motion by sparse optical flow of the background.

Corners, one for each cell of a grid, are followed by pyramidal Lucas-Kanade (Bouguet, 2001) from a reference frame to
the newest, and back; what does not come back is not used, nor what lies in boxes. `camera_motion_fit` finds the motion
that most of them follow. While that is nothing, the reference stays, so that what creeps is seen once it adds up; when
the camera moves every frame is the next one's reference, and corners are looked for anew only when too few are left.

Knows one camera's pictures and boxes. Does not know time: a step is from one frame shown to the next.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.tracking.camera_motion_fit import fit_motion, middle_of
from engine.tracking.camera_motion_picture import SmallPicture, shift_between
from engine.tracking.camera_motion_warp import (
    F64,
    Found,
    corners_xy,
    is_plausible,
    most_shift,
    points_through,
)
from engine.types import F32

Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]

CORNERS = 80
"""Cells of the grid that corners are looked for in."""
LONG_SIDE_SEARCHED_PX = 320
STILL_PX = 0.35
"""How far, in small pixels, a corner may be from where it was while the camera stands still."""
STILL_SHARE = 0.7
STILL_LEAST_SHARE = 0.35
STILL_PREFERENCE = 0.75
"""A camera stands still where so many of the corners do, or at least the second share, if no other motion has
many more: waves, leaves and crowds move together, too."""
REFERENCE_FRAMES = 12
"""How long a still camera's reference is kept: light changes."""
LEAST_CORNERS = 12
LEAST_SHARE = 0.45
"""Corners, and share of those followed, that must agree for the motion to be believed."""
SURE_SHARE, LEAST_OF_ALL = 0.3, 0.2
"""Share of all corners that must agree for nothing else to be tried, and for the best found to be believed: a few that
were found again by chance agree with each other easily."""
LEAST_IN_PART, LEAST_SHARE_IN_PART, LEAST_PARTS = 2, 0.4, 0.55
_PARTS_WH = (4, 3)
"""Of the parts of the picture with so many corners, how many in how many must agree."""
MOST_ERROR_PX = 2.0
"""Largest expected error at a corner of the small picture: it is more where the points lie in one place only."""
_NOISE_PX = 0.2
_WINDOW_WH = (11, 11)
_LEVELS, _LEVELS_BACK = 3, 1
_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03)
_RETURN_PX = 0.5
"""How near to where it started a corner must come when it is followed back."""
_LEAST_CONTRAST = 6e-5
_CONTRAST_SHARE = 0.001
"""Least smaller eigenvalue of a corner, also as a share of the best one's. The first is that of the noise of a dark
picture."""
_EDGE_PX = 4
_KEEP_SHARE = 0.7
"""Corners are looked for anew once fewer than this share of those found the last time are left."""
_NO_POINTS: F32 = np.empty((0, 2), np.float32)


class FlowMotion:
    """The step of one camera's picture since its reference frame. Keeps one small picture and its corners."""

    def __init__(self) -> None:
        self.reference: SmallPicture | None = None
        self._points = _NO_POINTS
        self._full = 0
        self._age = 0
        self._usual: F64 | None = None

    def restart(self, picture: SmallPicture) -> None:
        """What was before has nothing to do with this picture."""
        self._usual = None
        self._refer_to(picture.evenly_lit(), _NO_POINTS)

    def step(self, picture: SmallPicture, guess: F64 | None) -> Found:
        """How the picture has moved since the reference; call `restart` first.

        guess  (3, 3) in small pixels, where somebody knows better than that it goes on as before
        """
        picture = picture.evenly_lit()
        found, kept = self._find(picture, self._usual if guess is None else guess)
        if found.reason == "still" and self._age < REFERENCE_FRAMES:
            self._age += 1
            self._usual = None
            return found
        self._usual = found.matrix if found.reason == "flow" else None
        self._refer_to(picture, kept)
        return found

    def _find(self, picture: SmallPicture, guess: F64 | None) -> tuple[Found, F32]:
        """What flow says, and where the corners are now that are worth following further."""
        reference = self.reference
        if reference is None or len(self._points) < LEAST_CORNERS:
            return Found(None, "covered" if picture.covered else "texture"), _NO_POINTS
        found, kept, fitted = self._follow(reference, picture, guess)
        best, enough = (found, kept), SURE_SHARE * len(self._points)
        if len(best[1]) < enough and fitted is not None:
            # Corners at the edges may be found from there, which a zoom or a roll took too far.
            best = _better(best, self._follow(reference, picture, fitted)[:2])
        if len(best[1]) < enough:
            best = _better(best, self._follow(reference, picture, shift_between(reference, picture))[:2])
        return best

    def _follow(
        self, reference: SmallPicture, picture: SmallPicture, guess: F64 | None
    ) -> tuple[Found, F32, F64 | None]:
        """The same from one guess, and the motion of some of the corners, believed or not.

        Without an answer there is nothing to follow further.
        """
        rows, now = _followed(reference, picture, self._points, guess)
        found, agreeing = _judged(self._points[rows], now, picture.size_wh)
        if found.matrix is None:
            return found, _NO_POINTS, None
        if np.count_nonzero(agreeing) < LEAST_OF_ALL * len(self._points):
            return Found(None, "lost", found.share), _NO_POINTS, found.matrix
        # Corners that this motion takes out of the picture, or behind a box, could not be found.
        there = _through(found.matrix, self._points)
        tried = _inside(there, picture.size_wh, _WINDOW_WH[0]) & picture.is_background(there)
        if not _widespread(self._points, tried, rows[agreeing], picture.size_wh):
            return Found(None, "one place", found.share), _NO_POINTS, found.matrix
        return found, now if found.reason == "still" else now[agreeing], found.matrix

    def _refer_to(self, picture: SmallPicture, points: F32) -> None:
        self.reference, self._age = picture, 0
        if len(points) < max(_KEEP_SHARE * self._full, 2 * LEAST_CORNERS):
            points = corners_of(picture)
            self._full = len(points)
        self._points = points


def corners_of(picture: SmallPicture) -> F32:
    """(n, 2) the best corner of each cell of a grid over the background, as pixel indices.

    Larger pictures are looked at in half their size: what is a corner there can be followed just as well.
    """
    px = 2 if max(picture.size_wh) > LONG_SIDE_SEARCHED_PX else 1
    y = cv2.pyrDown(picture.y) if px == 2 else picture.y
    contrast = cv2.cornerMinEigenVal(y, 3)
    for part in (np.s_[:_EDGE_PX], np.s_[-_EDGE_PX:], np.s_[:, :_EDGE_PX], np.s_[:, -_EDGE_PX:]):
        contrast[part] = 0
    for left, top, right, bottom in picture.box_pixels():
        contrast[top // px : -(-bottom // px), left // px : -(-right // px)] = 0
    height, width = contrast.shape
    side = max(8, int(np.sqrt(width * height / CORNERS)))
    rows, columns = height // side, width // side
    cells = contrast[: rows * side, : columns * side].reshape(rows, side, columns, side)
    flat = cells.transpose(0, 2, 1, 3).reshape(rows * columns, side * side)
    places = flat.argmax(axis=1)
    best = flat[np.arange(len(flat)), places]
    y_px = np.repeat(np.arange(rows) * side, columns) + places // side
    x_px = np.tile(np.arange(columns) * side, rows) + places % side
    good = best > max(_LEAST_CONTRAST, _CONTRAST_SHARE * float(best.max(initial=0.0)))
    return np.column_stack((x_px[good], y_px[good])).astype(np.float32) * px


def _followed(
    reference: SmallPicture, picture: SmallPicture, points: F32, guess: F64 | None
) -> tuple[Rows, F32]:
    """(k,) which corners of the reference were found in the picture's background, and (k, 2) where."""
    flags, start = 0, points
    if guess is not None:
        start = _through(guess, points)
        flags = cv2.OPTFLOW_USE_INITIAL_FLOW
    ended, seen, _ = cv2.calcOpticalFlowPyrLK(
        reference.y, picture.y, points, start.copy(),
        winSize=_WINDOW_WH, maxLevel=_LEVELS, criteria=_STEPS, flags=flags,
    )  # fmt: skip
    now = np.asarray(ended, np.float32)
    kept = (seen[:, 0] > 0) & np.isfinite(now).all(axis=1) & _inside(now, picture.size_wh)
    kept &= picture.is_background(now)
    rows = np.flatnonzero(kept)
    before, now = points[rows], now[rows]
    if not len(now):
        return rows, now
    # From where most corners have come, not from where this one has: else it would come back of itself.
    home = now - middle_of(now - start[rows])
    if guess is not None:
        home = _through(np.asarray(np.linalg.inv(guess), np.float64), home)
    back, seen, _ = cv2.calcOpticalFlowPyrLK(
        picture.y, reference.y, now, home,
        winSize=_WINDOW_WH, maxLevel=_LEVELS_BACK, criteria=_STEPS, flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )  # fmt: skip
    returned = (seen[:, 0] > 0) & (np.abs(back - before).max(axis=1) <= _RETURN_PX)
    return rows[returned], now[returned]


def _judged(before: F32, now: F32, size_wh: tuple[int, int]) -> tuple[Found, Bools]:
    """The motion that corners (k, 2) tell of, and bool (k,) which of them follow it."""
    if len(before) < LEAST_CORNERS:
        return Found(None, "lost"), np.zeros(len(before), np.bool_)
    rests = np.abs(now - before).max(axis=1) <= STILL_PX
    still = _share(rests)
    if still >= STILL_SHARE:
        return Found(np.eye(3), "still", still), rests
    # Centred and in halves of the longer side, as the fit wants them.
    half = max(size_wh) / 2
    middle = np.array(size_wh) / 2
    places = [(points.astype(np.float64) + 0.5 - middle) / half for points in (before, now)]
    fit = fit_motion(places[0], places[1], _NOISE_PX / half, (corners_xy(size_wh) - middle) / half)
    share = _share(fit.agreeing)
    near = _share(np.abs(points_through(fit.matrix, places[0]) - places[1]).max(axis=1) * half <= STILL_PX)
    if still >= max(STILL_LEAST_SHARE, STILL_PREFERENCE * near):
        return Found(np.eye(3), "still", still), rests
    centre = np.array(((half, 0, middle[0]), (0, half, middle[1]), (0, 0, 1)))
    matrix = centre @ fit.matrix @ np.linalg.inv(centre)
    if share < LEAST_SHARE or np.count_nonzero(fit.agreeing) < LEAST_CORNERS:
        return Found(None, "disagreement", share), fit.agreeing
    if not is_plausible(matrix, size_wh):
        return Found(None, "implausible", share), fit.agreeing
    if not fit.error * half <= MOST_ERROR_PX:
        return Found(None, "one place", share), fit.agreeing
    matrix /= matrix[2, 2]
    if most_shift(matrix, size_wh) <= STILL_PX:
        return Found(np.eye(3), "still", share), fit.agreeing
    return Found(matrix, "flow", share), fit.agreeing


def _better(one: tuple[Found, F32], other: tuple[Found, F32]) -> tuple[Found, F32]:
    """The one that more corners follow; the first of two without an answer."""
    return other if len(other[1]) > len(one[1]) else one


def _widespread(points: F32, tried: Bools, agreeing: Rows, size_wh: tuple[int, int]) -> bool:
    """Whether corners agree in most parts of the picture, as against a thing in it that has lost fewer of its own."""
    columns, rows = _PARTS_WH
    column, row = (points / np.array(size_wh) * _PARTS_WH).astype(np.intp).T
    parts = row * columns + column
    all_in, agreeing_in = (
        np.bincount(each, minlength=columns * rows) for each in (parts[tried], parts[agreeing])
    )
    looked_at = all_in >= LEAST_IN_PART
    agreed = looked_at & (agreeing_in >= LEAST_SHARE_IN_PART * all_in)
    return bool(np.count_nonzero(agreed) >= LEAST_PARTS * np.count_nonzero(looked_at))


def _through(matrix: F64, points: F32) -> F32:
    """Pixel indices moved by a homography of pixels that are counted from their edges."""
    moved = points_through(matrix, points.astype(np.float64) + 0.5) - 0.5
    return np.where(np.isfinite(moved), moved, points).astype(np.float32)


def _share(chosen: Bools) -> float:
    return np.count_nonzero(chosen) / len(chosen)


def _inside(points: F32, size_wh: tuple[int, int], margin_px: int = 0) -> Bools:
    inside: Bools = np.all((points >= margin_px) & (points <= np.array(size_wh) - 1 - margin_px), axis=1)
    return inside
