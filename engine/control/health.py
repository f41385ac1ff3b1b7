"""`/health` and `/metrics`: the newest status in words and in numbers, made once for each status.

Whoever asks again before there is a newer status gets the very same bytes. The long text of the metrics is made in a
thread, so that nobody else waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import orjson
from starlette.responses import Response

from engine.control.answers import NO_STORE, json_answer
from engine.control.metrics import exposition, registry_of
from engine.control.operations import Answer, Call, Media, Operation
from engine.control.roles import Role
from engine.control.status import EngineHealth, EngineStatus
from engine.secrets import mask_text

StatusProvider = Callable[[], EngineStatus]
"""Gives the newest status, the same object while there is none newer. Called on the serving thread; must not block."""


class Alive(msgspec.Struct, frozen=True):
    """The health of the run in a word."""

    status: Literal["ok", "degraded", "failing"]


class Newest:
    """The newest status as it is sent. Belongs to the serving thread."""

    def __init__(self, status_provider: StatusProvider) -> None:
        self._provider = status_provider
        self._status: EngineStatus | None = None
        self._health = b""
        self._metrics: dict[str, asyncio.Task[tuple[str, str]]] = {}

    def status(self) -> EngineStatus:
        """The status itself."""
        status = self._provider()
        if status is not self._status:
            self._status, self._health, self._metrics = status, b"", {}
        return status

    def health(self) -> bytes:
        """The body of `/health`."""
        status = self.status()
        if not self._health:
            self._health = mask_text(orjson.dumps(health_body(status)).decode()).encode()
        return self._health

    async def metrics(self, accept: str) -> tuple[str, str]:
        """(body, content type) of a scrape."""
        status = self.status()
        kind = "openmetrics" if "openmetrics" in accept else "text"
        task = self._metrics.get(kind)
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            task = asyncio.create_task(asyncio.to_thread(_exposition, status, accept))
            self._metrics[kind] = task
        # Who hangs up ends his own request, not what others wait for.
        return await asyncio.shield(task)


def _exposition(status: EngineStatus, accept: str) -> tuple[str, str]:
    body, content_type = exposition(registry_of(lambda: status), accept)
    return mask_text(body.decode()), content_type


def health_body(status: EngineStatus) -> dict[str, Any]:
    """What `/health` answers: the status without the histograms, which `/metrics` has."""
    cameras = {
        name: {key: value for key, value in camera.items() if key != "latency_histogram"}
        for name, camera in status["cameras"].items()
    }
    return {**{key: value for key, value in status.items() if key != "started_wall_s"}, "cameras": cameras}


def health_operations(newest: Newest) -> list[Operation]:
    """The operations."""

    def http_status() -> int:
        return 503 if newest.status()["status"] == "failing" else 200

    async def health(call: Call) -> Response:
        return Response(newest.health(), http_status(), NO_STORE, "application/json")

    async def live(call: Call) -> Response:
        return json_answer({"status": newest.status()["status"]}, http_status())

    async def metrics(call: Call) -> Response:
        body, content_type = await newest.metrics(call.request.headers.get("accept", ""))
        return Response(body, headers={**NO_STORE, "Content-Type": content_type})

    return [
        Operation(
            method="GET", path="/health", name="health", tag="state", role=Role.VIEWER, handler=health,
            summary="State of the run, its processes and cameras, with reasons",
            answers={200: Answer("ok or degraded", EngineHealth), 503: Answer("failing", EngineHealth)},
        ),
        Operation(
            method="GET", path="/health/live", name="live", tag="state", role=Role.ANYONE, handler=live,
            summary="The same in a word, for what watches over services; needs no login",
            answers={200: Answer("ok or degraded", Alive), 503: Answer("failing", Alive)},
        ),
        Operation(
            method="GET", path="/metrics", name="metrics", tag="state", role=Role.VIEWER, handler=metrics,
            summary="The same in numbers, for Prometheus",
            answers={200: Answer("Prometheus text, or OpenMetrics where Accept asks for it", Media("text/plain"))},
        ),
    ]  # fmt: skip
