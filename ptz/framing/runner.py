"""The policy `runner`: the fastest, by speed in world angles that was kept up for a while."""

from __future__ import annotations

from collections.abc import Sequence

from ptz.framing.base import Choice, Moment, Policy, framing_of, name_of
from ptz.framing.targets import Target
from ptz.settings import FollowSettings

GONE_S = 2.0
"""A runner out of sight for this long no longer keeps others from being followed."""


class Runner(Policy, name="runner"):
    """Follows the fastest; somebody else takes over only who is clearly faster for some time."""

    def __init__(self, settings: FollowSettings) -> None:
        super().__init__(settings)
        self._key = 0
        self._rival = 0
        self._since_s = 0.0

    def choose(self, people: Sequence[Target], moment: Moment) -> Choice:
        """The runner, seen or not; until somebody has run, whoever moves most."""
        settings = self.settings.runner
        runner = next((one for one in people if one.is_called(self._key)), None)
        here = [one for one in people if one.confirmed and one.unseen_s(moment.time_s) < settings.over_s]
        speeds = {one.key: one.speed_over(settings.over_s) or 0.0 for one in here}
        best = max(here, key=lambda one: speeds[one.key], default=None)
        if best is None:
            return None if runner is None else self._framing(runner, moment)
        # While the runner is out of sight for a moment, their last speed defends them.
        own = 0.0 if runner is None else runner.speed_over(settings.over_s) or 0.0
        bar = max(settings.least_deg_s, own * (1.0 + settings.faster_by))
        if runner is None or (runner.unseen_s(moment.time_s) > GONE_S and best.key != runner.key):
            runner = best
        elif best.key != runner.key and speeds[best.key] > bar:
            if best.key != self._rival:
                self._rival, self._since_s = best.key, moment.time_s
            if moment.time_s - self._since_s >= settings.switch_s:
                runner = best
        else:
            self._rival = 0
        if not runner.is_called(self._key):
            self._key, self._rival = runner.key, 0
        return self._framing(runner, moment)

    def _framing(self, runner: Target, moment: Moment) -> Choice:
        speed = runner.speed_over(self.settings.runner.over_s)
        pace = "" if speed is None else f" ({speed:.1f}°/s)"
        return framing_of(runner, moment.time_s, f"following {name_of(runner)}, the fastest{pace}")
