"""Truth and results of a rendered run read from their files, the end of them only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engine.errors import ConfigError
from engine.eval_cli import main
from engine.evaluation.scene_files import cameras_in, lines_backwards, score_camera
from engine.types import U8

SIZE = {"width": 320, "height": 180}
BOX = [100.0, 40.0, 140.0, 140.0]
BEGIN_S = 1_700_000_000.0


def person(number: int = 1, box: list[float] = BOX, visibility: float = 1.0) -> dict[str, Any]:
    return {"id": number, "box": box, "visible_box": box, "visibility": visibility, "in_frame": True}


def truth(time_s: float, *people: dict[str, Any], **more: Any) -> dict[str, Any]:
    head = {"schema": "camring.truth/1", "camera": "ptz", "scene": "court", "head": True, "targets": [1]}
    return {**head, "time": time_s, **SIZE, "people": list(people), **more}


def result(time_s: float, *objects: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": "camring.frame/1",
        "camera": "ptz",
        "frame": 0,
        "time": time_s,
        "objects": list(objects),
    }


def found(box: list[float] = BOX, number: int = 5, **more: Any) -> dict[str, Any]:
    left, top, right, bottom = box
    return {"id": number, "bbox": [left, top, right - left, bottom - top], **more}


def written(path: Path, records: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records))


def times(seconds: float, every_s: float = 0.2) -> list[float]:
    return [round(BEGIN_S + every_s * number, 6) for number in range(int(seconds / every_s))]


def test_a_run_is_scored_from_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "truth" / "ptz.truth", [truth(at, person()) for at in times(30)])
    written(tmp_path / "ptz.jsonl", [result(at, found()) for at in times(30, 0.1)])
    (files,) = cameras_in(tmp_path)
    score = score_camera(files)
    assert (score.recall, score.precision, score.idf1, score.time_in_frame) == (1.0, 1.0, 1.0, 1.0)
    assert score.seconds == pytest.approx(30 - 6, abs=0.5) and np.isnan(score.masked_fps)
    assert main(["scene", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["overall"]["recall"] == 1.0 and told["cameras"]["ptz"]["mask_iou"] is None
    assert main(["scene", str(tmp_path), "--last", "12"]) == 0
    assert (
        "recall 100.0 %, precision 100.0 %, IDF1 100.0 %, target in frame 100.0 %" in capsys.readouterr().out
    )


def test_only_the_end_is_read(tmp_path: Path) -> None:
    """What lies before the judged time is not even looked at: here it would be no JSON."""
    moments = times(60)
    written(tmp_path / "ptz.truth", [truth(at, person()) for at in moments])
    lines = [json.dumps(result(at, found()), separators=(",", ":")) for at in moments]
    first = lines[0]
    lines[1:150] = [line.replace('"objects"', "objects") for line in lines[1:150]]
    (tmp_path / "ptz.jsonl").write_text("\n".join([first, *lines[1:]]) + "\n")
    (files,) = cameras_in(tmp_path)
    assert score_camera(files, last_s=20.0).recall == 1.0
    with pytest.raises(ConfigError, match="not JSON"):
        score_camera(files, last_s=55.0)


def test_the_two_halves_of_a_bounded_truth_are_one(tmp_path: Path) -> None:
    moments = times(40)
    written(tmp_path / "ptz.before.truth", [truth(at, person()) for at in moments[:120]])
    written(tmp_path / "ptz.truth", [truth(at, person()) for at in moments[120:]])
    written(tmp_path / "ptz.jsonl", [result(at, found()) for at in moments])
    (files,) = cameras_in(tmp_path)
    assert score_camera(files).frames == len(moments) - 30


def test_little_to_be_seen_need_not_be_found_and_boxes_end_at_the_edge(tmp_path: Path) -> None:
    half_out = [-30.0, 40.0, 50.0, 140.0]
    records = [
        truth(at, person(), person(2, half_out, 0.6), person(3, [200.0, 40, 240, 140], 0.3))
        for at in times(30)
    ]
    written(tmp_path / "ptz.truth", records)
    shown = [0.0, 40.0, 50.0, 140.0]
    written(tmp_path / "ptz.jsonl", [result(at, found(), found(shown, 6)) for at in times(30)])
    score = score_camera(cameras_in(tmp_path)[0])
    assert (score.recall, score.precision, score.required) == (1.0, 1.0, 2 * score.frames)


@pytest.mark.parametrize("away_s", [2.0, 5.0])
def test_who_comes_back_is_who_they_were(away_s: float, tmp_path: Path) -> None:
    outside = [-200.0, 40.0, -150.0, 140.0]
    moments = times(60)
    away = range(100, 100 + round(away_s * 5))

    def identity_then(number_then: int) -> float:
        written(
            tmp_path / "ptz.truth",
            [truth(at, person(1, outside if number in away else BOX)) for number, at in enumerate(moments)],
        )
        lines = [
            result(at, *([] if number in away else [found(BOX, 5 if number < 100 else number_then)]))
            for number, at in enumerate(moments)
        ]
        written(tmp_path / "ptz.jsonl", lines)
        return score_camera(cameras_in(tmp_path)[0]).idf1

    assert identity_then(5) == 1.0
    assert identity_then(6) < 0.9


def test_masks_are_compared_with_the_exact_ones(tmp_path: Path) -> None:
    exact: U8 = np.zeros((180, 320), np.uint8)
    exact[40:140, 100:140] = 1
    (tmp_path / "ptz.masks").mkdir()
    cv2.imwrite(str(tmp_path / "ptz.masks" / "0.png"), exact)
    half = [[[[100, 40], [120, 40], [120, 140], [100, 140], [100, 40]]]]
    with_mask = found(mask_id=1, mask_source="memory", polygon=half)
    written(
        tmp_path / "ptz.truth",
        [truth(at, person(), masks="ptz.masks/0.png") for at in times(30)],
    )
    written(tmp_path / "ptz.jsonl", [result(at, with_mask) for at in times(30, 0.1)])
    score = score_camera(cameras_in(tmp_path)[0])
    assert score.mask_iou == pytest.approx(0.5) and score.masks_missing == 0
    assert score.masks <= 150 and score.masked_fps == pytest.approx(10, abs=0.2)


def test_the_target_out_of_the_picture_is_time_lost(tmp_path: Path) -> None:
    moments = times(30)
    outside = [-200.0, 40.0, -150.0, 140.0]
    written(
        tmp_path / "ptz.truth",
        [truth(at, person(1, outside if at > BEGIN_S + 18 else BOX), person(2)) for at in moments],
    )
    written(tmp_path / "ptz.jsonl", [result(at, found()) for at in moments])
    assert score_camera(cameras_in(tmp_path)[0]).time_in_frame == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("seconds", "lines", "problem"),
    [
        (12, None, "too short to score"),
        (30, "", "no results"),
        (30, '{"frame":1}\n', "a line without `time`"),
    ],
)
def test_what_cannot_be_scored_is_said(
    tmp_path: Path, seconds: float, lines: str | None, problem: str
) -> None:
    written(tmp_path / "ptz.truth", [truth(at, person()) for at in times(seconds)])
    written(tmp_path / "ptz.jsonl", [result(at, found()) for at in times(seconds)])
    if lines is not None:
        (tmp_path / "ptz.jsonl").write_text(lines)
    with pytest.raises(ConfigError, match=problem):
        score_camera(cameras_in(tmp_path)[0])


def test_a_folder_without_truth_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scene", str(tmp_path)]) == 2
    assert main(["scene", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_lines_come_from_the_end_whatever_their_length(tmp_path: Path) -> None:
    path = tmp_path / "long"
    lines = [b"x" * length for length in (3, 2_500_000, 1, 1_048_576, 7, 0, 12)]
    path.write_bytes(b"\n".join(lines) + b"\nthe rest of a line")
    assert list(lines_backwards(path)) == lines[::-1]
    path.write_bytes(b"no end of line")
    assert list(lines_backwards(path)) == []
