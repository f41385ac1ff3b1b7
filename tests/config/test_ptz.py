"""The head of a camera in a cameras file: what it may say, and what is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.config import load_run_config, render_config
from engine.config.ptz import LAWS, POLICIES, PTZ_SETTINGS, RANGES, PtzConfig
from engine.config.settings import RunConfig
from engine.control import ptz as control_ptz
from engine.errors import ConfigError
from ptz import settings
from ptz.laws.base import law_names

HEAD = {
    "driver": "hikvision",
    "url": "http://192.0.2.7",
    "user": "${YARD_USER}",
    "password": "${YARD_PASSWORD}",
    "hfov_deg": 59.8,
    "lens": [[1, 59.8], [25, 3.3]],
    "tilt_limits_deg": [-60, 10],
    "guides": ["gate"],
}
ENVIRONMENT = {"YARD_USER": "operator", "YARD_PASSWORD": "s3cret"}


def loaded(folder: Path, head: dict[str, object], environ: dict[str, str] | None = None) -> RunConfig:
    path = folder / "cameras.json"
    cameras = [{"name": "yard", "source": "0", "ptz": head}, {"name": "gate", "source": "1"}]
    path.write_text(json.dumps({"camera": cameras}))
    return load_run_config("m3-cpu", path, {}, ENVIRONMENT if environ is None else environ).config


def test_a_head_is_read_and_travels_to_workers(tmp_path: Path) -> None:
    config = loaded(tmp_path, HEAD)
    head = config.cameras[0].ptz
    assert isinstance(head, PtzConfig) and config.cameras[1].ptz is None
    assert head.lens == ((1.0, 59.8), (25.0, 3.3)) and head.tilt_limits_deg == (-60.0, 10.0)
    assert RunConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_toml_has_a_table_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "cameras.toml"
    path.write_text(
        '[[camera]]\nname = "yard"\nsource = "0"\n[camera.ptz]\ndriver = "onvif"\n'
        'url = "http://192.0.2.7:8000"\nhfov_deg = 60\n'
    )
    config = load_run_config("m3-cpu", path, {}, {})
    head = config.config.cameras[0].ptz
    assert head is not None and (head.driver, head.hfov_deg) == ("onvif", 60.0)
    assert 'driver = "onvif"' in render_config(config)


def test_the_password_is_resolved_late_and_never_shown(tmp_path: Path) -> None:
    config = loaded(tmp_path, HEAD)
    head = config.cameras[0].ptz
    assert head is not None
    assert head.credentials(ENVIRONMENT) == ("operator", "s3cret")
    assert "s3cret" not in repr(config) + json.dumps(config.to_json())
    assert "YARD_PASSWORD" not in repr(head)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hfov_deg": None}, "hfov_deg must be a number from 1 to 170"),
        ({"hfov_deg": 0}, "hfov_deg must be a number from 1 to 170 (°), found 0"),
        ({"hfov_deg": float("nan")}, "hfov_deg must be a number from 1 to 170 (°), found nan"),
        ({"tilt_limits_deg": [10, -60]}, "tilt_limits_deg must rise from -90 or more to 90 or less, found [10"),
        ({"zoom_limits": [4, 2]}, "zoom_limits must rise from 1 or more"),
        ({"pan_limits_deg": [10, 400]}, "pan_limits_deg must be two directions from 0 to 360"),
        ({"pan_limits_deg": [10]}, "pan_limits_deg must be 2 numbers, [from, to], clockwise, 0 to 360, found [10]"),
        ({"lens": [[1, 60], [2, 70]]}, "lens must have rising zoom ratios and falling fields of view"),
        ({"lens": [[0, 60]]}, "lens holds a zoom ratio below 1"),
        ({"password": "s3cret"}, "password must be a reference such as ${CAMERA_PASSWORD}"),
        ({"user": "off"}, "user and password belong together"),
        ({"url": "http://admin:pw@192.0.2.7"}, "url must not hold credentials"),
        ({"url": "192.0.2.7"}, "url must be http://host[:port]"),
        ({"driver": "hikvison"}, "driver must be one of 'hikvision', 'isapi', 'onvif'"),
        ({"hfov": 60}, "unknown key 'hfov' (did you mean 'hfov_deg'?)"),
        ({"command_tilt_sign": 0}, "command_tilt_sign must be 1 or -1"),
        ({"policy": "zone"}, "the policy 'zone' needs zone_deg"),
        ({"policy": "tour"}, "the policy 'tour' needs tour"),
        ({"guides": ["yard"]}, "a camera cannot guide itself"),
        ({"guides": ["gates"]}, "guides: unknown camera 'gates' (did you mean 'gate'?)"),
        ({"speeds": "no-such.json"}, "there is no file of speeds 'no-such.json'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(tmp_path: Path, change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, {**HEAD, **change})
    assert said in str(error.value) and "\n" not in str(error.value)
    assert "s3cret" not in str(error.value) or "password" in change


def test_a_missing_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="YARD_PASSWORD is not set"):
        loaded(tmp_path, HEAD, {"YARD_USER": "operator"})


@pytest.mark.parametrize("missing", ["driver", "url", "hfov_deg"])
def test_what_is_needed_is_asked_for(tmp_path: Path, missing: str) -> None:
    head = {key: value for key, value in HEAD.items() if key != missing}
    with pytest.raises(ConfigError, match=f"{missing} is missing"):
        loaded(tmp_path, head)


def test_the_documentation_lists_every_key() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "ptz.md").read_text()
    for key in (*PTZ_SETTINGS, *RANGES, "lens"):
        assert f"\n| `{key}` |" in text, key


def test_names_are_those_of_the_parts_they_stand_for() -> None:
    """Written again where the parts themselves may not be imported."""
    assert settings.POLICIES == POLICIES == control_ptz.POLICIES
    assert sorted(LAWS) == law_names()
