"""The controlling process's side of the watchdog: starts it, tells it which heads turn, notices its death.

Never waits: a watchdog that does not listen is killed and started again. What it needs to know (addresses, credentials)
goes through a pipe, never through arguments or the environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol

from ptz.drivers.base import PtzDriver

SILENT_S = 2.0
"""A watchdog says that it lives twice a second; after so long without a word it hangs."""
START_S = 5.0
RESTART_S = (0.0, 0.5, 1.0, 2.0, 5.0)
MOST_UNREAD = 1 << 16


class Guard(Protocol):
    """What a head tells its watchdog. Never waits and never raises."""

    def watch(self, driver: PtzDriver) -> None:
        """This is how the head is reached; called when the driver is open, again when that changed."""

    def turning(self, stop_way: str) -> None:
        """It turns, or is about to; called at least every 0.1 s while it does."""

    def resting(self) -> None:
        """It stands."""

    def check(self) -> None:
        """Nothing new; called now and then while it stands, to find out whether the watchdog lives."""

    def told(self) -> dict[str, Any]:
        """For /health."""
        ...


class WatchdogLink:
    """One watchdog process for all heads of this process.

    pid       of the watchdog, None where none runs
    restarts  how often it was started again
    stops     how often it has stopped a head
    """

    def __init__(self, now: Callable[[], float], silence_s: float = 0.4) -> None:
        """Nothing is started before the first head is watched. `silence_s`: how long a head may turn unheard of."""
        self._now, self._silence_s = now, silence_s
        self._process: subprocess.Popen[bytes] | None = None
        self._guards: dict[str, _HeadGuard] = {}
        self._unsent = b""
        self._unread = b""
        self._started_s = self._heard_s = 0.0
        self._restart_s: float | None = None
        self._ready = self._closed = False
        self._deaths = 0
        self.restarts = self.stops = 0
        self.last_words = ""

    @property
    def pid(self) -> int | None:
        """Number of the watchdog's process while it runs."""
        return None if self._process is None else self._process.pid

    def guard(self, name: str) -> Guard:
        """The watchdog of one head, to be given to `Head`. `name`: unique in this process."""
        return self._guards.setdefault(name, _HeadGuard(self, name))

    def told(self) -> dict[str, Any]:
        """pid, state (`off`, `starting`, `watching`, `restarting`), restarts, stops sent, last words."""
        self.check()
        if self._process is None:
            state = "off" if self._restart_s is None else "restarting"
        else:
            state = "watching" if self._ready else "starting"
        return {
            "state": state,
            "pid": self.pid,
            "restarts": self.restarts,
            "stops": self.stops,
            "last_words": self.last_words,
        }

    def check(self) -> None:
        """Read what it has said; start it again where it is dead or hangs."""
        if self._closed:
            return
        if self._process is None:
            if self._restart_s is not None and self._now() >= self._restart_s:
                self._start()
            return
        self._read()
        status = self._process.poll()
        quiet_s = self._now() - max(self._heard_s, self._started_s)
        if status is not None:
            self._died(f"ended with status {status}")
        elif quiet_s > (SILENT_S if self._ready else START_S) or len(self._unsent) > MOST_UNREAD:
            self._process.kill()
            self._process.wait()
            self._died("did not answer and was killed")
        else:
            self._flush()

    def close(self) -> None:
        """Hang up: the watchdog ends by itself, after stopping what turns."""
        self._closed = True
        if self._process is not None:
            self._hang_up(self._process)
            try:
                self._process.wait(0.5)
            except subprocess.TimeoutExpired:
                # It still stops a head, and ends after that; nobody needs to wait for it.
                self.last_words = "still at work when it was hung up"
                threading.Thread(target=self._process.wait, daemon=True).start()  # so that no zombie is left
        self._process = None

    def send(self, **words: Any) -> None:
        """One line; kept until it can be sent."""
        if self._process is None:
            return
        self._unsent += json.dumps(words).encode() + b"\n"
        self._flush()

    def start(self) -> None:
        """Start it, if it does not run."""
        if self._process is None and self._restart_s is None and not self._closed:
            self._start()

    def _start(self) -> None:
        # `-m` would look for modules in the present folder first, where the user may have a `ptz` too.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ptz.watchdog"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONSAFEPATH": "1"},
            process_group=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        os.set_blocking(self._process.stdout.fileno(), False)
        self._started_s, self._restart_s, self._ready = self._now(), None, False
        self._unsent = self._unread = b""
        self.send(silence_s=self._silence_s)
        for guard in self._guards.values():
            guard.say_again()

    def _died(self, why: str) -> None:
        assert self._process is not None
        self._hang_up(self._process)
        self._process = None
        self.last_words = f"{why}{': ' if self.last_words else ''}{self.last_words}"
        if self._now() - self._started_s > 60.0:
            self._deaths = 0
        self._restart_s = self._now() + RESTART_S[min(self._deaths, len(RESTART_S) - 1)]
        self._deaths += 1
        self.restarts += 1
        if self._now() >= self._restart_s:
            self._start()

    @staticmethod
    def _hang_up(process: subprocess.Popen[bytes]) -> None:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _flush(self) -> None:
        if self._process is None or self._process.stdin is None or not self._unsent:
            return
        try:
            sent = os.write(self._process.stdin.fileno(), self._unsent)
        except (BlockingIOError, BrokenPipeError):
            return
        self._unsent = self._unsent[sent:]

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            while data := os.read(self._process.stdout.fileno(), 1 << 16):
                self._unread += data
        except BlockingIOError:
            pass  # All that was there has been read.
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            self._hear(line.decode(errors="replace"))

    def _hear(self, line: str) -> None:
        self._heard_s = self._now()
        try:
            words = json.loads(line)
        except ValueError:
            self.last_words = line.strip()[:200] or self.last_words
            return
        if "ready" in words:
            self._ready = True
            self._deaths = 0
        name = next(
            (str(words[key]) for key in ("watching", "failed", "sent", "stopped") if key in words), ""
        )
        if name in self._guards:
            self._guards[name].hear(words)
        if "sent" in words:
            self.stops += 1
            self.last_words = f"stopped {name}: {words['why']}"


