"""Poses from a file: between its lines, over north, and what is wrong with a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SourceError
from engine.sources.poses import LONGEST_GAP_S, Poses
from engine.types import PtzPose

HEADER = "time_s,pan_deg,tilt_deg,hfov_deg\n"


def read(folder: Path, text: str) -> Poses:
    path = folder / "poses.csv"
    path.write_text(text, encoding="utf-8")
    return Poses.read(path)


def test_between_two_lines(tmp_path: Path) -> None:
    poses = read(tmp_path, HEADER + "0,10,0,60\n1,20,-10,40\n")
    assert poses.at(0.0) == PtzPose(10, 0, 60)
    assert poses.at(0.25) == PtzPose(12.5, -2.5, 55)
    assert poses.at(1.0) == PtzPose(20, -10, 40)


@pytest.mark.parametrize(
    ("start", "end", "middle"), [(350, 20, 5), (20, 350, 5), (-10, 10, 0), (730, 20, 15)]
)
def test_the_shorter_way_over_north(tmp_path: Path, start: float, end: float, middle: float) -> None:
    pose = read(tmp_path, HEADER + f"0,{start},0,60\n1,{end},0,60\n").at(0.5)
    assert pose is not None
    assert pose.pan_deg == pytest.approx(middle)


def test_roll_is_a_fifth_column(tmp_path: Path) -> None:
    pose = read(tmp_path, HEADER.strip() + ",roll_deg\n0,0,0,60,170\n1,0,0,60,-170\n").at(0.75)
    assert pose is not None
    assert pose.roll_deg == pytest.approx(185)


def test_nothing_is_known_outside_of_the_lines_and_in_long_gaps(tmp_path: Path) -> None:
    poses = read(tmp_path, HEADER + f"1,0,0,60\n2,0,0,60\n\n{2.5 + LONGEST_GAP_S},0,0,60\n")
    assert poses.at(0.999) is None
    assert poses.at(1.5) is not None
    assert poses.at(3.0) is None
    assert poses.at(2.5 + LONGEST_GAP_S) is not None
    assert poses.at(10.0) is None
    assert poses.at(float("nan")) is None


def test_spreadsheets_put_a_mark_before_the_header(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeff" + HEADER + "0,1,2,60\r\n").at(0.0) == PtzPose(1, 2, 60)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: not time_s,pan_deg,tilt_deg,hfov_deg"),
        ("time,pan\n", r"line 1: not .*: 'time,pan'"),
        (HEADER, "no pose in it"),
        (HEADER + "0,0,0,60\n1,0,0\n", "line 3: has 3 values, the header 4"),
        (HEADER + "0,north,0,60\n", "line 2: pan_deg must be a number, not 'north'"),
        (HEADER + "nan,0,0,60\n", "line 2: time_s must be a number"),
        (HEADER + "0,0,inf,60\n", "line 2: tilt_deg must be a number"),
        (HEADER + "0,0,91,60\n", "line 2: tilt_deg must be from -90 to 90, not 91"),
        (HEADER + "0,0,0,0\n", "line 2: hfov_deg must be more than 0 and less than 180, not 0"),
        (HEADER + "0,0,0,60\n\n1,0,0,60\n1,0,0,60\n", "line 5: time_s 1 does not come after 1"),
        (HEADER + '0,"0,0,60\n', "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        read(tmp_path, text)
    assert "poses.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"poses '.*gone\.csv' cannot be read"):
        Poses.read(tmp_path / "gone.csv")


def test_not_text(tmp_path: Path) -> None:
    path = tmp_path / "poses.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match="cannot be read"):
        Poses.read(path)
