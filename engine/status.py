"""The state of a run as one plain dictionary, made from pools and workers' snapshots.

Frame accounting needs no counters of its own: sequence numbers have no holes, so a pool's newest number is the
count of frames that came in, and the newest result tells which frame it spoke of and what was passed over.
For every camera, at every moment: frames_in = frames_processed + frames_pending + Σ dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine import __version__
from engine.control.status import (
    CameraSegmentation,
    CameraStatus,
    ChoiceStatus,
    EngineStatus,
    IdentityStatus,
    InferenceStatus,
    LatencySummary,
    ProcessStatus,
    PtzStatus,
    ReidStatus,
    SegmentationStatus,
    degraded_lines,
)
from engine.control.status_receivers import BusStatus, PublishStatus
from engine.metrics import LatencyDict, LatencyHistogram
from engine.status_events import events_status, streams_status, viewers_status
from engine.status_video import video_lost, video_status
from engine.topology import publishes, segment_mode
from engine.types import FrameFlag, FrameMeta, ResultMeta

if TYPE_CHECKING:
    from engine.supervisor import CameraRun, Supervisor

DROP_REASONS = ("superseded", "rate", "stale", "empty", "restart", "stopped")
BAD_CAMERA_STATES = ("reconnecting", "unauthorized", "failed")


def status_of_run(run: Supervisor, now_ns: int) -> EngineStatus:
    """Everything `/health`, `/metrics`, the table and the summary show."""
    cameras = {name: camera_status(run, camera) for name, camera in run.cameras.items()}
    processes = {name: process_status(run, name, now_ns) for name in run.processes}
    reasons = [*degraded_lines(run.models.values())]
    for name, camera in cameras.items():
        if camera["state"] in BAD_CAMERA_STATES:
            reasons.append(f"camera {name}: {camera['state']}: {camera['reason']}")
    for name, process in processes.items():
        said_by_camera = process["kind"] == "decode" and process["state"] == "failed"
        if process["state"] in ("backoff", "failed") and not said_by_camera:
            reasons.append(f"process {name}: {process['state']}: {process['detail']}")
    for process_run in run.processes.values():
        reasons += process_run.snapshot.get("degraded", ())
    # A decoder that failed has lost one camera; without any other worker the run cannot go on.
    seeing = not cameras or any(camera["state"] not in BAD_CAMERA_STATES for camera in cameras.values())
    working = seeing and not any(
        process["state"] == "failed" and process["kind"] != "decode" for process in processes.values()
    )
    return {
        "status": ("degraded" if reasons else "ok") if working else "failing",
        "reasons": reasons,
        "version": __version__,
        "started_wall_s": run.started_wall_ns / 1e9,
        "uptime_s": (now_ns - run.started_ns) / 1e9,
        "run": {
            "profile": run.config.profile,
            "model": str(run.processes["infer"].snapshot.get("model", run.plan.model)),
            "offline": run.config.offline,
            "models": run.models,
        },
        "processes": processes,
        "inference": inference_status(run),
        "reid": reid_status(run),
        "identity": identity_status(run),
        "segmentation": segmentation_status(run),
        "ptz": ptz_status(run),
        "bus": bus_status(run),
        "publish": publish_status(run),
        "viewers": viewers_status(snapshot_of(run, "control")),
        "streams": streams_status(run.processes["control"].snapshot if "control" in run.processes else {}),
        "cameras": cameras,
    }


def inference_status(run: Supervisor) -> InferenceStatus:
    """The detector and its batches, as the inference process tells of them; zeros before it does."""
    told: dict[str, Any] = run.processes["infer"].snapshot.get("inference", {})
    choices: list[ChoiceStatus] = told.get("choices", [])
    return {
        "lanes": int(told.get("lanes", 0)),
        "calls": int(told.get("calls", 0)),
        "batch": int(told.get("batch", 0)),
        "collect": str(told.get("collect", run.config.infer.collect)),
        "choices": choices,
        "degraded": [*run.processes["infer"].snapshot.get("degraded", ())],
        "live_cameras": int(told.get("live_cameras", 0)),
        "queue_depth": int(told.get("queue_depth", 0)),
        "window_ms": told.get("window_ms"),
        "batches": int(told.get("batches", 0)),
        "frames": int(told.get("frames", 0)),
        "prepared_ahead": int(told.get("ahead", 0)),
        "batch_frames": told.get("batch_frames"),
        "occupancy": told.get("occupancy"),
        "discarded_boxes": int(told.get("discarded_boxes", 0)),
    }


def identity_status(run: Supervisor) -> IdentityStatus | None:
    """Those who are remembered, as the tracking process tells of them; None where nobody can be recognised."""
    if not run.config.reid.enabled:
        return None
    snapshot = run.processes["track"].snapshot
    told: dict[str, Any] = snapshot.get("identity", {})
    counts: dict[str, int] = told.get("counts", {})

    def by_reason(what: str) -> dict[str, int]:
        return {
            name.partition(":")[2]: n for name, n in sorted(counts.items()) if name.startswith(f"{what}:")
        }

    return {
        "scope": str(told.get("scope", run.config.identity.scope)),
        "known": int(told.get("known", 0)),
        "looks": int(told.get("looks", 0)),
        "recognised": counts.get("recognised", 0),
        "new": counts.get("new", 0),
        "refused": by_reason("refused"),
        "forgotten": by_reason("forgotten"),
        "threshold": told.get("threshold"),
        "search_ms": summary_of_latency(told.get("search")),
        "exact": bool(told.get("exact", True)),
        "file": str(told.get("file", "off")),
        "saved": int(told.get("saved", 0)),
        "degraded": [*snapshot.get("degraded", ())],
    }


def reid_status(run: Supervisor) -> ReidStatus | None:
    """The re-identification network, as the inference process tells of it; zeros before it does, None without one."""
    reid = run.config.reid
    if not reid.enabled:
        return None
    told: dict[str, Any] = run.processes["infer"].snapshot.get("reid", {})
    cameras: dict[str, Any] = told.get("cameras", {})
    return {
        "model": str(told.get("model", "")),
        "dims": int(told.get("dims", 0)),
        "choices": told.get("choices", []),
        "degraded": told.get("degraded", []),
        "crops_per_s": reid.crops_per_s,
        "queue": int(told.get("queue", 0)),
        "calls": int(told.get("calls", 0)),
        "ms_per_crop": told.get("ms_per_crop"),
        "held_ms": summary_of_latency(told.get("held")),
        "cameras": {
            camera: cameras.get(camera, {"boxes": 0, "embedded": {}, "left_out": {}})
            for camera in run.cameras
        },
    }


def segmentation_status(run: Supervisor) -> SegmentationStatus | None:
    """The segmenter, as its process tells of it; zeros before it does, None where there is none."""
    process = run.processes.get("segment")
    if process is None:
        return None
    told: dict[str, Any] = process.snapshot.get("segmentation", {})
    cameras: dict[str, Any] = told.get("cameras", {})
    return {
        "model": str(told.get("model", "")),
        "choices": told.get("choices", []),
        "degraded": [*process.snapshot.get("degraded", ())],
        "lane_busy": float(told.get("lane_busy", 0.0)),
        "keyframes": int(told.get("keyframes", 0)),
        "rows": int(told.get("rows", 0)),
        "rows_per_keyframe": told.get("rows_per_keyframe"),
        "cameras": {
            camera: camera_segmentation(cameras.get(camera, {}), segment_mode(run.config, camera))
            for camera in run.cameras
        },
    }


def ptz_status(run: Supervisor) -> dict[str, PtzStatus] | None:
    """The heads that are steered, as their process tells of them; None where there is none."""
    process = run.processes.get("ptz")
    if process is None:
        return None
    told: dict[str, PtzStatus] = process.snapshot.get("ptz", {})
    return told


def bus_status(run: Supervisor) -> BusStatus | None:
    """The message brokers, as their process tells of them; None where there is none."""
    process = run.processes.get("bus")
    if process is None:
        return None
    told: dict[str, Any] = process.snapshot.get("bus", {})
    return {"brokers": told.get("brokers", {}), "lost": told.get("lost", {})}


def publish_status(run: Supervisor) -> dict[str, PublishStatus] | None:
    """Processed video on its way out, as each camera's process tells of it; None where none is published."""
    if not publishes(run.config):
        return None
    told = {
        camera: run.processes[f"publish:{camera}"].snapshot.get("publish", {})
        for camera in run.cameras
        if f"publish:{camera}" in run.processes
    }
    return {
        camera: {"destinations": each.get("destinations", {}), "lost": int(each.get("lost", 0))}
        for camera, each in told.items()
    }


