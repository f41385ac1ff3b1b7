"""A simulated camera on a socket, in a thread of the test's own process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ptz.simulator.accounts import Accounts, User
from ptz.simulator.camera import SimulatedCamera
from ptz.simulator.device import Device
from ptz.simulator.profiles import PROFILES
from ptz.simulator.server import serve

USER, PASSWORD = "tracker", "s3cret"


@dataclass
class ServedCamera:
    """A camera that answers at `url`; its time is the machine's."""

    device: Device
    camera: SimulatedCamera
    url: str = ""
    ready: threading.Event = field(default_factory=threading.Event)
    loop: asyncio.AbstractEventLoop | None = None

    def speed_deg_s(self) -> float:
        """How fast it really turns now."""
        velocity = self.device.velocity(time.monotonic())
        return abs(velocity.pan_deg_s) + abs(velocity.tilt_deg_s)


@contextmanager
def served_camera(profile: str = "hik-8425ix") -> Iterator[ServedCamera]:
    """Serve a camera with the user `USER` until the context ends."""
    device = Device(PROFILES[profile], start_s=time.monotonic())
    served = ServedCamera(device, SimulatedCamera(device, Accounts([User(USER, PASSWORD)])))
    ended: list[asyncio.Event] = []

    async def answer() -> None:
        ended.append(asyncio.Event())
        served.loop = asyncio.get_running_loop()
        async with serve(served.camera, now=time.monotonic) as place:
            served.url = place.url
            served.ready.set()
            await ended[0].wait()

    thread = threading.Thread(target=lambda: asyncio.run(answer()), daemon=True)
    thread.start()
    assert served.ready.wait(10)
    try:
        yield served
    finally:
        assert served.loop is not None
        served.loop.call_soon_threadsafe(ended[0].set)
        thread.join(10)
