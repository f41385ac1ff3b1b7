"""Checkpoints with made-up weights, exported and run by the engine, against what torch computes."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if find_spec("ultralytics") is None:
    pytest.skip("ultralytics is missing: pip install -e '.[export]'", allow_module_level=True)

from engine.models.backend import BackendOptions, backend_named
from engine.models.base import BatchItem, DetectorOptions
from engine.models.detector import create_detector
from engine.models.heads.base import recognise
from engine.types import F32, Detections
from tools.accuracy import Agreement
from tools.export_onnx import main
from tools.frames import TEST_PICTURES, prepared, read_frames
from tools.ultralytics_model import Checkpoint, Wish

MakeCheckpoint = Callable[[str], Path]
ROOT = Path(__file__).resolve().parents[2]


def export(path: Path, out: Path, *arguments: str) -> int:
    return main([str(path), "--out", str(out), *arguments])


def run_onnx(path: Path, pictures: F32) -> list[F32]:
    backend = backend_named("ort-cpu").load(path, BackendOptions(batch=len(pictures)))
    call = backend.new_call()
    call.input_nchw[...] = pictures
    found = [output.copy() for output in backend.run(call, len(pictures), 0)]
    backend.close()
    return found


def test_any_batch_gives_what_torch_gives(
    checkpoint: MakeCheckpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new folder" / "model.onnx"
    assert export(checkpoint("yolo11n"), out, "--size", "192x128") == 0
    printed = capsys.readouterr().out
    assert "output0  1 × 84 × 504" in printed and "batch any, 192 × 128" in printed
    model = Checkpoint(checkpoint("yolo11n"), tmp_path)
    head = recognise(backend_named("ort-cpu").load(out, BackendOptions()).graph, "here")
    frames = read_frames([TEST_PICTURES], 3, every=30, first=90)
    pictures = np.concatenate([prepared(frame, head, (192, 128))[0] for frame in frames])
    wanted, found = model.forward(pictures, Wish((192, 128))), run_onnx(out, pictures)
    assert found[0].shape == wanted[0].shape == (3, 84, 504)
    np.testing.assert_allclose(found[0], wanted[0], atol=1e-3 * float(wanted[0].max()))
    assert np.ptp(wanted[0][:, 4:]) > 0.3, "weights that say nothing prove nothing"


def test_the_engine_finds_what_ultralytics_finds(checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    """The engine's detector on a frame, against ultralytics' own suppression of what torch computes for it."""
    import torch
    from ultralytics.utils.nms import non_max_suppression
    from ultralytics.utils.ops import scale_boxes

    out = tmp_path / "model.onnx"
    assert export(checkpoint("yolo11n"), out, "--size", "192", "--count", "1") == 0
    options = DetectorOptions(confidence=0.25, nms_iou=0.7, lanes=1, threads=1, batch=1)
    detector = create_detector(str(out), options)
    frame = next(iter(read_frames([TEST_PICTURES], 1, first=150)))
    found = detector.infer([BatchItem(frame)])[0]
    head = recognise(backend_named("ort-cpu").load(out, BackendOptions()).graph, "here")
    tensor, _ = prepared(frame, head, (192, 192))
    raw = Checkpoint(checkpoint("yolo11n"), tmp_path).forward(tensor, Wish((192, 192)))[0]
    own = non_max_suppression(torch.from_numpy(raw), conf_thres=0.25, iou_thres=0.7)[0]
    boxes = scale_boxes((192, 192), own[:, :4].clone(), frame.y.shape).numpy()
    wanted = Detections(boxes, own[:, 4].numpy(), own[:, 5].numpy().astype(np.int32))
    inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])  # the padding finds things too
    agreement = Agreement()
    agreement.add(wanted.take(np.flatnonzero(inside)), found, 0.95, 1e-3)
    assert agreement.wanted > 5
    # Of two boxes whose overlap is just what is allowed, rounding decides.
    assert agreement.recall >= 0.9 and agreement.precision >= 0.9


def test_segmentation_with_a_fixed_batch(checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    out = tmp_path / "seg.onnx"
    assert export(checkpoint("yolov8n-seg"), out, "--size", "160", "--batch", "2") == 0
    report = json.loads(out.with_suffix(".json").read_text())
    assert [output["shape"] for output in report["parity"]["outputs"]] == [[1, 116, 525], [1, 32, 40, 40]]
    assert report["parity"]["boxes"]["matched"] == report["parity"]["boxes"]["reference"] > 0
    assert report["metadata"]["task"] == "segment"
    backend = backend_named("ort-cpu").load(out, BackendOptions())
    assert backend.fixed_batch and backend.batch == 2
    assert backend.graph.metadata["stride"] == "32" and len(backend.graph.names) == 80


@pytest.mark.parametrize("half_input", [False, True])
def test_half_precision_keeps_boxes(checkpoint: MakeCheckpoint, tmp_path: Path, half_input: bool) -> None:
    out = tmp_path / "half.onnx"
    arguments = ["--half-input"] if half_input else []
    assert export(checkpoint("yolov8n"), out, "--size", "192", "--precision", "fp16", *arguments) == 0
    report = json.loads(out.with_suffix(".json").read_text())
    assert report["parity"]["outputs"][0]["largest_difference"] > 0
    assert report["parity"]["boxes"]["matched"] >= 0.95 * report["parity"]["boxes"]["reference"] > 0
    assert out.stat().st_size < 1.2 * checkpoint("yolov8n").stat().st_size, "a .pt is in float16 too"
    graph = backend_named("ort-cpu").load(out, BackendOptions()).graph
    assert graph.inputs[0].dtype == ("float16" if half_input else "float32")
    assert graph.outputs[0].dtype == "float32"
    detector = create_detector(str(out), DetectorOptions(lanes=1, threads=1, batch=1))
    assert len(detector.infer([BatchItem(next(iter(read_frames([TEST_PICTURES], 1))))])[0]) > 0


@pytest.mark.parametrize(("head", "shape"), [("auto", [1, 300]), ("anchors", [1, 84, 525])])
def test_a_model_with_two_heads(
    checkpoint: MakeCheckpoint, tmp_path: Path, head: str, shape: list[int]
) -> None:
    out = tmp_path / "two.onnx"
    assert export(checkpoint("yolo26n"), out, "--size", "160", "--head", head, "--count", "2") == 0
    report = json.loads(out.with_suffix(".json").read_text())
    assert report["metadata"]["end2end"] == str(head == "auto")
    assert report["parity"]["outputs"][0]["shape"] == shape
    assert report["parity"]["boxes"]["matched"] == report["parity"]["boxes"]["reference"] > 0


def test_out_of_tolerance_is_not_written(
    checkpoint: MakeCheckpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model.onnx"
    out.write_bytes(b"what was there")
    assert export(checkpoint("yolo11n"), out, "--size", "64", "--count", "1", "--tolerance", "0") == 1
    assert "was not written: output0 differs by" in capsys.readouterr().err
    assert out.read_bytes() == b"what was there"
    assert json.loads(out.with_suffix(".json").read_text())["out_of_tolerance"]


def complaint(capsys: pytest.CaptureFixture[str], status: int, *arguments: object) -> str:
    """The one line that a wrong command gives."""
    assert main([str(argument) for argument in arguments]) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_wrong_commands_give_one_line(
    checkpoint: MakeCheckpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = checkpoint("yolo11n")
    assert "there is no such file" in complaint(capsys, 2, tmp_path / "none.pt")
    assert "is a folder" in complaint(capsys, 2, tmp_path)
    text = tmp_path / "page.pt"
    text.write_text("<html>")
    assert "not a checkpoint of PyTorch" in complaint(capsys, 1, text)
    onnx = tmp_path / "model.onnx"
    onnx.write_bytes(b"x")
    assert "is no .pt file by its name" in complaint(capsys, 2, onnx)
    assert "nearest: 640x352" in complaint(
        capsys, 2, model, "--size", "640x360", "--out", tmp_path / "a.onnx"
    )
    assert "name it so" in complaint(capsys, 1, model, "--out", tmp_path / "a.bin")
    assert "cannot be written" in complaint(capsys, 1, model, "--out", "/proc/nowhere/a.onnx")
    assert "--precision fp16" in complaint(capsys, 2, model, "--half-input", "--out", tmp_path / "a.onnx")
    assert "head without suppression" in complaint(
        capsys, 2, model, "--head", "end2end", "--size", "64", "--out", tmp_path / "a.onnx"
    )
    assert "no-such.mp4" in complaint(
        capsys, 1, model, "--pictures", tmp_path / "no-such.mp4", "--size", "64", "--out", tmp_path / "a.onnx"
    )
    assert "opset" in complaint(
        capsys, 1, model, "--opset", "99", "--size", "64", "--out", tmp_path / "a.onnx"
    )
    assert not (tmp_path / "a.onnx").exists() and not (tmp_path / "a.json").exists()


class Mischief:
    """What a pickle may do to whoever loads it."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._trace,)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    trace, path = tmp_path / "it ran", tmp_path / "evil.pt"
    torch.save({"model": Mischief(trace)}, path)
    assert zipfile.is_zipfile(path)
    line = complaint(capsys, 1, path, "--out", tmp_path / "a.onnx")
    assert "--trust-pickle" in line and "any code" in line
    assert not trace.exists()


def test_trusting_it_runs_it(tmp_path: Path) -> None:
    """In a process of its own: ultralytics decides at import how it loads."""
    import torch

    trace, path = tmp_path / "it ran", tmp_path / "evil.pt"
    torch.save({"model": Mischief(trace)}, path)
    command = [
        sys.executable,
        "tools/export_onnx.py",
        str(path),
        "--trust-pickle",
        "--out",
        str(tmp_path / "a.onnx"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert trace.exists()
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
