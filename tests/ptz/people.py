"""Hand-made sightings: people at directions, as a camera at a pose would see them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ptz.geometry import angles_to_pixel, focal_px
from ptz.lens import Lens
from ptz.types import Pose, Sightings, View

WIDTH, HEIGHT = 1280, 720
LENS = Lens(60.0)


@dataclass(frozen=True)
class Person:
    """Somebody at a direction, `height_deg` tall, with the IDs that tracker and gallery gave them."""

    track_id: int
    pan_deg: float
    tilt_deg: float = -5.0
    height_deg: float = 8.0
    gid: int = 0
    seen: bool = True
    score: float = 0.9
    class_id: int = 0


def sight(people: Sequence[Person], time_s: float, pose: Pose | None = None) -> Sightings:
    """What a camera at `pose` (north, level, widest) sees of them; who is outside the picture is not in it."""
    pose = pose or Pose(time_s, 0.0, 0.0, 1.0)
    view = View(WIDTH, HEIGHT, pose.pan_deg, pose.tilt_deg, LENS.hfov_deg(pose.zoom))
    focal = focal_px(WIDTH, view.hfov_deg)
    shown, boxes = [], []
    for person in people:
        u, v, in_front = angles_to_pixel(person.pan_deg, person.tilt_deg, view)
        # A body of this angular height is as far along the optical axis as its distance times this cosine.
        cosine = focal / math.hypot(u - WIDTH / 2, v - HEIGHT / 2, focal)
        high = focal * math.radians(person.height_deg) / cosine
        box = (u - high / 6, v - high / 2, u + high / 6, v + high / 2)
        if in_front and box[0] < WIDTH and box[2] > 0 and box[1] < HEIGHT and box[3] > 0:
            shown.append(person)
            boxes.append(
                [max(box[0], 0.0), max(box[1], 0.0), min(box[2], WIDTH), min(box[3], HEIGHT)],
            )
    return Sightings(
        time_s=time_s, width=WIDTH, height=HEIGHT,
        boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array([person.score for person in shown], np.float32),
        track_ids=np.array([person.track_id for person in shown], np.int64),
        gids=np.array([person.gid for person in shown], np.int64),
        seen=np.array([person.seen for person in shown], bool),
        class_ids=np.array([person.class_id for person in shown], np.int32),
    )  # fmt: skip
