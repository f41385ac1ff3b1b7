"""When a batch is run that is not full: one class a policy of `infer.collect`.

A policy sees what has been gathered and who is missing, and names the time at which to run. It is asked again
whenever a frame comes, so it never has to foresee anything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

TOLERANCE = 0.25
"""Share of the window by which a frame may be expected after its end and still be waited for: jitter."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A live camera without a frame in the batch.

    expected_ns  when its next wanted frame should come, by its rate
    overdue_ns   when it is late by a whole period: it pauses
    horizon_ns   when it is not live any more
    """

    expected_ns: int
    overdue_ns: int
    horizon_ns: int


@dataclass(frozen=True, slots=True)
class Gathering:
    """A batch before it is run.

    since_ns   when its first frame became available
    window_ns  period of the fastest live camera
    missing    live cameras that could have a frame in it and have none
    """

    since_ns: int
    window_ns: int
    missing: tuple[Missing, ...]


class Collect(ABC):
    """Subclasses register: `class Greedy(Collect, name="greedy")`."""

    names: ClassVar[dict[str, type[Collect]]] = {}

    def __init_subclass__(cls, name: str) -> None:
        Collect.names[name] = cls

    @abstractmethod
    def runs_at(self, gathering: Gathering) -> int:
        """When to run the batch, if nothing comes in between; a time that has passed means at once."""


class Greedy(Collect, name="greedy"):
    """Never waits: what is there when the detector is free."""

    def runs_at(self, gathering: Gathering) -> int:
        return gathering.since_ns


class Adaptive(Collect, name="adaptive"):
    """Waits for whoever should come within the window, and gives up who pauses.

    In one period of the fastest camera every camera that is as fast gives one frame. A longer wait would make the
    first frames old, a shorter one would miss a camera each time.
    """

    def runs_at(self, gathering: Gathering) -> int:
        end_ns = gathering.since_ns + gathering.window_ns
        latest_ns = end_ns + round(TOLERANCE * gathering.window_ns)
        awaited = [camera for camera in gathering.missing if camera.expected_ns <= latest_ns]
        if not awaited:
            return gathering.since_ns
        return min(end_ns, max(camera.overdue_ns for camera in awaited))


class All(Collect, name="all"):
    """Waits for every live camera, however long. One that falls silent stops everybody until it is not live."""

    def runs_at(self, gathering: Gathering) -> int:
        return max((camera.horizon_ns for camera in gathering.missing), default=gathering.since_ns)
