"""Prompts: what is refused, and what the decoder is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.errors import PromptError
from engine.models.sam2_prompts import (
    check_prompt,
    dense_prompt_of_mask,
    logits_of_mask,
    points_of,
    square_mask,
)
from engine.types import Prompt

SIZE_WH = (320, 240)


def points(*xyl: tuple[float, float, int], box: list[float] | None = None) -> Prompt:
    return Prompt(
        np.array([each[:2] for each in xyl], np.float32).reshape(-1, 2),
        np.array([each[2] for each in xyl], np.int32),
        None if box is None else np.array(box, np.float32),
    )


def mask(value: Any = None, size_wh: tuple[int, int] = SIZE_WH) -> Prompt:
    mask_hw = np.zeros(size_wh[::-1], np.bool_)
    if value is not None:
        mask_hw[value] = True
    return Prompt(mask_hw=mask_hw)


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        (points((321, 10, 1)), "outside of the picture of 320 × 240"),
        (points((10, -0.5, 1)), "outside"),
        (points((float("nan"), 5, 1)), "outside"),
        (points((10, 10, 2)), "labels"),
        (points((10, 10, 0)), "what the object is not"),
        (points(*[(1, 1, 1)] * 17), "17 points"),
        (points(*[(1, 1, 1)] * 15, box=[0, 0, 9, 9]), "17 points"),
        (points(box=[400, 10, 500, 50]), "outside"),
        (points(box=[-50, 10, 0, 50]), "outside"),
        (points(box=[50, 10, 50, 50]), "no area"),
        (points(box=[50, 10, float("inf"), 50]), "no area"),
        (mask(), "empty"),
        (mask(...), "whole picture"),
        (mask((3, 3), (100, 100)), "100 × 100"),
        (
            Prompt(mask_hw=np.eye(240, 320, dtype=np.bool_), box_xyxy=np.ones(4, np.float32)),
            "without points and box",
        ),
    ],
)
def test_a_prompt_that_cannot_be_answered_is_refused(prompt: Prompt, reason: str) -> None:
    with pytest.raises(PromptError, match=reason):
        check_prompt(prompt, SIZE_WH)


def test_edges_and_refinements_are_allowed() -> None:
    check_prompt(points((320, 240, 1), (0, 0, 0)), SIZE_WH)
    check_prompt(points((10, 10, 0)), SIZE_WH, refining=True)
    check_prompt(points((10, 10, 0), box=[-5, -5, 50, 50]), SIZE_WH)
    check_prompt(mask((slice(0, 240), slice(0, 319))), SIZE_WH)


def test_the_box_comes_first_and_is_cut_at_the_edges() -> None:
    coords, labels = points_of(points((160, 120, 0), box=[-20, 60, 160, 300]), SIZE_WH, 512)
    assert coords.tolist() == [[0, 128], [256, 512], [256, 256]]
    assert labels.tolist() == [2, 3, 0]
    assert coords.dtype == np.float32 and labels.dtype == np.int32


def test_a_mask_has_the_point_that_is_none() -> None:
    coords, labels = points_of(mask((3, 3)), SIZE_WH, 512)
    assert coords.tolist() == [[0, 0]] and labels.tolist() == [-1]


@pytest.mark.parametrize("size_wh", [SIZE_WH, (1280, 720), (100, 90), (256, 256)])
def test_masks_are_resized_as_by_the_official_predictor(size_wh: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    resize = torch.nn.functional.interpolate
    generator = np.random.default_rng(0)
    mask_hw = np.kron(generator.random((9, 10)) > 0.5, np.ones((size_wh[1] // 9, size_wh[0] // 10))) > 0
    mask_hw = np.pad(
        mask_hw, [(0, size - have) for size, have in zip(size_wh[::-1], mask_hw.shape, strict=True)]
    )
    original = torch.from_numpy(mask_hw)[None, None].float()
    wanted = resize(original, size=(256, 256), mode="bilinear", align_corners=False, antialias=True) >= 0.5
    square = square_mask(mask_hw, 256)
    assert (square > 0).mean() > 0.1
    # Ties, which are where an edge lies in the middle of a pixel, may fall on either side.
    assert (square != wanted[0, 0].numpy()).mean() < 1e-3
    logits = resize(
        torch.from_numpy(square)[None, None] * 20 - 10,
        size=(64, 64),
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    assert np.abs(logits_of_mask(square, len(square) // 4) - logits[0, 0].numpy()).max() < 1e-4


def test_the_dense_prompt_is_a_convolution() -> None:
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    square = (generator.random((64, 64)) > 0.5).astype(np.float32)
    weight = generator.standard_normal((4, 4)).astype(np.float32)
    wanted = torch.nn.functional.conv2d(
        torch.from_numpy(square)[None, None],
        torch.from_numpy(weight)[None, None],
        torch.tensor([0.25]),
        stride=4,
    )
    assert np.abs(dense_prompt_of_mask(square, weight, 0.25) - wanted[0, 0].numpy()).max() < 1e-5
