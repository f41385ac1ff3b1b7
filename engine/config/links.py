"""Links between cameras: how long people take from one to another. `[[link]]` tables of the cameras file.

Checks names and times; what follows from them is decided in `engine.identity.gates`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.config.files import read_table, unknown_name
from engine.config.values import Setting, checked
from engine.errors import ConfigError

LONGEST_S = 31536000.0


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """Whoever leaves the picture of `source` may come into that of `target` within these times, and the other way.

    least_s, most_s  seconds from being seen last to being seen first; 0: the pictures overlap, or nearly so. No
                     `most_s`: as long as anybody is remembered
    one_way          not the other way round
    """

    source: str
    target: str
    least_s: float = 0.0
    most_s: float | None = None
    one_way: bool = False


LINK_SETTINGS: dict[str, Setting] = {
    "from": Setting(str, "name of a camera"),
    "to": Setting(str, "name of another camera"),
    "least_s": Setting(
        float,
        "shortest time from being seen last by the one to being seen first by the other; 0 = their pictures overlap",
        unit="s",
        bounds=(0.0, LONGEST_S),
    ),
    "most_s": Setting(
        float, "longest such time; unset = `identity.ttl_s`", unit="s", bounds=(0.0, LONGEST_S), optional=True
    ),
    "one_way": Setting(bool, "the way back is another link, or none"),
}
"""The keys of one link in a cameras file."""


def links_from_file(path: Path) -> tuple[LinkConfig, ...]:
    """The links of a cameras file: `[[link]]` tables in TOML, or `{"link": [...]}` in JSON. Raises `ConfigError`."""
    entries = read_table(path).get("link", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(f"{path}: link must be a list of tables: write [[link]], not [link]")
    return tuple(link_from(entry, f"{path}, link {number}") for number, entry in enumerate(entries, start=1))


def link_from(entry: Mapping[str, object], where: str) -> LinkConfig:
    """One link from a table. Raises `ConfigError`, which begins with `where`."""
    for key in entry:
        if key not in LINK_SETTINGS:
            raise unknown_name(where, "key", key, LINK_SETTINGS)
    for key in ("from", "to"):
        if key not in entry:
            raise ConfigError(f"{where}: {key} is missing")
    values = {key: checked(LINK_SETTINGS[key], key, value, where) for key, value in entry.items()}
    values["source"], values["target"] = values.pop("from"), values.pop("to")
    link = LinkConfig(**values)  # type: ignore[arg-type]  # names and types were just checked
    if link.most_s is not None and link.least_s > link.most_s:
        raise ConfigError(
            f"{where}: least_s = {link.least_s:g} is more than most_s = {link.most_s:g}; swap them"
        )
    return link


def check_links(links: Sequence[LinkConfig], cameras: Sequence[str], where: str) -> None:
    """Raise `ConfigError` for the first link that names no two cameras of the run, or a way that was named before."""
    seen: set[tuple[str, str]] = set()
    for number, link in enumerate(links, start=1):
        at = f"{where}, link {number}"
        for key, name in (("from", link.source), ("to", link.target)):
            if name not in cameras:
                raise unknown_name(f"{at}: {key}", "camera", name, cameras)
        if link.source == link.target:
            raise ConfigError(f"{at}: from and to are both {link.source!r}; a camera needs no link to itself")
        ways = [(link.source, link.target)] + [(link.target, link.source)] * (not link.one_way)
        for way in ways:
            if way in seen:
                raise ConfigError(f"{at}: the way from {way[0]!r} to {way[1]!r} has a link already")
        seen.update(ways)


def link_from_json(document: object, where: str) -> LinkConfig:
    """A link as `RunConfig.to_json` wrote it. Raises `ConfigError`."""
    if not isinstance(document, dict):
        raise ConfigError(f"{where}: a link must be a table, found {document!r}")
    names = {"source": "from", "target": "to"}
    return link_from({names.get(str(key), str(key)): value for key, value in document.items()}, where)
