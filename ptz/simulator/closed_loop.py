"""Following people in a simulated world from end to end, in virtual time, and what came of it.

World and device are the truth; the rest is what runs in life: oracle for the detector, follower, law, pilot, head and
driver. Pictures arrive late, detection takes its time, commands travel and motors have mass. One coroutine per run; the
same settings give the same run.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ptz.drivers.base import DriverOptions, PtzDriver
from ptz.drivers.simulator import SimulatorDriver
from ptz.follower import Follower
from ptz.head import Head, HeadSettings
from ptz.laws.base import create_law
from ptz.lens import Lens
from ptz.metrics import Scores, Series, Step, Turning, score, steps
from ptz.pilot import Follows, Pilot
from ptz.pose_log import Plant
from ptz.settings import FollowSettings
from ptz.simulator.device import Command, Device
from ptz.simulator.faults import Fault, Faults
from ptz.simulator.oracle import Oracle
from ptz.simulator.profiles import PROFILES, DeviceProfile
from ptz.simulator.recorder import Recorder
from ptz.simulator.scenes import SCENES
from ptz.simulator.truth import Truth, truth
from ptz.simulator.world import CameraMount, Scene, World
from ptz.speed_table import SpeedTable
from ptz.types import Pose, Sightings, Velocity
from ptz.virtual_time import run_virtual

START_S = 1000.0
"""Virtual time at which a run begins: like a machine that has been up for a while."""
SOURCE_BEHIND_S = 777.0
"""The camera's clock, in which it tells when pictures were taken (as RTP does), shows another time than ours."""
SHIFT_NOISE = 0.02
"""Standard deviation of measured image motion, as a share of it; and so many degrees besides."""
SHIFT_NOISE_DEG = 0.01
ZONE_DEG = (70.0, 30.0)
"""Width and height of the zone of the policy `zone`, where none is set."""

See = Callable[[Truth, Pose, Velocity, float], Sightings]
"""What is detected and tracked in a picture: its truth, the pose that it was taken at and how fast the head turned
then, and when it arrived."""


@dataclass(frozen=True)
class LoopSettings:
    """What is run.

    scene          name of one of `SCENES`
    profile        name of one of `PROFILES`; empty = what the scene's head has
    policy         framing policy; empty = the scene's
    law, law_options  control law
    seed           of device, oracle and image latency
    duration_s     0 = the scene's
    warm_up_s      not judged: start-up probe, first zoom
    video_delay_s  None = the profile's
    inference_s    from a picture's arrival until its boxes are known
    calibrated     speeds and image latency are those that a calibration finds, and the lens is that of the data sheet;
                   False = the usual speeds and latency, and the ideal law from the widest field of view
    follow         further settings of the follower; policy and latency are set here
    faults         of the device and of its video
    driver         "simulator", or a protocol: "hikvision", "onvif"
    """

    scene: str = "walk_across"
    profile: str = ""
    policy: str = ""
    law: str = "predictive"
    law_options: tuple[tuple[str, float], ...] = ()
    seed: int = 0
    duration_s: float = 0.0
    warm_up_s: float = 6.0
    video_delay_s: float | None = None
    inference_s: float = 0.08
    calibrated: bool = True
    follow: FollowSettings = field(default_factory=FollowSettings)
    faults: tuple[Fault, ...] = ()
    driver: str = "simulator"

    @property
    def script(self) -> Scene:
        """The scene."""
        return SCENES[self.scene]

    def device_profile(self, mount: CameraMount) -> DeviceProfile:
        """The profile, with its home where the scene's head begins.

        A head that the scene was not made for is mounted as one would: what it cannot reach lies behind it.
        """
        profile = PROFILES[self.profile or mount.profile]
        if profile.name != mount.profile and profile.pan.low is not None and profile.pan.high is not None:
            half_deg = (profile.pan.high - profile.pan.low) / 2
            stops = (mount.pan_deg - half_deg, mount.pan_deg + half_deg)
            profile = replace(profile, pan=replace(profile.pan, low=stops[0], high=stops[1]))
        optics = profile.optics
        if self.video_delay_s is not None:
            optics = replace(optics, video_delay_s=self.video_delay_s)
        return replace(profile, home=(mount.pan_deg, mount.tilt_deg, mount.zoom), optics=optics)


@dataclass(frozen=True)
class RunReport:
    """One run of one camera.

    series, turning  what was recorded, from `START_S` on; `scores` and `steps` leave out the warm-up
    states           (time, state of the follower, state of the head) at every change
    told             what head and follower say for /health at the end
    """

    settings: LoopSettings
    camera: str
    scores: Scores
    steps: tuple[Step, ...]
    series: Series
    turning: Turning
    states: tuple[tuple[float, str, str], ...]
    told: dict[str, Any]