def camera_segmentation(told: dict[str, Any], first_mode: str) -> CameraSegmentation:
    """One camera's masks."""
    return {
        "mode": str(told.get("mode", first_mode)),
        "objects": int(told.get("objects", 0)),
        "masked_fps": float(told.get("masked_fps", 0.0)),
        "keyframe_fps": float(told.get("keyframe_fps", 0.0)),
        "mask_age_ms": summary_of_latency(told.get("mask_age")),
        "mask_lag_ms": summary_of_latency(told.get("mask_lag")),
        "events": told.get("events", {}),
    }


def process_status(run: Supervisor, name: str, now_ns: int) -> ProcessStatus:
    """One worker process."""
    process = run.processes[name]
    alive = process.pid is not None and process.has_reported()
    return {
        "kind": process.spec.kind,
        "state": process.state,
        "pid": process.pid,
        "restarts": process.restarts,
        "rss_bytes": int(process.snapshot.get("rss_bytes", 0)),
        "cpu_s": process.cpu_s,
        "fds": int(process.snapshot.get("fds", 0)),
        "threads": int(process.snapshot.get("threads", 0)),
        "heartbeat_age_s": process.heartbeat_age_s(now_ns) if alive else None,
        "detail": process.detail,
    }


def camera_status(run: Supervisor, camera: CameraRun) -> CameraStatus:
    """One camera: state, rates, latency and where its frames went."""
    name = camera.name
    decode = run.processes[f"decode:{name}"].snapshot
    results = run.processes["results"].snapshot
    written: dict[str, Any] = results.get("cameras", {}).get(name, {})
    latency: dict[str, Any] = results.get("latency", {}).get(name, {})
    accounts = frame_accounts(run, name)
    state, reason = decode.get("state", "connecting"), decode.get("reason", "")
    if camera.stopped:
        state, reason = "stopped", "somebody has stopped it; it goes on when it is started again"
    elif camera.failed:
        state, reason = "failed", camera.failed
    return {
        "state": state,
        "reason": reason,
        "source": camera.masked_source,
        "width": int(decode.get("width", 0)),
        "height": int(decode.get("height", 0)),
        "fps_in": float(decode.get("fps", 0.0)),
        "fps_inferred": float(run.processes["infer"].snapshot.get("fps", {}).get(name, 0.0)),
        "fps_out": float(written.get("fps", 0.0)),
        "frames_in": accounts.frames_in,
        "frames_processed": accounts.processed,
        "frames_pending": accounts.pending,
        "dropped": accounts.dropped,
        "results_out": int(written.get("written", 0)),
        "results_lost": results_lost(run, name),
        "camera_motion": run.processes["track"].snapshot.get("camera_motion", {}).get(name),
        "events": events_status(run.config, name, run.processes["track"].snapshot),
        "video": video_status(snapshot_of(run, f"stream:{name}")),
        "latency_ms": summary_of_latency(latency.get("total")),
        "latency_histogram": latency,
    }