class _HeadGuard:
    """One head's part of the link."""

    def __init__(self, link: WatchdogLink, name: str) -> None:
        self._link, self._name = link, name
        self._how: dict[str, Any] | None = None
        self._turning: str | None = None
        self._state = "off"
        self._why = ""

    def watch(self, driver: PtzDriver) -> None:
        if not driver.options.url.startswith(("http://", "https://")):
            self._state, self._why = "off", "the head is in this process"
            return
        names = [name for name, kind in PtzDriver.drivers.items() if kind is type(driver)]
        how = {
            "watch": self._name,
            "module": type(driver).__module__,
            "driver": names[0],
            "options": asdict(driver.options),
        }
        self._link.start()
        if how != self._how or self._state in ("off", "failed"):
            self._how, self._state, self._why = how, "opening", ""
            self._link.send(**how)

    def turning(self, stop_way: str) -> None:
        self._turning = stop_way
        self._link.check()
        if self._how is not None:
            self._link.send(turning=self._name, way=stop_way)

    def resting(self) -> None:
        self._turning = None
        if self._how is not None:
            self._link.send(resting=self._name)

    def check(self) -> None:
        self._link.check()

    def told(self) -> dict[str, Any]:
        return {**self._link.told(), "head": self._state, **({"why": self._why} if self._why else {})}

    def say_again(self) -> None:
        """To a watchdog that has just been started."""
        if self._how is not None:
            self._state = "opening"
            self._link.send(**self._how)
        if self._turning is not None:
            self._link.send(turning=self._name, way=self._turning)

    def hear(self, words: dict[str, Any]) -> None:
        """What the watchdog says of this head."""
        if "watching" in words:
            self._state, self._why = "ready", ""
        elif "failed" in words:
            self._state, self._why = "failed", str(words["why"])
        elif "stopped" in words:
            self._why = f"stopped by the watchdog: {words['why']}"
