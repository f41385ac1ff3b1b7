"""The score of a rendered run in words and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from engine.evaluation.scene_score import SceneScore, together

FIGURES = ("recall", "precision", "idf1", "mask_iou", "time_in_frame", "masked_fps")


def as_json(scores: Mapping[str, SceneScore]) -> dict[str, Any]:
    """Shares from 0 to 1, null where there was nothing to measure; `overall` and each camera."""

    def figures(score: SceneScore) -> dict[str, Any]:
        values = {name: float(getattr(score, name)) for name in FIGURES}
        return {
            "frames": score.frames,
            "seconds": round(score.seconds, 1),
            **{name: None if math.isnan(value) else round(value, 4) for name, value in values.items()},
            "people": score.required,
            "without_mask": score.masks_missing,
        }

    overall = figures(together(list(scores.values())))
    return {"overall": overall, "cameras": {name: figures(score) for name, score in scores.items()}}


def as_lines(scores: Mapping[str, SceneScore]) -> list[str]:
    """A line for everything, and one for each camera."""
    overall = together(list(scores.values()))
    cameras = {"all cameras": overall, **scores} if len(scores) > 1 else scores
    width = max(map(len, cameras), default=0)
    head = (
        f"score against ground truth ({overall.frames} pictures of the last {overall.seconds:.0f} s, "
        f"{overall.required} people in them):"
    )
    return [head, *(f"  {name:<{width}}  {words_of(score)}" for name, score in cameras.items())]


def words_of(score: SceneScore) -> str:
    """The figures of a score in one line; those that there are none of are left out."""
    parts = [f"recall {_per_cent(score.recall)}", f"precision {_per_cent(score.precision)}"]
    parts.append(f"IDF1 {_per_cent(score.idf1)}")
    if score.masks:
        parts.append(f"mask IoU {score.mask_iou:.2f}")
        if score.masks_missing:
            share = score.masks_missing / (score.masks + score.masks_missing)
            parts[-1] += f" ({_per_cent(share)} without a mask)"
    if score.target_frames:
        parts.append(f"target in frame {_per_cent(score.time_in_frame)} of the time")
    if not math.isnan(score.masked_fps):
        parts.append(f"{score.masked_fps:.1f} frames with masks/s")
    return ", ".join(parts)


def _per_cent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f} %"
