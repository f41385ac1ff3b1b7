"""What the model tests share: frames made of pictures, and small models with a known answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engine.types import ColourMatrix, FrameMeta, FrameNv12, nv12_geometry


def frame_of(bgr: NDArray[np.uint8], index: int = 0, pts_ns: int = -1) -> FrameNv12:
    """The picture as it would lie in a slot: limited BT.601, rows aligned, odd sizes cut by a pixel."""
    height, width = bgr.shape[0] // 2 * 2, bgr.shape[1] // 2 * 2
    planar = np.asarray(cv2.cvtColor(bgr[:height, :width], cv2.COLOR_BGR2YUV_I420), np.uint8)
    stride, offset_uv, size = nv12_geometry(width, height)
    meta = FrameMeta(
        index, 0, 0, width, height, stride, stride, offset_uv, pts_ns=pts_ns, matrix=ColourMatrix.BT601
    )
    frame = FrameNv12.view(meta, np.zeros(size, np.uint8))
    frame.y[:] = planar[:height]
    chroma = planar[height:].reshape(2, height // 2, width // 2)
    frame.uv[:] = chroma.transpose(1, 2, 0)
    return frame


def grey_frame(width: int, height: int, level: int = 128) -> FrameNv12:
    """A frame of one grey level."""
    return frame_of(np.full((height, width, 3), level, np.uint8))


def picture_frame(path: Path) -> FrameNv12:
    """A picture file as a frame."""
    bgr = cv2.imread(str(path))
    assert bgr is not None, path
    return frame_of(np.asarray(bgr, np.uint8))


def toy_model(
    path: Path,
    outputs: Mapping[str, NDArray[np.float32]],
    input_shape: Sequence[int | str] = (1, 3, 64, 64),
    metadata: Mapping[str, str] | None = None,
    half: bool = False,
) -> Path:
    """Write a model that answers every picture with these outputs.

    Arrays have a batch axis of 1; where the first size of the input is a name, they are repeated for the batch.
    """
    kind, dtype = (TensorProto.FLOAT16, np.float16) if half else (TensorProto.FLOAT, np.float32)
    # Zero times the input, so that the input counts and the batch size carries over.
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["mean", "zero"], ["nothing4"]),
    ]
    values = [numpy_helper.from_array(np.zeros(1, dtype), "zero")]
    results = []
    for name, array in outputs.items():
        values.append(numpy_helper.from_array(np.array([0] + [1] * (array.ndim - 1)), f"{name}_shape"))
        values.append(numpy_helper.from_array(array.astype(dtype), f"{name}_value"))
        nodes.append(helper.make_node("Reshape", ["nothing4", f"{name}_shape"], [f"{name}_nothing"]))
        nodes.append(helper.make_node("Add", [f"{name}_nothing", f"{name}_value"], [name]))
        results.append(helper.make_tensor_value_info(name, kind, [input_shape[0], *array.shape[1:]]))
    images = helper.make_tensor_value_info("images", kind, list(input_shape))
    graph = helper.make_graph(nodes, "toy", [images], results, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.save(model, path)
    return path


def sized_model(path: Path, batch: int | str, further: str = "orig_target_sizes") -> Path:
    """Write a model as RT-DETR's own exporter does: images of 128 × 64, and the sizes that boxes are scaled to.

    It answers every picture with one object of class 2, score 0.75, from (1/4, 1/2) to (1/2, 1) of that size.
    """
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
        helper.make_node("Reshape", ["zero", "column"], ["zeros"]),
        helper.make_node("Cast", [further], ["sizes"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["sizes", "sizes"], ["sides"], axis=1),
        helper.make_node("Mul", ["sides", "parts"], ["corners"]),
        helper.make_node("Unsqueeze", ["corners", "one"], ["boxes"]),
        helper.make_node("Add", ["zeros", "score"], ["scores"]),
        helper.make_node("Add", ["zeros", "class"], ["class_f32"]),
        helper.make_node("Cast", ["class_f32"], ["labels"], to=TensorProto.INT64),
    ]
    values = {
        "nothing": np.zeros(1, np.float32), "column": np.array([-1, 1]), "one": np.array([1]),
        "parts": np.array([[0.25, 0.5, 0.5, 1.0]], np.float32),
        "score": np.full((1, 1), 0.75, np.float32), "class": np.full((1, 1), 2, np.float32),
    }  # fmt: skip
    inputs = [
        helper.make_tensor_value_info(further, TensorProto.INT64, [batch, 2]),
        helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, 64, 128]),
    ]
    results = [
        helper.make_tensor_value_info("labels", TensorProto.INT64, [batch, 1]),
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [batch, 1, 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 1]),
    ]
    initial = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "sized", inputs, results, initial)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path
