"""The policies `manual` and `off`: the head is an operator's, or nobody's."""

from __future__ import annotations

from collections.abc import Sequence

from ptz.framing.base import Choice, Moment, Policy
from ptz.framing.targets import Target


class Manual(Policy, name="manual"):
    """Follows nobody: an operator has the head until another policy is chosen."""

    def choose(self, people: Sequence[Target], moment: Moment) -> Choice:
        """Nobody."""
        return None

    def explain(self) -> str:
        """Says so."""
        return "an operator has the head"


class Off(Policy, name="off"):
    """Follows nobody."""

    def choose(self, people: Sequence[Target], moment: Moment) -> Choice:
        """Nobody."""
        return None

    def explain(self) -> str:
        """Says so."""
        return "following is switched off"
