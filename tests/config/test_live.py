"""Configurations with a camera more, less or other: checked as one that is loaded, and unchanged where refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.config import CameraConfig, RunConfig
from engine.config.links import LinkConfig
from engine.config.live import with_camera, with_changes, without_camera
from engine.config.regions import Zone
from engine.errors import ConfigError

HEAD = {"driver": "hikvision", "url": "http://192.0.2.7", "hfov_deg": 60.0, "guides": ["front"]}
LINKS = (LinkConfig("front", "back"),)
CONFIG = RunConfig("m3-cpu", (CameraConfig("front", "test://"), CameraConfig("back", "test://")), links=LINKS)


def test_a_camera_more() -> None:
    after = with_camera(CONFIG, {"name": "yard", "source": "test://", "infer_fps": 5})
    assert after.cameras == (*CONFIG.cameras, CameraConfig("yard", "test://", infer_fps=5.0))
    assert RunConfig.from_json(after.to_json()) == after


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "yard"}, "source is missing"),
        ({"name": "front", "source": "test://"}, "'front' is used twice"),
        ({"name": "FRONT", "source": "test://"}, "differs from 'front' only in case"),
        ({"name": "a/b", "source": "test://"}, "holds a slash"),
        ({"name": "yard", "source": "nothing.mp4"}, "there is no file 'nothing.mp4'"),
        ({"name": "yard", "source": "rtsp://${NO_SUCH_VARIABLE}@camera"}, "NO_SUCH_VARIABLE is not set"),
        ({"name": "yard", "source": "test://", "infer_fp": 5}, "infer_fps"),
        ({"name": "yard", "source": "test://", "infer_fps": -1}, "infer_fps must be"),
        ({"name": "yard", "source": "test://", "zone": 5}, "must be a list of tables"),
        ({"name": "yard", "source": "test://", "ptz": {**HEAD, "guides": ["no"]}}, "guides"),
        ({"name": "yard", "source": "test://", "poses": "nowhere.csv"}, "no file of poses"),
        ({"name": "yard", "source": "scene://crossing?cameras=2"}, "scene"),
    ],
)
def test_a_camera_that_cannot_be_meant(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        with_camera(CONFIG, entry, environ={})
    assert "\n" not in str(caught.value)


def test_a_change_of_one_and_of_all() -> None:
    zone = {"name": "yard", "polygon": [[0, 0], [1, 0], [1, 1]]}
    after = with_changes(CONFIG, ["front"], {"zone": [zone], "infer_fps": 3})
    front, back = after.cameras
    assert front.zones == (Zone("yard", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))),) and front.infer_fps == 3.0
    assert back is CONFIG.cameras[1]
    assert with_changes(after, ["front"], {"infer_fps": 3}) == after, "what is not named stays"
    assert with_changes(after, ["front"], {"zone": None}).cameras[0].zones == ()
    assert [each.infer_fps for each in with_changes(after, ["front", "back"], {"infer_fps": 7}).cameras] == [
        7,
        7,
    ]


def test_a_head_comes_and_goes() -> None:
    steered = with_changes(CONFIG, ["back"], {"ptz": HEAD})
    assert steered.cameras[1].ptz is not None and steered.cameras[1].ptz.guides == ("front",)
    assert with_changes(steered, ["back"], {"infer_fps": 1}).cameras[1].ptz == steered.cameras[1].ptz
    assert with_changes(steered, ["back"], {"ptz": None}).cameras[1].ptz is None
    with pytest.raises(ConfigError, match="guides the head of 'back'"):
        without_camera(steered, "front")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "name at least one key"),
        ({"name": "other"}, "name stays"),
        ({"source": None}, "found null"),
        ({"loop": "yes"}, "loop must be true or false"),
        ({"segment": "all"}, "segment must be one of"),
        ({"line": [{"name": "x", "points": [[0, 0]]}]}, "points"),
    ],
)
def test_a_change_that_cannot_be_meant(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_changes(CONFIG, ["front"], changes)


def test_another_cameras_missing_file_is_not_this_changes_fault(tmp_path: Path) -> None:
    config = RunConfig(
        "m3-cpu", (CameraConfig("gone", str(tmp_path / "gone.mp4")), CameraConfig("here", "test://"))
    )
    assert with_changes(config, ["here"], {"infer_fps": 1}).cameras[1].infer_fps == 1
    with pytest.raises(ConfigError, match="there is no file"):
        with_changes(config, ["gone"], {"infer_fps": 1})


def test_links_go_with_a_camera_and_come_back_with_it() -> None:
    without = without_camera(CONFIG, "back")
    assert without.links == () and [camera.name for camera in without.cameras] == ["front"]
    assert with_camera(without, {"name": "back", "source": "test://"}, LINKS).links == LINKS
    assert with_camera(without, {"name": "yard", "source": "test://"}, LINKS).links == ()
