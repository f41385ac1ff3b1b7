"""Settings of segmentation: which masks are wanted, by what they are made, and what they may cost."""

from __future__ import annotations

from dataclasses import dataclass

from engine.config.values import setting

SEGMENT_MODES = ("off", "boxes", "track", "prompt", "auto")
DETECTOR_AS_SEGMENTER = "detector"
"""Value of `segment.model` with which the detector's own masks are used: there is no memory, and no prompt."""


@dataclass(frozen=True, slots=True)
class SegmentConfig:
    """Masks by SAM2 or by a segmenting detector, beside detection and tracking and never in their way."""

    mode: str = setting(
        "off",
        "what is segmented: `off`; `boxes` = every tracked box, no memory; `track` = objects with a memory, seeded "
        "by tracks and prompts; `prompt` = only what somebody points at; `auto` = everything in the picture",
        choices=SEGMENT_MODES,
        flag="--segment",
    )
    model: str = setting(
        "edgetam_512",
        "name of a segmenter in the models folder or of the embedded one (`nano_sam`), path of its folder, or "
        "`detector` for the masks that the detector itself gives (mode `boxes`); EdgeTAM is the cheapest with a memory "
        "that others have trained",
        flag="--segment-model",
    )
    backends: tuple[str, ...] = setting(
        ("ort-cpu",), "what may run the segmenter, best first, as in `infer.backends`"
    )
    standby: bool = setting(
        False, "start the stage although every camera is off, so that a mode can be switched on while it runs"
    )
    threads: int = setting(
        0,
        "threads of the segmenter; 0 = all cores, at the lowest priority, so that detection goes first",
        unit="threads",
        bounds=(0, 256),
    )
    latency_ms: float = setting(
        1000.0,
        "how old a mask may grow before its object is refreshed: fewer objects are refreshed at a time, and masks "
        "are reported as late, where the device cannot keep it",
        unit="ms",
        bounds=(10.0, 60000.0),
    )
    every: int = setting(
        5,
        "offline: every so many frames are segmented, those between get their masks moved; live the budget decides",
        unit="frames",
        bounds=(1, 1000),
    )
    max_objects: int = setting(
        32,
        "objects of all cameras that have a memory; the one that nobody protects and that was seen least recently "
        "gives way",
        unit="objects",
        bounds=(1, 1024),
    )
    lost_s: float = setting(
        30.0,
        "how long an object that is out of sight keeps its memory, to be found again",
        unit="s",
        bounds=(0.0, 86400.0),
    )
    classes: tuple[str, ...] = setting((), "labels whose tracks are segmented; empty = all")
    motion_aware: bool = setting(
        False,
        "choose among the segmenter's candidate masks the one that agrees with the object's motion (Kalman filter), "
        "and remember only frames that do",
    )
    freeze_iou: float = setting(
        0.5,
        "predicted IoU below which a frame is not taken into an object's memory",
        unit="IoU",
        bounds=(0.0, 1.0),
    )
    grid: int = setting(
        16,
        "mode `auto`: points along each side of the grid of prompts",
        unit="points",
        bounds=(1, 64),
    )
