"""The command as it is typed: what it checks without a GPU, and with one, that the engine is the model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is missing: pip install 'camring[export]'")
pytest.importorskip("onnxslim", reason="onnxslim is missing: pip install 'camring[export]'")

from engine.errors import BackendMissing, ConfigError  # noqa: E402 - after the check
from engine.models.backend import Backend, BackendOptions, backend_named  # noqa: E402
from engine.models.trt_engine_file import BatchProfile, Place, read_engine, read_record  # noqa: E402
from tools.export_trt import main  # noqa: E402
from tools.onnx_graph import read_model, to_bytes, to_half  # noqa: E402
from tools.parity import FLOAT16, FLOAT32  # noqa: E402
from tools.trt_check import graph_problems, is_quantised, precision_problems  # noqa: E402
from tools.trt_parity import INT8, compare  # noqa: E402
from tools.trt_plan import Plan, Wish  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
A10G = Place("NVIDIA A10G", (8, 6), "10.13.3.9")
PICTURES = "test://?width=640&height=360&objects=4&frames=40"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def seg(data_dir: Path) -> Path:
    return data_dir / "weights" / "yolov8n-seg_320_f32_dynbatch.onnx"


@pytest.fixture
def gpu_here() -> None:
    """TensorRT and a GPU; skips with the reason where one of them is missing."""
    from engine.models.trt import import_tensorrt, place_here

    try:
        place_here(import_tensorrt())
    except BackendMissing as error:
        pytest.skip(str(error))


def dry_run(capsys: Capture, *arguments: str | Path) -> tuple[int, str, str]:
    status = main([*map(str, arguments), "--dry-run"])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.mark.data
def test_a_dry_run_says_what_it_saw_and_what_it_could_not(seg: Path, tmp_path: Path, capsys: Capture) -> None:
    status, out, err = dry_run(capsys, seg, "--out", tmp_path / "engines")
    assert (status, err) == (0, "")
    assert "checked: precision fp16; batches 1:4:8; input 320 × 320" in out
    assert "not checked: whether the engine builds" in out
    assert "-bca477dc5d81-<gpu>-sm<nn>-trt<version>-fp16-b1-8.engine" in out
    assert list((tmp_path / "engines").iterdir()) == []


@pytest.mark.data
def test_a_file_for_cpus_is_one_line_on_standard_error(
    data_dir: Path, tmp_path: Path, capsys: Capture
) -> None:
    model = data_dir / "weights" / "yolov8n_640_int8.onnx"
    status, _, err = dry_run(capsys, model, "--out", tmp_path)
    assert status == 1
    assert err.startswith("export_trt: ") and err.count("\n") == 1 and "ConvInteger (64×)" in err


@pytest.mark.data
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--batch", "0"], "1 <= least"),
        (["--batch", "8:4:1"], "1 <= least"),
        (["--batch", "many"], "LEAST:BEST:MOST"),
        (["--precision", "int8"], "name pictures with --calibrate"),
        (["--precision", "int8", "--calibrate", "nowhere.mp4"], "nowhere.mp4: no such file"),
        (["--out", "/proc/engines"], "/proc/engines: cannot be written"),
    ],
)
def test_what_cannot_be_is_one_line(
    seg: Path, tmp_path: Path, capsys: Capture, arguments: list[str], expected: str
) -> None:
    given = arguments if "--out" in arguments else [*arguments, "--out", str(tmp_path)]
    status, _, err = dry_run(capsys, seg, *given)
    assert status in (1, 2) and err.count("\n") == 1 and expected in err


@pytest.mark.data
def test_a_fixed_batch_names_the_flag(data_dir: Path, tmp_path: Path, capsys: Capture) -> None:
    model = data_dir / "weights" / "yolox_nano_416_f32.onnx"
    status, _, err = dry_run(capsys, model, "--batch", "1:4:8", "--out", tmp_path)
    assert status == 1 and "exported for exactly 1; use --batch 1" in err


def test_a_disk_that_is_too_small(data_dir: Path, small_disk: Callable[[int], Path], capsys: Capture) -> None:
    folder = small_disk(32 << 20)
    status, _, err = dry_run(
        capsys, data_dir / "weights" / "yolov8n-seg_320_f32_dynbatch.onnx", "--out", folder
    )
    assert status == 1 and "MiB free, 90 wanted" in err


def test_files_that_are_none(tmp_path: Path, capsys: Capture) -> None:
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"<html>404</html>")
    for path, status in ((tmp_path / "nowhere.onnx", 2), (tmp_path, 2), (damaged, 1)):
        assert dry_run(capsys, path)[0] == status
    err = capsys.readouterr().err
    assert "Traceback" not in err


@pytest.mark.data
def test_it_runs_as_a_script_from_anywhere(seg: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "tools" / "export_trt.py"),
        str(seg),
        "--dry-run",
        "--out",
        "engines",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0 and "not checked: parity" in done.stdout and done.stderr == ""


@pytest.mark.data
def test_without_tensorrt_the_build_names_the_extras(
    seg: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert main([str(seg), "--out", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "pip install 'camring[trt,gpu]'" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.data
def test_an_engine_is_up_to_date_until_anything_changes(seg: Path, tmp_path: Path) -> None:
    plan = Plan(Wish(seg, out=tmp_path))
    assert plan.existing(A10G) is None
    path = plan.write(A10G, b"not a real engine")
    record = read_record(path)
    assert read_engine(path, record) == b"not a real engine"
    assert record.metadata["task"] == "segment" and record.input_wh == (320, 320)
    assert Plan(Wish(seg, out=tmp_path)).existing(A10G) == path
    assert plan.existing(Place("NVIDIA H100", (9, 0), A10G.tensorrt)) is None
    assert plan.existing(Place(A10G.gpu, A10G.capability, "10.13.3.10")) is None
    for other in (
        Wish(seg, precision="fp32", out=tmp_path),
        Wish(seg, batches=("1:4:16",), out=tmp_path),
        Wish(seg, batches=("1:8:8",), out=tmp_path),
        Wish(seg, level=5, out=tmp_path),
        Wish(seg, workspace_mib=512, out=tmp_path),
        Wish(seg, precision="int8", calibrate=PICTURES, out=tmp_path),
    ):
        assert Plan(other).existing(A10G) is None
    path.write_bytes(b"damaged")
    assert plan.existing(A10G) is None
    plan.discard(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.data
def test_batches_are_those_that_were_asked_for(seg: Path) -> None:
    plan = Plan(Wish(seg, batches=("1", "2:8:16")))
    assert plan.recipe.profiles == (BatchProfile(1, 1, 1), BatchProfile(2, 8, 16))
    with pytest.raises(ConfigError, match="--batch"):
        Plan(Wish(seg, batches=("1:2",)))


def backend_of(content: bytes, path: Path) -> Backend:
    path.write_bytes(content)
    return backend_named("ort-cpu").load(path, BackendOptions())


@pytest.mark.data
def test_the_half_precision_graph_gives_the_same_boxes(seg: Path, tmp_path: Path) -> None:
    half = Plan(Wish(seg, precision="fp16")).onnx_bytes()
    assert len(half) < 0.6 * seg.stat().st_size
    reference = backend_named("ort-cpu").load(seg, BackendOptions())
    judged = backend_of(half, tmp_path / "half.onnx")
    parity = compare(reference, judged, [PICTURES], (4, 10), FLOAT16)
    assert parity.complaints(FLOAT16) == [] and parity.outputs[0].pictures == 4
    assert parity.outputs[0].largest > 0


@pytest.mark.data
def test_the_quantised_graph_is_what_tensorrt_wants_and_still_finds_the_objects(
    seg: Path, data_dir: Path, tmp_path: Path
) -> None:
    images = str(data_dir / "images")
    plan = Plan(Wish(seg, precision="int8", calibrate=images, calibrate_count=2))
    assert plan.problems() == []
    content = plan.onnx_bytes()
    judged = backend_of(content, tmp_path / "int8.onnx")
    model = read_model(tmp_path / "int8.onnx")
    assert graph_problems(model) == [] and is_quantised(model)
    assert precision_problems(model, "int8", calibrated=False) == []
    assert {"names", "task"} <= judged.graph.metadata.keys()
    reference = backend_named("ort-cpu").load(seg, BackendOptions())
    parity = compare(reference, judged, [images], (2, 1), INT8)
    assert parity.boxes.wanted >= 4 and parity.boxes.recall >= 0.75


@pytest.mark.data
def test_parity_sees_a_model_that_is_another(seg: Path, tmp_path: Path) -> None:
    model = read_model(seg)
    weights = next(t for t in model.graph.initializer if len(t.dims) == 4)
    values = onnx.numpy_helper.to_array(weights) * np.float32(1.2)
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    reference = backend_named("ort-cpu").load(seg, BackendOptions())
    judged = backend_of(to_bytes(model, "x"), tmp_path / "other.onnx")
    assert compare(reference, judged, [PICTURES], (2, 20), FLOAT32).complaints(FLOAT32)
    half = backend_of(to_bytes(to_half(read_model(seg), half_input=False), "x"), tmp_path / "half.onnx")
    assert compare(reference, half, [PICTURES], (2, 20), FLOAT32).complaints(FLOAT32)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.data
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_engine_is_built_compared_and_found_again(
    gpu_here: None, seg: Path, tmp_path: Path, data_dir: Path, capsys: Capture, precision: str
) -> None:
    arguments = [str(seg), "--out", str(tmp_path), "--precision", precision, "--level", "1"]
    if precision == "int8":
        arguments += ["--calibrate", str(data_dir / "images"), "--calibrate-count", "2"]
    arguments += ["--pictures", str(data_dir / "images"), "--count", "2"]
    assert main(arguments) == 0
    assert "boxes of ONNX Runtime" in capsys.readouterr().out
    assert main(arguments) == 0
    assert "up to date" in capsys.readouterr().out
