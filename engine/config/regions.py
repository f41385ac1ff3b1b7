"""Zones and lines of a camera: polygons and polylines in coordinates relative to the picture.

Checks their form when a configuration is read, so that nothing that follows has to. Plain numbers: this module is
imported by everything that reads a configuration, also by `--help`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from engine.config.files import unknown_name
from engine.config.values import Setting, checked
from engine.errors import ConfigError

Point = tuple[float, float]

MOST_REGIONS = 64
"""Zones of one camera, and lines."""
MOST_REGIONS_OF_RUN = 2000
"""Zones and lines of all cameras; their counters travel in a status of fixed size."""
MOST_POINTS = 100
"""Corners of one zone, or points of one line."""
LEAST_AREA = 1e-5
"""Smallest zone, as a share of the picture: four by five pixels of 1080p."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of the picture.

    polygon  its corners in order, x and y from 0 (left, top) to 1 (right, bottom); the last is joined to the first
    classes  labels whose objects it is about; empty = those of `events.classes`
    dwell_s  how long somebody must be in it to be reported as dwelling; 0 = never
    """

    name: str
    polygon: tuple[Point, ...]
    classes: tuple[str, ...] = ()
    dwell_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Line:
    """A line across which objects are counted: two points or more, in coordinates as a zone's.

    Left and right are as seen from a point towards the next one.
    """

    name: str
    points: tuple[Point, ...]
    classes: tuple[str, ...] = ()


_NAME = Setting(str, "unique among the zones and lines of the camera")
_CLASSES = Setting(tuple, "labels; empty = those of `events.classes`")
_ZONE_SETTINGS = {
    "name": _NAME,
    "classes": _CLASSES,
    "dwell_s": Setting(float, "0 = never", unit="s", bounds=(0.0, 604800.0)),
}
_LINE_SETTINGS = {"name": _NAME, "classes": _CLASSES}


def zones_from(entries: object, where: str) -> tuple[Zone, ...]:
    """The zones of one camera. Raises `ConfigError`, which begins with `where`."""
    zones = []
    for number, entry in _tables(entries, "zone", where):
        place = _place(entry, "zone", number, where)
        values = _values(entry, _ZONE_SETTINGS, "polygon", place)
        polygon = _points(entry["polygon"], "polygon", place)
        # As GeoJSON writes it, the first point stands at the end again.
        if len(polygon) > 1 and polygon[0] == polygon[-1]:
            polygon = polygon[:-1]
        _check_polygon(polygon, place)
        zones.append(Zone(polygon=polygon, **values))  # type: ignore[arg-type]  # names and types were just checked
    return tuple(zones)


def lines_from(entries: object, where: str) -> tuple[Line, ...]:
    """The lines of one camera. Raises `ConfigError`, which begins with `where`."""
    lines = []
    for number, entry in _tables(entries, "line", where):
        place = _place(entry, "line", number, where)
        values = _values(entry, _LINE_SETTINGS, "points", place)
        points = _points(entry["points"], "points", place)
        if len(points) < 2:
            raise ConfigError(f"{place}: points must be at least 2, found {len(points)}")
        _check_edges(list(pairwise(points)), "points", place)
        lines.append(Line(points=points, **values))  # type: ignore[arg-type]  # names and types were just checked
    return tuple(lines)


def check_names(zones: Sequence[Zone], lines: Sequence[Line], where: str) -> None:
    """Raise `ConfigError` where a name stands for two regions of one camera: events and counters go by name."""
    seen: set[str] = set()
    for name in (*(zone.name for zone in zones), *(line.name for line in lines)):
        if name in seen:
            raise ConfigError(
                f"{where}: the name {name!r} is used twice; zones and lines of a camera need names of their own"
            )
        seen.add(name)


def regions_to_json(camera: Mapping[str, object]) -> dict[str, object]:
    """A camera's plain values with its regions under the names that a cameras file has for them."""
    values = dict(camera)
    values["zone"], values["line"] = values.pop("zones"), values.pop("lines")
    return values


def _tables(entries: object, kind: str, where: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, Mapping) for entry in entries):
        raise ConfigError(f"{where}: {kind} must be a list of tables: write [[camera.{kind}]]")
    if len(entries) > MOST_REGIONS:
        raise ConfigError(f"{where}: a camera may have {MOST_REGIONS} {kind}s, found {len(entries)}")
    yield from enumerate(entries, start=1)


def _place(entry: Mapping[str, object], kind: str, number: int, where: str) -> str:
    name = entry.get("name")
    return f"{where}, {kind} {name!r}" if isinstance(name, str) and name else f"{where}, {kind} {number}"


