"""The zoom part that all laws share: towards the wanted ratio, in octaves, with a dead zone of its own.

Wider than that of pan and tilt: a zoom motor is slow and loud, and size says little about where somebody goes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ptz.laws.base import Aim
from ptz.pose_log import PoseLog


@dataclass(frozen=True, slots=True)
class ZoomOptions:
    """How zoom is turned.

    gain           octaves a second per octave
    start_octaves  it begins when it is this much off
    stop_octaves   and ends when it is no more than this off
    brake_s        so much earlier: the next decision and the motor's braking take time
    in_octaves_s, out_octaves_s  greatest speeds
    """

    gain: float = 2.0
    start_octaves: float = 0.15
    stop_octaves: float = 0.02
    brake_s: float = 0.1
    in_octaves_s: float = 0.5
    out_octaves_s: float = 1.0


class Zooming:
    """Decides the speed of zoom; remembers whether it runs."""

    def __init__(self, options: ZoomOptions | None = None) -> None:
        self._options = options or ZoomOptions()
        self._speed = 0.0

    def reset(self) -> None:
        """Stand."""
        self._speed = 0.0

    def decide(self, aim: Aim, log: PoseLog, now_s: float) -> float:
        """Octaves a second. A running speed is kept until it is there: every change is a command."""
        options = self._options
        if not aim.zoom > 0:
            self._speed = 0.0
            return 0.0
        octaves = math.log2(aim.zoom / log.at(now_s + log.command_latency_s).zoom)
        wanted = min(max(options.gain * octaves, -options.out_octaves_s), options.in_octaves_s)
        if self._speed:
            left = octaves * math.copysign(1.0, self._speed)
            if left < options.stop_octaves + options.brake_s * abs(self._speed):
                self._speed = 0.0
            elif abs(wanted) > 1.5 * abs(self._speed):
                self._speed = wanted
        elif abs(octaves) > options.start_octaves:
            self._speed = wanted
        return self._speed
