"""Same frames for everybody, and honest figures from them."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.peer_ultralytics import environment, reason_not_to_run
from bench.peers import (
    ENGINE,
    LIMIT,
    MORE_CAMERAS,
    ONE_CAMERA,
    TITLES,
    Outcome,
    Row,
    cells,
    cut_clip,
    ratios,
    verdict,
)
from bench.plain import frames_of
from bench.usage import Usage

ROOT = Path(__file__).resolve().parents[2]


def row(way: str, *fps: float) -> Row:
    return Row(way, 1, [Outcome(each, cpu_ms=50.0, memory_mib=100.0, objects=2.0) for each in fps])


@pytest.mark.data
@pytest.mark.parametrize("name", ["et_01_dog", "sam2_bedroom"])
def test_a_cut_clip_holds_the_same_first_frames(data_dir: Path, tmp_path: Path, name: str) -> None:
    whole, cut = data_dir / "clips" / f"{name}.mp4", tmp_path / "cut.mp4"
    cut_clip(whole, 20, cut)
    frames = list(frames_of(cut))
    assert len(frames) == 20
    for ours, theirs in zip(frames[:16], itertools.islice(frames_of(whole), 16), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_ratios_are_taken_within_a_repetition() -> None:
    assert ratios(row(ENGINE, 20, 30), row("plain-loop", 10, 20)) == [2.0, 1.5]


def test_the_verdict_names_the_fastest_peer_and_not_the_limit() -> None:
    rows = [
        row(ENGINE, 20), row("plain-loop", 10), row("decoder-thread", 16), row(LIMIT, 22),
        Row("ultralytics-predict", 1, not_run="missing"),
    ]  # fmt: skip
    found = verdict(rows, 1)
    assert (found["closest"], found["times"]) == (TITLES["decoder-thread"], 1.25)
    assert found["not_run"] == [TITLES["ultralytics-predict"]]


def test_a_peer_that_is_not_there_is_a_row_with_the_reason() -> None:
    line = cells(Row("ultralytics-predict", 1, not_run="ultralytics missing"), row(ENGINE, 20))
    assert line[2] == "not run: ultralytics missing"
    assert len(line) == len(cells(row("plain-loop", 10), row(ENGINE, 20)))


def test_every_way_has_a_title() -> None:
    assert set(ONE_CAMERA) | set(MORE_CAMERAS) == set(TITLES)


@pytest.mark.data
def test_files_that_ultralytics_did_not_export_are_not_given_to_it(data_dir: Path) -> None:
    pytest.importorskip("ultralytics")
    pytest.importorskip("lap")
    assert reason_not_to_run(data_dir / "weights" / "yolov8n_640_f32_dynbatch.onnx") == ""
    assert "exported" in reason_not_to_run(data_dir / "weights" / "yolox_nano_416_f32.onnx")


def test_opencv_suppresses_as_ultralytics_does(tmp_path: Path) -> None:
    """In a process of its own: ultralytics reads its settings when it is imported."""
    pytest.importorskip("ultralytics")
    code = (
        "import torch\n"
        "from ultralytics.utils.nms import TorchNMS\n"
        "from bench.peer_ultralytics import nms_by_opencv\n"
        "corner = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * 300\n"
        "boxes = torch.cat((corner, corner + 60), 1)\n"
        "scores = torch.linspace(0.3, 0.9, 200)\n"
        "ours, theirs = nms_by_opencv(boxes, scores, 0.45), TorchNMS.nms(boxes, scores, 0.45)\n"
        "assert 20 < len(ours) < 180 and ours.tolist() == theirs.tolist()\n"
    )
    variables = os.environ | environment(tmp_path) | {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path / "home")}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=variables)
    assert not (tmp_path / "home" / ".config").exists()


def test_usage_sees_what_a_child_spends() -> None:
    code = "import time\nend = time.time() + 1.2\nwhile time.time() < end: pass\nprint(end)"
    with Usage() as usage:
        end_s = float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert usage.cores(end_s - 0.9, end_s - 0.3) > 0.1
    assert usage.cores(end_s - 0.9, end_s - 0.3) < 1.5
    assert usage.peak_memory_mib() > 2
