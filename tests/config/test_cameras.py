"""Cameras: from files and flags, and what is refused before anything is opened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.config import CameraConfig, configs_dir, load_run_config
from engine.config.cameras import cameras_from_file, cameras_from_flags, local_path
from engine.errors import ConfigError

FRONT = {"name": "front", "source": "rtsp://host/1", "loop": True, "rtsp_transport": "udp"}


def write(path: Path, *cameras: dict[str, object]) -> Path:
    if path.suffix == ".json":
        path.write_text(json.dumps({"camera": cameras}))
    else:
        tables = ("[[camera]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in c.items()) for c in cameras)
        path.write_text("\n".join(tables))
    return path


def loaded(path: Path | None = None, *sources: str, **flags: object) -> tuple[CameraConfig, ...]:
    return load_run_config("m3-cpu", path, {"source": list(sources), **flags}, {}).config.cameras


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_a_file_in_toml_or_json(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"cameras.{suffix}", FRONT, {"name": "back", "source": "0"})
    assert loaded(path) == (
        CameraConfig("front", "rtsp://host/1", loop=True, rtsp_transport="udp"),
        CameraConfig("back", "0"),
    )


def test_the_two_examples_say_the_same() -> None:
    toml, json_ = (
        cameras_from_file(configs_dir() / f"cameras.example.{suffix}") for suffix in ("toml", "json")
    )
    assert toml == json_
    assert [camera.name for camera in toml] == ["front-door", "webcam"]


def test_sources_are_numbered_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a=b.mp4").touch()
    found = cameras_from_flags(["rtsp://h/x?channel=1", "front=rtsp://h/2", "a=b.mp4", "0", "side=0"])
    assert [(camera.name, camera.source) for camera in found] == [
        ("cam0", "rtsp://h/x?channel=1"),
        ("front", "rtsp://h/2"),
        ("cam2", "a=b.mp4"),
        ("cam3", "0"),
        ("side", "0"),
    ]


def test_flags_add_to_the_file_and_speak_of_all_cameras(tmp_path: Path) -> None:
    path = write(tmp_path / "cameras.toml", {"name": "front", "source": "rtsp://host/1"})
    assert loaded(path, "1", loop=True, rtsp_transport="udp") == (
        CameraConfig("front", "rtsp://host/1", loop=True, rtsp_transport="udp"),
        CameraConfig("cam0", "1", loop=True, rtsp_transport="udp"),
    )


def test_a_run_may_have_no_camera_yet() -> None:
    assert loaded() == ()


BAD_CAMERAS = [
    ([], ": names no camera; add a [[camera]] table with name and source"),
    ([{"name": "a"}], ", camera 1: source is missing"),
    ([FRONT, {"name": "b", "sorce": "0"}], ", camera 2: unknown key 'sorce' (did you mean 'source'?)"),
    ([FRONT | {"loop": 1}], ", camera 1: loop must be true or false, found 1"),
    ([FRONT | {"name": ""}], ", camera 1: name must be a line of text, not empty, found ''"),
    (
        [FRONT | {"rtsp_transport": "tls"}],
        ", camera 1: rtsp_transport must be one of 'tcp', 'udp', found 'tls'",
    ),
]


@pytest.mark.parametrize("suffix", ["toml", "json"])
@pytest.mark.parametrize(("cameras", "message"), BAD_CAMERAS)
def test_a_wrong_cameras_file_is_refused(
    tmp_path: Path, suffix: str, cameras: list[dict[str, object]], message: str
) -> None:
    path = write(tmp_path / f"cameras.{suffix}", *cameras)
    with pytest.raises(ConfigError) as caught:
        loaded(path)
    assert str(caught.value) == f"{path}{message}"


BAD_NAMES = [
    ("a/b", "'a/b' holds a slash"),
    ("a\\b", "'a\\\\b' holds a slash"),
    ("..", "'..' starts with a dot, or holds outer blanks or control characters"),
    ("a ", "'a ' starts with a dot, or holds outer blanks or control characters"),
    ("é" * 51, f"'{'é' * 51}' is longer than 100 bytes"),
]


@pytest.mark.parametrize(("name", "message"), BAD_NAMES)
def test_names_that_cannot_be_file_names_are_refused(tmp_path: Path, name: str, message: str) -> None:
    path = write(tmp_path / "cameras.toml", FRONT | {"name": name})
    with pytest.raises(ConfigError) as caught:
        loaded(path)
    assert (
        str(caught.value) == f"cameras file {path}: camera name {message}; output files are called after it"
    )


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["a=0", "a=1"], "flag --source: camera name 'a' is used twice; names must be unique"),
        (["cam1=0", "1"], "flag --source: camera name 'cam1' is used twice; names must be unique"),
        (["Yard=0", "yard=1"],
         "flag --source: camera name 'yard' differs from 'Yard' only in case; names must be unique"),
        ([""], "flag --source: is empty; give a URL, a file or the number of a webcam"),
        (["rtsp://u:${NO_PASSWORD}@h/"],
         "flag --source: camera 'cam0': environment variable NO_PASSWORD is not set, but rtsp://***@h/ "
         "refers to it"),
    ],
)  # fmt: skip
def test_sources_that_cannot_work_are_refused(sources: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(None, *sources)
    assert str(caught.value) == message


@pytest.mark.parametrize("prefix", ["", "file:", "file://", "clip="])
def test_a_missing_file_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    source = f"{prefix}{tmp_path}/my%20clip.mp4" if prefix.startswith("file") else f"{prefix}my clip.mp4"
    name = "clip" if prefix == "clip=" else "cam0"
    shown = source.removeprefix("clip=")
    with pytest.raises(ConfigError) as caught:
        loaded(None, source)
    assert str(caught.value) == (
        f"flag --source: camera {name!r}: there is no file {shown!r} (looked from {tmp_path})"
    )
    (tmp_path / "my clip.mp4").touch()
    assert len(loaded(None, source)) == 1


def test_a_missing_file_of_poses_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "cameras.toml"
    path.write_text('[[camera]]\nname = "gate"\nsource = "test://"\nposes = "gate.csv"\n')
    with pytest.raises(ConfigError) as caught:
        loaded(path)
    assert str(caught.value) == (
        f"cameras file {path}: camera 'gate': there is no file of poses 'gate.csv' (looked from {tmp_path})"
    )
    (tmp_path / "gate.csv").touch()
    assert loaded(path)[0].poses_path == "gate.csv"


def test_no_poses_unless_a_file_is_named() -> None:
    assert CameraConfig("gate", "test://").poses_path is None
    assert CameraConfig("gate", "test://", poses="~/gate.csv").poses_path == str(Path.home() / "gate.csv")


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("clip.mp4", Path("clip.mp4")),
        ("c:lip.mp4", Path("c:lip.mp4")),
        ("file:///a/b%20c.mp4", Path("/a/b c.mp4")),
        ("rtsp://host/a.mp4", None),
        ("test://", None),
        ("0", None),
        ("rtsp://[broken", None),
    ],
)
def test_what_is_a_local_file(source: str, path: Path | None) -> None:
    assert local_path(source) == path


def test_a_device_that_is_not_there_yet_is_waited_for() -> None:
    assert loaded(None, "/dev/video97")[0].source == "/dev/video97"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.json", "[]", ": must hold a JSON object, found list"),
        ("c.json", '{\n"camera": oops}', ": not valid JSON, at line 2, column 11: Expecting value"),
        (
            "c.toml",
            "[camera]\nname = 'a'",
            ": camera must be a list of tables: write [[camera]], not [camera]",
        ),
        ("c.toml", "[[cameras]]\nname = 'a'", ": unknown key 'cameras' (did you mean 'camera'?)"),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        loaded(path)
    assert str(caught.value) == f"{path}{message}"


def test_flags_that_speak_of_all_cameras_leave_their_own_settings_alone(tmp_path: Path) -> None:
    path = tmp_path / "cameras.toml"
    path.write_text('[[camera]]\nname = "gate"\nsource = "test://"\ninfer_fps = 4.0\n')
    for flags in ({}, {"loop": True}, {"rtsp_transport": "udp"}):
        (camera,) = load_run_config("m3-cpu", path, flags, {}).config.cameras
        assert camera.infer_fps == 4.0
