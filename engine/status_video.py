"""A camera's video in the status of a run: encoders, who wants them, and the recording, as its stream process tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.control.status import LatencySummary, RecordingStatus, RenditionStatus, VideoStatus
from engine.metrics import LatencyHistogram

NOT_RECORDED = ("output_failed", "encoder_failed")


def video_status(stream: Mapping[str, Any]) -> VideoStatus | None:
    """From the snapshot of `stream:<camera>`; None where there is none, or before it tells, and in offline runs."""
    told: dict[str, Any] = stream.get("video", {})
    if not told:
        return None
    renditions: dict[str, dict[str, Any]] = told["renditions"]
    return {
        "no_signal": bool(told["no_signal"]),
        "draw_ms": _summary(told["draw"]),
        "renditions": {name: _rendition(each) for name, each in renditions.items()},
        "recording": _recording(told["recording"]),
    }


def video_lost(stream: Mapping[str, Any], camera: str) -> dict[str, int]:
    """Results that are not in the camera's video file, by reason; nothing where no file is written."""
    told: dict[str, Any] = stream.get("video", {}).get("recording", {})
    if told.get("state") == "off":
        return {}
    lost: dict[str, int] = dict(stream.get("cameras", {}).get(camera, {}).get("dropped", {}))
    for reason, count in told.get("dropped", {}).items():
        lost[reason] = lost.get(reason, 0) + count
    return lost


def _rendition(told: Mapping[str, Any]) -> RenditionStatus:
    return {
        "encoder": str(told["encoder"]),
        "reason": str(told["reason"]),
        "running": bool(told["running"]),
        "trouble": str(told["trouble"]),
        "watched": bool(told["live"]),
        "published": bool(told["published"]),
        "wanted_s": float(told["wanted_s"]),
        "packets": int(told["number"]),
        "frames": int(told["frames"]),
        "keyframes": int(told["keyframes"]),
        "fps": float(told["fps"]),
        "kbps": float(told["kbps"]),
        "encode_ms": _summary(told["encode"]),
        "dropped": {reason: int(count) for reason, count in told["dropped"].items()},
    }


def _recording(told: Mapping[str, Any]) -> RecordingStatus:
    return {
        "state": told["state"],
        "trouble": str(told.get("trouble", "")),
        "file": str(told.get("file", "")),
        "frames": int(told.get("frames", 0)),
        "deleted": int(told.get("deleted", 0)),
        "dropped": {reason: int(count) for reason, count in told.get("dropped", {}).items()},
    }


def _summary(histogram: Any) -> LatencySummary:
    restored = LatencyHistogram.from_dict(histogram)
    return {"p50": restored.p50_ms, "p95": restored.p95_ms}
