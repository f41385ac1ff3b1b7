"""`engine-eval masks` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.eval_cli import main
from tests.evaluation.pictures import objects_of, png, square, write_folder, write_lines

MASKS = {1: square(4, 10, 12), 2: square(40, 10, 12)}
FRAMES = dict.fromkeys(range(5), objects_of(MASKS))


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    for kind in ("truth", "result"):
        for name in ("alpha", "beta"):
            write_folder(tmp_path / kind / name, FRAMES)
    for file in (tmp_path / "result" / "beta").iterdir():
        file.write_bytes(png(objects_of({1: MASKS[1]})))
    return tmp_path


def judge(folder: Path, *more: str, truth: str = "truth", result: str = "result") -> int:
    return main(["masks", "--truth", str(folder / truth), "--result", str(folder / result), *more])


def test_a_line_for_each_object_each_sequence_and_all(
    davis: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(davis) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[:4] for row in rows[1:]] == [
        ["alpha", "1", "3", "100.0"], ["alpha", "2", "3", "100.0"], ["alpha", "all", "3", "100.0"],
        ["beta", "1", "3", "100.0"], ["beta", "2", "3", "0.0"], ["beta", "all", "3", "50.0"],
        ["all", "all", "6", "75.0"],
    ]  # fmt: skip


def test_json_says_the_same_in_shares(davis: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(davis, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["overall"]["j_and_f"] == 0.75
    beta = found["sequences"]["beta"]
    assert beta["j_mean"] == 0.5 and beta["frames"] == 3 and beta["absent"] == 0
    assert beta["objects"][1] == {
        "object": 2, "found": 2, "j_and_f": 0.0, "j_mean": 0.0, "j_recall": 0.0, "j_decay": 0.0,
        "f_mean": 0.0, "f_recall": 0.0, "f_decay": 0.0,
    }  # fmt: skip


def test_one_sequence_of_several(davis: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(davis, "--sequence", "alpha", "--json") == 0
    assert list(json.loads(capsys.readouterr().out)["sequences"]) == ["alpha"]


def test_one_sequence_against_json_lines(davis: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ring = [[4, 10], [16, 10], [16, 22], [4, 22], [4, 10]]
    objects = [{"id": 3, "mask_id": 3, "polygon": [[ring]]}]
    write_lines(davis / "result" / "gamma.jsonl", dict.fromkeys(range(5), objects))
    assert judge(davis, "--json", truth="truth/alpha", result="result/gamma.jsonl") == 0
    scores = json.loads(capsys.readouterr().out)["sequences"]["alpha"]["objects"]
    assert [each["j_mean"] for each in scores] == [1.0, 0.0], "in JSON lines the best mask of a frame counts"
    assert judge(davis, "--json", "--match", "track", truth="truth/alpha", result="result/gamma.jsonl") == 0
    assert json.loads(capsys.readouterr().out)["sequences"]["alpha"]["objects"][0]["found"] == 3


def test_absent_frames_are_said(davis: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (davis / "result" / "alpha" / "00002.png").unlink()
    assert judge(davis) == 2
    assert "frame 2 of alpha is not there" in capsys.readouterr().err
    assert judge(davis, "--absent", "empty") == 0
    assert "1 frames without a result" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"truth": "nowhere"}, "no such folder"),
        ({"result": "nowhere"}, "no such file or folder"),
        ({"result": "truth/alpha"}, "neither a folder alpha nor alpha.jsonl"),
        ({"truth": "empty"}, "neither PNG files nor folders"),
        ({"truth": "truth/alpha", "result": "empty"}, "no PNG files in it"),
        ({"truth": "truth/alpha", "result": "note.txt"}, "neither a folder of PNG files nor a .jsonl file"),
        ({"result": "note.txt"}, "name the folder of one of them"),
    ],
)
def test_bad_input_is_one_line(
    davis: Path, capsys: pytest.CaptureFixture[str], arguments: dict[str, str], message: str
) -> None:
    (davis / "empty").mkdir()
    (davis / "note.txt").write_text("no")
    assert judge(davis, **arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("engine-eval: ") and message in said and said.count("\n") == 1


@pytest.mark.parametrize("name", ["gamma", "alpha"])
def test_sequences_that_cannot_be_named(davis: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    truth = "truth" if name == "gamma" else "truth/alpha"
    assert judge(davis, "--sequence", name, truth=truth) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_that_is_no_frame(davis: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (davis / "truth" / "alpha" / "notes.png").write_bytes(b"")
    assert judge(davis) == 2
    assert "not the number of a frame" in capsys.readouterr().err
