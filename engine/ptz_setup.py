"""From the settings of a camera's head to the parts that steer it. Nothing is connected or moved here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engine.config.identity import OFF
from engine.config.ptz import PtzConfig
from engine.errors import ConfigError
from ptz.drivers.base import DriverOptions, PtzDriver, create_driver
from ptz.follower import Follower
from ptz.head_settings import HeadSettings
from ptz.laws.base import create_law
from ptz.lens import Lens
from ptz.pilot import PilotSettings
from ptz.pose_log import Plant
from ptz.settings import (
    FollowSettings,
    Limits,
    LossSettings,
    ManualSettings,
    TargetSettings,
    TourSettings,
    ZoneSettings,
    ZoomSettings,
)
from ptz.speed_table import SpeedTable

USUAL_IMAGE_LATENCY_S: Final = 0.25
"""Age of a picture when it arrives, until it is measured: an IP camera over RTSP on a local network."""
LONGEST_LATENCY_S: Final = 2.0
ANY_ZOOM: Final = (1.0, 1000.0)
ANY_TILT: Final = (-90.0, 90.0)


def driver_of(config: PtzConfig, now: Callable[[], float]) -> PtzDriver:
    """The driver, not connected. Raises `ConfigError` where a secret is not set, `PtzUnsupported` for its name."""
    user, password = config.credentials()
    options = DriverOptions(
        url=config.url,
        user=user,
        password=password,
        channel=config.channel,
        timeout_s=config.timeout_s,
        position_pan_sign=config.position_pan_sign,
        position_tilt_sign=config.position_tilt_sign,
        command_pan_sign=config.command_pan_sign,
        command_tilt_sign=config.command_tilt_sign,
        pan_range_deg=config.pan_range_deg,
        tilt_range_deg=config.tilt_range_deg,
        zoom_range=config.zoom_range,
        zoom_scale=config.zoom_scale,
        login=config.login,
        tls_fingerprint="" if config.tls_fingerprint == OFF else config.tls_fingerprint,
    )
    return create_driver(config.driver, options, now)


def speeds_of(config: PtzConfig) -> SpeedTable:
    """Measured speeds, or those of most cameras. Raises `ConfigError` for a file that holds none."""
    measured = _measured(config)
    return SpeedTable.family() if measured is None else measured[0]


def _measured(config: PtzConfig) -> tuple[SpeedTable, float | None] | None:
    """What `engine-ptz calibrate` found: speeds, and how long after a command the head begins to obey."""
    if config.speeds_path is None:
        return None
    try:
        document = json.loads(Path(config.speeds_path).read_text())
        table = SpeedTable.from_json(document)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"speeds {config.speeds_path}: cannot be read: {error}; engine-ptz calibrate writes such a file"
        ) from None
    latency_s = document.get("command_latency_s")
    return table, float(latency_s) if isinstance(
        latency_s, float
    ) and 0 < latency_s < LONGEST_LATENCY_S else None


def follower_of(config: PtzConfig) -> Follower:
    """Who decides where it looks. Raises `PtzRefused` for settings that cannot be meant."""
    law = create_law(config.law)
    measured = _measured(config)
    latency_s = measured[1] if measured is not None else None
    plant = Plant(
        command_latency_s=Plant().command_latency_s if latency_s is None else latency_s,
        tilt_range_deg=config.tilt_limits_deg or ANY_TILT,
        zoom_range=config.zoom_limits or ANY_ZOOM,
    )
    return Follower(follow_settings_of(config), Lens(config.hfov_deg, config.lens), plant, law)


def follow_settings_of(config: PtzConfig) -> FollowSettings:
    """Whom, how large, and how far. The classes are the worker's business: who comes here is of the right one."""
    preset = "" if config.return_preset == OFF else config.return_preset
    return FollowSettings(
        policy=config.policy,
        image_latency_s=config.image_latency_ms / 1e3 or USUAL_IMAGE_LATENCY_S,
        targets=TargetSettings(class_ids=()),
        zoom=ZoomSettings(body_height=config.body_height),
        loss=LossSettings(
            search=config.search,
            return_s=config.return_s,
            return_to="preset" if preset else "start",
            return_preset=preset,
        ),
        limits=Limits(
            config.pan_limits_deg, config.tilt_limits_deg or ANY_TILT, config.zoom_limits or ANY_ZOOM
        ),
        zone=ZoneSettings(box_deg=config.zone_deg),
        manual=ManualSettings(config.resume_s),
        tour=TourSettings(config.tour, config.tour_dwell_s, interrupt=True),
    )


def head_settings_of(config: PtzConfig) -> HeadSettings:
    """How often it is told what, and where it may not go."""
    return HeadSettings(
        pan_limits_deg=config.pan_limits_deg,
        tilt_limits_deg=config.tilt_limits_deg,
        zoom_limits=config.zoom_limits,
        probe=config.probe,
    )


def pilot_settings_of(config: PtzConfig) -> PilotSettings:
    """When following goes on after an operator."""
    return PilotSettings(resume_s=config.resume_s)
