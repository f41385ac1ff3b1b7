"""`ultralytics` on the same ONNX file: predict and track, as its documents show them for video.

Knows how to run it without network and without a trace in the home folder. Does not know the other peers.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.plain import CONFIDENCE, NMS_IOU, session


def reason_not_to_run(model: Path) -> str:
    """Why it cannot be measured here, or nothing."""
    missing = [name for name in ("ultralytics", "lap") if importlib.util.find_spec(name) is None]
    if missing:
        return f"{' and '.join(missing)} missing: pip install 'camring[bench,export]'"
    metadata = session(model).get_modelmeta().custom_metadata_map
    return "" if {"task", "names", "stride"} <= set(metadata) else "not a file that ultralytics has exported"


def environment(folder: Path) -> dict[str, str]:
    """Variables that keep it away from the network, from pip and from the home folder."""
    return {
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_VERBOSE": "false",
        "YOLO_CONFIG_DIR": str(folder),
        "MPLCONFIGDIR": str(folder),
    }


def results(model: Path, clips: Sequence[Path], tracker: str) -> Iterator[int]:
    """Number of objects in each picture as it comes; `tracker` is empty for predict.

    More than one clip goes by a `.streams` file, one picture of each in a batch. The buffer is on, because without
    it pictures of a file are passed over; `rect=False` keeps to the square input that the file was exported with.
    """
    mend_torchvision()
    from ultralytics import YOLO

    settings: dict[str, Any] = {
        "stream": True, "conf": CONFIDENCE, "iou": NMS_IOU, "rect": False, "device": "cpu", "verbose": False,
        "stream_buffer": True,
    }  # fmt: skip
    detector = YOLO(str(model), task="detect")
    source = str(clips[0])
    if len(clips) > 1:
        streams = Path("cameras.streams")
        streams.write_text("\n".join(map(str, clips)))
        source = str(streams)
    if tracker:
        running = detector.track(source, tracker=f"{tracker}.yaml", **settings)
    else:
        running = detector.predict(source, **settings)
    for result in running:
        yield len(result.boxes)


def mend_torchvision() -> None:
    """Put a stand-in where torchvision does not load: built for CUDA it does not fit a torch built for the CPU.

    Of torchvision ultralytics uses `ops.nms` alone here. OpenCV's is compiled as well, keeps the same boxes in the
    same order and is faster than the fallback that ultralytics has in Python, so the peer does not lose by it.
    """
    try:
        import torchvision  # type: ignore[import-untyped, unused-ignore]  # noqa: F401  # to see whether it loads
    except (ImportError, RuntimeError):
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        stand_in = types.ModuleType("torchvision")
        stand_in.__spec__ = importlib.machinery.ModuleSpec("torchvision", loader=None)
        stand_in.ops = types.SimpleNamespace(nms=nms_by_opencv)  # type: ignore[attr-defined]  # a module's own
        sys.modules["torchvision"] = stand_in


def nms_by_opencv(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """`torchvision.ops.nms`: tensors of corners (n, 4) and scores (n,) in, places of kept boxes out, best first."""
    import cv2
    import numpy as np
    import torch

    boxes_xywh = boxes.numpy().astype(np.float64)
    boxes_xywh[:, 2:] -= boxes_xywh[:, :2]
    kept = cv2.dnn.NMSBoxes(boxes_xywh, scores.numpy(), 0.0, iou_threshold)
    return torch.as_tensor(np.asarray(kept, np.int64).reshape(-1))
