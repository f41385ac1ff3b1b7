"""One camera of the segmentation worker: its track records in order, each published again with masks.

Every record leads to one record, whatever becomes of masks. Knows pools, the camera's policy and the mover of its
masks; not the segmenter, whose keyframes come and go from outside.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine import topology
from engine.config import RunConfig
from engine.metrics import LatencyHistogram, RateMeter
from engine.segmentation.camera import CameraObjects
from engine.segmentation.events import Event
from engine.segmentation.identities import FIRST_OWN_ID
from engine.segmentation.jobs import KeyframeJob, KeyframeResult
from engine.segmentation.mask_motion import MaskMover
from engine.segmentation.scene import RECENT_RECORDS, CameraRules
from engine.segmentation.seats import Seats
from engine.types import (
    F32,
    U8,
    Events,
    FrameFlag,
    FrameMeta,
    FrameNv12,
    Masks,
    ResultMeta,
    Tracks,
    TrackState,
    Written,
)
from engine.workers.feed import Feed, Writer
from engine.workers.runtime import Context
from engine.workers.segment_masks import filled_up, moved_by_box, only
from ipc.pool import Lease

EVENTS_KEPT = 50
"""Newest events of a camera that its state shows."""
NAMES_IN_STATUS = 2048
"""Renamed tracks, and as many declined ones, of all cameras together."""
LONGEST_STEP_S = 1.0
"""Offline, time goes on by at most this from record to record, wherever the source's own time jumps."""


@dataclass
class Keyframe:
    """A frame that is being segmented. `lease` keeps its picture; None where no picture is needed."""

    job: KeyframeJob
    lease: Lease | None
    captured_ns: int


@dataclass
class Camera:
    """One camera's objects and its place in the stream of tracks.

    last_seq, last_frame_seq  newest record taken over, and the frame it spoke of
    last_meta                 its header, None before the first
    last_picture              the newest header of a record that had a picture
    shown_ids                 IDs in it
    recent                    number and place in the pool of the newest frames that were shown
    lost                      records that were overwritten before they could be read (never offline)
    frames_gone               records whose frame had been overwritten, so that masks went with their boxes
    shown                     what was published last
    now_s                     the policy's time: the clock's live, the source's offline
    next_keyframe             offline: number of the frame from which on the next keyframe is due
    """

    name: str
    tracks: Feed
    frames: Feed
    writer: Writer
    objects: CameraObjects
    mover: MaskMover
    masked: RateMeter
    keyframes: RateMeter
    last_seq: int = 0
    last_frame_seq: int = 0
    last_meta: ResultMeta | None = None
    last_picture: ResultMeta | None = None
    shown_ids: tuple[int, ...] = ()
    recent: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=RECENT_RECORDS))
    lost: int = 0
    frames_gone: int = 0
    shown: tuple[Tracks, float] | None = None
    now_s: float = 0.0
    next_keyframe: int = 0
    keyframe: Keyframe | None = None
    age: LatencyHistogram = field(default_factory=LatencyHistogram)
    lag: LatencyHistogram = field(default_factory=LatencyHistogram)
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    event_counts: Counter[str] = field(default_factory=Counter)


def rules_of(config: RunConfig, labels: tuple[str, ...]) -> CameraRules:
    """The part of the configuration that the policy understands."""
    settings = config.segment
    return CameraRules(
        labels=labels,
        classes=settings.classes,
        latency_s=settings.latency_ms / 1e3,
        lost_s=settings.lost_s,
        grid=settings.grid,
        detector_masks=not topology.needs_segmenter(config, "boxes"),
    )


def open_camera(context: Context, name: str, seats: Seats) -> Camera:
    """Find the camera's pools; go on behind what a killed predecessor has published, with the objects it had."""
    tracks, writer = context.feeds[f"tracks:{name}"], context.writers[f"masks:{name}"]
    newest = writer.newest()
    last = ResultMeta.unpack(newest[0]) if newest else None
    told = context.before.get("segmentation", {}).get("cameras", {}).get(name, {})
    mode = topology.segment_mode(context.config, name)
    camera = Camera(
        name=name,
        tracks=tracks,
        frames=context.feeds.setdefault(f"frames:{name}", Feed()),
        writer=writer,
        objects=CameraObjects(name, mode, rules_of(context.config, context.labels or ()), seats),
        mover=MaskMover(),
        masked=RateMeter(context.clock),
        keyframes=RateMeter(context.clock),
        last_seq=tracks.acknowledged(),
        last_frame_seq=last.frame_seq if last else 0,
        lost=context.before.get("lost", {}).get(name, 0),
        frames_gone=told.get("frames_gone", 0),
        now_s=context.clock.now_ns() / 1e9,
    )
    camera.event_counts.update(told.get("events", {}))
    for key, histogram in (("mask_age", camera.age), ("mask_lag", camera.lag)):
        if key in told:
            histogram.merge(LatencyHistogram.from_dict(told[key]))
    if told.get("state"):
        published = published_ids(newest[1], last) if newest and last else []
        camera.objects.restore(state_after(told["state"], published), camera.now_s)
    return camera


