"""Identities over HTTP: who is remembered, without their looks; forgetting; what may be remembered at all.

Checks the form of what is asked; the worker checks its sense.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.control.commands import CommandFailed, Commands
from engine.control.guard import check_origin, checked_body

WORKER = "track"
SCOPES = ("off", "camera", "global")
MOST_IN_PAGE = 500
LARGEST_GID = 2**63 - 1

Answer = Callable[[dict[str, Any], int], Response]


def identity_routes(commands: Commands, answer: Answer) -> list[Route]:
    """The routes. `answer` turns a body into a response."""

    async def page(request: Request) -> Response:
        after = number_of(request, "after", 0, 0, LARGEST_GID)
        limit = number_of(request, "limit", 100, 1, MOST_IN_PAGE)
        return answer(await commands.ask(WORKER, "identities", after=after, limit=limit), 200)

    async def show(request: Request) -> Response:
        return answer(await commands.ask(WORKER, "identity", gid=gid_of(request)), 200)

    async def forget(request: Request) -> Response:
        check_origin(request)
        return answer(await commands.ask(WORKER, "forget-identity", gid=gid_of(request)), 200)

    async def forget_all(request: Request) -> Response:
        check_origin(request)
        return answer(await commands.ask(WORKER, "forget-identities"), 200)

    async def set_scope(request: Request) -> Response:
        scope = (await checked_body(request, {"scope"})).get("scope")
        if scope not in SCOPES:
            raise CommandFailed(422, f"scope must be one of {', '.join(SCOPES)}, not {scope!r}")
        return answer(await commands.ask(WORKER, "identity-scope", scope=scope), 200)

    return [
        Route("/identities", page, methods=["GET"]),
        Route("/identities", set_scope, methods=["PUT"]),
        Route("/identities", forget_all, methods=["DELETE"]),
        Route("/identities/{gid:int}", show, methods=["GET"]),
        Route("/identities/{gid:int}", forget, methods=["DELETE"]),
    ]


def gid_of(request: Request) -> int:
    """The identity in the path. Raises `CommandFailed`."""
    gid: int = request.path_params["gid"]
    if gid > LARGEST_GID:
        raise CommandFailed(404, f"no identity {gid}")
    return gid


def number_of(request: Request, key: str, default: int, least: int, most: int) -> int:
    """A number in the query. Raises `CommandFailed`."""
    text = request.query_params.get(key, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and least <= int(text) <= most):
        raise CommandFailed(422, f"{key} must be a whole number from {least} to {most}, not {text[:40]!r}")
    return int(text)