def run_scene(settings: LoopSettings, see: See | None = None) -> RunReport:
    """Run one scene with its first head. `see` takes the place of the oracle: a real detector on rendered pictures."""
    mount = settings.script.heads[0]
    duration_s = settings.duration_s or settings.script.duration_s

    async def run() -> RunReport:
        rig = Rig(settings, mount, asyncio.get_running_loop().time, see)
        rig.take_off()
        await rig.run(duration_s)
        return rig.report()

    return run_virtual(run(), start_s=START_S, limit_s=START_S + duration_s + 120.0)


class Rig:
    """One camera in a world, with everything that steers it."""

    def __init__(
        self, settings: LoopSettings, mount: CameraMount, now: Callable[[], float], see: See | None = None
    ) -> None:
        self.settings, self.mount, self._now = settings, mount, now
        self.world = World(settings.script)
        self.profile = settings.device_profile(mount)
        self.device = Device(self.profile, settings.seed, Faults(settings.faults, settings.seed), now())
        oracle = Oracle(settings.seed)
        self._see: See = see or (lambda seen, pose, turning, arrived_s: oracle.sightings(seen, arrived_s))
        self._random = np.random.default_rng(settings.seed)
        follow = self.follow_settings()
        lens = lens_of(self.profile, settings.calibrated)
        self.follower = Follower(
            follow, lens, plant_of(self.profile), create_law(settings.law, dict(settings.law_options))
        )
        self.head = Head(
            driver_of(settings.driver, self.device, now),
            HeadSettings(),
            speeds_of(self.profile, settings.calibrated),
            now,
        )
        self.pilot: Pilot
        self.seen: Truth
        """Of the newest picture."""
        if follow.policy == "selected":
            self.follower.select(gid=(settings.script.target_ids or (1,))[0])
        self.recorder = Recorder(settings.script.target_ids, follow.zoom.body_height)
        self._states: list[tuple[float, str, str]] = []
        self._arrived_s = -math.inf
        self._last: tuple[float, Pose] | None = None

    def take_off(self, member: Follows | None = None) -> None:
        """Give the head its pilot. `member` speaks for the follower where several cameras work together."""
        self.pilot = Pilot(member or self.follower, self.head, self._now)

    def follow_settings(self) -> FollowSettings:
        """The follower's settings for this run."""
        latency_s = self.settings.follow.image_latency_s
        if self.settings.calibrated:
            latency_s = self.profile.optics.video_delay_s
        policy = self.settings.policy or self.settings.script.policy
        zone, mount = self.settings.follow.zone, self.mount
        if zone.box_deg is None:
            # What lies before the head at first.
            west_deg, top_deg = mount.pan_deg - ZONE_DEG[0] / 2, min(mount.tilt_deg + ZONE_DEG[1] / 2, 90.0)
            zone = replace(zone, box_deg=(west_deg, west_deg + ZONE_DEG[0], top_deg - ZONE_DEG[1], top_deg))
        return replace(self.settings.follow, policy=policy, image_latency_s=latency_s, zone=zone)

    async def run(self, duration_s: float) -> None:
        """From now on for so long; head and pilot are stopped in order afterwards."""
        tasks = [asyncio.create_task(self.head.run()), asyncio.create_task(self.pilot.run())]
        try:
            await self._film(self._now(), duration_s, tasks)
        finally:
            for task in reversed(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.head.close()

    async def _film(self, start_s: float, duration_s: float, tasks: list[asyncio.Task[None]]) -> None:
        """Take pictures; their boxes reach the pilot when they are known."""
        interval_s = 1.0 / self.profile.optics.fps
        for number in itertools.count():
            taken_s = start_s + number * interval_s
            if taken_s >= start_s + duration_s:
                break
            await asyncio.sleep(max(taken_s - self._now(), 0.0))
            for task in tasks:
                if task.done():
                    task.result()
                    raise RuntimeError(f"{self.mount.name}: head or pilot ended by itself")
            self._picture(taken_s, taken_s - start_s)
            self.recorder.turned(self.device, taken_s - interval_s, taken_s)
            self._note_state(taken_s)

    def _picture(self, taken_s: float, scene_s: float) -> None:
        """One picture: written down as it is, and sent on its way to the detector."""
        pose = self.device.true_pose(taken_s)
        view = self.profile.optics.view(pose)
        seen = truth(self.world, self.mount, view, scene_s % self.settings.script.duration_s)
        self.seen = seen
        self.recorder.picture(pose, seen, taken_s)
        arrived_s = self._arrival_s(taken_s)
        if arrived_s is None:
            return
        known_s = arrived_s + self.settings.inference_s
        loop = asyncio.get_running_loop()
        if self._last is not None:
            before_s, before = self._last
            shift = (_moved(before.pan_deg, pose.pan_deg), pose.tilt_deg - before.tilt_deg)
            noisy = [part * (1 + self._noise(SHIFT_NOISE)) + self._noise(SHIFT_NOISE_DEG) for part in shift]
            loop.call_at(known_s, self.pilot.image_moved, before_s, arrived_s, noisy[0], noisy[1])
        self._last = (arrived_s, pose)
        turning = self.device.velocity(taken_s)
        sightings = replace(self._see(seen, pose, turning, arrived_s), source_s=taken_s - SOURCE_BEHIND_S)
        loop.call_at(known_s, self.pilot.observe, sightings)

    def _arrival_s(self, taken_s: float) -> float | None:
        """When a picture is there, None where it never is. Pictures do not overtake each other."""
        faults, optics = self.device.faults, self.profile.optics
        if faults.active("video_freeze", taken_s) or faults.active("video_drops", taken_s):
            return None
        late = faults.active("video_late", taken_s)
        delay_s = late.value if late else optics.video_delay_s
        arrived_s = taken_s + delay_s + self._random.uniform(0.0, optics.video_jitter_s)
        self._arrived_s = max(arrived_s, self._arrived_s + 1e-3)
        return self._arrived_s

    def _noise(self, spread: float) -> float:
        return float(self._random.normal(0.0, spread))

    def _note_state(self, now_s: float) -> None:
        state = (str(self.follower.state), str(self.head.state))
        if not self._states or self._states[-1][1:] != state:
            self._states.append((now_s, *state))

    def report(self) -> RunReport:
        """What was recorded, and its figures."""
        series, turning = self.recorder.series()
        judged = series.between(START_S + self.settings.warm_up_s)
        commands_s, renewals_s = told_apart(list(self.device.history))
        turned = turning.between(START_S + self.settings.warm_up_s)
        scores = score(judged, turned, commands_s, renewals_s)
        return RunReport(
            self.settings, self.mount.name, scores, tuple(steps(judged)), series, turning, tuple(self._states),
            self.pilot.told(),
        )  # fmt: skip


def told_apart(history: list[tuple[float, Command]]) -> tuple[list[float], list[float]]:
    """Times of the commands that change what a head shall do, and of those that repeat a turn before its end."""
    commands_s: list[float] = []
    renewals_s: list[float] = []
    before: Command | None = None
    for at_s, command in history:
        renews = before is not None and command.kind == "turn" and command.values == before.values
        (renewals_s if renews else commands_s).append(at_s)
        before = command
    return commands_s, renewals_s


def lens_of(profile: DeviceProfile, calibrated: bool) -> Lens:
    """What is believed of the lens: the data sheet's table, or the widest field of view alone."""
    return Lens(profile.optics.hfov_wide_deg, profile.optics.table if calibrated else ())


def plant_of(profile: DeviceProfile) -> Plant:
    """What is believed of the motors: the usual, with the ranges that the camera tells."""
    return Plant(
        pan_range_deg=profile.pan_range_deg,
        tilt_range_deg=profile.tilt_range_deg,
        zoom_range=(1.0, profile.optics.most_zoom),
    )


def speeds_of(profile: DeviceProfile, calibrated: bool) -> SpeedTable:
    """Speeds of levels: as a calibration finds them, or the usual ones."""
    if not calibrated:
        return SpeedTable.family()
    return SpeedTable.family(
        profile.curve,
        (profile.pan.most_speed, profile.tilt.most_speed),
        profile.zoom.most_speed,
        profile.proportional_zoom,
        profile.dead_band,
    )


def driver_of(name: str, device: Device, now: Callable[[], float]) -> PtzDriver:
    """The driver of this name, connected to the device without sockets."""
    if name == "simulator":
        return SimulatorDriver(DriverOptions("sim://device"), now, device)
    from ptz.drivers.isapi import IsapiDriver
    from ptz.drivers.onvif import OnvifDriver
    from ptz.simulator.accounts import Accounts, User
    from ptz.simulator.camera import SimulatedCamera
    from ptz.simulator.transport import DeviceTransport

    camera = SimulatedCamera(device, Accounts([User("operator", "simulated")]))
    transport = DeviceTransport(camera, now)
    profile = device.profile
    # What a user sets for cameras whose protocol does not tell it.
    options = DriverOptions(
        "http://192.0.2.10",
        "operator",
        "simulated",
        pan_range_deg=profile.pan_range_deg,
        tilt_range_deg=profile.tilt_range_deg,
        zoom_range=(1.0, profile.optics.most_zoom),
    )
    kinds: dict[str, type[IsapiDriver] | type[OnvifDriver]] = {"hikvision": IsapiDriver, "onvif": OnvifDriver}
    return kinds[name](options, now, transport)


def _moved(from_deg: float, to_deg: float) -> float:
    """Signed turn from one azimuth to another, the short way."""
    return (to_deg - from_deg + 180.0) % 360.0 - 180.0
