"""Requests to one head, and what of them is in force: turns, stops, places, questions.

Sends what it is told, when it is told; tells the motion model, the listener and the watchdog; never without the lease.
What is to be sent, and when, is decided in `ptz.head`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

from engine.errors import PtzError, PtzLeaseLost, PtzRefused, PtzUnsupported
from ptz.drivers.base import PtzDriver
from ptz.head_contact import Contact
from ptz.head_health import Health, Wear
from ptz.head_line import Line, Window
from ptz.head_motion import Motion
from ptz.head_settings import HeadSettings
from ptz.head_wish import Sent
from ptz.lease import Lease
from ptz.types import HeadState, Levels, Pose, Preset, Status, Velocity
from ptz.watchdog_link import Guard

STOP_TIMEOUT_S = 0.7
STATUS_TIMEOUT_S = 1.0
OVERTAKE_S = 0.15
"""A stop waits so long for the answer to another request before it overtakes it."""
OVERTAKE_QUESTION_S = 0.05
BEAT_S = 0.1
ODD_TIME_S = 5.0


class Orders:
    """What was sent to one head.

    levels       what it turns at, as far as is known
    may_turn     something was sent that makes it turn, and it was not seen to rest since
    sent_s       when the last turn was sent; `accepted_s` the last one that was taken
    rested_s     when it was last found at rest
    status_s     when it was last asked where it points; `asks`: it answers that at all
    """

    def __init__(  # noqa: PLR0913 - the parts of a head, put together in one place
        self,
        driver: PtzDriver,
        settings: HeadSettings,
        now: Callable[[], float],
        motion: Motion,
        health: Health,
        wear: Wear,
        watchdog: Guard | None,
        lease: Lease | None,
    ) -> None:
        self.driver, self.settings, self.now = driver, settings, now
        self.motion, self.health, self.wear = motion, health, wear
        self.watchdog, self.lease = watchdog, lease
        self.contact = Contact(now, health, wear)
        self.window = Window(settings.most_commands_s)
        self.on_sent: Callable[[Sent], None] | None = None
        self.on_status: Callable[[Status], None] | None = None
        self.urgent: Callable[[], bool] = lambda: False
        """A stop is wanted: what is in flight shall give way."""
        self.levels, self.velocity = Levels(), Velocity()
        self.may_turn = False
        self.sent_s = self.accepted_s = self.rested_s = self.status_s = -math.inf
        self.asks = True
        self.stop_way = ""
        self._line = Line(self.beat)
        self._turning_from_s: float | None = None
        self._beaten_s = -math.inf

    async def open(self) -> bool:
        """Log in and learn what the camera can do; False where that fails."""

        async def opened() -> None:
            await self.driver.open()

        try:
            await self._line.call(opened(), self.driver.options.timeout_s * 8)
        except PtzError as error:
            self.contact.failed(error, "open")
            return False
        self._reached("open")
        self.asks = self.driver.capabilities.status
        if not self.asks:
            self._no_position()
        self.stop_way = self.stop_way or self.driver.stop_ways[0]
        if self.watchdog is not None:
            self.watchdog.watch(self.driver)
        return True

    async def turn(self, levels: Levels, velocity: Velocity) -> bool:
        """Turn, or go on turning; False where it was not taken, and what turned before does."""
        if not self.lease_holds():
            return False
        now_s, before, before_velocity = self.now(), self.levels, self.velocity
        renewal = levels == before
        self.set_turning(levels, velocity)
        self._count(renewal)
        if not renewal:
            self.wear.turned(levels)
        if await self.command(self.driver.move(levels, self.settings.window_s)):
            self.accepted_s = self.motion.accepted_s = now_s
            return True
        self.levels, self.velocity = before, before_velocity
        self._tell(Sent(self.now(), before_velocity), before)
        return False

    async def go(self, request: Coroutine[Any, Any, None], to: Pose | None) -> bool:
        """Send the request that sends it to a place."""
        if not self.lease_holds():
            request.close()
            return False
        self.levels, self.velocity = Levels(), Velocity()
        self._begin_turning()
        self._tell(Sent(self.now(), None, to), Levels())
        self._count(renewal=False)
        return await self.command(request)

    async def stop(self, way: str) -> None:
        """Stop this way. Raises what the driver raises; contact has been told then."""
        self.driver.use_stop_way(way)
        begun_s = self.now()
        self.levels, self.velocity = Levels(), Velocity()
        self.wear.stops += 1
        self.wear.command(begun_s)
        self._tell(Sent(begun_s, Velocity()), Levels())
        try:
            await self._line.call(self.driver.stop(), STOP_TIMEOUT_S)
        except PtzError as error:
            self.contact.failed(error, "stop")
            raise
        self.wear.answered(self.now() - begun_s)
        self._reached("stop")

    async def command(self, request: Coroutine[Any, Any, None]) -> bool:
        """Send a control request; False where it failed, or a stop overtook it."""
        begun_s = self.now()
        try:
            done = await self._line.call(request, self.driver.options.timeout_s, self.urgent, OVERTAKE_S)
        except PtzError as error:
            self.contact.failed(error, "command")
            return False
        if done:
            self.wear.answered(self.now() - begun_s)
            self._reached("command")
        return done

    async def errand(self, request: Coroutine[Any, Any, None]) -> bool:
        """A request that somebody waits for. Raises what the driver raises; False where a stop overtook it."""
        try:
            done = await self._line.call(request, self.driver.options.timeout_s, self.urgent, OVERTAKE_S)
        except (PtzRefused, PtzUnsupported):
            raise
        except PtzError as error:
            self.contact.failed(error, "command")
            raise
        if done:
            self._reached("errand")
        return done

    async def presets(self) -> list[Preset]:
        """The stored places; none where the camera does not tell."""
        found: list[Preset] = []

        async def listed() -> None:
            found.extend(await self.driver.presets())

        await self.command(listed())
        return found

    async def ask(self) -> None:
        """Ask where it points; gives way to a stop."""
        begun_s = self.status_s = self.now()
        self.wear.statuses += 1
        try:
            done = await self._line.call(
                self._take_status(), STATUS_TIMEOUT_S, self.urgent, OVERTAKE_QUESTION_S
            )
        except PtzError as error:
            self.contact.failed(error, "question", commands_work=self.accepted_s > self.now() - 1.0)
            return
        if done:
            self.wear.answered(self.now() - begun_s)
            self._reached("question")
        else:
            self.contact.gave_way()

    async def _take_status(self) -> None:
        status = await self.driver.status()
        now_s, pose = self.now(), status.pose
        odd = pose is None or not abs(pose.time_s - now_s) <= ODD_TIME_S
        believed = self.motion.reported(status, now_s if pose is None or odd else pose.time_s)
        if pose is not None and believed is None:
            if self.motion.age_s(now_s) > 1.0:
                reason = "the reported position makes no sense and is not believed"
                self.health.set("report", HeadState.DEGRADED, reason)
            return
        self.health.clear("report")
        if self.on_status is not None:
            self.on_status(status)

    def lease_holds(self) -> bool:
        """Whether anything may be sent; where somebody else has the head by now, that is shown."""
        if self.lease is None:
            return True
        try:
            self.lease.check()
        except PtzLeaseLost as error:
            self.health.set("lease", HeadState.TAKEN, str(error))
            self.rest()
            return False
        return True

    def set_turning(self, levels: Levels, velocity: Velocity) -> None:
        """It is about to turn."""
        self.levels, self.velocity = levels, velocity
        self._begin_turning()
        self._tell(Sent(self.now(), velocity), levels)

    def expire(self) -> None:
        """A turn that was not renewed has ended by itself, or so the camera says."""
        ends_s = self.accepted_s + self.settings.window_s
        if self.driver.capabilities.self_expiring and not self.levels.is_zero and self.now() > ends_s + 0.05:
            self.levels, self.velocity = Levels(), Velocity()
            self._tell(Sent(max(ends_s, self.sent_s), Velocity()), Levels())

    def rest(self) -> None:
        """It was found at rest, or is not ours any more."""
        self.may_turn, self.levels, self.velocity = False, Levels(), Velocity()
        self.rested_s = self.now()
        if self._turning_from_s is not None:
            self.wear.moving_s += max(0.0, self.now() - self._turning_from_s)
        self._turning_from_s = None
        if self.watchdog is not None:
            self.watchdog.resting()

    def beat(self) -> None:
        """A sign of life to the watchdog, while there is something to watch."""
        now_s = self.now()
        if self.watchdog is None or 0 <= now_s - self._beaten_s < BEAT_S - 0.02:
            return
        self._beaten_s = now_s
        if self.may_turn:
            self.watchdog.turning(self.stop_way)
        else:
            self.watchdog.check()

    def forget(self) -> None:
        """The clock has jumped."""
        self.window.forget()
        self.contact.forget()
        self.levels, self.velocity = Levels(), Velocity()
        self.sent_s = self.accepted_s = self.rested_s = self.status_s = -math.inf

    def told(self, pose: Pose | None, wanted: str) -> dict[str, Any]:
        """How it goes, in plain values."""
        now_s = self.now()
        age_s = self.motion.age_s(now_s)
        return {
            "state": self.health.state.value,
            "reason": self.health.reason,
            "device": self.driver.capabilities.device,
            "pose": pose
            and {axis: round(getattr(pose, axis), 2) for axis in ("pan_deg", "tilt_deg", "zoom")},
            "position_age_s": None if math.isinf(age_s) else round(age_s, 3),
            "wanted": wanted,
            "levels": [self.levels.pan, self.levels.tilt, self.levels.zoom],
            "turning": self.may_turn,
            "stop_way": self.stop_way,
            "answer_s": round(self.wear.answer_s, 4),
            "commands_per_s": round(self.wear.rate(now_s), 2),
            "counters": {**self.wear.told(), "reports_refused": dict(self.motion.refused)},
            "events": dict(self.health.event_counts),
            "watchdog": None if self.watchdog is None else self.watchdog.told(),
            "lease": None if self.lease is None else self.lease.token,
        }

    def _begin_turning(self) -> None:
        now_s = self.now()
        self.may_turn = True
        # The watchdog must know before the camera does.
        if self.watchdog is not None:
            self.watchdog.turning(self.stop_way)
        if self._turning_from_s is None:
            self._turning_from_s = now_s

    def _count(self, renewal: bool) -> None:
        self.sent_s = self.now()
        self.window.take(self.sent_s, again=renewal)
        self.wear.command(self.sent_s)
        self.wear.sent += 1
        self.wear.renewed += renewal

    def _tell(self, sent: Sent, levels: Levels) -> None:
        self.motion.sent(sent.time_s, sent.velocity or Velocity(), levels)
        if sent.velocity is None:
            self.motion.going(sent.time_s)
        if self.on_sent is not None:
            self.on_sent(sent)

    def _reached(self, what: str) -> None:
        if self.contact.worked(what):
            # It was away for long: where it points now has nothing to do with where it pointed.
            self.motion.forget()

    def _no_position(self) -> None:
        self.health.set("position", HeadState.DEGRADED, "the camera does not tell where it points")

    async def probe_turn(self, levels: Levels, velocity: Velocity, ttl_s: float) -> None:
        """Turn once, not renewed. Raises what the driver raises."""
        if not self.lease_holds():
            raise PtzLeaseLost("another controller has taken the head")
        self.set_turning(levels, velocity)
        self._count(renewal=False)
        await self._line.call(self.driver.move(levels, ttl_s), self.driver.options.timeout_s)
        self.motion.accepted_s = self.now()
        self._reached("command")

    async def probe_stop(self, way: str) -> bool:
        """Stop this way; False where the camera does not take it."""
        try:
            await self.stop(way)
        except (PtzRefused, PtzUnsupported):
            return False
        return True

    async def probe_look(self, wait_s: float) -> Pose | None:
        """Wait, then ask where it points; None where that is not told."""
        earliest_s = self.status_s + self.settings.moving_status_s if self.asks else -math.inf
        until_s = max(self.now() + wait_s, earliest_s)
        while (left_s := until_s - self.now()) > 1e-6:
            self.beat()
            await asyncio.sleep(min(left_s, BEAT_S / 2))
        if not self.asks:
            return None
        before = self.motion.last
        await self.ask()
        last = self.motion.last
        return None if last is None or last is before else last.pose
