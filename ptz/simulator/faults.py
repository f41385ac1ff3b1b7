"""Faults that a simulated camera can be given: what, when, how often, where.

Only the schedule. What a fault does is told where it is done: motion in `device`, answers in the faces.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

FOREVER_S = 1e12


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    kind         its name, as in docs/ptz_simulator.md
    start_s      when it begins, in the device's time
    duration_s   how long it lasts
    probability  chance that a request, a move or a status is hit while it lasts
    path         only requests whose path (ISAPI) or operation (ONVIF) contains this; empty = all
    value        a number that the kind needs: seconds, a level, a count
    """

    kind: str
    start_s: float = 0.0
    duration_s: float = FOREVER_S
    probability: float = 1.0
    path: str = ""
    value: float = 0.0

    @property
    def end_s(self) -> float:
        """When it is over."""
        return self.start_s + self.duration_s


class Faults:
    """The faults of one device; may be changed while it runs. The same seed gives the same faults."""

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0) -> None:
        self._faults = list(faults)
        self._random = random.Random(seed)  # noqa: S311 - a simulation that must repeat itself

    def active(self, kind: str, now_s: float, path: str = "") -> Fault | None:
        """The fault of this kind that strikes now, if one does."""
        for fault in self._faults:
            if fault.kind == kind and fault.start_s <= now_s < fault.end_s and fault.path in path:
                return fault if fault.probability >= 1 or self._random.random() < fault.probability else None
        return None

    def add(self, fault: Fault) -> None:
        """One more."""
        self._faults.append(fault)

    def clear(self) -> None:
        """None any more."""
        self._faults.clear()

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults)
