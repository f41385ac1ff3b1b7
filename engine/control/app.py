"""Routes and answers. Reads the status through one callable; knows neither sockets nor processes.

Every answer passes through `mask_text`, so that a secret that slipped into a status does not leave the house.
Errors are problem details (RFC 9457).
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from engine.control.commands import CommandFailed, Commands
from engine.control.identities import identity_routes
from engine.control.metrics import exposition, registry_of
from engine.control.ptz import ptz_routes
from engine.control.segmentation import segmentation_routes
from engine.control.status import EngineStatus
from engine.control.stream import Streams, stream_routes
from engine.secrets import mask_text

StatusProvider = Callable[[], EngineStatus]
"""Gives the newest status. Called once a request; must not block."""

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_INDEX = """camring

GET    /health                       state of the run, its processes and cameras, as JSON; 200 when ok or degraded,
                                     503 when failing
GET    /metrics                      the same in numbers, for Prometheus
GET    /cameras/NAME/segmentation    mode, objects and newest events of a camera's segmentation
PUT    /cameras/NAME/segmentation    {"mode": "off" | "boxes" | "track" | "prompt" | "auto"}
POST   /cameras/NAME/prompts         {"points": [[x, y, 1 or 0], ...], "box": [x1, y1, x2, y2], "mask": COCO RLE,
                                     "object": number of an object to correct, "frame": number of the frame that
                                     was looked at}; answers with the object's number
PUT    /cameras/NAME/objects/NUMBER  {"protected": true or false}: refreshed before others, never given up for them
DELETE /cameras/NAME/objects/NUMBER  forget an object
GET    /identities                   who is remembered, without their looks; ?after=GID&limit=100 for the next page
PUT    /identities                   {"scope": "off" | "camera" | "global"}: what may be remembered; off forgets all
DELETE /identities                   forget everybody
GET    /identities/GID               one of them
DELETE /identities/GID               forget them, here and in the saved file
GET    /ptz/NAME                     how a camera's head is doing, whom it follows and why
POST   /ptz/NAME/move                {"pan_deg_s": 20, "tilt_deg_s": 0, "zoom_octaves_s": 0, "ttl_s": 0.5} turns it, or
                                     {"pan_deg": 90, "tilt_deg": -10, "zoom": 2} sends it there: an operator's hand
                                     wins at once, and following goes on some time after
POST   /ptz/NAME/stop                stop, and stay so
POST   /ptz/NAME/resume              follow again now
GET    /ptz/NAME/presets             the places that the camera has stored
POST   /ptz/NAME/preset              {"goto": "3"}, {"store": "3", "name": "gate"} or {"remove": "3"}
POST   /ptz/NAME/policy              {"policy": "off" | "group" | "selected" | "runner" | "zone" | "manual" | "tour",
                                     "options": {...}}
POST   /ptz/NAME/select              {"track_id": 7}, {"gid": 3} or {"point": [x, y]}: follow this one
WS     /events                       what happens, a message each; ?camera=NAME&kind=KIND, both may be repeated
WS     /results                      frame records, the newest; ?camera=NAME
"""


def create_app(
    status_provider: StatusProvider, commands: Commands, streams: Streams | None = None
) -> Starlette:
    """The ASGI application over a status, what the workers can be asked to do, and what is pushed to clients."""
    registry = registry_of(status_provider)

    async def health(request: Request) -> Response:
        status = status_provider()
        http_status = 503 if status["status"] == "failing" else 200
        return _json(health_body(status), http_status, "application/json")

    async def metrics(request: Request) -> Response:
        body, content_type = exposition(registry, request.headers.get("accept", ""))
        return Response(mask_text(body.decode()), headers={**_HEADERS, "Content-Type": content_type})

    async def index(request: Request) -> Response:
        return PlainTextResponse(_INDEX, headers=_HEADERS)

    app = Starlette(
        routes=[
            Route("/", index, methods=["GET"]),
            Route("/health", health, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
            *identity_routes(commands, _answer),
            *ptz_routes(commands, _answer),
            *segmentation_routes(commands, lambda: list(status_provider()["cameras"]), _answer),
            *stream_routes(streams or Streams(), lambda: list(status_provider()["cameras"]), _refusal),
        ],
        exception_handlers={
            CommandFailed: _command_problem,
            HTTPException: _http_problem,
            Exception: _internal_problem,
        },
    )
    # A redirect would repeat the Host header of whoever asks.
    app.router.redirect_slashes = False
    return app


def health_body(status: EngineStatus) -> dict[str, Any]:
    """What `/health` answers: the status without the histograms, which `/metrics` has."""
    cameras = {
        name: {key: value for key, value in camera.items() if key != "latency_histogram"}
        for name, camera in status["cameras"].items()
    }
    return {
        "status": status["status"],
        "reasons": status["reasons"],
        "version": status["version"],
        "uptime_s": status["uptime_s"],
        "run": status["run"],
        "processes": status["processes"],
        "inference": status["inference"],
        "reid": status["reid"],
        "identity": status["identity"],
        "segmentation": status["segmentation"],
        "ptz": status["ptz"],
        "streams": status["streams"],
        "cameras": cameras,
    }


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"there is no {request.url.path}; GET / lists what there is"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method} is not possible here; use {headers.get('Allow', 'GET')}"
    else:
        detail = error.detail
    return _problem(error.status_code, detail, headers)


async def _command_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, CommandFailed)
    return _problem(error.status, error.detail, {})


async def _internal_problem(request: Request, error: Exception) -> Response:
    return _problem(500, "the answer could not be made; the log of the control process says why", {})


def _refusal(http_status: int, detail: str) -> Response:
    return _problem(http_status, detail, {})


def _problem(http_status: int, detail: str, headers: dict[str, str]) -> Response:
    title = HTTPStatus(http_status).phrase
    body = {"type": "about:blank", "title": title, "status": http_status, "detail": detail}
    return _json(body, http_status, "application/problem+json", headers)


def _answer(body: dict[str, Any], http_status: int) -> Response:
    return _json(body, http_status, "application/json")


def _json(
    body: dict[str, Any], http_status: int, media_type: str, headers: dict[str, str] | None = None
) -> Response:
    text = mask_text(orjson.dumps(body).decode())
    return Response(text, http_status, {**_HEADERS, **(headers or {})}, media_type)
