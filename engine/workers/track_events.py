"""Events in the tracking worker: made from the tracks that are published, written behind them into the same slot."""

from __future__ import annotations

from typing import Any

from engine.events import CameraEvents, fitting
from engine.types import I64, U8, Events, ResultMeta, Tracks, Written
from engine.workers.runtime import Context


def open_events(context: Context, name: str) -> CameraEvents | None:
    """A camera's events, going on where a killed predecessor stopped; None where none are wanted."""
    config = context.config
    if not config.events.enabled:
        return None
    camera = next(camera for camera in config.cameras if camera.name == name)
    told = context.before.get("events", {}).get(name)
    return CameraEvents(camera, config.events, context.labels, told)


def know_classes(context: Context, name: str, events: CameraEvents | None) -> bool:
    """Whether events can be made: not while classes are asked for by name and their names have not come yet."""
    if events is None or events.labelled:
        return True
    if context.labels is None:
        return events.ready
    events.set_labels(context.labels)
    if unknown := events.unknown_classes():
        there = ", ".join(context.labels) or "none"
        context.log(
            "warning",
            f"{name}: no events of {', '.join(map(repr, unknown))}: the model has no such class; there are: {there}",
        )
    return True


def events_of(events: CameraEvents | None, tracks: Tracks, removed_ids: I64, meta: ResultMeta) -> Events:
    """What has happened up to this record."""
    return Events.empty() if events is None else events.advance(tracks, removed_ids, meta)


def write_record(
    events: CameraEvents | None, tracks: Tracks, found: Events, slot_u8: U8
) -> tuple[Written, int]:
    """Lay a record out: objects from the slot's beginning, events at its end, masks in what is left between.

    Objects go before events, events before masks. Returns what of the objects is there, and how many events.
    """
    shown = fitting(found, len(slot_u8) - len(tracks) * Tracks.BYTES_PER_OBJECT)
    if events is not None:
        events.counters.lost += len(found) - len(shown)
    shown.write_at_end(slot_u8)
    return tracks.write_into(slot_u8[: len(slot_u8) - len(shown) * Events.BYTES_PER_EVENT]), len(shown)


def events_told(events_by_camera: dict[str, CameraEvents | None]) -> dict[str, Any]:
    """What the worker's status says of events, by camera; it is what a successor begins with."""
    return {name: events.state() for name, events in events_by_camera.items() if events is not None}