@dataclass
class FrameAccounts:
    """Where a camera's frames went: `frames_in = processed + pending + Σ dropped`."""

    frames_in: int = 0
    processed: int = 0
    pending: int = 0
    dropped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DROP_REASONS, 0))


def frame_accounts(run: Supervisor, camera: str) -> FrameAccounts:
    """The accounts of a camera, read from its pools.

    superseded  a newer frame was there when inference took one
    rate        the camera's target rate did not ask for it
    stale       too old by the time there was room
    empty       had no pixels
    restart     lost with an inference process that died
    stopped     still waiting when the run ended
    """
    accounts = FrameAccounts()
    frames, results = run.pools.newest(f"frames:{camera}"), run.pools.newest(f"detections:{camera}")
    if frames is None or results is None:
        return accounts
    # Results before frames: what is published meanwhile counts as waiting, and never twice.
    if newest := results.memory.metas_after(results.memory.newest_seq() - 1):
        accounts.processed, newest_result = newest[-1]
        last = ResultMeta.unpack(newest_result)
        accounts.processed -= bool(last.flags & FrameFlag.END_OF_STREAM) + last.notices
        accounts.dropped.update(
            superseded=last.dropped_superseded,
            rate=last.dropped_rate,
            stale=last.dropped_stale,
            empty=last.dropped_empty,
            restart=last.dropped_restart,
        )
    newest_frame = frames.memory.newest_meta()
    accounts.frames_in = frames.memory.newest_seq()
    if newest_frame:
        accounts.frames_in -= bool(FrameMeta.unpack(newest_frame).flags & FrameFlag.END_OF_STREAM)
    waiting = accounts.frames_in - accounts.processed - sum(accounts.dropped.values())
    if run.processes["infer"].state in ("stopped", "failed"):
        accounts.dropped["stopped"] = waiting
    else:
        accounts.pending = waiting
    return accounts


