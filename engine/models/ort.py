"""Detectors in ONNX files, run by ONNX Runtime. The only file that imports it.

Knows sessions, lanes and batches. What outputs mean is the head's; how pixels become input is the kernels'.
"""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from engine.errors import ConfigError, ModelCorrupt, ModelError, ModelNotFound, ModelUnsupported
from engine.models.base import BatchItem, Choice, Detector, DetectorOptions
from engine.models.heads.base import Candidates, Graph, Head, Tensor, parse_size, recognise
from engine.registry import nearest
from engine.types import F32, ColourMatrix, Detections, FrameNv12
from kernels import cpu as kernels
from kernels.buffers import LetterboxBuffers
from kernels.colour import ycbcr_to_rgb
from kernels.letterbox import Letterbox, fit_letterbox

_CPU = "CPUExecutionProvider"
_MOST_CANDIDATES = 1024
"""Boxes that go into non-maximum suppression, whose time grows with their square: 3 ms for this many."""
_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16"}

_DAMAGED = (
    ort_errors.InvalidProtobuf, ort_errors.InvalidArgument, ort_errors.NoModel, UnicodeDecodeError,
)  # fmt: skip
"""What loading a file raises that is no ONNX model, or was one."""
_REFUSED = (
    ort_errors.EPFail, ort_errors.Fail, ort_errors.InvalidGraph, ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)  # fmt: skip
"""What loading a file raises that is sound, but not for this runtime: operators, versions, devices."""


@dataclass(slots=True)
class _Lane:
    """What one concurrent call works with."""

    session: Any
    input_nchw: F32
    half_nchw: NDArray[np.float16] | None
    buffers: list[LetterboxBuffers]
    discarded: int = 0


