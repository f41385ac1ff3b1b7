"""The watchdog with real processes and sockets: a controller that dies or hangs leaves no head turning."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ptz.simulator.accounts import Accounts, User
from ptz.simulator.camera import SimulatedCamera
from ptz.simulator.device import Device
from ptz.simulator.faults import Fault, Faults
from ptz.simulator.profiles import PROFILES
from ptz.simulator.server import serve

CONTROLLER = Path(__file__).with_name("controller.py")
USER, PASSWORD = "tracker", "s3cret-w0rd"


@dataclass
class Scene:
    """A camera in a thread of this process, and a controller in another process."""

    device: Device
    camera: SimulatedCamera
    controller: subprocess.Popen[str]

    def speed(self) -> float:
        """°/s, as the head really turns."""
        velocity = self.device.velocity(time.monotonic())
        return abs(velocity.pan_deg_s) + abs(velocity.tilt_deg_s)

    def told(self, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next line of the controller for which this holds."""
        assert self.controller.stdout is not None
        for line in self.controller.stdout:
            words: dict[str, Any] = json.loads(line)
            if until(words):
                return words
        raise AssertionError(f"the controller ended with {self.controller.wait()}")

    def wait_turning(self) -> None:
        wait(lambda: self.speed() > 35, 10)

    def seconds_to_rest(self) -> float:
        """From now on."""
        begun_s = time.monotonic()
        wait(lambda: self.speed() < 0.1, 6)
        return time.monotonic() - begun_s


def wait(until: Callable[[], bool], seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.005)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@contextmanager
def scene(tmp_path: Path, *faults: Fault) -> Iterator[Scene]:
    device = Device(PROFILES["hik-8425ix"], faults=Faults(faults), start_s=time.monotonic())
    camera = SimulatedCamera(device, Accounts([User(USER, PASSWORD)]))
    urls: list[str] = []
    loops: list[asyncio.AbstractEventLoop] = []
    ended = asyncio.Event()
    ready = threading.Event()

    async def serve_it() -> None:
        loops.append(asyncio.get_running_loop())
        async with serve(camera, now=time.monotonic) as served:
            urls.append(served.url)
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve_it()), daemon=True)
    thread.start()
    assert ready.wait(5)
    environ = {**os.environ, "ENGINE_LOGINS": str(tmp_path / "logins"), "XDG_CACHE_HOME": str(tmp_path)}
    controller = subprocess.Popen(
        [sys.executable, str(CONTROLLER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environ,
    )
    try:
        assert controller.stdin is not None
        controller.stdin.write(json.dumps({"url": urls[0], "user": USER, "password": PASSWORD}) + "\n")
        controller.stdin.flush()
        yield Scene(device, camera, controller)
    finally:
        controller.kill()
        controller.wait()
        for pipe in (controller.stdin, controller.stdout):
            assert pipe is not None
            pipe.close()
        loops[0].call_soon_threadsafe(ended.set)
        thread.join(5)


@pytest.mark.parametrize(
    ("fault", "most_s"), [("", 0.7), ("expiry_ignored", 1.5)], ids=["honest", "ignores time-outs"]
)
def test_a_killed_controller_leaves_no_head_turning(tmp_path: Path, fault: str, most_s: float) -> None:
    with scene(tmp_path, *([Fault(fault)] if fault else [])) as it:
        it.wait_turning()
        watchdog = it.told(lambda words: words["turning"])["pid"]
        it.controller.kill()
        took_s = it.seconds_to_rest()
        assert took_s <= most_s
        killed_s = time.monotonic()
        wait(lambda: not is_alive(watchdog), 5)
        assert time.monotonic() - killed_s < 5


def test_a_controller_that_hangs_is_stood_in_for_and_goes_on_later(tmp_path: Path) -> None:
    with scene(tmp_path, Fault("expiry_ignored")) as it:
        it.wait_turning()
        it.controller.send_signal(signal.SIGSTOP)
        assert it.seconds_to_rest() <= 1.5
        it.controller.send_signal(signal.SIGCONT)
        it.wait_turning()
        assert it.told(lambda words: words["stops"] > 0)["last_words"].startswith(
            "stopped camera: nothing heard"
        )


def test_a_dead_watchdog_is_started_again_and_does_its_work(tmp_path: Path) -> None:
    with scene(tmp_path, Fault("expiry_ignored")) as it:
        it.wait_turning()
        first = it.told(lambda words: words["turning"])["pid"]
        os.kill(first, signal.SIGKILL)
        words = it.told(lambda words: words["restarts"] == 1 and words["head"] == "ready")
        assert words["pid"] != first
        assert words["state"] == "watching"
        it.wait_turning()
        it.controller.kill()
        assert it.seconds_to_rest() <= 1.5


def test_signals_of_the_terminal_do_not_take_the_watchdog_away(tmp_path: Path) -> None:
    with scene(tmp_path, Fault("expiry_ignored")) as it:
        it.wait_turning()
        watchdog = it.told(lambda words: words["turning"])["pid"]
        assert os.getpgid(watchdog) != os.getpgid(it.controller.pid)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
            os.kill(watchdog, number)
        it.controller.kill()
        assert it.seconds_to_rest() <= 1.5


def test_a_head_that_does_not_stop_keeps_the_watchdog_for_three_seconds_only(tmp_path: Path) -> None:
    with scene(tmp_path, Fault("expiry_ignored"), Fault("stop_lost")) as it:
        it.wait_turning()
        watchdog = it.told(lambda words: words["turning"])["pid"]
        before = it.device.commands
        it.controller.kill()
        killed_s = time.monotonic()
        wait(lambda: not is_alive(watchdog), 5)
        assert 2.5 < time.monotonic() - killed_s < 5
        assert it.device.commands - before >= 4


def test_a_controller_that_ends_in_order_stops_the_head_and_the_watchdog(tmp_path: Path) -> None:
    with scene(tmp_path) as it:
        it.wait_turning()
        words = it.told(lambda words: words["turning"])
        it.controller.send_signal(signal.SIGTERM)
        it.told(lambda words: "ended" in words)
        assert it.speed() < 0.1
        wait(lambda: not is_alive(words["pid"]), 1)
        assert words["stops"] == 0


def test_credentials_are_neither_arguments_nor_environment(tmp_path: Path) -> None:
    with scene(tmp_path) as it:
        watchdog = it.told(lambda words: words["head"] == "ready")["pid"]
        for name in ("cmdline", "environ"):
            assert PASSWORD.encode() not in Path(f"/proc/{watchdog}/{name}").read_bytes()
