"""What a simulated camera does without being told: parking, flipping, somebody else at its joystick, faults of motion.

Looked at by `Device` every tick. Commands from here go past the command path, straight to the motors.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ptz.simulator.faults import Fault

if TYPE_CHECKING:
    from ptz.simulator.device import Device

KINDS = ("foreign", "park", "autotrack", "reboot")
"""Faults that move the head without a command."""
AUTOTRACK_EVERY_S = 0.5


class Habits:
    """The habits of one device."""

    def __init__(self, device: Device, seed: int) -> None:
        self._device = device
        self._random = random.Random(f"habits {seed}")  # noqa: S311 - a simulation that must repeat itself
        self._done: set[int] = set()
        self._foreign = False
        self._parked = False
        self._next_autotrack_s = 0.0

    def look(self, now_s: float) -> None:
        """Do what is due at this moment."""
        device = self._device
        self._be_moved_by_others(now_s)
        for fault in tuple(device.faults):
            if fault.kind in ("park", "reboot") and self._begins(fault, now_s):
                if fault.kind == "park":
                    self._go_home(now_s)
                else:
                    device.reboot(now_s, fault.value or None)
        if device.faults.active("autotrack", now_s) and now_s >= self._next_autotrack_s:
            self._next_autotrack_s = now_s + AUTOTRACK_EVERY_S
            self._turn((self._random.uniform(-60, 60), self._random.uniform(-20, 20), 0.0), now_s)
        self._park(now_s)
        if device.profile.eflip:
            self._flip(now_s)

    def _begins(self, fault: Fault, now_s: float) -> bool:
        """Whether a fault that strikes once strikes now."""
        if id(fault) in self._done or now_s < fault.start_s:
            return False
        self._done.add(id(fault))
        return True

    def _be_moved_by_others(self, now_s: float) -> None:
        fault = self._device.faults.active("foreign", now_s)
        if fault is not None and not self._foreign:
            self._turn((fault.value or 40.0, 0.0, 0.0), now_s)
        elif fault is None and self._foreign:
            self._turn((0.0, 0.0, 0.0), now_s)
        self._foreign = fault is not None

    def _park(self, now_s: float) -> None:
        device = self._device
        idle = now_s - device.idle_since_s >= device.profile.park_s > 0
        if idle and not self._parked:
            self._go_home(now_s)
        self._parked = idle

    def _flip(self, now_s: float) -> None:
        """At the nadir and still told to tilt down: turn the head round."""
        device = self._device
        pose = device.true_pose(now_s)
        if device.tilts_on_down() and pose.tilt_deg <= device.profile.tilt_range_deg[0] + 0.01:
            device.flip(now_s)

    def _turn(self, levels: tuple[float, float, float], now_s: float) -> None:
        from ptz.simulator.device import Command

        self._device.drive(Command("turn", values=levels), now_s)

    def _go_home(self, now_s: float) -> None:
        self._device.drive_home(now_s)
