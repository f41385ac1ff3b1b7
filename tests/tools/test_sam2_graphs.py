"""The rewritten modules compute what the package's compute; and where a rewriting is undone in part, it shows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is missing: pip install -e '.[export]'")
pytest.importorskip("sam2", reason="sam2 is missing: make test installs it (requirements-sam2.lock)")

from sam2.modeling.backbones.hieradet import do_pool  # noqa: E402
from sam2.modeling.backbones.utils import window_partition  # noqa: E402
from sam2.modeling.sam2_utils import LayerNorm2d  # noqa: E402

from tools.sam2 import graph_encoder, official  # noqa: E402
from tools.sam2.families import Parts, Source, build  # noqa: E402
from tools.sam2.graph_memory import rotary_tables, rotate  # noqa: E402
from tools.sam2.graph_parts import channel_norm, gelu  # noqa: E402
from tools.sam2.interface import Counts, sample_inputs  # noqa: E402
from tools.sam2.window_order import Windows, enlarged, inverse, pooled_order, window_order  # noqa: E402

SIZE = 256
TOLERANCE = 1e-4


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads of torch wait for each other wherever other work has a core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def parts() -> Parts:
    return build(Source("sam2.1", "tiny", None, 3, "random:3"), SIZE)


def off(found: Any, wanted: Any) -> float:
    """Largest difference as a share of the largest magnitude."""
    return float((found - wanted).abs().max() / wanted.abs().max())


def run(module: Any, inputs: dict[str, Any]) -> Any:
    with torch.no_grad():
        return module(*inputs.values())


def tensors(name: str, counts: Counts) -> dict[str, Any]:
    """Inputs of a graph."""
    inputs = sample_inputs(name, SIZE, (SIZE // 16) ** 2, counts)
    return {key: torch.as_tensor(value) for key, value in inputs.items()}


@pytest.mark.parametrize(
    ("side", "window"), [(16, 8), (16, 14), (14, 14), (32, 14), (8, 7), (21, 7), (4, 14)]
)
def test_windows_are_the_packages_without_their_padding(side: int, window: int) -> None:
    order, kinds = window_order(side, window)
    assert sorted(order.tolist()) == list(range(side * side))
    grid = torch.arange(1, side * side + 1).reshape(1, side, side, 1)
    theirs = {tuple(sorted(each[each > 0].tolist())) for each in window_partition(grid, window)[0]}
    ours, start = set(), 0
    for kind in kinds:
        assert kind.tokens + kind.padding == window * window
        for _ in range(kind.count):
            ours.add(tuple(sorted((order[start : start + kind.tokens] + 1).tolist())))
            start += kind.tokens
    assert ours == theirs and start == side * side


@pytest.mark.parametrize(("side", "window"), [(16, 8), (16, 14), (32, 14), (28, 14)])
def test_pooling_four_neighbours_is_pooling_the_grid(side: int, window: int) -> None:
    order, _ = window_order(side, window)
    values = torch.randn(1, side, side, 3)
    wanted = do_pool(values, torch.nn.MaxPool2d(2, 2)).reshape(-1, 3)
    pooled = values.reshape(-1, 3)[order].reshape(-1, 4, 3).amax(1)
    assert torch.equal(pooled, wanted[pooled_order(order, side)])
    assert torch.equal(pooled[inverse(pooled_order(order, side))], wanted)


def test_enlarging_is_nearest_neighbour() -> None:
    values = torch.randn(1, 2, 3, 3)
    wanted = torch.nn.functional.interpolate(values, scale_factor=2.0, mode="nearest")
    assert torch.equal(values.flatten(2)[:, :, enlarged(6)], wanted.flatten(2))


@pytest.mark.parametrize("channels", [4, 16, 64])
def test_normalising_channels_last_is_the_packages_norm(channels: int) -> None:
    norm = LayerNorm2d(channels).requires_grad_(False)
    torch.nn.init.normal_(norm.weight)
    x = 3 * torch.randn(2, channels, 5, 7) + 1
    assert off(channel_norm(norm, x), norm(x)) < 1e-5


def test_gelu_is_the_exact_one() -> None:
    x = torch.linspace(-6, 6, 1001)
    assert off(gelu(x), torch.nn.functional.gelu(x)) < 1e-6
    assert off(gelu(x), torch.nn.functional.gelu(x, approximate="tanh")) > 1e-5


def test_turning_halves_is_turning_complex_pairs() -> None:
    from sam2.modeling.position_encoding import apply_rotary_enc, compute_axial_cis

    query = torch.randn(1, 1, 64, 256)
    wanted, _ = apply_rotary_enc(query, query, compute_axial_cis(256, 8, 8))
    halves = torch.cat([torch.arange(0, 256, 2), torch.arange(1, 256, 2)])
    assert off(rotate(query[..., halves], *rotary_tables(8, 10000.0)), wanted[..., halves]) < 1e-5


def test_every_module_computes_what_the_official_model_computes(parts: Parts) -> None:
    differences = official.module_differences(parts, SIZE)
    assert {each.graph for each in differences} == set(parts.modules)
    assert max(each.share for each in differences) < TOLERANCE


@pytest.mark.parametrize("size", [64, 224, 320])
def test_the_encoder_at_sizes_with_and_without_cut_windows(size: int) -> None:
    model = build(Source("sam2.1", "tiny", None, 4, "random:4"), size).official
    image = torch.randn(2, 3, size, size)
    with torch.no_grad():
        wanted = model.forward_image(image)["backbone_fpn"]
    found = run(graph_encoder.ImageEncoder(model), {"image": image})
    for mine, theirs in zip(found, (wanted[2], wanted[0], wanted[1]), strict=True):
        assert off(mine, theirs) < TOLERANCE


def test_padding_that_is_not_counted_shows(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.randn(1, 3, SIZE, SIZE)
    wanted = run(parts.modules["image_encoder"], {"image": image})[0]
    monkeypatch.setattr(graph_encoder, "_softmax", lambda scores, padding: torch.softmax(scores, -1))
    assert off(run(parts.modules["image_encoder"], {"image": image})[0], wanted) > 10 * TOLERANCE


def test_windows_in_another_order_show(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def rolled(side: int, window: int) -> tuple[Any, tuple[Windows, ...]]:
        order, kinds = window_order(side, window)
        return order.roll(4), kinds

    image = torch.randn(1, 3, SIZE, SIZE)
    wanted = run(parts.modules["image_encoder"], {"image": image})[0]
    monkeypatch.setattr(graph_encoder, "window_order", rolled)
    assert off(run(graph_encoder.ImageEncoder(parts.official), {"image": image})[0], wanted) > 10 * TOLERANCE


def test_what_is_not_valid_in_the_bank_has_no_effect(parts: Parts) -> None:
    module = parts.modules["memory_attention"]
    inputs = tensors("memory_attention", Counts(1, 2))
    inputs["memory_valid"][:, 3] = 0
    inputs["obj_ptr_valid"][:, 5:] = 0
    wanted = run(module, inputs)
    changed = {name: value.clone() for name, value in inputs.items()}
    changed["memory"][:, 3] = 20
    changed["obj_ptr"][:, 5:] = -20
    assert off(run(module, changed), wanted) < 1e-6
    few = inputs | {
        name: inputs[name][:, [0, 1, 2, 4, 5, 6]] for name in ("memory", "memory_tpos", "memory_valid")
    }
    few |= {name: inputs[name][:, :5] for name in ("obj_ptr", "obj_ptr_tdiff", "obj_ptr_valid")}
    assert off(run(module, few), wanted) < TOLERANCE
    changed["memory_valid"][:, 3] = 1
    assert off(run(module, changed), wanted) > 10 * TOLERANCE


@pytest.mark.parametrize("name", ["memory_attention", "mask_decoder", "memory_encoder"])
def test_rows_do_not_see_each_other(parts: Parts, name: str) -> None:
    inputs = tensors(name, Counts(2, 3, points=3))
    together = first_output(parts, name, inputs)
    by_frame = {"image_embed", "high_res_0", "high_res_1"}
    last = {key: value if key in by_frame else value[2:] for key, value in inputs.items()}
    alone = first_output(parts, name, last)
    assert off(together[2:], alone) < TOLERANCE
    last["frame_index"] = 1 - last["frame_index"]
    assert off(first_output(parts, name, last), alone) > 10 * TOLERANCE


def first_output(parts: Parts, name: str, inputs: dict[str, Any]) -> Any:
    found = run(parts.modules[name], inputs)
    return found[0] if isinstance(found, tuple) else found


def test_the_padding_key_weighs_as_many_as_it_stands_for() -> None:
    scores = torch.randn(2, 3, 5)
    wanted = torch.softmax(torch.cat([scores, torch.zeros(2, 3, 7)], -1), -1)[..., :5]
    assert off(graph_encoder._softmax(scores, 7), wanted) < 1e-6
    assert math.isclose(float(graph_encoder._softmax(scores, 0).sum()), 6.0, rel_tol=1e-5)
