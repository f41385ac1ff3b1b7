"""Results in order, each once, into an output: what the workers that write results have in common.

Joins each result to its frame by sequence number where the output wants that. Skips nothing that is there and counts
what is not. Knows pools and outputs; does not know what is written.
"""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from engine.errors import OutputError
from engine.metrics import LatencyHistogram, RateMeter
from engine.outputs.base import LATENCY_STAGES, FrameResult, Output
from engine.topology import pool_of_outputs
from engine.types import Events, FrameFlag, FrameMeta, FrameNv12, ResultMeta, Tracks
from engine.workers.feed import Feed
from engine.workers.runtime import Context
from ipc.pool import Lease

RETRY_INTERVAL_S = 2.0


@dataclass
class Camera:
    """One camera at the end of the pipeline.

    last_seq, last_index  newest result taken over, and the frame number it spoke of
    dropped               results that were not written, by reason
    masks_lost            masks of written results that had found no room in a slot
    trouble               why nothing can be written at present, "" while it can
    retry_at_ns           a live output that failed is tried again then
    """

    name: str
    tracks: Feed
    frames: Feed
    output: Output
    rate: RateMeter
    last_seq: int = 0
    last_index: int = -1
    written: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    masks_lost: int = 0
    trouble: str = ""
    retry_at_ns: int = 0
    latency: dict[str, LatencyHistogram] = field(
        default_factory=lambda: {stage: LatencyHistogram() for stage in LATENCY_STAGES}
    )


def open_camera(context: Context, name: str, output: Output, last_index: int = -1) -> Camera:
    """Go on behind what a killed predecessor has written; `last_index` is the last frame that is known to be."""
    tracks = context.feeds[pool_of_outputs(context.config, name)]
    camera = Camera(
        name=name,
        tracks=tracks,
        frames=context.feeds.setdefault(f"frames:{name}", Feed()),
        output=output,
        rate=RateMeter(context.clock),
        last_seq=tracks.acknowledged(),
        last_index=last_index,
    )
    told = context.before.get("cameras", {}).get(name, {})
    # What was acknowledged after the last status was written as well, if all went well.
    camera.written = told.get("written", 0) + camera.last_seq - told.get("last_seq", 0)
    camera.dropped.update(told.get("dropped", {}))
    camera.masks_lost = told.get("masks_lost", 0)
    for stage, counts in context.before.get("latency", {}).get(name, {}).items():
        camera.latency[stage] = LatencyHistogram.from_dict(counts)
    return camera


def advance(context: Context, camera: Camera) -> bool:
    """Write one result if there is one, and the pool of its frame has been announced where it is needed."""
    if context.clock.now_ns() < camera.retry_at_ns and not context.stopping:
        return False
    lease = camera.tracks.lease_next(camera.last_seq)
    if lease is None:
        return False
    with lease:
        meta = ResultMeta.unpack(lease.meta)
        if camera.output.needs_frame and not camera.frames.has_come_to(meta.frame_seq):
            return False
        camera.dropped["overrun"] += lease.gap
        if meta.flags & FrameFlag.END_OF_STREAM:
            end_camera(context, camera)
        elif meta.flags & FrameFlag.NOTICE:
            pass  # nothing was found because nothing was looked at
        elif meta.index > camera.last_index:
            write(context, camera, meta, lease)
        else:
            camera.written += 1  # by a predecessor, who died before it could say so
    camera.last_seq = lease.seq
    camera.tracks.acknowledge(lease.seq)
    camera.frames.acknowledge(meta.frame_seq)
    return True


def write(context: Context, camera: Camera, meta: ResultMeta, lease: Lease) -> None:
    """Hand one result, with its frame where wanted, to the output; count it if it cannot be written."""
    result = result_in(context, camera.name, meta, lease, camera.last_index)
    needs_frame = camera.output.needs_frame
    frame = camera.frames.lease(meta.frame_seq) if needs_frame else None
    if frame is None and needs_frame:
        camera.dropped["frame_gone"] += 1
        camera.output.miss(result)
        return
    try:
        with frame or nullcontext():
            picture = FrameNv12.view(FrameMeta.unpack(frame.meta), frame.array()) if frame else None
            camera.output.write(result, picture)
    except OutputError as error:
        failed(context, camera, error)
        return
    if camera.trouble:
        camera.trouble = ""
        context.log("info", f"{camera.name}: written again")
    measure(camera, result)
    count_lost_masks(context, camera, meta)
    camera.last_index = meta.index
    camera.written += 1
    camera.rate.tick()


def result_in(context: Context, name: str, meta: ResultMeta, lease: Lease, last_index: int) -> FrameResult:
    """What a record says, for as long as it is leased; `last_index` is the number of the frame before it."""
    slot_u8 = lease.array()
    tracks = Tracks.view(meta.count, slot_u8, meta.mask_bytes)
    camera = context.regions_of(name, meta.flags)
    return FrameResult(
        camera=name,
        meta=meta,
        tracks=tracks if context.config.output.coasting else tracks.seen(),
        events=Events.view_at_end(meta.event_count, slot_u8),
        labels=context.labels or (),
        emitted_ns=context.clock.now_ns(),
        skipped=meta.index - last_index - 1,
        zones=camera.zones if camera else (),
        lines=camera.lines if camera else (),
        degraded=context.degraded,
    )


def failed(context: Context, camera: Camera, error: OutputError) -> None:
    """Live: say it, count it and try again later. Offline, where every frame counts, the error is the end."""
    if context.config.offline:
        raise error
    context.log("error", f"{camera.name}: {error}")
    camera.trouble = f"{camera.name}: {error}"
    camera.dropped["output_failed"] += 1
    camera.retry_at_ns = context.clock.now_ns() + round(RETRY_INTERVAL_S * 1e9)


def count_lost_masks(context: Context, camera: Camera, meta: ResultMeta) -> None:
    """Count the masks that a full slot has cost this result, and say so the first time."""
    if meta.masks_lost and not camera.masks_lost:
        context.log(
            "warning",
            f"{camera.name}: no room in {context.config.pool.result_slot_kib} KiB for the masks of "
            f"{meta.masks_lost} object(s) in frame {meta.index}; raise pool.result_slot_kib",
        )
    camera.masks_lost += meta.masks_lost


def measure(camera: Camera, result: FrameResult) -> None:
    """Add the result's latency, stage by stage, to the histograms."""
    for stage, span_ms in result.latency_ms().items():
        if span_ms is not None:
            camera.latency[stage].add(span_ms)


def end_camera(context: Context, camera: Camera) -> None:
    """The last frame of a camera is out: finish the file and say so."""
    try:
        camera.output.close()
    except OutputError as error:
        failed(context, camera, error)
    context.send("finished", camera=camera.name)


def report(context: Context, cameras: list[Camera]) -> None:
    """Bring counters, troubles and latency into the status."""
    context.status["degraded"] = [camera.trouble for camera in cameras if camera.trouble]
    before: dict[str, dict[str, Any]] = context.status.get("cameras", {})
    context.status["cameras"] = {
        camera.name: {
            **before.get(camera.name, {}),
            "written": camera.written,
            "last_seq": camera.last_seq,
            "fps": camera.rate.per_second(),
            "dropped": dict(camera.dropped),
            "masks_lost": camera.masks_lost,
        }
        for camera in cameras
    }
    context.status["latency"] = {
        camera.name: {stage: histogram.to_dict() for stage, histogram in camera.latency.items()}
        for camera in cameras
    }
