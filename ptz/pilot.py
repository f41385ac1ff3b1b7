"""Brings a follower and a head together: ticks, statuses back to the follower, and an operator who always wins.

Knows neither people nor protocols. Runs in the loop of its head.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ptz.head import Head, Sent
from ptz.types import (
    Decision,
    FollowState,
    GoTo,
    GoToPreset,
    Pose,
    Sightings,
    Status,
    Stay,
    Turn,
    Velocity,
)

QUIET = frozenset({FollowState.IDLE, FollowState.HOLDING, FollowState.MANUAL, FollowState.PAUSED})
MOST_TTL_S = 10.0


class Follows(Protocol):
    """What a pilot asks of a follower: `ptz.follower.Follower`, or a member of a crew."""

    @property
    def state(self) -> FollowState: ...
    def observe(self, sightings: Sightings, now_s: float | None = None) -> None: ...
    def reported(self, pose: Pose, zoomed: bool = True) -> None: ...
    def image_moved(self, from_s: float, to_s: float, pan_deg: float, tilt_deg: float) -> None: ...
    def commanded(self, time_s: float, velocity: Velocity) -> None: ...
    def went_to(self, time_s: float, pose: Pose) -> None: ...
    def decide(self, now_s: float) -> Decision: ...
    def operator(self, now_s: float) -> None: ...
    def resume(self) -> None: ...
    def set_policy(self, name: str, **options: object) -> None: ...
    def told(self) -> dict[str, object]: ...


@dataclass(frozen=True, slots=True)
class PilotSettings:
    """Times of a pilot.

    tick_s       shortest time between two decisions
    idle_tick_s  the same while nothing happens
    resume_s     following goes on so long after an operator's last word; 0 = only when it is told to
    """

    tick_s: float = 0.1
    idle_tick_s: float = 0.5
    resume_s: float = 10.0


class Pilot:
    """Flies one camera. Every call is made in the loop that `run` runs in."""

    def __init__(
        self, follower: Follows, head: Head, now: Callable[[], float], settings: PilotSettings | None = None
    ) -> None:
        """Listens to the head from now on, beside whoever listens already."""
        self.follower, self.head = follower, head
        self.settings = settings or PilotSettings()
        self._now = now
        self._news = asyncio.Event()
        self._hurry = asyncio.Event()
        self._operator_s = -math.inf
        self._override: Decision | None = None
        self._override_until_s = -math.inf
        self._held = False
        """An operator, or somebody else at the head, has it."""
        self._by = ""
        self._decided: Decision = Stay()
        self._ticks = 0
        head.listen(on_status=self._status, on_sent=self._sent)

    async def run(self) -> None:
        """Tick until cancelled; then the head is told to stop. `head.run` is a task of the caller's own."""
        try:
            while True:
                self._tick(self._now())
                await self._rest()
        finally:
            self.head.want(Turn(Velocity()))

    def observe(self, sightings: Sightings) -> None:
        """New boxes; a decision follows as soon as the rate allows."""
        self.follower.observe(sightings, self._now())
        self._news.set()

    def image_moved(self, from_s: float, to_s: float, pan_deg: float, tilt_deg: float) -> None:
        """Between the pictures of these two moments the view has turned by so much."""
        self.head.image_moved(to_s, pan_deg, tilt_deg)
        self.follower.image_moved(from_s, to_s, pan_deg, tilt_deg)

    def operate(self, velocity: Velocity, ttl_s: float = 0.5) -> None:
        """An operator turns the head, for `ttl_s` unless told again. Wins at once."""
        ttl_s = min(max(ttl_s, 0.0), MOST_TTL_S) if math.isfinite(ttl_s) else 0.0
        self._take(Turn(velocity), ttl_s)

    def operator_stop(self) -> None:
        """Stop, and stay until following is resumed."""
        self._take(Turn(Velocity()), math.inf)

    def go_to(self, place: GoTo) -> None:
        """An operator sends it to a place."""
        self._take(place, math.inf)

    def preset(self, preset: str) -> None:
        """An operator sends it to a stored place."""
        self._take(GoToPreset(preset), math.inf)

    def resume(self) -> None:
        """Follow again now."""
        self._give_back()

    def set_policy(self, name: str, **options: object) -> None:
        """Another policy of framing. Raises what the follower raises for an unknown one."""
        self.follower.set_policy(name, **options)
        self._hurry.set()

    @property
    def operated(self) -> bool:
        """An operator has the head."""
        return self._held

    def told(self) -> dict[str, Any]:
        """For /health: the head's `told`, and beside it what the follower says and who has the head."""
        now_s = self._now()
        left_s = self._operator_s + self.settings.resume_s - now_s
        return {
            **self.head.told(),
            "follow": {**self.follower.told(), "state": self.follower.state.value},
            "operator": {
                "has_it": self._held,
                "who": self._by,
                "resumes_in_s": round(max(left_s, 0.0), 1) if self._held and self.settings.resume_s else None,
            },
            "ticks": self._ticks,
        }

    def _take(self, decision: Decision, ttl_s: float) -> None:
        now_s = self._now()
        self._held, self._by, self._operator_s = True, "operator", now_s
        self._override, self._override_until_s = decision, now_s + ttl_s
        self.follower.operator(now_s)
        # Not with the next tick: an operator's word reaches the head within this call.
        self.head.want(decision)
        self._hurry.set()

    def _give_back(self) -> None:
        self._held, self._by, self._override = False, "", None
        self.follower.resume()
        self._hurry.set()

    def _tick(self, now_s: float) -> None:
        self._ticks += 1
        if now_s < self.head.foreign_until_s and not self._held:
            self._held, self._by, self._override = True, "somebody else", None
            self._operator_s = now_s
            self.head.want(Turn(Velocity()))
        if self._held and self._is_over(now_s):
            self._give_back()
        decision = self.follower.decide(now_s)
        if self._held:
            self._hold(now_s)
        else:
            self._decided = decision
            self.head.want(decision)

    def _hold(self, now_s: float) -> None:
        """Keep up what the operator wants, as long as that lasts."""
        if self._by == "operator":
            self.follower.operator(self._operator_s)
        if self._override is None:
            return
        if now_s >= self._override_until_s:
            self._override = None
            self.head.want(Turn(Velocity()))
        elif isinstance(self._override, Turn):
            self.head.want(self._override)
        else:
            self.head.want(Stay())

    def _is_over(self, now_s: float) -> bool:
        if self._by != "operator":
            return now_s >= self.head.foreign_until_s
        turning = isinstance(self._override, Turn) and not self._override.velocity.is_zero
        if turning or not self.settings.resume_s:
            return False
        return now_s >= self._operator_s + self.settings.resume_s

    async def _rest(self) -> None:
        """Until the next tick: the soonest that is allowed after news, later where nothing happens."""
        settings = self.settings
        self._news.clear()
        await self._wait(self._hurry, settings.tick_s)
        hurried = self._hurry.is_set()
        self._hurry.clear()
        if hurried or self._busy():
            return
        await self._wait(self._news, settings.idle_tick_s - settings.tick_s)

    def _busy(self) -> bool:
        operating = self._held and isinstance(self._override, Turn) and not self._override.velocity.is_zero
        return operating or self.head.turning or self.follower.state not in QUIET or self._news.is_set()

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        # Not wait_for: in Python 3.11 that forgets a cancellation which comes together with what it waits for.
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return

    def _status(self, status: Status) -> None:
        if status.pose is not None:
            self.follower.reported(status.pose, status.zoomed)

    def _sent(self, sent: Sent) -> None:
        if sent.velocity is not None:
            self.follower.commanded(sent.time_s, sent.velocity)
        elif sent.pose is not None:
            self.follower.went_to(sent.time_s, sent.pose)
