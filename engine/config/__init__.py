"""Configuration: what the settings are (`settings`), where values come from (`load`), how they are shown."""

from engine.config.bus import BusConfig
from engine.config.control import ControlConfig
from engine.config.files import configs_dir
from engine.config.load import LoadedConfig, load_run_config
from engine.config.output import OutputConfig
from engine.config.render import render_config
from engine.config.segment import SegmentConfig
from engine.config.settings import (
    CameraConfig,
    DecodeConfig,
    InferConfig,
    PoolConfig,
    RunConfig,
    SupervisorConfig,
)
from engine.config.stream import StreamConfig
from engine.config.track import TrackConfig

__all__ = [
    "BusConfig",
    "CameraConfig",
    "ControlConfig",
    "DecodeConfig",
    "InferConfig",
    "LoadedConfig",
    "OutputConfig",
    "PoolConfig",
    "RunConfig",
    "SegmentConfig",
    "StreamConfig",
    "SupervisorConfig",
    "TrackConfig",
    "configs_dir",
    "load_run_config",
    "render_config",
]
