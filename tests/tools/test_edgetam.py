"""EdgeTAM: its parts against plain forms of them, its graphs against torch, its checkpoints by their official names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError, ModelCorrupt, ModelError

for package in ("torch", "sam2", "onnx"):
    if find_spec(package) is None:
        pytest.skip(f"{package} is missing: make test installs it (docs/export.md)", allow_module_level=True)

import numpy as np  # noqa: E402  # what follows imports torch
import torch  # noqa: E402

from tools.export_onnx import main  # noqa: E402
from tools.sam2 import checkpoint, edgetam, official, parity  # noqa: E402
from tools.sam2.edgetam_perceiver import SpatialPerceiver  # noqa: E402
from tools.sam2.edgetam_repvit import RepVit, fold  # noqa: E402
from tools.sam2.export import sample_inputs  # noqa: E402
from tools.sam2.families import Parts, Source  # noqa: E402
from tools.sam2.interface import INTERFACE, Counts  # noqa: E402

SIZE = 256
GRID = SIZE // 16
RANDOM = Source("edgetam", "edgetam", None, 0, "random:0")
TOLERANCE = parity.TOLERANCE["fp32"]

OFFICIAL_NAMES = {
    "image_encoder.trunk.body.stem.conv1.c.weight": (24, 3, 3, 3),
    "image_encoder.trunk.body.stem.conv2.bn.running_var": (48,),
    "image_encoder.trunk.body.stages_0.blocks.0.token_mixer.conv.c.weight": (48, 1, 3, 3),
    "image_encoder.trunk.body.stages_0.blocks.0.token_mixer.conv1.bn.running_mean": (48,),
    "image_encoder.trunk.body.stages_0.blocks.0.se.fc1.weight": (16, 48, 1, 1),
    "image_encoder.trunk.body.stages_1.downsample.pre_block.channel_mixer.conv1.c.weight": (96, 48, 1, 1),
    "image_encoder.trunk.body.stages_1.downsample.spatial_downsample.c.weight": (48, 1, 3, 3),
    "image_encoder.trunk.body.stages_1.downsample.channel_downsample.c.weight": (96, 48, 1, 1),
    "image_encoder.trunk.body.stages_2.blocks.13.channel_mixer.conv2.bn.num_batches_tracked": (),
    "image_encoder.trunk.body.stages_3.downsample.ffn.conv2.c.weight": (384, 768, 1, 1),
    "image_encoder.neck.convs.0.conv.weight": (256, 384, 1, 1),
    "memory_attention.layers.1.cross_attn_image.k_proj.weight": (256, 64),
    "memory_attention.layers.1.linear1.weight": (2048, 256),
    "spatial_perceiver.latents": (256, 64),
    "spatial_perceiver.latents_2d": (256, 64),
    "spatial_perceiver.layers.1.attn.norm_latents.weight": (64,),
    "spatial_perceiver.layers.1.attn.to_kv.weight": (128, 64),
    "spatial_perceiver.layers.0.ff.0.weight": (64,),
    "spatial_perceiver.layers.0.ff.1.weight": (256, 64),
    "spatial_perceiver.layers.0.ff.3.weight": (64, 256),
    "spatial_perceiver.layers.0.self_attn.norm.weight": (64,),
    "spatial_perceiver.layers.0.self_ff.3.weight": (64, 256),
    "spatial_perceiver.norm.bias": (64,),
    "memory_encoder.fuser.layers.1.gamma": (256,),
    "maskmem_tpos_enc": (7, 1, 1, 64),
    "no_mem_pos_enc": (1, 1, 256),
    "obj_ptr_proj.layers.2.weight": (256, 256),
    "mask_downsample.weight": (1, 1, 4, 4),
}
"""Some of every part, as the official checkpoint calls them."""


@pytest.fixture(scope="module")
def parts() -> Parts:
    return edgetam.build(RANDOM, SIZE)


def inputs_of(name: str, counts: Counts) -> dict[str, Any]:
    return sample_inputs(name, SIZE, 512, counts)


def test_the_model_has_the_names_and_shapes_of_the_official_checkpoint(parts: Parts) -> None:
    weights = parts.official.state_dict()
    assert {name: tuple(weights[name].shape) for name in OFFICIAL_NAMES} == OFFICIAL_NAMES
    assert "no_obj_embed_spatial" not in weights
    assert not any(name.startswith("obj_ptr_tpos_proj") for name in weights)
    count = sum(parameter.numel() for parameter in parts.official.parameters())
    assert count == pytest.approx(13.9e6, rel=0.01)  # as published


def test_the_folded_backbone_is_the_same_function() -> None:
    torch.manual_seed(1)
    trunk = RepVit().eval()
    for module in trunk.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.3, 0.7)
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    folded = fold(trunk)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        stages = trunk(image)
        for wanted, found in zip(stages, folded(image), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
    assert [tuple(stage.shape[1:]) for stage in stages] == [
        (48, 16, 16), (96, 8, 8), (192, 4, 4), (384, 2, 2)
    ]  # fmt: skip


WINDOWS = (0, 1, 15, 16, 100, 255)


def plain_perceiver(module: SpatialPerceiver, memory: Any, position: Any) -> Any:
    """Global latents, then those of `WINDOWS`: with torch's own attention, each window by itself."""

    def look(layer: Any, latents: Any, tokens: Any, place: Any) -> Any:
        attn, own = layer.attn, layer.self_attn
        key, value = attn.to_kv(attn.norm_x(tokens)).chunk(2, -1)
        query = attn.to_q(attn.norm_latents(latents))
        seen = torch.nn.functional.scaled_dot_product_attention(query, key + place, value + place)
        latents = latents + attn.to_out(seen)
        latents = latents + layer.ff(latents)
        normal = own.norm(latents)
        key, value = own.to_kv(normal).chunk(2, -1)
        seen = torch.nn.functional.scaled_dot_product_attention(own.to_q(normal), key, value)
        latents = latents + own.to_out(seen)
        return latents + layer.self_ff(latents)

    side = round(memory.shape[0] ** 0.5)
    window = side // 16
    whole = module.latents
    for layer in module.layers:
        whole = look(layer, whole, memory, position)
    local = []
    for index in WINDOWS:
        top, left = index // 16 * window, index % 16 * window
        square = memory.reshape(side, side, 64)[top : top + window, left : left + window].reshape(-1, 64)
        latent = module.latents_2d[index][None]
        for layer in module.layers:
            latent = look(layer, latent, square, torch.zeros(1, 64))
        local.append(latent)
    return module.norm(torch.cat([whole, *local]))


