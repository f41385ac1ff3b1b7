"""Frames of the rendered scenes at 640 × 360 with who is to be found in them, for judging detectors.

The same rule as the score at the end of a run on a scene: whole bodies as far as they are in the picture, of people of
whom half is seen. Others may be found or not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.sources.scene_render import SceneRenderer, Shot
from engine.types import F32, FrameMeta, FrameNv12, nv12_geometry
from ptz.simulator.scenes import SCENES
from ptz.simulator.truth import truth
from ptz.simulator.world import World
from ptz.types import View

WIDTH, HEIGHT = 640, 360
LEAST_VISIBILITY = 0.5
LEAST_HEIGHT_PX = 25.0
"""Of what is in the picture of somebody who is to be found."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A camera of a scene and its zoom. Heads turn to each of the people in turn; fixed cameras stay."""

    scene: str
    camera: str
    zoom: float = 1.0

    @property
    def name(self) -> str:
        return f"{self.scene} {self.camera}" + (f" ×{self.zoom:g}" if self.zoom != 1 else "")


SETTINGS = (
    Setting("court", "overview"), Setting("court", "ptz"), Setting("court", "ptz", 2.0), Setting("plaza", "overview"),
    Setting("plaza", "ptz", 2.0),
)  # fmt: skip


def scene_frames(setting: Setting, count: int) -> Iterator[tuple[FrameNv12, F32, F32]]:
    """Frames from all over the scene's time; of each the boxes to be found and those that do not count, (n, 4)."""
    world = World(SCENES[setting.scene])
    mount = world.mount(setting.camera)
    renderer = SceneRenderer(world, mount)
    hfov = 2 * math.degrees(math.atan(math.tan(math.radians(mount.hfov_wide_deg) / 2) / setting.zoom))
    for number in range(count):
        # Irrational steps: no moment is met twice, and none is preferred.
        time_s = (0.7 + number * 0.6180339887 * world.scene.duration_s) % world.scene.duration_s
        pan, tilt = mount.pan_deg, mount.tilt_deg
        if mount.is_ptz:
            pan, tilt = _towards(world, setting, View(WIDTH, HEIGHT, pan, tilt, hfov), time_s, number)
        view = View(WIDTH, HEIGHT, pan, tilt, hfov)
        frame = _blank()
        renderer.draw(Shot(view, time_s, number), frame.y, frame.uv)
        yield frame, *_judged(world, setting, view, time_s)


def _towards(world: World, setting: Setting, view: View, time_s: float, number: int) -> tuple[float, float]:
    """Pan and tilt at which somebody is in the middle."""
    seen = truth(world, world.mount(setting.camera), view, time_s)
    person = number % len(seen)
    return float(seen.pan_deg[person]), float(seen.tilt_deg[person])


def _judged(world: World, setting: Setting, view: View, time_s: float) -> tuple[F32, F32]:
    exact = truth(world, world.mount(setting.camera), view, time_s)
    boxes = np.clip(exact.full_boxes_xyxy, 0, np.array([WIDTH, HEIGHT] * 2, np.float32)).astype(np.float32)
    heights = exact.visible_boxes_xyxy[:, 3] - exact.visible_boxes_xyxy[:, 1]
    here = exact.in_front & (exact.visibility > 0)
    wanted = here & (exact.visibility >= LEAST_VISIBILITY) & (heights >= LEAST_HEIGHT_PX)
    return boxes[wanted], boxes[here & ~wanted]


def _blank() -> FrameNv12:
    stride, offset_uv, slot_bytes = nv12_geometry(WIDTH, HEIGHT)
    return FrameNv12.view(
        FrameMeta(0, 0, 0, WIDTH, HEIGHT, stride, stride, offset_uv), np.zeros(slot_bytes, np.uint8)
    )
