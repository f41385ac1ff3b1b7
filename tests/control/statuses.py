"""A status as a busy run would publish it."""

from __future__ import annotations

from engine.control.status import (
    CameraStatus,
    EngineStatus,
    IdentityStatus,
    InferenceStatus,
    ProcessStatus,
    PtzStatus,
    ReidStatus,
    RenditionStatus,
    SegmentationStatus,
    VideoStatus,
)
from engine.control.status_receivers import BusStatus, PublishStatus
from engine.metrics import LatencyDict, LatencyHistogram


def make_latency(*durations_ms: float) -> LatencyDict:
    histogram = LatencyHistogram()
    for duration_ms in durations_ms:
        histogram.add(duration_ms)
    return histogram.to_dict()


def make_process(kind: str) -> ProcessStatus:
    return {
        "kind": kind,
        "state": "running",
        "pid": 4711,
        "restarts": 2,
        "rss_bytes": 123_456_789,
        "cpu_s": 12.5,
        "fds": 41,
        "threads": 9,
        "heartbeat_age_s": 0.2,
        "detail": "",
    }


def make_inference() -> InferenceStatus:
    return {
        "lanes": 2,
        "calls": 3,
        "batch": 8,
        "collect": "adaptive",
        "choices": [{"what": "backend", "chosen": "ort-cpu", "reason": "as configured"}],
        "degraded": [],
        "live_cameras": 8,
        "queue_depth": 5,
        "window_ms": 62.5,
        "batches": 400,
        "frames": 3000,
        "prepared_ahead": 390,
        "batch_frames": 7.5,
        "occupancy": 0.9375,
        "discarded_boxes": 1,
    }


def make_reid() -> ReidStatus:
    return {
        "model": "osnet_x0_25.onnx",
        "dims": 512,
        "choices": [{"what": "backend", "chosen": "ort-cpu", "reason": "as configured"}],
        "degraded": [],
        "crops_per_s": 60.0,
        "queue": 2,
        "calls": 50,
        "ms_per_crop": 9.5,
        "held_ms": {"p50": 20.0, "p95": None},
        "cameras": {
            "gate": {
                "boxes": 900,
                "embedded": {"new": 30, "ambiguous": 20, "refresh": 40},
                "left_out": {"budget": 3, "frame": 0, "late": 0, "room": 0, "unusable": 1, "failed": 0},
            }
        },
    }


def make_segmentation() -> SegmentationStatus:
    return {
        "model": "edgetam_512",
        "choices": [],
        "degraded": ["masks of gate are late"],
        "lane_busy": 0.75,
        "keyframes": 120,
        "rows": 300,
        "rows_per_keyframe": 2.5,
        "cameras": {
            "gate": {
                "mode": "track",
                "objects": 3,
                "masked_fps": 12.0,
                "keyframe_fps": 4.5,
                "mask_age_ms": {"p50": 120.0, "p95": 300.0},
                "mask_lag_ms": {"p50": 200.0, "p95": None},
                "events": {"added": 4, "lost": 1},
            }
        },
    }


def make_identity() -> IdentityStatus:
    return {
        "scope": "global",
        "known": 12,
        "looks": 30,
        "recognised": 5,
        "new": 9,
        "refused": {"gate": 1, "margin": 2},
        "forgotten": {"command": 1, "ttl": 3},
        "threshold": 0.76,
        "search_ms": {"p50": 0.5, "p95": 2.0},
        "exact": True,
        "file": "restored",
        "saved": 4,
        "degraded": [],
    }


def make_ptz() -> dict[str, PtzStatus]:
    return {
        "gate": {
            "state": "ok",
            "reason": "",
            "device": "DS-2DE7A432IW V5.8.0",
            "choices": ["turns by momentary"],
            "pose": {"pan_deg": 182.5, "tilt_deg": -10.25, "zoom": 2.5},
            "following": "following",
            "policy": "group",
            "target": 7,
            "why": "group of 2, 31 % of the height",
            "counts": {"sent": 40, "renewed": 12, "stops": 3},
            "commands_s": 0.75,
            "moving_s": 61.5,
            "command_latency_ms": 62.0,
            "image_latency_ms": None,
            "watchdog": "watching",
        }
    }


def make_bus() -> BusStatus:
    return {
        "brokers": {
            "mqtt://broker.example:1883/camring": {
                "state": "waiting",
                "reason": "mqtt://broker.example:1883/camring: connection refused",
                "sent": {"events": 120, "state": 60, "status": 3},
                "dropped": {"away": 4},
                "queue": {"state": 2, "events": 7, "results": 0},
                "reconnects": 5,
            }
        },
        "lost": {"gate": 3},
    }


