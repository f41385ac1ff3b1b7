"""DETR and what came of it, as logits and boxes of every query: Hugging Face exports and RF-DETR.

Hugging Face: outputs logits (N, Q, classes) and pred_boxes (N, Q, 4). RF-DETR: outputs labels (N, Q, classes),
which are logits, and dets (N, Q, 4). Boxes are centre and size as parts of the input's sides; the picture is
stretched to the input.

Models trained with a focal loss (RT-DETR, D-FINE, Deformable DETR, RF-DETR) have a score of its own for each
class; those with cross entropy (DETR, YOLOS) share the scores out, with a last class for "nothing". RT-DETR and
D-FINE want RGB 0..1, the others mean and deviation of ImageNet.

Facts: huggingface.co/docs/transformers (post_process_object_detection of each family) and the
`preprocessor_config.json` of PekingU/rtdetr_r50vd_coco_o365, tiny-random-DFineForObjectDetection and of DETR models
(DetrImageProcessor); roboflow/rf-detr, decode, preprocess and metadata of src/rfdetr/export/_runtime.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from engine.models.heads.base import RGB_0_TO_1, Candidates, Graph, Head, labels_for
from engine.models.heads.labels import coco_by_category
from engine.models.heads.queries import IMAGENET, best_pairs, sigmoid, softmax_without_last
from engine.types import F32
from kernels.letterbox import Fit

_COCO_CATEGORIES = 91
"""Classes of models whose class numbers are COCO's category numbers."""


class HuggingFaceDetr(Head, order=13):
    """logits and pred_boxes."""

    layout = "Hugging Face DETR, RT-DETR, D-FINE logits (N, Q, classes) + pred_boxes (N, Q, 4)"
    fit = Fit.STRETCH
    needs_nms = False

    def __init__(self, graph: Graph, positions: tuple[int, int], *, background: bool) -> None:
        self._logits, self._boxes = positions
        self._input_wh, self._background = graph.input_wh, background
        classes = graph.shapes[self._logits][2] - background
        self.labels = _labels(graph, classes)
        plain = not background and classes != _COCO_CATEGORIES
        self.pixels = RGB_0_TO_1 if plain else IMAGENET
        self.note = (
            f"pixels taken to be {'0..1' if plain else 'normalised as for ImageNet'}, which the file does not say; "
            f"{'a' if background else 'no'} class for nothing"
        )

    @classmethod
    def recognise(cls, graph: Graph) -> Head | None:
        positions = _pair(graph, "logits", "pred_boxes")
        return cls(graph, positions, background=_has_background(graph, positions[0])) if positions else None

    def decode(self, outputs: Sequence[F32], index: int, confidence: float) -> Candidates:
        logits = outputs[self._logits][index]
        scores = softmax_without_last(logits) if self._background else sigmoid(logits)
        return best_pairs(scores, outputs[self._boxes][index], self._input_wh, confidence)


class RfDetr(Head, order=14):
    """dets and labels; the last class is unused in models that were not trained on COCO's category numbers."""

    layout = "RF-DETR dets (N, Q, 4) + labels (N, Q, classes)"
    fit = Fit.STRETCH
    pixels = IMAGENET
    needs_nms = False
    spare_classes = 1

    def __init__(self, graph: Graph, positions: tuple[int, int]) -> None:
        self._logits, self._boxes = positions
        self._input_wh = graph.input_wh
        classes = graph.shapes[self._logits][2]
        self.labels = _exported_names(graph, classes) or _labels(graph, classes)
        self.note = "masks: ignored (one picture per query)" if graph.output("masks") >= 0 else ""

    @classmethod
    def recognise(cls, graph: Graph) -> Head | None:
        positions = _pair(graph, "labels", "dets")
        return cls(graph, positions) if positions else None

    def decode(self, outputs: Sequence[F32], index: int, confidence: float) -> Candidates:
        return best_pairs(
            sigmoid(outputs[self._logits][index]), outputs[self._boxes][index], self._input_wh, confidence
        )


def _pair(graph: Graph, logits_name: str, boxes_name: str) -> tuple[int, int] | None:
    """Where logits (N, Q, classes) and boxes (N, Q, 4) are, or None."""
    logits, boxes = graph.output(logits_name), graph.output(boxes_name)
    if min(logits, boxes) < 0:
        return None
    scored, placed = graph.shapes[logits], graph.shapes[boxes]
    fits = len(scored) == len(placed) == 3 and scored[1] == placed[1] and placed[2] == 4 and scored[2] > 0
    return (logits, boxes) if fits else None


def _labels(graph: Graph, classes: int) -> tuple[str, ...]:
    if classes == _COCO_CATEGORIES and len(graph.names) != classes:
        return coco_by_category()
    return labels_for(graph, classes)


def _has_background(graph: Graph, logits: int) -> bool:
    """Whether the last class stands for "nothing".

    Told by the number of names; else by the empty picture, for which such a model says "nothing" in almost every
    query, with a logit above 0, while a focal loss teaches every logit to be far below 0.
    """
    classes = graph.shapes[logits][2]
    if classes < 2 or len(graph.names) == classes:
        return False
    if len(graph.names) == classes - 1:
        return True
    if not graph.examples:
        return classes == _COCO_CATEGORIES + 1
    scores = graph.examples[logits][0]
    nothing = (scores.argmax(axis=1) == classes - 1) & (scores[:, -1] > 0)
    return bool(np.count_nonzero(nothing) > 0.8 * len(scores))


def _exported_names(graph: Graph, classes: int) -> tuple[str, ...]:
    """Names by class number that newer RF-DETR exporters leave as JSON; empty where there are none."""
    try:
        described = json.loads(graph.metadata.get("rfdetr_inference", "null"))
    except ValueError:
        return ()
    names = described.get("class_id_to_name") if isinstance(described, dict) else None
    if not isinstance(names, dict) or not names:
        return ()
    return tuple(str(names.get(str(number), f"class_{number}")) for number in range(classes))
