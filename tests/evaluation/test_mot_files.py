"""Files of MOTChallenge: what is read, and one line with the place for what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.evaluation.mot_files import read_info, read_rows
from engine.evaluation.mot_sequence import Sequence, find_sequences
from tests.evaluation.mot import add, write_sequence


def test_pixels_are_counted_from_zero(tmp_path: Path) -> None:
    file = tmp_path / "det.txt"
    file.write_text("1,-1,11,21,30,40,0.5\n\n 3 -1 1 1 2 2 0.25 -1 -1 -1\n")
    rows = read_rows(file)
    assert rows.boxes_xyxy(1).tolist() == [[10, 20, 40, 60], [0, 0, 2, 2]]
    assert rows.boxes_xyxy(0).tolist() == [[11, 21, 41, 61], [1, 1, 3, 3]]
    assert rows.frames.tolist() == [1, 3] and rows.lines.tolist() == [1, 3]
    assert rows.values[:, 6].tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,three,4,5,6,1", "not a line of numbers"),
        ("1,2,3,4,5", "5 columns"),
        ("1,2,3,4,5,6,7,8,9,10,11", "11 columns"),
        ("0,2,3,4,5,6,1", "0 is not the number of a frame"),
        ("1.5,2,3,4,5,6,1", "1.5 is not the number of a frame"),
        ("1,2,3,4,nan,6,1", "not finite"),
        ("1,2,3,4,5,-6,1", "a box of 5 × -6 pixels"),
        ("1,2.5,3,4,5,6,1", "2.5 is not an ID"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "det.txt"
    file.write_text(f"1,-1,10,20,30,40,0.5\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        read_rows(file)
    assert str(caught.value).startswith(f"{file}:2: ") and message in str(caught.value)


def test_no_text_at_all(tmp_path: Path) -> None:
    (tmp_path / "det.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not text"):
        read_rows(tmp_path / "det.txt")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_rows(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'Sequence' is missing"),
        ("[Sequence]\nframeRate=10\n", "'seqLength' is missing"),
        ("[Sequence]\nframeRate=ten\nseqLength=5\n", "could not convert"),
        ("[Sequence]\nframeRate=0\nseqLength=5\n", "greater than 0"),
        ("frameRate=10\n", "no section headers"),
    ],
)
def test_a_seqinfo_that_says_nothing(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "seqinfo.ini").write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_info(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("year", [2015, 2017])
def test_the_truth_of_both_forms(tmp_path: Path, year: int) -> None:
    sequence = Sequence.read(write_sequence(tmp_path / "two", year))
    assert (sequence.name, sequence.frames, sequence.people, sequence.info.fps) == ("two", 10, 2, 10.0)
    assert sequence.truth[0].ids.tolist() == [1, 2]
    assert sequence.truth[0].boxes_xyxy[0].tolist() == [119, 99, 159, 199]
    assert not any(len(frame.ignored_xyxy) for frame in sequence.truth)


def test_what_is_not_judged(tmp_path: Path) -> None:
    old, new = write_sequence(tmp_path / "old", 2015), write_sequence(tmp_path / "new", 2017)
    add(old / "gt" / "gt.txt", "1,9,10,10,5,5,0,-1,-1,-1")
    # A person with flag 0, a distractor and a reflection; a car is not looked at.
    add(
        new / "gt" / "gt.txt",
        "1,9,10,10,5,5,0,1,1", "1,10,20,20,5,5,0,8,1", "1,11,30,30,5,5,1,12,1", "1,12,40,40,5,5,1,3,1",
    )  # fmt: skip
    for folder, ignored in ((old, [9]), (new, [9, 19, 29])):
        frame = Sequence.read(folder).truth[0]
        assert frame.ids.tolist() == [1, 2] and frame.ignored_xyxy[:, 0].tolist() == ignored


def test_frames_without_anybody_are_judged(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path / "two", frames=3)
    (folder / "seqinfo.ini").write_text((folder / "seqinfo.ini").read_text().replace("=3", "=9"))
    add(folder / "gt" / "gt.txt", "6,1,10,10,5,5,1,-1,-1,-1")
    sequence = Sequence.read(folder)
    assert sequence.frames == 6 and sequence.truth[4].boxes_xyxy.shape == (0, 4)


def test_without_seqinfo_the_rate_has_to_be_said(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path / "two")
    (folder / "seqinfo.ini").unlink()
    with pytest.raises(ConfigError, match="--fps"):
        Sequence.read(folder)
    sequence = Sequence.read(folder, 12.5)
    assert sequence.info.fps == 12.5 and sequence.info.frames == 10


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ("", "empty"),
        ("11,1,10,10,5,5,1,-1,-1,-1\n", "gt.txt:1: frame 11, but"),
        ("1,1,10,10,5,5,0,-1,-1,-1\n", "nothing in it that is judged"),
        ("1,1,10,10,5,5\n", "6 columns"),
        ("1,1,10,10,5,5,1,-1,-1,-1\n1,1,50,10,5,5,1,-1,-1,-1\n", "gt.txt:2: ID 1 is twice in frame 1"),
    ],
)
def test_a_truth_that_cannot_be(tmp_path: Path, truth: str, message: str) -> None:
    folder = write_sequence(tmp_path / "two")
    (folder / "gt" / "gt.txt").write_text(truth)
    with pytest.raises(ConfigError, match=message):
        Sequence.read(folder)


def test_folders_of_sequences(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_sequence(tmp_path / "train" / name)
    (tmp_path / "train" / "notes").mkdir()
    assert [one.name for one in find_sequences([tmp_path / "train"])] == ["a", "b"]
    with pytest.raises(ConfigError, match="two sequences are called a"):
        find_sequences([tmp_path / "train", tmp_path / "train" / "a"])
    with pytest.raises(ConfigError, match=r"no gt/gt\.txt"):
        find_sequences([tmp_path / "train" / "notes"])
    with pytest.raises(ConfigError, match="no such folder"):
        find_sequences([tmp_path / "nowhere"])


@pytest.mark.data
def test_every_sequence_of_the_test_data_is_read(data_dir: Path) -> None:
    found = {one.name: (one.frames, one.people) for one in find_sequences([data_dir / "mot"])}
    assert found["TUD-Campus"] == (71, 8) and found["MOT16-13"] == (750, 107)
    assert found["PETS09-S2L1-a"] == (320, 10) and found["MOT17-05-FRCNN"][0] == 6
    boxes = sum(len(frame.ids) for frame in Sequence.read(data_dir / "mot" / "PETS09-S2L1-a").truth)
    assert boxes == 1994 - 175
