"""A segmenter of other widths than SAM 2's: every kind of call, and a folder whose files and sidecar disagree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.sam2_clip import figure_box, frame_at
from engine.errors import ModelCorrupt
from engine.models.sam2 import Segmenter, SegmenterOptions
from engine.models.sam2_automatic import AutomaticFilters, automatic, point_grid
from engine.models.sam2_predictions import Features
from engine.models.sam2_prompts import MASK_LOGIT
from engine.models.sam2_sidecar import GRAPHS
from engine.types import Prompt

SIZE_WH = (320, 180)
WIDTH, MEMORY_WIDTH, SIDE = 128, 64, 128
FIRST = np.zeros(1, np.int64)


@pytest.fixture(scope="module")
def segmenter(nano_sam_folder: Path) -> Iterator[Segmenter]:
    loaded = Segmenter.load(nano_sam_folder, SegmenterOptions(freeze_iou=0.0, threads=1, motion_aware=True))
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def features(segmenter: Segmenter) -> Features:
    return segmenter.encode([frame_at(0, SIZE_WH), frame_at(1, SIZE_WH)])


def test_masks_and_memories_have_the_sizes_of_the_model(segmenter: Segmenter, features: Features) -> None:
    assert features.image_embed.shape == (2, WIDTH, 16, 16) and features.high_res_0.shape[2:] == (SIDE, SIDE)
    assert "sam2.1 nano, 256 × 256" in segmenter.description and segmenter.mask_side == SIDE
    bank = segmenter.new_bank(3)
    rows = np.array([bank.add(("a", number))[0] for number in (0, 1)])
    boxes = [Prompt.of_box(figure_box(number, 0, SIZE_WH)) for number in (0, 1)]
    found = segmenter.prompt(features, np.zeros(2, np.int64), boxes)
    assert segmenter.remember(features, bank, rows, found).all()
    assert found.low_res_masks.shape == (2, SIDE, SIDE) and found.pointers.shape == (2, WIDTH)
    recalled = bank.recall(rows)
    assert recalled.memory.shape == (2, 1, 256, MEMORY_WIDTH) and recalled.obj_ptr.shape[2] == WIDTH
    followed = segmenter.track(features, np.ones(2, np.int64), bank, rows)
    assert followed.failures == ["", ""] and followed.low_res_masks.shape == (2, SIDE, SIDE)
    click = Prompt(np.array([[160.0, 90.0]], np.float32), np.ones(1, np.int32))
    corrected = segmenter.refine(features, np.ones(1, np.int64), bank, rows[:1], [click])
    assert np.abs(corrected.low_res_masks[0] - followed.low_res_masks[0]).max() > 0
    assert segmenter.absent(2).pointers.shape == (2, WIDTH)


def test_a_mask_is_the_answer_at_the_models_own_resolution(segmenter: Segmenter, features: Features) -> None:
    mask = np.zeros(SIZE_WH[::-1], np.bool_)
    mask[45:135, 80:240] = True  # the middle half of either side
    found = segmenter.prompt(features, FIRST, [Prompt(mask_hw=mask)])
    inside = found.low_res_masks[0] > 0
    assert inside.shape == (SIDE, SIDE) and inside.sum() == (SIDE // 2) ** 2
    assert inside[SIDE // 4, SIDE // 4] and not inside[SIDE // 4 - 1, SIDE // 4]
    assert found.low_res_masks.max() == pytest.approx(MASK_LOGIT, rel=1e-5) and found.failures == [""]


def test_everything_in_the_picture(segmenter: Segmenter, features: Features) -> None:
    filters = AutomaticFilters(predicted_iou=0.0, stability=0.0, box_iou=1.0, mask_iou=1.0)
    found = automatic(segmenter, features, 0, point_grid(2, SIZE_WH), filters)
    assert len(found) and found.low_res_masks.shape[1:] == (SIDE, SIDE) and found.pointers.shape[1] == WIDTH


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"memory_width": 32}, r"memory_attention\.onnx: its memories are 64 wide, segmenter\.json says 32"),
        (
            {"width": 64, "no_mem_embed": [0.0] * 64},
            r"memory_attention\.onnx: its pointers are 128 wide, segmenter\.json says 64",
        ),
        (
            {"mask_scale": 4, "mask_downsample": {"weight": [[0.0] * 4] * 4, "bias": 0.0}},
            r"mask_decoder\.onnx: its masks have a side of 128, segmenter\.json says 64",
        ),
    ],
)
def test_graphs_that_are_not_what_the_sidecar_says(
    nano_sam_folder: Path, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    for graph in GRAPHS:
        (tmp_path / f"{graph}.onnx").symlink_to(nano_sam_folder / f"{graph}.onnx")
    content = json.loads((nano_sam_folder / "segmenter.json").read_text())
    (tmp_path / "segmenter.json").write_text(json.dumps(content | changes))
    with pytest.raises(ModelCorrupt, match=says) as caught:
        Segmenter.load(tmp_path)
    assert "\n" not in str(caught.value)
