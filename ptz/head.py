"""One camera's head: what is wanted becomes few requests, and every stop is seen through.

One request at a time, the latest wish wins, turns are renewed and end by themselves, limits are kept here as the last
instance, and what the head does is compared with what it was told. Knows drivers and time; knows nothing of people,
pictures and targets: those decide, in `ptz.follower`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ptz.drivers.base import PtzDriver
from ptz.head_settings import HeadSettings
from ptz.lease import Lease
from ptz.types import Decision, HeadState, Levels, Pose, Status, Velocity
from ptz.watchdog_link import Guard

__all__ = ["Head", "HeadEvent", "HeadSettings", "Sent"]


class Speeds(Protocol):
    """Speeds and levels of a head, as `ptz.speed_table.SpeedTable` knows them."""

    def levels(self, velocity: Velocity, zoom: float) -> Levels: ...
    def velocity(self, levels: Levels, zoom: float) -> Velocity: ...


@dataclass(frozen=True, slots=True)
class Sent:
    """What the head was told: a speed (zero for a stop) or a place. A preset whose place is not known has neither."""

    time_s: float
    velocity: Velocity | None = None
    pose: Pose | None = None


@dataclass(frozen=True, slots=True)
class HeadEvent:
    """Something worth a line: state, limit, foreign_motion, not_moving, stop_alarm, clock, lease, watchdog."""

    time_s: float
    kind: str
    text: str


class Head:
    """Drives one camera's head. `run` does the work, the rest only says what is wanted and how it goes."""

    def __init__(  # noqa: PLR0913 - everything that it needs is given to it
        self,
        driver: PtzDriver,
        settings: HeadSettings,
        speed_table: Speeds,
        now: Callable[[], float],
        on_status: Callable[[Status], None] | None = None,
        on_sent: Callable[[Sent], None] | None = None,
        watchdog: Guard | None = None,
        lease: Lease | None = None,
    ) -> None:
        raise NotImplementedError

    def want(self, decision: Decision) -> None:
        """The latest wish; replaces one that was not sent yet.

        A turn must be confirmed within `decision_life_s`, by itself or by `Stay`, or it is stopped. Wishes are clipped
        to the limits. Raises nothing: what becomes of it is in `state`, `told` and the events.
        """
        raise NotImplementedError

    async def run(self) -> None:
        """Open, probe, drive; until cancelled, and then the head is stopped first."""
        raise NotImplementedError

    async def close(self) -> None:
        """Stop, hand back the lease, let go of the connection. After `run` has ended."""
        raise NotImplementedError

    def image_moved(self, time_s: float, pan_shift_deg: float, tilt_shift_deg: float) -> None:
        """Told from outside: between the last picture and the one of `time_s` the view has turned by so much."""
        raise NotImplementedError

    @property
    def state(self) -> HeadState:
        """How it goes."""
        raise NotImplementedError

    @property
    def reason(self) -> str:
        """Why, in one line; empty where everything is well."""
        raise NotImplementedError

    @property
    def pose(self) -> Pose | None:
        """Where it points now as far as is known: the last position reported, moved on by what was sent since."""
        raise NotImplementedError

    def told(self) -> dict[str, Any]:
        """For /health: state, reason, pose, what was wanted and sent, latency, commands/s, counters."""
        raise NotImplementedError