def set_mode(camera: Camera, mode: str, now_s: float) -> None:
    """Segment in another mode from now on. Raises `PromptError` for one that is none."""
    camera.objects.set_mode(mode, now_s)
    if mode == "off":
        camera.mover.forget()


def published_ids(slot_u8: np.ndarray[Any, np.dtype[np.uint8]], meta: ResultMeta) -> list[int]:
    """The IDs in a record."""
    ids: list[int] = Tracks.view(meta.count, slot_u8).track_ids.tolist()
    return ids


def state_after(state: dict[str, Any], published: list[int]) -> dict[str, Any]:
    """A predecessor's state, of a moment before its death: no ID that it published since is given out again."""
    own = [object_id + 1 for object_id in published if object_id >= FIRST_OWN_ID]
    return {**state, "next_id": max([int(state.get("next_id", 0)), *own])}


def advance(context: Context, camera: Camera, keyframe_due: Callable[[Camera], None]) -> bool:
    """Work on one record, if there is one, its frame is in reach and the readers of masks have caught up.

    keyframe_due  offline: called between a record's tracks and its masks; its masks are there when it returns
    """
    lease = camera.tracks.lease_next(camera.last_seq)
    if lease is None:
        return False
    with lease:
        meta = ResultMeta.unpack(lease.meta)
        # A predecessor may have published this one and died before it could say so.
        if meta.frame_seq > camera.last_frame_seq:
            if not camera.frames.has_come_to(meta.frame_seq):
                return False
            slot = camera.writer.producer.begin()
            if slot is None:
                return False
            tracks = Tracks.view(meta.count, lease.array(), meta.mask_bytes)
            events = Events.view_at_end(meta.event_count, lease.array())
            # The policy keeps the newest tracks for longer than the lease lasts.
            coasting = tracks.states == TrackState.COASTING
            shown = masked(context, camera, meta, tracks.take(~coasting), keyframe_due)
            shown = with_coasting(camera, shown, tracks.take(coasting))
            written = write_record(camera, shown, events, slot.array())
            meta = replace(
                meta, count=written.count, mask_bytes=written.mask_bytes,
                masks_lost=written.masks_lost + (0 if segments(context, camera) else meta.masks_lost),
            )  # fmt: skip
            meta.pack_into(slot.meta)
            camera.writer.producer.publish(slot)
            camera.writer.notify()
            camera.last_frame_seq, camera.last_meta = meta.frame_seq, meta
            if meta.width and meta.height:
                camera.last_picture = meta
                camera.recent.append((meta.index, meta.frame_seq))
                camera.shown_ids = tuple(each for each in shown.track_ids.tolist() if each)
            count_masks(camera, shown)
    camera.lost += lease.gap
    camera.last_seq = lease.seq
    camera.tracks.acknowledge(lease.seq)
    camera.frames.acknowledge(meta.frame_seq)
    return True


def with_coasting(camera: Camera, shown: Tracks, coasting: Tracks) -> Tracks:
    """The rows that are shown, then the tracks that coast, without masks: what is not seen has no outline."""
    ids = camera.objects.published_ids(coasting.track_ids)
    missing = ~np.isin(ids, shown.track_ids)
    if not missing.any():
        return shown
    rest = replace(coasting, track_ids=ids, masks=None).take(missing)
    return shown.followed_by(rest)


def write_record(camera: Camera, shown: Tracks, events: Events, slot_u8: U8) -> Written:
    """Lay a record out in its slot: objects from its beginning, events, which come from the tracker, at its end."""
    renamed = replace(events, track_ids=camera.objects.published_ids(events.track_ids))
    renamed.write_at_end(slot_u8)
    return shown.write_into(slot_u8[: len(slot_u8) - len(events) * Events.BYTES_PER_EVENT])


def segments(context: Context, camera: Camera) -> bool:
    """Whether masks of this camera are made here, and not by the detector or nobody."""
    return topology.needs_segmenter(context.config, camera.objects.mode)


def masked(
    context: Context, camera: Camera, meta: ResultMeta, tracks: Tracks, keyframe_due: Callable[[Camera], None]
) -> Tracks:
    """What is published for a record. The end of a stream and a notice of frames passed over hold no objects."""
    if meta.flags & (FrameFlag.END_OF_STREAM | FrameFlag.NOTICE):
        return tracks
    objects = camera.objects
    camera.now_s = time_of(context, camera, meta)
    objects.on_tracks(tracks, meta, camera.now_s)
    follow_names(camera)
    if not segments(context, camera):
        rows = objects.objects(tracks)
        return replace(rows, masks=detector_masks(camera, rows, tracks.masks))
    there = move_masks(camera, meta, objects.named(tracks))
    if context.config.offline and meta.index >= camera.next_keyframe:
        camera.next_keyframe = meta.index + context.config.segment.every
        keyframe_due(camera)
    rows = objects.objects(tracks, boxes_of_masks(camera))
    masks = camera.mover.masks(rows.track_ids.tolist()) if there else masks_without_frame(camera, rows, meta)
    shown = replace(rows, masks=filled_up(masks, tracks.masks))
    camera.shown = shown, meta.time_s
    return shown


