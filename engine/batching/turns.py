"""Whose turn it is: the camera served least comes first, the freshest frame among equals.

Every camera gets an equal share of the detector, or all it asks for where that is less; what is left over goes to
the others in equal shares again (max-min fairness). A camera that was away is owed little for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

SLACK: Final = 2
"""Served frames by which cameras may differ and still count as equal. The more, the fresher are the frames and the
longer may one of them wait; beyond two there is hardly anything to gain."""


REMEMBERED: Final = 4
"""Served frames that a camera is owed at most: with these a slow one catches up on what it missed by bad luck, and one
that was away takes no more turns than these before the others."""


class Turns:
    """Frames served to each camera, and when it was served last."""

    def __init__(self) -> None:
        self._served: dict[str, int] = {}
        self._turn_of: dict[str, int] = {}
        self._turn = 0
        self._most_served = 0

    def forget(self, name: str) -> None:
        """A camera is gone."""
        self._served.pop(name, None)
        self._turn_of.pop(name, None)

    def next(self, waiting: Iterable[tuple[str, int]]) -> str:
        """Serve one of (camera, freshness), where the higher number is the fresher frame; not empty."""
        oldest_debt = self._most_served - REMEMBERED
        candidates = [(max(oldest_debt, self._served.get(name, 0)), rank, name) for name, rank in waiting]
        least = min(served for served, _, _ in candidates)
        equals = [candidate for candidate in candidates if candidate[0] < least + SLACK]
        served, _, name = max(equals, key=lambda c: (c[1], -c[0], -self._turn_of.get(c[2], 0)))
        self._turn += 1
        self._served[name], self._turn_of[name] = served + 1, self._turn
        self._most_served = max(self._most_served, served + 1)
        return name
