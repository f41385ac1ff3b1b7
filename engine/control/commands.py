"""Asking a worker to do something, and waiting for what it says.

The answer comes by another thread than the one that serves; knows messages, not what they mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from itertools import count
from typing import Any

from engine.control.answers import ProblemError

Message = dict[str, Any]

ANSWER_TIMEOUT_S = 5.0

_STATUS_OF_FAILURE = {
    "invalid": HTTPStatus.UNPROCESSABLE_ENTITY,
    "not-found": HTTPStatus.NOT_FOUND,
    "conflict": HTTPStatus.CONFLICT,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
}


class CommandFailed(Exception):
    """A request was not carried out: `status` for HTTP, one line of why and, where that helps, what in it was wrong."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[ProblemError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}


class Commands:
    """Commands under way. `ask` belongs to the serving thread; `answered` may be called by any.

    send       hands one message to the supervisor
    session    makes ids unique over restarts of this process
    """

    def __init__(
        self, send: Callable[[Message], None], session: str, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> None:
        self._send = send
        self._session = session
        self._timeout_s = timeout_s
        self._numbers = count(1)
        self._waiting: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Future[Message]]] = {}

    async def ask(
        self, worker: str, command: str, *, timeout_s: float | None = None, **fields: Any
    ) -> dict[str, Any]:
        """What the worker answers. Raises `CommandFailed`, also when there is no answer in time.

        timeout_s  where the usual patience is too short
        """
        patience_s = self._timeout_s if timeout_s is None else timeout_s
        loop = asyncio.get_running_loop()
        command_id = f"{self._session}-{next(self._numbers)}"
        future: asyncio.Future[Message] = loop.create_future()
        self._waiting[command_id] = loop, future
        try:
            self._send({"id": command_id, "to": worker, "command": command, **fields})
            # Not `wait_for`, which swallows a cancellation that comes together with the answer (Python 3.11).
            async with asyncio.timeout(patience_s):
                answer = await future
        except TimeoutError:
            raise CommandFailed(
                HTTPStatus.GATEWAY_TIMEOUT,
                f"{worker} did not answer within {patience_s:g} s; whether it has done it is not known",
            ) from None
        finally:
            del self._waiting[command_id]
        if not answer["ok"]:
            status = _STATUS_OF_FAILURE.get(answer["failure"], HTTPStatus.INTERNAL_SERVER_ERROR)
            raise CommandFailed(status, answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def answered(self, message: Message) -> None:
        """An answer has come."""
        waiting = self._waiting.get(message["id"])
        if waiting is not None:
            loop, future = waiting
            loop.call_soon_threadsafe(_settle, future, message)


def _settle(future: asyncio.Future[Message], message: Message) -> None:
    if not future.done():
        future.set_result(message)
