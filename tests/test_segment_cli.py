"""`engine-segment`: what it writes, what it says, and what it refuses, with a real detector and a random SAM 2."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest
from pycocotools import mask as coco

from engine.outputs.indexed_png import indexed_png, read_indices
from engine.outputs.jsonl import frame_schema
from engine.segment_cli import main
from engine.types import U8, Bools

ROOT = Path(__file__).resolve().parents[1]
DETECTOR = "yolov8n-seg_320_f32_dynbatch"
OBJECT = jsonschema.Draft202012Validator(
    {**frame_schema()["$defs"]["object"], "$defs": frame_schema()["$defs"]}
)


def run(capsys: pytest.CaptureFixture[str], *args: str | Path) -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    try:
        status = main([str(arg) for arg in args])
    except SystemExit as ended:
        status = int(str(ended.code))
    said = capsys.readouterr()
    return status, said.out, said.err


def record_of(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text())
    assert record["schema"] == "camring.picture/1"
    for thing in record["objects"]:
        OBJECT.validate(thing)
        assert thing["mask_id"] == thing["id"]
    return record


def pixels_of(thing: dict[str, Any]) -> Bools:
    return np.asarray(coco.decode({**thing["mask"], "counts": thing["mask"]["counts"].encode()}), np.bool_)


def blocks(seed: int = 0, width: int = 200, height: int = 120) -> U8:
    """A BGR picture of coloured blocks."""
    noise = np.random.default_rng(seed)
    return np.asarray(
        noise.integers(20, 230, (height // 20, width // 20, 3)).repeat(20, 0).repeat(20, 1), np.uint8
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index in range(3):
        cv2.imwrite(str(pictures / f"{index:05d}.png"), blocks(index))
    return pictures


@pytest.fixture
def detector(data_dir: Path) -> Path:
    return data_dir / "weights" / f"{DETECTOR}.onnx"


# What COCO's tools return from `decode` does not know numpy 2's `copy` yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.data
def test_a_detector_s_masks_are_in_all_three_files(
    data_dir: Path, detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    status, summary, said = run(
        capsys,
        data_dir / "images",
        "--model",
        detector,
        "--out",
        out,
        "--masks",
        "rle",
        "--confidence",
        "0.25",
    )
    assert status == 0, said
    assert summary.startswith("2 pictures, ") and summary.endswith(f"files in {out}\n")
    assert "engine-segment: 1 of 2: bus: " in said
    items = tomllib.loads((data_dir / "MANIFEST.toml").read_text())["item"]
    expected = next(item for item in items if item["file"] == f"weights/{DETECTOR}.onnx")["expected"]
    for name in ("bus", "zidane"):
        record, numbers = record_of(out / f"{name}.json"), read_indices(out / f"{name}.png")
        assert (record["picture"], record["model"]) == (f"{name}.jpg", f"{DETECTOR}.onnx")
        picture = cv2.imread(str(data_dir / "images" / f"{name}.jpg"))
        drawn = cv2.imread(str(out / f"{name}.overlay.jpg"))
        assert picture is not None and drawn is not None
        assert (record["height"], record["width"], 3) == picture.shape == drawn.shape
        assert [thing["id"] for thing in record["objects"]] == list(range(1, len(record["objects"]) + 1))
        found = [(thing["label"], int(pixels_of(thing).sum())) for thing in record["objects"]]
        for label, _, *_box, pixels in expected[f"{name}.jpg"]:
            assert any(
                label == named and pixels == pytest.approx(covered, rel=0.05) for named, covered in found
            )
        covered = np.zeros(numbers.shape, np.bool_)
        for thing in record["objects"]:
            mine = pixels_of(thing)
            assert mine[numbers == thing["id"]].all() and thing["mask_source"] == "detector"
            covered |= mine
        np.testing.assert_array_equal(numbers > 0, covered)
        # Where no object is, the drawn picture is the picture, up to JPEG, labels and lines.
        difference = np.abs(drawn.astype(int) - picture.astype(int)).sum(axis=2)
        assert np.median(difference[~covered]) < 15 and np.median(difference[covered]) > 40


def test_everything_in_a_picture(
    sam2_folder: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    status, summary, said = run(
        capsys, folder / "00000.png", "--model", sam2_folder, "--out", out, "--points-per-side", "3",
        "--iou", "-9", "--stability", "0", "--min-area", "50", "--threads", "1",
    )  # fmt: skip
    assert status == 0, said
    record, numbers = record_of(out / "00000.json"), read_indices(out / "00000.png")
    assert summary.startswith(f"1 pictures, {len(record['objects'])} objects") and record["objects"]
    assert {thing["mask_source"] for thing in record["objects"]} == {"automatic"}
    assert set(np.unique(numbers)) - {0} <= {thing["id"] for thing in record["objects"]}
    confidences = [thing["mask_confidence"] for thing in record["objects"]]
    assert confidences == sorted(confidences, reverse=True)


def test_what_is_pointed_at_is_one_object_for_each_box(
    sam2_folder: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common: list[str | Path] = ["--model", sam2_folder, "--threads", "1", "--format", "json"]
    for name, prompt, most in (
        ("points", ["--point", "50,60", "--point", "150,60,0"], 1),
        ("boxes", ["--box", "20,20,80,100", "--box", "100,20,190,100"], 2),
        ("both", ["--box", "20,20,80,100", "--point", "50,60,1"], 1),
    ):
        status, _, said = run(capsys, folder, *common, *prompt, "--out", tmp_path / name)
        assert status == 0, said
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == [
            f"{i:05d}.json" for i in range(3)
        ]
        for index in range(3):
            found = record_of(tmp_path / name / f"{index:05d}.json")["objects"]
            assert len(found) <= most and {thing["mask_source"] for thing in found} <= {"prompt"}
    # Points differ from no points: the two boxes' first object is not the box with a point.
    texts = {(tmp_path / name / "00001.json").read_text() for name in ("points", "boxes", "both")}
    assert len(texts) == 3


def numbered_mask(path: Path) -> U8:
    numbers = np.zeros((120, 200), np.uint8)
    numbers[20:80, 20:80], numbers[30:100, 120:180] = 2, 7
    path.write_bytes(indexed_png(numbers))
    return numbers


def test_objects_of_a_mask_are_followed_through_a_folder_under_their_numbers(
    sam2_folder: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The layout of the DAVIS benchmark: the first frame's truth in, a PNG of numbers for each frame out."""
    numbers = numbered_mask(tmp_path / "first.png")
    out = tmp_path / "out"
    status, _, said = run(
        capsys, folder, "--model", sam2_folder, "--out", out, "--track", "--mask", tmp_path / "first.png",
        "--format", "png,json", "--threads", "1",
    )  # fmt: skip
    assert status == 0, said
    assert sorted(path.name for path in out.glob("*.png")) == sorted(path.name for path in folder.iterdir())
    first = read_indices(out / "00000.png")
    for number in (2, 7):
        shared, either = (
            ((first == number) & (numbers == number)).sum(),
            ((first == number) | (numbers == number)).sum(),
        )
        assert shared / either > 0.9, number
    later = [thing for i in (1, 2) for thing in record_of(out / f"{i:05d}.json")["objects"]]
    assert {thing["id"] for thing in later} <= {2, 7} and {thing["mask_source"] for thing in later} <= {
        "memory"
    }
    assert set(np.unique(read_indices(out / "00002.png"))) <= {0, 2, 7}


