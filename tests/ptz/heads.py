"""A head over a simulated device in virtual time, and everything that happened to it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.lockout import Governor
from engine.lockout_ledger import Ledger
from ptz.drivers.base import DriverOptions, PtzDriver
from ptz.drivers.isapi import IsapiDriver
from ptz.drivers.simulator import SimulatorDriver
from ptz.head import Head, HeadEvent, HeadSettings, Sent
from ptz.lease import Lease
from ptz.simulator.accounts import Accounts, User
from ptz.simulator.camera import SimulatedCamera
from ptz.simulator.device import Device
from ptz.simulator.faults import Fault, Faults
from ptz.simulator.profiles import PROFILES
from ptz.simulator.transport import DeviceTransport
from ptz.speed_table import SpeedTable
from ptz.types import Decision, HeadState, Levels, Status, Stay, Turn, Velocity
from ptz.virtual_time import run_virtual
from ptz.watchdog_link import Guard

START_S = 100.0
UNPROBED = HeadSettings(probe=False)
STILL = Turn(Velocity())


def right(deg_s: float) -> Turn:
    return Turn(Velocity(deg_s, 0.0, 0.0))


class Recording(SimulatorDriver):
    """Notes what reaches the camera and when; `answers` may refuse or delay it first."""

    def __init__(self, options: DriverOptions, now: Callable[[], float], device: Device) -> None:
        super().__init__(options, now, device)
        self.calls: list[tuple[float, str, Any]] = []
        self.answers: Callable[[str], Awaitable[None]] | None = None
        self.in_flight = self.most_in_flight = 0
        self.ways: tuple[str, ...] = ("stop",)
        self.way = "stop"

    async def _noted(self, what: str, value: object, call: Callable[[], Awaitable[Any]]) -> Any:
        self.calls.append((self.now(), what, value))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.answers is not None:
                await self.answers(what)
            return await call()
        finally:
            self.in_flight -= 1

    async def move(self, levels: Levels, ttl_s: float) -> None:
        await self._noted("move", levels, lambda: SimulatorDriver.move(self, levels, ttl_s))

    async def stop(self) -> None:
        way = self.way

        async def stop() -> None:
            if way == self.ways[-1]:
                await SimulatorDriver.stop(self)

        await self._noted("stop", way, stop)

    async def status(self) -> Status:
        told: Status = await self._noted("status", None, lambda: SimulatorDriver.status(self))
        return told

    async def absolute(self, pan_deg: float, tilt_deg: float, zoom: float, max_deg_s: float | None) -> None:
        place = (pan_deg, tilt_deg, zoom)
        await self._noted("absolute", place, lambda: SimulatorDriver.absolute(self, *place, max_deg_s))

    async def go_to_preset(self, preset: str) -> None:
        await self._noted("preset", preset, lambda: SimulatorDriver.go_to_preset(self, preset))

    @property
    def stop_ways(self) -> tuple[str, ...]:
        return self.ways

    def use_stop_way(self, way: str) -> None:
        self.way = way

    def times(self, *kinds: str) -> list[float]:
        return [time_s for time_s, what, _ in self.calls if what in kinds]


@dataclass
class Ride:
    """One head on its device while a script wants things of it."""

    profile: str = "hik-8425ix"
    faults: Sequence[Fault] = ()
    settings: HeadSettings = UNPROBED
    protocol: bool = False
    watchdog: Guard | None = None
    lease: Lease | None = None
    jump_s: float = 0.0
    """Added to the head's clock; a script may change it."""
    options: DriverOptions = field(default_factory=lambda: DriverOptions("sim://test"))
    family: str = "linear"
    events: list[HeadEvent] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    speeds: list[tuple[float, float]] = field(default_factory=list)

    def now(self) -> float:
        return self._time() + self.jump_s

    def begin(self) -> None:
        """Within the loop."""
        self._time = asyncio.get_running_loop().time
        self.device = Device(PROFILES[self.profile], faults=Faults(self.faults), start_s=self._time())
        self.driver: PtzDriver = self._driver()
        self.head = Head(
            self.driver, self.settings, SpeedTable.family(self.family), self.now,
            watchdog=self.watchdog, lease=self.lease,
        )  # fmt: skip
        self.head.listen(self.events.append, on_sent=self.sent.append)
        self.task = asyncio.create_task(self.head.run())

    def _driver(self) -> PtzDriver:
        if not self.protocol:
            return Recording(self.options, self._time, self.device)
        self.camera = SimulatedCamera(self.device, Accounts([User("user", "password")]))
        options = replace(self.options, url="http://camera", user="user", password="password")
        governor = Governor("camera", "user", "password", ledger=Ledger(None), now=self._time)
        return IsapiDriver(options, self._time, DeviceTransport(self.camera, self._time), governor)

    @property
    def recording(self) -> Recording:
        assert isinstance(self.driver, Recording)
        return self.driver

    def speed(self) -> float:
        """°/s (zoom left out) as it really is."""
        velocity = self.device.velocity(self._time())
        return math.hypot(velocity.pan_deg_s, velocity.tilt_deg_s)

    async def go(self, seconds: float, decision: Decision | None = None) -> None:
        """Want this ten times a second for so long; None = `Stay`."""
        until_s = self._time() + seconds
        while self._time() < until_s - 1e-6:
            self.head.want(Stay() if decision is None else decision)
            self.speeds.append((self._time(), self.speed()))
            await asyncio.sleep(min(0.1, until_s - self._time()))
            if self.task.done():
                self.task.result()

    async def idle(self, seconds: float) -> None:
        """Let time go by without a word to the head."""
        await asyncio.sleep(seconds)

    async def until(
        self, holds: Callable[[], bool], most_s: float, decision: Decision | None = None
    ) -> float:
        """How long it took until this held."""
        begun_s = self._time()
        while not holds():
            assert self._time() - begun_s < most_s, (
                f"not within {most_s} s: {self.head.state} {self.head.reason}"
            )
            await self.go(0.05, decision)
        return self._time() - begun_s

    def event_times(self, kind: str) -> list[float]:
        return [event.time_s for event in self.events if event.kind == kind]

    def event_texts(self, kind: str) -> str:
        return "; ".join(event.text for event in self.events if event.kind == kind)

    def states(self) -> list[HeadState]:
        """All that it went through."""
        return [HeadState(e.text.split("→ ")[1].split(":")[0]) for e in self.events if e.kind == "state"]

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})
        await self.head.close()


def ride(script: Callable[[Ride], Awaitable[None]], it: Ride | None = None, limit_s: float = 300.0) -> Ride:
    """Run a script over a head in virtual time."""
    it = it or Ride()

    async def run() -> None:
        it.begin()
        try:
            await script(it)
        finally:
            await it.end()

    run_virtual(run(), start_s=START_S, limit_s=START_S + limit_s)
    return it


def most_in_a_second(times_s: Sequence[float]) -> int:
    """The most of these moments that lie within any second."""
    return max((sum(t <= other < t + 1.0 - 1e-6 for other in times_s) for t in times_s), default=0)
