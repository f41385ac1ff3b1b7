"""What is said at `/ws` besides records and events: what a client wants, and what it is told of the stream itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
import orjson

from engine.control.answers import PROBLEM_TYPES
from engine.control.bodies import decoded, must
from engine.control.commands import CommandFailed
from engine.control.segmentation import check_camera
from engine.control.stream_clients import SCHEMA, Client, EventQueue, ResultQueue, StreamLimits
from engine.secrets import mask_text

HEALTH_SCHEMA = "camring.health/1"
HEALTH_INTERVAL_S = 1.0


class Subscription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client wants from now on, in the place of what it wanted before."""

    subscribe: Annotated[
        list[Literal["results", "events", "health"]],
        must("a list of results, events and health", max_length=8),
    ]
    cameras: Annotated[list[str] | None, must("a list of names of cameras, or null for all")] = None


def subscribe(client: Client, text: str, known_cameras: list[str], limits: StreamLimits) -> str:
    """Do what a client asks for; returns what it is told: `begin`, or, where nothing has changed, `problem`."""
    try:
        wanted: Subscription = decoded(text.encode(errors="surrogatepass"), Subscription)
        for camera in wanted.cameras or ():
            check_camera(camera, known_cameras)
    except CommandFailed as error:
        kind = PROBLEM_TYPES[error.status]
        told = {"status": error.status, "type": f"urn:camring:problem:{kind}", "detail": error.detail}
        return mask_text(orjson.dumps({"schema": SCHEMA, "type": "problem", "problem": told}).decode())
    streams = set(wanted.subscribe)
    client.cameras = None if wanted.cameras is None else frozenset(wanted.cameras)
    client.events = (client.events or EventQueue(None, limits)) if "events" in streams else None
    client.results = ResultQueue(limits) if "results" in streams else None
    client.wants_health = "health" in streams
    cameras = known_cameras if wanted.cameras is None else sorted(client.cameras or ())
    begin = {"schema": SCHEMA, "type": "begin", "streams": sorted(streams), "cameras": cameras}
    return orjson.dumps(begin).decode()


def cameras_message(cameras: Sequence[str]) -> str:
    """The run has other cameras than before."""
    return orjson.dumps({"schema": SCHEMA, "type": "cameras", "cameras": list(cameras)}).decode()


def health_message(body: bytes) -> str:
    """The body of `/health` as a message."""
    return f'{{"schema":"{HEALTH_SCHEMA}","type":"health","health":{body.decode()}}}'