def _values(
    entry: Mapping[str, object], settings: Mapping[str, Setting], shape: str, place: str
) -> dict[str, object]:
    for key in entry:
        if key != shape and key not in settings:
            raise unknown_name(place, "key", key, [*settings, shape])
    for key in ("name", shape):
        if key not in entry:
            raise ConfigError(f"{place}: {key} is missing")
    return {key: checked(settings[key], key, value, place) for key, value in entry.items() if key != shape}


def _points(value: object, key: str, place: str) -> tuple[Point, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{place}: {key} must be a list of points [x, y], found {value!r}")
    if len(value) > MOST_POINTS:
        raise ConfigError(f"{place}: {key} may have {MOST_POINTS} points, found {len(value)}")
    return tuple(_point(point, number, key, place) for number, point in enumerate(value, start=1))


def _point(value: object, number: int, key: str, place: str) -> Point:
    numbers = [
        float(each)
        for each in (value if isinstance(value, list | tuple) else ())
        if isinstance(each, int | float) and not isinstance(each, bool) and math.isfinite(each)
    ]
    if not isinstance(value, list | tuple) or len(value) != 2 or len(numbers) != 2:
        raise ConfigError(f"{place}: point {number} of {key} must be two numbers [x, y], found {value!r}")
    if not all(0.0 <= each <= 1.0 for each in numbers):
        raise ConfigError(
            f"{place}: point {number} of {key} must lie in the picture, x and y from 0 to 1, found {value!r}"
        )
    return numbers[0], numbers[1]


def _check_polygon(polygon: tuple[Point, ...], place: str) -> None:
    if len(polygon) < 3:
        raise ConfigError(f"{place}: polygon must have at least 3 points, found {len(polygon)}")
    small = abs(area_of(polygon)) < LEAST_AREA
    if _is_flat(polygon) or (small and not _crosses_itself(_ring(polygon))):
        raise ConfigError(f"{place}: polygon encloses no area; its points lie on one line, or nearly so")
    _check_edges(_ring(polygon), "polygon", place)


def _is_flat(polygon: tuple[Point, ...]) -> bool:
    first = polygon[0]
    farthest = max(polygon, key=lambda point: math.dist(first, point))
    return all(abs(_turn(first, farthest, point)) < LEAST_AREA for point in polygon)


def _ring(polygon: Sequence[Point]) -> list[tuple[Point, Point]]:
    return list(zip(polygon, (*polygon[1:], polygon[0]), strict=True))


def area_of(polygon: Sequence[Point]) -> float:
    """Area of a simple polygon, as a share of the picture; the sign tells its sense of rotation."""
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in _ring(polygon)) / 2.0


def _check_edges(edges: list[tuple[Point, Point]], key: str, place: str) -> None:
    for number, (start, end) in enumerate(edges, start=1):
        if start == end:
            raise ConfigError(
                f"{place}: {key} has a piece of length 0: point {number} and the next are the same"
            )
    if _crosses_itself(edges):
        raise ConfigError(f"{place}: {key} crosses or touches itself; put its points in order")


def _crosses_itself(edges: list[tuple[Point, Point]]) -> bool:
    last = len(edges) - 1
    for (first, one), (second, other) in combinations(enumerate(edges), 2):
        if second == first + 1:
            crosses = _folds_back(one[0], one[1], other[1])
        elif first == 0 and second == last and other[1] == one[0]:  # the last piece of a ring joins the first
            crosses = _folds_back(other[0], one[0], one[1])
        else:
            crosses = _meet(*one, *other)
        if crosses:
            return True
    return False


def _folds_back(before: Point, corner: Point, after: Point) -> bool:
    """Whether a path goes back at a corner the very way that it came."""
    along_x = (before[0] - corner[0]) * (after[0] - corner[0])
    along_y = (before[1] - corner[1]) * (after[1] - corner[1])
    return abs(_turn(before, corner, after)) < 1e-12 and along_x + along_y > 0.0


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the pieces from a to b and from c to d have a point in common."""
    turns = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if turns[0] * turns[1] < 0.0 and turns[2] * turns[3] < 0.0:
        return True
    ends = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
    return any(turn == 0.0 and _within(*end) for turn, end in zip(turns, ends, strict=True))


def _within(a: Point, b: Point, p: Point) -> bool:
    """Whether a point on the line through a and b lies between them."""
    return min(a[0], b[0]) <= p[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= p[1] <= max(a[1], b[1])
