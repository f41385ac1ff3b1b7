"""Frames of the rendered world: backdrop, shadows, people in their order, and what lens and sensor do to it.

NV12 straight into the planes of a slot. The same drawing gives exact instance masks. Pure: what is drawn depends on the
shot alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from engine.sources.scene_figures import FigurePainter, Sprite, lighting, outlines
from engine.sources.scene_lens import Backdrop, smear
from engine.sources.scene_panorama import PX_PER_DEG, SUN, box_corners, panorama
from engine.types import U8
from ptz.geometry import focal_px
from ptz.simulator.truth import Bodies, bodies, may_hide
from ptz.simulator.world import CameraMount, Occluder, People, World, project
from ptz.types import View

SHADE = 0.27
"""Share of the light that a shadow takes."""
NOISE_LEVELS = 2.2
"""Standard deviation of the sensor's noise, in levels of luma."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One exposure.

    time_s       the scene's own time
    number       of the frame; the sensor's noise depends on it
    pan_deg_s, tilt_deg_s  how fast the head turns
    exposure_s   how long the shutter is open
    defocus_px   standard deviation of a lens out of focus
    """

    view: View
    time_s: float
    number: int = 0
    pan_deg_s: float = 0.0
    tilt_deg_s: float = 0.0
    exposure_s: float = 0.008
    defocus_px: float = 0.0


class SceneRenderer:
    """Draws what one camera of a world sees.

    cut_outs    BGRA pictures of people that stand in for the drawn ones, stretched to their boxes
    px_per_deg  resolution of what stands still
    """

    def __init__(
        self,
        world: World,
        mount: CameraMount,
        cut_outs: Sequence[U8] = (),
        px_per_deg: int = PX_PER_DEG,
    ) -> None:
        self.world, self.mount = world, mount
        self._backdrop = Backdrop(panorama(world.scene, mount, px_per_deg), px_per_deg)
        self._cut_outs = tuple(cut_outs)
        self._noise = np.zeros((0, 0), np.uint8)

    def draw(self, shot: Shot, y: U8, uv: U8, instances: U8 | None = None) -> tuple[People, Bodies]:
        """Write the frame into `y` (height, width) and `uv` (⌈height/2⌉, ⌈width/2⌉, 2); who is there, for the truth.

        instances  (height, width), receives the ID of the person that each pixel shows, 0 = none; IDs up to 255
        """
        view = shot.view
        people = self.world.people(shot.time_s)
        seen = bodies(people, self.mount, view)
        turned_px = self._turned_px(shot)
        self._backdrop.draw(view, turned_px, y, uv)
        if instances is not None:
            instances[:] = 0
        azimuths = np.degrees(
            np.arctan2(people.feet_xyz_m[:, 0] - self.mount.x_m, people.feet_xyz_m[:, 1] - self.mount.y_m)
        )
        painter = FigurePainter(
            seen, people.looks, people.heading_deg - azimuths, lighting(view.pan_deg, view.tilt_deg)
        )
        order = [
            int(person) for person in np.argsort(-seen.depth_m) if self._reaches(seen, int(person), view)
        ]
        occluders = self.world.scene.occluders
        hiding = may_hide(occluders, seen.middles_xyz_m, self.mount)
        hidden_by = {
            person: [outline for box in np.flatnonzero(hiding[person])
                     if (outline := self._outline(occluders[box], view)) is not None]
            for person in order
        }  # fmt: skip
        pixels, radii = self._fallen(seen, view)
        for person in order:
            fallen = pixels[:, person], radii[:, person]
            self._shadow(fallen, seen.figures.worn[person], y, hidden_by[person])
        for person in order:
            moved_px = self._moved_px(people, person, seen, shot)
            margin = max(abs(moved_px[0]), abs(moved_px[1]))
            sprite = painter.sprite(person, (view.width, view.height), margin)
            if sprite is None:
                continue
            if self._cut_outs:
                sprite = self._cut_out(sprite, seen.full_boxes_xyxy[person], int(people.ids[person]))
            _hide(sprite.opacity, (sprite.left, sprite.top), hidden_by[person])
            if instances is not None:
                _mark(sprite, int(people.ids[person]), instances)
            smear(sprite.bgr, moved_px)
            smear(sprite.opacity, moved_px)
            paste(sprite, y, uv)
        self._sensor(shot, y, uv)
        return people, seen

    def _reaches(self, seen: Bodies, person: int, view: View) -> bool:
        """Somebody, or their shadow, may be in the picture."""
        left, top, right, bottom = seen.full_boxes_xyxy[person]
        margin = 1.5 * (bottom - top)
        return bool(
            seen.in_front[person] and right > -margin and left < view.width + margin
            and bottom > -margin and top < view.height + margin
        )  # fmt: skip

    def _turned_px(self, shot: Shot) -> tuple[float, float]:
        """How far what stands still moves right and down in the picture while the shutter is open."""
        per_degree = focal_px(shot.view.width, shot.view.hfov_deg) * np.pi / 180
        across = shot.pan_deg_s * np.cos(np.radians(shot.view.tilt_deg))
        return -across * per_degree * shot.exposure_s, shot.tilt_deg_s * per_degree * shot.exposure_s

    def _moved_px(self, people: People, person: int, seen: Bodies, shot: Shot) -> tuple[float, float]:
        """The same for somebody who walks."""
        turned = self._turned_px(shot)
        if not people.speed_m_s[person]:
            return turned
        velocity = np.array([*people.velocity_xy_m_s[person], 0.0])
        middle = seen.middles_xyz_m[person]
        before, after = project(
            np.stack([middle, middle + velocity * shot.exposure_s]), self.mount, shot.view
        )
        return turned[0] + float(after[0] - before[0]), turned[1] + float(after[1] - before[1])

    def _shadow(
        self, fallen: tuple[np.ndarray, np.ndarray], worn: np.ndarray, y: U8, hidden_by: list[np.ndarray]
    ) -> None:
        """What somebody takes of the sun's light on the ground: of limbs (2, parts, 3), as projected, and radii."""
        pixels, radii = fallen[0][:, worn], fallen[1][:, worn]
        if not (pixels[..., 2] > 1.0).all():
            return
        widest = radii.max()
        low = np.floor(np.maximum(pixels[..., :2].min(axis=(0, 1)) - widest - 1, 0)).astype(int)
        high = np.ceil(pixels[..., :2].max(axis=(0, 1)) + widest + 1)
        high = np.minimum(high, (y.shape[1], y.shape[0])).astype(int)
        if (high - low < 2).any():
            return
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        hulls = outlines(pixels[0, :, :2] - low, pixels[1, :, :2] - low, radii[0], radii[1])
        for hull in np.round(hulls * 4).astype(np.int32):
            cv2.fillConvexPoly(mask, hull, 255, cv2.LINE_AA, 2)
        soft = max(1, round(0.12 * float(widest)))
        cv2.blur(mask, (2 * soft + 1, 2 * soft + 1), dst=mask)
        _hide(mask, (int(low[0]), int(low[1])), hidden_by)
        window = y[low[1] : high[1], low[0] : high[0]]
        darkened = cv2.multiply(window, mask, scale=SHADE / 255)
        cv2.subtract(window, darkened, dst=window)

    def _fallen(self, seen: Bodies, view: View) -> tuple[np.ndarray, np.ndarray]:
        """Everybody's limbs along the sun's rays on the ground: (2, n, parts, 3) as projected, radii (2, n, parts)."""
        figure = seen.figures
        joints = np.stack([figure.from_xyz_m, figure.to_xyz_m])
        ground = joints - SUN * (joints[..., 2:] / SUN[2])
        pixels = project(ground, self.mount, view)
        radii = np.stack([figure.from_radius_m, figure.to_radius_m])
        with np.errstate(divide="ignore"):
            return pixels, 0.75 * focal_px(view.width, view.hfov_deg) * radii / pixels[..., 2]

    def _outline(self, occluder: Occluder, view: View) -> np.ndarray | None:
        """The outline of a box in the picture; None where part of it is behind the lens."""
        corners = project(box_corners(occluder), self.mount, view)
        if not (corners[:, 2] > 0.1).all():
            return None
        return np.asarray(cv2.convexHull(corners[:, :2].astype(np.float32)))[:, 0]

    def _cut_out(self, sprite: Sprite, box_xyxy: np.ndarray, number: int) -> Sprite:
        """The photograph of this person in place of the drawing."""
        photograph = self._cut_outs[number % len(self._cut_outs)]
        left, top, right, bottom = box_xyxy
        scale = np.array([(right - left) / photograph.shape[1], (bottom - top) / photograph.shape[0]])
        shift = np.array([left - sprite.left, top - sprite.top])
        matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]], np.float32)
        small = photograph
        if scale.min() < 0.5:
            # Reduced first, so that nothing flickers.
            size = tuple(max(2, round(float(side))) for side in (right - left, bottom - top))
            small = np.asarray(cv2.resize(photograph, size, interpolation=cv2.INTER_AREA), np.uint8)
            matrix[0, 0], matrix[1, 1] = (right - left) / size[0], (bottom - top) / size[1]
        height, width = sprite.opacity.shape
        moved = cv2.warpAffine(small, matrix, (width, height), flags=cv2.INTER_LINEAR)
        bgra = np.asarray(moved, np.uint8)
        colours, opacity = np.ascontiguousarray(bgra[..., :3]), np.ascontiguousarray(bgra[..., 3])
        return Sprite(sprite.left, sprite.top, colours, opacity)

    def _sensor(self, shot: Shot, y: U8, uv: U8) -> None:
        if shot.defocus_px > 0.3:
            cv2.GaussianBlur(y, (0, 0), shot.defocus_px, dst=y)
            cv2.GaussianBlur(uv, (0, 0), max(0.3, shot.defocus_px / 2), dst=uv)
        height, width = y.shape
        if self._noise.shape != (height + 64, width + 64):
            noise = np.random.default_rng(9).normal(3 * NOISE_LEVELS, NOISE_LEVELS, (height + 64, width + 64))
            self._noise = np.clip(noise, 0, 255).astype(np.uint8)
        # The same noise elsewhere each time passes for new.
        down, right = shot.number * 29 % 64, shot.number * 47 % 64
        grain = self._noise[down : down + height, right : right + width]
        cv2.addWeighted(y, 1.0, grain, 1.0, -3 * NOISE_LEVELS, dst=y)


