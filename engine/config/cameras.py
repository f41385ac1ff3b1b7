"""Which cameras: from a cameras file and from `--source` flags.

Checks what can be known before anything is opened: names, missing local files, references to environment
variables that are not set. Does not know how a source is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

from engine.config.files import read_table, unknown_name
from engine.config.settings import CAMERA_SETTINGS, CameraConfig, camera_from
from engine.config.values import checked
from engine.errors import ConfigError
from engine.secrets import mask_url, resolve_references

_NAMED_SOURCE = re.compile(r"(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*)=(?P<source>.+)", re.DOTALL)
_LONGEST_NAME_BYTES = 100


def cameras_from_file(path: Path) -> list[CameraConfig]:
    """The cameras of a file: `[[camera]]` tables in TOML, or `{"camera": [...]}` in JSON. Links: `engine.config.links`.

    Raises `ConfigError`.
    """
    table = read_table(path)
    for key in table:
        if key not in ("camera", "link"):
            raise unknown_name(str(path), "key", key, ["camera", "link"])
    entries = table.get("camera", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(f"{path}: camera must be a list of tables: write [[camera]], not [camera]")
    if not entries:
        raise ConfigError(f"{path}: names no camera; add a [[camera]] table with name and source")
    return [camera_from(entry, f"{path}, camera {number}") for number, entry in enumerate(entries, start=1)]


def cameras_from_flags(sources: Iterable[str]) -> list[CameraConfig]:
    """`--source URL` makes cam0, cam1, …; `--source NAME=URL` names the camera. Raises `ConfigError`."""
    cameras = []
    for number, text in enumerate(sources):
        name, source = f"cam{number}", text
        match = _NAMED_SOURCE.fullmatch(text)
        # A file whose own name has a `=` in it is a file.
        if match and not os.path.exists(text):
            name, source = match["name"], match["source"]
        if not source.strip():
            raise ConfigError("flag --source: is empty; give a URL, a file or the number of a webcam")
        cameras.append(CameraConfig(name, source))
    return cameras


def check_cameras(cameras: Iterable[tuple[CameraConfig, str]], environ: Mapping[str, str]) -> None:
    """Raise `ConfigError` for the first camera that cannot work. Each comes with the place that named it."""
    cameras = list(cameras)
    check_unique_names(cameras)
    for camera, where in cameras:
        _check_source(camera, where, environ)
        _check_poses(camera, where)
        _check_ptz(camera, where, environ)


def check_unique_names(cameras: Iterable[tuple[CameraConfig, str]]) -> None:
    """Raise `ConfigError` for the first name that no file can have, or that another camera has already."""
    seen: dict[str, str] = {}
    for camera, where in cameras:
        _check_name(camera.name, where)
        # Output files carry the name, and some file systems do not tell capitals from small letters.
        folded = camera.name.casefold()
        if folded in seen:
            same = (
                "is used twice"
                if seen[folded] == camera.name
                else f"differs from {seen[folded]!r} only in case"
            )
            raise ConfigError(f"{where}: camera name {camera.name!r} {same}; names must be unique")
        seen[folded] = camera.name


def _check_name(name: str, where: str) -> None:
    problem = ""
    if not name.strip():
        problem = "is empty"
    elif "/" in name or "\\" in name:
        problem = "holds a slash"
    elif name.startswith(".") or name != name.strip() or not name.isprintable():
        problem = "starts with a dot, or holds outer blanks or control characters"
    elif len(name.encode()) > _LONGEST_NAME_BYTES:
        problem = f"is longer than {_LONGEST_NAME_BYTES} bytes"
    if problem:
        raise ConfigError(f"{where}: camera name {name!r} {problem}; output files are called after it")


def _check_source(camera: CameraConfig, where: str, environ: Mapping[str, str]) -> None:
    try:
        resolve_references(camera.source, environ)
    except ConfigError as error:
        raise ConfigError(f"{where}: camera {camera.name!r}: {error}") from None
    path = local_path(camera.resolved_source(environ))
    # A device that is not plugged in yet is waited for, like any other camera that is down at the start.
    if path is None or path.is_relative_to("/dev"):
        return
    if not os.path.exists(path):
        shown = mask_url(camera.source)
        raise ConfigError(
            f"{where}: camera {camera.name!r}: there is no file {shown!r} (looked from {os.getcwd()})"
        )
    if not os.access(path, os.R_OK):
        raise ConfigError(f"{where}: camera {camera.name!r}: no permission to read {str(path)!r}")


def _check_poses(camera: CameraConfig, where: str) -> None:
    path = camera.poses_path
    if path is not None and not os.path.isfile(path):
        raise ConfigError(
            f"{where}: camera {camera.name!r}: there is no file of poses {path!r} (looked from {os.getcwd()})"
        )
    if path is not None and not os.access(path, os.R_OK):
        raise ConfigError(f"{where}: camera {camera.name!r}: no permission to read {path!r}")


def _check_ptz(camera: CameraConfig, where: str, environ: Mapping[str, str]) -> None:
    if camera.ptz is None:
        return
    try:
        camera.ptz.credentials(environ)
    except ConfigError as error:
        raise ConfigError(f"{where}: camera {camera.name!r}, ptz: {error}") from None
    if camera.ptz.speeds_path is not None and not os.path.isfile(camera.ptz.speeds_path):
        raise ConfigError(
            f"{where}: camera {camera.name!r}, ptz: there is no file of speeds {camera.ptz.speeds_path!r} "
            f"(looked from {os.getcwd()}); engine-ptz calibrate writes one"
        )


def local_path(source: str) -> Path | None:
    """The path that a resolved source names, None for URLs of other schemes and for webcam numbers."""
    if source.isdecimal():
        return None
    try:
        parts = urlsplit(source)
    except ValueError:
        return None
    if parts.scheme.lower() == "file":
        return Path(unquote(parts.path))
    # A scheme of one letter is a drive or a file name with a colon in it.
    return Path(source) if len(parts.scheme) <= 1 else None


def with_flags(camera: CameraConfig, flags: Mapping[str, object]) -> CameraConfig:
    """The camera with `--loop` or `--rtsp-transport`, which speak of all cameras."""
    loop = flags["loop"] if flags.get("loop") is not None else camera.loop
    transport = flags["rtsp_transport"] if flags.get("rtsp_transport") is not None else camera.rtsp_transport
    checked(CAMERA_SETTINGS["loop"], "loop", loop, "flag --loop")
    checked(CAMERA_SETTINGS["rtsp_transport"], "rtsp_transport", transport, "flag --rtsp-transport")
    return replace(camera, loop=cast(bool, loop), rtsp_transport=cast(str, transport))
