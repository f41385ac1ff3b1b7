"""nano-sam: it learns through all of its parts, is SAM 2 to graphs and engine, and is as small as said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ModelCorrupt, ModelUnsupported

for package in ("torch", "sam2", "onnx"):
    if find_spec(package) is None:
        pytest.skip(f"{package} is missing: make test installs it (docs/export.md)", allow_module_level=True)

import numpy as np  # noqa: E402  # what follows imports torch
import onnx  # noqa: E402
import torch  # noqa: E402

from engine.models.sam2_sidecar import GRAPHS, Sidecar, load  # noqa: E402
from tools.sam2 import checkpoint, graph_check, half, loop_parity, nano_graphs, official, parity  # noqa: E402
from tools.sam2.families import Parts, Source, build  # noqa: E402
from tools.sam2.nano import MASK_SCALE, NanoSam, nano_model  # noqa: E402
from tools.sam2.nano_trunk import NanoTrunk, folded  # noqa: E402

SIZE = 256
RANDOM = Source("sam2.1", "nano", None, 0, "random:0")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads of torch wait for each other wherever other work has a core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def parts() -> Parts:
    return build(RANDOM, SIZE)


@pytest.fixture(scope="module")
def sidecar(nano_sam_folder: Path) -> Sidecar:
    return load(nano_sam_folder, checksums=True)


def rollout(model: NanoSam, images: Any, frames: int, objects: int) -> Any:
    """Mask logits (frames, rows, m, m): every clip's objects prompted by a box, and followed."""
    rows = torch.arange(len(images) // frames).repeat_interleave(objects)
    backbone = model.forward_image(images)
    _, features, places, sizes = model._prepare_backbone_features(backbone)
    boxes = torch.tensor([[16.0, 8.0], [40.0, 56.0]]).expand(len(rows), 2, 2)
    labels = torch.tensor([[2, 3]], dtype=torch.int32).expand(len(rows), 2)
    history: dict[str, Any] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
    masks = []
    for frame in range(frames):
        index = rows * frames + frame
        out = model.track_step(
            frame_idx=frame,
            is_init_cond_frame=frame == 0,
            current_vision_feats=[level[:, index] for level in features],
            current_vision_pos_embeds=[level[:, index] for level in places],
            feat_sizes=sizes,
            point_inputs=None if frame else {"point_coords": boxes, "point_labels": labels},
            mask_inputs=None,
            output_dict=history,
            num_frames=frames,
        )
        history["non_cond_frame_outputs" if frame else "cond_frame_outputs"][frame] = out
        masks.append(out["pred_masks"][:, 0])
    return torch.stack(masks)


@pytest.mark.parametrize("half_precision", [False, True])
def test_the_last_frame_teaches_every_part(half_precision: bool) -> None:
    model = nano_model(64)
    with torch.no_grad():
        model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(5.0)  # absent masks teach nothing
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16, enabled=half_precision):
        masks = rollout(model, images, frames=2, objects=2)
    assert masks.shape == (2, 4, 4 * MASK_SCALE, 4 * MASK_SCALE)
    masks[-1].float().square().mean().backward()
    for part in (
        model.image_encoder.trunk.stem, model.image_encoder.neck, model.memory_encoder, model.maskmem_tpos_enc,
        model.memory_attention, model.sam_prompt_encoder.point_embeddings[2], model.obj_ptr_proj,
        model.sam_mask_decoder.transformer, model.sam_mask_decoder.conv_s0, model.sam_mask_decoder.output_upscaling,
    ):  # fmt: skip
        gradients = (
            [part.grad] if isinstance(part, torch.nn.Parameter) else [p.grad for p in part.parameters()]
        )
        known = [gradient for gradient in gradients if gradient is not None]
        assert known and all(bool(gradient.isfinite().all()) for gradient in known)
        assert max(float(gradient.abs().max()) for gradient in known) > 0


def test_it_is_small_and_the_same_for_a_seed() -> None:
    state = torch.random.get_rng_state()
    first, again, other = nano_model(64, 1), nano_model(64, 1), nano_model(64, 2)
    assert torch.equal(state, torch.random.get_rng_state())
    assert sum(parameter.numel() for parameter in first.parameters()) < 3_000_000
    weights = first.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in again.state_dict().items())
    assert not torch.equal(other.no_mem_embed, first.no_mem_embed)


