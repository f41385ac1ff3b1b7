"""From a framing to an aim: where the middle of the picture shall be, inside the limits, and how far to zoom.

It knows the newest picture and the lens. It decides no speed.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ptz.framing.base import Framing
from ptz.framing.fence import Fence
from ptz.framing.zoom import Sight, ZoomRule
from ptz.geometry import angles_to_pixel, normalised_offset, turn_deg, wrap_deg
from ptz.laws.base import Aim
from ptz.lens import Lens
from ptz.settings import FollowSettings
from ptz.types import Pose, View

RAMP_S = 0.15
"""Time in which a head comes to speed, as part of its reaction."""
AT_STOP_SHARE = 0.38
"""What is beyond a stop is watched from there until it is this share of the picture's width off the middle."""


class Aiming:
    """One head's aim."""

    def __init__(self, settings: FollowSettings, lens: Lens, fence: Fence) -> None:
        self.settings = settings
        self.lens = lens
        self.fence = fence
        self.rule = ZoomRule(settings.zoom)
        self.view: View | None = None
        """The newest picture, with the direction it was taken in."""
        self._looked_s = -math.inf
        self._going_round = False

    @property
    def widest_deg(self) -> float:
        """The field of view at the widest that is allowed."""
        return self.lens.hfov_deg(self.fence.zoom[0])

    @property
    def aspect(self) -> float:
        """Width / height of the picture."""
        return 16 / 9 if self.view is None else self.view.width / self.view.height

    def aim(self, framing: Framing, now: Pose, reaction_s: float, certain: bool) -> Aim:
        """What the law is told. `now` is the head's pose now."""
        hfov_deg = self.lens.hfov_deg(now.zoom)
        sight = Sight(
            now_s=now.time_s, hfov_deg=hfov_deg, aspect=self.aspect, reaction_s=reaction_s,
            off_middle=self._off_middle(framing, now, hfov_deg), certain=certain,
        )  # fmt: skip
        offset = self._look(framing, sight)
        wanted_deg = self.rule.hfov_deg(framing, sight)
        zoom = self.fence.ratio(self.lens.zoom_of(wanted_deg))
        framing = self._headroom(framing, self.lens.hfov_deg(zoom))
        framing = self._inside(framing, now)
        return Aim(
            time_s=framing.time_s,
            measured_pan_deg=framing.measured_pan_deg, measured_tilt_deg=framing.measured_tilt_deg,
            offset_x=offset[0], offset_y=offset[1],
            pan_deg=framing.pan_deg, tilt_deg=framing.tilt_deg,
            pan_deg_s=framing.pan_deg_s, tilt_deg_s=framing.tilt_deg_s,
            pan_sigma_deg_s=framing.pan_sigma_deg_s, tilt_sigma_deg_s=framing.tilt_sigma_deg_s,
            zoom=zoom if self.settings.scope == "ptz" else now.zoom,
            hfov_deg=hfov_deg if self.view is None else self.view.hfov_deg,
            pan_sigma_deg=framing.pan_sigma_deg, tilt_sigma_deg=framing.tilt_sigma_deg,
            aspect=self.aspect,
        )  # fmt: skip

    def catching_up(self, framing: Framing, now: Pose) -> bool:
        """Whether the target cannot be seen because the head is still on its way to where it was measured last."""
        there = replace(framing, pan_deg=framing.measured_pan_deg, tilt_deg=framing.measured_tilt_deg)
        return self._is_out_of_view(there, now) and self._is_out_of_view(framing, now)

    def _is_out_of_view(self, framing: Framing, now: Pose) -> bool:
        hfov_deg = self.lens.hfov_deg(now.zoom)
        inside = self._inside(framing, now)
        turn = turn_deg(now.pan_deg, inside.pan_deg, self.fence.pan_deg) * _flat(framing)
        high = hfov_deg / self.aspect
        return abs(turn) > 0.5 * hfov_deg or abs(inside.tilt_deg - now.tilt_deg) > 0.5 * high

    def _off_middle(self, framing: Framing, now: Pose, hfov_deg: float) -> float:
        """How far off the middle it will be, by what is known now, as a share of the picture's width."""
        passed_s = max(0.0, now.time_s - framing.time_s)
        x = wrap_deg(framing.pan_deg + framing.pan_deg_s * passed_s - now.pan_deg) * _flat(framing)
        y = framing.tilt_deg + framing.tilt_deg_s * passed_s - now.tilt_deg
        return math.hypot(x, y) / hfov_deg

    def _look(self, framing: Framing, sight: Sight) -> tuple[float, float]:
        """The measured middle in the newest picture as an offset; the zoom rule sees each picture once."""
        view = self.view
        if view is None:
            return 0.0, 0.0
        u, v, in_front = angles_to_pixel(framing.measured_pan_deg, framing.measured_tilt_deg, view)
        turn = wrap_deg(framing.measured_pan_deg - view.pan_deg)
        if not in_front:
            return math.copysign(1.0, turn), 0.0
        if framing.seen_s > self._looked_s and not framing.is_place:
            self._looked_s = framing.seen_s
            flat = math.cos(math.radians(framing.measured_tilt_deg))
            self.rule.saw(framing, turn * flat, framing.measured_tilt_deg - view.tilt_deg, sight)
        x, y = normalised_offset(u, v, view.width, view.height)
        return min(max(x, -1.0), 1.0), min(max(y, -1.0), 1.0)

    def _headroom(self, framing: Framing, hfov_deg: float) -> Framing:
        """Aim higher where the heads would be too near to the upper edge."""
        if not framing.body_deg:
            return framing
        half = math.degrees(math.atan(math.tan(math.radians(hfov_deg) / 2) / self.aspect))
        above = framing.height_deg / 2 - half * (1.0 - 2.0 * self.settings.zoom.head_margin)
        if above <= 0:
            return framing
        return replace(
            framing,
            tilt_deg=framing.tilt_deg + above,
            measured_tilt_deg=framing.measured_tilt_deg + above,
        )

    def _reached(self, pan_deg: float, now: Pose) -> float:
        """The azimuth to aim at for a target: behind a stop it is watched from there as long as it is seen from there,
        and only then the head turns all the way round."""
        near_deg = AT_STOP_SHARE * self.lens.hfov_deg(now.zoom)
        behind = self.fence.way_round(now.pan_deg, pan_deg)
        if behind is None:
            self._going_round = False
            return pan_deg
        stop_deg, beyond_deg = behind
        self._going_round = beyond_deg >= (0.6 if self._going_round else 1.0) * near_deg
        return pan_deg if self._going_round else stop_deg

    def _inside(self, framing: Framing, now: Pose) -> Framing:
        """With the aim inside the limits; at a limit it does not move on."""
        pan_deg, tilt_deg = self.fence.place(self._reached(framing.pan_deg, now), framing.tilt_deg)
        measured_pan, measured_tilt = self.fence.place(framing.measured_pan_deg, framing.measured_tilt_deg)
        if abs(wrap_deg(pan_deg - framing.pan_deg)) > 0.01:
            measured_pan = pan_deg
        if self.settings.scope == "p":
            tilt_deg = measured_tilt = now.tilt_deg
        stopped_pan = abs(wrap_deg(pan_deg - framing.pan_deg)) > 0.01
        return replace(
            framing,
            pan_deg=pan_deg, tilt_deg=tilt_deg, measured_pan_deg=measured_pan, measured_tilt_deg=measured_tilt,
            pan_deg_s=0.0 if stopped_pan else framing.pan_deg_s,
            tilt_deg_s=0.0 if tilt_deg != framing.tilt_deg else framing.tilt_deg_s,
        )  # fmt: skip


def _flat(framing: Framing) -> float:
    """Degrees seen for a degree of azimuth there."""
    return math.cos(math.radians(framing.tilt_deg))
