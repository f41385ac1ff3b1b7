"""What a change of the configuration means for the run: who starts, who ends, who is told, which pools come and go.

Pure: two configurations in, a plan out. Applying it is `engine.supervisor_changes`; whether the new configuration can
be meant at all is `engine.config.live`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine import topology
from engine.config import CameraConfig, RunConfig
from engine.errors import ConfigError
from engine.topology import PoolSpec, WorkerSpec

DECODER_SETTINGS = ("source", "loop", "rtsp_transport", "poses")
"""Settings of a camera that only its decoder reads, when it opens the source."""


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """The difference between two configurations of one run.

    added, removed, changed  cameras by name
    starts     workers that come, in the order in which they are started
    stops      names of workers that go, in the order in which they are stopped
    restarts   decoders that open their source again
    told       workers that go on and take the new configuration over
    made       pools that come
    rewired    pools that stay and get other readers
    dropped    names of result pools that go; the pools of frames of a removed camera go with them
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    starts: tuple[WorkerSpec, ...] = ()
    stops: tuple[str, ...] = ()
    restarts: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    made: tuple[PoolSpec, ...] = ()
    rewired: tuple[PoolSpec, ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def concerned(self) -> frozenset[str]:
        """Every camera that is added, removed or changed."""
        return frozenset((*self.added, *self.removed, *self.changed))


def settled(config: RunConfig) -> RunConfig:
    """The configuration as it holds for a whole run: a stage of segmentation that is there stays, whoever leaves."""
    if not topology.has_segmentation(config):
        return config
    return replace(config, segment=replace(config.segment, standby=True))


def check_stages(before: RunConfig, after: RunConfig) -> None:
    """Raise `ConfigError` for a change that needs a stage between tracking and outputs that the run has not."""
    if topology.has_segmentation(after) and not topology.has_segmentation(before):
        (camera, *_) = (each for each in after.cameras if topology.segment_mode(after, each.name) != "off")
        raise ConfigError(
            f"camera {camera.name!r}: segment = {camera.segment!r} needs segmentation, which this run has not; "
            "start it with --segment MODE, or with segment.standby = true"
        )


def plan_change(before: RunConfig, after: RunConfig) -> ChangePlan:
    """What has to be done on the way from one configuration to the other. Both are `settled`, and live."""
    old, new = cameras_of(before), cameras_of(after)
    if old == new and before.links == after.links:
        return ChangePlan()
    workers_before = {spec.name: spec for spec in topology.workers(before)}
    workers_after = {spec.name: spec for spec in topology.workers(after)}
    changed = tuple(name for name in new if name in old and new[name] != old[name])
    pools_before, pools_after = _result_pools(before), _result_pools(after)
    stays = [spec for name, spec in workers_after.items() if name in workers_before]
    going = [spec for name, spec in workers_before.items() if name not in workers_after]
    return ChangePlan(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        changed=changed,
        starts=tuple(spec for name, spec in workers_after.items() if name not in workers_before),
        stops=tuple(spec.name for spec in sorted(going, key=lambda spec: spec.stage)),
        restarts=tuple(f"decode:{name}" for name in changed if _opens_again(before, after, name)),
        told=tuple(
            spec.name
            for spec in stays
            if spec.kind != "decode" and (not spec.camera or spec.camera in changed)
        ),
        made=tuple(spec for name, spec in pools_after.items() if name not in pools_before),
        rewired=tuple(
            spec
            for name, spec in pools_after.items()
            if name in pools_before and spec.consumers != pools_before[name].consumers
        ),
        dropped=tuple(name for name in pools_before if name not in pools_after),
    )


def begins_anew(before: CameraConfig, after: CameraConfig) -> bool:
    """Whether the source is another than before, so that a file is read from its beginning."""
    return (before.source, before.loop) != (after.source, after.loop)


def cameras_of(config: RunConfig) -> dict[str, CameraConfig]:
    """The cameras by name."""
    return {camera.name: camera for camera in config.cameras}


def _opens_again(before: RunConfig, after: RunConfig, name: str) -> bool:
    """Whether a camera's decoder has to begin anew: also where its pictures get, or lose, the pose of a head."""
    old, new = cameras_of(before)[name], cameras_of(after)[name]
    if any(getattr(old, key) != getattr(new, key) for key in DECODER_SETTINGS):
        return True
    return (name in topology.heads(before)) != (name in topology.heads(after))


def _result_pools(config: RunConfig) -> dict[str, PoolSpec]:
    return {
        spec.name: spec for camera in config.cameras for spec in topology.result_pools(config, camera.name)
    }
