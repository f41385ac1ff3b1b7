"""The plain loop finds what it is said to find: a peer that found nothing would be fast."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bench.plain import PlainDetector, frames_in_turn, frames_of

COCO = {"person": 0, "bus": 5, "tie": 27}
SCORE, PIXELS = 0.03, 4.0
"""What other runtimes may differ by, from the manifest."""


def expected(data_dir: Path, weights: str) -> dict[str, list[list[Any]]]:
    items = tomllib.loads((data_dir / "MANIFEST.toml").read_text())["item"]
    found: dict[str, list[list[Any]]] = next(
        item["expected"] for item in items if item["file"] == f"weights/{weights}.onnx"
    )
    return found


@pytest.mark.data
@pytest.mark.parametrize("weights", ["yolov8n_640_f32_dynbatch", "yolox_nano_416_f32"])
def test_boxes_of_the_manifest(data_dir: Path, weights: str) -> None:
    detector = PlainDetector(data_dir / "weights" / f"{weights}.onnx")
    for name, wanted in expected(data_dir, weights).items():
        image = np.asarray(cv2.imread(str(data_dir / "images" / name)), np.uint8)
        found = detector.detect(image)
        for label, score, *box in wanted:
            of_class = found[found[:, 5] == COCO[label]]
            near = (np.abs(of_class[:, :4] - box) <= PIXELS).all(axis=1)
            assert (near & (np.abs(of_class[:, 4] - score) <= SCORE)).any(), (name, label, score)
        if weights.startswith("yolov8n"):  # rows of YOLOX in the manifest are those from 0.3 only
            assert len(found) == len(wanted)


@pytest.mark.data
def test_other_layouts_are_refused(data_dir: Path) -> None:
    with pytest.raises(SystemExit, match="YOLOX only"):
        PlainDetector(data_dir / "weights" / "yolo26n_640_int8_e2e.onnx")


@pytest.mark.data
def test_frames_come_in_turn_until_all_have_ended(data_dir: Path) -> None:
    long, short = (data_dir / "clips" / f"{name}.mp4" for name in ("sam2_bedroom", "et_08_driving"))
    sizes = [image.shape[1] for image in frames_in_turn([long, short])]
    assert sizes[:4] == [960, 1280, 960, 1280]
    assert len(sizes) == sum(1 for clip in (long, short) for _ in frames_of(clip))
