"""Zones and lines: read from cameras files, and refused in one line that says where and what."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from engine.config import CameraConfig, RunConfig, load_run_config, render_config
from engine.config.cameras import cameras_from_file
from engine.config.regions import Line, Zone, area_of
from engine.errors import ConfigError

SQUARE = [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]]
YARD = {"name": "yard", "polygon": SQUARE}
GATE = {"name": "gate", "points": [[0.5, 0], [0.5, 1]]}

TOML = """
[[camera]]
name = "a"
source = "test://"
[[camera.zone]]
name = "yard"
polygon = [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]]
classes = ["person"]
dwell_s = 30
[[camera.line]]
name = "gate"
points = [[0.5, 0], [0.5, 0.5], [0.6, 1]]
[[camera]]
name = "b"
source = "test://"
"""


def read(folder: Path, **camera: Any) -> CameraConfig:
    path = folder / "cams.json"
    path.write_text(json.dumps({"camera": [{"name": "gate-cam", "source": "test://", **camera}]}))
    return cameras_from_file(path)[0]


def test_zones_and_lines_of_a_camera(tmp_path: Path) -> None:
    path = tmp_path / "cams.toml"
    path.write_text(TOML)
    first, second = cameras_from_file(path)
    assert first.zones == (Zone("yard", ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)), ("person",), 30.0),)
    assert first.lines == (Line("gate", ((0.5, 0.0), (0.5, 0.5), (0.6, 1.0))),)
    assert second.zones == () and second.lines == ()
    as_json = tmp_path / "cams.json"
    as_json.write_text(json.dumps(tomllib.loads(TOML)))
    assert cameras_from_file(as_json) == [first, second]


def test_they_travel_to_workers_and_back(tmp_path: Path) -> None:
    path = tmp_path / "cams.toml"
    path.write_text(TOML)
    config = RunConfig("m3-cpu", tuple(cameras_from_file(path)))
    document = json.loads(json.dumps(config.to_json()))
    assert RunConfig.from_json(document) == config
    document["cameras"][0]["zone"][0]["polygon"] = [[0, 0]]
    with pytest.raises(ConfigError, match="polygon must have at least 3 points"):
        RunConfig.from_json(document)


def test_what_is_printed_is_a_cameras_file_again(tmp_path: Path) -> None:
    path = tmp_path / "cams.toml"
    path.write_text(TOML)
    loaded = load_run_config("m3-cpu", path, {}, {})
    printed = tomllib.loads(render_config(loaded))
    again = tmp_path / "again.json"
    again.write_text(json.dumps({"camera": printed["camera"]}))
    assert tuple(cameras_from_file(again)) == loaded.config.cameras


def test_a_polygon_may_be_closed_as_in_geojson_and_go_either_way_round(tmp_path: Path) -> None:
    zone = read(tmp_path, zone=[{**YARD, "polygon": [*SQUARE, SQUARE[0]]}]).zones[0]
    assert len(zone.polygon) == 4 and area_of(zone.polygon) == pytest.approx(0.36)
    back = read(tmp_path, zone=[{**YARD, "polygon": SQUARE[::-1]}]).zones[0]
    assert area_of(back.polygon) == pytest.approx(-0.36)
    bay = [[0, 0], [1, 0], [1, 1], [0.5, 0.2], [0, 1]]
    assert len(read(tmp_path, zone=[{**YARD, "polygon": bay}]).zones[0].polygon) == 5


IN_ZONE = "camera 1 (gate-cam), zone 'yard': "
IN_LINE = "camera 1 (gate-cam), line 'gate': "


CROSSES = IN_ZONE + "polygon crosses or touches itself; put its points in order"
NO_AREA = IN_ZONE + "polygon encloses no area; its points lie on one line, or nearly so"


@pytest.mark.parametrize(
    ("zone", "message"),
    [
        ({"polygon": SQUARE[:2]}, IN_ZONE + "polygon must have at least 3 points, found 2"),
        ({"polygon": [*SQUARE[:2], SQUARE[0]]}, IN_ZONE + "polygon must have at least 3 points, found 2"),
        ({"polygon": []}, IN_ZONE + "polygon must have at least 3 points, found 0"),
        ({"polygon": [[0.2, 0.2], [0.8, 0.8], [0.8, 0.2], [0.2, 0.8]]}, CROSSES),
        ({"polygon": [[0, 0], [1, 0], [0.5, 0.5], [1, 1], [0, 1], [0.5, 0.5]]}, CROSSES),
        ({"polygon": [[0, 0], [1, 0], [1, 1], [1, 0.5], [0.5, 0.5], [0.5, 0]]}, CROSSES),
        ({"polygon": [[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]}, NO_AREA),
        ({"polygon": [[0.1, 0.1], [0.101, 0.1], [0.101, 0.101]]}, NO_AREA),
        (
            {"polygon": [[0.2, 0.2], [0.8, 0.2], [0.8, 0.2], [0.2, 0.8]]},
            IN_ZONE + "polygon has a piece of length 0: point 2 and the next are the same",
        ),
        (
            {"polygon": [*SQUARE[:3], [0.2, 1.01]]},
            IN_ZONE + "point 4 of polygon must lie in the picture, x and y from 0 to 1, found [0.2, 1.01]",
        ),
        (
            {"polygon": [[100, 200], *SQUARE[1:]]},
            IN_ZONE + "point 1 of polygon must lie in the picture, x and y from 0 to 1, found [100, 200]",
        ),
        (
            {"polygon": [[0.1], *SQUARE]},
            IN_ZONE + "point 1 of polygon must be two numbers [x, y], found [0.1]",
        ),
        (
            {"polygon": [["0.1", 0.2], *SQUARE]},
            IN_ZONE + "point 1 of polygon must be two numbers [x, y], found ['0.1', 0.2]",
        ),
        (
            {"polygon": [[True, 0.2], *SQUARE]},
            IN_ZONE + "point 1 of polygon must be two numbers [x, y], found [True, 0.2]",
        ),
        (
            {"polygon": [[float("nan"), 0.2], *SQUARE]},
            IN_ZONE + "point 1 of polygon must be two numbers [x, y], found [nan, 0.2]",
        ),
        ({"polygon": 7}, IN_ZONE + "polygon must be a list of points [x, y], found 7"),
        ({"polygon": [[0.1, 0.2]] * 101}, IN_ZONE + "polygon may have 100 points, found 101"),
        ({"dwell": 3}, IN_ZONE + "unknown key 'dwell' (did you mean 'dwell_s'?)"),
        ({"dwell_s": -1}, IN_ZONE + "dwell_s must be a number from 0 to 604800 (s), found -1"),
        ({"classes": "person"}, IN_ZONE + "classes must be a list of texts, found 'person'"),
        ({"name": ""}, "camera 1 (gate-cam), zone 1: name must be a line of text, not empty, found ''"),
        ({"name": 3}, "camera 1 (gate-cam), zone 1: name must be a line of text, not empty, found 3"),
    ],
)
def test_zones_that_make_no_sense(tmp_path: Path, zone: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, zone=[{**YARD, **zone}])
    assert str(caught.value) == f"{tmp_path}/cams.json, {message}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"points": [[0.5, 0.5]]}, IN_LINE + "points must be at least 2, found 1"),
        (
            {"points": [[0.5, 0.5], [0.5, 0.5]]},
            IN_LINE + "points has a piece of length 0: point 1 and the next are the same",
        ),
        (
            {"points": [[0, 0.5], [1, 0.5], [0.5, 0], [0.5, 1]]},
            IN_LINE + "points crosses or touches itself; put its points in order",
        ),
        (
            {"points": [[0, 0.5], [1, 0.5], [0.5, 0.5]]},
            IN_LINE + "points crosses or touches itself; put its points in order",
        ),
        (
            {"points": [[0, 0.5], [-0.1, 0.5]]},
            IN_LINE + "point 2 of points must lie in the picture, x and y from 0 to 1, found [-0.1, 0.5]",
        ),
        ({"dwell_s": 3}, IN_LINE + "unknown key 'dwell_s'; use one of: classes, name, points"),
    ],
)
def test_lines_that_make_no_sense(tmp_path: Path, line: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, line=[{**GATE, **line}])
    assert str(caught.value) == f"{tmp_path}/cams.json, {message}"


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        ({"zone": YARD}, "zone must be a list of tables: write [[camera.zone]]"),
        ({"line": [3]}, "line must be a list of tables: write [[camera.line]]"),
        ({"zone": [YARD, YARD]}, "the name 'yard' is used twice"),
        ({"zone": [YARD], "line": [{**GATE, "name": "yard"}]}, "the name 'yard' is used twice"),
        ({"zone": [{"name": "yard"}]}, "zone 'yard': polygon is missing"),
        ({"zone": [{"polygon": SQUARE}]}, "zone 1: name is missing"),
        ({"zones": [YARD]}, "unknown key 'zones' (did you mean 'zone'?)"),
        ({"line": [{**GATE, "name": f"{k}"} for k in range(65)]}, "a camera may have 64 lines, found 65"),
    ],
)
def test_cameras_whose_regions_make_no_sense(tmp_path: Path, camera: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, **camera)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_run_has_room_for_so_many(tmp_path: Path) -> None:
    path = tmp_path / "many.json"
    lines = [{**GATE, "name": f"{k}"} for k in range(60)]
    cameras = [{"name": f"c{k}", "source": "test://", "line": lines} for k in range(34)]
    path.write_text(json.dumps({"camera": cameras}))
    with pytest.raises(ConfigError, match="a run may have 2000 zones and lines in all, found 2040"):
        load_run_config("m3-cpu", path, {}, {})
