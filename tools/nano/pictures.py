"""Pictures of people to train small models on, with exact masks and boxes: made from a seed, from nothing else.

Two worlds take turns: streets, rooms and formless backgrounds of this package (`pictures_street`), and the rendered
world of `scene://` (`pictures_scene`). The lens and the sensor come after both (`pictures_sensor`). docs/training.md
tells what is in them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.types import F32, U8
from tools.nano.footage import MOST_PEOPLE, Footage
from tools.nano.pictures_scene import scene_footage
from tools.nano.pictures_sensor import draw_sensor, expose
from tools.nano.pictures_street import street_footage

SCENE_SHARE = 0.3
"""Of clips that show the world of `scene://`."""

__all__ = ["MOST_PEOPLE", "Clip", "clip"]


@dataclass(frozen=True, slots=True)
class Clip:
    """T frames in a row of up to N people; person k has the index k - 1.

    frames_bgr          uint8 (T, H, W, 3)
    ids                 uint8 (T, H, W): who is seen at each pixel, 0 nobody
    full_boxes_xyxy     float32 (T, N, 4): the whole body, also where it is hidden or beyond the picture's edge; NaN
                        where somebody is beside or behind the lens
    visible_boxes_xyxy  float32 (T, N, 4): tight around the pixels of `ids`, right and bottom exclusive; NaN = none
    visibility          float32 (T, N): seen share of the pixels that the body would have in the picture without
                        anything in front of it; 0 where it has none
    """

    frames_bgr: U8
    ids: U8
    full_boxes_xyxy: F32
    visible_boxes_xyxy: F32
    visibility: F32


def clip(seed: int, frames: int, width: int, height: int) -> Clip:
    """The clip that belongs to these numbers: a pure function of them.

    Up to 15 people; about every eighth clip is without anybody. Sides must be even.
    """
    rng = np.random.default_rng((seed, 80))
    of_scene = _is_of_scene(rng)
    footage = (scene_footage if of_scene else street_footage)(rng, frames, width, height)
    # The built-in scene has no such sensor: half of its clips stay as they are.
    if not of_scene or rng.random() < 0.5:
        sensor = draw_sensor(rng, height, gentle=of_scene)
        for frame in footage.frames_bgr:
            frame[:] = expose(sensor, frame, rng)
    return _completed(footage)


def is_of_scene(seed: int) -> bool:
    """Whether the clip of this seed shows the world of `scene://`."""
    return _is_of_scene(np.random.default_rng((seed, 80)))


def _is_of_scene(rng: np.random.Generator) -> bool:
    return bool(rng.random() < SCENE_SHARE)


def _completed(footage: Footage) -> Clip:
    """Boxes and shares of what is seen, from the masks."""
    frames, people = footage.body_px.shape
    boxes = np.full((frames, people, 4), np.nan, np.float32)
    visibility = np.zeros((frames, people), np.float32)
    for frame, ids in enumerate(footage.ids):
        counts = np.bincount(ids.ravel(), minlength=people + 1)
        for person in np.flatnonzero(counts[1:]):
            boxes[frame, person] = _tight(ids == person + 1)
            visibility[frame, person] = min(
                1.0, counts[person + 1] / max(footage.body_px[frame, person], 1.0)
            )
    return Clip(
        footage.frames_bgr, footage.ids, footage.full_boxes_xyxy.astype(np.float32), boxes, visibility
    )


def _tight(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
