"""Schema of events as messages of their own: what it says of an event is what the schema of frame records says."""

from __future__ import annotations

import jsonschema
import pytest

from engine.outputs.events import EVENT_SCHEMA, event_schema
from engine.outputs.jsonl import frame_schema
from engine.types import EventKind

HEAD = {"schema": EVENT_SCHEMA, "camera": "gate", "frame": 41, "time": 1.5}
CROSSED = {
    "kind": "crossed",
    "id": 7,
    "label": "person",
    "line": "a",
    "direction": "left_to_right",
    "point": [1, 2],
}


def test_it_is_a_schema_and_speaks_of_events_as_frames_do() -> None:
    schema = event_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for name in ("event", "pair"):
        assert schema["$defs"][name] == frame_schema()["$defs"][name]
    assert set(schema["$defs"]["event"]["properties"]["kind"]["enum"]) == {
        kind.name.lower() for kind in EventKind
    }


@pytest.mark.parametrize("missing", [*HEAD, "kind", "line", "id", "point"])
def test_what_is_missing_is_found(missing: str) -> None:
    message = {**HEAD, **CROSSED}
    jsonschema.validate(message, event_schema())
    del message[missing]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(message, event_schema())
