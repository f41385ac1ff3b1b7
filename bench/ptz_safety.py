"""Safety of `bench.ptz`: a controller that is killed, on a simulated camera in another process; wrong passwords.

The kills are real: processes, sockets and the machine's clock. The camera's control port tells how fast the head really
turns. The minute of wrong passwords is virtual, with a head over each protocol and one governor, as processes share it.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from bench.machine import markdown_table
from engine.lockout import Governor
from engine.lockout_ledger import Ledger
from ptz.drivers.base import DriverOptions, PtzDriver, create_driver
from ptz.drivers.isapi import IsapiDriver
from ptz.drivers.onvif import OnvifDriver
from ptz.head import Head, HeadSettings
from ptz.simulator.accounts import Accounts, User
from ptz.simulator.camera import SimulatedCamera
from ptz.simulator.device import Device
from ptz.simulator.profiles import DEFAULT_PROFILE, PROFILES
from ptz.simulator.transport import DeviceTransport
from ptz.speed_table import SpeedTable
from ptz.types import Turn, Velocity
from ptz.virtual_time import run_virtual
from ptz.watchdog_link import WatchdogLink

KILLS = 5
USER, PASSWORD = "operator", "simulated"
MINUTE_S = 60.0
CASES = (
    ("an ordinary camera", "hikvision", DEFAULT_PROFILE, (), 0.7),
    ("ends of turns are ignored", "hikvision", DEFAULT_PROFILE, ("expiry_ignored",), 1.5),
    ("the same, over ONVIF", "onvif", "onvif-fov", ("expiry_ignored",), 1.5),
)


def safety() -> dict[str, dict[str, str]]:
    """All of it: prints the table and gives the sentences."""
    lines: list[tuple[object, ...]] = []
    parts = []
    for what, driver, profile, faults, asked_s in CASES:
        times_s = [seconds_to_rest(driver, profile, faults) for _ in range(KILLS)]
        said = f"{max(times_s):.2f} s at most, {statistics.median(times_s):.2f} s median of {KILLS}"
        parts.append(f"{what}: {said}")
        lines.append((f"kill -9 of the controller: {what}", f"head stopped in ≤ {asked_s} s", said,
                      "yes" if max(times_s) <= asked_s else "no"))  # fmt: skip
    tries = run_virtual(wrong_passwords(), limit_s=MINUTE_S + 60.0)
    lines.append(("wrong password, a head over ISAPI and one over ONVIF, 60 s", "≤ 2 requests with credentials",
                  tries, "yes" if tries <= 2 else "no"))  # fmt: skip
    print(f"### Safety\n\n{markdown_table(('what', 'asked for', 'measured', 'met'), lines)}\n", flush=True)
    return {
        "reach": {
            "kill": "; ".join(parts),
            "password": f"{tries} requests with credentials in 60 s over ISAPI and ONVIF",
        }
    }


def seconds_to_rest(driver: str, profile: str, faults: tuple[str, ...]) -> float:
    """From `kill -9` of a controller that turns the head until the head stands."""
    with camera(profile, faults) as (url, control), controller(driver, url) as process:
        wait_for(control, lambda speed: speed > 15.0, 20.0)
        time.sleep(0.5)
        process.send_signal(signal.SIGKILL)
        killed_s = time.monotonic()
        wait_for(control, lambda speed: speed < 0.05, 10.0)
        return time.monotonic() - killed_s


@contextmanager
def camera(profile: str, faults: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """A simulated camera in a process of its own: its URL, and that of its control port."""
    arguments = [argument for fault in faults for argument in ("--fault", fault)]
    command = [sys.executable, "-m", "ptz.simulator", "--profile", profile, "--control", "--user", USER,
               "--password-env", "BENCH_PASSWORD", *arguments]  # fmt: skip
    environment = os.environ | {"BENCH_PASSWORD": PASSWORD}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        told = dict(word.split("=", 1) for word in process.stdout.readline().split() if "=" in word)
        address = urlsplit(told.get("isapi") or told["onvif"])
        yield f"http://{address.netloc}", urlsplit(told["control"]).netloc
    finally:
        process.terminate()
        process.wait(5)
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def controller(driver: str, url: str) -> Iterator[subprocess.Popen[str]]:
    """A process that turns the head, with a watchdog beside it."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-c", "from bench.ptz_safety import control; control()"],
            stdin=subprocess.PIPE, text=True, env=os.environ | {"ENGINE_LOGINS": folder, "XDG_CACHE_HOME": folder},
        )  # fmt: skip
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps([driver, url]) + "\n")
            process.stdin.flush()
            yield process
        finally:
            process.kill()
            process.wait(5)
            assert process.stdin is not None
            process.stdin.close()
            # The watchdog outlives the controller for a moment and writes into the folder.
            time.sleep(0.3)


def control() -> None:
    """The controller's process: turns at 20 °/s until it is killed."""
    driver, url = json.loads(sys.stdin.readline())
    asyncio.run(_turn(create_driver(driver, DriverOptions(url, USER, PASSWORD), time.monotonic)))


async def _turn(driver: PtzDriver) -> None:
    link = WatchdogLink(time.monotonic)
    head = Head(
        driver, HeadSettings(probe=False), SpeedTable.family(), time.monotonic, watchdog=link.guard("bench")
    )
    running = asyncio.create_task(head.run())
    while not running.done():
        head.want(Turn(Velocity(20.0, 0.0, 0.0)))
        await asyncio.sleep(0.1)
    await running


def wait_for(control_port: str, reached: Any, longest_s: float) -> None:
    """Until the head's true speed is so. Raises `SystemExit` where it never is."""
    connection = http.client.HTTPConnection(control_port, timeout=5)
    end_s = time.monotonic() + longest_s
    with contextlib.closing(connection):
        while time.monotonic() < end_s:
            connection.request("GET", "/__sim/state")
            velocity = json.loads(connection.getresponse().read())["velocity"]
            if reached(abs(velocity["pan_deg_s"]) + abs(velocity["tilt_deg_s"])):
                return
            time.sleep(0.01)
    raise SystemExit(f"the head did not do what it should within {longest_s:g} s")


async def wrong_passwords() -> int:
    """A minute of a head over ISAPI and one over ONVIF, both with a wrong password: requests that carried it."""
    now = asyncio.get_running_loop().time
    device = Device(PROFILES[DEFAULT_PROFILE], start_s=now())
    accounts = Accounts([User(USER, PASSWORD)])
    camera = SimulatedCamera(device, accounts)
    options = DriverOptions("http://192.0.2.10", USER, "wrong")
    ledger = Ledger(None)
    kinds: tuple[type[IsapiDriver] | type[OnvifDriver], ...] = (IsapiDriver, OnvifDriver)
    heads = []
    for kind in kinds:
        governor = Governor("192.0.2.10", USER, "wrong", ledger=ledger, now=now)
        driver = kind(options, now, DeviceTransport(camera, now), governor)
        heads.append(Head(driver, HeadSettings(), SpeedTable.family(), now))
    tasks = [asyncio.create_task(head.run()) for head in heads]
    await asyncio.sleep(MINUTE_S)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return accounts.credentialed_since(0.0)
