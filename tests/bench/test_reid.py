"""What the benchmark of re-identification counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.reid import covered, frame_of, people_of_clip, people_of_files, quality


def test_figures_are_those_worked_out_by_hand() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], np.float32)
    found = quality(vectors, np.array([1, 1, 2, 2]))
    # Cosines: .8 and .8 within people; 0, .6, .6 and .96 across. The .96 takes two nearest neighbours.
    assert found.rank1 == 0.5 and found.crops == 4 and found.people == 2
    assert found.auc == pytest.approx(0.75) and found.same_mean == pytest.approx(0.8)
    assert found.different_mean == pytest.approx(0.54)
    # Each of the middle two is nearer to the mean of the others: (0, 1) and (.6, .8) for the second, and so on.
    assert found.rank1_means == 0.5


def test_pairs_that_are_equally_alike_count_half() -> None:
    vectors = np.array([[1, 0]] * 4, np.float32)
    assert quality(vectors, np.array([1, 1, 2, 2])).auc == 0.5


def test_the_largest_share_that_another_box_covers() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [100, 0, 110, 20], [100, 0, 110, 10]], np.float64)
    assert covered(boxes).tolist() == [0.5, 0.5, 0.5, 1.0]


def test_odd_pictures_keep_their_last_pixels() -> None:
    bgr = np.full((7, 5, 3), 60, np.uint8)
    bgr[-1, -1] = 200
    frame = frame_of(bgr)
    assert frame.y.shape == (7, 5) and frame.uv.shape == (4, 3, 2)
    assert frame.y[-1, -1] > frame.y[0, 0] + 50


@pytest.mark.data
def test_the_people_are_those_that_the_figures_are_told_for(data_dir: Path) -> None:
    files = people_of_files(data_dir / "reid" / "pets09_a")
    assert len(files.ids) == len(files.crops) == 60 and len(set(files.ids.tolist())) == 10
    truth = data_dir / "mot" / "PETS09-S2L1-a" / "gt" / "gt.txt"
    boxes = people_of_clip(data_dir / "clips" / "pets09_s2l1_0001-0320.mp4", truth)
    assert len(boxes.ids) == sum(len(one.boxes_xyxy) for one in boxes.crops) == 141
    assert set(boxes.ids.tolist()) == set(files.ids.tolist())
