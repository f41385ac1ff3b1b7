"""Events and streams in the status of a run: what the tracking and the control process count, under regions' names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.config import RunConfig
from engine.control.status import CameraEventsStatus, StreamStatus
from engine.control.status_receivers import ViewersStatus


def events_status(config: RunConfig, camera: str, track: Mapping[str, Any]) -> CameraEventsStatus | None:
    """One camera's events, from what the tracking process tells; zeros before it does, None where none are wanted."""
    if not config.events.enabled:
        return None
    regions = next(each for each in config.cameras if each.name == camera)
    told: dict[str, Any] = track.get("events", {}).get(camera, {}).get("counters", {})
    lines = _counts(told.get("lines"), len(regions.lines), 2)
    zones = _counts(told.get("zones"), len(regions.zones), 5)
    return {
        "kinds": {kind: int(count) for kind, count in told.get("kinds", {}).items()},
        "lines": {
            line.name: {"left_to_right": int(counts[0]), "right_to_left": int(counts[1])}
            for line, counts in zip(regions.lines, lines, strict=True)
        },
        "zones": {
            zone.name: {
                "entries": int(counts[0]),
                "exits": int(counts[1]),
                "dwells": int(counts[2]),
                "present": int(counts[3]),
            }
            for zone, counts in zip(regions.zones, zones, strict=True)
        },
        "groups": int(told.get("groups", 0)),
        "lost": int(told.get("lost", 0)),
    }


def _counts(told: list[list[int]] | None, regions: int, width: int) -> list[list[int]]:
    """What was told of so many regions; zeros where it was of others, which were there before a change."""
    return told if told is not None and len(told) == regions else [[0] * width] * regions


def streams_status(control: Mapping[str, Any]) -> dict[str, StreamStatus]:
    """Who listens to what over WebSocket, from what the control process tells of itself."""
    told: dict[str, Any] = control.get("streams", {})
    found: dict[str, StreamStatus] = {}
    for stream in ("events", "results", "ws"):
        counts: dict[str, int] = told.get(stream, {})
        found[stream] = {
            "clients": counts.get("clients", 0), "sent": counts.get("sent", 0), "lost": counts.get("lost", 0),
            "dropped": counts.get("dropped", 0),
        }  # fmt: skip
    return found


def viewers_status(control: Mapping[str, Any]) -> ViewersStatus:
    """Who watches live video, from what the control process tells of itself."""
    told: dict[str, Any] = control.get("video", {})
    return {"watching": told.get("viewers", {}), "skipped": told.get("skipped", {})}