def test_a_window_latent_sees_its_window_and_a_global_one_everything() -> None:
    torch.manual_seed(2)
    module = SpatialPerceiver().eval()
    memory, position = torch.randn(2, 32 * 32, 64), torch.randn(1, 32 * 32, 64)
    looked_at = [*range(256), *(256 + index for index in WINDOWS)]
    with torch.no_grad():
        found = module(memory, position)
        wanted = plain_perceiver(module, memory[1], position[0])
        elsewhere = module(memory, position + torch.randn(1, 32 * 32, 64))
        smaller = module(memory[:, :256], position[:, :256])
    assert found.shape == smaller.shape == (2, 512, 64)  # whatever the picture's size
    torch.testing.assert_close(found[1, looked_at], wanted, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(elsewhere[:, :256], found[:, :256], atol=1e-2)
    torch.testing.assert_close(elsewhere[:, 256:], found[:, 256:])


def test_modules_compute_what_the_model_computes(parts: Parts) -> None:
    differences = official.module_differences(parts, SIZE)
    assert parity.complaints(differences, TOLERANCE) == []
    assert {item.graph for item in differences} == set(parts.modules)


@pytest.mark.parametrize(
    "entry",
    ["memory", "memory_tpos", "obj_ptr", "memory_valid", "obj_ptr_valid", "image_embed", "frame_index"],
)
def test_the_memory_attention_depends_on(entry: str, parts: Parts) -> None:
    inputs = inputs_of("memory_attention", Counts(2, 2))
    [before] = parity.run_module(parts.modules["memory_attention"], inputs)
    changed: dict[str, Any] = {
        "memory": inputs["memory"].flip(2), "memory_tpos": 6 - inputs["memory_tpos"],
        "obj_ptr": -inputs["obj_ptr"], "memory_valid": 1 - inputs["memory_valid"],
        "obj_ptr_valid": 1 - inputs["obj_ptr_valid"], "image_embed": -inputs["image_embed"],
        "frame_index": inputs["frame_index"].flip(0),
    }  # fmt: skip
    [after] = parity.run_module(parts.modules["memory_attention"], inputs | {entry: changed[entry]})
    assert np.abs(after - before).max() > 100 * TOLERANCE * np.abs(before).max()


def test_a_bank_entry_that_is_not_valid_does_not_count(parts: Parts) -> None:
    inputs = inputs_of("memory_attention", Counts(1, 1))
    inputs["memory_valid"][:, 2:] = 0
    inputs["obj_ptr_valid"][:, 3:] = 0
    short: Mapping[str, Any] = inputs | {
        name: inputs[name][:, :2] for name in ("memory", "memory_tpos", "memory_valid")
    } | {name: inputs[name][:, :3] for name in ("obj_ptr", "obj_ptr_tdiff", "obj_ptr_valid")}  # fmt: skip
    module = parts.modules["memory_attention"]
    [padded], [wanted] = parity.run_module(module, inputs), parity.run_module(module, short)
    np.testing.assert_allclose(padded, wanted, atol=1e-4 * np.abs(wanted).max())


def test_graphs_compute_what_torch_computes(parts: Parts, edgetam_folder: Path) -> None:
    differences = parity.graph_differences(parts, edgetam_folder, SIZE)
    assert parity.complaints(differences, TOLERANCE) == []


def test_graphs_have_every_input_and_nothing_that_tensorrt_refuses(edgetam_folder: Path) -> None:
    import onnx

    for name, face in INTERFACE.items():
        graph = onnx.load(edgetam_folder / f"{name}.onnx").graph
        assert [entry.name for entry in graph.input] == list(face.inputs)
        kinds = {node.op_type for node in graph.node}
        assert not kinds & {"NonZero", "ScatterElements", "ScatterND", "If", "Loop", "Scan"}


def saved(path: Path, weights: Mapping[str, Any]) -> Path:
    torch.save({"model": dict(weights)}, path)
    return path


def test_a_checkpoint_is_recognised_and_fills_the_model(parts: Parts, tmp_path: Path) -> None:
    weights = {name: tensor.clone() for name, tensor in parts.official.state_dict().items()}
    weights["maskmem_tpos_enc"] += 1
    source = checkpoint.read(saved(tmp_path / "edgetam.pt", weights))
    assert (source.family, source.variant) == ("edgetam", "edgetam")
    assert source.label.startswith("sha256:")
    model = edgetam.official_model(source, 512)  # weights know no size
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def test_a_checkpoint_that_is_another_is_refused_in_a_line(parts: Parts, tmp_path: Path) -> None:
    weights = dict(parts.official.state_dict())
    source = checkpoint.read(saved(tmp_path / "edgetam.pt", weights))
    without = {name: tensor for name, tensor in weights.items() if name != "spatial_perceiver.latents_2d"}
    narrow = weights | {"spatial_perceiver.latents": torch.zeros(128, 64)}
    more = weights | {"no_obj_embed_spatial": torch.zeros(1, 64)}
    for wrong, told in ((without, "latents_2d"), (narrow, r"\(128, 64\)"), (more, "no_obj_embed_spatial")):
        with pytest.raises(ModelCorrupt, match=told) as caught:
            edgetam.official_model(replace(source, weights=wrong), SIZE)
        assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="neither"):
        checkpoint.read(saved(tmp_path / "other.pt", {"weight": torch.zeros(1)}))
    with pytest.raises(ConfigError, match="edgetam"):
        checkpoint.read(tmp_path / "edgetam.pt", "tiny")


def test_sizes_are_multiples_of_256(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["sam2", "--random", "edgetam", "--size", "448", "--out", str(tmp_path / "out")]) != 0
    assert "multiples of 256" in capsys.readouterr().err
