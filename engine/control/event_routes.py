"""Events over plain HTTP: the newest ones, from memory, for those who ask now and then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from starlette.responses import Response

from engine.control.answers import json_answer
from engine.control.bodies import must
from engine.control.event_log import EventLog
from engine.control.operations import Answer, Call, Operation
from engine.control.roles import Role
from engine.control.routing import LARGEST_NUMBER
from engine.control.segmentation import check_camera

MOST_IN_PAGE = 1000
Kind = Literal[
    "appeared", "left", "crossed", "entered", "exited", "dwelled", "count", "speed", "fast", "grouped", "ungrouped"
]  # fmt: skip


class EventsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events."""

    since: Annotated[
        int,
        must(
            f"a whole number from 0 to {LARGEST_NUMBER}: `next` of the answer before", ge=0, le=LARGEST_NUMBER
        ),
    ] = 0
    camera: list[str] = []
    kind: list[Kind] = []
    limit: Annotated[int, must(f"a whole number from 1 to {MOST_IN_PAGE}", ge=1, le=MOST_IN_PAGE)] = 100


class Events(msgspec.Struct, frozen=True):
    """Events, oldest first.

    next  what to ask for the next time, as `since`
    lost  whether there were more than could be kept between `since` and the first of these
    """

    events: list[dict[str, Any]]
    next: int
    lost: bool


def event_operations(log: EventLog, cameras: Callable[[], list[str]]) -> list[Operation]:
    """The operations. `cameras` names those of the run."""

    async def events(call: Call) -> Response:
        query: EventsQuery = call.query
        for camera in query.camera:
            check_camera(camera, cameras())
        page = log.page(query.since, frozenset(query.camera), frozenset(query.kind), query.limit)
        found = [msgspec.Raw(body) for body in page.bodies]
        return json_answer({"events": found, "next": page.following, "lost": page.lost})

    switched = {101: Answer("the WebSocket is open")}
    return [
        Operation(
            method="GET", path="/events", name="list_events", tag="events", role=Role.VIEWER, handler=events,
            summary="The newest events; as a WebSocket (`?camera=`, `?kind=`, repeated): each as it happens",
            query=EventsQuery, answers={200: Answer("events since then", Events), **switched},
            problems={404: "no such camera"}, websocket=True,
        ),
        Operation(
            method="GET", path="/results", name="results_stream", tag="events", role=Role.VIEWER, handler=None,
            summary="WebSocket: frame records, the newest; `?camera=NAME`, repeated", answers=switched,
            problems={404: "no such camera", 426: "it is a WebSocket"}, websocket=True,
        ),
        Operation(
            method="GET", path="/ws", name="stream", tag="events", role=Role.VIEWER, handler=None,
            summary="WebSocket: results, events and health, chosen by a message; docs/api.md", answers=switched,
            problems={426: "it is a WebSocket"}, websocket=True,
        ),
    ]  # fmt: skip
