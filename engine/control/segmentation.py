"""Segmentation over HTTP: modes, prompts, objects. Checks the form of what is asked; the worker checks its sense."""

from __future__ import annotations

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.control.commands import CommandFailed, Commands
from engine.control.guard import check_origin, checked_body

WORKER = "segment"
MODES = ("off", "boxes", "track", "prompt", "auto")
MOST_POINTS = 64

Answer = Callable[[dict[str, Any], int], Response]


def segmentation_routes(commands: Commands, cameras: Callable[[], list[str]], answer: Answer) -> list[Route]:
    """The routes. `cameras` names those of the run, `answer` turns a body into a response."""

    def camera_of(request: Request) -> str:
        name: str = request.path_params["camera"]
        known = cameras()
        if name not in known:
            raise CommandFailed(HTTPStatus.NOT_FOUND, f"no camera {name!r}; there are: {', '.join(known)}")
        return name

    async def state(request: Request) -> Response:
        return answer(await commands.ask(WORKER, "segment-state", camera=camera_of(request)), 200)

    async def set_mode(request: Request) -> Response:
        camera, body = camera_of(request), await checked_body(request, {"mode"})
        mode = body.get("mode")
        if mode not in MODES:
            raise CommandFailed(422, f"mode must be one of {', '.join(MODES)}, not {mode!r}")
        return answer(await commands.ask(WORKER, "segment-mode", camera=camera, mode=mode), 200)

    async def prompt(request: Request) -> Response:
        camera = camera_of(request)
        fields = prompt_fields(await checked_body(request, {"points", "box", "mask", "object", "frame"}))
        return answer(await commands.ask(WORKER, "prompt", camera=camera, **fields), 201)

    async def protect(request: Request) -> Response:
        camera, body = camera_of(request), await checked_body(request, {"protected"})
        protected, object_id = body.get("protected"), int(request.path_params["object_id"])
        if not isinstance(protected, bool):
            raise CommandFailed(422, f"protected must be true or false, not {protected!r}")
        fields = {"object": object_id, "protected": protected}
        return answer(await commands.ask(WORKER, "protect-object", camera=camera, **fields), 200)

    async def remove(request: Request) -> Response:
        check_origin(request)
        camera, object_id = camera_of(request), int(request.path_params["object_id"])
        return answer(await commands.ask(WORKER, "remove-object", camera=camera, object=object_id), 200)

    return [
        Route("/cameras/{camera}/segmentation", state, methods=["GET"]),
        Route("/cameras/{camera}/segmentation", set_mode, methods=["PUT"]),
        Route("/cameras/{camera}/prompts", prompt, methods=["POST"]),
        Route("/cameras/{camera}/objects/{object_id:int}", protect, methods=["PUT"]),
        Route("/cameras/{camera}/objects/{object_id:int}", remove, methods=["DELETE"]),
    ]


def prompt_fields(body: dict[str, Any]) -> dict[str, Any]:
    """points, box, mask, object and frame of a prompt, in their form. Raises `CommandFailed`."""
    points, box, mask, object_id = (body.get(key) for key in ("points", "box", "mask", "object"))
    frame = body.get("frame")
    if points is not None and not _is_points(points):
        raise CommandFailed(
            422,
            f"points must be a list of at most {MOST_POINTS} [x, y, label], label 1 = on the object, 0 = not",
        )
    if box is not None and not (_is_numbers(box) and len(box) == 4):
        raise CommandFailed(422, "box must be [left, top, right, bottom] in pixels of the source")
    if mask is not None and not _is_run_lengths(mask):
        raise CommandFailed(422, 'mask must be COCO run lengths: {"size": [height, width], "counts": text}')
    if object_id is not None and not _is_number(object_id):
        raise CommandFailed(422, f"object must be the number of an object, not {object_id!r}")
    if frame is not None and not _is_number(frame):
        raise CommandFailed(422, f"frame must be the number of the frame that was looked at, not {frame!r}")
    if not points and box is None and mask is None:
        raise CommandFailed(422, "a prompt needs points, a box or a mask")
    return {"points": points or [], "box": box, "mask": mask, "object": object_id, "frame": frame}


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_numbers(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(entry, int | float) and not isinstance(entry, bool) and math.isfinite(entry)
        for entry in value
    )


def _is_points(value: object) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= MOST_POINTS
        and all(_is_numbers(point) and len(point) == 3 and point[2] in (0, 1) for point in value)
    )


def _is_run_lengths(value: object) -> bool:
    if not isinstance(value, dict) or set(value) != {"size", "counts"}:
        return False
    size = value["size"]
    return _is_numbers(size) and len(size) == 2 and isinstance(value["counts"], str)
