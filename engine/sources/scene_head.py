"""The head of a rendered camera: a simulated device that listens on loopback, in a thread with its own event loop.

The engine steers it over HTTP like any camera; the renderer asks it where it really looks. Knows no pictures.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from engine.errors import SourceDisconnected, SourceUnsupported
from ptz.simulator.device import Device
from ptz.simulator.profiles import PROFILES, DeviceProfile
from ptz.simulator.world import CameraMount
from ptz.types import Pose, Velocity

HOST = "127.0.0.1"
START_S, ANSWER_S = 5.0, 2.0
"""Longest waits for the thread: until it listens, and for where the lens points."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Look:
    """Where a head looks, how fast it turns, and how wide its lens sees.

    blur  0..1, how far out of focus
    """

    pose: Pose
    velocity: Velocity
    hfov_deg: float
    blur: float = 0.0


class StandingHead:
    """A fixed camera, or a head that nobody steers."""

    def __init__(self, mount: CameraMount) -> None:
        self._mount = mount
        optics = profile_of(mount).optics if mount.is_ptz else None
        self._look = Look(
            Pose(0.0, mount.pan_deg % 360, mount.tilt_deg, mount.zoom),
            Velocity(),
            optics.hfov_deg(mount.zoom) if optics else mount.hfov_wide_deg,
        )

    def look(self, time_s: float) -> Look:
        """Where it looks at any time."""
        return replace(self._look, pose=replace(self._look.pose, time_s=time_s))

    def close(self) -> None:
        """There is nothing to let go of."""


class ServedHead:
    """A head that the engine reaches over HTTP.

    port            on loopback
    user, password  its only account; without a user anybody may steer it
    """

    def __init__(self, mount: CameraMount, port: int, user: str, password: str, seed: int) -> None:
        # Every decode worker imports all kinds of sources: the faces of a camera only where there is a head.
        from ptz.simulator.accounts import Accounts, User
        from ptz.simulator.camera import SimulatedCamera

        profile = replace(profile_of(mount), home=(mount.pan_deg % 360, mount.tilt_deg, mount.zoom))
        self.device = Device(profile, seed=seed, start_s=time.monotonic())
        self._camera = SimulatedCamera(self.device, Accounts([User(user, password)] if user else []))
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._listening: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="head", daemon=True)
        self._thread.start()
        try:
            self._listening.result(START_S)
        except OSError as error:
            self._thread.join(START_S)
            raise SourceDisconnected(f"simulated head: port {port} of {HOST}: {error.strerror}") from None

    def look(self, time_s: float) -> Look:
        """Where it looks, or did up to half a minute ago (monotonic seconds).

        Raises `SourceDisconnected` while it is down for a reboot.
        """
        return self._ask(self._look(time_s))

    def close(self) -> None:
        """Stop listening; may be called twice."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(START_S)

    async def _look(self, time_s: float) -> Look:
        device = self.device
        now_s = self._loop.time()
        if device.down(now_s):
            raise SourceDisconnected("simulated head: the camera restarts")
        pose = device.true_pose(time_s)
        hfov_deg = device.profile.optics.hfov_deg(pose.zoom)
        return Look(pose, device.velocity(time_s), hfov_deg, device.blur(now_s))

    def _ask(self, question: Coroutine[Any, Any, T]) -> T:
        try:
            return asyncio.run_coroutine_threadsafe(question, self._loop).result(ANSWER_S)
        except TimeoutError:
            raise SourceDisconnected("simulated head: its thread does not answer") from None

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        from ptz.simulator.server import serve

        try:
            async with serve(self._camera, HOST, self._port, self._loop.time):
                self._listening.set_result(None)
                await self._stop.wait()
        except OSError as error:
            if self._listening.done():
                raise
            self._listening.set_exception(error)


def profile_of(mount: CameraMount) -> DeviceProfile:
    """The kind of camera that stands there. Raises `SourceUnsupported` for a profile that there is not."""
    if mount.profile not in PROFILES:
        raise SourceUnsupported(f"camera {mount.name!r}: no device profile {mount.profile!r}")
    return PROFILES[mount.profile]
