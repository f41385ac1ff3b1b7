"""TensorRT engines of a segmenter's folder: what is checked without a GPU, and with one, that they are the graphs."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx", reason="onnx is missing: pip install 'camring[export]'")
pytest.importorskip("onnxslim", reason="onnxslim is missing: pip install 'camring[export]'")

from engine.errors import BackendMissing, ConfigError, ModelCorrupt
from engine.models.sam2_sidecar import GRAPHS, load
from engine.models.trt_engine_file import BatchProfile, Place, find_engine, read_engine, read_record
from tools.export_trt import main
from tools.trt_segmenter import GraphPlan, SegmenterWish, compared_calls, plans

A10G = Place("NVIDIA A10G", (8, 6), "10.13.3.9")
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def gpu_here() -> None:
    """TensorRT and a GPU; skips with the reason where one of them is missing."""
    from engine.models.trt import import_tensorrt, place_here

    try:
        place_here(import_tensorrt())
    except BackendMissing as error:
        pytest.skip(str(error))


def linked(folder: Path, target: Path, **changes: Any) -> Path:
    """The same folder without copying its graphs, with changes of the sidecar."""
    target.mkdir()
    for graph in GRAPHS:
        (target / f"{graph}.onnx").symlink_to(folder / f"{graph}.onnx")
    content = json.loads((folder / "segmenter.json").read_text())
    (target / "segmenter.json").write_text(json.dumps(content | changes))
    return target


def test_a_dry_run_checks_all_four(sam2_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main([str(sam2_folder), "--dry-run", "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert err == "" and list(tmp_path.iterdir()) == []
    for graph in GRAPHS:
        assert f"checked: {graph}: shapes follow from the inputs at all corners of F 1:1:8" in out
        assert f"checked: {graph}: graph in fp16 is sound to ONNX Runtime" in out
    assert "int64 inputs frame_index, memory_tpos" in out and "not checked: parity" in out


def test_narrower_graphs_are_checked_with_their_weights_widened(
    nano_sam_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert main([str(nano_sam_folder), "--dry-run", "--out", str(tmp_path)]) == 0
    assert "checked: mask_decoder: graph in fp16 is sound" in capsys.readouterr().out
    plan = GraphPlan(load(nano_sam_folder), "mask_decoder", SegmenterWish(precision="fp32", out=tmp_path))
    assert plan.shapes()["mask_prompt"] == tuple((rows, 1, 128, 128) for rows in (1, 4, 16))
    assert (plan.widths.features, plan.widths.finest, plan.widths.fine, plan.widths.fine_scale) == (
        128, 16, 32, 4
    )  # fmt: skip
    import onnx

    weights = onnx.load_from_string(plan.onnx_bytes()).graph.initializer
    assert not any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in weights)


def test_shapes_and_names_of_an_engine(sam2_folder: Path, tmp_path: Path) -> None:
    wish = SegmenterWish(rows="1:2:6", frames="2", out=tmp_path)
    plan = GraphPlan(load(sam2_folder), "memory_attention", wish)
    shapes = plan.shapes()
    assert shapes["image_embed"] == ((2, 256, 16, 16),) * 3
    assert shapes["memory"] == ((1, 7, 256, 64), (2, 7, 256, 64), (6, 7, 256, 64))
    assert shapes["obj_ptr_valid"] == ((1, 16), (2, 16), (6, 16))
    assert plan.recipe.profiles == (BatchProfile(1, 2, 6),) and plan.recipe.options["F"] == "2:2:2"
    assert [call["N"] for call in compared_calls(plan)] == [1, 2]
    encoder = GraphPlan(load(sam2_folder), "image_encoder", wish)
    assert encoder.recipe.profiles == (BatchProfile(2, 2, 2),) and list(encoder.shapes()) == ["image"]


def test_an_engine_is_found_again_by_its_graph(sam2_folder: Path, tmp_path: Path) -> None:
    plan = GraphPlan(load(sam2_folder), "mask_decoder", SegmenterWish(out=tmp_path))
    assert plan.existing(A10G) is None
    path = plan.write(A10G, b"not a real engine")
    record = read_record(path)
    assert plan.existing(A10G) == path and read_engine(path, record) == b"not a real engine"
    assert record.metadata["camring.set_id"] == load(sam2_folder).set_id
    assert find_engine(tmp_path, plan.path, plan.recipe.model_sha256, A10G, 16) == path
    other = GraphPlan(load(sam2_folder), "mask_decoder", SegmenterWish(frames="4", out=tmp_path))
    assert other.existing(A10G) is None
    plan.discard(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--batch", "4:2:1"], "1 <= least"),
        (["--frames", "0"], "1 <= least"),
        (["--frames", "many"], "LEAST:BEST:MOST"),
        (["--batch", "1", "--batch", "2"], "--batch once"),
        (["--calibrate", "clip.mp4"], "no --calibrate"),
        (["--precision", "int8"], "eight-bit engines are built of detectors only"),
    ],
)
def test_flags_that_do_not_fit(sam2_folder: Path, capsys: Capture, arguments: list[str], says: str) -> None:
    assert main([str(sam2_folder), *arguments]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and says in err


def test_folders_for_cpus_and_mixed_ones(sam2_folder: Path, tmp_path: Path) -> None:
    eight = linked(sam2_folder, tmp_path / "int8", precision=dict.fromkeys(GRAPHS, "int8-dynamic"))
    for plan in plans(load(eight), SegmenterWish()):
        assert plan.problems() == [
            f"{plan.name}: the folder is quantised for CPUs; take the float32 one that it was made of"
        ]
    half = linked(sam2_folder, tmp_path / "half", precision=dict.fromkeys(GRAPHS, "fp16"))
    full = GraphPlan(load(half), "memory_encoder", SegmenterWish(precision="fp32"))
    assert "the folder is in float16" in full.problems()[0]
    mixed = linked(sam2_folder, tmp_path / "mixed", set_id="another")
    with pytest.raises(ModelCorrupt, match="files of different exports are mixed"):
        plans(load(mixed), SegmenterWish())
    with pytest.raises(ConfigError):
        plans(load(sam2_folder), SegmenterWish(frames="-1"))


def test_a_damaged_graph_is_found_before_anything_is_built(
    sam2_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = linked(sam2_folder, tmp_path / "damaged")
    path = folder / "memory_encoder.onnx"
    path.unlink()
    path.write_bytes((sam2_folder / path.name).read_bytes()[:-100])
    assert main([str(folder), "--dry-run"]) == 1
    assert "memory_encoder.onnx: its SHA-256 is" in capsys.readouterr().err


def test_without_tensorrt_the_build_names_the_extras(
    sam2_folder: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert main([str(sam2_folder), "--out", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "pip install 'camring[trt,gpu]'" in err and list(tmp_path.iterdir()) == []


@pytest.mark.gpu
def test_engines_are_the_graphs(sam2_folder: Path, tmp_path: Path, gpu_here: None) -> None:
    for precision in ("fp32", "fp16"):
        folder = tmp_path / precision
        arguments = [str(sam2_folder), "--precision", precision, "--batch", "1:2:4", "--out", str(folder)]
        assert main([*arguments, "--frames", "1:1:2", "--level", "1"]) == 0
        assert len(list(folder.glob("*.engine"))) == len(GRAPHS)
        shutil.rmtree(folder)
