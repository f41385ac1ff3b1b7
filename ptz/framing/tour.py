"""The policy `tour`: from preset to preset, with a stay at each; people may interrupt it."""

from __future__ import annotations

from collections.abc import Sequence

from ptz.framing.base import Choice, Framing, Moment
from ptz.framing.group import Group
from ptz.framing.targets import Target
from ptz.settings import FollowSettings
from ptz.types import GoToPreset

LOST_S = 3.0
"""People that interrupted the tour and were not seen for this long are gone."""


class Tour(Group, name="tour"):
    """Goes round; with `interrupt` it follows whoever is seen, as a group, and goes on when they are gone."""

    def __init__(self, settings: FollowSettings) -> None:
        super().__init__(settings)
        self.leg = 0
        """How many presets were called before this one."""
        self._since_s: float | None = None
        self._interrupted = False

    def choose(self, people: Sequence[Target], moment: Moment) -> Choice:
        """The preset whose turn it is, or who is seen."""
        tour = self.settings.tour
        if tour.interrupt:
            followed = super().choose(people, moment)
            gone = not isinstance(followed, Framing) or moment.time_s - followed.seen_s > LOST_S
            if not gone:
                self._interrupted = True
                return followed
        if not tour.presets:
            return None
        if self._since_s is None or self._interrupted:
            self._since_s, self._interrupted = moment.now_s, False
        elif moment.now_s - self._since_s >= tour.dwell_s:
            self._since_s = moment.now_s
            self.leg += 1
        return GoToPreset(tour.presets[self.leg % len(tour.presets)])

    def explain(self) -> str:
        """Where it is on its way."""
        presets = self.settings.tour.presets
        if not presets:
            return "the tour has no presets"
        return f"on tour: preset {presets[self.leg % len(presets)]}, {self.settings.tour.dwell_s:g} s each"
