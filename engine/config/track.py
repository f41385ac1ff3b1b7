"""Settings of tracking: which tracker gives objects their identity, and what it goes by."""

from __future__ import annotations

from dataclasses import dataclass

from engine.config.values import setting


@dataclass(frozen=True, slots=True)
class TrackConfig:
    """Giving objects their identity."""

    tracker: str = setting(
        "botsort",
        "registered name of the tracker; or one of your own: `file.py:Class`, `a.module:Class` (docs/tracking.md)",
        flag="--tracker",
    )
    camera_motion: str = setting(
        "auto",
        "how the camera's own motion is found: `flow` = sparse optical flow of the background; `ecc` = alignment of "
        "the whole picture; `pose` = from the camera's reported direction alone; `off`; `auto` = the pose where it is "
        "known, refined by flow, otherwise flow",
        choices=("auto", "flow", "ecc", "pose", "off"),
    )
    boxes: str = setting(
        "filtered",
        "boxes of confirmed tracks: `filtered` = what the tracker's filter makes of the last detections, calmer and "
        "nearer to the truth where the detector cuts half-hidden objects short; `detected` = the detector's own",
        choices=("filtered", "detected"),
    )
    appearance: str = setting(
        "colour",
        "what tells people apart beside their place: `colour` = the colours of their clothes, without a network, or "
        "the embeddings of `reid.model` where one is set; `model` = the latter alone; `off` = neither",
        choices=("colour", "model", "off"),
    )
    high_confidence: float = setting(
        0.0,
        "score from which a box may continue any track by nearness; weaker ones only where they overlap it well; 0 = "
        "the tracker's own (`botsort` 0.6). Lower for a detector that is sure of little",
        bounds=(0.0, 1.0),
    )
    start_confidence: float = setting(
        0.0,
        "score from which a box may begin a track; 0 = the tracker's own (`botsort` 0.6)",
        bounds=(0.0, 1.0),
    )
    lost_s: float = setting(
        0.0,
        "how long an object that is not seen keeps its track by its place, but not longer than twice its life; 0 = the "
        "tracker's own (`botsort` 2 s)",
        unit="s",
        bounds=(0.0, 3600.0),
    )
    recall_s: float = setting(
        0.0,
        "how long somebody hidden or away keeps the track where it is known what they look like (`track.appearance`): "
        "after `track.lost_s` only a box that looks so continues it; events say `left` only then. With `reid.model` it "
        "counts for nothing: returns are for `identity.scope`",
        unit="s",
        bounds=(0.0, 3600.0),
    )
    coast_ms: float = setting(
        500.0,
        "how long an object that is not seen is still in the results, `coasting` where it is expected; its track lives "
        "on much longer. Files and pictures show coasting objects only with `output.coasting`",
        unit="ms",
        bounds=(0.0, 60000.0),
    )
