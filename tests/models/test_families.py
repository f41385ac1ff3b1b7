"""Every family that Ultralytics exports is recognised, and gives the boxes of its own post-processing.

The networks have random weights: only layouts and numbers count. The same input goes through the graph for both.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import ModelUnsupported
from engine.models.backend import BackendOptions, backend_named
from engine.models.base import BatchItem, DetectorOptions
from engine.models.heads.base import RGB_0_TO_1, recognise
from engine.models.onnx_detector import OnnxDetector
from engine.models.prepare import CpuPreparation
from engine.types import Detections
from kernels.colour import PixelFormat
from kernels.letterbox import Fit

from .samples import frame_of

torch = pytest.importorskip("torch", reason="pip install camring[export]", exc_type=ImportError)
pytest.importorskip("ultralytics", reason="pip install camring[export]", exc_type=ImportError)

# Exporting warns about things that are the exporter's: deprecated calls, folded constants, slow indexing.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SIDE = 128
SOURCE_WH = (200, 120)
CONFIDENCE, IOU = 0.5, 0.45
SCORES, BOXES = ("cv3", "dec_score_head"), ("cv2",)
"""How the last layers for scores and for boxes are called."""


@pytest.fixture(scope="module", autouse=True)
def ultralytics_settings(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Ultralytics writes its settings to a folder of the test's, installs nothing and says nothing."""
    patch = pytest.MonkeyPatch()
    patch.setenv("YOLO_CONFIG_DIR", str(tmp_path_factory.mktemp("settings")))
    patch.setenv("YOLO_AUTOINSTALL", "false")
    patch.setenv("YOLO_VERBOSE", "false")
    threads = torch.get_num_threads()
    torch.set_num_threads(min(2, os.cpu_count() or 1))
    yield
    torch.set_num_threads(threads)
    patch.undo()


def export(folder: Path, network: str, **options: Any) -> Path:
    """An ONNX file of the network with weights that make scores and boxes of every size."""
    from ultralytics import RTDETR, YOLO

    torch.manual_seed(7)
    model = (RTDETR if "rtdetr" in network else YOLO)(network)
    for layer in model.model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    pictures = torch.from_numpy(inputs([picture(seed) for seed in range(4)], RGB_0_TO_1, Fit.CENTRED))
    with torch.no_grad():
        # Untrained layers make next to nothing of a picture; with statistics of real input they do not.
        model.model.train()(pictures)
        model.model.eval()
        spread_out(model.model, pictures)
    before = Path.cwd()
    os.chdir(folder)
    try:
        return folder / str(model.export(format="onnx", imgsz=SIDE, simplify=False, **options))
    finally:
        os.chdir(before)


def spread_out(network: Any, pictures: Any) -> None:
    """Scale the last layers so that scores lie between 0 and 1 without ties and boxes have many sizes."""
    last = [
        (layer, 1.5 if any(part in name for part in SCORES) else 0.5)
        for name, layer in network.model[-1].named_modules()
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)
        and layer.bias is not None
        and any(part in name for part in (*SCORES, *BOXES))
    ]
    for layer, wanted in last:
        layer.weight.normal_(0, layer.weight[0].numel() ** -0.5)
        if wanted > 1:
            layer.bias.fill_(-2)

        def scale(layer: Any, _: Any, output: Any, wanted: float = wanted) -> None:
            layer.weight.mul_(wanted / output.std())

        handle = layer.register_forward_hook(scale)
        network(pictures)
        handle.remove()


