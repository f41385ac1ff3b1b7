"""What to do when nobody is seen any more, step by step.

Coast, hold, zoom out, look where they went, go back. Pure: it is told how long ago the target was seen.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ptz.framing.base import Framing
from ptz.geometry import turn_deg
from ptz.lens import Lens
from ptz.settings import FollowSettings, LossSettings
from ptz.types import Decision, FollowState, GoToPreset, Pose, Stay, Turn, Velocity

SEEN_S = 0.2
"""A target that was missed for less than this is as good as seen."""
SEARCH_SHARE = 0.35
"""A search turns by this share of the field of view in a second: what comes into view stays for some pictures."""
NEAR = 0.03
"""A zoom within this many octaves of the wanted one has arrived."""
BACK_DEG = 1.0
"""It has gone back when it is this near to where it began ..."""
MOST_BACK_DEG_S = 25.0
"""... and does so at this speed at most."""
GIVE_UP_S = 15.0
"""A return that has not arrived by then is over."""


def step_of(unseen_s: float, loss: LossSettings) -> FollowState:
    """The step of the ladder after `unseen_s` without the target."""
    if unseen_s <= min(SEEN_S, loss.coast_s):
        return FollowState.FOLLOWING
    if unseen_s <= loss.coast_s:
        return FollowState.COASTING
    if loss.return_s and unseen_s >= loss.return_s:
        return FollowState.IDLE if loss.return_to == "stay" else FollowState.RETURNING
    if loss.search and unseen_s >= max(loss.search_s, loss.widen_s):
        return FollowState.SEARCHING
    if loss.widen_s and unseen_s >= loss.widen_s:
        return FollowState.WIDENING
    return FollowState.HOLDING


def coasting_share(unseen_s: float, loss: LossSettings) -> float:
    """What is left of the speed while coasting: 1 at first, 0 when the head shall stand."""
    span_s = loss.coast_s - SEEN_S
    return 1.0 if unseen_s <= SEEN_S else max(0.0, (loss.coast_s - unseen_s) / span_s) if span_s > 0 else 0.0


class Ladder:
    """The steps after coasting, for one head."""

    def __init__(self, settings: FollowSettings, lens: Lens, zoom_range: tuple[float, float]) -> None:
        self.settings = settings
        self.lens = lens
        self.zoom_range = zoom_range
        self.returned = False
        """It has gone back, or tried for long enough."""
        self.start: Pose | None = None
        """Where the head looked before it began to follow, None where that is not known."""
        self._zoom = zoom_range[0]
        self._pan_deg = 0.0
        self._sign = 0.0
        self._sent_back = False

    def remember(self, framing: Framing, pose: Pose) -> None:
        """Where the target went and how the head looked at it, while it is still followed."""
        self._zoom, self._pan_deg = pose.zoom, framing.pan_deg
        fast = abs(framing.pan_deg_s) > max(0.5, 2.0 * framing.pan_sigma_deg_s)
        self._sign = math.copysign(1.0, framing.pan_deg_s) if fast else 0.0
        self.returned = self._sent_back = False

    def decide(self, step: FollowState, pose: Pose, settled: bool, unseen_s: float) -> Decision:
        """What the head shall do in this step."""
        loss = self.settings.loss
        if step is FollowState.WIDENING:
            return self._zoom_to(self._zoom / loss.widen_by, pose)
        if step is FollowState.SEARCHING:
            return self._search(pose)
        if step is FollowState.RETURNING:
            return self._go_back(pose, settled, unseen_s)
        return Turn(Velocity())

    def _zoom_to(self, zoom: float, pose: Pose) -> Turn:
        octaves = math.log2(max(zoom, self.zoom_range[0]) / pose.zoom)
        if self.settings.scope != "ptz" or octaves > -NEAR:
            return Turn(Velocity())
        fastest = self.settings.zoom.out_octaves_s
        return Turn(Velocity(zoom_octaves_s=-min(fastest, max(0.1, -2.0 * octaves))))

    def _search(self, pose: Pose) -> Turn:
        widening = self._zoom_to(self._zoom / self.settings.loss.widen_by, pose).velocity
        goal = self._pan_deg + self._sign * self.settings.loss.search_deg
        left_deg = self._sign * turn_deg(pose.pan_deg, goal % 360.0, self.settings.limits.pan_deg)
        if not self._sign or left_deg <= 0.5:
            return Turn(widening)
        speed = min(SEARCH_SHARE * self.lens.hfov_deg(pose.zoom), 2.0 * left_deg)
        return Turn(Velocity(pan_deg_s=self._sign * speed, zoom_octaves_s=widening.zoom_octaves_s))

    def _go_back(self, pose: Pose, settled: bool, unseen_s: float) -> Decision:
        loss = self.settings.loss
        waited_s = unseen_s - loss.return_s
        if loss.return_to == "preset" and loss.return_preset:
            if not self._sent_back:
                self._sent_back = True
                return GoToPreset(loss.return_preset)
            self.returned = waited_s > GIVE_UP_S or (waited_s > 2.0 and settled)
            return Stay()
        turn = self._zoom_to(self.zoom_range[0], pose)
        if loss.return_to != "wide" and self.start is not None:
            turn = Turn(replace(turn.velocity, **self._back_to(self.start, pose)))
        self.returned = turn.velocity.is_zero or waited_s > GIVE_UP_S
        return turn

    def _back_to(self, start: Pose, pose: Pose) -> dict[str, float]:
        """Speeds towards a direction, by turning: not every camera can be sent to a place."""
        pan = turn_deg(pose.pan_deg, start.pan_deg, self.settings.limits.pan_deg)
        tilt = start.tilt_deg - pose.tilt_deg if self.settings.scope != "p" else 0.0
        return {"pan_deg_s": _towards(pan), "tilt_deg_s": _towards(tilt)}


def _towards(way_deg: float) -> float:
    """Speed at which a way is gone, slower at its end; none where it is as good as done."""
    if abs(way_deg) < BACK_DEG:
        return 0.0
    return math.copysign(min(MOST_BACK_DEG_S, max(BACK_DEG, abs(way_deg))), way_deg)
