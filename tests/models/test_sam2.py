"""The whole loop against the official predictor, with made-up weights; and what it does with bad input."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.sam2_clip import figure_box, frame_at
from engine.errors import ModelCorrupt, ModelNotFound, PromptError
from engine.models.sam2 import Segmenter, SegmenterOptions
from engine.models.sam2_memory import MemoryBank
from engine.models.sam2_predictions import Features, Predictions
from engine.types import F32, FrameNv12, Prompt

SIZE_WH = (320, 240)
FRAMES = 7
FIRST = np.zeros(1, np.int64)


@pytest.fixture(scope="module")
def segmenter(sam2_folder: Path) -> Iterator[Segmenter]:
    loaded = Segmenter.load(sam2_folder, SegmenterOptions(freeze_iou=0.0, rows_per_call=2))
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def features(segmenter: Segmenter) -> Features:
    return segmenter.encode([frame_at(0, SIZE_WH), frame_at(3, SIZE_WH)])


def box_of(figure: int, index: int = 0) -> Prompt:
    return Prompt.of_box(figure_box(figure, index, SIZE_WH))


def clicks(*xyl: tuple[float, float, int]) -> Prompt:
    return Prompt(
        np.array([each[:2] for each in xyl], np.float32), np.array([each[2] for each in xyl], np.int32)
    )


def started(segmenter: Segmenter, features: Features, *figures: int) -> tuple[MemoryBank, np.ndarray]:
    """A bank in which the figures were prompted on frame 0, and their rows."""
    bank = segmenter.new_bank(4)
    rows = np.array([bank.add(("a", figure))[0] for figure in figures])
    found = segmenter.prompt(features, np.zeros(len(rows), np.int64), [box_of(figure) for figure in figures])
    assert segmenter.remember(features, bank, rows, found).all()
    return bank, rows


class Clip:
    """The official predictor's masks of a clip; computed once."""

    def __init__(self, segmenter: Segmenter) -> None:
        pytest.importorskip("sam2", reason="sam2 is missing: pip install camring[export] (docs/export.md)")
        from bench.sam2_official import Life
        from bench.sam2_parity import lives, official_logits

        x, y = (float(value) for value in figure_box(1, 0, SIZE_WH)[:2] + 20)
        middle = FRAMES // 2
        self.segmenter = segmenter
        self.frames: list[FrameNv12] = [frame_at(index, SIZE_WH) for index in range(FRAMES)]
        self.whole_lives = lives(FRAMES, SIZE_WH)
        self.corrected = {
            4: Life(1, FRAMES, clicks((x, y, 1), (300, 200, 0)), refined={middle: clicks((x + 9, y, 0))}),
            5: Life(0, 2, clicks((x, y, 1)), repeats=(clicks((x, y, 1), (10, 200, 0)),)),
        }
        self.wanted = official_logits(segmenter, self.frames, self.whole_lives | self.corrected)


@pytest.fixture(scope="module")
def clip(segmenter: Segmenter) -> Clip:
    return Clip(segmenter)


def test_objects_that_come_and_go_have_the_official_masks_on_every_frame(clip: Clip) -> None:
    from bench.sam2_parity import compare, follow

    found = follow(clip.segmenter, clip.segmenter.new_bank(3), clip.frames, clip.whole_lives)
    assert sum(len(frames) for frames in found.values()) == 7 + 3 + 5
    for number, frames in found.items():
        compared = compare(frames, clip.wanted[number])
        # Asked for are 1e-3 and 99.9 %; what is seen is a hundred times better.
        assert compared.largest < 1e-4, (number, compared)
        assert compared.agreement > 0.9995, (number, compared)
        assert (clip.wanted[number][min(frames)] > 0).any(), "a comparison of nothing with nothing"


@pytest.mark.parametrize("fault", ["memories zeroed", "ages off by one", "pointers left out"])
def test_the_comparison_notices_a_wrong_memory(clip: Clip, fault: str) -> None:
    from bench.sam2_parity import FAULTS, bank_of, compare, follow

    first = {1: clip.whole_lives[1]}
    found = follow(clip.segmenter, bank_of(clip.segmenter, FAULTS[fault]), clip.frames, first)
    assert compare(found[1], clip.wanted[1]).largest > 1e-3


def test_a_correction_on_a_followed_frame_is_the_official_one(clip: Clip) -> None:
    segmenter, life = clip.segmenter, clip.corrected[4]
    bank = segmenter.new_bank(1)
    rows = np.array([bank.add(("a", 4))[0]])
    for index in range(life.first, life.end):
        features = segmenter.encode([clip.frames[index]])
        if index == life.first:
            found = segmenter.prompt(features, FIRST, [life.prompt])
        elif index in life.refined:
            found = segmenter.refine(features, FIRST, bank, rows, [life.refined[index]])
        else:
            found = segmenter.track(features, FIRST, bank, rows)
        # The official predictor leaves a corrected frame among those that are not conditioning.
        conditioning = np.array([index == life.first])
        segmenter.remember(features, bank, rows, found, conditioning)
        assert_same(found.low_res_masks[0], clip.wanted[4][index])


