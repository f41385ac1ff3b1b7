"""Engines with many inputs: sizes of calls and padding, without a GPU; with one, what ONNX Runtime gives."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import BackendError, BackendMissing
from engine.models.graph_session import GraphChain, GraphOptions, graph_session_named
from engine.models.heads.base import Tensor
from engine.models.sam2_sidecar import GRAPHS, load
from engine.models.trt_graph import axis_sizes, padded_sizes, put_padded
from kernels import device

INPUTS = (
    Tensor("image_embed", "float32", ("F", 256, 16, 16)),
    Tensor("point_coords", "float32", ("N", "T", 2)),
    Tensor("multimask", "float32", ("N",)),
)
RANGES = {"F": (1, 8), "N": (1, 12), "T": (1, 16)}


def feeds(frames: int = 1, rows: int = 3, points: int = 2) -> dict[str, NDArray[Any]]:
    return {
        "image_embed": np.zeros((frames, 256, 16, 16), np.float32),
        "point_coords": np.zeros((rows, points, 2), np.float32),
        "multimask": np.zeros(rows, np.float32),
    }


def test_sizes_come_from_the_arrays() -> None:
    assert axis_sizes(INPUTS, feeds(2, 3, 4)) == {"F": 2, "N": 3, "T": 4}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"multimask": np.zeros(4, np.float32)}, r"multimask.*given \[4\], N is 3"),
        ({"multimask": np.zeros((3, 1), np.float32)}, "multimask"),
        ({"image_embed": np.zeros((1, 255, 16, 16), np.float32)}, "256 is 256"),
    ],
)
def test_arrays_that_do_not_fit_are_named(changed: dict[str, NDArray[Any]], reason: str) -> None:
    with pytest.raises(BackendError, match=reason):
        axis_sizes(INPUTS, feeds() | changed)
    with pytest.raises(BackendError, match="multimask is missing"):
        axis_sizes(INPUTS, {name: array for name, array in feeds().items() if name != "multimask"})


@pytest.mark.parametrize(("rows", "padded"), [(1, 1), (2, 2), (3, 4), (5, 8), (9, 12), (12, 12)])
def test_only_rows_are_rounded_and_never_beyond_what_the_engine_takes(rows: int, padded: int) -> None:
    assert padded_sizes({"F": 3, "N": rows, "T": 5}, RANGES) == {"F": 3, "N": padded, "T": 5}


def test_a_call_that_the_engine_cannot_take_says_so() -> None:
    with pytest.raises(BackendError, match="13 of N in a call, the engine takes 1 to 12"):
        padded_sizes({"N": 13}, RANGES)


def test_rows_that_pad_are_the_first_again() -> None:
    target = np.full((4, 2), 9, np.int64)
    put_padded(np.array([[1, 2], [3, 4], [5, 6]]), target)
    assert target.tolist() == [[1, 2], [3, 4], [5, 6], [1, 2]]


def test_without_tensorrt_it_is_missing_and_the_next_one_runs(sam2_folder: Path) -> None:
    if find_spec("tensorrt"):
        pytest.skip("tensorrt is installed here")
    path = load(sam2_folder).path("memory_encoder")
    with pytest.raises(BackendMissing, match=r"tensorrt: .*pip install 'camring\[trt,gpu\]'"):
        graph_session_named("tensorrt").load(path, GraphOptions())
    chain = GraphChain(("tensorrt", "ort-cpu"), {"memory_encoder": path}, GraphOptions())
    assert chain.name == "ort-cpu" and chain.passed_over[0].name == "tensorrt"
    chain.close()


@pytest.mark.gpu
def test_engines_give_what_onnx_runtime_gives(sam2_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt")
    try:
        device.require()
    except device.GpuError as error:
        pytest.skip(str(error))
    from tools.sam2.interface import Counts, sample_inputs

    tool = Path(__file__).resolve().parent.parent.parent / "tools/export_trt.py"
    out = tmp_path / "tensorrt"
    command = [sys.executable, str(tool), str(sam2_folder), "--precision", "fp32", "--out", str(out)]
    subprocess.run(command, check=True)
    sidecar = load(sam2_folder)
    options = GraphOptions(rows=16, frames=4, cache=tmp_path)
    paths = {graph: sidecar.path(graph) for graph in GRAPHS}
    engines, wanted = GraphChain(("tensorrt",), paths, options), GraphChain(("ort-cpu",), paths, options)
    for graph in GRAPHS:
        for counts in (
            Counts(1, 1, points=1),
            Counts(2, 3, points=2),
            Counts(2, 3, points=2),
            Counts(1, 16, points=5),
        ):
            inputs = {
                name: np.asarray(array)
                for name, array in sample_inputs(
                    graph, sidecar.image_size, sidecar.memory_tokens, counts
                ).items()
            }
            found, expected = engines.run(graph, inputs), wanted.run(graph, inputs)
            for name, array in expected.items():
                assert found[name].shape == array.shape
                # TensorRT multiplies float32 matrices in TF32 where the GPU has it.
                assert np.abs(found[name] - array).max() < 2e-2 * max(1.0, np.abs(array).max()), (graph, name)
    engines.close()
    wanted.close()
