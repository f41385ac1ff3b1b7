"""A controlling process for tests of the watchdog: turns a head at 40 °/s until it is killed.

Reads one line of JSON from its standard input (url, user, password) and prints, as lines of JSON, what is told of the
watchdog. SIGTERM ends it in order.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time

from ptz.drivers.base import DriverOptions, create_driver
from ptz.head import Head, HeadSettings
from ptz.speed_table import SpeedTable
from ptz.types import Turn, Velocity
from ptz.watchdog_link import WatchdogLink


async def control() -> None:
    options = DriverOptions(**json.loads(sys.stdin.readline()))
    link = WatchdogLink(time.monotonic)
    driver = create_driver("hikvision", options, time.monotonic)
    settings = HeadSettings(probe=False)
    head = Head(driver, settings, SpeedTable.family(), time.monotonic, watchdog=link.guard("camera"))
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    running = asyncio.create_task(head.run())
    told_s = 0.0
    while not ended.is_set():
        if head.told()["watchdog"]["head"] == "ready":
            head.want(Turn(Velocity(40.0, 0.0, 0.0)))
        if time.monotonic() - told_s > 0.2:
            told_s = time.monotonic()
            print(json.dumps({**head.told()["watchdog"], "turning": head.turning}), flush=True)
        await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.wait({running})
    await head.close()
    link.close()
    print(json.dumps({"ended": True}), flush=True)


if __name__ == "__main__":
    asyncio.run(control())
