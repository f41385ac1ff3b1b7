"""Settings: documented, within their own limits, light to import, and unchanged by the way to a worker."""

from __future__ import annotations

import json
import subprocess
import sys
import typing
from dataclasses import fields

import pytest

from engine.config import CameraConfig, InferConfig, OutputConfig, RunConfig
from engine.config.load import BYTES_PER_TRACKED_OBJECT
from engine.config.settings import SECTIONS, SETTINGS, default_of
from engine.config.values import checked
from engine.errors import ConfigError
from engine.types import Tracks


def test_every_field_of_every_section_is_a_documented_setting() -> None:
    for section, owner in SECTIONS.items():
        for field in fields(owner):
            assert SETTINGS[f"{section}.{field.name}"].about


@pytest.mark.parametrize("key", SETTINGS)
def test_defaults_are_allowed_by_their_own_limits(key: str) -> None:
    assert checked(SETTINGS[key], key, default_of(key), "default") == default_of(key)


@pytest.mark.parametrize("key", [key for key in SETTINGS if "." in key])
def test_the_described_kind_is_the_declared_type(key: str) -> None:
    section, _, name = key.partition(".")
    declared = typing.get_type_hints(SECTIONS[section])[name]
    assert SETTINGS[key].kind is (typing.get_origin(declared) or declared)


def test_bytes_per_object_is_that_of_the_tracks() -> None:
    assert BYTES_PER_TRACKED_OBJECT == Tracks.BYTES_PER_OBJECT


def test_a_run_travels_as_json_with_secrets_as_references() -> None:
    camera = CameraConfig("front", "rtsp://${USER}:${PASSWORD}@host/1", loop=True)
    config = RunConfig(
        "m3-cpu",
        (camera,),
        infer=InferConfig(classes=("person", "car"), confidence=0.3),
        output=OutputConfig(directory="elsewhere"),
        duration_s=2.5,
    )
    document = json.loads(json.dumps(config.to_json()))
    assert RunConfig.from_json(document) == config
    assert document["cameras"][0]["source"] == "rtsp://${USER}:${PASSWORD}@host/1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cameras": None}, "configuration from JSON: a profile and a list of cameras are needed"),
        (
            {"infer": {"lane": 1}},
            "configuration from JSON: unknown setting 'infer.lane' (did you mean 'infer.lanes'?)",
        ),
        ({"infer": 3}, "configuration from JSON: unknown setting 'infer' (did you mean 'infer.nms_iou'?)"),
        (
            {"control": {"port": "x"}},
            "configuration from JSON: control.port must be a whole number from 0 to 65535, found 'x'",
        ),
        ({"cameras": [{"name": "a"}]}, "configuration from JSON: source is missing"),
    ],
)
def test_json_that_is_no_configuration_is_refused(change: dict[str, object], message: str) -> None:
    document = RunConfig("m3-cpu", ()).to_json() | change
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_json(document)
    assert str(caught.value).split(" (did")[0] == message.split(" (did")[0]


def test_a_camera_never_shows_its_password() -> None:
    camera = CameraConfig("front", "rtsp://admin:hunter2@host/1?token=hunter2")
    config = RunConfig("m3-cpu", (camera,))
    for shown in (repr(camera), str(camera), repr(config), f"{config}"):
        assert "hunter2" not in shown
        assert "host/1" in shown


def test_references_are_resolved_from_the_environment() -> None:
    camera = CameraConfig("front", "rtsp://${USER}:${PASSWORD}@host/1")
    assert camera.resolved_source({"USER": "admin", "PASSWORD": "hunter2"}) == "rtsp://admin:hunter2@host/1"
    with pytest.raises(ConfigError, match="environment variable PASSWORD is not set"):
        camera.resolved_source({"USER": "admin"})


def test_configuration_imports_nothing_heavy() -> None:
    heavy = "numpy cv2 av onnxruntime orjson scipy rich starlette urllib.request"
    code = (
        "import sys, engine.config, engine.models.cli;"
        f"print([name for name in {heavy.split()!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