def time_of(context: Context, camera: Camera, meta: ResultMeta) -> float:
    """The policy's time of a record: that of the clock, and offline that of the source, so that runs are the same."""
    if not context.config.offline:
        return context.clock.now_ns() / 1e9
    before = camera.last_meta
    step_s = 0.0 if before is None else meta.time_s - before.time_s
    return camera.now_s + min(max(step_s, 0.0), LONGEST_STEP_S)


def follow_names(camera: Camera) -> None:
    """Have the mover call tracks that turned out to be another object by its ID; the mask that there is stays."""
    for before, now in camera.objects.drain_renamed():
        has_mask = camera.mover.masks([before, now]).present().tolist()
        if has_mask == [False, True]:
            camera.mover.remove(before)
        else:
            camera.mover.rename(before, now)
    for object_id in camera.objects.drain_gone():
        camera.mover.remove(object_id)


def move_masks(camera: Camera, meta: ResultMeta, named: Tracks) -> bool:
    """Move the camera's masks to this frame; False where it is gone."""
    lease = camera.frames.lease(meta.frame_seq)
    if lease is None:
        camera.frames_gone += 1
        return False
    with lease:
        frame = FrameNv12.view(FrameMeta.unpack(lease.meta), lease.array())
        camera.mover.advance(frame, meta.time_s, named)
        del frame
    return True


def boxes_of_masks(camera: Camera) -> dict[int, F32]:
    """Where the objects are that no track stands for, by ID."""
    alone = camera.objects.alone_ids()
    masks = camera.mover.masks(alone)
    there = masks.present().tolist()
    return {each: masks.rects_xyxy[row] for row, each in enumerate(alone) if there[row]}


def masks_without_frame(camera: Camera, rows: Tracks, meta: ResultMeta) -> Masks:
    """The masks that were published last, moved with their boxes."""
    if camera.shown is None:
        return Masks.none(len(rows))
    before, time_s = camera.shown
    return moved_by_box(before, rows, 1e3 * (meta.time_s - time_s))


def detector_masks(camera: Camera, rows: Tracks, masks: Masks | None) -> Masks | None:
    """The masks that came with the detections: all where nothing is segmented, else those of the objects that are."""
    if masks is None or camera.objects.mode == "off":
        return masks
    wanted = np.isin(rows.track_ids, list(camera.objects.object_ids()))
    return masks if wanted.all() else only(masks, wanted)


def count_masks(camera: Camera, shown: Tracks) -> None:
    """Take down how old the masks of a record are."""
    if shown.masks is None or not shown.masks.present().any():
        return
    camera.masked.tick()
    for age_ms in shown.masks.ages_ms[shown.masks.present()].tolist():
        camera.age.add(age_ms)


def begin_keyframe(camera: Camera, job: KeyframeJob) -> FrameNv12 | None:
    """Take hold of the frame of a job, which is the one that was shown last; None where it is gone."""
    lease = camera.frames.lease(job.frame_seq)
    if lease is None:
        return None
    meta = FrameMeta.unpack(lease.meta)
    camera.keyframe = Keyframe(job, lease, meta.captured_ns)
    camera.mover.anchor(job.frame_seq)
    return FrameNv12.view(meta, lease.array())


def end_keyframe(camera: Camera, result: KeyframeResult | None, now_ns: int) -> None:
    """A job is over: give its frame back and take its masks over, or have its objects asked for again."""
    keyframe, camera.keyframe = camera.keyframe, None
    assert keyframe is not None, "no keyframe was under way"
    if keyframe.lease is not None:
        keyframe.lease.release()
    seq = keyframe.job.frame_seq
    if result is None:
        camera.objects.cancel(keyframe.job, camera.now_s)
    else:
        answer = camera.objects.on_result(result, camera.now_s)
        for object_id in answer.hide:
            camera.mover.remove(object_id)
        for mask in answer.place:
            camera.mover.place(mask.object_id, mask.grid, mask.rect_xyxy, seq, mask.confidence, mask.source)
        if keyframe.lease is not None:
            camera.keyframes.tick()
            camera.lag.add((now_ns - keyframe.captured_ns) / 1e6)
    camera.mover.release(seq)
    for object_id in camera.objects.drain_gone():
        camera.mover.remove(object_id)


def told_of(camera: Camera, cameras: int = 1) -> dict[str, Any]:
    """What the worker's status says of this camera, one of so many; `state` is for a successor.

    A status has a fixed size: with many cameras fewer old names of tracks are handed on.
    """
    state, kept = camera.objects.state(), max(1, NAMES_IN_STATUS // cameras)
    state = {**state, "names": state["names"][-kept:], "declined": state["declined"][-kept:]}
    return {
        **camera.objects.to_dict(),
        "masked_fps": camera.masked.per_second(),
        "keyframe_fps": camera.keyframes.per_second(),
        "mask_age": camera.age.to_dict(),
        "mask_lag": camera.lag.to_dict(),
        "events": dict(camera.event_counts),
        "frames_gone": camera.frames_gone,
        "state": state,
    }
