"""Whether two runtimes compute the same: raw outputs, and the boxes that the engine makes of them.

Knows arrays and heads; neither torch nor ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.models.base import DetectorOptions
from engine.models.heads.base import Graph, Head, recognise
from engine.models.selection import Selection
from engine.types import F32
from kernels.letterbox import Letterbox
from tools.accuracy import Agreement, at_least

CONFIDENCE = 0.25
"""Boxes from this score on are compared; those just below it may be on either side."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What may differ.

    relative   largest difference of a number, as a share of the output's largest magnitude
    score      largest difference of the scores of a pair of boxes
    iou        least overlap of a pair of boxes
    unmatched  share of boxes that may have no partner: of two classes with nearly the same score either may win
    """

    relative: float
    score: float
    iou: float
    unmatched: float


_MANY = 500
"""Boxes in a picture from which on some may have been left out."""

_SCORE_COLUMN = 4
"""Where rows `left, top, right, bottom, score, class` have the score."""

FLOAT32 = Tolerance(relative=1e-3, score=0.005, iou=0.98, unmatched=0.005)
FLOAT16 = Tolerance(relative=2e-2, score=0.03, iou=0.9, unmatched=0.02)


@dataclass(slots=True)
class OutputDifference:
    """How far an output is from the reference, over all pictures."""

    name: str
    shape: tuple[int, ...] = ()
    largest: float = 0.0
    mean: float = 0.0
    magnitude: float = 0.0
    pictures: int = 0

    def add(self, wanted: F32, found: F32) -> None:
        """Count one picture."""
        difference = np.abs(wanted - found)
        self.shape = wanted.shape
        # A number that is none on one side only is as wrong as can be; on both sides it is the same answer.
        same = np.isnan(wanted) & np.isnan(found)
        difference[same] = 0
        self.largest = max(self.largest, float(np.max(np.nan_to_num(difference, nan=np.inf), initial=0)))
        self.mean += (float(np.mean(np.nan_to_num(difference, nan=np.inf))) - self.mean) / (self.pictures + 1)
        self.magnitude = max(self.magnitude, float(np.max(np.abs(np.nan_to_num(wanted)), initial=0)))
        self.pictures += 1

    @property
    def relative(self) -> float:
        """The largest difference as a share of the largest magnitude."""
        return self.largest / self.magnitude if self.magnitude else self.largest


@dataclass(slots=True)
class Parity:
    """Outputs and boxes of a model in two runtimes, over any number of pictures.

    sorted_rows  the graph sorts its rows by score, so that rows of nearly equal score change places: the scores
                 and the boxes can be compared then, not the rows
    """

    graph: Graph
    sorted_rows: bool = False
    outputs: list[OutputDifference] = field(init=False)
    pictures: int = 0
    boxes: Agreement = field(default_factory=Agreement)
    reverse: Agreement = field(default_factory=Agreement)
    _head: Head | None = field(init=False, default=None)
    _selection: Selection | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.outputs = [OutputDifference(tensor.name) for tensor in self.graph.outputs]

    def read_by(self, head: Head) -> None:
        """Compare boxes too, as this head reads them.

        Nothing is suppressed: of two boxes with the same score either may be dropped, which says nothing.
        """
        options = DetectorOptions(confidence=CONFIDENCE / 2, nms_iou=1.0, max_objects=1024)
        self._head, self._selection = head, Selection(head, head.labels, options)

    def add(
        self, wanted: Sequence[F32], found: Sequence[F32], letterbox: Letterbox, tolerance: Tolerance
    ) -> None:
        """Count one picture: the reference's outputs and those that are judged, each of batch 1."""
        self.pictures += 1
        for difference, reference, judged in zip(self.outputs, wanted, found, strict=True):
            if not self.sorted_rows:
                difference.add(reference, judged)
            elif reference.ndim == 3 and reference.shape[-1] >= _SCORE_COLUMN + 2:
                difference.add(
                    *(-np.sort(-rows[..., _SCORE_COLUMN], axis=-1) for rows in (reference, judged))
                )
        if self._selection is None:
            return
        a, b = (self._selection.detections(outputs, 0, letterbox) for outputs in (wanted, found))
        least = CONFIDENCE
        if max(len(a), len(b)) > _MANY:
            # There may be more than are ever looked at: below the last of these nothing is known.
            least = max(least, float(a.scores.min(initial=1)), float(b.scores.min(initial=1)))
        sure = least + tolerance.score
        self.boxes.add(at_least(a, sure), at_least(b, least), tolerance.iou, tolerance.score)
        self.reverse.add(at_least(b, sure), at_least(a, least), tolerance.iou, tolerance.score)

    def complaints(self, tolerance: Tolerance) -> list[str]:
        """What is out of tolerance, in words."""
        wrong = [
            f"{output.name} differs by {output.relative:.2g} of its largest value, allowed {tolerance.relative:.2g}"
            for output in self.outputs
            if output.pictures and not output.relative <= tolerance.relative
        ]
        if not self.boxes.wanted and not any(output.pictures for output in self.outputs):
            wrong.append("nothing could be compared: no boxes in these pictures; name others with --pictures")
        missing = max(1 - self.boxes.recall, 1 - self.reverse.recall)
        if missing > tolerance.unmatched:
            wrong.append(f"{missing:.1%} of the boxes have no partner, allowed {tolerance.unmatched:.1%}")
        return wrong

    def rows(self) -> list[tuple[str, ...]]:
        """The outputs for a table: name, shape, largest and mean difference, largest magnitude."""
        what = " scores" if self.sorted_rows else ""
        return [
            (
                output.name + what, " × ".join(map(str, output.shape)), f"{output.largest:.3g}",
                f"{output.mean:.3g}", f"{output.magnitude:.4g}",
            )
            for output in self.outputs
            if output.pictures
        ]  # fmt: skip

    def record(self) -> dict[str, object]:
        """All of it for a JSON file."""
        return {
            "outputs": [
                {"name": output.name, "shape": list(output.shape), "largest_difference": output.largest,
                 "mean_difference": output.mean, "largest_magnitude": output.magnitude}
                for output in self.outputs
            ],
            "pictures": self.pictures,
            "boxes": {
                "compared": self._selection is not None, "score_from": CONFIDENCE, "reference": self.boxes.wanted,
                "matched": self.boxes.matched, "mean_iou": self.boxes.mean_iou,
                "largest_score_difference": self.boxes.worst_score_error,
            },
        }  # fmt: skip


def head_of(graph: Graph, where: str) -> Head:
    """The engine's head for a graph; see `engine.models.heads.base.recognise`."""
    return recognise(graph, where)
