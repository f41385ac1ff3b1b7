"""Whose turn it is: the camera served least comes first, the freshest frame among equals.

Service is counted as in start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): a camera that was away goes
on at the count of those who waited meanwhile, so that it is owed nothing and delays nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

SLACK: Final = 2
"""Served frames by which cameras may differ and still count as equal. The more, the fresher are the frames and the
longer may one of them wait; beyond two there is hardly anything to gain."""


class Turns:
    """Frames served to each camera, and when it was served last."""

    def __init__(self) -> None:
        self._served: dict[str, int] = {}
        self._turn_of: dict[str, int] = {}
        self._turn = 0
        self._least = 0

    def next(self, waiting: Iterable[tuple[str, int]]) -> str:
        """Serve one of (camera, freshness), where the higher number is the fresher frame; not empty."""
        candidates = [(max(self._least, self._served.get(name, 0)), rank, name) for name, rank in waiting]
        self._least = min(served for served, _, _ in candidates)
        equals = [candidate for candidate in candidates if candidate[0] < self._least + SLACK]
        served, _, name = max(equals, key=lambda c: (c[1], -c[0], -self._turn_of.get(c[2], 0)))
        self._turn += 1
        self._served[name], self._turn_of[name] = served + 1, self._turn
        return name
