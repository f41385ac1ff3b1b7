"""Cameras over HTTP: which there are, adding, changing, removing, starting and stopping them while the run goes on.

The supervisor does it, all or nothing, and says no in words; here the form of what is asked is checked.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType
from starlette.responses import Response

from engine.control.answers import json_answer
from engine.control.bodies import must
from engine.control.commands import CommandFailed, Commands
from engine.control.masking import masked
from engine.control.operations import ASKS, ASKS_ONE, Answer, Call, Operation
from engine.control.ptz import NOT_CONTROL
from engine.control.roles import Role
from engine.control.segmentation import WORKER as SEGMENT
from engine.control.segmentation import Mode, ModeDone, check_camera

WORKER = "engine"
PATIENCE_S = 15.0
"""Adding, changing and removing cameras waits for their workers."""
MOST_REGIONS = 64
MOST_POINTS = 100

CameraName = Annotated[
    str, must("a line of 1 to 100 characters", min_length=1, max_length=100, pattern=NOT_CONTROL)
]
Source = Annotated[
    str,
    must(
        "a URL, a path or the number of a webcam, at most 2000 characters",
        min_length=1,
        max_length=2000,
        pattern=NOT_CONTROL,
    ),
]
Rate = Annotated[
    float, must("a number from 0 to 1000, frames a second; 0 = as fast as it goes", ge=0, le=1000)
]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
RegionName = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=NOT_CONTROL)]


class Zone(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of the picture, in shares of its width and height."""

    name: RegionName
    polygon: Annotated[list[tuple[Share, Share]], msgspec.Meta(min_length=3, max_length=MOST_POINTS)]
    classes: list[str] = []
    dwell_s: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 0.0


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A line across which objects are counted, in shares of the picture's width and height."""

    name: RegionName
    points: Annotated[list[tuple[Share, Share]], msgspec.Meta(min_length=2, max_length=MOST_POINTS)]
    classes: list[str] = []


class CameraChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be different; the keys of a `[[camera]]` table. What is not named stays."""

    source: Source | UnsetType = UNSET
    loop: bool | UnsetType = UNSET
    rtsp_transport: Literal["tcp", "udp"] | UnsetType = UNSET
    infer_fps: Rate | UnsetType = UNSET
    segment: Literal["", "off", "boxes", "track", "prompt", "auto"] | UnsetType = UNSET
    poses: (
        Annotated[str, must("a path, or off", min_length=1, max_length=2000, pattern=NOT_CONTROL)] | UnsetType
    ) = UNSET
    zone: Annotated[list[Zone], must("a list of zones", max_length=MOST_REGIONS)] | UnsetType = UNSET
    line: Annotated[list[Line], must("a list of lines", max_length=MOST_REGIONS)] | UnsetType = UNSET
    ptz: Annotated[dict[str, Any] | None, must("the keys of a [camera.ptz] table, or null")] | UnsetType = (
        UNSET
    )


class NewCamera(CameraChange, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One camera, in the keys of a `[[camera]]` table."""

    name: CameraName
    source: Source