class OrtDetector(Detector):
    """Boxes from an ONNX file.

    Lanes of one thread share one session: `run` uses the caller's thread then, and a second session would only
    hold the weights twice (measured: the same throughput). Lanes of several threads need a session each.
    """

    def __init__(self, path: Path, options: DetectorOptions) -> None:
        """Open the file and run it once on an empty picture.

        Raises `ModelNotFound`, `ModelCorrupt`, `ModelUnsupported`, or `ConfigError` for labels that do not fit.
        """
        self._options = options
        available = onnxruntime.get_available_providers()
        session = _open(path, options, usable_providers(("CPUExecutionProvider",), available))
        running = session.get_providers()
        graph = _inspect(session, path)
        self._head = recognise(graph, str(path))
        self.labels = _labels(self._head, options, path)
        self._wanted = np.isin(self.labels, options.classes) if options.classes else None
        self._input, self._input_wh = graph.inputs[0], graph.input_wh
        fixed = self._input.shape[0]
        self._fixed_batch = fixed if isinstance(fixed, int) else 0
        self.batch = max(1, options.batch)
        self.lanes, lanes_choice = choose_lanes(options, running[0])
        self.calls = self.lanes
        self._lanes = [self._new_lane(session)]
        for _ in range(self.lanes - 1):
            own = session if options.threads <= 1 else _open(path, options, running)
            self._lanes.append(self._new_lane(own))
        self._warm_up()
        self.choices = (
            provider_choice(("CPUExecutionProvider",), available, running[0]), lanes_choice, self._batch_choice(),
            Choice("head", self._head.layout, "; ".join(filter(None, (graph.describe(), self._head.note)))),
        )  # fmt: skip
        self.description = (
            f"{path.name}: {self._head.layout}, {len(self.labels)} classes, input {self._input_wh[0]} × "
            f"{self._input_wh[1]} {self._input.dtype}, ONNX Runtime {onnxruntime.__version__} on {running[0]}, "
            f"lanes {self.lanes} of {max(1, options.threads)} thread(s)"
        )

    @property
    def discarded(self) -> int:
        return sum(lane.discarded for lane in self._lanes)

    def infer(self, batch: Sequence[BatchItem], call: int = 0) -> list[Detections]:
        """See `Detector.infer`. Different lanes may be used at the same time, one lane may not."""
        found: list[Detections] = []
        at_once = self._fixed_batch or self.batch
        for first in range(0, len(batch), at_once):
            frames = [item.frame for item in batch[first : first + at_once]]
            found += self._infer_chunk(frames, self._lanes[call])
        return found

    def _infer_chunk(self, frames: list[FrameNv12], lane: _Lane) -> list[Detections]:
        boxes = [self._prepare(frame, lane.buffers[index]) for index, frame in enumerate(frames)]
        # A fixed batch that is not full runs with old pictures in the rest, whose boxes nobody reads.
        count = self._fixed_batch or len(frames)
        outputs = self._run(lane, count)
        found = []
        for index, letterbox in enumerate(boxes):
            candidates = self._head.decode(outputs, index, self._options.confidence)
            candidates, discarded = _drop_senseless(candidates, len(self.labels))
            lane.discarded += discarded
            found.append(self._finish(candidates, letterbox))
        return found

    def _prepare(self, frame: FrameNv12, buffers: LetterboxBuffers) -> Letterbox:
        pixels, meta = self._head.pixels, frame.meta
        height, width = frame.y.shape
        letterbox = fit_letterbox((width, height), self._input_wh, self._head.fit)
        matrix = ycbcr_to_rgb(meta.matrix is ColourMatrix.BT709, meta.full_range, pixels.bgr)
        kernels.nv12_to_input(frame.y, frame.uv, letterbox, matrix, pixels, buffers)
        return letterbox

    def _run(self, lane: _Lane, count: int) -> list[F32]:
        pictures: NDArray[Any] = lane.input_nchw[:count]
        if lane.half_nchw is not None:
            np.copyto(lane.half_nchw[:count], pictures, casting="same_kind")
            pictures = lane.half_nchw[:count]
        outputs = lane.session.run(None, {self._input.name: pictures})
        return [output.astype(np.float32, copy=False) for output in outputs]

    def _finish(self, candidates: Candidates, letterbox: Letterbox) -> Detections:
        """Suppression, the wanted classes, the best of too many, source pixels."""
        boxes, scores, class_ids = candidates.boxes_xyxy, candidates.scores, candidates.class_ids
        if self._wanted is not None:
            chosen = np.flatnonzero(self._wanted[class_ids])
            boxes, scores, class_ids = boxes[chosen], scores[chosen], class_ids[chosen]
        order = np.argsort(-scores, kind="stable")[:_MOST_CANDIDATES]
        if self._head.needs_nms:
            order = order[kernels.nms(boxes[order], scores[order], class_ids[order], self._options.nms_iou)]
        source = kernels.boxes_to_source(boxes[order], letterbox)
        # Boxes that lie in the padding have nothing left after clipping.
        real = (source[:, 2] > source[:, 0]) & (source[:, 3] > source[:, 1])
        found = Detections(source, scores[order], class_ids[order])
        return found.take(np.flatnonzero(real)[: self._options.max_objects])

    def _new_lane(self, session: Any) -> _Lane:
        width, height = self._input_wh
        shape = (self._fixed_batch or self.batch, 3, height, width)
        pictures = np.zeros(shape, np.float32)
        half = np.zeros(shape, np.float16) if self._input.dtype == "float16" else None
        return _Lane(session, pictures, half, [LetterboxBuffers(picture) for picture in pictures])

    def _batch_choice(self) -> Choice:
        if not self._fixed_batch:
            return Choice("batch", str(self.batch), "the file takes any number of frames")
        reason = f"the file is exported for batches of {self._fixed_batch}"
        return Choice("batch", str(self._fixed_batch), reason)

    def _warm_up(self) -> None:
        """Run every session at the size it will be used with, as the first run at a size allocates.

        The first session has run already, with one picture or its fixed batch.
        """
        count = self._fixed_batch or self.batch
        warm = set() if count > 1 and not self._fixed_batch else {id(self._lanes[0].session)}
        for lane in self._lanes:
            if id(lane.session) not in warm:
                self._run(lane, count)
                warm.add(id(lane.session))


def usable_providers(wanted: Sequence[str], available: Sequence[str]) -> list[str]:
    """The wanted execution providers that this build of ONNX Runtime has, the CPU always last."""
    return [*(name for name in wanted if name in available and name != _CPU), _CPU]


def provider_choice(wanted: Sequence[str], available: Sequence[str], running: str) -> Choice:
    """Which execution provider runs, and why it is not the first one wanted."""
    reason = f"wanted: {', '.join(wanted) or 'none'}"
    missing = [name for name in wanted if name not in available]
    if missing:
        reason += f"; this ONNX Runtime has no {', '.join(missing)} (it has {', '.join(available)})"
    refused = [name for name in usable_providers(wanted, available) if name != running][:1]
    if refused and refused[0] != _CPU:
        reason += f"; {refused[0]} could not be initialised"
    return Choice("execution provider", running, reason)