def results_lost(run: Supervisor, camera: str) -> dict[str, dict[str, int]]:
    """Results that did not reach an output, by place (`track`, `segment`, `masks`, `jsonl`, `video`) and reason.

    Without zeros.

    overrun        overwritten before they were read: the reader was too slow, away or waiting for its disk
    output_failed  could not be written
    frame_gone     the frame to draw on had been overwritten
    encoder_failed the video encoder did not work
    slot_full      the masks of so many objects found no room in the slot of their frame's results
    masks_queue_full, masks_failed   the files of masks of so many frames: the disk was too slow, or would not take them
    """
    found: dict[str, dict[str, int]] = {
        stage: {"overrun": int(run.processes[stage].snapshot.get("lost", {}).get(camera, 0))}
        for stage in ("track", "segment")
        if stage in run.processes
    }
    results = run.processes["results"].snapshot.get("cameras", {}).get(camera, {})
    on_disk = results.get("mask_files", {}).get("dropped", {})
    found["masks"] = {"slot_full": int(results.get("masks_lost", 0)), **on_disk}
    found["jsonl"] = results.get("dropped", {})
    found["video"] = video_lost(snapshot_of(run, f"stream:{camera}"), camera)
    counts = {
        place: {reason: count for reason, count in by_reason.items() if count}
        for place, by_reason in found.items()
    }
    return {place: by_reason for place, by_reason in counts.items() if by_reason}


def snapshot_of(run: Supervisor, worker: str) -> dict[str, Any]:
    """What a worker has told last; nothing where there is none."""
    return run.processes[worker].snapshot if worker in run.processes else {}


def summary_of_latency(histogram: LatencyDict | None) -> LatencySummary:
    """p50 and p95 of a histogram's dictionary."""
    if histogram is None:
        return {"p50": None, "p95": None}
    restored = LatencyHistogram.from_dict(histogram)
    return {"p50": restored.p50_ms, "p95": restored.p95_ms}