def test_a_video_is_followed_frame_by_frame(
    sam2_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "clip.avi", tmp_path / "out"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (200, 120))
    for index in range(4):
        video.write(np.roll(blocks(), 3 * index, axis=1))
    video.release()
    status, summary, said = run(
        capsys, path, "--model", sam2_folder, "--out", out, "--box", "20,20,80,100", "--threads", "1"
    )
    assert status == 0, said
    assert summary.startswith("4 pictures, ") and "engine-segment: 4: 00003: " in said
    records = [record_of(out / f"{index:05d}.json") for index in range(4)]
    assert [record["frame"] for record in records] == [0, 1, 2, 3]
    assert all(record["picture"] == "clip.avi" for record in records)


def test_pictures_that_cannot_be_done_are_said_and_the_others_are_done(
    sam2_folder: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "00001.png").write_bytes(b"no picture")
    cv2.imwrite(str(folder / "00003.png"), blocks(width=60, height=60))
    status, summary, said = run(
        capsys, folder, tmp_path / "missing.jpg", "--model", sam2_folder, "--out", tmp_path / "out",
        "--point", "150,60", "--threads", "1", "--format", "png",
    )  # fmt: skip
    assert status == 1
    assert f"{folder}/00001.png: not a picture that can be read\n" in said
    assert f"{folder}/00003.png: object 1: a point lies outside of the picture of 60 × 60\n" in said
    assert f"{tmp_path}/missing.jpg: no such file or folder\n" in said
    assert "2 failed" in summary and summary.startswith("2 pictures, ")
    assert sorted(path.name for path in (tmp_path / "out" / "pictures").iterdir()) == [
        "00000.png",
        "00002.png",
    ]


