"""How re-identification networks are told from each other and from other models, by their interface."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import ModelUnsupported
from engine.models.heads.base import Graph, Tensor
from engine.models.reid_heads import PIXELS, recognise_reid

NCHW, NHWC = (3, 256, 128), (256, 128, 3)


def graph(
    output: tuple[int, ...],
    picture: tuple[int | str, ...] = NCHW,
    batch: int | str = "batch",
    **metadata: str,
) -> Graph:
    inputs = (Tensor("images", "float32", (batch, *picture)),)
    declared = (Tensor("out", "float32", (batch, *output[1:])),)
    return Graph(inputs, declared, (output,), (128, 256), metadata)


@pytest.mark.parametrize(
    ("found", "pixels", "dims"),
    [
        (graph((1, 512)), "rgb-imagenet", 512),
        (graph((1, 512), batch=1), "rgb-imagenet", 512),
        (graph((1, 512, 1, 1)), "rgb-imagenet", 512),
        (graph((1, 256), NHWC, 1), "bgr-255", 256),
        (graph((1, 256), NCHW, 1), "bgr-255", 256),
        (graph((1, 256, 1, 1), NCHW, 1), "bgr-255", 256),
        (graph((1, 2048), reid_pixels="rgb-255"), "rgb-255", 2048),
        (graph((1, 512), reid_pixels="rgb-1"), "rgb-1", 512),
        (graph((1, 512), (3, "h", "w"), imgsz="[256, 128]"), "rgb-imagenet", 512),
    ],
)  # fmt: skip
def test_networks_are_told_by_metadata_and_sizes(found: Graph, pixels: str, dims: int) -> None:
    head = recognise_reid(found, "model.onnx")
    assert head.pixels == PIXELS[pixels] and head.dims == dims and head.layout.startswith(pixels)


def test_the_registry_knows_better_than_sizes_and_the_file_best() -> None:
    assert recognise_reid(graph((1, 512)), "m", "bgr-255").pixels == PIXELS["bgr-255"]
    told = graph((1, 512), reid_pixels="rgb-1")
    assert recognise_reid(told, "m", "bgr-255").pixels == PIXELS["rgb-1"]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (graph((1, 2048)), "whose pixels are not known"),
        (graph((1, 256)), "whose pixels are not known"),
        (graph((1, 512), NHWC), "whose pixels are not known"),
        (graph((1, 8)), "one row of at least 16 numbers"),
        (graph((1, 512, 16, 8)), "one row of at least 16 numbers"),
        (graph((1, 512), (3, "h", "w")), "for pictures of which size it was trained"),
        (graph((1, 512), reid_pixels="bgr-25"), r"'bgr-25', which is not known \(did you mean 'bgr-255'\?\)"),
        (graph((1, 84, 8400)), "at least 16 numbers"),
        (graph((1, 300, 6)), r"a detector \(.*\), no re-identification network; it belongs under infer.model"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused_in_one_line(found: Graph, message: str) -> None:
    with pytest.raises(ModelUnsupported, match=message) as caught:
        recognise_reid(found, "model.onnx")
    assert str(caught.value).startswith("model.onnx: ") and "\n" not in str(caught.value)


def test_vectors_have_unit_length_and_what_is_none_is_zeros() -> None:
    head = recognise_reid(graph((1, 512)), "m")
    rows = np.random.default_rng(0).normal(size=(4, 512)).astype(np.float32) * np.float32(1e-3)
    rows[1, 7], rows[2] = np.nan, 0.0
    vectors, sound = head.vectors([rows], 3)
    assert (
        vectors.dtype == np.float16 and vectors.shape == (3, 512) and sound.tolist() == [True, False, False]
    )
    assert not vectors[1:].any()
    np.testing.assert_allclose(np.linalg.norm(vectors[0].astype(np.float64)), 1.0, atol=1e-3)
    np.testing.assert_allclose(vectors[0], rows[0] / np.linalg.norm(rows[0]), atol=1e-3)
