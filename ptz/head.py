"""One camera's head: what is wanted becomes few requests, and every stop is seen through.

One request at a time, the latest wish wins, turns are renewed and end by themselves, limits are kept here as the last
instance, and what the head does is compared with what it was told. Knows drivers and time; knows nothing of people,
pictures and targets: those decide, in `ptz.follower`. Its parts: `head_wish` (what is wanted, as far as it is allowed),
`head_orders` (what was sent), `head_motion` (what the head does), `head_stop` (when a stop is over), `head_contact`
(what failures mean), `head_health` (what is told of it).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

from engine.errors import PtzError, PtzLeaseLost, PtzRefused, PtzUnsupported
from ptz.drivers.base import PtzDriver
from ptz.head_errands import Errands
from ptz.head_health import HeadEvent, Health, Wear, both
from ptz.head_line import ClockWatch
from ptz.head_motion import Motion
from ptz.head_orders import BEAT_S, STATUS_TIMEOUT_S, Orders
from ptz.head_places import place_request
from ptz.head_probe import corrected, learn, probe_head
from ptz.head_settings import HeadSettings
from ptz.head_stop import Stopping
from ptz.head_wish import Going, Sent, Speeds, Wishes
from ptz.lease import Lease
from ptz.probe import ProbeResult
from ptz.types import Capabilities, Decision, HeadState, Pose, Preset, Status
from ptz.watchdog_link import Guard

__all__ = ["Head", "HeadEvent", "HeadSettings", "Sent"]

LEASE_S = 1.0
OVERDUE_S = 1.0
"""Where answers are slow, commands leave no time for questions; but not for so long."""
OWN_S = 3.0
"""Motion so soon after a stop was taken for done is our own."""


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
        """`on_sent` is called before the request goes out, and again with what still holds where it fails."""
        self.settings = settings
        self.choices: list[str] = []
        """What was chosen and why, one line each."""
        self._driver, self._now = driver, now
        self._health, self._wear = Health(now), Wear()
        self._motion = Motion(settings.not_moving_s)
        self._wishes = Wishes(settings, speed_table, self._motion, self._health, self._wear)
        self._orders = Orders(driver, settings, now, self._motion, self._health, self._wear, watchdog, lease)
        self._orders.on_status, self._orders.on_sent = on_status, on_sent
        self._orders.urgent = self._wants_stop
        self._wake = asyncio.Event()
        self._errands = Errands(self._orders, self._wishes, self._health, self._wake)
        self._stopping: Stopping | None = None
        self._going: Going | None = None
        self._stop_proven: bool | None = None
        self._probed = not settings.probe
        self._latency_s: float | None = None
        self._foreign_until_s = -math.inf
        self._clock = ClockWatch(now(), max(driver.options.timeout_s, STATUS_TIMEOUT_S) * 8)
        self._sent_basis: tuple[float, ...] = ()
        self._move_ways: list[str] = []

    def want(self, decision: Decision) -> None:
        """The latest wish; replaces one that was not sent yet.

        A turn must be confirmed within `decision_life_s`, by itself or by `Stay`, or it is stopped. Wishes are clipped
        to the limits. Raises nothing: what becomes of it is in `state`, `told` and the events.
        """
        self._wishes.want(decision, self._now())
        self._wake.set()

    def image_moved(self, time_s: float, pan_shift_deg: float, tilt_shift_deg: float) -> None:
        """Told from outside: between the last picture and the one of `time_s` the view has turned by so much."""
        self._motion.image_moved(time_s, pan_shift_deg, tilt_shift_deg, self._now())

    async def presets(self) -> list[Preset]:
        """The stored places. Raises what the driver raises, and `PtzUnreachable` where the head is not connected."""
        return await self._errands.presets()

    async def store_preset(self, preset: str, name: str) -> str:
        """Store where it points now; returns what the camera calls it. Raises `PtzRefused` for a reserved number."""
        return await self._errands.store_preset(preset, name)

    async def remove_preset(self, preset: str) -> None:
        """Forget a stored place. Raises `PtzRefused` for a reserved number."""
        await self._errands.remove_preset(preset)

    def listen(
        self,
        on_event: Callable[[HeadEvent], None] | None = None,
        on_status: Callable[[Status], None] | None = None,
        on_sent: Callable[[Sent], None] | None = None,
    ) -> None:
        """Be told of events, statuses and commands as they happen, beside whoever listens already."""
        self._health.on_event = both(self._health.on_event, on_event)
        self._orders.on_status = both(self._orders.on_status, on_status)
        self._orders.on_sent = both(self._orders.on_sent, on_sent)

    @property
    def state(self) -> HeadState:
        """How it goes."""
        return self._health.state

    @property
    def reason(self) -> str:
        """Why, in one line; empty where everything is well."""
        return self._health.reason

    @property
    def pose(self) -> Pose | None:
        """Where it points now as far as is known: the last position reported, moved on by what was sent since."""
        return self._motion.pose_at(self._now())

    @property
    def turning(self) -> bool:
        """It turns, or was not seen to rest since it did."""
        return self._orders.may_turn

    @property
    def foreign_until_s(self) -> float:
        """Somebody else moves the head; until then they shall be left alone."""
        return self._foreign_until_s

    @property
    def capabilities(self) -> Capabilities:
        """What the camera can do, as far as is known."""
        return self._driver.capabilities

    @property
    def events(self) -> list[HeadEvent]:
        """The latest events, oldest first."""
        return list(self._health.events)

    def told(self) -> dict[str, Any]:
        """For /health: state, reason, pose, what was wanted and sent, latency, commands/s, counters."""
        return {
            **self._orders.told(self.pose, self._wishes.words(self._now())),
            "command_latency_s": self._latency_s,
            "choices": [*self.capabilities.choices, *self.choices],
        }

    async def run(self) -> None:
        """Open, probe, drive; until cancelled, and then the head is stopped first."""
        try:
            while True:
                if self._take_lease() and await self._open():
                    await self._drive()
                self._errands.give_up()
                await self._pause(min(LEASE_S, max(0.05, self._orders.contact.quiet_until_s - self._now())))
        finally:
            self._errands.give_up()
            await self._stop_for_good()

    async def close(self) -> None:
        """Let go of the connection and of the lease. After `run` has ended."""
        await self._driver.close()
        if self._orders.lease is not None:
            self._orders.lease.release()

    def _take_lease(self) -> bool:
        lease = self._orders.lease
        if lease is None or lease.token:
            return True
        try:
            lease.take()
        except PtzLeaseLost as error:
            self._health.set("lease", HeadState.TAKEN, str(error))
            return False
        except PtzError as error:
            self.choices.append(f"no lease: {error}")
            self._orders.lease = None
        self._health.clear("lease")
        return True

    async def _open(self) -> bool:
        """Log in and learn what the camera can do."""
        if self._now() < self._orders.contact.quiet_until_s or not await self._orders.open():
            return False
        if self._probed:
            self._health.clear("start")
        self._wishes.set_capabilities(self.capabilities)
        self._move_ways = list(self._driver.move_ways[1:])
        if self.capabilities.continuous:
            self._health.clear("continuous")
        else:
            self._health.set(
                "continuous", HeadState.DEGRADED, "the camera cannot turn at a speed, only go to places"
            )
        return True

    async def _drive(self) -> None:
        """Until contact, login or lease is lost."""
        if self._orders.may_turn:
            self._begin_stop()
        while not self._must_reopen():
            if not self._probed and not self._orders.may_turn and not await self._probe():
                return
            self._check_clock()
            self._judge()
            step = self._next_step()
            await (self._pause(self._until_next()) if step is None else step)

    def _must_reopen(self) -> bool:
        contact = self._orders.contact
        if contact.locked or not self._orders.lease_holds():
            return True
        # A head that may still turn is told to stop before anything else is asked of its camera.
        return contact.lost and (self._stopping is None or self._stopping.alarmed)

    def _next_step(self) -> Coroutine[Any, Any, None] | None:
        """What is to be sent now; stops first, then wishes, then questions."""
        now_s, orders = self._now(), self._orders
        levels = self._wishes.levels(now_s, self.pose)
        wants_rest = levels.is_zero and not self._wishes.place_due
        if self._stopping is not None and (wants_rest or not self._probed):
            return self._send_stop(self._stopping) if now_s >= self._stopping.due_s else self._question(now_s)
        if orders.status_s < now_s - OVERDUE_S and (question := self._question(now_s)):
            return question
        if now_s >= max(orders.window.free_s(), orders.contact.commands_from_s) - 1e-6:
            if self._wishes.place_due:
                return self._send_place()
            new = levels != orders.levels and (
                self._wishes.basis != self._sent_basis or orders.levels.is_zero
            )
            if not new:
                self._wishes.settled()
            renewal = now_s >= self._renewal_s() - 1e-6 and not self._wishes.trying
            if not levels.is_zero and (new or renewal):
                return self._send_turn()
            if self._errands.any_waits:
                return self._errands.do_next()
        return self._question(now_s)

    def _renewal_s(self) -> float:
        period_s = self.settings.renew_s if self.capabilities.self_expiring else self.settings.resend_s
        return self._orders.sent_s + period_s

    def _question(self, now_s: float) -> Coroutine[Any, Any, None] | None:
        return self._orders.ask() if self._orders.asks and now_s >= self._next_status_s() - 1e-6 else None

    def _next_status_s(self) -> float:
        orders = self._orders
        busy = orders.may_turn or self._going is not None or self._motion.foreign_begun()
        often = busy or orders.contact.doubtful
        period_s = self.settings.moving_status_s if often else self.settings.idle_status_s
        return max(orders.status_s + max(period_s, 2 * self._wear.answer_s), orders.contact.questions_from_s)

    def _until_next(self) -> float:
        now_s, orders = self._now(), self._orders
        due = [now_s + (BEAT_S if orders.may_turn or self._wishes.active else 0.5)]
        if orders.asks:
            due.append(self._next_status_s())
        if self._stopping is not None:
            due.append(self._stopping.due_s)
        elif not orders.levels.is_zero:
            due.append(max(self._renewal_s(), orders.window.free_s(), orders.contact.commands_from_s))
        due += [t for t in (orders.window.free_s(), orders.contact.commands_from_s) if t > now_s]
        return max(0.002, min(due) - now_s)

    async def _pause(self, seconds: float) -> None:
        self._orders.beat()
        # Not wait_for: in Python 3.11 that forgets a cancellation which comes together with what it waits for.
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._wake.clear()

    def _check_clock(self) -> None:
        jump_s = self._clock.jump_s(self._now())
        if jump_s is None:
            return
        self._health.event("clock", f"the clock jumped by {jump_s:+.1f} s: stopped, and started afresh")
        self._motion.forget()
        self._orders.forget()
        self._wishes.forget()
        self._foreign_until_s = -math.inf
        self._stopping = self._going = None
        if self._orders.may_turn:
            self._begin_stop()

    def _judge(self) -> None:
        """Compare what the head does with what it was told, and draw the consequences."""
        now_s, orders = self._now(), self._orders
        orders.expire()
        self._try_another_way(now_s)
        self._wishes.judge(now_s, self.pose, proven=self._motion.proven)
        self._judge_foreign(now_s)
        if self._motion.frozen:
            self._health.set(
                "frozen", HeadState.DEGRADED, "the head moves and its reported position stands still"
            )
        else:
            self._health.clear("frozen")
        if self._going is not None:
            self._judge_going(self._going, now_s)
        wants_rest = self._wishes.levels(now_s, self.pose).is_zero and not self._wishes.place_due
        if self._stopping is not None:
            self._judge_stopping(self._stopping, now_s)
        elif wants_rest and orders.may_turn and (self._going is None or self._wishes.wants_stop(now_s)):
            self._going = None
            self._begin_stop()

    def _try_another_way(self, now_s: float) -> None:
        """Where a turn is taken and nothing moves, the camera's other ways of turning are tried first."""
        pose = self.pose
        stuck = [key for key in self._motion.stuck(now_s) if not self._wishes.at_stop(*key, pose)]
        if not stuck or not self._move_ways:
            return
        way = self._move_ways.pop(0)
        self._driver.use_move_way(way)
        self.choices.append(f"turns by {way!r}: what was used before was taken and nothing moved")
        self._sent_basis = ()
        for axis, _ in stuck:
            self._motion.try_again(axis)

    def _judge_foreign(self, now_s: float) -> None:
        if not self._motion.foreign():
            return
        self._motion.foreign_over()
        if now_s < self._orders.rested_s + OWN_S and not self._orders.may_turn:
            # It was taken for resting too soon, or the camera has lost its stop: that motion is ours.
            self._orders.may_turn = True
            return
        if now_s >= self._foreign_until_s:
            self._health.event("foreign_motion", "the head moved without a command of ours")
        self._foreign_until_s = now_s + self.settings.foreign_pause_s

    def _judge_going(self, going: Going, now_s: float) -> None:
        pose = self.pose
        self._motion.going(now_s)
        if pose is not None and self._wishes.strays(pose):
            self._health.event("limit", "on its way to a place the head went beyond a limit: stopped")
            self._going = None
            self._wishes.forget()
            return
        outcome = going.outcome(now_s, pose, self._motion.at_rest(going.sent_s, now_s))
        if outcome is None:
            return
        self._going = None
        if outcome == "again":
            self._wishes.again(going)
        elif outcome != "next":
            self._orders.rest()
        if outcome == "not moved":
            self._health.set("places", HeadState.NOT_MOVING, "it was sent to a place and did not move")
        elif outcome != "again":
            self._health.clear("places")

    def _judge_stopping(self, stopping: Stopping, now_s: float) -> None:
        verdict = stopping.verdict(self._motion, now_s)
        if verdict == "stands":
            self._stop_seen(stopping)
        elif verdict == "unseen":
            self._rest()
        elif verdict == "alarm":
            self._health.event("stop_alarm", stopping.words())
            self._health.set("stop", HeadState.DEGRADED, stopping.words())

    def _stop_seen(self, stopping: Stopping) -> None:
        way = stopping.worked(self._motion.changed_s)
        if way != self._orders.stop_way:
            self._orders.stop_way = way
            self.choices.append(f"stops by {way!r}: other ways were taken and did not stop it")
        self._health.clear("stop")
        if self._stop_proven is False and self._motion.changed_s > stopping.begun_s:
            self._stop_proven = True
            self._health.clear("unproven")
        self._rest()

    def _rest(self) -> None:
        self._stopping = None
        self._orders.rest()

    def _begin_stop(self) -> None:
        known = self._orders.stop_way
        ways = (known, *(way for way in self._driver.stop_ways if way != known))
        self._stopping = Stopping(ways, self._now(), self.settings.stop_alarm_s, self._motion.refresh_s)
        self._wake.set()

    def _wants_stop(self) -> bool:
        """What is in flight shall give way to a stop."""
        now_s = self._now()
        if self._stopping is not None:
            return now_s >= self._stopping.due_s
        return self._orders.may_turn and self._wishes.wants_stop(now_s)

    async def _send_stop(self, stopping: Stopping) -> None:
        if not self._orders.lease_holds():
            self._stopping = None
            return
        try:
            await self._orders.stop(stopping.way)
        except (PtzRefused, PtzUnsupported) as error:
            stopping.failed(self._now(), str(error), useless=True)
        except PtzError as error:
            stopping.failed(self._now(), str(error), useless=False)
        else:
            stopping.accepted(self._now())

    async def _send_turn(self) -> None:
        pose = self.pose
        levels = self._wishes.levels(self._now(), pose)
        if self._stop_proven is False:
            self._wishes.refuse("stop", "its stop is not proven: it is not turned at a speed")
            self._wishes.forget()
            return
        self._stopping = self._going = None
        self._sent_basis = self._wishes.basis
        if await self._orders.turn(levels, self._wishes.velocity(levels, pose)):
            self._wishes.settled()
        else:
            self._sent_basis = ()

    async def _send_place(self) -> None:
        wanted = self._wishes.take_place()
        if wanted is None:
            return
        place = self._wishes.split(wanted, self.pose)
        request, to = await place_request(place, self._orders, self._wishes)
        if request is None:
            return
        self._stopping = None
        self._going = going = self._wishes.set_out(place, to, self._now(), self.pose)
        if not await self._orders.go(request, to):
            self._going = None
            self._wishes.again(going)

    async def _stop_for_good(self) -> None:
        """At the end of `run`: whatever turns is stopped, with the patience of an alarm."""
        self._wishes.forget()
        self._going = None
        if not self._orders.may_turn or not self._orders.lease_holds():
            return
        if self._stopping is None:
            self._begin_stop()
        until_s = self._now() + self.settings.stop_alarm_s + 0.5
        while self._stopping is not None and self._now() < until_s and not self._orders.contact.locked:
            self._judge_stopping(self._stopping, self._now())
            step = self._next_step() if self._stopping is not None else None
            await (self._pause(min(self._until_next(), BEAT_S)) if step is None else step)

    async def _probe(self) -> bool:
        """Prove motion and stop; False where contact was lost on the way."""
        self._health.set("start", HeadState.STARTING, "the start-up probe runs")
        try:
            result = await probe_head(self._orders, self._wishes)
        except PtzLeaseLost:
            return False
        except PtzError as error:
            self._orders.contact.failed(error, "command")
            return False
        finally:
            self._health.clear("start")
        self._probed = True
        self._latency_s = None if result.latency_s is None else round(result.latency_s, 3)
        self.choices.extend(result.lines)
        if result.moved:
            self._stop_proven = result.stop_way is not None
        if learn(result, self._orders, self._wishes):
            self._rest()
        else:
            self._begin_stop()
        return await self._correct_signs(result)

    async def _correct_signs(self, result: ProbeResult) -> bool:
        options, lines = corrected(self._driver.options, result)
        if options == self._driver.options:
            return True
        self.choices.extend(lines)
        self._driver.options = options
        self._motion.forget()
        return await self._open()