def _hide(opacity: U8, origin: tuple[int, int], outlines_px: list[np.ndarray]) -> None:
    """Cut these outlines out of something whose first pixel lies at `origin`."""
    for outline in outlines_px:
        cv2.fillConvexPoly(opacity, np.round((outline - origin) * 16).astype(np.int32), 0, cv2.LINE_8, 4)


def paste(sprite: Sprite, y: U8, uv: U8) -> None:
    """Lay somebody over a frame."""
    height, width = sprite.opacity.shape
    planar = np.asarray(cv2.cvtColor(sprite.bgr, cv2.COLOR_BGR2YUV_I420), np.uint8)
    opacity = sprite.opacity
    _blend(y[sprite.top : sprite.top + height, sprite.left : sprite.left + width], planar[:height], opacity)
    half = (width // 2, height // 2)
    chroma = np.ascontiguousarray(planar[height:].reshape(2, half[1], half[0]).transpose(1, 2, 0))
    smaller = np.asarray(cv2.resize(opacity, half, interpolation=cv2.INTER_AREA))
    window = uv[sprite.top // 2 : sprite.top // 2 + half[1], sprite.left // 2 : sprite.left // 2 + half[0]]
    _blend(window, chroma, np.repeat(smaller[..., None], 2, axis=2))


def _blend(window: U8, colours: U8, opacity: U8) -> None:
    rows, columns = window.shape[:2]
    colours, opacity = colours[:rows, :columns], opacity[:rows, :columns]
    weight = opacity.astype(np.int16) + (opacity > 127)
    window += (((colours.astype(np.int16) - window) * weight.astype(np.int32)) >> 8).astype(np.uint8)


def _mark(sprite: Sprite, number: int, instances: U8) -> None:
    height, width = sprite.opacity.shape
    window = instances[sprite.top : sprite.top + height, sprite.left : sprite.left + width]
    window[sprite.opacity[: window.shape[0], : window.shape[1]] > 127] = number
