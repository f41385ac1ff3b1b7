"""A run's configuration with a camera more, less or other than before: checked exactly as one that is loaded.

Pure functions from one `RunConfig` to another, which raise `ConfigError` with one line for what cannot be meant. Knows
no processes; what a change means for those is `engine.live_changes`.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from engine.config.cameras import check_cameras, check_unique_names
from engine.config.links import LinkConfig
from engine.config.load import check_together
from engine.config.publish import check_publish
from engine.config.scenes import expand_scenes
from engine.config.settings import (
    CAMERA_SETTINGS,
    TABLE_KEYS,
    CameraConfig,
    RunConfig,
    camera_from,
    camera_to_json,
)
from engine.errors import ConfigError

WHERE = "camera as given"


def with_camera(
    config: RunConfig,
    entry: Mapping[str, object],
    links: Sequence[LinkConfig] = (),
    environ: Mapping[str, str] | None = None,
) -> RunConfig:
    """The run with one camera more, from the keys of a `[[camera]]` table.

    links  those of the start, of which come back the ones whose cameras are both there again
    """
    found = expand_scenes([(camera_from(entry, WHERE), WHERE)], steered=True)
    if len(found) != 1:
        raise ConfigError(
            f"{WHERE}: its source stands for {len(found)} cameras; add them one by one, with camera=1 …"
        )
    camera = found[0][0]
    check_unique_names([*((each, "this run") for each in config.cameras), (camera, WHERE)])
    cameras = (*config.cameras, camera)
    names = {each.name for each in cameras}
    restored = tuple(
        link
        for link in links
        if link not in config.links
        and camera.name in (link.source, link.target)
        and {link.source, link.target} <= names
    )
    return _checked(replace(config, cameras=cameras, links=config.links + restored), {camera.name}, environ)


def with_changes(
    config: RunConfig,
    names: Sequence[str],
    changes: Mapping[str, object],
    environ: Mapping[str, str] | None = None,
) -> RunConfig:
    """The run with these keys of a `[[camera]]` table set anew for these cameras, which are there."""
    if not changes:
        raise ConfigError("changes: are empty; name at least one key of a [[camera]] table")
    if "name" in changes and set(names) != {changes["name"]}:
        raise ConfigError("changes: a camera's name stays; remove it and add one with the other name")
    for key in changes:
        if changes[key] is None and key in CAMERA_SETTINGS:
            raise ConfigError(f"changes: {key} must be {CAMERA_SETTINGS[key].expected}, found null")
    cameras = tuple(
        _changed(camera, changes) if camera.name in names else camera for camera in config.cameras
    )
    return _checked(replace(config, cameras=cameras), set(names), environ)


def without_camera(config: RunConfig, name: str) -> RunConfig:
    """The run without a camera, and without the links to it."""
    guided = [
        camera.name
        for camera in config.cameras
        if camera.ptz and name in camera.ptz.guides and camera.name != name
    ]
    if guided:
        raise ConfigError(
            f"camera {name!r} guides the head of {', '.join(map(repr, guided))}; take it out of ptz.guides there first"
        )
    cameras = tuple(camera for camera in config.cameras if camera.name != name)
    links = tuple(link for link in config.links if name not in (link.source, link.target))
    return replace(config, cameras=cameras, links=links)


def _changed(camera: CameraConfig, changes: Mapping[str, object]) -> CameraConfig:
    entry = camera_to_json(camera)
    for key, value in changes.items():
        # For zones and lines `null` says the same as an empty list.
        entry[key] = () if value is None and key in TABLE_KEYS and key != "ptz" else value
    return camera_from(entry, WHERE)


def _checked(config: RunConfig, concerned: set[str], environ: Mapping[str, str] | None) -> RunConfig:
    """Those concerned alone: that another camera's file is gone by now is not this change's fault."""
    variables = os.environ if environ is None else environ
    check_cameras([(camera, WHERE) for camera in config.cameras if camera.name in concerned], variables)
    origins: dict[str, str] = defaultdict(lambda: "this run")
    origins.update((f"camera.{name}", WHERE) for name in concerned)
    check_together(config, origins)
    check_publish(config.stream.publish, [camera.name for camera in config.cameras], WHERE, variables)
    return config