class Which(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which cameras; null = all."""

    cameras: (
        Annotated[list[CameraName], must("a list of names of cameras, or null for all", max_length=1000)]
        | None
    ) = None


class RateChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Target rate of inference, of one camera or (null) all."""

    fps: Rate
    camera: Annotated[CameraName | None, must("the name of a camera, or null for all")] = None


class ModesChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Mode of segmentation, of one camera or (null) all."""

    mode: Mode
    camera: Annotated[CameraName | None, must("the name of a camera, or null for all")] = None


class CameraEntry(msgspec.Struct, frozen=True):
    """One camera of the run: its source without credentials, what it does, its `[[camera]]` table."""

    name: str
    source: str
    state: str
    settings: dict[str, Any]


class CameraList(msgspec.Struct, frozen=True):
    """Cameras of the run."""

    cameras: list[CameraEntry]


class OneCamera(msgspec.Struct, frozen=True):
    """A camera as it is now."""

    camera: CameraEntry


class CameraRemoved(msgspec.Struct, frozen=True):
    """A camera that is no more."""

    camera: str
    removed: bool


class ModesDone(msgspec.Struct, frozen=True):
    """What was switched, camera by camera."""

    cameras: list[ModeDone]


class Engine:
    """What the supervisor, and the segmenter for all cameras, can be asked."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def _ask(self, command: str, **fields: Any) -> dict[str, Any]:
        answer: dict[str, Any] = masked(
            await self._commands.ask(WORKER, command, timeout_s=PATIENCE_S, **fields)
        )
        return answer

    async def cameras(self, call: Call) -> Response:
        """All of them."""
        return json_answer(await self._ask("engine-cameras"))

    async def camera(self, call: Call) -> Response:
        """One of them."""
        entries = {entry["name"]: entry for entry in (await self._ask("engine-cameras"))["cameras"]}
        check_camera(call.camera, list(entries))
        return json_answer({"camera": entries[call.camera]})

    async def add(self, call: Call) -> Response:
        """Another one."""
        camera = msgspec.to_builtins(call.body)
        answer = await self._ask("engine-add", camera=camera)
        return json_answer(answer, 201, {"Location": f"/cameras/{quote(call.body.name, safe='')}"})

    async def change(self, call: Call) -> Response:
        """One of them, differently."""
        changes = msgspec.to_builtins(call.body)
        return json_answer(await self._ask("engine-change", camera=call.camera, changes=changes))

    async def remove(self, call: Call) -> Response:
        """One of them, no more."""
        return json_answer(await self._ask("engine-remove", camera=call.camera))

    async def start(self, call: Call) -> Response:
        """Those that are stopped."""
        return json_answer(await self._ask("engine-start", cameras=call.body.cameras))

    async def stop(self, call: Call) -> Response:
        """Those that run."""
        return json_answer(await self._ask("engine-stop", cameras=call.body.cameras))

    async def fps(self, call: Call) -> Response:
        """A target rate."""
        changes = {"infer_fps": call.body.fps}
        answer = await self._ask("engine-change", camera=call.body.camera, changes=changes)
        return json_answer(answer if "cameras" in answer else {"cameras": [answer["camera"]]})

    async def config(self, call: Call) -> Response:
        """The configuration in effect."""
        return json_answer(await self._ask("engine-config"))

    async def modes(self, names: list[str], mode: str) -> list[dict[str, Any]]:
        """Switch the mode of all these cameras, or, where one cannot be, of none. Raises `CommandFailed`."""
        done: list[dict[str, Any]] = []
        for name in names:
            try:
                done.append(await self._commands.ask(SEGMENT, "segment-mode", camera=name, mode=mode))
            except CommandFailed:
                for each in reversed(done):
                    await self._commands.ask(
                        SEGMENT, "segment-mode", camera=each["camera"], mode=each["before"]
                    )
                raise
        return done


def camera_operations(engine: Engine) -> list[Operation]:
    """The operations on cameras and on the run."""
    one = "/cameras/{camera}"
    common: dict[str, Any] = {"tag": "cameras", "role": Role.ADMIN}
    entry, entries = (
        Answer("the camera as it is now", OneCamera),
        Answer("the cameras as they are now", CameraList),
    )
    which: dict[str, Any] = {
        "tag": "run", "role": Role.OPERATOR, "body": Which, "optional_body": True, "problems": ASKS_ONE,
        "answers": {200: entries},
    }  # fmt: skip
    return [
        Operation(
            method="GET", path="/cameras", name="list_cameras", tag="cameras", role=Role.VIEWER,
            summary="The cameras of the run: state and settings", handler=engine.cameras,
            answers={200: Answer("all cameras", CameraList)}, problems=ASKS,
        ),
        Operation(
            method="POST", path="/cameras", name="add_camera", summary="Add a camera; the others never blink",
            handler=engine.add, body=NewCamera, problems=ASKS, **common,
            answers={201: Answer("the camera was added", OneCamera, {"Location": "its own address"})},
        ),
        Operation(
            method="GET", path=one, name="show_camera", tag="cameras", role=Role.VIEWER,
            summary="One camera: state and settings", handler=engine.camera, answers={200: entry},
            problems=ASKS_ONE,
        ),
        Operation(
            method="PATCH", path=one, name="change_camera", handler=engine.change, body=CameraChange,
            summary="Change a camera's settings; on failure everything is as before",
            answers={200: entry}, problems=ASKS_ONE, **common,
        ),
        Operation(
            method="DELETE", path=one, name="remove_camera", handler=engine.remove, summary="Remove a camera",
            answers={200: Answer("the camera was removed", CameraRemoved)}, problems=ASKS_ONE, **common,
        ),
        Operation(
            method="POST", path="/start", name="start_cameras", summary="Start cameras that are stopped",
            handler=engine.start, **which,
        ),
        Operation(
            method="POST", path="/stop", name="stop_cameras", handler=engine.stop,
            summary="Stop cameras: their sources are let go, everything else stays", **which,
        ),
        Operation(
            method="POST", path="/fps", name="set_fps", tag="run", role=Role.OPERATOR, handler=engine.fps,
            summary="Target rate of inference of one camera or of all", body=RateChange,
            answers={200: entries}, problems=ASKS_ONE,
        ),
        Operation(
            method="GET", path="/config", name="show_config", tag="run", role=Role.ADMIN, handler=engine.config,
            summary="The configuration in effect; secrets as references, never themselves",
            answers={200: Answer("every section and setting", dict[str, Any])}, problems=ASKS,
        ),
    ]  # fmt: skip
