"""People of a simulated world: the ways they go, and what they look like. Pure functions of time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from ptz.types import F64


@dataclass(frozen=True, slots=True)
class Looks:
    """Body and clothes. `seed` decides colours, patterns and what is carried."""

    seed: int = 0


class Path(ABC):
    """A way over the ground."""

    @abstractmethod
    def places(self, times_s: F64) -> F64:
        """Where one is at these times (k,): (k, 2) metres east and north."""


@dataclass(frozen=True, slots=True)
class Actor:
    """One person of a scene, who is there from `enters_s` until `leaves_s`."""

    actor_id: int
    path: Path
    height_m: float = 1.75
    looks: Looks = field(default_factory=Looks)
    enters_s: float = 0.0
    leaves_s: float = float("inf")
