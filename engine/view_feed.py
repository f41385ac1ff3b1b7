"""Where the viewer's pictures come from and its requests go to: a run of its own, or one that goes on elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.api import Engine, Result
from engine.outputs.overlay import OverlayMemory, draw_result, style_for
from engine.types import FrameNv12


@dataclass(frozen=True, slots=True)
class Picture:
    """What is shown: already drawn on, in memory of the viewer's own or of the frame itself."""

    camera: str
    frame_number: int
    planes: FrameNv12


class PictureFeed(ABC):
    """Pictures of cameras, and requests about them. Requests may take seconds and are made in a thread of their own."""

    styles: tuple[str, ...]
    """Ways in which pictures can be drawn on, the usual one first."""
    modes: tuple[str, ...] = ("off", "boxes", "track", "prompt", "auto")

    @abstractmethod
    def cameras(self) -> list[str]:
        """Names of the cameras there are now."""

    @abstractmethod
    def next(self, camera: str, style: str, timeout_s: float) -> Picture | None:
        """The camera's newest picture if there is one that was not shown yet. Raises an `EngineError`."""

    @abstractmethod
    def redraw(self, style: str) -> Picture | None:
        """The last picture in another style, None where that is gone."""

    @abstractmethod
    def over(self) -> bool:
        """Whether no picture is to come any more."""

    def trouble(self) -> str:
        """Why there is no picture, "" where one is just not there yet."""
        return ""

    @abstractmethod
    def has_head(self, camera: str) -> bool:
        """Whether the camera has a head that can follow somebody."""

    @abstractmethod
    def prompt(self, camera: str, frame: int, **what: Any) -> int:
        """Point at an object (`points` or `box`, in pixels; `object_id` to correct one); its number.

        Raises an `EngineError`.
        """

    @abstractmethod
    def forget(self, camera: str, object_id: int) -> None:
        """Forget an object. Raises an `EngineError`."""

    @abstractmethod
    def set_mode(self, camera: str, mode: str) -> None:
        """What is segmented. Raises an `EngineError`."""

    @abstractmethod
    def follow(self, camera: str, point: tuple[float, float]) -> None:
        """Have the head follow who is here. Raises an `EngineError`."""


class RunFeed(PictureFeed):
    """Pictures of a run in this process, by the Python API: drawn on in a copy; plain ones are the frame itself.

    last  the newest result
    """

    def __init__(self, engine: Engine, styles: tuple[str, ...]) -> None:
        self.styles = styles
        self._engine = engine
        self._memories: dict[str, OverlayMemory] = {}
        self._own: FrameNv12 | None = None
        self.last: Result | None = None

    def cameras(self) -> list[str]:
        return self._engine.cameras

    def next(self, camera: str, style: str, timeout_s: float) -> Picture | None:
        result = self._engine.poll([camera], timeout_s=timeout_s, newest=True)
        if result is None:
            return None
        self._memories.setdefault(camera, OverlayMemory()).take(result.raw)
        self.last = result
        return self._drawn(result, style)

    def redraw(self, style: str) -> Picture | None:
        return None if self.last is None else self._drawn(self.last, style)

    def _drawn(self, result: Result, style: str) -> Picture | None:
        frame = result.frame
        if frame is None or frame.released:
            return None
        planes = frame.nv12
        if style != "none":
            planes = self._copy(planes)
            fitting = style_for(result.height, frame.meta.matrix, frame.meta.full_range, style)
            draw_result(planes.y, planes.uv, result.raw, fitting, self._memories[result.camera])
        return Picture(result.camera, result.frame_number, planes)

    def _copy(self, planes: FrameNv12) -> FrameNv12:
        own = self._own
        if own is None or own.y.shape != planes.y.shape:
            own = replace(planes, y=np.empty_like(planes.y), uv=np.empty_like(planes.uv), surface=None)
        np.copyto(own.y, planes.y)
        np.copyto(own.uv, planes.uv)
        self._own = replace(own, meta=planes.meta)
        return self._own

    def over(self) -> bool:
        return self._engine.over

    def has_head(self, camera: str) -> bool:
        return self._engine.has_head(camera)

    def prompt(self, camera: str, frame: int, **what: Any) -> int:
        return self._engine.prompt(camera, frame=frame, **what)

    def forget(self, camera: str, object_id: int) -> None:
        self._engine.forget(camera, object_id)

    def set_mode(self, camera: str, mode: str) -> None:
        self._engine.set_mode(camera, mode)

    def follow(self, camera: str, point: tuple[float, float]) -> None:
        self._engine.follow(camera, point=point)
