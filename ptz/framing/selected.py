"""The policy `selected`: one person that somebody has chosen, by track, by identity, or by pointing."""

from __future__ import annotations

from collections.abc import Sequence

from ptz.framing.base import Choice, Moment, Policy, framing_of, name_of
from ptz.framing.targets import Target


class Selected(Policy, name="selected"):
    """Follows the chosen one, through changes of the track ID."""

    key: int = 0
    """The target, 0 = not known yet."""
    gid: int = 0
    """Its identity over all cameras, 0 = none."""

    def choose(self, people: Sequence[Target], moment: Moment) -> Choice:
        """The chosen one, seen or not; None while nobody was chosen or they are forgotten."""
        chosen = next((one for one in people if self.gid and one.gid == self.gid), None)
        if chosen is None and self.key:
            chosen = next((one for one in people if one.is_called(self.key)), None)
        if chosen is None:
            return None
        self.key, self.gid = chosen.key, self.gid or chosen.gid
        return framing_of(chosen, moment.time_s, f"following {name_of(chosen)}, who was selected")

    def explain(self) -> str:
        """Whom it waits for."""
        if not self.key and not self.gid:
            return "nobody is selected"
        return f"waiting for person {self.gid}" if self.gid else "the selected person is gone"
