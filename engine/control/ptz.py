"""Heads over HTTP: how they are doing, an operator's hand, presets, whom to follow.

Checks the form of what is asked; the worker, and the camera, check its sense.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import msgspec
from starlette.responses import Response

from engine.control.answers import ProblemError, json_answer
from engine.control.bodies import must
from engine.control.commands import CommandFailed, Commands
from engine.control.operations import ASKS_ONE, Answer, Call, Handler, Operation
from engine.control.roles import Role
from engine.control.routing import LARGEST_NUMBER
from engine.control.status import PtzStatus

WORKER = "ptz"
SPEEDS = ("pan_deg_s", "tilt_deg_s", "zoom_octaves_s")
PLACES = ("pan_deg", "tilt_deg", "zoom")
ACTIONS = ("goto", "store", "remove")
LONGEST_TTL_S = 5.0
"""A turn ends by itself after this at the latest: whoever steers by hand says so again and again."""
Policy = Literal["off", "group", "selected", "runner", "zone", "manual", "tour"]
POLICIES: tuple[str, ...] = get_args(Policy)
NOT_CONTROL = r"^[^\x00-\x1f\x7f-\x9f]*\Z"


def _from(least: float, most: float, what: str) -> msgspec.Meta:
    return must(f"a number from {least:g} to {most:g}: {what}", ge=least, le=most)


Number = Annotated[int, must("a number above 0", ge=1, le=LARGEST_NUMBER)]
PresetToken = (
    Annotated[
        str, must("the number or the token of a preset", min_length=1, max_length=64, pattern=NOT_CONTROL)
    ]
    | Annotated[int, msgspec.Meta(ge=0, le=LARGEST_NUMBER)]
)


class Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Either a turn (speeds, and how long it goes on by itself) or a place to go to; what is not given of it stays."""

    pan_deg_s: Annotated[float, _from(-400, 400, "degrees a second, to the right")] | None = None
    tilt_deg_s: Annotated[float, _from(-400, 400, "degrees a second, upwards")] | None = None
    zoom_octaves_s: Annotated[float, _from(-10, 10, "doublings of the zoom a second")] | None = None
    ttl_s: Annotated[float, _from(0.05, LONGEST_TTL_S, "seconds until it stops by itself")] | None = None
    pan_deg: Annotated[float, _from(-360, 360, "azimuth in degrees")] | None = None
    tilt_deg: Annotated[float, _from(-90, 90, "elevation in degrees")] | None = None
    zoom: Annotated[float, _from(1, 1000, "zoom ratio")] | None = None


class PresetChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of goto, store and remove, with the preset's number or token."""

    goto: PresetToken | None = None
    store: PresetToken | None = None
    remove: PresetToken | None = None
    name: Annotated[str, must("a line of at most 64 characters", max_length=64, pattern=NOT_CONTROL)] = ""


class PolicyChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom the head follows, and the options of that policy."""

    policy: Policy
    options: dict[str, Any] = {}


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of track_id, gid and point: whom to follow."""

    track_id: Number | None = None
    gid: Number | None = None
    point: Annotated[tuple[float, float], must("[x, y] in pixels of the source")] | None = None


class Preset(msgspec.Struct, frozen=True):
    """A stored place; `pose` where the camera tells it."""

    preset: str
    name: str
    pose: dict[str, float] | None = None


class Presets(msgspec.Struct, frozen=True):
    """The places that a camera has stored."""

    presets: list[Preset]


class PresetDone(msgspec.Struct, frozen=True):
    """What was done with which preset."""

    action: Literal["goto", "store", "remove"]
    preset: str


def ptz_operations(commands: Commands) -> list[Operation]:
    """The operations."""

    async def ask(call: Call, command: str, **fields: Any) -> Response:
        return json_answer(await commands.ask(WORKER, command, camera=call.camera, **fields))

    def plain(command: str) -> Handler:
        async def carry_out(call: Call) -> Response:
            return await ask(call, command)

        return carry_out

    async def move(call: Call) -> Response:
        command, fields = movement_of(call.body)
        return await ask(call, command, **fields)

    async def preset(call: Call) -> Response:
        return await ask(call, "ptz-preset", **preset_of(call.body))

    async def policy(call: Call) -> Response:
        body: PolicyChange = call.body
        return await ask(call, "ptz-policy", policy=body.policy, options=body.options)

    async def select(call: Call) -> Response:
        return await ask(call, "ptz-select", **choice_of(call.body))

    def row(method: str, path: str, name: str, summary: str, handler: Handler, **more: Any) -> Operation:
        role = Role.VIEWER if method == "GET" else Role.OPERATOR
        answers = {200: Answer("how the head is doing", more.pop("content", PtzStatus))}
        return Operation(
            method=method, path="/ptz/{camera}" + path, name=name, tag="ptz", summary=summary, role=role,
            handler=handler, answers=answers, problems=ASKS_ONE, **more,
        )  # fmt: skip

    return [
        row("GET", "", "ptz_state", "How a head is doing, whom it follows and why", plain("ptz-state")),
        row("POST", "/move", "ptz_move", "Turn it, or send it to a place: an operator's hand wins", move, body=Move),
        row("POST", "/stop", "ptz_stop", "Stop, and stay so", plain("ptz-stop")),
        row("POST", "/resume", "ptz_resume", "Follow again now", plain("ptz-resume")),
        row("GET", "/presets", "ptz_presets", "The stored places", plain("ptz-presets"), content=Presets),
        row(
            "POST", "/preset", "ptz_preset", "Go to a stored place, store one, or remove one", preset,
            body=PresetChange, content=PresetDone,
        ),
        row("POST", "/policy", "ptz_policy", "Whom it follows of itself", policy, body=PolicyChange),
        row("POST", "/select", "ptz_select", "Follow this one", select, body=Choice),
    ]  # fmt: skip


def movement_of(body: Move) -> tuple[str, dict[str, float]]:
    """The command of a movement, and its fields. Raises `CommandFailed`."""
    given = given_of(body)
    wrong = sorted(set(given) - set(PLACES))
    if set(given) & set(PLACES):
        if wrong:
            raise _only_one(
                f"either go to a place or turn: {wrong[0]} does not go with {', '.join(PLACES)}", wrong
            )
        return "ptz-go-to", given
    return "ptz-move", {**dict.fromkeys(SPEEDS, 0.0), "ttl_s": 0.5, **given}


def preset_of(body: PresetChange) -> dict[str, str]:
    """What is to be done with which preset. Raises `CommandFailed`."""
    given = given_of(body)
    actions = [action for action in ACTIONS if action in given]
    if len(actions) != 1:
        raise _only_one(f"give one of {', '.join(ACTIONS)} with the preset's number or token", actions)
    return {"action": actions[0], "preset": str(given[actions[0]]), "name": body.name}


def choice_of(body: Choice) -> dict[str, Any]:
    """Whom to follow. Raises `CommandFailed`."""
    given = given_of(body)
    if len(given) != 1:
        raise _only_one("give one of track_id, gid and point", list(given))
    return {key: list(value) if key == "point" else value for key, value in given.items()}


def given_of(body: msgspec.Struct) -> dict[str, Any]:
    """What a body says; null is as if it were not there."""
    values = {name: getattr(body, name) for name in body.__struct_fields__}
    return {name: value for name, value in values.items() if value is not None}


def _only_one(detail: str, keys: list[str]) -> CommandFailed:
    return CommandFailed(422, detail, [ProblemError(detail, pointer=f"#/{key}") for key in keys])
