"""A rendered world as a camera: `scene://plaza?camera=1&width=1280&height=720&fps=15`.

Cameras of the same scene on one machine see the same world at the same moment: it is a function of the monotonic
clock. A camera with a head is steered over HTTP (`http=PORT`) like a real one. In `--offline` runs time is the frame
number, and heads stand still. Keys of the URL: docs/scene.md.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from engine.clock import Clock, SystemClock
from engine.errors import SourceError
from engine.sources.base import Picture, Source, SourceOptions
from engine.sources.scene_head import Look, ServedHead, StandingHead
from engine.sources.scene_render import SceneRenderer, Shot
from engine.sources.scene_settings import SceneSettings, settings_of
from engine.sources.scene_truth import TruthSettings, TruthWriter
from engine.types import U8, PtzPose
from ptz.simulator.truth import truth_of
from ptz.simulator.world import World
from ptz.types import View

DEFOCUS_PX = 5.0
"""Blur of a lens fully out of focus, at a width of 1280."""


class SceneSource(Source, schemes=("scene",)):
    """One camera of a rendered world, at its own pace: who comes late misses pictures. Offline every picture comes."""

    live = True

    def __init__(self, options: SourceOptions, clock: Clock | None = None) -> None:
        super().__init__(options)
        self.live = not options.offline
        self.settings: SceneSettings = settings_of(options.url)
        self._clock: Clock = clock or SystemClock()
        self._world = World(self.settings.scene)
        self._renderer: SceneRenderer | None = None
        self._head: StandingHead | ServedHead | None = None
        self._truth: TruthWriter | None = None
        self._masks: U8 = np.zeros((0, 0), np.uint8)
        self._index, self._start_ns = -1, 0
        self._truth_due = self._masks_due = 0
        self._shown: tuple[Picture, Look, float] | None = None

    def open(self) -> None:
        settings = self.settings
        self.fps = settings.fps
        self._renderer = SceneRenderer(self._world, settings.mount, cut_outs_in(settings.people))
        if settings.http and self.live:
            self._head = ServedHead(
                settings.mount, settings.http, settings.user, settings.password, settings.seed
            )
        else:
            self._head = StandingHead(settings.mount)
        if settings.truth:
            targets = settings.scene.target_ids
            self._truth = TruthWriter(
                TruthSettings(
                    Path(settings.truth).expanduser(), settings.name, settings.scene.name, targets,
                    settings.mount.is_ptz, settings.truth_s,
                )
            )  # fmt: skip
        self._index, self._start_ns = -1, self._clock.now_ns()
        self._truth_due = self._masks_due = 0
        served = (
            f", head {settings.mount.profile} at port {settings.http}" if settings.http and self.live else ""
        )
        self.description = (
            f"scene {settings.scene.name}, camera {settings.mount.name}, {settings.width}x{settings.height} "
            f"{settings.fps:g} fps{served}"
        )

    def grab(self) -> Picture | None:
        assert self._head is not None, "grab before open"
        settings = self.settings
        self._next()
        while self._dropped():
            self._next()
        if settings.frames and self._index >= settings.frames:
            return None
        scene_s, asked_s = self._moment()
        look = self._head.look(asked_s)
        size = self._size()
        picture = Picture(
            *size,
            captured_ns=self._clock.now_ns(),
            wall_ns=self._clock.wall_ns(),
            pts_ns=round(self._index * 1e9 / settings.fps),
            pose=PtzPose(look.pose.pan_deg, look.pose.tilt_deg, look.hfov_deg) if settings.poses else None,
        )
        self._shown = picture, look, scene_s
        return picture

    def read_into(self, y: U8, uv: U8) -> None:
        assert self._renderer is not None and self._shown is not None, "read_into before grab"
        picture, look, scene_s = self._shown
        view = View(picture.width, picture.height, look.pose.pan_deg, look.pose.tilt_deg, look.hfov_deg)
        shot = Shot(
            view,
            scene_s,
            self._index,
            look.velocity.pan_deg_s,
            look.velocity.tilt_deg_s,
            self.settings.exposure_ms / 1e3,
            look.blur * DEFOCUS_PX * picture.width / 1280,
        )
        masks = self._masks_of(picture)
        people, seen = self._renderer.draw(shot, y, uv, masks)
        if self._truth is not None and (masks is not None or self._index >= self._truth_due):
            self._truth_due = _next_due(self._index, self.settings.truth_every)
            occluders = self._world.scene.occluders
            exact = truth_of(people, seen, occluders, self.settings.mount, view)
            self._truth.write(self._index, picture, look, exact, masks)

    def close(self) -> None:
        if self._head is not None:
            self._head.close()
        if self._truth is not None:
            self._truth.close()
        self._head = self._truth = self._renderer = None

    def _next(self) -> None:
        self._index += 1
        if self.live:
            self._wait_for_turn()

    def _wait_for_turn(self) -> None:
        period_ns = 1e9 / self.fps
        elapsed_ns = self._clock.now_ns() - self._start_ns
        # What should have been shown meanwhile is gone, as with a camera.
        self._index = max(self._index, int(elapsed_ns / period_ns))
        self._clock.sleep(max(0.0, (self._index * period_ns - elapsed_ns) / 1e9))

    def _moment(self) -> tuple[float, float]:
        """The scene's time that this picture shows, and that moment on the clock of the head."""
        settings = self.settings
        own_s = self._index / settings.fps
        late_s = (settings.latency_ms + self._fault_value("latency", own_s)) / 1e3
        for fault in settings.faults:
            if fault.kind == "freeze" and fault.active(own_s):
                late_s += own_s - fault.start_s
        if not self.live:
            return self._world.scene_time_s(own_s - late_s, -settings.t0), 0.0
        shown_s = self._clock.now_ns() / 1e9 - late_s
        return self._world.scene_time_s(shown_s, settings.t0), shown_s

    def _fault_value(self, kind: str, own_s: float) -> float:
        return sum(
            fault.value for fault in self.settings.faults if fault.kind == kind and fault.active(own_s)
        )

    def _dropped(self) -> bool:
        share = self._fault_value("drops", self._index / self.settings.fps)
        return bool(share) and np.random.default_rng((self.settings.seed, self._index)).random() < share

    def _size(self) -> tuple[int, int]:
        width, height = self.settings.width, self.settings.height
        own_s = self._index / self.settings.fps
        if any(fault.kind == "resolution" and fault.active(own_s) for fault in self.settings.faults):
            return width // 4 * 2, height // 4 * 2
        return width, height

    def _masks_of(self, picture: Picture) -> U8 | None:
        if self._truth is None or not self.settings.masks or self._index < self._masks_due:
            return None
        self._masks_due = _next_due(self._index, self.settings.masks)
        if self._masks.shape != (picture.height, picture.width):
            self._masks = np.zeros((picture.height, picture.width), np.uint8)
        return self._masks


def _next_due(number: int, every: int) -> int:
    """The next whole multiple: pictures that were left out do not put off what is due for ever."""
    return (number // every + 1) * every


def cut_outs_in(folder: str) -> list[U8]:
    """The pictures of people in a folder: PNG with opacity, cut to the person. Empty for no folder.

    Raises `SourceError` where the folder holds none.
    """
    if not folder:
        return []
    pictures = []
    for path in sorted(Path(folder).expanduser().glob("*.png")):
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if picture is not None and picture.ndim == 3 and picture.shape[2] == 4 and picture.dtype == np.uint8:
            pictures.append(np.asarray(picture, np.uint8))
    if not pictures:
        raise SourceError(f"people {folder!r}: no PNG with opacity (8 bits a channel, RGBA) in it")
    return pictures
