"""Quantisation as TensorRT wants it: int8 around zero, written into the graph, from pictures of a user's own.

The convolutions of the body are quantised; the last ones, whose results are scores and distances, and the tail
stay in float. Runs on the CPU, in ONNX
Runtime, so that it can be checked without a GPU.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from engine.types import F32
from tools.command_line import needs
from tools.onnx_graph import dissect, read_model

with needs("export"):
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

SYMMETRIC = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    # Q and DQ on the weights too: TensorRT folds them, and wants biases in float.
    "AddQDQPairToWeight": True,
    "QuantizeBias": False,
}


class _Pictures(CalibrationDataReader):  # type: ignore[misc]  # the package has no types
    """Hands out one picture at a time."""

    def __init__(self, name: str, pictures_nchw: Iterable[F32]) -> None:
        self._name = name
        self._pictures: Iterator[F32] = iter(pictures_nchw)

    def get_next(self) -> dict[str, F32] | None:
        picture = next(self._pictures, None)
        return None if picture is None else {self._name: picture}


def quantise_for_tensorrt(model: Any, pictures_nchw: Iterable[F32]) -> Any:
    """The model with QuantizeLinear and DequantizeLinear around its body's convolutions.

    pictures_nchw  float32 (1, 3, height, width) each, as the model's input wants them

    Raises `ModelUnsupported` for a graph without convolutions.
    """
    # Its hints about unnamed nodes and about preparing the model are not for our user.
    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, result = (Path(folder) / f"{name}.onnx" for name in ("plain", "prepared", "result"))
        onnx.save(model, str(plain))
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        ready = read_model(prepared)
        onnx.save(ready, str(prepared))
        anatomy = dissect(ready)
        body = set(anatomy.body)
        convolutions = [
            node.name for node in ready.graph.node if node.op_type == "Conv" and node.name in body
        ]
        quantize_static(
            str(prepared),
            str(result),
            _Pictures(model.graph.input[0].name, pictures_nchw),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=convolutions,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            extra_options=SYMMETRIC,
        )
        return read_model(result)
