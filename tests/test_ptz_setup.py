"""From the settings of a head to what steers it: what was measured is used, and what is not said is usual."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine import ptz_setup
from engine.config.ptz import PtzConfig
from engine.errors import ConfigError
from ptz.pose_log import Plant
from ptz.speed_table import SpeedTable
from ptz.types import Levels

HEAD = PtzConfig("hikvision", "http://192.0.2.7", 59.8)


def test_measured_speeds_and_latency_are_used(tmp_path: Path) -> None:
    speeds = tmp_path / "speeds.json"
    table = SpeedTable.family(most_deg_s=(20.0, 10.0), proportional=0.0)
    speeds.write_text(json.dumps({**table.to_json(), "command_latency_s": 0.31}))
    config = replace(HEAD, speeds=str(speeds))
    measured = ptz_setup.speeds_of(config).velocity(Levels(pan=100), 1.0).pan_deg_s
    assert measured == pytest.approx(20.0, rel=0.01)
    assert ptz_setup.follower_of(config).plant.command_latency_s == 0.31
    assert ptz_setup.follower_of(HEAD).plant.command_latency_s == Plant().command_latency_s


@pytest.mark.parametrize("text", ["[1, 2]", "{}", "not JSON", '{"pan": 3}'])
def test_a_file_that_holds_no_speeds_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    speeds = tmp_path / "speeds.json"
    speeds.write_text(text)
    with pytest.raises(
        ConfigError, match=r"cannot be read: .*engine-ptz calibrate writes such a file"
    ) as error:
        ptz_setup.speeds_of(replace(HEAD, speeds=str(speeds)))
    assert "\n" not in str(error.value)


def test_settings_reach_those_they_are_for() -> None:
    config = replace(
        HEAD, policy="zone", zone_deg=(350.0, 20.0, -30.0, 0.0), tilt_limits_deg=(-60.0, 5.0), zoom_limits=(1.0, 8.0),
        return_preset="3", return_s=5.0, resume_s=30.0, body_height=0.3, probe=False, channel=2,
    )  # fmt: skip
    settings = ptz_setup.follow_settings_of(config)
    assert settings.policy == "zone" and settings.zone.box_deg == (350.0, 20.0, -30.0, 0.0)
    assert settings.limits.tilt_deg == (-60.0, 5.0) and settings.limits.zoom == (1.0, 8.0)
    assert (settings.loss.return_to, settings.loss.return_preset, settings.loss.return_s) == (
        "preset",
        "3",
        5.0,
    )
    assert settings.zoom.body_height == 0.3 and settings.manual.resume_s == 30.0
    head = ptz_setup.head_settings_of(config)
    assert head.tilt_limits_deg == (-60.0, 5.0) and not head.probe
    assert ptz_setup.driver_of(config, lambda: 0.0).options.channel == 2