def picture(seed: int = 3) -> NDArray[np.uint8]:
    """Coloured clouds."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 20, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, SOURCE_WH, interpolation=cv2.INTER_CUBIC), np.uint8)


def inputs(pictures: Sequence[NDArray[np.uint8]], pixels: PixelFormat, fit: Fit) -> NDArray[np.float32]:
    """float32 (n, 3, SIDE, SIDE): what the engine makes of pictures."""
    input_nchw = np.zeros((len(pictures), 3, SIDE, SIDE), np.float32)
    preparation = CpuPreparation(input_nchw, pixels, fit)
    for index, one in enumerate(pictures):
        preparation.prepare(frame_of(one), index)
    return input_nchw


def outputs_of(path: Path) -> list[Any]:
    """What the graph answers to the input that the engine makes of the picture."""
    backend = backend_named("ort-cpu").load(path, BackendOptions())
    head, call = recognise(backend.graph, str(path)), backend.new_call()
    call.input_nchw[:] = inputs([picture()], head.pixels, head.fit)
    return [torch.from_numpy(output.copy()) for output in backend.run(call, 1, 0)]


def finished_by_ultralytics(outputs: list[Any], classes: int, *, end2end: bool) -> NDArray[np.float32]:
    """Rows of corners in source pixels, score, class: from their suppression and their way back to the source."""
    from ultralytics.utils import nms, ops

    found = nms.non_max_suppression(
        outputs[0].clone(), CONFIDENCE, IOU, nc=classes, max_det=1000, end2end=end2end, max_time_img=60
    )[0]
    found[:, :4] = ops.scale_boxes((SIDE, SIDE), found[:, :4], SOURCE_WH[::-1])
    return np.asarray(found[:, :6])


def finished_by_rtdetr(outputs: list[Any], names: dict[int, str]) -> NDArray[np.float32]:
    from ultralytics.models.rtdetr.predict import RTDETRPredictor

    asked = SimpleNamespace(
        args=SimpleNamespace(conf=CONFIDENCE, classes=None, max_det=1000),
        batch=[["picture"]],
        model=SimpleNamespace(names=names),
    )
    [result] = RTDETRPredictor.postprocess(asked, outputs[0].clone(), None, [picture()])
    boxes = np.clip(result.boxes.data.numpy(), 0, [*SOURCE_WH * 2, 1, 1000])
    return np.asarray(boxes, np.float32)


def check_same(found: Detections, expected: NDArray[np.float32]) -> None:
    """The same objects within rounding, whatever the order of ties."""
    wide, high = expected[:, 2] - expected[:, 0], expected[:, 3] - expected[:, 1]
    expected = expected[(wide > 0) & (high > 0)]
    rows = np.column_stack([found.boxes_xyxy, found.scores, found.class_ids])
    assert len(rows) == len(expected) > 3
    missing = [row for row in expected if np.abs(rows - row).max(axis=1).min() > 0.01]
    assert missing == []


RAW, FINISHED, QUERIES = "Ultralytics v3u", "end-to-end", "Ultralytics RT-DETR"
RAW_NETWORKS = """
    yolov3-tiny yolov5n yolov6n yolov8n yolov8n-p2 yolov8n-p6 yolov9t yolov10n yolo11n yolo12n yolo26n
    yolov8n-seg yolov9c-seg yolo11n-seg yolo12n-seg yolo26n-seg yolov8n-pose yolo11n-pose yolo12n-pose yolo26n-pose
"""
FINISHED_NETWORKS = "yolov10n yolo26n yolo26n-p6 yolo26n-seg yolo26n-pose"
FAMILIES: list[tuple[str, str, dict[str, Any]]] = [
    *((network, RAW, {}) for network in RAW_NETWORKS.split()),
    ("yolo11n", RAW, {"dynamic": True}),
    *((network, FINISHED, {"nms": False}) for network in FINISHED_NETWORKS.split()),
    *((network, QUERIES, {}) for network in ("rtdetr-l", "yolov8n-rtdetr")),
]


@pytest.mark.parametrize(("network", "layout", "options"), FAMILIES)
def test_boxes_are_those_of_its_own_post_processing(
    tmp_path: Path, network: str, layout: str, options: dict[str, Any]
) -> None:
    path = export(tmp_path, f"{network}.yaml", **options)
    detector = OnnxDetector(
        path,
        DetectorOptions(confidence=CONFIDENCE, nms_iou=IOU, max_objects=1000, lanes=1, threads=1, batch=1),
    )
    assert layout in detector.description
    outputs, classes = outputs_of(path), len(detector.labels)
    [found] = detector.infer([BatchItem(frame_of(picture()))])
    if layout == QUERIES:
        expected = finished_by_rtdetr(outputs, dict(enumerate(detector.labels)))
    else:
        expected = finished_by_ultralytics(outputs, classes, end2end=layout == FINISHED)
    check_same(found, expected)
    assert (found.masks is not None) == network.endswith("-seg")


@pytest.mark.parametrize(
    ("network", "task"),
    [
        ("yolo11n-obb", "obb"),
        ("yolo11n-cls", "classify"),
        ("yolo26n-sem", "semantic"),
        ("yolo26n-obb", "obb"),
    ],
)
def test_models_without_upright_boxes_are_refused_by_their_task(
    tmp_path: Path, network: str, task: str
) -> None:
    path = export(tmp_path, f"{network}.yaml")
    with pytest.raises(ModelUnsupported, match=f"a model for the task '{task}' gives .*use one for detect"):
        OnnxDetector(path, DetectorOptions())
