"""A SAM 2 as four graphs: that they are what they are said to be, and that the comparison would notice if not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing: pip install -e '.[export]'")
pytest.importorskip("sam2", reason="sam2 is missing: make test installs it (requirements-sam2.lock)")

from onnx import TensorProto, helper  # noqa: E402

from engine.errors import ModelUnsupported, OutputError  # noqa: E402
from engine.models.sam2_sidecar import GRAPHS, Sidecar, load  # noqa: E402
from tests.conftest import REPOSITORY  # noqa: E402
from tools import onnx_graph  # noqa: E402
from tools.sam2 import graph_check, half, loop_parity, official, parity, quantize, work  # noqa: E402
from tools.sam2.command import whole_folder  # noqa: E402
from tools.sam2.families import Parts, Source, build  # noqa: E402
from tools.sam2.interface import INTERFACE, Counts, sample_inputs  # noqa: E402

SIZE = 256


@pytest.fixture(scope="module")
def sidecar(sam2_folder: Path) -> Sidecar:
    return load(sam2_folder, checksums=True)


@pytest.fixture(scope="module")
def parts(sidecar: Sidecar) -> Parts:
    """The model that the folder was made of."""
    assert sidecar.weights == "random:0"
    return build(Source("sam2.1", "tiny", None, 0, "random:0"), SIZE)


def run(path_or_model: Path | Any, feeds: dict[str, Any]) -> list[Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    source = str(path_or_model) if isinstance(path_or_model, Path) else path_or_model.SerializeToString()
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, feeds))


def test_the_folder_says_what_it_is(sidecar: Sidecar) -> None:
    assert (sidecar.family, sidecar.variant, sidecar.image_size) == ("sam2.1", "tiny", SIZE)
    assert sidecar.memory_tokens == 256 and sidecar.memory_slots == 7 and sidecar.pointer_slots == 16
    assert np.abs(sidecar.no_mem_embed).max() > 0 and np.abs(sidecar.mask_weight).max() > 0


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_graph_is_of_the_set_and_sound(sidecar: Sidecar, graph: str) -> None:
    model = onnx_graph.read_model(sidecar.path(graph))
    sidecar.check_set_id(graph, onnx_graph.metadata(model))
    assert graph_check.problems(graph, model) == []
    # Where it was made, and by whose code, is nobody's business.
    content = sidecar.path(graph).read_bytes()
    assert str(REPOSITORY).encode() not in content and b"site-packages" not in content


def test_graphs_compute_what_torch_computes(
    sidecar: Sidecar, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "COUNTS", parity.COUNTS[:2])  # the third costs as much as both
    differences = parity.graph_differences(parts, sidecar.folder, SIZE)
    assert parity.complaints(differences, parity.TOLERANCE["fp32"]) == []
    assert {item.output for item in differences} == {
        output for face in INTERFACE.values() for output in face.outputs
    }


def test_modules_compute_what_the_official_model_computes(parts: Parts) -> None:
    differences = official.module_differences(parts, SIZE)
    assert parity.complaints(differences, parity.TOLERANCE["fp32"]) == []
    assert {item.graph for item in differences} == set(GRAPHS)


def test_memory_that_is_not_valid_has_no_effect(sidecar: Sidecar) -> None:
    feeds = sample_inputs("memory_attention", SIZE, sidecar.memory_tokens, Counts(1, 2))
    (first,) = run(sidecar.path("memory_attention"), feeds)
    # Of the last row only slot 0 is valid.
    spoilt = {name: values.copy() for name, values in feeds.items()}
    spoilt["memory"][-1, 1:] = 50.0
    spoilt["obj_ptr"][-1, 1:] = 50.0
    (second,) = run(sidecar.path("memory_attention"), spoilt)
    np.testing.assert_allclose(second, first, atol=1e-4)
    spoilt["memory"][-1, 0] = 0.0
    assert np.abs(run(sidecar.path("memory_attention"), spoilt)[0][-1] - first[-1]).max() > 0.1


def test_candidates_hold_what_is_chosen(sidecar: Sidecar) -> None:
    feeds = sample_inputs("mask_decoder", SIZE, sidecar.memory_tokens, Counts(2, 4, points=1))
    mask, iou, pointer, score, masks, ious, pointers = run(sidecar.path("mask_decoder"), feeds)
    assert (score > 0).all()
    for row in range(4):
        best = 1 + int(np.argmax(ious[row, 1:]))
        if feeds["multimask"][row]:
            np.testing.assert_array_equal(mask[row, 0], masks[row, best])
            np.testing.assert_array_equal(pointer[row], pointers[row, best])
            assert iou[row, 0] == ious[row, best]
        else:
            assert any(np.array_equal(mask[row, 0], masks[row, index]) for index in (0, best))
            np.testing.assert_array_equal(pointer[row], pointers[row, 0])


def test_a_mask_prompt_counts_only_where_it_is_valid(sidecar: Sidecar) -> None:
    feeds = sample_inputs("mask_decoder", SIZE, sidecar.memory_tokens, Counts(1, 3))
    feeds["mask_prompt_valid"] = np.array([0, 1, 0], np.float32)
    first = run(sidecar.path("mask_decoder"), feeds)[4]
    second = run(sidecar.path("mask_decoder"), feeds | {"mask_prompt": -feeds["mask_prompt"]})[4]
    changed = np.abs(first - second).max((1, 2, 3))
    assert changed[1] > 0.1 and changed[0] == changed[2] == 0


@pytest.fixture(scope="module")
def attention(sidecar: Sidecar) -> Any:
    return onnx_graph.read_model(sidecar.path("memory_attention"))


def error_of(sidecar: Sidecar, graph: str, changed: Any) -> float:
    feeds = sample_inputs(graph, SIZE, sidecar.memory_tokens, Counts(1, 2))
    pairs = zip(run(changed, feeds), run(sidecar.path(graph), feeds), strict=True)
    return max(parity.difference(graph, "", "", found, wanted).l2 for found, wanted in pairs)


def test_half_keeps_the_interface_and_loses_little(sidecar: Sidecar, attention: Any) -> None:
    changed = half.to_half(attention)
    kinds = {value.type.tensor_type.elem_type for value in (*changed.graph.input, *changed.graph.output)}
    assert kinds == {TensorProto.FLOAT, TensorProto.INT64}
    assert any(tensor.data_type == TensorProto.FLOAT16 for tensor in changed.graph.initializer)
    assert 1e-5 < error_of(sidecar, "memory_attention", changed) < 1e-2


def test_dynamic_eight_bits(sidecar: Sidecar, attention: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # The table says what pays on a CPU, and may change.
    monkeypatch.setattr(quantize, "DYNAMIC", {"memory_attention": ("MatMul", "Gemm")})
    changed = quantize.dynamic("memory_attention", attention)
    kinds = [node.op_type for node in changed.graph.node]
    assert kinds.count("MatMulInteger") > 20 and "Gemm" not in kinds
    assert changed.ByteSize() < 0.8 * attention.ByteSize()
    assert 1e-3 < error_of(sidecar, "memory_attention", changed) < 0.15
    assert quantize.dynamic("memory_encoder", attention) is attention


def test_static_eight_bits(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    # Finding the ranges of all matrix products takes half a minute.
    monkeypatch.setattr(quantize, "STATIC", {"image_encoder": ("Conv",)})
    model = onnx_graph.read_model(sidecar.path("image_encoder"))
    pictures = quantize.calibration_pictures(None, 3, SIZE)
    changed = quantize.static("image_encoder", model, pictures[:2])
    assert any(node.op_type == "QuantizeLinear" for node in changed.graph.node)
    found = run(changed, {"image": pictures[2]})
    wanted = run(sidecar.path("image_encoder"), {"image": pictures[2]})
    for values, reference in zip(found, wanted, strict=True):
        assert 1e-3 < parity.difference("", "", "", values, reference).l2 < 0.3


def graph_of(*nodes: Any, inputs: tuple[str, ...] = ("image",)) -> Any:
    shape: list[str | int | None] = ["F", 3, SIZE, SIZE]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in inputs]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in ("image_embed", "high_res_0", "high_res_1")
    ]
    return helper.make_model(helper.make_graph(list(nodes), "graph", values, outputs))


@pytest.mark.parametrize("kind", sorted(graph_check.REFUSED))
def test_operators_that_are_refused(kind: str) -> None:
    model = graph_of(helper.make_node(kind, ["image"], ["image_embed"]))
    assert [text for text in graph_check.problems("image_encoder", model) if f"holds 1 {kind}" in text]


def test_complex_numbers_are_refused() -> None:
    model = graph_of(helper.make_node("Cast", ["image"], ["image_embed"], to=TensorProto.COMPLEX64))
    assert graph_check.problems("image_encoder", model) == ["image_encoder: holds complex numbers"]


def test_another_interface_is_refused() -> None:
    assert graph_check.problems("image_encoder", graph_of()) == []
    renamed = graph_of(inputs=("picture",))
    assert "inputs are picture; wanted are image" in graph_check.problems("image_encoder", renamed)[0]
    fixed = graph_of()
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    assert "axes of image that vary are {}" in graph_check.problems("image_encoder", fixed)[0]
    loose = graph_of()
    loose.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "H"
    assert "wanted are {0: 'F'}" in graph_check.problems("image_encoder", loose)[0]


def test_differences_are_seen() -> None:
    wanted = np.array([1.0, -4.0])
    near = parity.difference("g", "o", "", wanted + 1e-6, wanted)
    far = parity.difference("g", "o", "", wanted + 0.1, wanted)
    nan = parity.difference("g", "o", "", np.array([np.nan, -4.0]), wanted)
    other = parity.difference("g", "o", "", wanted[:1], wanted)
    assert parity.complaints([near], 1e-4) == []
    assert len(parity.complaints([near, far, nan, other], 1e-4)) == 3
    assert parity.worst([near, far]) == [far] and parity.record([far])["g"]["o"]["largest"] == 0.1


def test_a_clip_that_differs_is_a_complaint() -> None:
    fine = loop_parity.LoopParity(4e-5, 1.6, 1.0, {"memories zeroed": 7.0})
    tolerance = work.LOOP_TOLERANCE["fp32"]
    assert fine.complaints(*tolerance) == [] and fine.unnoticed() == []
    assert "0.1% of it" not in str(replace(fine, largest=0.1).complaints(*tolerance)[0])
    assert len(replace(fine, largest=0.1, agreement=0.9).complaints(*tolerance)) == 2
    assert len(replace(fine, largest=float("nan")).complaints(*tolerance)) == 1
    assert (
        "does not notice: memories zeroed" in replace(fine, faults={"memories zeroed": 1e-4}).unnoticed()[0]
    )


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "model"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_folder_appears_whole_or_not_at_all(target: Path) -> None:
    with pytest.raises(ModelUnsupported), whole_folder(target) as growing:
        (growing / "segmenter.json").write_text("half")
        raise ModelUnsupported("out of tolerance")
    assert not target.exists()
    for text in ("first", "second"):
        with whole_folder(target) as growing:
            (growing / "segmenter.json").write_text(text)
        assert (target / "segmenter.json").read_text() == text
    with pytest.raises(KeyboardInterrupt), whole_folder(target):
        raise KeyboardInterrupt
    assert (target / "segmenter.json").read_text() == "second"


def test_what_is_no_segmenter_is_not_replaced(target: Path) -> None:
    target.mkdir()
    (target / "holiday.jpg").touch()
    with ExitStack() as stack, pytest.raises(OutputError, match="is no segmenter folder"):
        stack.enter_context(whole_folder(target))
    target.joinpath("holiday.jpg").unlink()
    with whole_folder(target) as growing:
        (growing / "segmenter.json").touch()
    assert (target / "segmenter.json").exists()
