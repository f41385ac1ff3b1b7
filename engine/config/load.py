"""From files, environment and flags to one `RunConfig`, remembering where each value came from.

A flag beats the environment, the environment beats the profile file, the file beats the default. Values that
are beaten are checked all the same, so that a wrong file is found before the flag that hides it is gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

from engine.config.bus import check_bus
from engine.config.cameras import cameras_from_file, cameras_from_flags, check_cameras, with_flags
from engine.config.files import configs_dir, read_table, unknown_name
from engine.config.identity import OFF
from engine.config.links import check_links, links_from_file
from engine.config.publish import check_live, check_publish
from engine.config.regions import MOST_REGIONS_OF_RUN
from engine.config.scenes import expand_scenes
from engine.config.segment import DETECTOR_AS_SEGMENTER
from engine.config.settings import (
    MOST_FRAMES_HELD,
    SECTIONS,
    SETTINGS,
    CameraConfig,
    RunConfig,
    assemble,
)
from engine.config.values import checked, parsed
from engine.errors import ConfigError

ENVIRONMENT_PREFIX = "ENGINE_"
OTHER_VARIABLES = frozenset(
    {"ENGINE_LOGINS", "ENGINE_MODELS", "ENGINE_TEST_DATA"}
    | {f"ENGINE_TOKEN_{role}" for role in ("VIEWER", "OPERATOR", "ADMIN")}
)
"""Variables with our prefix that are no settings: folders of refused logins, of models, and of test data; tokens."""

CAMERA_FLAGS = ("source", "loop", "rtsp_transport")
"""Flags that speak of cameras: a list of sources, and two that hold for every camera."""

BYTES_PER_TRACKED_OBJECT = 56
"""`engine.types.Tracks.BYTES_PER_OBJECT`, which would import numpy here."""

_Value = tuple[str, object, str]
"""Dotted name, checked value, origin in words."""


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration and, by dotted name (`infer.model`, `camera.front`), where each value came from."""

    config: RunConfig
    origins: Mapping[str, str]


def load_run_config(
    profile: str,
    cameras_file: Path | None,
    flags: Mapping[str, object],
    environ: Mapping[str, str] | None = None,
    presets: tuple[Mapping[str, object], str] = ({}, ""),
) -> LoadedConfig:
    """Read and check everything.

    profile  name of a profile that comes with the engine, or path of a TOML file
    flags    by dotted name (`infer.model`, `duration_s`) the flags that were given, None = not given;
             besides `source` (list of texts), `loop` and `rtsp_transport` for the cameras
    presets  by dotted name what takes the place of defaults and of profiles that come with the engine, and is beaten
             by everything that the user has said; and where it is from, in words

    Raises `ConfigError`, which names the file, variable or flag, the key, and the nearest valid name.
    """
    variables = os.environ if environ is None else environ
    path = find_profile(profile)
    values: dict[str, object] = {}
    origins = dict.fromkeys(SETTINGS, "default")
    from_profile, preset = _from_profile(path, read_table(path)), _from_presets(*presets)
    own_profile = path.parent != configs_dir() / "profiles"
    lowest = (preset, from_profile) if own_profile else (from_profile, preset)
    for layer in (*lowest, _from_environment(variables), _from_flags(flags)):
        for key, value, origin in layer:
            values[key], origins[key] = value, origin
    cameras = _cameras(cameras_file, flags, variables, steered=not values.get("offline", False))
    origins.update((f"camera.{camera.name}", where) for camera, where in cameras)
    config = assemble(profile, tuple(camera for camera, _ in cameras), values)
    if cameras_file is not None:
        config = replace(config, links=links_from_file(cameras_file))
        check_links(config.links, [camera.name for camera in config.cameras], f"cameras file {cameras_file}")
    check_together(config, origins)
    check_bus(config.bus, origins, variables)
    names = [camera.name for camera in config.cameras]
    check_live(config.stream, offline=config.offline, where=origins["stream.publish"])
    check_publish(config.stream.publish, names, origins["stream.publish"], variables)
    return LoadedConfig(config, origins)


