"""The OpenAPI 3.1 document, made from the table of operations: nothing is described twice, nothing can be forgotten."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from engine.control.answers import Problem
from engine.control.operations import Answer, Media, Operation
from engine.control.roles import Role
from engine.control.routing import LARGEST_NUMBER
from engine.control.sessions import COOKIE

_PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")
_REF = "#/components/schemas/{name}"
_ABOUT = (
    "A real-time video engine: cameras, what is seen on them, and their heads. Errors are problem details (RFC 9457). "
    "Roles: viewer reads and watches; operator also prompts, switches modes and rates, steers heads, starts and stops; "
    "admin may do everything. On this machine's own address without tokens everybody is admin."
)

Json = dict[str, Any]


def openapi_document(operations: Sequence[Operation], version: str) -> Json:
    """The document of these operations."""
    kinds = _kinds_of(operations)
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    schema_of = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, Json] = {}
    for operation in operations:
        path = _PARAMETER.sub(r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, components, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "camring", "version": version, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _readable(components),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer TOKEN`"},
                "login": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "set by POST /login"},
            },
        },
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in operations)],
    }  # fmt: skip


def _readable(schema: Any) -> Any:
    """Without `items: false` of tuples, which `maxItems` says as well and generators of clients stumble over."""
    if isinstance(schema, Mapping):
        return {
            key: _readable(value) for key, value in schema.items() if not (key == "items" and value is False)
        }
    return [_readable(each) for each in schema] if isinstance(schema, list) else schema


def _kinds_of(operations: Sequence[Operation]) -> list[Any]:
    """Every type that a body or an answer has, and that of queries, whose fields become parameters; each once."""
    kinds: list[Any] = [Problem]
    for operation in operations:
        kinds += [kind for kind in (operation.query, operation.body) if kind is not None]
        kinds += [answer.content for answer in operation.answers.values() if answer.content is not None]
    return list({id(kind): kind for kind in kinds if not isinstance(kind, Media)}.values())


def _operation(operation: Operation, components: Mapping[str, Json], schema_of: Mapping[int, Json]) -> Json:
    described: Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "x-role": operation.role.word,
        "security": [{}] if operation.role is Role.ANYONE else [{"token": []}, {"login": []}],
        "responses": _responses(operation, schema_of),
    }
    if operation.description:
        described["description"] = operation.description
    if operation.websocket:
        described["x-websocket"] = True
    parameters = [*_path_parameters(operation.path), *_query_parameters(operation, components, schema_of)]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {
            "required": not operation.optional_body,
            "content": _content(operation.body, schema_of),
        }
    return described


def _path_parameters(path: str) -> list[Json]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "integer", "minimum": 0, "maximum": LARGEST_NUMBER}
            if kind == "int"
            else {"type": "string", "minLength": 1},
        }
        for name, kind in _PARAMETER.findall(path)
    ]


def _query_parameters(
    operation: Operation, components: Mapping[str, Json], schema_of: Mapping[int, Json]
) -> list[Json]:
    if operation.query is None:
        return []
    schema = components[schema_of[id(operation.query)]["$ref"].rpartition("/")[2]]
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": field.get("description", ""),
            "schema": {key: value for key, value in field.items() if key != "description"},
        }
        for name, field in schema["properties"].items()
    ]


def _responses(operation: Operation, schema_of: Mapping[int, Json]) -> dict[str, Json]:
    responses = {str(status): _answer(answer, schema_of) for status, answer in operation.answers.items()}
    problem = {"application/problem+json": {"schema": schema_of[id(Problem)]}}
    for status, about in sorted(problems_of(operation).items()):
        told = responses.setdefault(str(status), {"description": about})
        told.setdefault("content", {}).update(problem)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            told["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
    return responses


def problems_of(operation: Operation) -> dict[int, str]:
    """Every status with which an operation may refuse, and why."""
    problems = {
        403: "a page of another site, a name that is not this machine's, or too small a role",
        422: "a key or parameter is unknown or has a value that is not allowed; `errors` says which",
        429: "too many requests, or too many wrong tokens",
        500: "a fault in the engine; its log says more",
    }
    if operation.role is not Role.ANYONE:
        problems[401] = "nobody knows who asks: log in, or send a token"
    if operation.body is not None:
        problems |= {
            400: "the body is no JSON object"
            if not isinstance(operation.body, Media)
            else "the body is no use",
            408: "the body did not come in time",
            413: f"the body has more than {operation.most_body_bytes} bytes",
            415: "the body has another media type",
        }
    if "{" in operation.path:
        problems[404] = "there is no such camera or thing"
    return {**problems, **operation.problems}


def _answer(answer: Answer, schema_of: Mapping[int, Json]) -> Json:
    told: Json = {"description": answer.about}
    if answer.content is not None:
        told["content"] = _content(answer.content, schema_of)
    if answer.headers:
        told["headers"] = {
            name: {"description": about, "schema": {"type": "string"}}
            for name, about in answer.headers.items()
        }
    return told


def _content(content: Any, schema_of: Mapping[int, Json]) -> Json:
    if isinstance(content, Media):
        return {content.media_type: {"schema": dict(content.schema)} if content.schema else {}}
    return {"application/json": {"schema": schema_of[id(content)]}}
