"""Runs the start-up probe on a head, and draws from it what the driver must know."""

from __future__ import annotations

import math
from dataclasses import replace

from ptz.drivers.base import DriverOptions
from ptz.geometry import wrap_deg
from ptz.head_limits import apart_deg
from ptz.head_orders import Orders
from ptz.head_wish import Wishes
from ptz.probe import Probe, ProbeResult
from ptz.types import HeadState, Levels, Pose

BACK_S = 4.0
NEAR_DEG = 1.0


async def probe_head(orders: Orders, wishes: Wishes) -> ProbeResult:
    """One probe. Raises `PtzError`s of the driver."""
    driver = orders.driver
    probe = Probe(_Port(orders, wishes), driver.capabilities, orders.settings.probe_level, driver.stop_ways)
    pose = await orders.probe_look(0.0)
    return await probe.run((wishes.at_stop("pan", 1, pose), wishes.at_stop("tilt", 1, pose)))


def learn(result: ProbeResult, orders: Orders, wishes: Wishes) -> bool:
    """Draw the consequences of a probe. False where the head may still turn."""
    orders.health.event("probe", "; ".join(result.lines))
    if not result.moved:
        wishes.never_moved(orders.now(), result.lines[0])
        return True
    orders.motion.proven = True
    if result.stop_way is None:
        reason = f"{result.lines[-1]}: it is not turned at a speed"
        orders.health.set("unproven", HeadState.DEGRADED, reason)
        return False
    orders.stop_way = result.stop_way
    return True


def corrected(options: DriverOptions, result: ProbeResult) -> tuple[DriverOptions, list[str]]:
    """The options with the signs that were found, and what was changed in words.

    Pictures tell which way a command really turned. Without them commands are believed, and the report is corrected.
    """
    lines = []
    for axis in ("pan", "tilt"):
        flips = {
            f"command_{axis}_sign": axis in result.by_image,
            f"position_{axis}_sign": (axis in result.wrong_way) != (axis in result.by_image),
        }
        for name, flip in flips.items():
            if flip:
                value = -getattr(options, name)
                options = replace(options, **{name: value})
                lines.append(f"probe: {name} = {value}, the other way round than set")
    return options, lines


class _Port:
    """What the probe sees of a head."""

    def __init__(self, orders: Orders, wishes: Wishes) -> None:
        self._orders, self._wishes = orders, wishes

    def now(self) -> float:
        return self._orders.now()

    async def turn(self, levels: Levels, ttl_s: float) -> None:
        pose = self._orders.motion.pose_at(self.now())
        await self._orders.probe_turn(levels, self._wishes.velocity(levels, pose), ttl_s)

    async def stop(self, way: str) -> bool:
        return await self._orders.probe_stop(way)

    async def look(self, wait_s: float) -> Pose | None:
        return await self._orders.probe_look(wait_s)

    def shifted(self, since_s: float) -> tuple[float, float] | None:
        return self._orders.motion.shifted(since_s)

    async def back(self, pose: Pose, levels: Levels) -> None:
        until_s = self.now() + BACK_S
        driver = self._orders.driver
        if driver.capabilities.absolute:
            await self._orders.go(driver.absolute(pose.pan_deg, pose.tilt_deg, pose.zoom, None), pose)
            while self.now() < until_s:
                there = await self.look(0.25)
                if there is None or apart_deg(there, pose) < NEAR_DEG:
                    return
            return
        here: Pose | None = await self.look(0.0)
        while here is not None and self.now() < until_s:
            turn = Levels(
                _towards(wrap_deg(pose.pan_deg - here.pan_deg), levels.pan),
                _towards(pose.tilt_deg - here.tilt_deg, levels.tilt),
            )
            if turn.is_zero:
                break
            await self.turn(turn, 0.5)
            here = await self.look(0.25)
        await self.stop(self._orders.stop_way)


def _towards(error_deg: float, level: int) -> int:
    return 0 if abs(error_deg) < NEAR_DEG else int(math.copysign(abs(level), error_deg))
