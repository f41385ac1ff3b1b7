"""Tracking worker: detections in, identities out, one tracker per camera, every result in order.

track       boxes get the IDs of their tracks            (engine.tracking)
recognise   those who were here before get theirs again  (track_identity, engine.identity)
events      what has happened                            (track_events, engine.events)
commands    forgetting, and what may be remembered       (track_commands)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from engine.config import RunConfig, TrackConfig
from engine.events import CameraEvents
from engine.tracking.base import Tracker, create_tracker
from engine.tracking.settings import COLOUR, MODEL, TrackerSettings
from engine.types import (
    Detections,
    Embeddings,
    FrameFlag,
    FrameMeta,
    FrameNv12,
    PictureShift,
    ResultMeta,
    Tracks,
)
from engine.workers.feed import Feed, Writer
from engine.workers.runtime import Context
from engine.workers.track_commands import Commands
from engine.workers.track_events import events_of, events_told, know_classes, open_events, write_record
from engine.workers.track_identity import Identities
from ipc.pool import Lease


@dataclass
class Camera:
    """One camera's tracker and its place in the stream of detections.

    last_seq        newest detection record taken over; last_frame_seq  the frame it spoke of
    lost            records that were overwritten before they could be read (never in `--offline` runs)
    """

    name: str
    feed: Feed
    frames: Feed
    writer: Writer
    tracker: Tracker
    identities: Identities
    last_seq: int = 0
    last_frame_seq: int = 0
    lost: int = 0
    events: CameraEvents | None = None


def run(context: Context) -> None:
    """Take each camera's records in order, track, publish; wait when there is nothing."""
    cv2.setNumThreads(1)  # a small picture at a time: OpenCV's own threads would take cores from detection
    identities = Identities(context)
    commands = Commands(context, identities)
    cameras = [open_camera(context, camera.name, identities) for camera in context.config.cameras]
    context.on_config = lambda before, after: follow(context, cameras, identities, before)

    def report() -> None:
        context.status["identity"] = identities.told()
        context.status["degraded"] = identities.degraded()
        context.status["lost"] = {camera.name: camera.lost for camera in cameras}
        context.status["events"] = events_told({camera.name: camera.events for camera in cameras})
        context.status["camera_motion"] = {camera.name: motion_told(camera.tracker) for camera in cameras}

    def step() -> bool:
        busy = [commands.handle(), identities.tend()]
        return any(busy + [advance(context, camera) for camera in cameras])

    context.before_status = report
    try:
        context.work_through(step)
    finally:
        identities.close()


def follow(context: Context, cameras: list[Camera], identities: Identities, before: RunConfig) -> None:
    """Cameras have come or gone, or have other zones and lines."""
    config, settings_before = context.config, {camera.name: camera for camera in before.cameras}
    identities.follow([camera.name for camera in config.cameras], config.links)
    there = {camera.name: camera for camera in cameras}
    for settings in config.cameras:
        if (camera := there.get(settings.name)) is None:
            there[settings.name] = open_camera(context, settings.name, identities)
        elif camera.events is not None and settings != settings_before[settings.name]:
            camera.events.set_regions(settings)
    cameras[:] = [there[settings.name] for settings in config.cameras]


def open_camera(context: Context, name: str, identities: Identities | None = None) -> Camera:
    """Find the camera's pools; go on behind what a killed predecessor has published.

    identities  those that all cameras share; of its own where none are given
    """
    identities = identities or Identities(context)
    feed, writer = context.feeds[f"detections:{name}"], context.writers[f"tracks:{name}"]
    newest = writer.newest_meta()
    last = ResultMeta.unpack(newest) if newest else None
    following = last.next_track_id if last else context.past.get(name, {}).get("track", 1)
    first_track_id = identities.first_track_id(name, following)
    config = context.config
    settings = settings_of(config.track, config.reid.enabled)
    tracker = create_tracker(config.track.tracker, first_track_id, config.infer.show_confidence, settings)
    frames = context.feeds.setdefault(f"frames:{name}", Feed())
    return Camera(
        name=name,
        feed=feed,
        frames=frames,
        writer=writer,
        tracker=tracker,
        identities=identities,
        last_seq=feed.acknowledged(),
        last_frame_seq=last.frame_seq if last else 0,
        lost=context.before.get("lost", {}).get(name, 0),
        events=open_events(context, name),
    )


