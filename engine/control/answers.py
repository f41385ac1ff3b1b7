"""Answers: JSON, and problem details (RFC 9457). Each passes through `mask_text`: no secret leaves the house."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from engine.secrets import mask_text

NO_STORE = {"Cache-Control": "no-store"}
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer that does not bring its own. What is no page may load nothing and be shown in no frame."""

PROBLEM_TYPES: Mapping[int, str] = {
    400: "malformed",
    401: "login-needed",
    403: "not-allowed",
    404: "not-found",
    405: "method-not-allowed",
    408: "too-slow",
    409: "conflict",
    413: "too-large",
    415: "media-type",
    422: "invalid",
    426: "websocket",
    429: "too-many-requests",
    500: "internal",
    501: "not-installed",
    503: "unavailable",
    504: "no-answer",
}
"""Last part of a problem's `type` by status."""


class ProblemError(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong in a request: where (in the body, or which parameter) and what is allowed there."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    allowed: Sequence[str | int | float | bool | None] | None = None


class Problem(msgspec.Struct, frozen=True):
    """Problem details, RFC 9457. `type` says which kind it is, `detail` what and what to do, in one line."""

    type: str
    title: str
    status: int
    detail: str
    errors: Sequence[ProblemError] | msgspec.UnsetType = msgspec.UNSET


def json_answer(
    body: Any,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    """A body that msgspec can encode, with the credentials of every URL in it masked."""
    text = mask_text(msgspec.json.encode(body).decode())
    return Response(text, status, {**NO_STORE, **SECURITY_HEADERS, **(headers or {})}, media_type)


def problem_answer(
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[ProblemError] = (),
) -> Response:
    """A refusal."""
    kind = PROBLEM_TYPES.get(status)
    body = Problem(
        f"urn:camring:problem:{kind}" if kind else "about:blank",
        HTTPStatus(status).phrase,
        status,
        detail,
        errors or msgspec.UNSET,
    )
    return json_answer(body, status, headers, "application/problem+json")
