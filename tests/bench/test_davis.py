"""Masks on real sequences: the detector's are those of the manifest, and moved ones stay near them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import davis, mask_motion
from engine.types import Detections


@pytest.fixture(scope="module")
def parkour(data_dir: Path) -> davis.Sequence:
    model = data_dir / "weights" / f"{mask_motion.MODEL}.onnx"
    return next(each for each in davis.sequences(data_dir, model, 16) if each.name == "parkour")


@pytest.mark.data
def test_moved_masks_are_better_than_held_ones_and_those_of_boxes(parkour: davis.Sequence) -> None:
    every = float(
        np.mean([
            davis.best_instance(found.masks, truth)[0]
            for found, truth in zip(parkour.detections, parkour.truths, strict=True)
        ])
    )  # fmt: skip
    moved = mask_motion.move(parkour, 5)
    by_box = mask_motion.move(parkour, 5, mask_motion.BY_BOX)
    assert moved.mean() > 0.9 * every
    assert moved.mean() > by_box.mean() > mask_motion.hold(parkour, 5)
    assert moved.overlaps[0] > 0.6 and len(moved.overlaps) == 16


@pytest.mark.data
def test_the_detectors_masks_score_what_the_manifest_says(data_dir: Path, parkour: davis.Sequence) -> None:
    wanted = davis.expected(data_dir)
    assert wanted["parkour"] == 0.761 and len(wanted) == 5
    assert davis.judge(parkour, wanted["parkour"]).all == pytest.approx(wanted["parkour"], abs=0.05)


def test_things_keep_their_identity_by_overlap_and_class() -> None:
    identities = mask_motion.Identities()
    boxes = np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    found = Detections(boxes, np.ones(2, np.float32), np.array([0, 2], np.int32))
    assert identities.of(found).tolist() == [1, 2]
    swapped = Detections(boxes[::-1] + 2, np.ones(2, np.float32), np.array([2, 0], np.int32))
    assert identities.of(swapped).tolist() == [2, 1]
    assert identities.of(Detections(boxes + 30, np.ones(2, np.float32), np.zeros(2, np.int32))).tolist() == [
        3,
        4,
    ]
