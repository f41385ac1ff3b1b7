"""From the table of operations to routes: role, parameters and body are checked here, for all of them alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.control.access import check_role, client_of
from engine.control.bodies import converted, read_body
from engine.control.commands import CommandFailed
from engine.control.operations import Call, Operation

LARGEST_NUMBER = 2**63 - 1


class NoParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of an operation that has none."""


def routes_of(operations: Sequence[Operation]) -> list[Route]:
    """A route for each path; what is asked of it by another method is refused with all that there are."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        methods = by_path.setdefault(operation.path, {})
        if operation.method in methods:
            raise ValueError(f"{operation.method} {operation.path} is in the table twice")
        methods[operation.method] = operation
    return [Route(path, _endpoint(methods), methods=list(methods)) for path, methods in by_path.items()]


def _endpoint(methods: dict[str, Operation]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await carry_out(methods[method], request)

    return endpoint


async def carry_out(operation: Operation, request: Request) -> Response:
    """Check a request and hand it to its operation. Raises `CommandFailed`."""
    check_role(request, operation.role)
    if operation.handler is None:
        path = request.url.path
        raise CommandFailed(
            HTTPStatus.UPGRADE_REQUIRED,
            f"{path} is a WebSocket: connect to it as ws://HOST:PORT{path}",
            headers={"Upgrade": "websocket"},
        )
    for key, value in request.path_params.items():
        if isinstance(value, int) and value > LARGEST_NUMBER:
            raise CommandFailed(HTTPStatus.NOT_FOUND, f"no {key} {value}")
    query = converted(request.query_params.multi_items(), operation.query or NoParameters)
    body = None
    if operation.body is not None:
        body = await read_body(request, operation.body, operation.most_body_bytes, operation.optional_body)
    return await operation.handler(Call(request, query, body, client_of(request).role))
