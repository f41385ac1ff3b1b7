"""Identities over HTTP: who is remembered, without their looks; forgetting; what may be remembered at all.

Checks the form of what is asked; the worker checks its sense.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from engine.control.answers import json_answer
from engine.control.bodies import must
from engine.control.commands import Commands
from engine.control.operations import ASKS, ASKS_ONE, Answer, Call, Operation
from engine.control.roles import Role
from engine.control.routing import LARGEST_NUMBER

WORKER = "track"
MOST_IN_PAGE = 500


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which part of the list."""

    after: Annotated[
        int,
        must(
            f"a whole number from 0 to {LARGEST_NUMBER}: the last gid of the page before",
            ge=0,
            le=LARGEST_NUMBER,
        ),
    ] = 0
    limit: Annotated[int, must(f"a whole number from 1 to {MOST_IN_PAGE}", ge=1, le=MOST_IN_PAGE)] = 100


class ScopeChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be remembered; `off` forgets all."""

    scope: Literal["off", "camera", "global"]


def identity_operations(commands: Commands) -> list[Operation]:
    """The operations."""

    async def page(call: Call) -> Any:
        query: Page = call.query
        return json_answer(await commands.ask(WORKER, "identities", after=query.after, limit=query.limit))

    async def show(call: Call) -> Any:
        return json_answer(await commands.ask(WORKER, "identity", gid=call.number("gid")))

    async def forget(call: Call) -> Any:
        return json_answer(await commands.ask(WORKER, "forget-identity", gid=call.number("gid")))

    async def forget_all(call: Call) -> Any:
        return json_answer(await commands.ask(WORKER, "forget-identities"))

    async def set_scope(call: Call) -> Any:
        return json_answer(await commands.ask(WORKER, "identity-scope", scope=call.body.scope))

    one = "/identities/{gid:int}"
    return [
        Operation(
            method="GET", path="/identities", name="list_identities", tag="identities", role=Role.VIEWER,
            summary="Who is remembered, without their looks", handler=page, query=Page, problems=ASKS,
            answers={200: Answer("a page of them, by gid", dict[str, Any])},
        ),
        Operation(
            method="PUT", path="/identities", name="set_identity_scope", tag="identities", role=Role.ADMIN,
            summary="What may be remembered; `off` forgets all", handler=set_scope, body=ScopeChange, problems=ASKS,
        ),
        Operation(
            method="DELETE", path="/identities", name="forget_everybody", tag="identities", role=Role.ADMIN,
            summary="Forget everybody, here and in the saved file", handler=forget_all, problems=ASKS,
        ),
        Operation(
            method="GET", path=one, name="show_identity", tag="identities", role=Role.VIEWER,
            summary="One of those who are remembered", handler=show, problems=ASKS_ONE,
        ),
        Operation(
            method="DELETE", path=one, name="forget_identity", tag="identities", role=Role.ADMIN,
            summary="Forget somebody, here and in the saved file", handler=forget, problems=ASKS_ONE,
        ),
    ]  # fmt: skip