def test_a_prompt_beside_the_first_frame_ends_it(
    sam2_folder: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, said = run(
        capsys, folder, "--model", sam2_folder, "--out", tmp_path / "out", "--track", "--box", "300,10,400,50"
    )
    assert status == 2
    (complaint,) = [line for line in said.splitlines() if "outside" in line]
    assert complaint.endswith("00000.png: object 1: the box lies outside of the picture of 200 × 120")


@pytest.mark.parametrize(
    ("flags", "status", "why"),
    [
        (["nothing_here"], 1, "nothing_here: no such file or folder"),
        (["pictures", "--model", "yolo_imaginary"], 1, "'yolo_imaginary' is no file, no folder and no known name"),
        (["pictures", "--model", "none.onnx"], 1, "none.onnx: there is no such file"),
        (["pictures", "--model", "pictures"], 1, "segmenter.json"),
        (["pictures", "--model", "text.onnx"], 1, "text.onnx"),
        (["pictures", "--model", "motion"], 1, "motion"),
        (["pictures", "--out", "pictures"], 2, "--out pictures: pictures are there that are looked at"),
        (["pictures", "other/pictures"], 2, "other/pictures/00000.png would both be out/pictures/00000.*"),
        (["pictures/00000.png", "clip.mp4"], 2, "clip.mp4: no picture by its name, and a video has to come alone"),
        (["clip.mp4"], 2, "clip.mp4 is a video: say what to follow"),
        (["pictures", "--track"], 2, "--track: say what to follow"),
        (["pictures", "--point", "3"], 2, "'3' is not X,Y"),
        (["pictures", "--point", "3,4,2"], 2, "'3,4,2' is not X,Y"),
        (["pictures", "--point", "nan,4"], 2, "'nan,4' is not X,Y"),
        (["pictures", "--box", "3,4,3,9"], 2, "has no area"),
        (["pictures", "--box", "3,4,9,9", "--box", "1,1,2,2", "--point", "5,5"], 2, "whose point it is cannot be told"),
        (["pictures", "--mask", "text.onnx"], 2, "cannot be read as a PNG of object numbers"),
        (["pictures", "--mask", "black.png"], 2, "no object in it: every pixel is 0"),
        (["pictures", "--mask", "black.png", "--point", "1,1"], 2, "--mask is the answer itself"),
        (["pictures", "--format", "png,gif"], 2, "'gif' is none of png, json, overlay"),
        (["pictures", "--points-per-side", "0"], 2, "--points-per-side 0"),
        (["pictures", "--model", "text.onnx", "--point", "1,1"], 2, "text.onnx is a detector: points"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_one_clear_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    flags: list[str], status: int, why: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("ENGINE_MODELS", str(folder.parent))
    shutil.copytree(folder, "other/pictures")
    Path("text.onnx").write_text("no model")
    Path("clip.mp4").write_text("no video")
    Path("black.png").write_bytes(indexed_png(np.zeros((120, 200), np.uint8)))
    model = [] if "--model" in flags else ["--model", "text.onnx"]
    found, _, said = run(capsys, *flags, *model)
    assert (found, why in said) == (status, True), said
    errors = [line for line in said.splitlines() if line.startswith("engine-segment: ")]
    assert len(errors) == 1 and "Traceback" not in said


def test_the_embedded_segmenter_stands_in_and_its_records_say_so(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENGINE_MODELS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = (
        folder / "00000.png",
        "--model",
        "edgetam_512",
        "--box",
        "20,20,80,80",
        "--out",
        tmp_path / "out",
    )
    status, _, said = run(capsys, *asked, "--format", "json")
    why = "embedded model nano_sam in use because edgetam_512 is in no folder of models"
    assert status == 0 and f"engine-segment: degraded: {why}" in said
    record = record_of(tmp_path / "out" / "00000.json")
    assert record["model"] == "nano_sam" and record["degraded"][0].startswith(why)
    status, _, said = run(capsys, *asked, "--require-model")
    assert status == 1 and "'edgetam_512' is neither a folder nor in" in said


@pytest.mark.data
def test_a_detector_without_masks_is_refused(
    data_dir: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = data_dir / "weights" / "yolox_nano_416_f32.onnx"
    status, _, said = run(capsys, folder, "--model", model, "--out", tmp_path / "out")
    assert status == 1 and "finds boxes, no masks; name a segmenting one, or a SAM 2 folder" in said


@pytest.mark.data
@pytest.mark.usefixtures("signals_heard")
def test_an_interrupt_leaves_whole_files_only(data_dir: Path, detector: Path, tmp_path: Path) -> None:
    many, out = tmp_path / "many", tmp_path / "out"
    many.mkdir()
    for index in range(400):
        shutil.copy(data_dir / "images" / "bus.jpg", many / f"{index:05d}.jpg")
    command = [
        sys.executable,
        "-m",
        "engine.segment_cli",
        str(many),
        "--model",
        str(detector),
        "--out",
        str(out),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(out.glob("*.png")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    summary, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.endswith("engine-segment: interrupted; the files that are there are whole\n")
    assert "Traceback" not in said and summary.split()[0].isdecimal() and "files in" in summary
    written = list(out.iterdir())
    assert 1 <= len(written) < 1200 and not any(path.name.startswith(".") for path in written)
    for path in written:
        if path.suffix == ".json":
            record_of(path)
        elif path.suffix == ".png":
            assert read_indices(path).any()
        else:
            assert path.read_bytes().endswith(b"\xff\xd9")


@pytest.mark.data
def test_on_a_terminal_there_is_a_bar_and_no_line_for_each_picture(
    data_dir: Path, detector: Path, tmp_path: Path
) -> None:
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "engine.segment_cli", str(data_dir / "images"), "--model", str(detector)]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], cwd=ROOT, stdout=subprocess.PIPE, stderr=end, text=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(end)
    shown = b""
    with open(terminal, "rb", buffering=0) as screen:
        try:
            while part := screen.read(65536):
                shown += part
        except OSError:
            pass  # how a terminal on Linux says that its other end is closed
    assert done.returncode == 0 and done.stdout.startswith("2 pictures, ")
    assert "━".encode() in shown and b"1 of 2: " not in shown


def test_a_full_disk_is_one_line(
    sam2_folder: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], small_disk: Any
) -> None:
    out = small_disk(8192)
    status, _, said = run(
        capsys, folder, "--model", sam2_folder, "--out", out, "--box", "20,20,80,100", "--threads", "1"
    )
    assert status == 1
    assert said.splitlines()[-1].endswith("cannot be written: No space left on device; choose another --out")
    assert all(not path.name.startswith(".") for path in out.iterdir())
