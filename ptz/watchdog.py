"""Stops cameras' heads whose controller has died or hangs: `python -m ptz.watchdog`, started by `ptz.watchdog_link`.

A process of its own with a connection of its own, because it must work when nothing else does. Lines of JSON over its
standard input say which heads there are, which of them turn and how each is stopped; the end of that input is the
controller's death. What it does it tells by lines on its standard output. Credentials come over the input alone.
Imports little, so that it is there at once.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import sys
import time
from typing import Any

from engine.errors import PtzError, PtzLocked, PtzUnauthorized
from ptz.drivers.base import DriverOptions, PtzDriver
from ptz.types import Pose

GIVE_UP_S = 3.0
LONGEST_S = 5
"""The kernel ends this process so long after its controller's death, whatever it waits for."""
TICK_S = 0.05
ALIVE_S = 0.5
OPEN_S = 1.5
STOP_TIMEOUT_S = 0.7
LOOK_S = 0.12
STABLE_S = 0.3
STILL_DEG = 0.12
AGAIN_S = 0.25
PER_WAY = 2
UNSEEN = 3
LINE_BYTES = 1 << 20
IGNORED = (
    signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU,
    signal.SIGPIPE,
)  # fmt: skip
"""Whoever ends the controller ends this by that; nothing else may take it away from under a head that turns."""


def say(**words: Any) -> None:
    """One line to the controller; lost where it does not listen any more."""
    try:
        os.write(sys.stdout.fileno(), json.dumps(words).encode() + b"\n")
    except (BrokenPipeError, BlockingIOError):
        return


def create(module: str, name: str, options: dict[str, Any]) -> PtzDriver:
    """The driver of this name; only its own module is imported."""
    importlib.import_module(module)
    known: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in options.items()
    }
    return PtzDriver.drivers[name](DriverOptions(**known), time.monotonic)


