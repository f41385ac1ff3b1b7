"""`/prompt` and `/mode`: the same as the routes of one camera's segmentation, with the camera in the body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from starlette.responses import Response

from engine.control.answers import ProblemError, json_answer
from engine.control.bodies import must
from engine.control.cameras import CameraName, Engine, ModesChange, ModesDone
from engine.control.commands import CommandFailed, Commands
from engine.control.operations import ASKS_ONE, Answer, Call, Operation
from engine.control.roles import Role
from engine.control.segmentation import WORKER, Prompt, check_camera, prompt_fields


class CameraPrompt(Prompt, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is pointed at before which camera; `remove` needs the object's number, `clear` forgets all objects."""

    camera: CameraName
    action: Literal["add", "remove", "clear"] = "add"


class PromptDone(msgspec.Struct, frozen=True, omit_defaults=True):
    """add: the object's number and the newest frame; remove and clear: the objects that were forgotten."""

    camera: str
    action: Literal["add", "remove", "clear"]
    object: int | None = None
    frame: int | None = None
    removed: Annotated[list[int] | None, must("numbers of objects")] = None


def shortcut_operations(
    commands: Commands, engine: Engine, cameras: Callable[[], list[str]]
) -> list[Operation]:
    """The operations. `cameras` names those of the run."""

    async def prompt(call: Call) -> Response:
        body: CameraPrompt = call.body
        check_camera(body.camera, cameras())
        if body.action != "add":
            return json_answer(PromptDone(body.camera, body.action, removed=await _removed(commands, body)))
        done = await commands.ask(WORKER, "prompt", camera=body.camera, **prompt_fields(body))
        return json_answer({"action": "add", **done})

    async def mode(call: Call) -> Response:
        body: ModesChange = call.body
        known = cameras()
        if body.camera is not None:
            check_camera(body.camera, known)
        names = known if body.camera is None else [body.camera]
        return json_answer({"cameras": await engine.modes(names, body.mode)})

    return [
        Operation(
            method="POST", path="/prompt", name="prompt", tag="segmentation", role=Role.OPERATOR, handler=prompt,
            summary="Point at an object, forget one, or forget all of a camera", body=CameraPrompt,
            answers={200: Answer("done", PromptDone)}, problems=ASKS_ONE,
        ),
        Operation(
            method="POST", path="/mode", name="set_mode", tag="segmentation", role=Role.OPERATOR, handler=mode,
            summary="Mode of segmentation of one camera, or of all or none", body=ModesChange,
            answers={200: Answer("the modes that they have now", ModesDone)}, problems=ASKS_ONE,
        ),
    ]  # fmt: skip


async def _removed(commands: Commands, body: CameraPrompt) -> list[int]:
    """Forget one object, or all; one that has left meanwhile is gone, too. Raises `CommandFailed`."""
    given: dict[str, Any] = {"points": body.points, "box": body.box, "mask": body.mask, "frame": body.frame}
    wrong = [key for key, value in given.items() if value is not None]
    if wrong:
        detail = f"{wrong[0]} does not go with {body.action}"
        raise CommandFailed(422, detail, [ProblemError(detail, pointer=f"#/{wrong[0]}")])
    if body.action == "remove":
        if body.object is None:
            detail = "object is missing: which object is to be removed"
            raise CommandFailed(422, detail, [ProblemError(detail, pointer="#/object")])
        await commands.ask(WORKER, "remove-object", camera=body.camera, object=body.object)
        return [body.object]
    if body.object is not None:
        detail = "object does not go with clear, which forgets all"
        raise CommandFailed(422, detail, [ProblemError(detail, pointer="#/object")])
    removed = []
    for object_id in (await commands.ask(WORKER, "segment-state", camera=body.camera))["object_ids"]:
        try:
            await commands.ask(WORKER, "remove-object", camera=body.camera, object=object_id)
        except CommandFailed as error:
            if error.status != 404:
                raise
        removed.append(object_id)
    return removed
