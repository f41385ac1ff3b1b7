"""The request that sends a head to a place or a preset, unless that is refused."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from ptz.head_orders import Orders
from ptz.head_wish import Wishes
from ptz.types import GoTo, GoToPreset, Pose

Asked = tuple[Coroutine[Any, Any, None] | None, Pose | None]


async def place_request(place: GoTo | GoToPreset, orders: Orders, wishes: Wishes) -> Asked:
    """The request, None where it is refused, and where the place is as far as is known."""
    driver = orders.driver
    if isinstance(place, GoTo):
        to = Pose(orders.now(), place.pan_deg % 360.0, place.tilt_deg, place.zoom)
        return driver.absolute(to.pan_deg, to.tilt_deg, to.zoom, place.max_deg_s), to
    if not wishes.allowed(place):
        return None, None
    if not wishes.presets_known:
        wishes.learn_presets(await orders.presets())
    pose = wishes.place_of(place)
    if pose is not None and wishes.strays(pose):
        wishes.refuse("preset", f"preset {place.preset} lies beyond the limits")
        return None, None
    return driver.go_to_preset(place.preset), pose
