"""Results that are there already: text of MOTChallenge and the engine's JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError
from engine.evaluation.mot_results import read_result, result_of
from engine.evaluation.mot_sequence import Sequence
from tests.evaluation.mot import add, boxes, write_result, write_sequence


@pytest.fixture
def sequence(tmp_path: Path) -> Sequence:
    return Sequence.read(write_sequence(tmp_path / "two"))


def write_lines(path: Path, first: int = 0, **changes: Any) -> Path:
    """Records of the true boxes, frame 1 under the number `first`; every object gets these changes."""
    lines = []
    for frame in range(1, 11):
        objects = [
            {"id": who, "label": "person", "confidence": 0.9, "bbox": [box[0] - 1, box[1] - 1, *box[2:]]}
            | changes
            for who, box in boxes(frame).items()
        ]
        lines.append({"schema": "camring.frame/1", "frame": frame - 1 + first, "objects": objects})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("first", [0, 1, 250])
def test_json_lines_say_the_same_as_text(sequence: Sequence, tmp_path: Path, first: int) -> None:
    text = read_result(write_result(tmp_path / "res.txt"), sequence, ("person",))
    lines = read_result(write_lines(tmp_path / "cam.jsonl", first), sequence, ("person",))
    for one, other in zip(text, lines, strict=True):
        assert one.ids.tolist() == other.ids.tolist() == [1, 2]
        assert one.boxes_xyxy.tolist() == other.boxes_xyxy.tolist()


@pytest.mark.parametrize(
    ("change", "count"), [({"id": None}, 0), ({"label": "car"}, 0), ({"label": None}, 2)]
)
def test_what_counts_in_json_lines(
    sequence: Sequence, tmp_path: Path, change: dict[str, Any], count: int
) -> None:
    found = read_result(write_lines(tmp_path / "cam.jsonl", **change), sequence, ("person",))
    assert [len(frame.ids) for frame in found] == [count] * 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": [1, 2, 3]}, "frame 0: an object without a usable `bbox`"),
        ({"id": 5}, "frame 0: an ID is there twice"),
        ({"id": "me"}, "frame 0: an object without"),
    ],
)
def test_json_lines_that_cannot_be(
    sequence: Sequence, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_result(write_lines(tmp_path / "cam.jsonl", **change), sequence, ("person",))


def test_results_longer_than_the_sequence(sequence: Sequence, tmp_path: Path) -> None:
    result = write_result(tmp_path / "res.txt")
    add(result, "11,1,10,10,5,5,1,-1,-1,-1")
    with pytest.raises(ConfigError, match=r"res\.txt:21: frame 11, but two has 10 frames"):
        read_result(result, sequence, ())
    lines = write_lines(tmp_path / "cam.jsonl")
    add(lines, json.dumps({"schema": "camring.frame/1", "frame": 10, "objects": []}))
    with pytest.raises(ConfigError, match="11 frames, but two has 10"):
        read_result(lines, sequence, ())


def test_detections_are_no_result(sequence: Sequence) -> None:
    with pytest.raises(ConfigError, match="no IDs in it"):
        read_result(sequence.folder / "det" / "det.txt", sequence, ())


def test_an_id_twice(sequence: Sequence, tmp_path: Path) -> None:
    result = write_result(tmp_path / "res.txt")
    add(result, "3,2,10,10,5,5,1,-1,-1,-1")
    with pytest.raises(ConfigError, match=r"res\.txt:21: ID 2 is twice in frame 3"):
        read_result(result, sequence, ())


def test_where_a_result_is(tmp_path: Path) -> None:
    (tmp_path / "two.jsonl").touch()
    assert result_of(tmp_path, "two", alone=False) == tmp_path / "two.jsonl"
    with pytest.raises(ConfigError, match=r"neither one\.txt nor one\.jsonl"):
        result_of(tmp_path, "one", alone=True)
    with pytest.raises(ConfigError, match="one file for several sequences"):
        result_of(tmp_path / "two.jsonl", "two", alone=False)
    with pytest.raises(ConfigError, match="no such file"):
        result_of(tmp_path / "nowhere", "two", alone=True)
