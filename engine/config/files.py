"""Where the configuration files lie and how they are read. Knows TOML and JSON, not what is in them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

from engine.errors import ConfigError
from engine.registry import nearest

_PACKAGE = Path(__file__).resolve().parent.parent
_PLACE = re.compile(r"^(?P<what>.*) \((?P<place>at (?:line \d+, column \d+|end of document))\)$", re.DOTALL)


def configs_dir() -> Path:
    """The folder of profiles and the registry of models: the installed package's, else the checkout's."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def read_table(path: Path) -> dict[str, object]:
    """The table in a TOML file, or in a JSON file if its name ends in `.json`.

    Raises `ConfigError` with the file, and the line where its syntax is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from error
    return _json_table(path, text) if path.suffix.lower() == ".json" else _toml_table(path, text)


def _toml_table(path: Path, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _PLACE.match(str(error))
        what, place = (match["what"], f", {match['place']}") if match else (str(error), "")
        raise ConfigError(f"{path}: not valid TOML{place}: {what}") from None


def _json_table(path: Path, text: str) -> dict[str, object]:
    try:
        table = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"at line {error.lineno}, column {error.colno}"
        raise ConfigError(f"{path}: not valid JSON, {place}: {error.msg}") from None
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: must hold a JSON object, found {type(table).__name__}")
    return table


def unknown_name(where: str, what: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for a name that does not exist, with the nearest one that does, or else all of them."""
    names = sorted(known)
    hint = nearest(name, names) or f"; use one of: {', '.join(names)}"
    return ConfigError(f"{where}: unknown {what} {name!r}{hint}")