def choose_lanes(options: DetectorOptions, provider: str) -> tuple[int, Choice]:
    """How many calls run side by side."""
    if options.lanes > 0:
        return options.lanes, Choice("lanes", str(options.lanes), "as configured")
    if provider != _CPU:
        return 1, Choice("lanes", "1", f"{provider} runs one call at a time")
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    lanes = max(1, cores // max(1, options.threads))
    return lanes, Choice("lanes", str(lanes), f"{cores} cores, threads per lane: {options.threads}")


def _open(path: Path, options: DetectorOptions, providers: list[str]) -> Any:
    """A session on the file, or the `ModelError` that says why not."""
    if not path.is_file():
        raise ModelNotFound(f"{path}: no such model file; give the path of an ONNX file or a registered name")
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = max(1, options.threads)
    settings.inter_op_num_threads = 1
    # Threads that wait by spinning take the core from decoding and tracking.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        # The package's own fallback prints and hides the reason; ours is below.
        return onnxruntime.InferenceSession(str(path), settings, providers=providers, enable_fallback=0)
    except _DAMAGED as error:
        raise _damaged(path, error) from error
    except _REFUSED as error:
        if providers != [_CPU]:
            return _open(path, options, [_CPU])
        raise ModelUnsupported(f"{path}: ONNX Runtime cannot load it: {_one_line(error)}") from error


def _damaged(path: Path, error: Exception) -> ModelError:
    if zipfile.is_zipfile(path):
        return ModelUnsupported(
            f"{path}: not an ONNX model but a zip archive, as PyTorch writes; export it to ONNX first"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ModelCorrupt(
        f"{path}: not an ONNX model or damaged (sha256 {digest}, {path.stat().st_size} bytes); fetch it again "
        f"with engine-models fetch {path.stem} ({_one_line(error)})"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _inspect(session: Any, path: Path) -> Graph:
    """The graph as heads want it, and the element type of the input. Runs the session once."""
    inputs, outputs = (
        tuple(map(_tensor, tensors)) for tensors in (session.get_inputs(), session.get_outputs())
    )
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    declared = Graph(inputs, outputs, (), (0, 0), metadata)
    if not _takes_pictures(inputs) or any(
        not node.type.startswith("tensor(") for node in session.get_outputs()
    ):
        raise ModelUnsupported(
            f"{path}: a detector has one input [batch, 3, height, width] of float32 or float16. "
            f"Found {declared.describe()}"
        )
    batch, _, height, width = inputs[0].shape
    size_wh = parse_size(metadata.get("imgsz", ""))
    wh = (width if isinstance(width, int) else size_wh[0], height if isinstance(height, int) else size_wh[1])
    picture = np.zeros((batch if isinstance(batch, int) else 1, 3, wh[1], wh[0]), inputs[0].dtype)
    try:
        found = session.run(None, {inputs[0].name: picture})
    except (*_DAMAGED, *_REFUSED) as error:
        raise ModelUnsupported(
            f"{path}: does not run on a picture of {wh[0]} × {wh[1]}: {_one_line(error)}. {declared.describe()}"
        ) from error
    shapes = tuple(tuple(output.shape) for output in found)
    return Graph(inputs, outputs, shapes, wh, metadata)


def _takes_pictures(inputs: tuple[Tensor, ...]) -> bool:
    if len(inputs) != 1 or inputs[0].dtype not in ("float32", "float16") or len(inputs[0].shape) != 4:
        return False
    channels = inputs[0].shape[1]
    return channels == 3 or not isinstance(channels, int)


def _tensor(node: Any) -> Tensor:
    dtype = _DTYPES.get(node.type, node.type.removeprefix("tensor(").removesuffix(")"))
    return Tensor(node.name, dtype, tuple(node.shape))


def _labels(head: Head, options: DetectorOptions, path: Path) -> tuple[str, ...]:
    labels = options.labels or head.labels
    if head.counts_classes and len(labels) != len(head.labels):
        raise ConfigError(
            f"{path}: labels names {len(labels)} classes, but the model has {len(head.labels)}; name them all"
        )
    unknown = [name for name in options.classes if name not in labels]
    if unknown:
        raise ConfigError(
            f"{path}: classes names {unknown[0]!r}, which is not a label of this model"
            f"{nearest(unknown[0], labels)}"
        )
    return labels


def _drop_senseless(candidates: Candidates, classes: int) -> tuple[Candidates, int]:
    """Without the boxes whose numbers are NaN, infinite or of no known class, and how many these were."""
    sound = np.isfinite(candidates.boxes_xyxy).all(axis=1) & np.isfinite(candidates.scores)
    sound &= (candidates.class_ids >= 0) & (candidates.class_ids < classes)
    discarded = len(sound) - int(np.count_nonzero(sound))
    if not discarded:
        return candidates, 0
    kept = Candidates(candidates.boxes_xyxy[sound], candidates.scores[sound], candidates.class_ids[sound])
    return kept, discarded