def make_publish() -> dict[str, PublishStatus]:
    return {
        "gate": {
            "destinations": {
                "rtmp://media.example/live/gate": {
                    "state": "waiting",
                    "reason": "refused",
                    "since_s": 4.5,
                    "connections": 3,
                    "reconnects": 2,
                    "packets": 900,
                    "bytes": 4_500_000,
                    "dropped": {"disconnected": 30},
                    "queue": 5,
                    "lag_ms": 120.0,
                }
            },
            "lost": 2,
        }
    }


def make_rendition(encoder: str = "libx264", packets: int = 0) -> RenditionStatus:
    return {
        "encoder": encoder,
        "reason": "h264_nvenc does not open here; libx264 encodes on the CPU",
        "running": packets > 0,
        "trouble": "",
        "watched": packets > 0,
        "published": False,
        "wanted_s": 3.5 if packets else 0.0,
        "packets": packets,
        "frames": packets,
        "keyframes": packets // 50,
        "fps": 25.0 if packets else 0.0,
        "kbps": 1800.5 if packets else 0.0,
        "encode_ms": {"p50": 4.0, "p95": 6.5} if packets else {"p50": None, "p95": None},
        "dropped": {"encoder_behind": 3} if packets else {},
    }


def make_video() -> VideoStatus:
    return {
        "no_signal": False,
        "draw_ms": {"p50": 1.5, "p95": 3.0},
        "renditions": {
            "overlay": make_rendition(packets=480),
            "clean": make_rendition(),
            "overlay_jpeg": make_rendition("opencv", packets=12),
            "clean_jpeg": make_rendition("opencv"),
        },
        "recording": {
            "state": "recording",
            "trouble": "",
            "file": "gate.20270115T120000Z.mp4",
            "frames": 470,
            "deleted": 2,
            "dropped": {"output_failed": 10},
        },
    }


def make_camera() -> CameraStatus:
    return {
        "state": "streaming",
        "reason": "",
        "source": "rtsp://***@camera.example/live",
        "width": 1920,
        "height": 1080,
        "fps_in": 25.0,
        "fps_inferred": 12.25,
        "fps_out": 12.0,
        "frames_in": 1000,
        "frames_processed": 490,
        "frames_pending": 3,
        "dropped": {"superseded": 405, "rate": 90, "stale": 10, "restart": 2},
        "results_out": 489,
        "results_lost": {"jsonl": {"output_failed": 1}, "video": {"frame_gone": 4}},
        "camera_motion": {
            "mode": "auto",
            "frames": 490,
            "moved": 30,
            "untrusted": {"first": 1, "texture": 4},
        },
        "events": {
            "kinds": {"appeared": 12, "count": 5, "crossed": 7, "grouped": 1},
            "lines": {"gate": {"left_to_right": 5, "right_to_left": 2}},
            "zones": {"yard": {"entries": 9, "exits": 6, "dwells": 1, "present": 3}},
            "groups": 1,
            "lost": 4,
        },
        "video": make_video(),
        "latency_ms": {"p50": 80.0, "p95": 120.0},
        "latency_histogram": {
            "infer": make_latency(60.0, 65.0, 70.0),
            "total": make_latency(80.0, 90.0, 200.0, 100_001.0),
        },
    }


def make_status() -> EngineStatus:
    return {
        "status": "ok",
        "reasons": [],
        "version": "1.2.3",
        "started_wall_s": 1_700_000_000.5,
        "uptime_s": 61.5,
        "run": {
            "profile": "m3-cpu",
            "model": "yolov8n.onnx",
            "offline": False,
            "models": {
                "detector": {
                    "asked": "yolov8n",
                    "used": "yolov8n",
                    "reason": "found in the cache",
                    "degraded": "",
                }
            },
        },
        "processes": {"infer": make_process("infer"), "decode:gate": make_process("decode")},
        "inference": make_inference(),
        "reid": make_reid(),
        "identity": make_identity(),
        "segmentation": make_segmentation(),
        "ptz": make_ptz(),
        "bus": make_bus(),
        "publish": make_publish(),
        "viewers": {"watching": {"clean": 3, "overlay": 0}, "skipped": {"behind": 40}},
        "streams": {
            "events": {"clients": 2, "sent": 100, "lost": 3, "dropped": 1},
            "results": {"clients": 0, "sent": 0, "lost": 0, "dropped": 0},
        },
        "cameras": {"gate": make_camera(), 'odd "name"\\': make_camera()},
    }
