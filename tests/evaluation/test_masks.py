"""Whole sequences: which mask stands for which object, which frames count, and what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.evaluation.masks import Match, Truth, judge
from engine.evaluation.results import open_result
from tests.evaluation.pictures import objects_of, square, write_folder, write_lines

LEFT, RIGHT, WIDE = square(4, 10, 12), square(40, 10, 12), square(40, 10, 16)
BOTH = objects_of({1: LEFT, 2: RIGHT})


def truth_of(folder: Path, frames: int = 6, all_frames: bool = False) -> Truth:
    return Truth.read("pair", write_folder(folder / "truth", dict.fromkeys(range(frames), BOTH)), all_frames)


def polygon(left: float, top: float, side: float) -> list[list[list[list[float]]]]:
    right, bottom = left + side, top + side
    return [[[[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]]]


def test_the_truth_itself_is_right(tmp_path: Path) -> None:
    truth = truth_of(tmp_path)
    score = judge(truth, open_result(tmp_path / "truth"), Match.ID)
    assert [each.object_id for each in score.objects] == [1, 2]
    assert all(each.region_and_contour == each.region.recall == 1 for each in score.objects)


def test_the_first_and_the_last_frame_do_not_count(tmp_path: Path) -> None:
    frames = {number: BOTH if 0 < number < 5 else np.zeros_like(BOTH) for number in range(6)}
    result = open_result(write_folder(tmp_path / "result", frames))
    score = judge(truth_of(tmp_path), result, Match.ID)
    assert score.frames == 4 and score.objects[0].region.mean == 1
    everything = Truth.read("pair", tmp_path / "truth", all_frames=True)
    assert judge(everything, result, Match.ID).objects[0].region.mean == pytest.approx(4 / 6)


def test_objects_are_matched_by_number_by_track_or_frame_by_frame(tmp_path: Path) -> None:
    # Numbers swapped in the second half, and one of the two a little too large.
    frames = {
        number: objects_of({7: LEFT, 9: WIDE} if number < 4 else {9: LEFT, 7: WIDE}) for number in range(6)
    }
    result = open_result(write_folder(tmp_path / "result", frames))
    truth = truth_of(tmp_path)
    assert [each.region.mean for each in judge(truth, result, Match.ID).objects] == [0, 0]
    track = judge(truth, result, Match.TRACK).objects
    assert [each.found_id for each in track] == [7, 9]
    assert track[0].region.mean == pytest.approx(3 / 4) and track[1].region.mean == pytest.approx(
        3 / 4 * 144 / 256
    )
    best = judge(truth, result, Match.FRAME).objects
    assert [each.region.mean for each in best] == [1, pytest.approx(144 / 256)]


def test_an_object_that_is_not_there_is_met_by_no_mask(tmp_path: Path) -> None:
    gone = {number: BOTH if number < 3 else objects_of({1: LEFT}) for number in range(6)}
    truth = Truth.read("pair", write_folder(tmp_path / "truth", gone), all_frames=True)
    stays = open_result(write_folder(tmp_path / "stays", dict.fromkeys(range(6), BOTH)))
    assert [each.region.mean for each in judge(truth, stays, Match.ID).objects] == [1, 0.5]
    goes = open_result(write_folder(tmp_path / "goes", gone))
    assert [each.region.mean for each in judge(truth, goes, Match.ID).objects] == [1, 1]
    assert [each.region.mean for each in judge(truth, stays, Match.FRAME).objects] == [1, 1]


def test_json_lines_with_polygons_and_run_lengths(tmp_path: Path) -> None:
    counts = np.flatnonzero(np.diff(RIGHT.T.reshape(-1).astype(int), prepend=0, append=0))
    rle = {"size": [48, 64], "counts": np.diff(counts, prepend=0, append=48 * 64).tolist()}
    objects: list[dict[str, Any]] = [
        {"id": None, "mask_id": None, "polygon": polygon(4, 10, 12)},
        {"id": 5, "mask_id": 5, "mask": rle},
        {"id": 6, "mask_id": None, "mask": None},
    ]
    result = open_result(write_lines(tmp_path / "pair.jsonl", dict.fromkeys(range(6), objects)))
    truth = truth_of(tmp_path)
    assert [each.region.mean for each in judge(truth, result, Match.FRAME).objects] == [1, 1]
    by_track = judge(truth, result, Match.TRACK).objects
    assert by_track[1].found_id == 5 and by_track[1].region_and_contour == 1


def test_frames_that_are_not_there(tmp_path: Path) -> None:
    result = open_result(write_folder(tmp_path / "result", {number: BOTH for number in (0, 1, 2, 4, 5)}))
    truth = truth_of(tmp_path)
    with pytest.raises(ConfigError, match="frame 3 of pair is not there"):
        judge(truth, result, Match.ID)
    score = judge(truth, result, Match.ID, absent_is_empty=True)
    assert score.absent == 1 and score.objects[0].region.mean == pytest.approx(3 / 4)


def test_sizes_that_differ(tmp_path: Path) -> None:
    smaller = write_folder(tmp_path / "result", dict.fromkeys(range(6), BOTH[:40]))
    with pytest.raises(ConfigError, match="64 × 40 pixels, its truth has 64 × 48"):
        judge(truth_of(tmp_path), open_result(smaller), Match.ID)


@pytest.mark.parametrize(
    ("each", "message"),
    [
        ({"mask_id": 1, "polygon": polygon(400, 10, 12)}, "reaches to 412"),
        ({"mask_id": 1, "polygon": [[["x"]]]}, "frame 1"),
        ({"mask_id": 1, "mask": {"size": [9, 9], "counts": [81]}}, "9 × 9 pixels"),
        ({"mask_id": 1, "mask": {"size": [9, 9], "counts": [80]}}, "do not add up"),
    ],
)
def test_objects_that_cannot_be_used(tmp_path: Path, each: dict[str, object], message: str) -> None:
    result = open_result(write_lines(tmp_path / "pair.jsonl", {number: [each] for number in range(6)}))
    with pytest.raises(ConfigError, match=message):
        judge(truth_of(tmp_path), result, Match.FRAME)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{\n", "line 1: not JSON"),
        ('{"schema": "other/1"}\n', "line 1: not a record of camring.frame/1"),
        ('{"schema": "camring.frame/1", "frame": 1}\n', "without `frame` or `objects`"),
        ('{"schema": "camring.frame/1", "frame": 1, "objects": [{"id": 1}]}\n', "no masks in it"),
    ],
)
def test_lines_that_are_no_records(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(ConfigError, match=message):
        open_result(tmp_path / "a.jsonl")


def test_a_last_line_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", {0: [{"id": 1, "mask_id": None}]})
    path.write_text(path.read_text() + '{"schema": "camr')
    assert open_result(path).instances(0, (48, 64)) == {}


def test_two_frames_are_too_few_unless_both_count(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="do not count"):
        truth_of(tmp_path, frames=2)
    assert len(Truth.read("pair", tmp_path / "truth", all_frames=True).counted) == 2
