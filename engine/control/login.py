"""Logging in and out. A browser's login is a cookie that no script can read and no other site can make it send."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from engine.control.access import Access, Client, client_of
from engine.control.answers import json_answer
from engine.control.bodies import must
from engine.control.operations import Answer, Call, Operation
from engine.control.roles import Role
from engine.control.sessions import COOKIE, LONGEST_S
from engine.control.tokens import MOST_TOKEN_CHARACTERS

MOST_LOGIN_BYTES = 4096


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is shown to log in."""

    token: Annotated[
        str,
        must(
            f"a token, at most {MOST_TOKEN_CHARACTERS} characters",
            min_length=1,
            max_length=MOST_TOKEN_CHARACTERS,
        ),
    ]

    def __repr__(self) -> str:
        return "Login(***)"


class Session(msgspec.Struct, frozen=True):
    """Who asks. `role` is null for somebody who has not logged in where that is required."""

    role: Literal["viewer", "operator", "admin"] | None
    name: str
    login_required: bool


def login_operations(access: Access) -> list[Operation]:
    """The operations."""

    def session_of(client: Client) -> Response:
        role = client.role.word if client.role is not Role.ANYONE else None
        return json_answer(
            {"role": role, "name": client.name, "login_required": access.security.login_required}
        )

    async def login(call: Call) -> Response:
        if not access.security.login_required:
            return session_of(client_of(call.request))
        client, cookie = access.log_in(call.request, call.body.token)
        answer = session_of(client)
        set_cookie(call.request, answer, cookie, round(LONGEST_S))
        return answer

    async def logout(call: Call) -> Response:
        access.log_out(call.request)
        answer = Response(status_code=204)
        set_cookie(call.request, answer, "", 0)
        return answer

    async def session(call: Call) -> Response:
        return session_of(client_of(call.request))

    return [
        Operation(
            method="POST", path="/login", name="login", tag="login", role=Role.ANYONE, handler=login, body=Login,
            summary="Log in with a token: sets a cookie", most_body_bytes=MOST_LOGIN_BYTES,
            answers={200: Answer("logged in", Session, {"Set-Cookie": "the login"})},
            problems={401: "the token is not known"},
        ),
        Operation(
            method="POST", path="/logout", name="logout", tag="login", role=Role.ANYONE, handler=logout,
            summary="Log out", answers={204: Answer("logged out", None, {"Set-Cookie": "an empty one"})},
        ),
        Operation(
            method="GET", path="/session", name="session", tag="login", role=Role.ANYONE, handler=session,
            summary="Who asks, and whether anybody has to log in", answers={200: Answer("who asks", Session)},
        ),
    ]  # fmt: skip


def set_cookie(request: Request, answer: Response, value: str, seconds: int) -> None:
    """The login's cookie: of this host alone, out of reach of scripts and of other sites; over TLS only over TLS."""
    answer.set_cookie(
        COOKIE, value, max_age=seconds, path="/", httponly=True, samesite="strict",
        secure=request.url.scheme == "https",
    )  # fmt: skip
