"""nano-det as an ONNX file: normalisation folded into the convolutions, weights kept in 16 bits, compared with torch.

The file computes in float32: each weight is stored as float16 behind a cast that a runtime carries out when it loads
the file. Knows graphs; nothing of training.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from engine.errors import ModelUnsupported
from engine.types import F32
from tools import onnx_graph
from tools.command_line import needs
from tools.nano.detector import INPUT_WH, NAMES, Decoded, NanoDetector

with needs("export"):
    import onnx
    from onnx import helper, numpy_helper

OPSET = 17
LICENCE = "Apache-2.0"
MOST_PIXELS, MOST_SCORE = 0.5, 0.01
"""Largest differences of the file from torch in float32: pixels of a box's side, score. Weights have lost bits."""
_LEAST_SCORE = 0.05
"""Boxes of cells that see nobody are nobody's; they are not compared."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A file, and how far it is from torch on some pictures: in pixels where a score says something, and in score."""

    content: bytes
    pixels: float
    score: float

    @property
    def sound(self) -> bool:
        """Whether the file may be used."""
        return self.pixels <= MOST_PIXELS and self.score <= MOST_SCORE


def export(network: NanoDetector, pictures: F32, description: str) -> Exported:
    """The file for any number of pictures at once; compared on float32 (n, 3, height, width), RGB 0..1.

    Raises `ModelUnsupported` where torch cannot export, or the runtime not run the result.
    """
    decoded = Decoded(network.eval().float().to(memory_format=torch.contiguous_format)).eval()
    model = with_half_weights(onnx_graph.slim(_graph(decoded)))
    onnx_graph.set_metadata(model, _metadata(description))
    content = onnx_graph.to_bytes(model, "nano_det")
    with torch.no_grad():
        wanted: F32 = decoded(torch.from_numpy(pictures)).numpy()
    found = _answers(content, pictures)
    certain = wanted[:, 4] >= _LEAST_SCORE
    apart = np.abs(found - wanted)
    pixels = float(np.moveaxis(apart[:, :4], 1, 2)[certain].max(initial=0.0))
    return Exported(content, pixels, float(apart[:, 4].max()))


def with_half_weights(model: Any) -> Any:
    """The same model with every large float32 initialiser stored in float16 behind a Cast."""
    casts = []
    for tensor in list(model.graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.ndim < 4:
            # Biases and places of cells are few, and places have more digits than sixteen bits hold.
            continue
        name = f"{tensor.name}_half"
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), name))
        casts.append(
            helper.make_node("Cast", [name], [tensor.name], f"{tensor.name}_cast", to=onnx.TensorProto.FLOAT)
        )
        model.graph.initializer.remove(tensor)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
    return model


def _metadata(description: str) -> dict[str, str]:
    width, height = INPUT_WH
    return {
        "description": description, "licence": LICENCE, "task": "detect", "stride": "32",
        "names": repr(dict(enumerate(NAMES))), "imgsz": f"[{height}, {width}]",
    }  # fmt: skip


def _graph(decoded: Decoded) -> Any:
    width, height = INPUT_WH
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    written = io.BytesIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                decoded, (torch.zeros(1, 3, height, width),), written, input_names=["images"],
                output_names=["output0"], dynamo=False, opset_version=OPSET,
                dynamic_axes={"images": {0: "batch"}, "output0": {0: "batch"}},
            )  # fmt: skip
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelUnsupported(
            f"torch {torch.__version__} cannot export it: {onnx_graph.one_line(error)}"
        ) from error
    return onnx.load_from_string(written.getvalue())


def _answers(content: bytes, pictures: F32) -> F32:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": pictures})
    answer: F32 = found
    return answer
