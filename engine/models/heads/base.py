"""What a head is, what it is recognised by, and the search for the one that fits a graph."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.errors import ModelUnsupported
from engine.models.heads.labels import default_labels
from engine.registry import import_siblings
from engine.types import F32, I32
from kernels.colour import PixelFormat
from kernels.letterbox import Fit

RGB_0_TO_1 = PixelFormat(scale=(1 / 255, 1 / 255, 1 / 255))
"""Pixels as the Ultralytics families want them."""

DEFAULT_SIZE_WH = (640, 640)
"""Input size in pixels of files that take any size and do not say which."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Name, element type and shape of one input or output; unknown sizes are names or None."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]

    @property
    def channels_last(self) -> bool:
        """Whether these are pictures [batch, height, width, 3] and not [batch, 3, height, width]."""
        return len(self.shape) == 4 and self.shape[3] == 3 and self.shape[1] != 3

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} [{', '.join('?' if n is None else str(n) for n in self.shape)}]"


@dataclass(frozen=True, slots=True)
class Graph:
    """What a head is recognised by.

    inputs, outputs  as declared by the file, the pictures' input first
    shapes           of the outputs of one run on one empty picture, so that no size is unknown
    input_wh         size in pixels of that picture
    metadata         free text that the exporter left in the file
    constants        what the further inputs are fed with in every call, by name: one row, repeated for every
                     picture of the batch (`engine.models.heads.inputs`)
    examples         the outputs of that run for its first picture, float32 (1, …); heads that look alike are
                     told apart by them, so that without them the more common one is taken
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    shapes: tuple[tuple[int, ...], ...]
    input_wh: tuple[int, int]
    metadata: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    examples: tuple[F32, ...] = ()

    @property
    def channels_last(self) -> bool:
        """Whether pictures go in as [batch, height, width, 3] and not as [batch, 3, height, width]."""
        return self.inputs[0].channels_last

    @property
    def one_row(self) -> bool:
        """Whether one row of numbers comes out for each picture, as of networks that compare or classify."""
        return (
            len(self.shapes) == 1 and len(self.shapes[0]) >= 2 and not any(n != 1 for n in self.shapes[0][2:])
        )

    @property
    def ultralytics(self) -> bool:
        """Whether the file says that an Ultralytics exporter wrote it."""
        return self.metadata.get("author") == "Ultralytics" or {"stride", "names"} <= self.metadata.keys()

    @property
    def names(self) -> tuple[str, ...]:
        """Class names from the metadata; empty where there are none that can be read."""
        return parse_names(self.metadata.get("names", ""))

    @property
    def task(self) -> str:
        """What the exporter says the model is for, as `detect`, `segment` or `pose`; empty if it says nothing."""
        return self.metadata.get("task", "")

    @property
    def prototype_channels(self) -> int:
        """Mask coefficients per box of a segmentation graph, 0 for a plain detector."""
        return self.shapes[1][1] if len(self.shapes) == 2 and len(self.shapes[1]) == 4 else 0

    @property
    def keypoint_numbers(self) -> int:
        """Numbers per box that describe keypoints, 0 for models that are not for poses or do not say how many."""
        shape = _literal(self.metadata.get("kpt_shape", "")) if self.task == "pose" else None
        if not isinstance(shape, list | tuple) or len(shape) != 2:
            return 0
        return shape[0] * shape[1] if all(isinstance(size, int) and size > 0 for size in shape) else 0

    def output(self, name: str) -> int:
        """Position of the output of this name, -1 if there is none."""
        return next((index for index, output in enumerate(self.outputs) if output.name == name), -1)

    def input_shape(self, batch: int) -> tuple[int, int, int, int]:
        """The shape of the pictures' input for so many."""
        width, height = self.input_wh
        return (batch, height, width, 3) if self.channels_last else (batch, 3, height, width)

    def cells(self, strides: Sequence[int]) -> int:
        """Grid cells over all levels for a picture of the input's size."""
        width, height = self.input_wh
        # Layers that halve an odd length round up.
        return sum(-(-width // stride) * -(-height // stride) for stride in strides)

    def describe(self) -> str:
        """Inputs and outputs in one line, for messages."""
        inputs, outputs = (", ".join(map(str, tensors)) for tensors in (self.inputs, self.outputs))
        parts = [f"inputs: {inputs or 'none'}", f"outputs: {outputs or 'none'}"]
        parts += [f"task: {self.task}"] if self.task else []
        parts += [f"names: {len(self.names)} classes"] if self.names else []
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes of one picture before non-maximum suppression, in no particular order.

    boxes_xyxy         float32 (n, 4): left, top, right, bottom in input pixels
    scores             float32 (n,)
    class_ids          int32 (n,)
    mask_coefficients  float32 (n, c): shares of the picture's prototypes; None without masks

    Numbers may be NaN or infinite where the model gave such; the caller drops these.
    """

    boxes_xyxy: F32
    scores: F32
    class_ids: I32
    mask_coefficients: F32 | None = None

    def take(self, index: NDArray[np.bool_] | NDArray[np.intp]) -> Candidates:
        """The candidates selected by a mask or an index array."""
        coefficients = self.mask_coefficients
        return Candidates(
            self.boxes_xyxy[index], self.scores[index], self.class_ids[index],
            None if coefficients is None else coefficients[index],
        )  # fmt: skip


class Head(ABC):
    """The outputs of one family of detectors. Subclasses register: `class V8(Head, order=20)`.

    `order` is when it is asked; the strictest recognition comes first.
    """

    heads: ClassVar[list[tuple[int, type[Head]]]] = []
    layout: ClassVar[str] = ""
    """Name and output layout, for the list of known layouts."""
    needs_nms: ClassVar[bool] = True

    fit: Fit = Fit.CENTRED
    pixels: PixelFormat = RGB_0_TO_1
    labels: tuple[str, ...]
    counts_classes: bool = True
    """Whether the graph says how many classes there are; if not, any number of labels may be given."""
    spare_classes: int = 0
    """How many of the last classes the exporter leaves unused, so that given labels may leave them out."""
    note: str = ""
    """What of the outputs is not used, or what had to be assumed, for the log."""

    def __init_subclass__(cls, order: int | None = None) -> None:
        if order is not None:
            Head.heads.append((order, cls))

    @classmethod
    @abstractmethod
    def recognise(cls, graph: Graph) -> Head | None:
        """The head for this graph, or None if it is of another family."""

    @abstractmethod
    def decode(self, outputs: Sequence[F32], index: int, confidence: float) -> Candidates:
        """Boxes with at least `confidence` of picture `index` of a batch; `outputs` as the graph gives them."""

    def prototypes(self, outputs: Sequence[F32], index: int) -> F32 | None:
        """Mask prototypes float32 (c, height, width) of picture `index`, laid over the whole input; None without.

        The mask of a box is where sigmoid(coefficients · prototypes) exceeds 0.5 (YOLACT, arXiv 1904.02689, §3.2).
        """
        return None


_NO_BOXES = {
    "obb": "oriented boxes",
    "classify": "one class for a whole picture",
    "semantic": "one class for each pixel",
    "depth": "distances",
}
"""Tasks of Ultralytics models whose outputs could be taken for boxes, and what they are."""


def recognise(graph: Graph, where: str) -> Head:
    """The head that fits. Raises `ModelUnsupported` with what was found; `where` names the file."""
    import_siblings(__package__)
    if graph.task in _NO_BOXES:
        raise ModelUnsupported(
            f"{where}: a model for the task {graph.task!r} gives {_NO_BOXES[graph.task]}, not boxes along the "
            "picture's edges; use one for detect, segment or pose"
        )
    if graph.one_row:
        raise ModelUnsupported(
            f"{where}: its answer is one row of numbers for each picture, no boxes; a re-identification network "
            f"belongs under reid.model. Found {graph.describe()}"
        )
    if graph.channels_last:
        raise ModelUnsupported(
            f"{where}: detectors take pictures [batch, 3, height, width]; export it so. Found {graph.describe()}"
        )
    ordered = [head for _, head in sorted(Head.heads, key=lambda entry: entry[0])]
    for candidate in ordered:
        head = candidate.recognise(graph)
        if head is not None:
            return head
    known = "; ".join(head.layout for head in ordered)
    raise ModelUnsupported(
        f"{where}: no detector layout that is known. Found {graph.describe()}. Known: {known}"
    )


_MOST_CLASSES = 100_000
"""More is no list of names but a damaged one; the largest sets of classes have some 20 000."""


def parse_names(text: str) -> tuple[str, ...]:
    """Class names from the exporter's Python literal: {0: 'person', …} or ['person', …]; empty if unreadable.

    Numbers that a dictionary leaves out become class_1, class_2, …
    """
    value = _literal(text)
    if isinstance(value, dict):
        numbers = [number for number in value if isinstance(number, int) and 0 <= number < _MOST_CLASSES]
        if not numbers or len(numbers) != len(value):
            return ()
        value = [value.get(number, f"class_{number}") for number in range(max(numbers) + 1)]
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) from the exporter's `[height, width]` or single number; 640 × 640 where it says nothing."""
    value = _literal(text)
    sides = [value] * 2 if isinstance(value, int) else value
    if isinstance(sides, list | tuple) and len(sides) == 2 and all(isinstance(side, int) for side in sides):
        height, width = sides
        if min(sides) > 0:
            return width, height
    return DEFAULT_SIZE_WH


def _literal(text: str) -> object:
    """The Python literal in a text, read as data and never run; None if there is none."""
    try:
        value: object = ast.literal_eval(text) if text else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return value


def labels_for(graph: Graph, count: int) -> tuple[str, ...]:
    """Names of `count` classes: the file's own where they fit, else the usual ones for that many."""
    return graph.names if len(graph.names) == count else default_labels(count)


def centre_to_corners(boxes_cxcywh: F32) -> F32:
    """float32 (n, 4) centre and size as left, top, right, bottom."""
    half = boxes_cxcywh[:, 2:] * np.float32(0.5)
    return np.concatenate([boxes_cxcywh[:, :2] - half, boxes_cxcywh[:, :2] + half], axis=1)


def at_least(scores: F32, confidence: float) -> NDArray[np.intp]:
    """Where a score reaches the confidence or is no number at all (which the caller counts and drops)."""
    return np.flatnonzero(~(scores < np.float32(confidence)))
