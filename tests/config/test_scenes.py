"""One source that stands for several cameras of a world."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import load_run_config
from engine.config.cameras import cameras_from_flags
from engine.config.scenes import expand_scenes
from engine.config.settings import CameraConfig
from engine.errors import ConfigError
from engine.sources.scene_settings import settings_of


def expanded(*sources: str, steered: bool = True) -> list[CameraConfig]:
    found = [(camera, "flag --source") for camera in cameras_from_flags(sources)]
    return [camera for camera, _ in expand_scenes(found, steered=steered)]


def test_the_first_is_fixed_and_the_others_are_steered() -> None:
    fixed, ptz, other = expanded("scene://plaza?cameras=3&fps=12&width=640&height=360")
    assert [camera.name for camera in (fixed, ptz, other)] == ["overview", "ptz", "ptz2"]
    assert fixed.ptz is None and ptz.ptz is not None and other.ptz is not None
    assert (ptz.ptz.driver, other.ptz.driver) == ("hikvision", "onvif")
    assert ptz.ptz.url != other.ptz.url and ptz.ptz.guides == ("overview",) and ptz.ptz.scene == "plaza"
    assert ptz.ptz.lens[0] == (1.0, 59.8) and ptz.ptz.hfov_deg == 59.8
    settings = settings_of(ptz.source)
    assert (settings.mount.name, settings.fps, settings.width, settings.name) == ("ptz", 12, 640, "ptz")
    assert ptz.ptz.url == f"http://127.0.0.1:{settings.http}"


def test_names_tell_scenes_apart() -> None:
    names = [camera.name for camera in expanded("scene://plaza?cameras=2", "town=scene://plaza?cameras=2")]
    assert names == ["cam0-overview", "cam0-ptz", "town-overview", "town-ptz"]
    assert expanded("town=scene://plaza?cameras=2")[1].ptz.guides == ("town-overview",)  # type: ignore[union-attr]


def test_other_sources_stay_as_they_are() -> None:
    sources = ("test://", "rtsp://host/stream?cameras=2", "scene://plaza?camera=2")
    assert [camera.source for camera in expanded(*sources)] == list(sources)


def test_without_steering_heads_stand_still() -> None:
    cameras = expanded("scene://plaza?cameras=2", steered=False)
    assert cameras[1].ptz is None and settings_of(cameras[1].source).http == 0


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("scene://plaza?cameras=9", "has 4 cameras, not 9"),
        ("scene://plaza?cameras=0", "must be a number from 1"),
        ("scene://nowhere?cameras=2", "no such scene; there are"),
        ("scene://plaza?cameras=2&camera=1", "camera= is for one camera"),
    ],
)
def test_what_is_wrong_is_said(source: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        expanded(source)


def test_zones_belong_to_one_camera(tmp_path: Path) -> None:
    path = tmp_path / "cameras.toml"
    path.write_text(
        '[[camera]]\nname = "town"\nsource = "scene://plaza?cameras=2"\n'
        '[[camera.zone]]\nname = "door"\npolygon = [[0, 0], [1, 0], [1, 1]]\n'
    )
    with pytest.raises(ConfigError, match="'town': zones, lines and ptz belong to one camera"):
        load_run_config("m3-cpu", path, {}, {})


def test_a_whole_run_is_loaded_and_an_offline_one_has_no_heads() -> None:
    flags = {"source": ["scene://plaza?cameras=2"]}
    live = load_run_config("m3-cpu", None, flags, {}).config
    assert [camera.ptz is not None for camera in live.cameras] == [False, True]
    offline = load_run_config("m3-cpu", None, {**flags, "offline": True}, {}).config
    assert [camera.ptz is not None for camera in offline.cameras] == [False, False]


@pytest.mark.parametrize(
    ("query", "latency_ms"), [("", 1.0), ("&latency_ms=250", 250.0), ("&latency_ms=9000", 5000.0)]
)
def test_a_head_knows_how_old_a_scenes_pictures_are(query: str, latency_ms: float) -> None:
    config = load_run_config("m3-cpu", None, {"source": [f"scene://plaza?cameras=2{query}"]}, {}).config
    head = config.cameras[1].ptz
    assert head is not None and head.image_latency_ms == latency_ms