def test_further_clicks_on_the_first_frame_go_upon_the_mask_before(clip: Clip) -> None:
    segmenter, life = clip.segmenter, clip.corrected[5]
    features = segmenter.encode([clip.frames[0]])
    found = segmenter.prompt(features, FIRST, [life.prompt])
    again = segmenter.prompt(features, FIRST, [life.repeats[0]], previous=[found.low_res_masks[0]])
    assert_same(again.low_res_masks[0], clip.wanted[5][0])
    alone = segmenter.prompt(features, FIRST, [life.repeats[0]])
    assert np.abs(alone.low_res_masks - again.low_res_masks).max() > 0.1


def assert_same(found: F32, wanted: F32) -> None:
    assert np.abs(found - wanted).max() < 1e-4 * (wanted.max() - wanted.min())


def test_rows_of_two_cameras_are_the_same_as_each_alone(segmenter: Segmenter, features: Features) -> None:
    bank, rows = started(segmenter, features, 0, 1, 2)
    frame_index = np.array([0, 1, 1])
    together = segmenter.track(features, frame_index, bank, rows)
    for row in range(3):
        alone = segmenter.track(features, frame_index[row : row + 1], bank, rows[row : row + 1])
        assert np.abs(alone.low_res_masks[0] - together.low_res_masks[row]).max() < 1e-3
    assert np.abs(together.low_res_masks[0] - together.low_res_masks[1]).max() > 0.1


def test_prompts_of_different_kinds_go_together(segmenter: Segmenter, features: Features) -> None:
    mask_hw = np.zeros(SIZE_WH[::-1], np.bool_)
    mask_hw[40:90, 60:120] = True
    prompts = [
        box_of(0),
        Prompt(mask_hw=mask_hw),
        clicks((30, 30, 1)),
        box_of(1),
        box_of(2),
        clicks((50, 50, 1)),
    ]
    frame_index = np.array([0, 1, 0, 1, 0, 1])
    together = segmenter.prompt(features, frame_index, prompts, candidates=True)
    assert not any(together.failures) and together.prompted.all()
    for row, prompt in enumerate(prompts):
        alone = segmenter.prompt(features, frame_index[row : row + 1], [prompt])
        assert np.abs(alone.low_res_masks[0] - together.low_res_masks[row]).max() < 1e-3, row
        assert np.abs(alone.pointers[0] - together.pointers[row]).max() < 1e-3, row
    assert together.ious[1] == 1 and together.object_scores[1] == 10
    inside = together.low_res_masks[1] > 0
    assert inside.mean() == pytest.approx(mask_hw.mean(), rel=0.05)
    assert together.candidate_ious is not None and together.candidate_ious[2].argmax() in (0, 1, 2, 3)


def test_a_prompt_out_of_the_picture_changes_nothing(segmenter: Segmenter, features: Features) -> None:
    bank, rows = started(segmenter, features, 0)
    before = segmenter.track(features, FIRST, bank, rows).low_res_masks
    with pytest.raises(PromptError, match="outside of the picture"):
        segmenter.prompt(features, np.zeros(2, np.int64), [box_of(0), clicks((999, 5, 1))])
    with pytest.raises(PromptError):
        segmenter.refine(features, FIRST, bank, rows, [clicks((5, 999, 0))])
    assert np.array_equal(segmenter.track(features, FIRST, bank, rows).low_res_masks, before)


def test_memories_outlive_a_change_of_the_cameras_resolution(
    segmenter: Segmenter, features: Features
) -> None:
    bank, rows = started(segmenter, features, 0)
    larger = segmenter.encode([frame_at(0, (640, 480), seed=1)])
    assert larger.sizes_wh == ((640, 480),)
    found = segmenter.track(larger, FIRST, bank, rows)
    assert not found.failures[0]
    assert segmenter.remember(larger, bank, rows, found).all()


def with_nan(features: Features, frame: int) -> Features:
    spoiled = features.image_embed.copy()
    spoiled[frame, 3, 2, 1] = np.nan
    return replace(features, image_embed=spoiled)


