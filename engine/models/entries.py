"""The registry of models, read from `configs/models.toml` and checked. Knows nothing of where files are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from engine.config.files import configs_dir, read_table, unknown_name
from engine.config.values import Setting, checked
from engine.errors import ConfigError
from engine.models.embedded import EMBEDDED

WITHOUT_FILE = "motion"
"""The detector that needs no weights, and therefore no entry."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
DETECTION, REIDENTIFICATION = "detection", "re-identification"
KINDS = (DETECTION, REIDENTIFICATION)
"""What a model is for: `infer.model` takes the first, `reid.model` the second."""

PIXELS = ("rgb-imagenet", "rgb-1", "rgb-255", "bgr-255")
"""How a re-identification network may want its pixels (`engine.models.reid_heads`)."""

_SECTIONS = ("labels", "family", "model")
_LABELS = Setting(tuple, "names of the classes in the order of their numbers")
_FAMILY = {
    "licence": Setting(str, "SPDX name"),
    "pre": Setting(str, "what goes in"),
    "post": Setting(str, "what comes out"),
}
_OPTIONAL = {
    "kind": Setting(str, "what its models are for", choices=KINDS),
    "labels": Setting(str, "name of a list in [labels]"),
    "pixels": Setting(str, "how a re-identification network wants its pixels", choices=PIXELS),
}
"""What a family may say besides: the labels of detectors, the pixels of re-identification networks."""
_MODEL = {
    "family": Setting(str, "name of a [family]"),
    "what": Setting(str, "one line for people"),
    "url": Setting(str, "official file"),
    "sha256": Setting(str, "checksum of that file"),
    "bytes": Setting(int, "size of that file", bounds=(1, 1e12)),
}


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One pinned model.

    url, sha256, size_bytes  the official file and what identifies it
    licence                  licence of the weights, as an SPDX name
    what                     one line for people
    input_size               (width, height) in pixels
    pre, post                what goes in and what comes out, in words; the file's own layout decides
    labels                   names of the classes, for files that do not carry them
    kind                     `detection` or `re-identification`
    pixels                   how a re-identification network wants its pixels (`engine.models.reid_heads.PIXELS`)
    """

    name: str
    family: str
    url: str
    sha256: str
    size_bytes: int
    licence: str
    what: str
    input_size: tuple[int, int]
    pre: str
    post: str
    labels: tuple[str, ...] = ()
    kind: str = DETECTION
    pixels: str = ""

    @property
    def file_name(self) -> str:
        """The name of the file in the cache and in $ENGINE_MODELS."""
        return f"{self.name}.onnx"


def load_registry(path: Path | None = None) -> dict[str, ModelEntry]:
    """All entries by name. Raises `ConfigError` with file, entry and key for what is wrong."""
    path = path or configs_dir() / "models.toml"
    table = read_table(path)
    for section in table:
        if section not in _SECTIONS:
            raise unknown_name(str(path), "section", section, _SECTIONS)
    where = str(path)
    labels = {
        name: checked(_LABELS, f"labels.{name}", texts, where)
        for name, texts in _group(where, table, "labels").items()
    }
    families = {
        name: _family(where, name, values, labels) for name, values in _group(where, table, "family").items()
    }
    return {
        name: _entry(where, name, values, families) for name, values in _group(where, table, "model").items()
    }


def _family(where: str, name: str, values: object, labels: Mapping[str, object]) -> dict[str, object]:
    family = _fields(where, f"family.{name}", values, _FAMILY, _OPTIONAL)
    needed = "pixels" if family.get("kind") == REIDENTIFICATION else "labels"
    if needed not in family:
        raise ConfigError(f"{where}: family.{name}.{needed} is missing")
    if needed == "labels":
        if family["labels"] not in labels:
            raise unknown_name(f"{where}: family.{name}", "list of labels", str(family["labels"]), labels)
        family["labels"] = labels[str(family["labels"])]
    return family


def _entry(where: str, name: str, values: object, families: Mapping[str, dict[str, object]]) -> ModelEntry:
    key = f"model.{name}"
    if not _NAME.fullmatch(name) or name in (WITHOUT_FILE, *EMBEDDED):
        raise ConfigError(
            f"{where}: {key}: {name!r} cannot name a model; use small letters, digits and '_.-'"
        )
    # The input size is the one value that is no plain setting.
    plain = {k: v for k, v in values.items() if k != "input"} if isinstance(values, dict) else values
    fields = _fields(where, key, plain, _MODEL)
    if fields["family"] not in families:
        raise unknown_name(f"{where}: {key}", "family", str(fields["family"]), families)
    url, sha256 = str(fields["url"]), str(fields["sha256"])
    if urlsplit(url).scheme != "https" or not urlsplit(url).hostname:
        raise ConfigError(f"{where}: {key}.url must be an https URL, found {url!r}")
    if not _SHA256.fullmatch(sha256):
        raise ConfigError(f"{where}: {key}.sha256 must be 64 small hexadecimal digits, found {sha256!r}")
    fields["size_bytes"] = fields.pop("bytes")
    fields["input_size"] = _input_size(where, f"{key}.input", values)
    everything = {**families[str(fields["family"])], **fields}
    return ModelEntry(name=name, **everything)  # type: ignore[arg-type]  # each was just checked


def _group(where: str, table: Mapping[str, object], section: str) -> Mapping[str, object]:
    group = table.get(section, {})
    if not isinstance(group, dict):
        raise ConfigError(f"{where}: {section} must be a section, found {group!r}")
    return group


def _fields(
    where: str,
    key: str,
    values: object,
    schema: Mapping[str, Setting],
    optional: Mapping[str, Setting] | None = None,
) -> dict[str, object]:
    """The values of a table: all that the schema names, no others but those that may be, each as it must be."""
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: {key} must be a section, found {values!r}")
    known = {**schema, **(optional or {})}
    for name in values:
        if name not in known:
            raise unknown_name(f"{where}: {key}", "key", name, known)
    for name in schema:
        if name not in values:
            raise ConfigError(f"{where}: {key}.{name} is missing")
    return {name: checked(known[name], f"{key}.{name}", value, where) for name, value in values.items()}


def _input_size(where: str, key: str, values: object) -> tuple[int, int]:
    value = values.get("input") if isinstance(values, dict) else None
    if isinstance(value, list) and len(value) == 2:
        width, height = value
        if type(width) is int and type(height) is int and width > 0 and height > 0:
            return width, height
    raise ConfigError(f"{where}: {key} must be [width, height] in pixels, found {value!r}")