class Ward:
    """One head that is watched."""

    def __init__(self, name: str, driver: PtzDriver) -> None:
        self.name, self.driver = name, driver
        self.turning = False
        self.heard_s = 0.0
        self.way = ""
        self._opened = False
        self._opening = asyncio.ensure_future(self._open())
        self._stop: asyncio.Task[None] | None = None

    def told(self, turning: bool, way: str) -> None:
        """A sign of life of its controller."""
        self.turning, self.heard_s, self.way = turning, time.monotonic(), way or self.way
        if self._stop is not None:
            self._stop.cancel()
            self._stop = None

    def begin_stop(self, why: str) -> asyncio.Task[None] | None:
        """Stop it, if it turns and is not being stopped."""
        if self.turning and self._stop is None:
            self._stop = asyncio.ensure_future(self._stop_it(why))
        return self._stop

    async def close(self) -> None:
        """Let go of it."""
        for task in (self._opening, self._stop):
            if task is not None:
                task.cancel()
        await self.driver.close()

    async def _open(self) -> None:
        """Log in ahead, so that a stop is one request."""
        wait_s = 0.5
        while not self._opened:
            try:
                await self.driver.open()
            except (PtzUnauthorized, PtzLocked) as error:
                # The controller has just logged in with the same words; trying on could lock the account.
                say(failed=self.name, why=str(error))
                return
            except PtzError as error:
                say(failed=self.name, why=str(error))
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, 5.0)
            else:
                self._opened = True
                say(watching=self.name)

    async def _stop_it(self, why: str) -> None:
        begun_s = time.monotonic()
        if not self._opened:
            await asyncio.wait({self._opening}, timeout=OPEN_S)
        ways = tuple(dict.fromkeys((self.way, *self.driver.stop_ways)))
        ways = tuple(way for way in ways if way in self.driver.stop_ways) or self.driver.stop_ways
        sent, confirmed = 0, False
        while not confirmed and time.monotonic() - begun_s < GIVE_UP_S:
            way = ways[(sent // PER_WAY) % len(ways)]
            if await self._send(way) and sent == 0:
                say(sent=self.name, why=why, after_s=round(time.monotonic() - begun_s, 3))
            sent += 1
            rests = await self._rests()
            confirmed = bool(rests)
            if rests is None and sent >= UNSEEN:
                break
        self.turning = False
        after_s = round(time.monotonic() - begun_s, 3)
        say(stopped=self.name, why=why, confirmed=confirmed, stops=sent, after_s=after_s)

    async def _send(self, way: str) -> bool:
        self.driver.use_stop_way(way)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self.driver.stop()
        except (PtzError, TimeoutError) as error:
            say(failed=self.name, why=str(error) or "no answer")
            await asyncio.sleep(TICK_S)
            return False
        return True

    async def _rests(self) -> bool | None:
        """Whether it stands; None where the camera does not tell. Takes as long as another stop may wait."""
        if not self.driver.capabilities.status:
            await asyncio.sleep(AGAIN_S)
            return None
        first: tuple[float, Pose] | None = None
        until_s = time.monotonic() + AGAIN_S + STABLE_S
        while time.monotonic() < until_s:
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    status = await self.driver.status()
            except (PtzError, TimeoutError):
                return None
            now_s = time.monotonic()
            if status.pose is None:
                return None if status.moving is None else not status.moving
            if first is None or _apart_deg(first[1], status.pose) > STILL_DEG:
                first = now_s, status.pose
            if now_s - first[0] >= STABLE_S:
                return True
            await asyncio.sleep(LOOK_S)
        return False


class Watch:
    """All heads of one controller."""

    def __init__(self) -> None:
        self.wards: dict[str, Ward] = {}
        self.silence_s = 0.4
        self.controller = os.getppid()

    async def run(self) -> None:
        """Until the controller is gone and nothing turns any more."""
        reader = asyncio.StreamReader(limit=LINE_BYTES)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
        )
        say(ready=os.getpid())
        ticking = asyncio.ensure_future(self._tick(reader))
        while line := await reader.readline():
            await self._hear(json.loads(line))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LONGEST_S)
        ticking.cancel()
        stops = [stop for ward in self.wards.values() if (stop := ward.begin_stop("the controller is gone"))]
        if stops:
            await asyncio.wait(stops)
        for ward in self.wards.values():
            await ward.close()
        transport.close()

    async def _hear(self, words: dict[str, Any]) -> None:
        if "silence_s" in words:
            self.silence_s = float(words["silence_s"])
        elif "watch" in words:
            name = words["watch"]
            if name in self.wards:
                await self.wards.pop(name).close()
            self.wards[name] = Ward(name, create(words["module"], words["driver"], words["options"]))
        elif "turning" in words and words["turning"] in self.wards:
            self.wards[words["turning"]].told(True, words.get("way", ""))
        elif "resting" in words and words["resting"] in self.wards:
            self.wards[words["resting"]].told(False, "")

    async def _tick(self, reader: asyncio.StreamReader) -> None:
        """Notice silence, and a controller whose end of the pipe somebody else holds open."""
        alive_s = last_s = 0.0
        while True:
            now_s = time.monotonic()
            # This process was held up itself: what the controller has said meanwhile is still unread.
            held_up = now_s - last_s > 4 * TICK_S
            last_s = now_s
            if now_s - alive_s >= ALIVE_S:
                alive_s = now_s
                say(alive=True)
            if os.getppid() != self.controller:
                reader.feed_eof()
                return
            for ward in self.wards.values():
                if not held_up and ward.turning and now_s - ward.heard_s > self.silence_s:
                    ward.begin_stop(f"nothing heard for {self.silence_s:g} s")
            await asyncio.sleep(TICK_S)


def _apart_deg(one: Pose, other: Pose) -> float:
    around = abs(one.pan_deg - other.pan_deg) % 360.0
    return max(min(around, 360.0 - around), abs(one.tilt_deg - other.tilt_deg))


def main() -> int:
    """Watch until the controller is gone and its heads rest."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    os.set_blocking(sys.stdout.fileno(), False)
    asyncio.run(Watch().run())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
