"""A real model made eight-bit: what it finds, what is refused, what is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is missing: pip install -e '.[export]'")
pytest.importorskip("onnxslim", reason="onnxslim is missing: pip install -e '.[export]'")

from engine.models.base import BatchItem, DetectorOptions  # noqa: E402 - after the check
from engine.models.detector import create_detector  # noqa: E402
from tools import onnx_graph, quantization  # noqa: E402
from tools.frames import read_frames  # noqa: E402
from tools.quantize_onnx import main  # noqa: E402

Capture = pytest.CaptureFixture[str]
FEW = ("--pictures", "4", "--checked", "8")


@pytest.fixture(scope="module")
def segmenter(data_dir: Path) -> Path:
    return data_dir / "weights" / "yolov8n-seg_320_f32_dynbatch.onnx"


@pytest.mark.data
def test_a_real_model_keeps_its_boxes_its_names_and_its_batch(
    segmenter: Path, data_dir: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "int8.onnx"
    clips = data_dir / "clips"
    arguments = [
        str(segmenter), "--out", str(out), *FEW, "--recipe", "body", "--target-loss", "0.15", "--calibrate",
        str(clips / "et_12_hideandseek.mp4"), "--calibrate", str(clips / "et_08_driving.mp4"), "--check",
        str(clips / "et_01_dog.mp4"),
    ]  # fmt: skip
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "VARIANT  RECALL" in printed and "times as fast as float32" in printed
    report = json.loads(out.with_suffix(".json").read_text())
    assert report["written"] and report["variant"] == "body" and report["attempts"][0]["reference"] > 5
    assert out.stat().st_size < 0.35 * segmenter.stat().st_size
    result = onnx_graph.read_model(out)
    assert onnx_graph.metadata(result) == onnx_graph.metadata(onnx_graph.read_model(segmenter))
    kinds = {node.op_type for node in result.graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    float_clip = create_detector(str(segmenter), DetectorOptions(confidence=0.5, lanes=1, threads=1, batch=1))
    int8_clip = create_detector(str(out), DetectorOptions(confidence=0.4, lanes=1, threads=1, batch=1))
    assert float_clip.labels == int8_clip.labels
    for frame in read_frames([str(clips / "et_12_hideandseek.mp4")], 2, 60, first=3):
        wanted, found = (each.infer([BatchItem(frame)])[0] for each in (float_clip, int8_clip))
        assert len(wanted) > 0 and len(found) >= len(wanted)
        np.testing.assert_allclose(found.boxes_xyxy[0], wanted.boxes_xyxy[0], atol=25)


@pytest.mark.data
def test_what_loses_too_much_is_not_written(data_dir: Path, tmp_path: Path, capsys: Capture) -> None:
    """A small network of depthwise convolutions, which eight bits by tensor do not suit."""
    out = tmp_path / "int8.onnx"
    out.write_bytes(b"what was there")
    model = data_dir / "weights" / "light_person_detector_192_f32.onnx"
    clip = str(data_dir / "clips" / "et_12_hideandseek.mp4")
    assert main([str(model), "--calibrate", clip, "--out", str(out), *FEW]) == 1
    captured = capsys.readouterr()
    assert "was not written: the best variant" in captured.err and len(captured.err.splitlines()) == 1
    assert [line.split()[0] for line in captured.out.splitlines()[3:]] == ["body", "scores", "trunk"]
    assert out.read_bytes() == b"what was there"
    assert json.loads(out.with_suffix(".json").read_text())["written"] is False


@pytest.mark.data
def test_variants_leave_more_and_more_in_float(segmenter: Path) -> None:
    model = quantization.ready(onnx_graph.read_model(segmenter))
    body, scores, trunk = (
        set(quantization.chosen_nodes(model, recipe, 80)) for recipe in quantization.RECIPES
    )
    assert trunk < scores < body
    anatomy = onnx_graph.dissect(model)
    assert body.isdisjoint({*anatomy.first, *anatomy.last, *anatomy.tail})
    # Scores, distances and mask coefficients of three strides each, and the prototypes.
    assert len(anatomy.last) == 10 and len(anatomy.first) == 1


@pytest.mark.parametrize(
    ("flags", "machine", "signed", "levels"),
    [
        ("fpu sse2 avx512_vnni amx_int8", "x86_64", False, 127),
        ("fpu avx2 avx_vnni", "x86_64", False, 127),
        ("fpu avx2", "x86_64", False, 64),
        ("", "arm64", True, 127),
        ("asimddp", "aarch64", True, 127),
    ],
)
def test_integers_by_cpu(flags: str, machine: str, signed: bool, levels: int) -> None:
    cpu = quantization.processor(f"flags\t\t: {flags}\n", machine)
    assert (cpu.signed, cpu.levels) == (signed, levels)


@pytest.mark.data
def test_wrong_commands_give_one_line(
    segmenter: Path, data_dir: Path, tmp_path: Path, capsys: Capture
) -> None:
    def complaint(status: int, *arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == status
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1, lines
        return lines[0]

    clip = ("--calibrate", "test://?frames=40", "--out", tmp_path / "a.onnx")
    assert "there is no such file" in complaint(2, tmp_path / "none.onnx", *clip)
    page = tmp_path / "page.onnx"
    page.write_text("<html>")
    assert "page.onnx" in complaint(1, page, *clip)
    dynamic = data_dir / "weights" / "yolo11n_320_int8.onnx"
    assert "quantised already" in complaint(1, dynamic, *clip)
    assert "none.mp4" in complaint(1, segmenter, "--calibrate", "none.mp4", "--out", tmp_path / "a.onnx")
    assert "no picture" in complaint(
        1, segmenter, "--calibrate", "test://?frames=1", "--every", "9", "--out", tmp_path / "a.onnx", *FEW
    )
    assert "--pictures" in complaint(2, segmenter, *clip, "--pictures", "0")
    assert "between 0 and 1" in complaint(2, segmenter, *clip, "--score", "1.5")
    assert "cannot be written" in complaint(1, segmenter, *clip[:2], "--out", "/proc/nowhere/a.onnx")
    reid = data_dir / "weights" / "osnet_x0_25_msmt17_dynbatch.onnx"
    assert "belongs under reid.model" in complaint(1, reid, *clip)
    assert list(tmp_path.iterdir()) == [page]
