"""The heads of a run: follower, head and driver of each camera, in one thread with an event loop.

The worker's main thread hands over what was seen and what an operator wants, and takes away what there is to tell.
Everything that talks to cameras happens in the loop's thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from math import atan, degrees
from typing import Any, Final

from engine import ptz_setup
from engine.config import CameraConfig, RunConfig
from engine.config.identity import OFF
from engine.control.status import PtzStatus
from engine.errors import ConfigError, PtzError
from engine.types import PictureShift, PoseSample
from engine.workers.ptz_poses import INTERVAL_S, PoseSampler
from engine.workers.runtime import Context
from ipc.channel import ChannelClosed
from ptz.crew import Crew, Member
from ptz.drivers.base import PtzDriver
from ptz.follower import Follower
from ptz.geometry import focal_px
from ptz.handoff import Station as Place
from ptz.head import Head, HeadEvent
from ptz.lease import Lease
from ptz.lens import Lens
from ptz.pilot import Pilot
from ptz.types import FollowState, HeadState, Sightings
from ptz.watchdog_link import WatchdogLink

TELL_INTERVAL_S: Final = 0.25
STOP_PATIENCE_S: Final = 1.2
"""Stopping the heads must be over before the worker has to leave (`runtime.STOP_GRACE_S`)."""

MOST_SAMPLES: Final = 256
"""Samples of all heads that wait for the main thread; older ones are of no use to anybody."""


@dataclass
class Station:
    """One camera's head and what steers it. Belongs to the loop's thread once that runs.

    steering  the follower, or where cameras share a scene what the crew makes of it
    """

    camera: CameraConfig
    lens: Lens
    driver: PtzDriver
    follower: Follower
    steering: Follower | Member
    head: Head
    pilot: Pilot


class Heads:
    """All heads of a run. The methods belong to the worker's main thread."""

    def __init__(self, context: Context) -> None:
        """Raises `ConfigError` for settings that cannot be meant; nothing is connected yet."""
        self._context = context
        self._watchdog = WatchdogLink(self._now)
        heads = [camera for camera in context.config.cameras if camera.ptz is not None]
        followers = {camera.name: _follower(camera) for camera in heads}
        self.crews = crews_of(heads, followers)
        self.stations = self._stations(heads, followers, self.crews)
        self._flights: dict[str, list[asyncio.Task[None]]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._swapping: asyncio.Task[None] | None = None
        self._picked: dict[str, frozenset[int]] = {}
        self._told: dict[str, PtzStatus] = {}
        self._samples: deque[tuple[str, PoseSample]] = deque(maxlen=MOST_SAMPLES)
        self._loop = asyncio.new_event_loop()
        self._main: asyncio.Task[None] | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="heads", daemon=True)

    def _now(self) -> float:
        return self._context.clock.now_ns() / 1e9

    def _stations(
        self, heads: Sequence[CameraConfig], followers: Mapping[str, Follower], crews: Sequence[Crew]
    ) -> dict[str, Station]:
        return {camera.name: self._station(camera, followers[camera.name], crews) for camera in heads}

    def _station(self, camera: CameraConfig, follower: Follower, crews: Sequence[Crew]) -> Station:
        config = camera.ptz
        assert config is not None
        try:
            driver = ptz_setup.driver_of(config, self._now)
            head = Head(
                driver,
                ptz_setup.head_settings_of(config),
                ptz_setup.speeds_of(config),
                self._now,
                watchdog=self._watchdog.guard(camera.name),
                lease=Lease.of_head(config.url, config.channel, owner=f"engine-run, camera {camera.name}"),
            )
        except (PtzError, ValueError) as error:
            raise ConfigError(f"camera {camera.name!r}, ptz: {error}") from None
        head.listen(on_event=lambda event: self._log(camera.name, event))
        crew = next((crew for crew in crews if camera.name in crew.followers), None)
        steering: Follower | Member = follower if crew is None else crew.member(camera.name)
        pilot = Pilot(steering, head, self._now, ptz_setup.pilot_settings_of(config))
        return Station(camera, Lens(config.hfov_deg, config.lens), driver, follower, steering, head, pilot)

    def _log(self, camera: str, event: HeadEvent) -> None:
        level = "warning" if event.kind in ("not_moving", "stop_alarm", "lease", "watchdog") else "info"
        with suppress(ChannelClosed):  # the supervisor is gone, and so is this process in a moment
            self._context.log(level, f"{camera}: {event.text}")

    # The thread of the loop.

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._main = self._loop.create_task(self._fly())
        self._started.set()
        try:
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._main)
        except BaseException as error:
            self._failure = error  # the main thread ends the process with it
            with suppress(OSError):  # it does not wait any more
                self._context.wake.notify()
        finally:
            self._loop.close()

    async def _fly(self) -> None:
        """Every camera's head and pilot until cancelled; then the heads stop and let go."""
        try:
            async with asyncio.TaskGroup() as self._group:
                for name, station in self.stations.items():
                    self._take_off(name, station)
                self._group.create_task(self._tell())
                self._group.create_task(self._sample())
        finally:
            for name, station in self.stations.items():
                await self._land(name, station)
            self._watchdog.close()

    def _take_off(self, name: str, station: Station) -> None:
        assert self._group is not None, "the loop does not run"
        runs = (station.head.run(), station.pilot.run())
        self._flights[name] = [self._group.create_task(run) for run in runs]

    async def _land(self, name: str, station: Station) -> None:
        """Stop a head and let go of its camera."""
        flights = self._flights.pop(name, [])
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        try:
            await station.head.close()
        except PtzError as error:
            self._log(name, HeadEvent(self._now(), "state", f"was not let go of in order: {error}"))

    async def _swap(self, gone: Mapping[str, Station], come: Mapping[str, Station]) -> None:
        for name, station in gone.items():
            await self._land(name, station)
        for name, station in come.items():
            if self.stations.get(name) is station:  # and not replaced once more
                self._take_off(name, station)

    async def _tell(self) -> None:
        while True:
            self._told = {name: told_of(station) for name, station in self.stations.items()}
            await asyncio.sleep(TELL_INTERVAL_S)

    async def _sample(self) -> None:
        samplers: dict[str, PoseSampler] = {}
        while True:
            now_s = self._now()
            samplers = {
                name: known
                if (known := samplers.get(name)) is not None and known.follower is station.follower
                else PoseSampler(station.follower)
                for name, station in self.stations.items()
            }
            fresh = [(name, each) for name, sampler in samplers.items() for each in sampler.samples(now_s)]
            if fresh:
                self._samples.extend(fresh)
                self._context.wake.notify()
            await asyncio.sleep(INTERVAL_S)

    # The main thread.

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()
        self._started.wait()

    def follow(self, before: RunConfig, after: RunConfig) -> None:
        """Heads have come, gone, or are to be steered otherwise: these begin anew, with those that share a scene with
        them. The others go on. Raises `ConfigError` for settings that cannot be meant, and changes nothing then.
        """
        old = {camera.name: camera for camera in before.cameras if camera.ptz is not None}
        new = {camera.name: camera for camera in after.cameras if camera.ptz is not None}
        other = {name for name in old.keys() | new.keys() if _head_of(old, name) != _head_of(new, name)}
        concerned = other | {mate for name in other for each in (old, new) for mate in _mates(each, name)}
        heads = [camera for name, camera in new.items() if name in concerned]
        followers = {camera.name: _follower(camera) for camera in heads}
        crews = crews_of(heads, followers)
        come = self._stations(heads, followers, crews)
        gone = {name: station for name, station in self.stations.items() if name in concerned}
        self.crews = [crew for crew in self.crews if not concerned & crew.followers.keys()] + crews
        self.stations = {
            **{name: station for name, station in self.stations.items() if name not in concerned},
            **come,
        }
        if gone or come:
            self._post(self._begin_swap, gone, come)

    def _begin_swap(self, gone: Mapping[str, Station], come: Mapping[str, Station]) -> None:
        """In the thread of the loop, one swap after the other."""
        assert self._group is not None, "the loop does not run"
        before = self._swapping

        async def swap() -> None:
            if before is not None:
                await before
            await self._swap(gone, come)

        self._swapping = self._group.create_task(swap())

    def stop(self, patience_s: float = STOP_PATIENCE_S) -> None:
        """Stop every head and let go of the cameras; wait for it so long. The watchdog stops what still turns then."""
        if self._main is not None and self._thread.is_alive():
            self._post(self._main.cancel)
            self._thread.join(patience_s)

    def tend(self) -> bool:
        """Raise what has gone wrong in the loop's thread: nobody steers any more, so the process has to end."""
        if self._failure is not None:
            raise self._failure
        return False

    def _post(self, call: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: the run ends
            self._loop.call_soon_threadsafe(call, *arguments)

    def observe(self, name: str, seen: Sightings, shift: tuple[float, PictureShift] | None) -> None:
        """A camera's newest sightings, and how its picture has moved since the time of the one before."""
        station = self.stations.get(name)
        if station is not None:
            self._post(_observe, station, seen, shift)
        for crew in self.crews:
            if any(name in guides for guides in crew.guides.values()):
                self._post(crew.observe, name, seen, self._now())

    def ask(self, work: Coroutine[Any, Any, dict[str, Any]]) -> Future[dict[str, Any]]:
        """Have something done by the loop; the answer comes in the future."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def pick(self, name: str, track_id: int) -> None:
        """Somebody has chosen this one: it may be followed whatever its class."""
        self._picked[name] = frozenset({track_id})

    def picked(self, name: str) -> frozenset[int]:
        """Those who were chosen."""
        return self._picked.get(name, frozenset())

    def samples(self) -> list[tuple[str, PoseSample]]:
        """Where heads pointed, with their cameras, since the last call; oldest first."""
        found = []
        while self._samples:
            found.append(self._samples.popleft())
        return found

    def told(self) -> dict[str, PtzStatus]:
        """What there is to say of every head, by camera; at most a quarter of a second old."""
        return self._told

    def degraded(self) -> list[str]:
        """A line for every head that does not do what it should."""
        fine = (HeadState.OK, HeadState.STARTING)
        return [
            f"ptz {name}: {told['state']}: {told['reason']}"
            for name, told in self._told.items()
            if told["state"] not in fine
        ]


def told_of(station: Station) -> PtzStatus:
    """A head's state for `/health`, from what its parts tell."""
    told = station.pilot.told()
    follow, counters, watchdog = told["follow"], told["counters"], told["watchdog"] or {}
    targets = follow["targets"]
    latency_s, image_latency_s = told["command_latency_s"], follow["image_latency_s"]
    return {
        "state": told["state"],
        "reason": told["reason"],
        "device": told["device"],
        "choices": [*told["choices"]],
        "pose": told["pose"],
        "following": FollowState.MANUAL if told["operator"]["has_it"] else follow["state"],
        "policy": follow["policy"],
        "target": targets[0]["track_id"] if targets else None,
        "why": f"{told['operator']['who']} has the head"
        if told["operator"]["has_it"]
        else station.steering.explain(),
        "counts": {key: value for key, value in counters.items() if isinstance(value, int)},
        "commands_s": told["commands_per_s"],
        "moving_s": 60.0 * counters["moving_minutes"],
        "command_latency_ms": None if latency_s is None else round(1e3 * latency_s, 1),
        "image_latency_ms": round(1e3 * image_latency_s, 1),
        "watchdog": watchdog.get("head", "off"),
    }


def _follower(camera: CameraConfig) -> Follower:
    assert camera.ptz is not None
    try:
        return ptz_setup.follower_of(camera.ptz)
    except (PtzError, ValueError) as error:
        raise ConfigError(f"camera {camera.name!r}, ptz: {error}") from None


def _head_of(cameras: Mapping[str, CameraConfig], name: str) -> object:
    camera = cameras.get(name)
    return None if camera is None else camera.ptz


def _mates(cameras: Mapping[str, CameraConfig], name: str) -> set[str]:
    """The heads that share a scene with this one, and so a crew."""
    camera = cameras.get(name)
    if camera is None or camera.ptz is None or camera.ptz.scene == OFF:
        return set()
    return {
        each.name for each in cameras.values() if each.ptz is not None and each.ptz.scene == camera.ptz.scene
    }


def crews_of(heads: Sequence[CameraConfig], followers: Mapping[str, Follower]) -> list[Crew]:
    """A crew for every scene that cameras name, and one for each head that only has guides."""
    scenes: dict[str, list[CameraConfig]] = {}
    for camera in heads:
        config = camera.ptz
        assert config is not None
        if config.scene != OFF or config.guides:
            scenes.setdefault(f"scene {config.scene}" if config.scene != OFF else camera.name, []).append(
                camera
            )
    return [
        Crew(
            {camera.name: followers[camera.name] for camera in cameras},
            [_place(camera) for camera in cameras],
            {camera.name: camera.ptz.guides for camera in cameras if camera.ptz is not None},
        )
        for cameras in scenes.values()
    ]


def _place(camera: CameraConfig) -> Place:
    config = camera.ptz
    assert config is not None
    height_m = config.position_m[2] if config.position_m is not None else 0.0
    return Place(camera.name, config.pan_limits_deg, config.tilt_limits_deg or ptz_setup.ANY_TILT, height_m)


def _observe(station: Station, seen: Sightings, shift: tuple[float, PictureShift] | None) -> None:
    if shift is not None:
        before_s, moved = shift
        focal = focal_px(
            seen.width, station.lens.hfov_deg(max(1.0, station.follower.log.at(seen.time_s).zoom))
        )
        # What goes to the left and down is seen by a camera that turns to the right and up.
        station.pilot.image_moved(
            before_s, seen.time_s, -degrees(atan(moved.x_px / focal)), degrees(atan(moved.y_px / focal))
        )
    station.pilot.observe(seen)
