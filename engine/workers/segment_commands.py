"""Commands to the segmentation worker: a camera's mode, prompts, removals, and how things stand.

Each is answered once. What cannot be done changes nothing and says why in one line. A mode that needs the segmenter is
answered when that is loaded, or soon after it was asked for, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import topology
from engine.errors import EngineError, ModelError, PromptError
from engine.outputs.masks import from_coco_rle
from engine.types import Prompt
from engine.workers.runtime import Context
from engine.workers.segment_camera import Camera, set_mode
from engine.workers.segment_lane import SegmentLane
from ipc.channel import Message

LOADING_PATIENCE_S = 4.0
"""A mode is set without waiting any longer for its segmenter; who asks waits five seconds."""


@dataclass(slots=True)
class _Waiting:
    """A mode that waits for its segmenter."""

    command: Message
    until_ns: int


class Refused(EngineError):
    """A command that is not carried out; `failure` says what kind of reason it is."""

    def __init__(self, text: str, failure: str) -> None:
        super().__init__(text)
        self.failure = failure


class Commands:
    """Takes commands as they come. Belongs to the main thread."""

    def __init__(self, context: Context, cameras: Mapping[str, Camera], lane: SegmentLane) -> None:
        self._context = context
        self._cameras = cameras
        self._lane = lane
        self._waiting: list[_Waiting] = []

    def handle(self) -> None:
        """Carry out and answer what has come, and what has waited for long enough."""
        for command in self._context.commands():
            self._answer(command)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            self._look_again(each)

    def _answer(self, command: Message) -> None:
        try:
            result = self._carry_out(command)
        except Refused as error:
            self._context.answer(command, error=str(error), failure=error.failure)
        except ModelError as error:
            self._context.answer(command, error=str(error), failure="unavailable")
        except PromptError as error:
            self._context.answer(command, error=str(error))
        else:
            if result is not None:
                # A successor has to know of it, however soon this process dies.
                self._context.publish_status()
                self._context.answer(command, result)

    def _carry_out(self, command: Message) -> dict[str, Any] | None:
        """The answer; None where it has to wait."""
        camera = self._cameras.get(command.get("camera", ""))
        if camera is None:
            raise Refused(f"no camera {command.get('camera')!r}", "not-found")
        kind, now_s = command["command"], self._context.clock.now_ns() / 1e9
        if kind == "segment-state":
            return self._state(camera)
        if kind == "segment-mode":
            return self._set_mode(camera, command)
        if kind == "prompt":
            return self._prompt(camera, command, now_s)
        if kind == "protect-object":
            self._check_known(camera, command["object"])
            camera.objects.protect(command["object"], now_s, protected=command["protected"])
            return {key: command[key] for key in ("camera", "object", "protected")}
        if kind == "remove-object":
            self._check_known(camera, command["object"])
            camera.objects.remove(command["object"], now_s)
            return {"camera": camera.name, "object": command["object"]}
        raise Refused(f"unknown command {kind!r}", "invalid")

    def _state(self, camera: Camera) -> dict[str, Any]:
        budget = self._context.status.get("segmentation", {}).get("budget", {})
        return {
            "camera": camera.name,
            "model": self._lane.description,
            "loading": self._lane.loading,
            "problem": self._lane.problem,
            **camera.objects.to_dict(),
            "object_ids": list(camera.objects.object_ids()),
            "budget": budget,
            "events": [event.to_dict() for event in camera.events],
            "event_counts": dict(camera.event_counts),
        }

    def _set_mode(self, camera: Camera, command: Message) -> dict[str, Any] | None:
        mode = command["mode"]
        if not topology.needs_segmenter(self._context.config, mode) or self._lane.loaded:
            return self._switch(camera, mode)
        self._lane.check()
        self._lane.want()
        if not self._lane.loading:
            raise Refused(
                self._lane.problem or "the segmenter cannot be loaded now; try again", "unavailable"
            )
        until_ns = self._context.clock.now_ns() + round(LOADING_PATIENCE_S * 1e9)
        self._waiting.append(_Waiting(command, until_ns))
        return None

    def _look_again(self, waiting: _Waiting) -> None:
        """A mode whose segmenter was being loaded when it was asked for."""
        command, lane = waiting.command, self._lane
        if lane.loading and self._context.clock.now_ns() < waiting.until_ns:
            self._waiting.append(waiting)
            return
        if lane.problem and not lane.loading:
            self._context.answer(command, error=lane.problem, failure="unavailable")
            return
        camera = self._cameras.get(command["camera"])
        if camera is None:
            error = f"camera {command['camera']!r} has been removed meanwhile"
            self._context.answer(command, error=error, failure="not-found")
            return
        result = self._switch(camera, command["mode"])
        self._context.publish_status()
        self._context.answer(command, result)

    def _switch(self, camera: Camera, mode: str) -> dict[str, Any]:
        before = camera.objects.mode
        set_mode(camera, mode, self._context.clock.now_ns() / 1e9)
        return {"camera": camera.name, "mode": mode, "before": before, "loading": self._lane.loading}

    def _prompt(self, camera: Camera, command: Message, now_s: float) -> dict[str, Any]:
        meta = camera.last_picture
        if camera.objects.mode not in ("track", "prompt", "auto"):
            raise Refused(
                f"mode of {camera.name} is {camera.objects.mode!r}: prompts need 'prompt', 'track' or 'auto'",
                "conflict",
            )
        if meta is None:
            raise Refused(f"no picture of {camera.name} has come yet; try again when it has", "unavailable")
        if command["object"] is not None:
            self._check_known(camera, command["object"])
        prompt = prompt_of(command, (meta.width, meta.height))
        looked_at = seq_of_frame(camera, command.get("frame"))
        object_id = camera.objects.prompt(prompt, command["object"], looked_at, now_s)
        if not self._context.config.offline:
            self._lane.interrupt()
        return {"camera": camera.name, "object": object_id, "frame": meta.index}

    def _check_known(self, camera: Camera, object_id: int) -> None:
        known = {*camera.shown_ids, *camera.objects.object_ids()}
        if object_id not in known:
            those = ", ".join(map(str, sorted(known)[:8])) or "none at present"
            raise Refused(
                f"no object {object_id} on {camera.name}: it has left or never was; there are: {those}",
                "not-found",
            )


def seq_of_frame(camera: Camera, index: int | None) -> int | None:
    """The place in its pool of the frame with this number, or of the one shown before it; None for the newest.

    Of frames that are no longer remembered: the oldest that is.
    """
    if index is None or not camera.recent:
        return None
    return next((seq for number, seq in reversed(camera.recent) if number <= index), camera.recent[0][1])


def prompt_of(command: Mapping[str, Any], size_wh: tuple[int, int]) -> Prompt:
    """The prompt in a command, on a picture of this size. Raises `PromptError`."""
    points = np.array(command["points"], np.float32).reshape(-1, 3)
    box, mask = command["box"], command["mask"]
    try:
        return Prompt(
            points_xy=np.ascontiguousarray(points[:, :2]),
            labels=points[:, 2].astype(np.int32),
            box_xyxy=None if box is None else np.array(box, np.float32),
            mask_hw=None if mask is None else from_coco_rle(mask, *size_wh),
        )
    except ValueError as error:
        raise PromptError(f"prompt: {error}") from error
