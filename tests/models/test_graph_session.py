"""Graphs with many inputs: what is read of a file, what runs, what is refused, and which backend is next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from engine.errors import (
    BackendError,
    BackendMissing,
    ConfigError,
    DeviceOutOfMemory,
    ModelCorrupt,
    ModelNotFound,
    ModelUnsupported,
)
from engine.models.graph_session import GraphChain, GraphOptions, check_interface, graph_session_named
from engine.models.ort_graph import OrtCpuGraph

ONE = GraphOptions()


def adder(path: Path, rows: int | str = "N") -> Path:
    """total = a + b, and their product; a and b float32 [rows, 2]."""
    a, b, total, product = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, 2])
        for name in ("a", "b", "total", "product")
    )
    nodes = [helper.make_node("Add", ["a", "b"], ["total"]), helper.make_node("Mul", ["a", "b"], ["product"])]
    model = helper.make_model(
        helper.make_graph(nodes, "adder", [a, b], [total, product]),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 8
    helper.set_model_props(model, {"camring.set_id": "abc"})
    onnx.save(model, str(path))
    return path


class Weak(OrtCpuGraph, name="test-graph-weak"):
    """Runs out of memory in its second run."""

    runs: ClassVar[int] = 0
    closed: ClassVar[int] = 0

    def run(
        self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        Weak.runs += 1
        if Weak.runs == 2:
            raise DeviceOutOfMemory("test-graph-weak: out of memory, as arranged")
        return super().run(feeds, outputs)

    def close(self) -> None:
        Weak.closed += 1
        super().close()


FEEDS = {"a": np.ones((3, 2), np.float32), "b": np.full((3, 2), 2, np.float32)}


def test_a_file_says_what_it_wants(tmp_path: Path) -> None:
    session = graph_session_named("ort-cpu").load(adder(tmp_path / "adder.onnx"), ONE)
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in session.inputs] == [
        ("a", "float32", ("N", 2)), ("b", "float32", ("N", 2))
    ]  # fmt: skip
    assert [tensor.name for tensor in session.outputs] == ["total", "product"]
    assert session.metadata["camring.set_id"] == "abc"
    assert session.fixed("a", 0) is None and session.fixed("a", 1) == 2
    found = session.run(FEEDS)
    assert set(found) == {"total", "product"} and (found["total"] == 3).all()
    assert set(session.run(FEEDS, ["product"])) == {"product"}
    session.close()
    session.close()


def test_what_does_not_fit_is_a_backend_error(tmp_path: Path) -> None:
    session = graph_session_named("ort-cpu").load(adder(tmp_path / "adder.onnx"), ONE)
    for feeds in (
        FEEDS | {"b": np.ones((2, 5), np.float32)},
        FEEDS | {"b": np.ones((3, 2))},
    ):
        with pytest.raises(BackendError, match="ort-cpu"):
            session.run(feeds)


def test_files_that_are_none(tmp_path: Path) -> None:
    kind = graph_session_named("ort-cpu")
    with pytest.raises(ModelNotFound):
        kind.load(tmp_path / "absent.onnx", ONE)
    (tmp_path / "noise.onnx").write_bytes(b"not a model" * 100)
    with pytest.raises(ModelCorrupt, match=r"noise\.onnx"):
        kind.load(tmp_path / "noise.onnx", ONE)
    whole = adder(tmp_path / "adder.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises((ModelCorrupt, ModelUnsupported), match=r"cut\.onnx"):
        kind.load(tmp_path / "cut.onnx", ONE)


def test_another_interface_is_refused_by_name(tmp_path: Path) -> None:
    path = adder(tmp_path / "adder.onnx")
    session = graph_session_named("ort-cpu").load(path, ONE)
    check_interface(session, path, ("a", "b"), ("total",))
    with pytest.raises(ModelUnsupported, match="its inputs are a, b, expected a, c"):
        check_interface(session, path, ("a", "c"), ("total",))
    with pytest.raises(ModelUnsupported, match="outputs missing: rest"):
        check_interface(session, path, ("a", "b"), ("total", "rest"))
    with pytest.raises(ModelUnsupported, match="no input memory"):
        session.fixed("memory", 1)


def test_names_that_are_none_and_those_that_do_not_suit() -> None:
    with pytest.raises(ConfigError, match=r"segment\.backends names 'ort-cpi'.*ort-cpu"):
        graph_session_named("ort-cpi")
    with pytest.raises(BackendError, match="ort-tensorrt: builds its engine again"):
        graph_session_named("ort-tensorrt")


def test_the_next_backend_repeats_the_call_with_all_graphs(tmp_path: Path) -> None:
    paths = {name: adder(tmp_path / f"{name}.onnx") for name in ("first", "second")}
    Weak.runs = Weak.closed = 0
    chain = GraphChain(("ort-cuda", "ort-tensorrt", "test-graph-weak", "ort-cpu"), paths, ONE)
    assert chain.name == "test-graph-weak"
    assert [passed.name for passed in chain.passed_over] == ["ort-cuda", "ort-tensorrt"]
    assert "pip install onnxruntime-gpu" in chain.passed_over[0].reason
    assert (chain.run("first", FEEDS)["total"] == 3).all()
    assert (chain.run("second", FEEDS)["total"] == 3).all()
    assert chain.name == "ort-cpu"
    assert Weak.closed == 2, "both graphs are given back"
    assert "as arranged" in chain.passed_over[-1].reason
    chain.close()


def test_the_last_backend_leaves_nothing_to_try(tmp_path: Path) -> None:
    Weak.runs = 1
    chain = GraphChain(("test-graph-weak",), {"first": adder(tmp_path / "first.onnx")}, ONE)
    with pytest.raises(DeviceOutOfMemory, match="as arranged"):
        chain.run("first", FEEDS)
    with pytest.raises(BackendMissing):
        GraphChain(("ort-cuda",), {"first": adder(tmp_path / "first.onnx")}, ONE)


def test_a_damaged_graph_is_not_tried_on_the_next_backend(tmp_path: Path) -> None:
    paths = {"first": adder(tmp_path / "first.onnx"), "second": tmp_path / "second.onnx"}
    paths["second"].write_bytes(b"\0" * 64)
    Weak.closed = 0
    with pytest.raises((ModelCorrupt, ModelUnsupported)):
        GraphChain(("test-graph-weak", "ort-cpu"), paths, ONE)
    assert Weak.closed == 1, "what was open is given back"
