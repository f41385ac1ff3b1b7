"""`engine-ptz calibrate`: what a camera's speed levels are in degrees a second, measured and kept in a file."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from engine.errors import ConfigError, OutputError, PtzNotMoving
from engine.ptz_cli_camera import camera_of, opened
from ptz.calibration import QUICK, Calibration, CalibrationPlan
from ptz.lease import Lease


def calibrate(args: argparse.Namespace) -> int:
    """Measure speeds level by level; what is measured is kept at once, and gone on with the next time.

    Raises `EngineError`s.
    """
    return asyncio.run(measure(args))


async def measure(args: argparse.Namespace) -> int:
    """The same in an event loop; interrupted, the head is stopped and what was measured is kept."""
    config = camera_of(args)
    lease = Lease.of_head(config.url, config.channel, owner=f"engine-ptz calibrate, process {os.getpid()}")
    lease.take()
    try:
        async with opened(config) as driver:
            calibration = Calibration(driver, time.monotonic, QUICK if args.quick else CalibrationPlan())
            if args.out.exists():
                go_on(calibration, args.out)
            calibration.saved = lambda state: keep(calibration, state, args.out)
            try:
                table = await calibration.run()
            except ValueError as error:
                raise PtzNotMoving(f"{config.url}: {error}") from None
            keep(calibration, calibration.to_json(), args.out)
    finally:
        lease.release()
    most, latency_s = table.most(1.0), calibration.command_latency_s
    late = "" if latency_s is None else f"; obeys after {1e3 * latency_s:.0f} ms"
    print(
        f"at most {most.pan_deg_s:.1f} °/s pan, {most.tilt_deg_s:.1f} °/s tilt, "
        f"{most.zoom_octaves_s:.2f} octaves/s{late}"
    )
    print(f'measured: write speeds = "{args.out}" into [camera.ptz]')
    return 0


def go_on(calibration: Calibration, path: Path) -> None:
    """Take over what was measured before. Raises `ConfigError` where the file holds something else."""
    try:
        calibration.resume(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: cannot be gone on with: {error}; name another file, or remove this one"
        ) from None


def keep(calibration: Calibration, state: dict[str, Any], path: Path) -> None:
    """Write the state beside, then in place: an interrupted run leaves a whole file. Raises `OutputError`."""
    done, steps = calibration.progress
    beside = path.with_name(f"{path.name}.part")
    try:
        beside.write_text(json.dumps(state, indent=1))
        beside.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: the speeds cannot be written: {error.strerror}") from None
    run = calibration.runs[-1]
    found = (
        run.reason if run.speed is None else f"{run.speed:.2f} {'octaves/s' if run.axis == 'zoom' else '°/s'}"
    )
    print(f"{done}/{steps}  {run.axis} level {run.level} at zoom {run.zoom:g}: {found}", flush=True)
