"""Events as JSON: the words of each kind, checked against the schema; and regions in the video."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from engine.config.regions import Line, Zone
from engine.outputs.base import FrameResult
from engine.outputs.events import event_messages, event_records
from engine.outputs.jsonl import JsonlOutput, frame_record, frame_schema
from engine.outputs.overlay import draw_result, style_for
from engine.outputs.overlay_regions import Tally, draw_regions
from engine.outputs.overlay_shapes import draw_dashed_box
from engine.types import ColourMatrix, EventKind, Events, TrackState
from tests.outputs.results import make_frame, make_result

ZONES = (
    Zone("yard", ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)), dwell_s=5.0),
    Zone("Tür", ((0.0, 0.0), (0.2, 0.0), (0.0, 0.2))),
)
LINES = (Line("gate", ((0.5, 0.0), (0.5, 1.0))),)


def strict_schema() -> dict[str, Any]:
    schema = frame_schema()
    schema["additionalProperties"] = False
    for name in ("object", "event"):
        schema["$defs"][name]["additionalProperties"] = False
    return schema


VALIDATOR = jsonschema.Draft202012Validator(strict_schema())


def make_events(*rows: tuple[EventKind, int, int, float, int, int]) -> Events:
    """(kind, track, region, value, group, gid)."""
    count = len(rows)
    return Events(
        track_ids=np.array([row[1] for row in rows], np.int64),
        gids=np.array([row[5] for row in rows], np.int64),
        groups=np.array([row[4] for row in rows], np.int64),
        kinds=np.array([row[0] for row in rows], np.int32),
        regions=np.array([row[2] for row in rows], np.int32),
        class_ids=np.array([0 if row[1] else -1 for row in rows], np.int32),
        values=np.array([row[3] for row in rows], np.float32),
        points_xy=np.array([(10.0 + 10 * k, 20.04) for k in range(count)], np.float32).reshape(count, 2),
    )


def result_with(events: Events, index: int = 41) -> FrameResult:
    return replace(make_result(index), events=events, zones=ZONES, lines=LINES)


K = EventKind
ROWS_AND_RECORDS = [
    ((K.APPEARED, 7, -1, 0.0, 0, 0), {"kind": "appeared", "id": 7, "label": "person"}),
    ((K.LEFT, 7, -1, 12.345, 0, 3), {"kind": "left", "id": 7, "label": "person", "gid": 3, "seen_s": 12.35}),
    (
        (K.CROSSED, 7, 0, 1.0, 0, 0),
        {"kind": "crossed", "id": 7, "label": "person", "line": "gate", "direction": "left_to_right"},
    ),
    (
        (K.CROSSED, 7, 0, -1.0, 0, 0),
        {"kind": "crossed", "id": 7, "label": "person", "line": "gate", "direction": "right_to_left"},
    ),
    ((K.ENTERED, 7, 1, 0.0, 0, 0), {"kind": "entered", "id": 7, "label": "person", "zone": "Tür"}),
    (
        (K.EXITED, 7, 0, 3.0, 0, 0),
        {"kind": "exited", "id": 7, "label": "person", "zone": "yard", "dwell_s": 3.0},
    ),
    (
        (K.DWELLED, 7, 0, 5.04, 0, 0),
        {"kind": "dwelled", "id": 7, "label": "person", "zone": "yard", "dwell_s": 5.04},
    ),
    ((K.COUNT, 0, 0, 4.0, 0, 0), {"kind": "count", "zone": "yard", "count": 4}),
    ((K.SPEED, 7, -1, 0.8, 0, 0), {"kind": "speed", "id": 7, "label": "person", "speed_heights_s": 0.8}),
    ((K.FAST, 7, -1, 2.5, 0, 0), {"kind": "fast", "id": 7, "label": "person", "speed_heights_s": 2.5}),
    ((K.UNGROUPED, 0, -1, 30.5, 2, 0), {"kind": "ungrouped", "group": 2, "lasted_s": 30.5}),
]


@pytest.mark.parametrize(("row", "expected"), ROWS_AND_RECORDS, ids=lambda part: str(part)[:18])
def test_each_kind_has_its_words(
    row: tuple[EventKind, int, int, float, int, int], expected: dict[str, Any]
) -> None:
    result = result_with(make_events(row))
    (record,) = event_records(result)
    assert record == {**expected, "point": [10.0, 20.0]}
    VALIDATOR.validate(json.loads(json.dumps(frame_record(result))))
    for key in expected:
        broken = frame_record(result)
        del broken["events"][0][key]
        if key not in ("gid",):
            assert not VALIDATOR.is_valid(broken), key


def test_a_group_is_one_record() -> None:
    rows = [(K.GROUPED, track_id, -1, 3.0, 2, 0) for track_id in (4, 5, 9)]
    others = [(K.GROUPED, 12, -1, 5.0, 3, 8), (K.GROUPED, 13, -1, 5.0, 3, 0)]
    result = result_with(make_events(*rows, *others, (K.APPEARED, 1, -1, 0.0, 0, 0)))
    assert event_records(result) == [
        {"kind": "grouped", "group": 2, "count": 3, "members": [4, 5, 9], "point": [20.0, 20.0]},
        {
            "kind": "grouped",
            "group": 3,
            "count": 5,
            "members": [12, 13],
            "member_gids": [8, None],
            "point": [45.0, 20.0],
        },
        {"kind": "appeared", "id": 1, "label": "person", "point": [60.0, 20.0]},
    ]
    VALIDATOR.validate(json.loads(json.dumps(frame_record(result))))


def test_every_kind_of_the_schema_is_one_of_ours() -> None:
    kinds = frame_schema()["$defs"]["event"]["properties"]["kind"]["enum"]
    assert kinds == [kind.name.lower() for kind in EventKind]


def test_a_line_holds_events_only_where_there_are_some(tmp_path: Path) -> None:
    output = JsonlOutput(tmp_path / "a.jsonl")
    output.write(result_with(Events.empty(), 0))
    output.write(result_with(make_events((K.COUNT, 0, 0, 4.0, 0, 0)), 1))
    output.close()
    without, with_one = (json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines())
    assert "events" not in without and with_one["events"] == [
        {"kind": "count", "zone": "yard", "count": 4, "point": [10.0, 20.0]}
    ]


def test_a_message_says_where_it_comes_from() -> None:
    result = result_with(make_events((K.COUNT, 0, 0, 4.0, 0, 0)))
    assert event_messages(result) == [
        {
            "schema": "camring.event/1",
            "camera": "cam0",
            "frame": 41,
            "time": 1_700_000_000.123457,
            "kind": "count",
            "zone": "yard",
            "count": 4,
            "point": [10.0, 20.0],
        }
    ]


def test_objects_tell_their_state_and_gid() -> None:
    result = make_result(0, [(7, 0.9, (0, 0, 9, 9)), (8, 0.8, (9, 0, 19, 9)), (0, 0.3, (50, 0, 60, 9))])
    result.tracks.states[1] = TrackState.COASTING
    result.tracks.gids[1] = 5
    result.tracks.velocities_xy[0] = (12.34, -5.0)
    record = frame_record(result)
    VALIDATOR.validate(record)
    told = [[each.get(key) for key in ("state", "velocity", "gid")] for each in record["objects"]]
    assert told == [
        ["confirmed", [12.3, -5.0], None],
        ["coasting", [0.0, 0.0], 5],
        [None, None, None],
    ]


def test_the_tally_follows_the_events() -> None:
    tally, resumed = Tally(), Tally(known=False)
    assert tally.text_of_zone(0, "yard") == "yard 0" and resumed.text_of_zone(0, "yard") == "yard"
    rows = [
        (K.COUNT, 0, 0, 4.0, 0, 0),
        (K.CROSSED, 1, 0, 1.0, 0, 0),
        (K.CROSSED, 2, 0, 1.0, 0, 0),
        (K.CROSSED, 3, 0, -1.0, 0, 0),
    ]
    for each in (tally, resumed):
        each.add(make_events(*rows))
        assert each.text_of_zone(0, "yard") == "yard 4"
        assert each.text_of_line(0, "gate") == "gate 2 > 1 <"


@pytest.mark.parametrize("size", [(320, 240), (33, 17), (1920, 1080), (2, 2)])
def test_regions_are_drawn_where_they_are(size: tuple[int, int]) -> None:
    frame = make_frame(*size)
    result = result_with(Events.empty())
    style = style_for(size[1], ColourMatrix.BT601, False)
    draw_regions(frame.y, frame.uv, result, style, Tally())
    draw_result(frame.y, frame.uv, result, style)
    if size == (320, 240):
        assert frame.y[60, 200] != 110 and frame.y[100, 80] != 110 and frame.y[200, 160] != 110
        assert (frame.uv[100, 80] != 128).any(), "the line in colour"
        assert frame.y[110, 120] == 110, "the yard is not filled"


def test_without_regions_nothing_is_drawn() -> None:
    frame = make_frame(64, 48)
    draw_regions(frame.y, frame.uv, make_result(), style_for(48, ColourMatrix.BT601, False), Tally())
    assert (frame.y == 110).all()


def test_what_is_not_seen_has_a_dashed_box() -> None:
    style = style_for(240, ColourMatrix.BT601, False)
    solid, dashed = make_frame(320, 240), make_frame(320, 240)
    result = make_result(0, [(7, 0.9, (40, 40, 200, 200))])
    draw_result(solid.y, solid.uv, result, style)
    result.tracks.states[0] = TrackState.COASTING
    draw_result(dashed.y, dashed.uv, result, style)
    bottom = slice(40, 200)
    assert (solid.y[199, bottom] != 110).all()
    assert 0.3 < (dashed.y[199, bottom] != 110).mean() < 0.7
    assert (dashed.y[60:190, 60:190] == 110).all()


@pytest.mark.parametrize(
    "box", [[-900_000_000, -50, 900_000_000, 20], [400, 0, 500, 50], [5, 5, 5, 5], [300, 200, 900, 900]]
)
def test_dashes_stay_in_the_picture(box: list[int]) -> None:
    frame = make_frame(320, 240)
    style = style_for(240, ColourMatrix.BT601, False)
    draw_dashed_box(frame.y, frame.uv, box, style.grey, style)
