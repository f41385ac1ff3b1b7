"""Events as plain values for JSON: in the record of their frame, and each as a message of its own.

Knows the words of the records; when an event is made is decided in `engine.events` (docs/events.md).
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from engine.outputs.base import FrameResult
from engine.types import EventKind

EVENT_SCHEMA = "camring.event/1"
"""Name and major version of a message. Within one major version keys are only added."""

_VALUE_KEYS = {
    EventKind.LEFT: "seen_s",
    EventKind.EXITED: "dwell_s",
    EventKind.DWELLED: "dwell_s",
    EventKind.SPEED: "speed_heights_s",
    EventKind.FAST: "speed_heights_s",
    EventKind.UNGROUPED: "lasted_s",
}
_COUNTS = (EventKind.COUNT, EventKind.GROUPED)


def event_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) that every message satisfies."""
    text = resources.files("engine.outputs").joinpath("event.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def direction_of(value: float) -> str:
    """Which way a line was crossed."""
    return "left_to_right" if value > 0 else "right_to_left"


def event_records(result: FrameResult) -> list[dict[str, Any]]:
    """The events of a frame record, as in its schema; the rows of a group's members are one record."""
    events = result.events
    records: list[dict[str, Any]] = []
    members: dict[int, list[dict[str, Any]]] = {}
    for row, kind_number in enumerate(events.kinds.tolist()):
        kind = EventKind(kind_number)
        record = _record(result, row, kind)
        if kind == EventKind.GROUPED:
            members.setdefault(record["group"], []).append(record)
            if len(members[record["group"]]) > 1:
                continue
        records.append(record)
    return [
        _of_group(members[record["group"]]) if record["kind"] == "grouped" else record for record in records
    ]


def event_messages(result: FrameResult) -> list[dict[str, Any]]:
    """The same events, each saying itself which camera and frame it is of."""
    head = {
        "schema": EVENT_SCHEMA,
        "camera": result.camera,
        "frame": result.meta.index,
        "time": round(result.meta.wall_ns / 1e9, 6),
    }
    return [{**head, **record} for record in event_records(result)]


def _record(result: FrameResult, row: int, kind: EventKind) -> dict[str, Any]:
    events = result.events
    record: dict[str, Any] = {"kind": kind.name.lower()}
    if track_id := int(events.track_ids[row]):
        record["id"] = track_id
        record["label"] = result.label_of(int(events.class_ids[row]))
    if gid := int(events.gids[row]):
        record["gid"] = gid
    if group := int(events.groups[row]):
        record["group"] = group
    record |= _region(result, int(events.regions[row]), kind)
    value = float(events.values[row])
    if kind == EventKind.CROSSED:
        record["direction"] = direction_of(value)
    elif kind in _COUNTS:
        record["count"] = round(value)
    elif kind in _VALUE_KEYS:
        record[_VALUE_KEYS[kind]] = round(value, 2)
    record["point"] = [round(float(each), 1) for each in events.points_xy[row]]
    return record


def _region(result: FrameResult, region: int, kind: EventKind) -> dict[str, str]:
    if region < 0:
        return {}
    if kind == EventKind.CROSSED:
        return {"line": result.lines[region].name}
    return {"zone": result.zones[region].name}


def _of_group(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One record from those of the members; its place is the middle of theirs."""
    x, y = (round(sum(row["point"][axis] for row in rows) / len(rows), 1) for axis in (0, 1))
    record = {"kind": "grouped", "group": rows[0]["group"], "count": rows[0]["count"]}
    record["members"] = [row["id"] for row in rows]
    if any("gid" in row for row in rows):
        record["member_gids"] = [row.get("gid") for row in rows]
    return {**record, "point": [x, y]}
