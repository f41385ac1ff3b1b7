"""Whom somebody points at: a click or a drawn box on a picture, or an ID, as they come from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import PtzRefused
from engine.registry import nearest
from ptz.types import Sightings


def selection(options: Mapping[str, object]) -> dict[str, Any]:
    """Arguments of `Follower.select` as they come from outside. Raises `PtzRefused` for what is none."""
    arguments: dict[str, Any] = {}
    for name, value in options.items():
        if name in ("track_id", "gid"):
            fits = isinstance(value, int) and not isinstance(value, bool)
        elif name in ("point", "box_xyxy"):
            parts = value if isinstance(value, list | tuple) else ()
            fits = len(parts) == (2 if name == "point" else 4)
            fits = fits and all(isinstance(part, int | float) for part in parts)
        else:
            known = ("track_id", "gid", "point", "box_xyxy")
            raise PtzRefused(
                f"nobody is selected by {name!r}{nearest(name, known)}; there are: {', '.join(known)}"
            )
        if not fits:
            raise PtzRefused(f"nobody can be selected by {name} = {value!r}")
        arguments[name] = value
    return arguments


def track_at(
    sightings: Sightings,
    point: tuple[float, float] | None,
    box_xyxy: tuple[float, float, float, float] | None,
) -> int | None:
    """The track of the smallest box around a pixel, or of the box that a drawn one covers best; None for neither."""
    best, best_worth = None, 0.0
    for track_id, box in zip(sightings.track_ids, sightings.boxes_xyxy, strict=True):
        left, top, right, bottom = (float(value) for value in box)
        area = (right - left) * (bottom - top)
        if not area > 0:
            continue
        worth = 0.0
        if point is not None and left <= point[0] <= right and top <= point[1] <= bottom:
            worth = 1.0 / area
        elif box_xyxy is not None:
            wide = min(right, box_xyxy[2]) - max(left, box_xyxy[0])
            high = min(bottom, box_xyxy[3]) - max(top, box_xyxy[1])
            both = max(wide, 0.0) * max(high, 0.0)
            drawn = (box_xyxy[2] - box_xyxy[0]) * (box_xyxy[3] - box_xyxy[1])
            worth = both / (area + drawn - both) if both > 0 else 0.0
        if worth > best_worth:
            best, best_worth = int(track_id), worth
    return best
