"""Settings as text: the effective configuration for `--print-config`, and the table in the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterator

from engine.config.load import LoadedConfig, variable_of
from engine.config.ptz import PtzConfig, ptz_to_json
from engine.config.settings import SECTIONS, SETTINGS, CameraConfig, default_of
from engine.secrets import mask_text, mask_url

_COMMENT_COLUMN = 44


def render_config(loaded: LoadedConfig) -> str:
    """The effective configuration as TOML, each value with where it came from, credentials masked."""
    config, origins = loaded.config, loaded.origins
    lines = [f"# profile {mask_text(config.profile)}"]
    for section in ("", *SECTIONS):
        owner = getattr(config, section) if section else config
        lines += ["", f"[{section}]"] if section else []
        for key in SETTINGS:
            group, _, name = key.rpartition(".")
            if group == section:
                lines.append(_line(name, getattr(owner, name), origins[key]))
    for camera in config.cameras:
        lines += ["", f"[[camera]]  # {origins[f'camera.{camera.name}']}"]
        lines += [f"name = {toml_value(camera.name)}", f"source = {toml_value(mask_url(camera.source))}"]
        lines += [
            f"loop = {toml_value(camera.loop)}",
            f"rtsp_transport = {toml_value(camera.rtsp_transport)}",
            f"infer_fps = {toml_value(camera.infer_fps)}",
            f"segment = {toml_value(camera.segment)}",
        ]
        lines += _region_lines(camera)
        lines += _ptz_lines(camera.ptz)
    return "\n".join(lines) + "\n"


def _region_lines(camera: CameraConfig) -> Iterator[str]:
    for zone in camera.zones:
        yield from ("", "[[camera.zone]]", f"name = {toml_value(zone.name)}")
        yield f"polygon = {toml_value(zone.polygon)}"
        yield from (f"classes = {toml_value(zone.classes)}", f"dwell_s = {toml_value(zone.dwell_s)}")
    for line in camera.lines:
        yield from ("", "[[camera.line]]", f"name = {toml_value(line.name)}")
        yield from (f"points = {toml_value(line.points)}", f"classes = {toml_value(line.classes)}")


def _ptz_lines(ptz: PtzConfig | None) -> Iterator[str]:
    if ptz is not None:
        yield from ("", "[camera.ptz]")
        for key, value in ptz_to_json(ptz).items():
            yield f"{key} = {mask_text(toml_value(value))}"


def _line(name: str, value: object, origin: str) -> str:
    # TOML has no null.
    text = f"# {name} is not set" if value is None else f"{name} = {mask_text(toml_value(value))}"
    return f"{text:<{_COMMENT_COLUMN}}  # {mask_text(origin)}"


def toml_value(value: object) -> str:
    """A value as TOML writes it. TOML strings are JSON strings, as long as no surrogates are in them."""
    if isinstance(value, tuple):
        return "[" + ", ".join(toml_value(part) for part in value) + "]"
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{json.dumps(name)} = {toml_value(part)}" for name, part in value.items()) + "}"
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def settings_table() -> str:
    """All settings as a Markdown table, for docs/configuration.md."""
    return "\n".join(_table_rows()) + "\n"


def _table_rows() -> Iterator[str]:
    yield "| setting | default | allowed | what and why | flag, variable |"
    yield "|---|---|---|---|---|"
    for key, setting in SETTINGS.items():
        default = default_of(key)
        shown = "unset" if default is None else f"`{toml_value(default)}`"
        names = ", ".join(f"`{name}`" for name in (setting.flag, variable_of(key)) if name)
        yield f"| `{key}` | {shown} | {setting.expected} | {setting.about} | {names} |"
