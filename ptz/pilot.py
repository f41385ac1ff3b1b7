"""Brings a follower and a head together: ticks, statuses back to the follower, and an operator who always wins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ptz.head import Head
from ptz.types import Decision, FollowState, GoTo, Pose, Sightings, Velocity


class Follows(Protocol):
    """What a pilot asks of a follower: `ptz.follower.Follower`."""

    @property
    def state(self) -> FollowState: ...
    def observe(self, sightings: Sightings) -> None: ...
    def reported(self, pose: Pose) -> None: ...
    def commanded(self, time_s: float, velocity: Velocity) -> None: ...
    def went_to(self, time_s: float, pose: Pose) -> None: ...
    def decide(self, now_s: float) -> Decision: ...
    def operator(self, now_s: float) -> None: ...
    def set_policy(self, name: str, **options: Any) -> None: ...
    def explain(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class PilotSettings:
    """tick_s: shortest time between two decisions; idle_tick_s: while nothing happens; resume_s: following goes on
    so long after an operator's last word."""

    tick_s: float = 0.1
    idle_tick_s: float = 0.5
    resume_s: float = 10.0


class Pilot:
    """Flies one camera."""

    def __init__(
        self,
        follower: Follows,
        head: Head,
        now: Callable[[], float],
        settings: PilotSettings = PilotSettings(),
    ) -> None:
        """Takes over `head.on_status` and `head.on_sent`; what was there is called as well."""
        raise NotImplementedError

    async def run(self) -> None:
        """Tick until cancelled; then the head is told to stop. `head.run` is the caller's own task."""
        raise NotImplementedError

    def observe(self, sightings: Sightings) -> None:
        """New boxes; a decision follows as soon as the rate allows."""
        raise NotImplementedError

    def operate(self, velocity: Velocity, ttl_s: float = 0.5) -> None:
        """An operator turns the head, for `ttl_s` unless told again. Wins at once."""
        raise NotImplementedError

    def operator_stop(self) -> None:
        """Stop, and stay until following is resumed."""
        raise NotImplementedError

    def go_to(self, place: GoTo) -> None:
        """An operator sends it to a place."""
        raise NotImplementedError

    def preset(self, preset: str) -> None:
        """An operator sends it to a stored place."""
        raise NotImplementedError

    def resume(self) -> None:
        """Follow again now."""
        raise NotImplementedError

    def set_policy(self, name: str, **options: Any) -> None:
        """Another policy of framing. Raises what the follower raises for an unknown one."""
        raise NotImplementedError

    def told(self) -> dict[str, Any]:
        """For /health: the head's `told`, and under `follow` state, target and reason, under `operator` who holds it."""
        raise NotImplementedError
