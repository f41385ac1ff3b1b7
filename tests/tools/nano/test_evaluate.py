"""Real and rendered truth as detectors are judged by it, and the table that the command prints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tools.nano.average_precision import Judged
from tools.nano.evaluate import annotated_sequences, figures_of, judged_sequence, recall_by_height
from tools.nano.evaluate_scene import HEIGHT, SETTINGS, WIDTH, scene_frames
from tools.train_nano import main


def test_sequences_with_pictures_are_found(data_dir: Path) -> None:
    found = {each.name: each for each in annotated_sequences(data_dir)}
    assert set(found) == {
        "MOT17-02-FRCNN", "MOT17-04-FRCNN", "MOT17-05-FRCNN", "MOT17-13-FRCNN", "PETS09-S2L1-a"
    }  # fmt: skip
    pets = found["PETS09-S2L1-a"]
    assert len(pets.wanted) == pets.pictures.frames == 320
    # The manifest: 1994 boxes, 175 of them flagged as not to be judged.
    assert sum(map(len, pets.wanted)) == 1994 - 175
    # The manifest: so many pedestrians of whom more than 0.4 is to be seen.
    assert sum(map(len, found["MOT17-02-FRCNN"].wanted)) == 56
    assert sum(map(len, found["MOT17-04-FRCNN"].wanted)) == 253
    boxes = np.concatenate(found["MOT17-04-FRCNN"].wanted)
    assert (boxes >= 0).all() and (boxes[:, 2] <= 1920).all() and (boxes[:, 3] <= 1080).all()


def test_a_real_detector_on_a_real_sequence(data_dir: Path) -> None:
    sequence = next(each for each in annotated_sequences(data_dir) if each.name == "MOT17-05-FRCNN")
    figures = figures_of(judged_sequence(data_dir / "weights" / "yolox_nano_416_f32.onnx", sequence))
    assert figures.pictures == 6 and figures.people == 30
    assert figures.ap50 == pytest.approx(0.80, abs=0.04) and figures.ap < figures.ap50
    assert figures.precision > 0.85


def test_scene_frames_are_drawn_and_judged() -> None:
    drawn = list(scene_frames(SETTINGS[0], 2))
    for frame, wanted, ignored in drawn:
        assert frame.y.shape == (HEIGHT, WIDTH) and frame.y.std() > 10
        boxes = np.concatenate([wanted, ignored])
        assert (boxes >= 0).all() and (boxes[:, 2] <= WIDTH).all() and (boxes[:, 3] <= HEIGHT).all()
    assert not np.array_equal(drawn[0][0].y, drawn[1][0].y)
    assert sum(len(wanted) for _, wanted, _ in drawn) >= 4


def test_recall_of_people_of_one_height() -> None:
    low, tall = (0.0, 0.0, 10.0, 30.0), (50.0, 0.0, 90.0, 120.0)
    boxes = np.array([low, tall], np.float32)
    one = Judged(boxes[1:], np.array([0.9], np.float32), boxes, np.zeros((0, 4), np.float32))
    assert recall_by_height([one], 25, 40) == (0.0, 1)
    assert recall_by_height([one], 60, 200) == (1.0, 1)


def test_the_command_prints_a_table(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    only = [each for each in annotated_sequences(data_dir) if each.name == "MOT17-05-FRCNN"]
    monkeypatch.setattr("tools.nano.evaluate.annotated_sequences", lambda _: only)
    monkeypatch.setattr("tools.nano.evaluate.SETTINGS", SETTINGS[:1])
    model, out = data_dir / "weights" / "light_person_detector_192_f32.onnx", tmp_path / "figures.json"
    options = ["--footage", str(data_dir), "--model", str(model), "--frames", "3", "--json", str(out)]
    assert main(["evaluate", *options]) == 0
    said = capsys.readouterr().out
    assert "court overview" in said and said.count("MOT17-05-FRCNN") == 2 and "yolox_nano_416_f32" in said
    assert [row["where"] for row in json.loads(out.read_text())] == [
        "court overview",
        *["MOT17-05-FRCNN"] * 2,
    ]
