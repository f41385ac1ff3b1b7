"""The table of identities: the same boxes for everybody, and sentences that follow from the figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.identity import (
    LIBRARIES,
    PETS,
    PETS_FROM_0,
    REID,
    SEQUENCES,
    TUD,
    VARIANTS,
    WITHOUT_REID,
    against_defaults,
    details,
    idf1,
    make_detections,
    matrix,
    reach,
    run_variants,
    task_of,
)
from bench.tracker_peers.catalogue import CATALOGUE
from engine.eval_cache import AnswerCache
from engine.evaluation.clear import Clear
from engine.evaluation.mot_report import Scored, as_json
from engine.evaluation.mot_scores import MotScore, judge
from engine.evaluation.mot_sequence import Sequence
from tests.evaluation.mot import write_sequence


def scored(tracker: str, sequence: str, misses: int, switches: int = 2) -> Scored:
    """Of 100 boxes so many are missed."""
    clear = Clear(100, misses, 0, switches, 100 - misses, 0, misses)
    return Scored(tracker, MotScore(sequence, 10, 5, 6, 0, clear, None), np.full(10, 0.001))


def test_what_was_asked_for_in_sentences() -> None:
    scores = [
        scored(REID, PETS, 10, 4), scored(WITHOUT_REID, PETS, 20, 6), scored("roboflow-sort", PETS, 30),
        scored(REID, TUD, 20), scored(WITHOUT_REID, TUD, 20), scored("roboflow-sort", TUD, 30),
        scored("norfair", PETS, 0), scored("norfair", TUD, 0),
    ]  # fmt: skip
    said = reach(scores, as_json(scores)["mean"])
    figures = "0.947 / 0.860 / 4 with ReID, 0.889 / 0.740 / 6 without (truth's pixels from 1)"
    assert said["pets"] == figures
    again = [*scores, scored(REID, PETS_FROM_0, 5), scored(WITHOUT_REID, PETS_FROM_0, 5)]
    assert reach(again, [])["pets"].startswith(f"{figures}; 0.974 / 0.930 / 2 with ReID")
    assert said["tud"] == "0.889 / 0.780"
    assert said["defaults"].startswith(
        "mean IDF1 0.918 (botsort, ReID) and 0.889 (botsort), best of 1 defaults 0.824 (roboflow-sort)"
    )
    assert said["defaults"].endswith("mean HOTA not measured")
    table = matrix(scores, "IDF1", idf1).splitlines()
    assert [line.split(" | ")[:2] for line in table[4:]] == [
        ["| norfair", "1.000"], ["| botsort, ReID", "0.918"], ["| botsort", "0.889"], ["| roboflow-sort", "0.824"],
    ]  # fmt: skip
    assert [line.split(" | ")[0] for line in details(scores, TUD).splitlines()[4:]] == [
        "| norfair", "| botsort, ReID", "| botsort", "| roboflow-sort",
    ]  # fmt: skip


def test_without_peers_it_says_so() -> None:
    scores = [scored(REID, PETS, 10), scored(WITHOUT_REID, PETS, 10)]
    assert "no peer is installed" in against_defaults(as_json(scores)["mean"])


def test_every_library_has_its_trackers() -> None:
    for library in LIBRARIES:
        assert any(name.startswith(library) for name in CATALOGUE)
    names = [variant.name for variant in VARIANTS]
    assert len(set(names)) == len(names) and {REID, WITHOUT_REID} <= set(names)


def test_made_detections_are_the_same_every_time(tmp_path: Path) -> None:
    sequence = Sequence.read(write_sequence(tmp_path / "two"))
    one, other = make_detections(sequence), make_detections(sequence)
    assert [each.boxes_xyxy.tolist() for each in one] == [each.boxes_xyxy.tolist() for each in other]
    assert sum(map(len, one)) >= 10


@pytest.mark.data
def test_all_variants_get_the_same_boxes(data_dir: Path) -> None:
    """On the sequence without pictures, where looks and camera motion cannot tell them apart."""
    entry = next(entry for entry in SEQUENCES if entry.name == TUD)
    cache = AnswerCache(None)
    task = task_of(entry, data_dir, cache)
    found = {run.name: judge(task.sequence, run.frames) for run in run_variants(task, cache)}
    assert list(found) == [variant.name for variant in VARIANTS]
    botsort = [replace(score, hota=None) for name, score in found.items() if name.startswith("botsort")]
    assert all(score == botsort[0] for score in botsort)
    assert found["sort"].clear != botsort[0].clear