def test_the_folded_trunk_is_the_same_function() -> None:
    torch.manual_seed(1)
    trunk = NanoTrunk().eval()
    for module in trunk.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        for wanted, found in zip(trunk(image), folded(trunk)(image), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


def test_modules_compute_what_the_model_computes(parts: Parts) -> None:
    differences = official.module_differences(parts, SIZE)
    assert parity.complaints(differences, parity.TOLERANCE["fp32"]) == []
    assert {item.graph for item in differences} == set(GRAPHS)


def test_graphs_compute_what_torch_computes(nano_sam_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "COUNTS", parity.COUNTS[:2])
    rounded = build(RANDOM, SIZE)
    half.round_weights(rounded.modules)
    differences = parity.graph_differences(rounded, nano_sam_folder, SIZE)
    assert parity.complaints(differences, parity.TOLERANCE["fp32"]) == []


def test_the_engine_follows_as_the_official_predictor(parts: Parts, nano_sam_folder: Path) -> None:
    loop = loop_parity.against(loop_parity.by_official(parts, SIZE), nano_sam_folder, loop_parity.FAULTS)
    # Apart by what float16 costs the weights; each fault is farther off than that.
    assert loop.complaints(0.2, 0.99) == []
    assert min(loop.faults.values()) > 2 * loop.largest


def test_files_are_small_and_hold_float16(sidecar: Sidecar) -> None:
    assert sum(sidecar.path(graph).stat().st_size for graph in GRAPHS) < 6_000_000
    assert (sidecar.width, sidecar.memory_width, sidecar.mask_side) == (128, 64, 128)
    assert sidecar.mask_weight.shape == (2, 2) and sidecar.no_mem_embed.shape == (128,)
    for graph in GRAPHS:
        model = onnx.load(sidecar.path(graph))
        assert graph_check.problems(graph, model) == []
        sizes = {kind: 0 for kind in (onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT)}
        for tensor in model.graph.initializer:
            if tensor.data_type in sizes:
                sizes[tensor.data_type] += int(np.prod(tensor.dims))
        assert sizes[onnx.TensorProto.FLOAT16] > 2 * sizes[onnx.TensorProto.FLOAT]


def test_storing_weights_loses_nothing_and_is_undone() -> None:
    values = {"exact": np.arange(300, dtype=np.float32), "not": np.linspace(0, 1, 300, dtype=np.float32)}
    values |= {"few": np.ones(3, np.float32), "large": np.full(300, 1e6, np.float32)}
    inputs = [onnx.helper.make_node("Sum", [name], [f"{name}_out"], name) for name in values]
    outputs = [onnx.helper.make_tensor_value_info(f"{name}_out", 1, [len(values[name])]) for name in values]
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in values.items()]
    model = onnx.helper.make_model(onnx.helper.make_graph(inputs, "sums", [], outputs, constants))
    stored = half.store_weights_in_half(model)
    onnx.checker.check_model(stored, full_check=True)
    kept = {tensor.name for tensor in stored.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    assert kept == {"not", "few", "large"} and [node.op_type for node in stored.graph.node].count("Cast") == 1
    assert half.widen_weights(stored) == model


def saved(path: Path, weights: Mapping[str, Any]) -> Path:
    torch.save({"model": dict(weights)}, path)
    return path


def test_a_checkpoint_is_recognised_and_fills_the_model(tmp_path: Path) -> None:
    weights = nano_model(64, 5).state_dict()
    source = checkpoint.read(saved(tmp_path / "nano_sam.pt", weights), "nano")
    assert (source.family, source.variant) == ("sam2.1", "nano")
    made = nano_graphs.build(source, 64)  # weights know no size
    assert all(torch.equal(tensor, weights[name]) for name, tensor in made.official.state_dict().items())
    assert made.licence == "Apache-2.0" and made.memory_tokens == 16
    without = {
        name: tensor for name, tensor in weights.items() if name != "image_encoder.trunk.stem.1.weight"
    }
    with pytest.raises(ModelCorrupt, match=r"lacks image_encoder\.trunk\.stem\.1\.weight"):
        nano_graphs.build(replace(source, weights=without), 64)
    with pytest.raises(ModelUnsupported, match="neither"):
        checkpoint.read(saved(tmp_path / "other.pt", {"image_encoder.trunk.stem.1.weight": torch.ones(16)}))