def settings_of(track: TrackConfig, reid: bool = False) -> TrackerSettings:
    """The tracker's own settings, with those that a run may change. Raises `ConfigError` for an unknown tracker.

    reid  whether a network looks at people: then nobody looks at colours, also before the first one was looked at, and
          the gallery knows those who come back
    """
    own = create_tracker(track.tracker).settings
    return replace(
        own,
        boxes=track.boxes,
        coast_s=track.coast_ms / 1e3,
        camera_motion=track.camera_motion,
        appearance=MODEL if reid and track.appearance == COLOUR else track.appearance,
        high_score=track.high_confidence or own.high_score,
        start_score=track.start_confidence or own.start_score,
        lost_s=track.lost_s or own.lost_s,
        recall_s=0.0 if reid else track.recall_s,
    )


def motion_told(tracker: Tracker) -> dict[str, object] | None:
    """What the worker's status says of a camera's own motion, None where its tracker does not look for it."""
    motion = tracker.camera_motion
    if motion is None:
        return None
    counts = motion.statistics
    return {
        "mode": motion.mode,
        "frames": counts.frames,
        "moved": counts.moved,
        "untrusted": dict(counts.untrusted),
    }


def advance(context: Context, camera: Camera) -> bool:
    """Work on one record, if there is one, its frame is in reach and the readers of tracks have caught up."""
    lease = camera.feed.lease_next(camera.last_seq)
    if lease is None:
        return False
    with lease:
        meta = ResultMeta.unpack(lease.meta)
        # A predecessor may have published this one and died before it could say so.
        if meta.frame_seq > camera.last_frame_seq:
            if not camera.frames.has_come_to(meta.frame_seq):
                return False
            if not know_classes(context, camera.name, camera.events):
                return False
            slot = camera.writer.producer.begin()
            if slot is None:
                return False
            tracks, shift = track(camera, meta, detections_in(meta, lease))
            tracks = camera.identities.advance(camera.name, tracks, camera.tracker, meta)
            found = events_of(camera.events, tracks, camera.tracker.removed_ids, meta)
            written, event_count = write_record(camera.events, tracks, found, slot.array())
            trace = replace(meta.trace, tracked_ns=context.clock.now_ns())
            meta = replace(
                meta, flags=meta.flags | context.regions_flag(camera.name),
                count=written.count, mask_bytes=written.mask_bytes,
                masks_lost=meta.masks_lost + written.masks_lost,
                trace=trace, next_track_id=camera.tracker.next_track_id,
                embedding_count=0, embedding_dims=0, event_count=event_count, shift=shift,
            )  # fmt: skip
            meta.pack_into(slot.meta)
            camera.writer.producer.publish(slot)
            camera.writer.notify()
            camera.last_frame_seq = meta.frame_seq
    camera.lost += lease.gap
    camera.last_seq = lease.seq
    camera.feed.acknowledge(lease.seq)
    camera.frames.acknowledge(meta.frame_seq)
    return True


def detections_in(meta: ResultMeta, lease: Lease) -> Detections:
    """The detections in a record, with what some of them look like."""
    slot_u8 = lease.array()
    found = Detections.view(meta.count, slot_u8, meta.mask_bytes)
    looks = Embeddings.view_at_end(meta.embedding_count, meta.embedding_dims, slot_u8)
    return found if looks is None else replace(found, embeddings=looks)


def track(camera: Camera, meta: ResultMeta, detections: Detections) -> tuple[Tracks, PictureShift | None]:
    """The tracker's answer, with the frame before its eyes unless that has been overwritten meanwhile.

    The end of a stream and a notice of frames passed over hold no objects.
    """
    if meta.flags & (FrameFlag.END_OF_STREAM | FrameFlag.NOTICE):
        return Tracks.empty(), None
    lease = camera.frames.lease(meta.frame_seq)
    if lease is None:
        return camera.tracker.update(detections, meta.time_s), None
    with lease:
        frame = FrameNv12.view(FrameMeta.unpack(lease.meta), lease.array())
        tracks = camera.tracker.update(detections, meta.time_s, frame)
        return tracks, shift_of(camera.tracker, meta)


def shift_of(tracker: Tracker, meta: ResultMeta) -> PictureShift | None:
    """How the picture has moved since the frame that the tracker saw before, None where the picture does not say.

    What a pose says is no evidence: it may come from the very head that this is to be evidence of.
    """
    motion = tracker.camera_motion
    warp = motion.latest if motion is not None else None
    if motion is None or warp is None or not warp.trusted:
        return None
    if motion.mode in ("off", "pose") or warp.reason == "pose":
        return None
    middle = np.array(((meta.width / 2, meta.height / 2),))
    moved, turned = warp.around(middle)
    (x_px, y_px), scale = (moved - middle)[0], abs(np.linalg.det(turned[0])) ** 0.5
    return PictureShift(float(x_px), float(y_px), float(scale))
