"""Scores of trackers as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.mot_scores import MotScore, overall

HEADS = (
    "sequence", "tracker", "MOTA", "IDF1", "HOTA", "DetA", "AssA", "IDSW", "FP", "FN", "ids", "people", "fps",
)  # fmt: skip
_LEFT = 2
"""So many columns are words."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The score of one tracker on one sequence, and the seconds that each of its updates took; none for a file."""

    tracker: str
    score: MotScore
    update_s: NDArray[np.float64]

    @property
    def fps(self) -> float | None:
        """Updates a second: association, camera motion and whatever else it does, without detector and decoder."""
        return len(self.update_s) / float(self.update_s.sum()) if self.update_s.any() else None


def together(scored: Sequence[Scored]) -> list[Scored]:
    """For each tracker the score over all sequences, in the order in which trackers came."""
    found = []
    for tracker in dict.fromkeys(each.tracker for each in scored):
        own = [each for each in scored if each.tracker == tracker]
        times = np.concatenate([each.update_s for each in own])
        found.append(Scored(tracker, overall([each.score for each in own]), times))
    return found


def as_table(scored: Sequence[Scored]) -> str:
    """A line for each tracker on each sequence, then one for each overall where there are several sequences."""
    rows = [HEADS, *(_cells(each) for each in scored)]
    if len({each.score.sequence for each in scored}) > 1:
        rows += [_cells(each) for each in together(scored)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < _LEFT else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def as_json(scored: Sequence[Scored]) -> dict[str, Any]:
    """Shares from 0 to 1; `hota` is null where TrackEval is missing, `fps` for a result that was there already."""
    return {
        "sequences": [_values(each) for each in scored],
        "overall": [_values(each) for each in together(scored)],
        "mean": [_means(scored, each.tracker) for each in together(scored)],
    }


def _cells(scored: Scored) -> tuple[str, ...]:
    score, clear = scored.score, scored.score.clear
    shares: list[float | None] = [clear.mota, clear.idf1, None, None, None]
    if score.hota:
        shares[2:] = score.hota.hota, score.hota.det_a, score.hota.ass_a
    counts = (clear.switches, clear.false_positives, clear.misses, score.ids, score.people)
    return (
        score.sequence,
        scored.tracker,
        *("-" if share is None else f"{share:.3f}" for share in shares),
        *map(str, counts),
        "-" if scored.fps is None else f"{scored.fps:.0f}",
    )


def _values(scored: Scored) -> dict[str, Any]:
    score, clear = scored.score, scored.score.clear
    hota = score.hota
    timed = scored.update_s.any()
    p50_ms, p95_ms = np.percentile(scored.update_s * 1000, (50, 95)) if timed else (None, None)
    return {
        "sequence": score.sequence,
        "tracker": scored.tracker,
        "frames": score.frames,
        "mota": round(clear.mota, 6),
        "idf1": round(clear.idf1, 6),
        "hota": round(hota.hota, 6) if hota else None,
        "det_a": round(hota.det_a, 6) if hota else None,
        "ass_a": round(hota.ass_a, 6) if hota else None,
        "switches": clear.switches,
        "false_positives": clear.false_positives,
        "misses": clear.misses,
        "objects": clear.objects,
        "ids": score.ids,
        "people": score.people,
        "left_out": score.left_out,
        "fps": None if scored.fps is None else round(scored.fps, 1),
        "update_ms_p50": None if p50_ms is None else round(float(p50_ms), 4),
        "update_ms_p95": None if p95_ms is None else round(float(p95_ms), 4),
    }


def _means(scored: Sequence[Scored], tracker: str) -> dict[str, Any]:
    """Each sequence counts as much as every other, however long it is."""
    own = [each.score for each in scored if each.tracker == tracker]
    hotas = [score.hota.hota for score in own if score.hota]
    return {
        "tracker": tracker,
        "sequences": len(own),
        "mota": round(float(np.mean([score.clear.mota for score in own])), 6),
        "idf1": round(float(np.mean([score.clear.idf1 for score in own])), 6),
        "hota": round(float(np.mean(hotas)), 6) if len(hotas) == len(own) else None,
    }
