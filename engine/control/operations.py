"""Operations: all that can be asked for over HTTP, each described once.

Routes, the OpenAPI document, the plain index and the tests of roles are made from the same table of `Operation`, so
that none of them can forget one. A handler gets a `Call` with its parameters and body checked, and returns a response.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from engine.control.roles import Role

MOST_BODY_BYTES = 1 << 20

ASKS: Mapping[int, str] = {
    409: "not in the present state",
    422: "what was asked for makes no sense",
    503: "whoever has to do it is not there, or cannot now",
    504: "no answer in time; whether it was done is not known",
}
"""Problems of an operation that a worker carries out."""
ASKS_ONE: Mapping[int, str] = {404: "there is no such thing", **ASKS}
"""The same for one that speaks of something by its name or number."""


@dataclass(frozen=True, slots=True)
class Media:
    """A body that is not JSON.

    schema  of JSON Schema, where the content has one; most have not
    """

    media_type: str
    about: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """One kind of response, besides problems, which any operation may answer with.

    content  a type that msgspec knows (a `Struct`, a `TypedDict`, `dict[str, Any]`, …) for JSON, a `Media`, or None
    headers  name and what it says
    """

    about: str
    content: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, checked.

    query  an instance of the operation's `query`, None where it has none
    body   an instance of the operation's `body`; bytes where that is a `Media`; None where it has none
    role   what the client may do
    """

    request: Request
    query: Any
    body: Any
    role: Role

    @property
    def camera(self) -> str:
        """The camera in the path, decoded."""
        name: str = self.request.path_params["camera"]
        return name

    def number(self, key: str) -> int:
        """A whole number in the path (`{key:int}`), below 2⁶³."""
        number: int = self.request.path_params[key]
        return number


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One method of one path.

    path      as Starlette writes it: `{camera}` any text without a slash, `{gid:int}` a whole number
    name      unique, snake case; a generated client calls its function so
    role      least role; ANYONE needs no login
    handler   None for WebSockets, whose routes are made elsewhere
    query     a `Struct` of its parameters, unknown ones are refused; a sequence is a parameter that may be repeated
    body      a `Struct` (JSON), or a `Media` (bytes)
    optional_body   the body may be left out; then it is what `{}` gives
    answers   by status; problems of 400 to 504 that every operation can have are added by the document
    problems  further statuses that it refuses with, and why
    websocket it is one: told of in the document, where OpenAPI knows no such thing, by 101
    """

    method: str
    path: str
    name: str
    tag: str
    summary: str
    role: Role
    handler: Handler | None
    description: str = ""
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | Media | None = None
    optional_body: bool = False
    most_body_bytes: int = MOST_BODY_BYTES
    answers: Mapping[int, Answer] = field(default_factory=lambda: {200: Answer("done", dict[str, Any])})
    problems: Mapping[int, str] = field(default_factory=dict)
    websocket: bool = False

    @property
    def changes(self) -> bool:
        """Whether it may change something: then the origin of the request matters."""
        return self.method not in ("GET", "HEAD")
