"""Rendered people pass for people; and how that is counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.scene import WORLD, Setting, Tally, count, ious, measured
from engine.models.base import DetectorOptions
from engine.models.detector import create_detector
from engine.sources.scene_render import SceneRenderer
from ptz.simulator.truth import truth


@pytest.mark.data
def test_a_real_detector_finds_rendered_people(data_dir: Path) -> None:
    model = str(data_dir / "weights" / "yolox_nano_416_f32.onnx")
    options = DetectorOptions(confidence=0.1, classes=("person",), lanes=1, threads=1, batch=1)
    setting = Setting("ptz", 2.0, 640)
    tally = measured(create_detector(model, options), SceneRenderer(WORLD, WORLD.mount("ptz")), setting, 10)
    found = np.array(tally.found)[np.array(tally.heights_px) >= 80]
    assert len(found) >= 15 and found.mean() >= 0.85
    assert tally.precision() >= 0.9


def test_each_box_counts_for_one_person_and_boxes_of_nobody_are_false() -> None:
    setting = Setting("overview", 1.0, 1280)
    view = setting.view(0)
    exact = truth(WORLD, WORLD.mount("overview"), view, 3.1)
    shown = exact.visibility >= 0.9
    perfect = Tally([], [])
    count(perfect, exact, exact.visible_boxes_xyxy[shown])
    assert all(perfect.found) and perfect.precision() == 1 and len(perfect.found) == shown.sum()
    wrong = Tally([], [])
    nobody = np.array([[0.0, 0.0, 20.0, 40.0]], np.float32)
    count(wrong, exact, np.concatenate([exact.visible_boxes_xyxy[shown][:1], nobody]))
    assert sum(wrong.found) == 1 and wrong.precision() == 0.5
    count(wrong, exact, np.zeros((0, 4), np.float32))
    assert sum(wrong.found) == 1


def test_overlap() -> None:
    one = np.array([[0.0, 0.0, 2.0, 2.0]])
    assert ious(one, np.array([[1.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]])) == pytest.approx(
        np.array([[1 / 3, 0.0]])
    )