def find_profile(profile: str) -> Path:
    """The file of a profile. Raises `ConfigError` with the names there are."""
    if profile.endswith(".toml") or os.sep in profile:
        return Path(profile).expanduser()
    folder = configs_dir() / "profiles"
    path = folder / f"{profile}.toml"
    if not path.is_file():
        known = [file.stem for file in folder.glob("*.toml")]
        error = unknown_name("flag --profile", "profile", profile, known)
        raise ConfigError(f"{error}; a path must end in .toml")
    return path


def _from_profile(path: Path, table: Mapping[str, object]) -> Iterator[_Value]:
    top = [key for key in SETTINGS if "." not in key]
    origin = f"profile {path}"
    for name, content in table.items():
        if name in SECTIONS:
            if not isinstance(content, Mapping):
                raise ConfigError(f"{path}: {name} must be a section: write [{name}], found {content!r}")
            for key, value in content.items():
                dotted = f"{name}.{key}"
                if dotted not in SETTINGS:
                    known = [other.partition(".")[2] for other in SETTINGS if other.startswith(f"{name}.")]
                    raise unknown_name(f"{path}, section [{name}]", "key", key, known)
                yield dotted, checked(SETTINGS[dotted], dotted, value, str(path)), origin
        elif name in top:
            yield name, checked(SETTINGS[name], name, content, str(path)), origin
        elif isinstance(content, Mapping):
            raise unknown_name(str(path), "section", name, SECTIONS)
        else:
            raise unknown_name(str(path), "key", name, [*top, *SECTIONS])


def variable_of(key: str) -> str:
    """The environment variable of a setting: `infer.model` → `ENGINE_INFER_MODEL`."""
    return ENVIRONMENT_PREFIX + key.replace(".", "_").upper()


def _from_presets(presets: Mapping[str, object], origin: str) -> Iterator[_Value]:
    for key, value in presets.items():
        yield key, checked(SETTINGS[key], key, value, origin), origin


def _from_environment(environ: Mapping[str, str]) -> Iterator[_Value]:
    keys = {variable_of(key): key for key in SETTINGS}
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in OTHER_VARIABLES:
            continue
        if variable not in keys:
            raise unknown_name("environment", "variable", variable, [*keys, *OTHER_VARIABLES])
        key, where = keys[variable], f"environment variable {variable}"
        yield key, parsed(SETTINGS[key], key, environ[variable], where), where


def _from_flags(flags: Mapping[str, object]) -> Iterator[_Value]:
    for key, value in flags.items():
        if value is None or key in CAMERA_FLAGS:
            continue
        if key not in SETTINGS:
            raise unknown_name("flags", "setting", key, [*SETTINGS, *CAMERA_FLAGS])
        where = f"flag {SETTINGS[key].flag or key}"
        if isinstance(value, str):
            yield key, parsed(SETTINGS[key], key, value, where), where
        else:
            yield key, checked(SETTINGS[key], key, value, where), where


def _cameras(
    path: Path | None, flags: Mapping[str, object], environ: Mapping[str, str], *, steered: bool
) -> list[tuple[CameraConfig, str]]:
    sources = flags.get("source") or ()
    if isinstance(sources, str) or not isinstance(sources, Sequence):
        raise ConfigError(f"flag --source: must be a list of texts, found {type(sources).__name__}")
    found = [(camera, f"cameras file {path}") for camera in (cameras_from_file(path) if path else ())]
    found += [(camera, "flag --source") for camera in cameras_from_flags(sources)]
    found = expand_scenes(found, steered=steered)
    check_cameras(found, environ)
    return [(with_flags(camera, flags), where) for camera, where in found]


