"""Measured layouts on disk, so that a model is measured once on a machine. A damaged or missing file is none."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from engine.models.layout import Bounds, Layout, Measured

_MOST_ENTRIES = 200
_FORMAT = 1
"""Changed with what an entry or a measurement means: entries of another format are not found."""


class LayoutCache:
    """Tables of measurements by what they hold for. Without a path nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def find(self, key: str) -> list[Measured]:
        """The table that was stored under the key; empty where there is none, or none that can be read."""
        entry = self._read().get(key)
        try:
            return [_measured(row) for row in entry] if isinstance(entry, list) else []
        except (TypeError, ValueError):
            return []

    def store(self, key: str, table: Sequence[Measured]) -> None:
        """Keep a table. A folder that cannot be written costs a measurement at the next start, nothing else."""
        if self._path is None:
            return
        entries = self._read()
        entries.pop(key, None)
        entries[key] = [
            [m.layout.lanes, m.layout.threads, m.layout.batch, m.frames_per_s, m.call_s] for m in table
        ]
        newest = dict(list(entries.items())[-_MOST_ENTRIES:])
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(newest))
            temporary.replace(self._path)
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)

    def _read(self) -> dict[str, object]:
        if self._path is None:
            return {}
        try:
            entries = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return entries if isinstance(entries, dict) else {}


def layout_key(model: Path, backend: str, runtime: str, bounds: Bounds) -> str:
    """What a measurement holds for: this file, runtime, processor and choice. The file is known by its state on
    disk, as reading a large one takes longer than measuring it."""
    try:
        state = model.stat()
    except OSError:
        return ""
    facts = (
        _FORMAT, str(model.resolve()), state.st_size, state.st_mtime_ns, backend, runtime, _processor(),
        os.cpu_count(), asdict(bounds),
    )  # fmt: skip
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _measured(row: object) -> Measured:
    if not isinstance(row, list) or len(row) != 5:
        raise ValueError
    lanes, threads, batch, frames_per_s, call_s = row
    if min(lanes, threads, batch) < 1 or not all(type(n) is int for n in (lanes, threads, batch)):
        raise ValueError
    return Measured(Layout(lanes, threads, batch), float(frames_per_s), float(call_s))


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return f"{platform.machine()} {platform.processor()}"
