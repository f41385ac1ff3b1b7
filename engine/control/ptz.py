"""Heads over HTTP: how they are doing, an operator's hand, presets, whom to follow.

Checks the form of what is asked; the worker, and the camera, check its sense.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.control.commands import CommandFailed, Commands
from engine.control.guard import check_origin, checked_body

WORKER = "ptz"
POLICIES = ("off", "group", "selected", "runner", "zone", "manual", "tour")
ACTIONS = ("goto", "store", "remove")
SPEEDS = {"pan_deg_s": 400.0, "tilt_deg_s": 400.0, "zoom_octaves_s": 10.0}
PLACES = {"pan_deg": (-360.0, 360.0), "tilt_deg": (-90.0, 90.0), "zoom": (1.0, 1000.0)}
LONGEST_TTL_S = 5.0
"""A turn ends by itself after this at the latest: whoever steers by hand says so again and again."""

Answer = Callable[[dict[str, Any], int], Response]
Endpoint = Callable[[Request], Awaitable[Response]]
FieldsOf = Callable[[Mapping[str, Any]], dict[str, Any]]


def ptz_routes(commands: Commands, answer: Answer) -> list[Route]:
    """The routes. `answer` turns a body into a response."""

    async def ask(request: Request, command: str, **fields: Any) -> Response:
        camera = request.path_params["camera"]
        return answer(await commands.ask(WORKER, command, camera=camera, **fields), 200)

    def question(command: str) -> Endpoint:
        async def put(request: Request) -> Response:
            return await ask(request, command)

        return put

    def order(command: str) -> Endpoint:
        async def carry_out(request: Request) -> Response:
            check_origin(request)
            return await ask(request, command)

        return carry_out

    def order_with(command: str, keys: set[str], fields_of: FieldsOf) -> Endpoint:
        async def carry_out(request: Request) -> Response:
            return await ask(request, command, **fields_of(await checked_body(request, keys)))

        return carry_out

    async def move(request: Request) -> Response:
        body = await checked_body(request, {*SPEEDS, *PLACES, "ttl_s"})
        if set(body) & set(PLACES):
            return await ask(request, "ptz-go-to", **place_of(body))
        return await ask(request, "ptz-move", **speeds_of(body))

    preset = order_with("ptz-preset", {*ACTIONS, "name"}, preset_of)
    policy = order_with("ptz-policy", {"policy", "options"}, policy_of)
    select = order_with("ptz-select", {"track_id", "gid", "point"}, choice_of)
    return [
        Route("/ptz/{camera}", question("ptz-state"), methods=["GET"]),
        Route("/ptz/{camera}/move", move, methods=["POST"]),
        Route("/ptz/{camera}/stop", order("ptz-stop"), methods=["POST"]),
        Route("/ptz/{camera}/resume", order("ptz-resume"), methods=["POST"]),
        Route("/ptz/{camera}/presets", question("ptz-presets"), methods=["GET"]),
        Route("/ptz/{camera}/preset", preset, methods=["POST"]),
        Route("/ptz/{camera}/policy", policy, methods=["POST"]),
        Route("/ptz/{camera}/select", select, methods=["POST"]),
    ]


def speeds_of(body: Mapping[str, Any]) -> dict[str, float]:
    """Speeds of a turn by hand, and how long it goes on. Raises `CommandFailed`."""
    speeds = {key: number(body, key, (-most, most), 0.0) for key, most in SPEEDS.items()}
    return {**speeds, "ttl_s": number(body, "ttl_s", (0.05, LONGEST_TTL_S), 0.5)}


def place_of(body: Mapping[str, Any]) -> dict[str, float]:
    """A direction and zoom to go to; what is not given stays as it is. Raises `CommandFailed`."""
    wrong = sorted(set(body) - set(PLACES))
    if wrong:
        raise CommandFailed(
            422, f"either go to a place or turn: {wrong[0]} does not go with {', '.join(PLACES)}"
        )
    return {key: number(body, key, PLACES[key], 0.0) for key in body}


def preset_of(body: Mapping[str, Any]) -> dict[str, str]:
    """What is to be done with which preset. Raises `CommandFailed`."""
    actions = [action for action in ACTIONS if action in body]
    if len(actions) != 1:
        raise CommandFailed(422, f"give one of {', '.join(ACTIONS)} with the preset's number or token")
    preset, name = body[actions[0]], body.get("name", "")
    if isinstance(preset, int) and not isinstance(preset, bool):
        preset = str(preset)
    if not is_text(preset, 64) or not preset:
        raise CommandFailed(422, f"{actions[0]} must be the number or the token of a preset, not {preset!r}")
    if not is_text(name, 64):
        raise CommandFailed(422, "name must be a line of at most 64 characters")
    return {"action": actions[0], "preset": preset, "name": name}


def policy_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """A policy and its options. Raises `CommandFailed`."""
    policy, options = body.get("policy"), body.get("options", {})
    if policy not in POLICIES:
        raise CommandFailed(422, f"policy must be one of {', '.join(POLICIES)}, not {policy!r}")
    if not isinstance(options, dict):
        raise CommandFailed(422, f"options must be an object, not {options!r}")
    return {"policy": policy, "options": options}


def choice_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Whom to follow. Raises `CommandFailed`."""
    if len(body) != 1:
        raise CommandFailed(422, "give one of track_id, gid and point")
    key, value = next(iter(body.items()))
    if key == "point":
        if not (isinstance(value, list) and len(value) == 2 and all(map(is_number, value))):
            raise CommandFailed(422, f"point must be [x, y] in pixels of the source, not {value!r}")
        return {"point": value}
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**63:
        raise CommandFailed(422, f"{key} must be a number above 0, not {value!r}")
    return {key: value}


def number(body: Mapping[str, Any], key: str, bounds: tuple[float, float], default: float) -> float:
    """A number within its bounds. Raises `CommandFailed`."""
    value = body.get(key, default)
    if not is_number(value) or not bounds[0] <= value <= bounds[1]:
        raise CommandFailed(422, f"{key} must be a number from {bounds[0]:g} to {bounds[1]:g}, not {value!r}")
    return float(value)


def is_number(value: object) -> bool:
    """A finite number, and not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_text(value: object, most: int) -> bool:
    """One line of text that is not too long."""
    return isinstance(value, str) and len(value) <= most and (value.isprintable() or not value)
