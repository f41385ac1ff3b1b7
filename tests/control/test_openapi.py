"""The OpenAPI document: complete, valid, and what the application does, asked by a fuzzer."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from engine.control.app import create_app
from engine.control.listen import bind_socket
from engine.control.operations import Operation
from engine.control.server import ControlServer
from engine.control.video import VideoHub
from engine.control.video_routes import LiveVideo
from tests.control.workers import EngineInMemory

OTHER_ROUTES = {"/", "/static/{path:path}"}
"""Pages: no part of the API."""


def make_app() -> Starlette:
    """The application with every operation, over an engine in memory."""
    engine = EngineInMemory()
    video = LiveVideo(VideoHub(engine.commands), lambda: [])
    return create_app(lambda: engine.status, engine.commands, more=video.operations())


APP = make_app()


def document_of(app: Starlette) -> dict[str, Any]:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            return await client.get("/openapi.json")

    document: dict[str, Any] = asyncio.run(ask()).json()
    return document


DOCUMENT = document_of(APP)


def in_openapi(path: str) -> str:
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def test_every_route_is_in_it_and_nothing_else() -> None:
    routes = {
        (in_openapi(route.path), method.lower())
        for route in APP.routes
        if isinstance(route, Route) and route.path not in OTHER_ROUTES
        for method in set(route.methods or ()) - {"HEAD"}
    }
    websockets = {(route.path, "get") for route in APP.routes if isinstance(route, WebSocketRoute)}
    described = {(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == routes | websockets
    assert websockets == {
        (path, method)
        for path, methods in DOCUMENT["paths"].items()
        for method, told in methods.items()
        if told.get("x-websocket")
    }


def test_every_name_is_used_once() -> None:
    names = [operation.name for operation in APP.state.operations]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("operation", APP.state.operations, ids=lambda each: f"{each.method} {each.path}")
def test_an_operation_is_described_in_full(operation: Operation) -> None:
    told = DOCUMENT["paths"][in_openapi(operation.path)][operation.method.lower()]
    assert told["summary"] and told["operationId"] == operation.name and told["x-role"] == operation.role.word
    in_path = {each["name"] for each in told.get("parameters", ()) if each["in"] == "path"}
    assert in_path == set(re.findall(r"\{(\w+)", operation.path))
    assert ("requestBody" in told) == (operation.body is not None)
    refusals = {status for status in told["responses"] if status[0] in "45"}
    assert {"403", "422", "429", "500"} <= refusals
    for status in refusals - {"503"}:
        assert "application/problem+json" in told["responses"][status]["content"], status


def test_its_schemas_are_schemas_and_every_reference_leads_somewhere() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', httpx.Response(200, json=DOCUMENT).text))
    assert references and references <= set(schemas)


def test_whoever_asks_wrongly_may_not_be_surprised_by_more_keys() -> None:
    for operation in APP.state.operations:
        if isinstance(operation.body, type):
            assert DOCUMENT["components"]["schemas"][operation.body.__name__]["additionalProperties"] is False


for media_type in ("application/sdp", "application/trickle-ice-sdpfrag"):
    schemathesis.serializer.alias(media_type, "text/plain")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Where a server runs."""
    listening, stop = bind_socket("127.0.0.1", 0), threading.Event()
    listening_port = listening.getsockname()[1]
    server = ControlServer(make_app(), listening)
    thread = threading.Thread(target=server.run, args=(lambda: not stop.is_set(),))
    thread.start()
    yield f"http://127.0.0.1:{listening_port}"
    stop.set()
    thread.join(5)


@schemathesis.openapi.from_dict(DOCUMENT).parametrize()
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_nothing_that_is_asked_finds_a_fault_or_another_answer_than_described(case: Any, url: str) -> None:
    """No fault inside, no status, header or body that is not in the document; nonsense is refused.

    That all sense is accepted cannot be asked for: whether a point goes with an object is more than a schema says.
    Logins are tried elsewhere, operation by operation.
    """
    case.call_and_validate(base_url=url, excluded_checks=[positive_data_acceptance, ignored_auth])
