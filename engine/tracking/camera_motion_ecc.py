"""Camera motion by alignment of the whole background (Evangelidis and Psarakis, 2008).

For pictures without corners, such as fog or a lawn: slower than flow, and for small steps only. Knows one camera's
pictures and boxes.
"""

from __future__ import annotations

import cv2
import numpy as np

from engine.tracking.camera_motion_picture import SmallPicture, shift_between
from engine.tracking.camera_motion_warp import F64, Found, is_plausible, most_shift
from engine.types import U8

LONG_SIDE_PX = 240
STILL_PX = 0.2
"""The same as for flow, in the pixels of a picture that is half as large."""
REFERENCE_FRAMES = 12
LEAST_CORRELATION = 0.8
LEAST_BACKGROUND = 0.15
LEAST_CONTRAST = 4.0
"""Share of the picture outside of boxes, and standard deviation of grey levels there, below which nothing is said."""
_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 1e-4)
_BLUR_PX = 5


class EccMotion:
    """The step of one camera's picture since its reference frame, as an affine motion. Keeps one small picture."""

    def __init__(self) -> None:
        self.reference: SmallPicture | None = None
        self._age = 0

    def restart(self, picture: SmallPicture) -> None:
        """What was before has nothing to do with this picture."""
        self.reference, self._age = picture, 0

    def step(self, picture: SmallPicture, guess: F64 | None) -> Found:
        """How the picture has moved since the reference, beginning at `guess` (3, 3); call `restart` first."""
        found = Found(None, "texture") if self.reference is None else _aligned(self.reference, picture, guess)
        if found.reason == "still" and self._age < REFERENCE_FRAMES:
            self._age += 1
        else:
            self.restart(picture)
        return found


def _aligned(reference: SmallPicture, picture: SmallPicture, guess: F64 | None) -> Found:
    mask = _background(picture)
    if mask.mean() < 255 * LEAST_BACKGROUND:
        return Found(None, "covered")
    if min(each.y.std() for each in (reference, picture)) < LEAST_CONTRAST:
        return Found(None, "texture")
    start = shift_between(reference, picture) if guess is None else guess
    # It counts from the middles of pixels, we from their edges.
    half = np.array(((1, 0, 0.5), (0, 1, 0.5), (0, 0, 1)))
    begin = (np.linalg.inv(half) @ start @ half)[:2].astype(np.float32)
    try:
        likeness, moved = cv2.findTransformECC(
            reference.y, picture.y, begin, cv2.MOTION_AFFINE, _STEPS, mask, _BLUR_PX
        )
    except cv2.error:  # does not converge, or has left the picture
        return Found(None, "disagreement")
    matrix = half @ np.vstack((np.asarray(moved, np.float64), (0, 0, 1))) @ np.linalg.inv(half)
    if not likeness >= LEAST_CORRELATION:
        return Found(None, "disagreement", float(likeness))
    if not is_plausible(matrix, picture.size_wh):
        return Found(None, "implausible", float(likeness))
    if most_shift(matrix, picture.size_wh) <= STILL_PX:
        return Found(np.eye(3), "still", float(likeness))
    return Found(matrix, "ecc", float(likeness))


def _background(picture: SmallPicture) -> U8:
    """uint8 (height, width): 255 outside of all boxes, 0 inside."""
    mask = np.full(picture.y.shape, 255, np.uint8)
    for left, top, right, bottom in picture.box_pixels():
        mask[top:bottom, left:right] = 0
    return mask
