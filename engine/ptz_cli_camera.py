"""The commands of `engine-ptz` that talk to a camera.

Everything that moves goes through `ptz.head`, so that limits, the lease, the watchdog and confirmed stops hold here as
they do in a run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from engine import ptz_setup
from engine.config.cameras import cameras_from_file
from engine.config.ptz import PtzConfig
from engine.errors import ConfigError, PtzNotMoving, PtzRefused, PtzUnreachable
from engine.lockout import Governor
from ptz.drivers.base import PtzDriver
from ptz.head import Head
from ptz.head_settings import HeadSettings
from ptz.lease import Lease
from ptz.types import Capabilities, Decision, GoTo, GoToPreset, HeadState, Status, Turn, Velocity
from ptz.watchdog_link import WatchdogLink

POLL_S: Final = 0.05
READY_S: Final = 15.0
"""Longest wait for a camera to be opened and tried."""
ARRIVE_S: Final = 30.0
"""Longest way to a place."""
LONGEST_TURN_S: Final = 30.0


def run_command(args: argparse.Namespace) -> int:
    """One command, in an event loop. Raises `EngineError`s."""
    command: Callable[[argparse.Namespace], Awaitable[int]] = {
        "discover": discover,
        "status": status,
        "probe": probe,
        "move": move,
        "preset": preset,
        "unlock": unlock,
    }[args.command]

    async def carry_out() -> int:
        return await command(args)

    return asyncio.run(carry_out())


def camera_of(args: argparse.Namespace) -> PtzConfig:
    """The camera that the flags name. Raises `ConfigError`."""
    if args.cameras is not None:
        if args.url or args.driver or args.user or args.password_env:
            raise ConfigError("give --cameras and --camera, or --url and --driver, not both")
        return _camera_in_file(args.cameras, args.camera)
    if not args.url or not args.driver:
        raise ConfigError("which camera? give --url and --driver, or --cameras FILE and --camera NAME")
    if bool(args.user) != bool(args.password_env):
        raise ConfigError("--user and --password-env belong together; give both, or neither")
    if args.password_env and args.password_env not in os.environ:
        raise ConfigError(f"--password-env: the environment variable {args.password_env} is not set")
    config = PtzConfig(args.driver, args.url, hfov_deg=60.0, channel=args.channel, probe=False)
    if args.user:
        config = replace(config, user=args.user, password=f"${{{args.password_env}}}")
    return config


def _camera_in_file(path: Path, name: str | None) -> PtzConfig:
    heads = {camera.name: camera.ptz for camera in cameras_from_file(path) if camera.ptz is not None}
    if not heads:
        raise ConfigError(f"{path}: no camera has a head; add [camera.ptz] to one")
    if name is None and len(heads) == 1:
        return next(iter(heads.values()))
    if name not in heads:
        raise ConfigError(f"--camera: {path} has heads of {', '.join(heads)}; name one of them, not {name!r}")
    return heads[name]


async def discover(args: argparse.Namespace) -> int:
    """Who answers. Nobody is an answer, too."""
    from ptz.discovery import discover as ask

    found = await ask(args.timeout, args.interface, args.address)
    if args.json:
        print(json.dumps([{**asdict(each), "url": each.url} for each in found], indent=2))
        return 0
    for each in found:
        print(f"{each.url}  {each.name or '-'}  {each.hardware or '-'}  {each.location or '-'}")
    print(f"{len(found)} ONVIF device(s) answered within {args.timeout:g} s")
    return 0


@asynccontextmanager
async def opened(config: PtzConfig) -> AsyncIterator[PtzDriver]:
    """The camera, logged in to; nothing moves."""
    driver = ptz_setup.driver_of(config, time.monotonic)
    try:
        await driver.open()
        yield driver
    finally:
        await driver.close()


async def status(args: argparse.Namespace) -> int:
    """What it can do and where it points."""
    async with opened(camera_of(args)) as driver:
        where: Status | None = None
        if driver.capabilities.status:
            where = await driver.status()
        told = told_of(driver.capabilities, where)
    if args.json:
        print(json.dumps(told, indent=2))
    else:
        for key, value in told.items():
            print(f"{key:<18}{value}")
    return 0


def told_of(capabilities: Capabilities, where: Status | None) -> dict[str, Any]:
    """Capabilities and position in plain values."""
    told = {
        key: sorted(value) if isinstance(value, frozenset) else value
        for key, value in asdict(capabilities).items()
    }
    pose = where.pose if where is not None else None
    told["pose"] = None if pose is None else {
        "pan_deg": pose.pan_deg, "tilt_deg": pose.tilt_deg, "zoom": pose.zoom if where and where.zoomed else None,
    }  # fmt: skip
    return told


@asynccontextmanager
async def steered(config: PtzConfig, settings: HeadSettings, *, take: bool = False) -> AsyncIterator[Head]:
    """The camera's head with everything that keeps it safe; stopped and let go of at the end.

    Raises `PtzLeaseLost` where somebody else on this machine has it, unless it is taken over.
    """
    watchdog = WatchdogLink(time.monotonic)
    lease = Lease.of_head(config.url, config.channel, owner=f"engine-ptz, process {os.getpid()}")
    lease.take(by_force=take)
    head = Head(
        ptz_setup.driver_of(config, time.monotonic),
        settings,
        ptz_setup.speeds_of(config),
        time.monotonic,
        watchdog=watchdog.guard("head"),
        lease=lease,
    )
    running = asyncio.create_task(head.run())
    try:
        await ready(head, running)
        yield head
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await head.close()
        watchdog.close()


async def ready(head: Head, running: asyncio.Task[None]) -> None:
    """Wait until the camera was opened, and tried where that is wanted. Raises a `PtzError` that says why it is not."""
    for _ in range(round(READY_S / POLL_S)):
        if running.done():
            running.result()
        if head.state is HeadState.NOT_MOVING:
            raise PtzNotMoving(head.reason)
        if head.state in (HeadState.LOCKED, HeadState.UNREACHABLE, HeadState.TAKEN):
            raise PtzUnreachable(head.reason)
        if head.state is not HeadState.STARTING:
            return
        await asyncio.sleep(POLL_S)
    raise PtzUnreachable(f"the camera was not ready within {READY_S:g} s: {head.reason}")


async def probe(args: argparse.Namespace) -> int:
    """One short move and back."""
    config = camera_of(args)
    async with steered(config, replace(ptz_setup.head_settings_of(config), probe=True)) as head:
        told = head.told()
    print(
        json.dumps(told, indent=2)
        if args.json
        else "\n".join(f"{key:<18}{value}" for key, value in told.items())
    )
    return 0


async def move(args: argparse.Namespace) -> int:
    """Turn for a while, go somewhere, or stop; then see that it stands."""
    if not 0 < args.seconds <= LONGEST_TURN_S:
        raise ConfigError(
            f"--seconds must be more than 0 and at most {LONGEST_TURN_S:g}, found {args.seconds:g}"
        )
    config = camera_of(args)
    settings = replace(ptz_setup.head_settings_of(config), probe=False)
    async with steered(config, settings, take=args.take) as head:
        if args.to is not None:
            await arrive(head, GoTo(*args.to))
        elif not args.stop:
            await hold(head, Turn(Velocity(args.pan, args.tilt, args.zoom)), args.seconds)
        await hold(head, Turn(Velocity()), 0.3)
        pose = head.pose
        if head.state not in (HeadState.OK, HeadState.DEGRADED):
            raise PtzNotMoving(f"{head.state}: {head.reason}")
    where = "" if pose is None else f"; at {pose.pan_deg:.1f}°, {pose.tilt_deg:.1f}°, zoom {pose.zoom:.2f}"
    print(f"done{where}")
    return 0


async def hold(head: Head, decision: Decision, seconds: float) -> None:
    """Want this for so long."""
    for _ in range(max(1, round(seconds / POLL_S))):
        head.want(decision)
        await asyncio.sleep(POLL_S)


async def arrive(head: Head, place: GoTo | GoToPreset) -> None:
    """Send it somewhere and wait until it stands."""
    head.want(place)
    stood, last = 0.0, head.pose
    for _ in range(round(ARRIVE_S / POLL_S)):
        await asyncio.sleep(POLL_S)
        pose = head.pose
        still = pose is None or last is None or (
            abs(pose.pan_deg - last.pan_deg) + abs(pose.tilt_deg - last.tilt_deg) < 0.02
        )  # fmt: skip
        stood, last = (stood + POLL_S if still else 0.0), pose
        if stood >= 1.5:
            return


async def preset(args: argparse.Namespace) -> int:
    """Stored places."""
    if args.action != "list" and not args.preset:
        raise ConfigError(f"preset {args.action}: which? give its number or token")
    config = camera_of(args)
    if args.action == "goto":
        settings = replace(
            ptz_setup.head_settings_of(config), probe=False, allow_reserved_presets=args.reserved
        )
        async with steered(config, settings) as head:
            await arrive(head, GoToPreset(args.preset))
    else:
        async with opened(config) as driver:
            await _change_presets(driver, args)
    if args.action != "list":
        print(f"preset {args.preset}: {args.action} done")
    return 0


async def _change_presets(driver: PtzDriver, args: argparse.Namespace) -> None:
    if args.action == "list":
        for each in await driver.presets():
            pose = (
                ""
                if each.pose is None
                else f"  {each.pose.pan_deg:.1f}° {each.pose.tilt_deg:.1f}° {each.pose.zoom:.2f}×"
            )
            print(f"{each.preset:<6}{each.name}{pose}")
        return
    reserved = driver.capabilities.reserved_presets
    if args.preset.isdecimal() and int(args.preset) in reserved and not args.reserved:
        raise PtzRefused(
            f"preset {args.preset} is reserved by the camera for something else; --reserved does it all the same"
        )
    if args.action == "store":
        args.preset = await driver.store_preset(args.preset, args.name)
    else:
        await driver.remove_preset(args.preset)


async def unlock(args: argparse.Namespace) -> int:
    """A person says that the password may be tried again."""
    config = camera_of(args)
    user, password = config.credentials()
    if not user:
        raise ConfigError("this camera has no login; there is nothing to unlock")
    host = urlsplit(config.url).hostname or config.url
    governor = Governor(host, user, password)
    blocked_s = governor.blocked_s
    governor.allow_again()
    was = f"was not tried for another {blocked_s:.0f} s" if blocked_s > 0 else "was free to be tried"
    print(f"the password of {user!r} at {host} {was}; it may be tried again now")
    return 0