def test_an_object_whose_memory_gives_nan_is_reported_and_the_others_go_on(
    segmenter: Segmenter, features: Features
) -> None:
    bank, rows = started(segmenter, features, 0, 1, 2)
    index = np.ones(3, np.int64)
    fine = segmenter.track(features, index, bank, rows)
    bank._pointer[rows[1]] = np.nan
    found = segmenter.track(features, index, bank, rows)
    assert found.failures == ["", "memory_attention gave numbers that are not finite", ""]
    assert (found.low_res_masks[1] == -1024).all() and found.object_scores[1] < 0 and found.ious[1] == 0
    assert np.array_equal(found.low_res_masks[[0, 2]], fine.low_res_masks[[0, 2]])
    assert segmenter.remember(features, bank, rows, found).tolist() == [True, False, True]
    assert [bank.steps(("a", number)) for number in (0, 1, 2)] == [2, 1, 2]


def test_a_frame_that_gives_nan_freezes_its_objects_only(segmenter: Segmenter, features: Features) -> None:
    bank, rows = started(segmenter, features, 0, 1)
    spoiled = with_nan(features, 1)
    found = segmenter.track(spoiled, np.array([0, 1]), bank, rows)
    assert found.failures[0] == "" and "memory_attention" in found.failures[1]
    prompted = segmenter.prompt(spoiled, np.array([0, 1]), [box_of(0), box_of(1)])
    assert prompted.failures[0] == "" and "mask_decoder" in prompted.failures[1]


def test_a_memory_that_is_not_finite_is_not_taken(segmenter: Segmenter, features: Features) -> None:
    bank, rows = started(segmenter, features, 0, 1)
    found = segmenter.track(features, np.zeros(2, np.int64), bank, rows)
    found.low_res_masks[1] = np.inf
    found.low_res_masks[1, 0] = -np.inf
    assert segmenter.remember(features, bank, rows, found).tolist() == [True, False]
    assert found.failures == ["", "memory_encoder gave numbers that are not finite"]


def unsure(found: Predictions) -> Predictions:
    found.ious[:] = 0.3
    return found


def test_memory_is_frozen_while_the_object_is_unsure(sam2_folder: Path, features: Features) -> None:
    careful = Segmenter.load(sam2_folder, SegmenterOptions(freeze_iou=0.5, motion_aware=True))
    bank, rows = started(careful, features, 0)
    before = careful.track(features, FIRST, bank, rows)
    assert careful.remember(
        features, bank, rows, unsure(careful.track(features, FIRST, bank, rows))
    ).tolist() == [False]
    after = careful.track(features, FIRST, bank, rows)
    assert np.array_equal(before.low_res_masks, after.low_res_masks), "frozen: not a frame older either"
    after.ious[:], after.object_scores[:] = 0.9, 1.0
    assert careful.remember(features, bank, rows, after).tolist() == [True]
    assert not np.array_equal(careful.track(features, FIRST, bank, rows).low_res_masks, before.low_res_masks)
    careful.close()


def test_motion_aware_without_a_motion_is_the_official_choice(sam2_folder: Path, features: Features) -> None:
    aware = Segmenter.load(sam2_folder, SegmenterOptions(freeze_iou=0.0, motion_aware=True))
    bank, rows = started(aware, features, 0, 1)
    index = np.zeros(2, np.int64)
    found = aware.track(features, index, bank, rows)
    plain = Segmenter.load(sam2_folder, SegmenterOptions(freeze_iou=0.0))
    wanted = plain.track(features, index, bank, rows)
    for name in ("low_res_masks", "ious", "pointers", "object_scores"):
        assert np.abs(getattr(found, name) - getattr(wanted, name)).max() < 1e-5, name
    aware.close()
    plain.close()


def test_it_says_what_it_is_and_what_it_decided(sam2_folder: Path) -> None:
    loaded = Segmenter.load(sam2_folder, SegmenterOptions(backends=("ort-cuda", "ort-cpu")))
    assert loaded.description.startswith("sam2.1 tiny, 256 × 256, fp32, ONNX Runtime")
    assert [choice.what for choice in loaded.choices] == [
        "segmenter backend",
        "objects per call",
        "segmenter threads",
    ]
    assert loaded.choices[0].chosen == "ort-cpu" and "ort-cuda" in loaded.choices[0].reason
    assert len(loaded.degraded) == 1 and "ort-cuda does not run" in loaded.degraded[0]
    loaded.close()
    loaded.close()


def test_mixed_and_incomplete_folders_are_refused(sam2_folder: Path, tmp_path: Path) -> None:
    import onnx

    mixed = tmp_path / "mixed"
    shutil.copytree(sam2_folder, mixed)
    path = mixed / "memory_encoder.onnx"
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {"camring.set_id": "of another export"})
    onnx.save(model, str(path))
    with pytest.raises(ModelCorrupt, match=r"memory_encoder\.onnx: belongs to set of another export.*mixed"):
        Segmenter.load(mixed)
    path.unlink()
    with pytest.raises(ModelNotFound, match=r"memory_encoder\.onnx"):
        Segmenter.load(mixed)
    with pytest.raises(ModelNotFound):
        Segmenter.load(tmp_path / "absent")