def check_together(config: RunConfig, origins: Mapping[str, str]) -> None:
    """Raise `ConfigError` for settings of which each is fine and which do not go together."""
    needed_kib = -(-config.infer.max_objects * BYTES_PER_TRACKED_OBJECT // 1024)
    if needed_kib > config.pool.result_slot_kib:
        raise ConfigError(
            f"{origins['infer.max_objects']}: infer.max_objects = {config.infer.max_objects} needs "
            f"pool.result_slot_kib of at least {needed_kib}, found {config.pool.result_slot_kib} "
            f"({origins['pool.result_slot_kib']})"
        )
    _check_frames_held(config, origins)
    _check_attach(config, origins)
    _check_segmenter(config, origins)
    _check_guides(config, origins)
    _check_recording(config, origins)
    _check_record(config, origins)
    if (
        config.identity.file != OFF
        and config.identity.scope == OFF
        and origins["identity.scope"] == "default"
    ):
        raise ConfigError(
            f"{origins['identity.file']}: identity.file = {config.identity.file}, but identity.scope is off by "
            "default; set it to camera or global, or to off, which deletes the file"
        )
    regions = sum(len(camera.zones) + len(camera.lines) for camera in config.cameras)
    if regions > MOST_REGIONS_OF_RUN:
        raise ConfigError(f"a run may have {MOST_REGIONS_OF_RUN} zones and lines in all, found {regions}")


def _check_recording(config: RunConfig, origins: Mapping[str, str]) -> None:
    """Only segments can be deleted one by one."""
    for key, kept in (("output.keep_h", config.output.keep_h), ("output.keep_gib", config.output.keep_gib)):
        if kept and not config.output.segment_s:
            raise ConfigError(
                f"{origins[key]}: {key} = {kept:g} needs output.segment_s: one file for the whole run cannot go in part"
            )


def _check_record(config: RunConfig, origins: Mapping[str, str]) -> None:
    """One video of all cameras holds a frame of each."""
    most = MOST_FRAMES_HELD - 3
    if config.output.record != OFF and config.pool.history > most:
        raise ConfigError(
            f"{origins['pool.history']}: pool.history may be {most} at most with output.record "
            f"({origins['output.record']}), found {config.pool.history}"
        )


def _check_guides(config: RunConfig, origins: Mapping[str, str]) -> None:
    """A head is guided by other cameras of the run."""
    names = [camera.name for camera in config.cameras]
    for camera in config.cameras:
        for guide in camera.ptz.guides if camera.ptz else ():
            where = f"{origins[f'camera.{camera.name}']}: camera {camera.name!r}, ptz: guides"
            if guide == camera.name:
                raise ConfigError(f"{where}: a camera cannot guide itself")
            if guide not in names:
                raise unknown_name(where, "camera", guide, names)


def _check_segmenter(config: RunConfig, origins: Mapping[str, str]) -> None:
    """The detector's masks have neither memory nor prompts."""
    if config.segment.model != DETECTOR_AS_SEGMENTER:
        return
    modes = [(camera.segment, origins[f"camera.{camera.name}"]) for camera in config.cameras]
    for mode, origin in [(config.segment.mode, origins["segment.mode"]), *modes]:
        if mode not in ("", "off", "boxes"):
            raise ConfigError(
                f"{origin}: segment mode {mode!r} needs SAM2, and segment.model is "
                f"{DETECTOR_AS_SEGMENTER!r} ({origins['segment.model']}), which gives masks in mode 'boxes' only"
            )


def _check_frames_held(config: RunConfig, origins: Mapping[str, str]) -> None:
    """Live a call of the detector holds one frame of a camera at most, offline a whole batch of them."""
    keys = {"infer.lanes": max(1, config.infer.lanes), "infer.batch": max(1, config.infer.batch)}
    if not config.offline:
        del keys["infer.batch"]
    history = config.pool.history
    if prod(keys.values()) + history > MOST_FRAMES_HELD:
        where = [origins[key] for key in (*keys, "pool.history")]
        raise ConfigError(
            f"{' × '.join(keys)} + pool.history may be {MOST_FRAMES_HELD} at most, which is what a pool of "
            f"frames holds; found {' × '.join(map(str, keys.values()))} + {history} ({', '.join(where)})"
        )


def _check_attach(config: RunConfig, origins: Mapping[str, str]) -> None:
    """Who attaches itself is never waited for, and holds a frame more."""
    if config.output.attach == OFF:
        return
    if config.offline:
        raise ConfigError(
            f"{origins['output.attach']}: nobody can attach to an offline run, which would have to wait for him; "
            "read such a run by the program that starts it (docs/python_api.md)"
        )
    most = MOST_FRAMES_HELD - 2  # the frame that a program holds, and room for it
    if config.pool.history > most:
        raise ConfigError(
            f"{origins['pool.history']}: pool.history may be {most} at most with output.attach, found "
            f"{config.pool.history}"
        )
