"""MOTA, IDF1 and HOTA: cases that can be worked out by hand, and published figures."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.evaluation import hota
from engine.evaluation.mot_report import Scored, as_json, as_table
from engine.evaluation.mot_results import read_result, result_of
from engine.evaluation.mot_scores import MotScore, ResultFrame, judge, overall, overlap
from engine.evaluation.mot_sequence import Sequence
from tests.evaluation.mot import add, write_result, write_sequence

trackeval = pytest.importorskip("trackeval", reason="trackeval is missing: make test installs it")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_sequence(tmp_path / "two")


def judged(folder: Path, result: Path) -> MotScore:
    sequence = Sequence.read(folder)
    return judge(sequence, read_result(result, sequence, ("person",)))


def test_a_perfect_result(folder: Path, tmp_path: Path) -> None:
    score = judged(folder, write_result(tmp_path / "res.txt"))
    assert score.clear.mota == score.clear.idf1 == 1.0
    assert score.hota is not None and score.hota.hota == pytest.approx(1.0)
    assert (score.ids, score.people, score.left_out) == (2, 2, 0)


def test_one_switch_in_the_middle(folder: Path, tmp_path: Path) -> None:
    """Person 1 is called 3 from frame 6 on: half of the boxes of one of two people."""
    lines = write_result(tmp_path / "res.txt").read_text().splitlines()
    for n, line in enumerate(lines):
        frame, who, rest = line.split(",", 2)
        if who == "1" and int(frame) > 5:
            lines[n] = f"{frame},3,{rest}"
    (tmp_path / "res.txt").write_text("\n".join(lines))
    score = judged(folder, tmp_path / "res.txt")
    assert score.clear.switches == 1 and score.clear.mota == pytest.approx(1 - 1 / 20)
    assert score.clear.idf1 == pytest.approx(15 / 20)
    assert score.hota is not None
    # Ten boxes of person 2 associate fully, ten of person 1 with half of its track: HOTA, equation 3.
    assert score.hota.ass_a == pytest.approx((10 * 1 + 10 * 0.5) / 20)
    assert score.hota.hota == pytest.approx(np.sqrt(0.75))


def test_somebody_left_out_and_something_invented(folder: Path, tmp_path: Path) -> None:
    result = write_result(tmp_path / "res.txt", who={1: 7})
    add(result, "4,8,600,400,30,60,1,-1,-1,-1")
    clear = judged(folder, result).clear
    assert (clear.misses, clear.false_positives, clear.switches) == (10, 1, 0)
    assert clear.mota == pytest.approx(1 - 11 / 20)


def test_boxes_in_ignore_regions_are_neither_right_nor_wrong(folder: Path, tmp_path: Path) -> None:
    add(folder / "gt" / "gt.txt", "4,9,600,400,30,60,0,-1,-1,-1", "4,10,180,100,40,100,0,-1,-1,-1")
    result = write_result(tmp_path / "res.txt")
    # One on a region; person 1 stands in the other, and is judged all the same.
    add(result, "4,8,600,400,30,60,1,-1,-1,-1")
    score = judged(folder, result)
    assert score.left_out == 1 and score.clear.mota == 1.0 and score.ids == 2
    assert score.hota is not None and score.hota.hota == pytest.approx(1.0)


def test_a_box_counts_from_half_overlap(folder: Path, tmp_path: Path) -> None:
    sequence = Sequence.read(folder)
    for shift, missed in ((40 / 3 - 0.01, 0), (40 / 3 + 0.01, 20)):
        moved = [
            ResultFrame(frame.ids, frame.boxes_xyxy + np.array([shift, 0, shift, 0]))
            for frame in sequence.truth
        ]
        assert judge(sequence, moved).clear.misses == missed


def test_nothing_at_all(folder: Path) -> None:
    sequence = Sequence.read(folder)
    score = judge(sequence, [ResultFrame.empty()] * 10)
    assert (score.clear.mota, score.clear.idf1, score.ids) == (0.0, 0.0, 0)
    assert score.hota is not None and score.hota.hota == 0.0
    with pytest.raises(ValueError, match="9 frames of result for 10"):
        judge(sequence, [ResultFrame.empty()] * 9)


def test_several_sequences_together(folder: Path, tmp_path: Path) -> None:
    whole = judged(folder, write_result(tmp_path / "res.txt"))
    half = judged(folder, write_result(tmp_path / "half.txt", who={1: 1}))
    both = overall([whole, half])
    assert both.clear.mota == pytest.approx(30 / 40) and both.clear.idf1 == pytest.approx(60 / 70)
    assert (both.frames, both.people, both.ids) == (20, 4, 3)
    assert both.hota is not None and both.hota.det_a == pytest.approx(30 / 40)


def test_overlap_of_boxes_without_area() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [5, 5, 5, 5], [20, 20, 10, 10]])
    assert overlap(boxes, boxes).tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert overlap(np.empty((0, 4)), boxes).shape == (0, 3)


def test_table_and_json(folder: Path, tmp_path: Path) -> None:
    good = judged(folder, write_result(tmp_path / "res.txt"))
    bad = judged(folder, write_result(tmp_path / "half.txt", who={1: 1}))
    scored = [
        Scored("one", good, np.full(10, 0.002)), Scored("other", bad, np.empty(0)),
        Scored("one", replace(bad, sequence="half"), np.full(10, 0.004)),
        Scored("other", replace(bad, sequence="half"), np.empty(0)),
    ]  # fmt: skip
    rows = [line.split() for line in as_table(scored).splitlines()]
    assert [row[:2] for row in rows[1:]] == [
        ["two", "one"], ["two", "other"], ["half", "one"], ["half", "other"], ["overall", "one"], ["overall", "other"],
    ]  # fmt: skip
    assert rows[1][2:4] == ["1.000", "1.000"] and rows[1][-1] == "500" and rows[2][-1] == "-"
    found = as_json(scored)
    assert [(each["tracker"], each["mota"]) for each in found["mean"]] == [("one", 0.75), ("other", 0.5)]
    assert found["overall"][0]["fps"] == pytest.approx(333.3) and found["overall"][1]["fps"] is None


def test_without_trackeval_hota_is_left_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hota, "find_spec", lambda name: None)
    score = judged(folder, write_result(tmp_path / "res.txt"))
    assert score.hota is None and score.clear.mota == 1.0
    scored = [Scored("one", score, np.empty(0))]
    assert as_table(scored).splitlines()[1].split()[4:7] == ["-", "-", "-"]
    assert as_json(scored)["mean"][0]["hota"] is None


def test_without_motmetrics_the_extra_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "motmetrics", None)
    with pytest.raises(ConfigError, match=r"motmetrics is missing: pip install 'camring\[eval\]'"):
        judged(folder, write_result(tmp_path / "res.txt"))


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "expected", "hota_of_it"),
    [("TUD-Campus", (0.526, 0.558, 7, 13, 150), 0.391), ("MOT16-13", (0.215, 0.314, 57, 421, 8508), None)],
)
def test_published_figures(
    data_dir: Path, name: str, expected: tuple[float, float, int, int, int], hota_of_it: float | None
) -> None:
    folder = data_dir / "mot" / name
    score = judged(folder, result_of(folder / "res.txt", name, alone=True))
    clear = score.clear
    found = (round(clear.mota, 3), round(clear.idf1, 3), clear.switches, clear.false_positives, clear.misses)
    assert found == expected
    assert score.hota is not None
    assert hota_of_it is None or round(score.hota.hota, 3) == hota_of_it
