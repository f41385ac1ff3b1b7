"""The application: the table of operations, what is made from it, and the gate before it all.

Reads the status through one callable; knows neither sockets nor processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from engine import __version__
from engine.control.access import Access
from engine.control.answers import json_answer, problem_answer
from engine.control.cameras import Engine, camera_operations
from engine.control.commands import CommandFailed, Commands
from engine.control.event_log import EventLog
from engine.control.event_routes import event_operations
from engine.control.gate import Gate
from engine.control.health import Newest, StatusProvider, health_body, health_operations
from engine.control.identities import identity_operations
from engine.control.index import plain_index
from engine.control.login import login_operations
from engine.control.openapi import openapi_document
from engine.control.operations import Answer, Call, Operation
from engine.control.pages import page_routes
from engine.control.ptz import ptz_operations
from engine.control.roles import Role
from engine.control.routing import routes_of
from engine.control.security import Security
from engine.control.segmentation import segmentation_operations
from engine.control.shortcuts import shortcut_operations
from engine.control.stream import Streams, stream_routes

__all__ = ["StatusProvider", "create_app", "health_body", "operations_of"]


def create_app(
    status_provider: StatusProvider,
    commands: Commands,
    streams: Streams | None = None,
    *,
    security: Security | None = None,
    more: Sequence[Operation] = (),
    now_s: Callable[[], float] = time.monotonic,
) -> Starlette:
    """The ASGI application over a status, what the workers can be asked to do, and what is pushed to clients.

    security  who may ask what; without it everybody on this machine, who may do everything
    more      further operations, such as those of video
    now_s     a monotonic clock, for limits and logins
    """
    access = Access(security or Security(), now_s)
    streams = streams or Streams()
    newest = Newest(status_provider)
    operations = [*operations_of(newest, commands, streams.log, access), *more]
    document = openapi_document([*operations, _document_operation(None)], __version__)
    table = [*operations, _document_operation(document)]
    app = Starlette(
        routes=[*routes_of(table), *page_routes(plain_index(table)), *stream_routes(streams, newest)],
        middleware=[Middleware(Gate, access=access)],
        exception_handlers={
            CommandFailed: _command_problem,
            HTTPException: _http_problem,
            Exception: _internal_problem,
        },
    )
    # A redirect would repeat the Host header of whoever asks.
    app.router.redirect_slashes = False
    app.state.operations = table
    return app


def operations_of(newest: Newest, commands: Commands, log: EventLog, access: Access) -> list[Operation]:
    """The table, without what is added from elsewhere."""

    def cameras() -> list[str]:
        return list(newest.status()["cameras"])

    engine = Engine(commands)
    return [
        *health_operations(newest),
        *login_operations(access),
        *camera_operations(engine),
        *shortcut_operations(commands, engine, cameras),
        *segmentation_operations(commands, cameras),
        *identity_operations(commands),
        *ptz_operations(commands),
        *event_operations(log, cameras),
    ]


def _document_operation(document: dict[str, Any] | None) -> Operation:
    """How the document itself is had; None before it is made, for the table that it is made from."""
    answer = json_answer(document) if document is not None else None

    async def show(call: Call) -> Response:
        assert answer is not None
        return Response(answer.body, headers=dict(answer.headers))

    return Operation(
        method="GET", path="/openapi.json", name="openapi", tag="state", role=Role.ANYONE, handler=show,
        summary="All of this as OpenAPI 3.1", answers={200: Answer("the document", dict[str, Any])},
    )  # fmt: skip


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"there is no {request.url.path[:200]}; GET / lists what there is"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method} is not possible here; use {headers.get('Allow', 'GET')}"
    else:
        detail = error.detail
    return problem_answer(error.status_code, detail, headers)


async def _command_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, CommandFailed)
    return problem_answer(error.status, error.detail, error.headers, error.errors)


async def _internal_problem(request: Request, error: Exception) -> Response:
    return problem_answer(500, "the answer could not be made; the log of the control process says why")
