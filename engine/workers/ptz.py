"""PTZ worker: what cameras see comes in, heads that follow it go out.

records   results of the cameras with a head, and of those that guide them, newest first     (here)
heads     follower, head and driver of each camera, in one thread with an event loop          (ptz_heads)
poses     where the heads point goes to the decoders of their cameras                         (ptz_poses)
commands  an operator's hand, presets, whom to follow                                         (ptz_commands)

Nobody waits for this worker. Records that it could not read in time are counted, and the newest one counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from engine import topology
from engine.config import RunConfig
from engine.errors import EngineError
from engine.types import FrameFlag, PictureShift, ResultMeta, Tracks, TrackState
from engine.workers.feed import Feed
from engine.workers.ptz_commands import Commands
from engine.workers.ptz_heads import Heads
from engine.workers.runtime import Context
from ipc.pool import Lease
from ptz.types import Sightings


@dataclass
class Camera:
    """Where a camera's records have been read up to.

    arrived_s  when the picture of the newest record arrived; 0 before the first
    lost       records that were overwritten before they could be read
    newest     the tracks of the newest record, copies: what somebody who clicks has seen
    """

    name: str
    feed: Feed
    classes: frozenset[str] = frozenset()
    last_seq: int = 0
    arrived_s: float = 0.0
    lost: int = 0
    newest: Tracks = field(default_factory=Tracks.empty)


def run(context: Context) -> None:
    """Hand every record to the heads until told to stop; then the heads stop first."""
    cameras = {
        name: open_camera(context, name) for name in sorted(topology.watched_for_heads(context.config))
    }
    heads = Heads(context)
    commands = Commands(context, heads, cameras)

    def report() -> None:
        told = heads.told()
        context.status["ptz"] = told
        context.status["lost"] = {camera.name: camera.lost for camera in cameras.values()}
        context.status["degraded"] = heads.degraded()

    def step() -> bool:
        busy = [commands.handle(), heads.tend(), publish_poses(context, heads)]
        return any(busy + [advance(context, camera, heads) for camera in cameras.values()])

    def follow(before: RunConfig, after: RunConfig) -> None:
        heads.follow(before, after)
        watched = topology.watched_for_heads(after)
        for name in [name for name in cameras if name not in watched]:
            del cameras[name]
        for name in sorted(watched):
            known = cameras.get(name)
            cameras[name] = known or open_camera(context, name)
            cameras[name].classes = classes_of(after, name)

    context.before_status = report
    context.on_config = follow
    heads.start()
    try:
        context.work_through(lambda: not context.stopping and step())
    finally:
        heads.stop()


def open_camera(context: Context, name: str) -> Camera:
    """Find the camera's results; what was published before is past."""
    feed = context.feeds.setdefault(topology.pool_of_outputs(context.config, name), Feed())
    return Camera(name, feed, classes_of(context.config, name), last_seq=feed.newest_seq())


def classes_of(config: RunConfig, name: str) -> frozenset[str]:
    """The classes that a camera's head follows; empty: all."""
    camera = next(camera for camera in config.cameras if camera.name == name)
    return frozenset(camera.ptz.classes if camera.ptz is not None else ())


def advance(context: Context, camera: Camera, heads: Heads) -> bool:
    """Read one record, if there is one and it is known what its classes mean, and hand it over."""
    if context.labels is None:
        return False
    lease = camera.feed.lease_next(camera.last_seq)
    if lease is None:
        return False
    with lease:
        meta = ResultMeta.unpack(lease.meta)
        if not meta.flags & (FrameFlag.END_OF_STREAM | FrameFlag.NOTICE):
            camera.newest = tracks_in(meta, lease)
            arrived_s = meta.trace.captured_ns / 1e9
            seen = sightings_of(camera, meta, arrived_s, context.labels, heads.picked(camera.name))
            heads.observe(camera.name, seen, shift_since(camera, meta, lease.gap))
            camera.arrived_s = arrived_s
    camera.lost += lease.gap
    camera.last_seq = lease.seq
    camera.feed.acknowledge(lease.seq)
    return True


def publish_poses(context: Context, heads: Heads) -> bool:
    """Hand samples of where heads point to the decoders of their cameras. Whether there were any."""
    samples = heads.samples()
    for name, sample in samples:
        if (writer := context.writers.get(f"pose:{name}")) is not None:
            with writer.producer.write() as slot:
                sample.pack_into(slot.meta)
    return bool(samples)


def tracks_in(meta: ResultMeta, lease: Lease) -> Tracks:
    """The tracks of a record without their masks; copies."""
    found = Tracks.view(meta.count, lease.array())
    return found.take(np.arange(len(found)))


def sightings_of(
    camera: Camera, meta: ResultMeta, arrived_s: float, labels: tuple[str, ...], picked: frozenset[int]
) -> Sightings:
    """Those whom a head may follow: tracks with an ID, of the classes asked for, or picked by somebody."""
    tracks = camera.newest
    wanted = tracks.track_ids > 0
    if camera.classes:
        known = [number for number, label in enumerate(labels) if label in camera.classes]
        wanted &= np.isin(tracks.class_ids, known) | np.isin(tracks.track_ids, sorted(picked))
    chosen = tracks.take(wanted)
    return Sightings(
        time_s=arrived_s,
        width=meta.width,
        height=meta.height,
        boxes_xyxy=chosen.boxes_xyxy,
        scores=chosen.scores,
        track_ids=chosen.track_ids,
        gids=chosen.gids,
        seen=chosen.states != TrackState.COASTING,
        class_ids=chosen.class_ids,
        source_s=source_time_s(meta),
    )


def source_time_s(meta: ResultMeta) -> float:
    """When the camera says that it took the picture; NaN where it does not say, and where its time begins anew."""
    begins_anew = bool(meta.flags & FrameFlag.DISCONTINUITY)
    return math.nan if meta.pts_ns < 0 or begins_anew else meta.pts_ns / 1e9


def shift_since(camera: Camera, meta: ResultMeta, gap: int) -> tuple[float, PictureShift] | None:
    """When the record before arrived and how the picture has moved since, None where a record between is missing."""
    if meta.shift is None or gap or not camera.arrived_s:
        return None
    return camera.arrived_s, meta.shift


def picked_at(tracks: Tracks, x_px: float, y_px: float) -> int:
    """The track that somebody has clicked: the smallest box around the point. Raises `EngineError` where nobody is."""
    left, top, right, bottom = tracks.boxes_xyxy.T
    around = (left <= x_px) & (x_px <= right) & (top <= y_px) & (y_px <= bottom) & (tracks.track_ids > 0)
    if not around.any():
        raise EngineError(f"nobody is tracked at ({x_px:g}, {y_px:g})")
    areas = np.where(around, (right - left) * (bottom - top), np.inf)
    return int(tracks.track_ids[int(np.argmin(areas))])
