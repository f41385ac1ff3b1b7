"""Segmentation over HTTP: modes, prompts, objects. Checks the form of what is asked; the worker checks its sense."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, Literal, get_args

import msgspec
from starlette.responses import Response

from engine.control.answers import ProblemError, json_answer
from engine.control.bodies import must
from engine.control.commands import CommandFailed, Commands
from engine.control.operations import ASKS_ONE, Answer, Call, Operation
from engine.control.roles import Role
from engine.control.routing import LARGEST_NUMBER

WORKER = "segment"
MOST_POINTS = 64
LONGEST_SIDE = 1 << 16
Mode = Literal["off", "boxes", "track", "prompt", "auto"]
MODES: tuple[str, ...] = get_args(Mode)

PointLabel = tuple[float, float, Literal[0, 1]]
Number = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_NUMBER)]
Side = Annotated[int, msgspec.Meta(ge=1, le=LONGEST_SIDE)]


class RunLengths(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mask as COCO run lengths (compressed)."""

    size: tuple[Side, Side]
    counts: str


class ModeChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is segmented."""

    mode: Mode


class Protection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether an object is refreshed before others and never given up for them."""

    protected: bool


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is pointed at, in pixels of the source: points, a box or a mask."""

    points: (
        Annotated[
            list[PointLabel],
            must(
                f"a list of 1 to {MOST_POINTS} [x, y, label], label 1 = on the object, 0 = not",
                min_length=1,
                max_length=MOST_POINTS,
            ),
        ]
        | None
    ) = None
    box: Annotated[
        tuple[float, float, float, float] | None, must("[left, top, right, bottom] in pixels of the source")
    ] = None
    mask: Annotated[
        RunLengths | None, must('COCO run lengths: {"size": [height, width], "counts": text}')
    ] = None
    object: Annotated[Number | None, must("the number of an object to correct")] = None
    frame: Annotated[Number | None, must("the number of the frame that was looked at")] = None


class ModeDone(msgspec.Struct, frozen=True):
    """The mode now and before; `loading` while the segmenter for it is."""

    camera: str
    mode: Mode
    before: Mode
    loading: bool


class Prompted(msgspec.Struct, frozen=True):
    """The number of the object that was pointed at, and the frame that is newest."""

    camera: str
    object: int
    frame: int


class ObjectDone(msgspec.Struct, frozen=True, omit_defaults=True):
    """The object that was spoken of."""

    camera: str
    object: int
    protected: bool | None = None


def segmentation_operations(commands: Commands, cameras: Callable[[], list[str]]) -> list[Operation]:
    """The operations. `cameras` names those of the run."""

    async def ask(call: Call, command: str, status: int = 200, **fields: Any) -> Response:
        check_camera(call.camera, cameras())
        return json_answer(await commands.ask(WORKER, command, camera=call.camera, **fields), status)

    async def state(call: Call) -> Response:
        return await ask(call, "segment-state")

    async def set_mode(call: Call) -> Response:
        return await ask(call, "segment-mode", mode=call.body.mode)

    async def prompt(call: Call) -> Response:
        return await ask(call, "prompt", 201, **prompt_fields(call.body))

    async def protect(call: Call) -> Response:
        return await ask(
            call, "protect-object", object=call.number("object_id"), protected=call.body.protected
        )

    async def remove(call: Call) -> Response:
        return await ask(call, "remove-object", object=call.number("object_id"))

    segmentation, one = "/cameras/{camera}/segmentation", "/cameras/{camera}/objects/{object_id:int}"
    common: dict[str, Any] = {"tag": "segmentation", "problems": ASKS_ONE}
    return [
        Operation(
            method="GET", path=segmentation, name="segmentation_state", role=Role.VIEWER, handler=state,
            summary="Mode, objects and newest events of a camera's segmentation", **common,
        ),
        Operation(
            method="PUT", path=segmentation, name="set_segmentation_mode", role=Role.OPERATOR, handler=set_mode,
            summary="Switch the mode of a camera", body=ModeChange,
            answers={200: Answer("the mode that it has now", ModeDone)}, **common,
        ),
        Operation(
            method="POST", path="/cameras/{camera}/prompts", name="prompt_camera", role=Role.OPERATOR, handler=prompt,
            summary="Point at an object: it is segmented and followed from now on", body=Prompt,
            answers={201: Answer("the number of the object", Prompted)}, **common,
        ),
        Operation(
            method="PUT", path=one, name="protect_object", role=Role.OPERATOR, handler=protect, body=Protection,
            summary="Refresh an object before others, and never give it up for them",
            answers={200: Answer("done", ObjectDone)}, **common,
        ),
        Operation(
            method="DELETE", path=one, name="remove_object", role=Role.OPERATOR, handler=remove,
            summary="Forget an object", answers={200: Answer("done", ObjectDone)}, **common,
        ),
    ]  # fmt: skip


def check_camera(name: str, known: list[str]) -> None:
    """Raise `CommandFailed` for a camera that the run has not."""
    if name not in known:
        raise CommandFailed(HTTPStatus.NOT_FOUND, f"no camera {name!r}; there are: {', '.join(known)}")


def prompt_fields(body: Prompt) -> dict[str, Any]:
    """points, box, mask, object and frame of a prompt. Raises `CommandFailed` where it points at nothing."""
    if body.points is None and body.box is None and body.mask is None:
        detail = "a prompt needs points, a box or a mask"
        raise CommandFailed(422, detail, [ProblemError(detail, pointer="#")])
    return {
        "points": [list(point) for point in body.points or ()],
        "box": None if body.box is None else list(body.box),
        "mask": None if body.mask is None else msgspec.to_builtins(body.mask),
        "object": body.object,
        "frame": body.frame,
    }
