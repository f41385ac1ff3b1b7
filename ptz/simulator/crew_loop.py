"""Several heads over one simulated scene, in virtual time: who owns the person, and does the owner see them.

Each head is a `closed_loop.Rig` of its own; the fixed camera of the scene is a guide that tells where people are.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ptz.crew import Crew
from ptz.handoff import Station
from ptz.simulator.closed_loop import START_S, LoopSettings, Rig, RunReport
from ptz.simulator.optics import Optics
from ptz.simulator.oracle import Oracle
from ptz.simulator.truth import truth
from ptz.simulator.world import CameraMount, World
from ptz.types import Pose
from ptz.virtual_time import run_virtual

SAMPLE_S = 1 / 15
VISIBLE = 0.3
"""Share of the body that must be in the picture and not hidden."""


@dataclass(frozen=True)
class CrewReport:
    """One run of several heads.

    cameras     reports of the heads, by name
    owner       (time, name of the owner or "") at every change
    visible     share of the judged time in which the person was to be seen on the camera that owned them
    possible    the same for the best camera at each moment: whoever owns, it cannot be more
    changes     of ownership from one camera to another, within the judged time
    """

    settings: LoopSettings
    cameras: dict[str, RunReport]
    owner: tuple[tuple[float, str], ...]
    visible: float
    possible: float
    changes: int


class OwnerLog:
    """Samples who owns a person, and who sees them."""

    def __init__(self, crew: Crew, rigs: dict[str, Rig], target: int) -> None:
        self._crew, self._rigs, self._target = crew, rigs, target
        self.samples: list[tuple[float, str, bool, bool]] = []

    def sample(self, now_s: float) -> None:
        """One moment: owner, whether the owner sees the person, whether any camera does."""
        seeing = {name for name, rig in self._rigs.items() if self._sees(rig)}
        owner = next((one.owner for one in self._crew.owned if one.target == self._target), "")
        self.samples.append((now_s, owner, owner in seeing, bool(seeing)))

    def _sees(self, rig: Rig) -> bool:
        seen = rig.seen
        rows = np.flatnonzero(seen.ids == self._target)
        return bool(len(rows)) and bool(seen.visibility[rows[0]] >= VISIBLE)


def run_crew(settings: LoopSettings, guided: bool = True) -> CrewReport:
    """Run a scene with all of its heads. `guided`: the fixed camera helps."""
    duration_s = settings.duration_s or settings.script.duration_s

    async def run() -> CrewReport:
        now = asyncio.get_running_loop().time
        rigs = {mount.name: Rig(settings, mount, now) for mount in settings.script.heads}
        stations = [Station(name, rig.profile.pan_range_deg, rig.profile.tilt_range_deg)
                    for name, rig in rigs.items()]  # fmt: skip
        fixed = next(mount for mount in settings.script.cameras if not mount.is_ptz)
        guides = dict.fromkeys(rigs, (fixed.name,)) if guided else None
        crew = Crew({name: rig.follower for name, rig in rigs.items()}, stations, guides)
        for name, rig in rigs.items():
            rig.take_off(crew.member(name))
        log = OwnerLog(crew, rigs, (settings.script.target_ids or (1,))[0])
        watching = [asyncio.create_task(_sample(log, now))]
        if guided:
            watching.append(asyncio.create_task(_guide(crew, fixed, settings, now)))
        try:
            await asyncio.gather(*(rig.run(duration_s) for rig in rigs.values()))
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
        return _report(settings, rigs, log)

    return run_virtual(run(), start_s=START_S, limit_s=START_S + duration_s + 120.0)


async def _sample(log: OwnerLog, now: Callable[[], float]) -> None:
    while True:
        await asyncio.sleep(SAMPLE_S)
        log.sample(now())


async def _guide(crew: Crew, mount: CameraMount, settings: LoopSettings, now: Callable[[], float]) -> None:
    """The fixed camera's boxes, as late as those of the heads."""
    optics = Optics(mount.hfov_wide_deg, 1.0)
    world, oracle = World(settings.script), Oracle(settings.seed + 100)
    loop, start_s = asyncio.get_running_loop(), now()
    view = optics.view(Pose(start_s, mount.pan_deg, mount.tilt_deg, 1.0))
    while True:
        taken_s = now()
        seen = truth(world, mount, view, (taken_s - start_s) % settings.script.duration_s)
        arrived_s = taken_s + optics.video_delay_s
        known_s = arrived_s + settings.inference_s
        loop.call_at(known_s, crew.observe, mount.name, oracle.sightings(seen, arrived_s), known_s)
        await asyncio.sleep(1 / optics.fps)


def _report(settings: LoopSettings, rigs: dict[str, Rig], log: OwnerLog) -> CrewReport:
    judged = [sample for sample in log.samples if sample[0] >= START_S + settings.warm_up_s]
    owners = [owner for _, owner, _, _ in judged if owner]
    changes = sum(a != b for a, b in itertools.pairwise(owners))
    history: list[tuple[float, str]] = []
    for now_s, owner, _, _ in log.samples:
        if not history or history[-1][1] != owner:
            history.append((now_s, owner))
    return CrewReport(
        settings,
        {name: replace(rig.report(), camera=name) for name, rig in rigs.items()},
        tuple(history),
        float(np.mean([sample[2] for sample in judged])),
        float(np.mean([sample[3] for sample in judged])),
        changes,
    )
