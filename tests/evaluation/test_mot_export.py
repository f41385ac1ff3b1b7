"""Lines of the engine as MOTChallenge's text, read back by what reads that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.eval_cli import main
from engine.evaluation.mot_export import mot_lines
from engine.evaluation.mot_files import read_rows


def record(frame: int, *objects: dict[str, Any]) -> str:
    return json.dumps({"schema": "camring.frame/1", "camera": "a", "frame": frame, "objects": objects}) + "\n"


def thing(
    track: int | None, label: str = "person", bbox: tuple[float, ...] = (10.0, 20.0, 30.0, 40.0)
) -> dict[str, Any]:
    return {"id": track, "label": label, "confidence": 0.876, "bbox": list(bbox)}


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "a.jsonl"
    path.write_text(
        record(41, thing(7), thing(None))
        + record(
            43, thing(7, bbox=(11.5, 20.0, 30.0, 40.0)), thing(8, "car"), thing(9, bbox=(1.0, 1.0, 0.0, 5.0))
        )
    )
    return path


def test_what_has_an_id_stands_in_the_text(lines: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.txt"
    assert main(["export-mot", str(lines), str(out)]) == 0
    assert out.read_text().splitlines() == [
        "1,7,11.0,21.0,30.0,40.0,0.876,-1,-1,-1",
        "3,7,12.5,21.0,30.0,40.0,0.876,-1,-1,-1",
        "3,8,11.0,21.0,30.0,40.0,0.876,-1,-1,-1",
    ]
    rows = read_rows(out)
    assert rows.frames.tolist() == [1, 3, 3] and rows.ids.tolist() == [7, 7, 8]
    assert rows.boxes_xyxy(1)[0].tolist() == [10.0, 20.0, 40.0, 60.0]


def test_labels_and_the_first_pixel_are_chosen(lines: Path) -> None:
    assert list(mot_lines(lines, ("car",), 0)) == ["3,8,10.0,20.0,30.0,40.0,0.876,-1,-1,-1"]


def test_what_cannot_be_done_is_one_line(
    lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export-mot", str(tmp_path / "none.jsonl"), str(tmp_path / "x.txt")]) == 2
    assert main(["export-mot", str(lines), str(tmp_path / "no" / "x.txt")]) == 2
    lines.write_text(record(1, {"id": 3, "label": "person"}))
    assert main(["export-mot", str(lines), str(tmp_path / "x.txt")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3
