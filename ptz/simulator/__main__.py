"""`python -m ptz.simulator`: a simulated camera on the network, until SIGTERM.

Prints one line when it can be reached: READY, then name=URL pairs. Exit status: 0 ended by a signal, 1 the address
cannot be had, 2 a flag is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from engine.errors import ConfigError
from engine.registry import nearest
from ptz.simulator.accounts import Accounts, LoginSettings, User
from ptz.simulator.camera import CameraSettings, SimulatedCamera
from ptz.simulator.control_port import ControlPort
from ptz.simulator.device import Device
from ptz.simulator.fault_kinds import FACES, KINDS
from ptz.simulator.faults import Fault, Faults
from ptz.simulator.onvif_device import PATHS
from ptz.simulator.pictures import Picture
from ptz.simulator.profiles import DEFAULT_PROFILE, PROFILES
from ptz.simulator.server import device_time, serve, serve_handler

DEFAULT_PASSWORD = "camring-sim"  # noqa: S105 - of a camera that is not there, told in --help


def build_parser(prog: str = "python -m ptz.simulator") -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=prog, description="A simulated PTZ camera: ISAPI and ONVIF over HTTP."
    )
    parser.add_argument(
        "--profile", default=DEFAULT_PROFILE, metavar="NAME",
        help=f"kind of camera, of {', '.join(PROFILES)} (default: {DEFAULT_PROFILE})",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="the same seed behaves the same (default: 0)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--http", type=int, default=0, metavar="PORT", help="port (default: a free one)")
    parser.add_argument("--user", default="admin", help="user name (default: admin)")
    parser.add_argument(
        "--password-env", metavar="NAME",
        help=f"environment variable that holds the password (without it: {DEFAULT_PASSWORD})",
    )  # fmt: skip
    parser.add_argument(
        "--digest", choices=("qop", "noqop", "dual"), default="qop", help="kind of challenge (default: qop)"
    )
    parser.add_argument(
        "--lock-s", type=float, default=1800.0, metavar="S", help="length of a lockout (default: 1800)"
    )
    parser.add_argument(
        "--fault", action="append", default=[], metavar="KIND[:VALUE]",
        help="a fault from the start on (docs/ptz_simulator.md); may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--rule",
        action="append",
        default=[],
        metavar="KIND",
        help="how strict its faces are; may be repeated",
    )
    parser.add_argument(
        "--control", type=int, nargs="?", const=0, metavar="PORT",
        help="open the control port /__sim, without a login, on loopback (default port: a free one)",
    )  # fmt: skip
    return parser


def password_of(name: str | None) -> str:
    """The password in an environment variable. Raises `ConfigError` where it is not set or empty."""
    if name is None:
        return DEFAULT_PASSWORD
    if not os.environ.get(name):
        raise ConfigError(f"--password-env {name}: the environment variable is not set")
    return os.environ[name]


def fault_of(text: str) -> Fault:
    """A fault from KIND[:VALUE]. Raises `ConfigError`."""
    kind, _, value = text.partition(":")
    if kind not in KINDS:
        raise ConfigError(f"--fault {text}: no such kind{nearest(kind, KINDS)}")
    try:
        number = float(value or 0)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"--fault {text}: {value!r} is no number")
    return Fault(kind, value=number)


def camera_of(
    args: argparse.Namespace,
    home: tuple[float, float, float] | None = None,
    picture_of: Callable[[Device], Picture] | None = None,
) -> SimulatedCamera:
    """The camera that the flags describe. Raises `ConfigError`.

    home        azimuth, elevation and zoom that it begins at; None = its profile's
    picture_of  what the head's camera sees; None = grey
    """
    if args.profile not in PROFILES:
        known = ", ".join(PROFILES)
        raise ConfigError(
            f"--profile {args.profile}: unknown{nearest(args.profile, PROFILES)}; there are: {known}"
        )
    for rule in args.rule:
        if rule not in FACES:
            raise ConfigError(
                f"--rule {rule}: no such rule{nearest(rule, FACES)}; there are: {', '.join(FACES)}"
            )
    for name, port in (("--http", args.http), ("--control", args.control or 0)):
        if not 0 <= port <= 65_535:
            raise ConfigError(f"{name} {port}: a port is a number from 0 to 65535")
    if not (math.isfinite(args.lock_s) and args.lock_s >= 0):
        raise ConfigError(f"--lock-s {args.lock_s:g}: seconds, 0 or more")
    faults = Faults([fault_of(text) for text in args.fault], args.seed)
    accounts = Accounts(
        [User(args.user, password_of(args.password_env))],
        LoginSettings(digest=args.digest, lock_s=args.lock_s),
        args.seed,
    )
    settings = CameraSettings(epoch_s=time.time(), rules=frozenset(args.rule))
    profile = PROFILES[args.profile]
    device = Device(profile if home is None else replace(profile, home=home), args.seed, faults)
    return SimulatedCamera(device, accounts, settings, None if picture_of is None else picture_of(device))


async def run(camera: SimulatedCamera, args: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT. Raises `OSError` where an address cannot be had."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    now = device_time(camera)
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serve(camera, args.host, args.http, now))
        offer, told = camera.device.profile.offer, []
        if offer.isapi:
            told.append(f"isapi={served.url}/ISAPI")
            told.append(f"video={served.url}/ISAPI/Streaming/channels/102/httpPreview")
        if offer.onvif:
            told.append(f"onvif={served.url}{PATHS['tds']}")
        if args.control is not None:
            port = ControlPort(camera, now)
            control = await stack.enter_async_context(serve_handler(port.handle, "127.0.0.1", args.control))
            told.append(f"control={control.url}/__sim/state")
        print("READY", camera.device.profile.name, *told, flush=True)
        await ended.wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    args = build_parser().parse_args(argv)
    return simulate(args, lambda: camera_of(args))


def simulate(args: argparse.Namespace, make: Callable[[], SimulatedCamera]) -> int:
    """Make a camera and serve it; returns the exit status."""
    try:
        asyncio.run(run(make(), args))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"--http {args.host}:{args.http}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
