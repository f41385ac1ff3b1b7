"""The rules of RFC 8216bis that a live playlist must keep, as assertions."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Playlist:
    """What a playlist says."""

    version: int = 0
    target_s: float = 0.0
    part_target_s: float = 0.0
    control: dict[str, str] = field(default_factory=dict)
    first_number: int = 0
    skipped: int = 0
    segments: list[str] = field(default_factory=list)
    durations_s: list[float] = field(default_factory=list)
    parts: list[list[tuple[str, float, bool]]] = field(default_factory=lambda: [[]])
    dates: list[str] = field(default_factory=list)
    discontinuities: int = 0
    maps: list[str] = field(default_factory=list)
    hint: str = ""


def _attributes(value: str) -> dict[str, str]:
    return {name: text.strip('"') for name, text in re.findall(r'([A-Z-]+)=("[^"]*"|[^,]*)', value)}


def _nothing(found: Playlist, value: str) -> None:
    pass


def _part(found: Playlist, value: str) -> None:
    part = _attributes(value)
    found.parts[-1].append((part["URI"], float(part["DURATION"]), part.get("INDEPENDENT") == "YES"))


def _discontinuity(found: Playlist, value: str) -> None:
    found.discontinuities += 1


_TAGS: dict[str, Callable[[Playlist, str], None]] = {
    "#EXT-X-VERSION": lambda found, value: setattr(found, "version", int(value)),
    "#EXT-X-TARGETDURATION": lambda found, value: setattr(found, "target_s", int(value)),
    "#EXT-X-PART-INF": lambda found, value: setattr(
        found, "part_target_s", float(_attributes(value)["PART-TARGET"])
    ),
    "#EXT-X-SERVER-CONTROL": lambda found, value: setattr(found, "control", _attributes(value)),
    "#EXT-X-MEDIA-SEQUENCE": lambda found, value: setattr(found, "first_number", int(value)),
    "#EXT-X-SKIP": lambda found, value: setattr(
        found, "skipped", int(_attributes(value)["SKIPPED-SEGMENTS"])
    ),
    "#EXT-X-PART": _part,
    "#EXT-X-PROGRAM-DATE-TIME": lambda found, value: found.dates.append(value),
    "#EXT-X-DISCONTINUITY": _discontinuity,
    "#EXT-X-MAP": lambda found, value: found.maps.append(_attributes(value)["URI"]),
    "#EXT-X-PRELOAD-HINT": lambda found, value: setattr(found, "hint", _attributes(value)["URI"]),
    "#EXTINF": lambda found, value: found.durations_s.append(float(value.rstrip(","))),
}


def read(text: str, *, steady: bool = True) -> Playlist:
    """Read a playlist, and hold it against the rules that it can break by itself.

    steady  pictures came at a steady pace: only then can parts be cut to 85 % of their target at least
    """
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U"
    found = Playlist()
    for line in lines[1:]:
        tag, _, value = line.partition(":")
        if line.startswith("#"):
            _TAGS.get(tag, _nothing)(found, value)
        else:
            found.segments.append(line)
            found.parts.append([])
    _hold(found, steady)
    return found


def _hold(found: Playlist, steady: bool) -> None:
    assert found.version >= 9
    assert len(found.segments) == len(found.durations_s)
    assert all(round(duration_s) <= found.target_s for duration_s in found.durations_s)
    assert float(found.control["PART-HOLD-BACK"]) >= 3 * found.part_target_s - 1e-6
    assert float(found.control["HOLD-BACK"]) >= 3 * found.target_s
    if "CAN-SKIP-UNTIL" in found.control:
        assert float(found.control["CAN-SKIP-UNTIL"]) >= 6 * found.target_s
    begun = len(found.segments) + bool(found.parts[-1])
    assert len(found.dates) == begun
    for parts, duration_s in zip(found.parts, found.durations_s, strict=False):
        assert all(part_s <= found.part_target_s + 1e-5 for _, part_s, _ in parts)
        assert not parts or abs(sum(part_s for _, part_s, _ in parts) - duration_s) < 1e-3
        if steady:
            # But for the last of a segment and those that begin with a key frame.
            assert all(part_s >= 0.85 * found.part_target_s for _, part_s, key in parts[:-1] if not key)
