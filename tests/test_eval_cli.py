"""`engine-eval mot` as it is typed: trackers, networks whose answers are kept, peers, and what it refuses."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engine.eval_cache import AnswerCache, hash_of_files, key_of
from engine.eval_cli import main
from engine.eval_looks import LookSettings, LookSource
from engine.tracking.settings import TrackerSettings
from engine.types import Detections, Embeddings
from tests.evaluation.mot import FRAMES, add, boxes, write_result, write_sequence


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for each test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "camring" / "evaluation"


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return write_sequence(tmp_path / "two")


def mot(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    status = main(["mot", *map(str, arguments)])
    said = capsys.readouterr()
    return status, said.out, said.err


def scores(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> list[dict[str, Any]]:
    """Of each tracker on each sequence, without what differs from run to run."""
    status, out, err = mot(capsys, *arguments, "--json")
    assert status == 0, err
    found: list[dict[str, Any]] = json.loads(out)["sequences"]
    return [{key: value for key, value in each.items() if key[:3] not in ("fps", "upd")} for each in found]


def paint(folder: Path, size_wh: tuple[int, int] = (640, 480)) -> None:
    """Pictures of the two people before a wall."""
    (folder / "img1").mkdir()
    wall = np.random.default_rng(0).integers(90, 110, (size_wh[1], size_wh[0], 3), np.uint8)
    for frame in range(1, FRAMES + 1):
        picture = wall.copy()
        for who, (left, top, width, height) in boxes(frame).items():
            cv2.rectangle(picture, (int(left), int(top), int(width), int(height)), (60 * who, 0, 255), -1)
        cv2.imwrite(str(folder / "img1" / f"{frame:06d}.jpg"), picture)


@pytest.mark.parametrize("tracker", ["botsort", "bytetrack", "sort"])
def test_every_tracker_follows_two_people(
    two: Path, capsys: pytest.CaptureFixture[str], tracker: str
) -> None:
    paint(two)
    (score,) = scores(capsys, two, "--tracker", tracker)
    assert (score["tracker"], score["idf1"], score["switches"], score["ids"]) == (tracker, 1.0, 0, 2)
    assert score["mota"] == 1.0


def test_the_table(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = mot(capsys, two, "--tracker", "botsort", "--tracker", "bytetrack")
    lines = [line.split() for line in out.splitlines()]
    assert status == 0 and lines[0][:5] == ["sequence", "tracker", "MOTA", "IDF1", "HOTA"]
    assert [line[:4] for line in lines[1:]] == [
        ["two", "botsort", "1.000", "1.000"], ["two", "bytetrack", "1.000", "1.000"],
    ]  # fmt: skip
    assert float(lines[1][-1]) > 0
    assert "no pictures of two" in err


def test_the_same_twice(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paint(two)
    assert scores(capsys, two) == scores(capsys, two)


def test_a_result_that_is_there(two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = write_result(tmp_path / "res.txt", who={1: 4})
    (score,) = scores(capsys, two, "--result", result)
    assert (score["mota"], score["misses"], score["ids"], score["people"]) == (0.5, 10, 1, 2)


def test_files_that_count_pixels_from_0(
    two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text and text agree however they count; JSON lines count from 0."""
    objects = [{"id": who, "bbox": list(box)} for who, box in boxes(1).items()]
    (tmp_path / "cam.jsonl").write_text(
        json.dumps({"schema": "camring.frame/1", "frame": 0, "objects": objects}) + "\n"
    )
    (tmp_path / "res.txt").write_text((two / "gt" / "gt.txt").read_text())
    for pixel in ("0", "1"):
        (score,) = scores(capsys, two, "--result", tmp_path / "res.txt", "--first-pixel", pixel)
        assert score["hota"] in (None, 1.0)
        (score,) = scores(capsys, two, "--result", tmp_path / "cam.jsonl", "--first-pixel", pixel)
        # DetA is 1 / 10 where both boxes of the one frame fit exactly, and less where they are a pixel off.
        assert score["det_a"] is None or (score["det_a"] == pytest.approx(0.1)) == (pixel == "0")


@pytest.mark.data
def test_published_figures(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = data_dir / "mot" / "TUD-Campus"
    status, out, _ = mot(capsys, folder, "--result", folder / "res.txt")
    assert status == 0
    cells = out.splitlines()[1].split()
    assert cells[:4] == ["TUD-Campus", "res.txt", "0.526", "0.558"]
    assert cells[7:12] == ["7", "13", "150", "13", "8"]


def test_the_embedded_detector_stands_in_and_the_scores_say_so(
    two: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paint(two)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.delenv("ENGINE_MODELS", raising=False)
    asked = (two, "--detections", "yolox_nano", "--camera-motion", "off", "--json")
    status, out, said = mot(capsys, *asked)
    why = (
        "embedded model nano_det in use because yolox_nano cannot be fetched (github.com: Connection refused)"
    )
    assert status == 0 and f"engine-eval: degraded: {why}" in said
    assert json.loads(out)["degraded"][0].startswith(why)
    status, _, said = mot(capsys, *asked, "--require-model")
    assert status == 1 and "yolox_nano could not be fetched" in said


def test_detections_of_another_file(two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one_person = write_result(tmp_path / "mine.txt", who={1: -1}, score=0.9)
    one_person.rename(two / "det" / "inside.txt")
    for name in ("inside.txt", two / "det" / "inside.txt"):
        assert scores(capsys, two, "--detections", name)[0]["misses"] == 10


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["nowhere"], "nowhere: no such folder", 2),
        (["{two}", "--tracker", "botsrot"], "'botsrot' is not known (did you mean 'botsort'?)", 2),
        (["{two}", "--vs", "robofow-sort"], "'robofow-sort' is not known (did you mean 'roboflow-sort'?)", 2),
        (["{two}", "--peers", "nowhere", "--vs", "all"], "--peers nowhere: no such folder", 2),
        (["{two}", "--detections", "nowhere.txt"], "nowhere.txt: no such file", 2),
        (["{two}", "--detections", "yolov8m"], "neither a file nor a known name", 1),
        (["{two}", "--detections", "motion"], "name a model in a file", 2),
        (["{two}", "--reid", "nobody"], "neither a file nor a known name", 1),
        (["{two}", "--clip", "nowhere.mp4"], "--clip nowhere.mp4: no such file", 2),
        (["{two}", "--result", "nowhere.txt"], "nowhere.txt: no such file or folder", 2),
        (["{two}", "--result", "{two}/det/det.txt", "--vs", "all"], "leave out --tracker and --vs", 2),
        (["{two}", "--result", "{two}/det/det.txt"], "no IDs in it", 2),
    ],
)
def test_bad_input_is_one_line(
    two: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str, status: int
) -> None:
    ended, out, err = mot(capsys, *[argument.format(two=two) for argument in arguments])
    assert (ended, out) == (status, "")
    assert err.startswith("engine-eval: ") and message in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("11,-1,10,10,5,5,1", "det.txt:21: frame 11, but two has 10 frames"),
        ("3,-1,10,10,5", "det.txt:21: 5 columns"),
        ("3,-1,10,10,5,x,1", "det.txt:21: not a line of numbers"),
    ],
)
def test_detections_that_cannot_be(
    two: Path, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    add(two / "det" / "det.txt", line)
    status, _, err = mot(capsys, two)
    assert status == 2 and message in err and err.count("\n") == 1


@pytest.mark.parametrize(("content", "message"), [("", "empty"), ("1,-1,10,10,5,5\n", "no scores in it")])
def test_no_detections(two: Path, capsys: pytest.CaptureFixture[str], content: str, message: str) -> None:
    (two / "det" / "det.txt").write_text(content)
    status, _, err = mot(capsys, two)
    assert status == 2 and message in err


@pytest.mark.parametrize(
    "option", [["--fps", "0"], ["--confidence", "2"], ["--fps", "x"], ["--classes", ","]]
)
def test_numbers_that_cannot_be(two: Path, capsys: pytest.CaptureFixture[str], option: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        mot(capsys, two, *option)
    assert ended.value.code == 2 and option[0] in capsys.readouterr().err


def test_pictures_that_lack_or_are_of_another_size(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paint(two, (320, 240))
    status, _, err = mot(capsys, two)
    assert status == 2 and "320 × 240 pixels, but seqinfo.ini says 640 × 480" in err
    (two / "img1" / "000007.jpg").unlink()
    status, _, err = mot(capsys, two)
    assert status == 2 and "000007.jpg: missing; there is truth for frame 7" in err


def test_a_clip_that_ends_too_early(two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "short.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (640, 480))
    for _ in range(4):
        writer.write(np.full((480, 640, 3), 90, np.uint8))
    writer.release()
    status, _, err = mot(capsys, two, "--clip", tmp_path / "short.mp4")
    assert status == 2 and "4 frames, but there is truth for 10" in err
    write_sequence(tmp_path / "three")
    status, _, err = mot(capsys, two, tmp_path / "three", "--clip", tmp_path / "short.mp4")
    assert status == 2 and "one video for 2 sequences" in err


def test_networks_want_pictures(two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"")
    for option in ("--detections", "--reid"):
        status, _, err = mot(capsys, two, option, model)
        assert status == 2 and "--clip" in err and err.count("\n") == 1


@pytest.mark.data
def test_what_networks_say_is_kept(
    data_dir: Path, cache_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, weights = data_dir / "mot" / "MOT17-05-FRCNN", data_dir / "weights"
    detector = ("--detections", weights / "light_person_detector_192_f32.onnx")
    reid = ("--reid", weights / "osnet_x0_25_msmt17_dynbatch.onnx", "--reid-demand", "all")
    said = "looks at"
    status, first, err = mot(capsys, folder, *detector, *reid, "--json")
    assert status == 0 and err.count(said) == 2
    kept = sorted(cache_folder.iterdir())
    assert len(kept) == 2
    # Other trackers: nobody is loaded.
    status, second, err = mot(
        capsys, folder, *detector, *reid, "--json", "--tracker", "sort", "--tracker", "botsort"
    )
    assert status == 0 and said not in err
    wanted = json.loads(first)["sequences"][0]["idf1"]
    assert json.loads(second)["sequences"][1]["idf1"] == wanted and wanted > 0
    # Another threshold is another answer, and boxes found otherwise look otherwise.
    assert mot(capsys, folder, *detector, *reid, "--confidence", "0.3")[2].count(said) == 2
    # A damaged file is none.
    for file in kept:
        file.write_bytes(file.read_bytes()[:200])
    assert mot(capsys, folder, *detector, *reid)[2].count(said) == 2
    assert mot(capsys, folder, *detector, *reid)[2].count(said) == 0
    assert mot(capsys, folder, *detector, "--no-cache")[2].count(said) == 1


def test_the_cache_keeps_arrays_and_nothing_else(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "deep" / "down")
    key = key_of("it", 1, [2, 3])
    assert cache.find(key) is None
    cache.store(key, {"values": np.arange(3)})
    found = cache.find(key)
    assert found is not None and found["values"].tolist() == [0, 1, 2]
    assert (cache.hits, cache.misses) == (1, 1)
    np.savez(tmp_path / "deep" / "down" / f"{key}.npz", values=np.array([{"a": "pickle"}]))
    assert cache.find(key) is None, "what would have to be unpickled is not read"
    assert key != key_of("it", 1, [2, 4])
    (tmp_path / "file").write_text("x")
    AnswerCache(tmp_path / "file").store(key, {"values": np.arange(3)})
    assert AnswerCache(None).find(key) is None


def test_files_are_known_by_their_contents(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("12"), b.write_text("3")
    before = hash_of_files([a, b])
    assert before == hash_of_files([a, b]) != hash_of_files([b, a])
    a.write_text("1"), b.write_text("23")
    assert hash_of_files([a, b]) != before


@pytest.mark.data
def test_looks_on_demand_are_fewer_than_all(data_dir: Path) -> None:
    """People who stand apart and go on as they did are looked at when they are new, and then now and again."""
    frames = []
    for frame in range(1, 41):
        found = np.array([[100 + frame, 100, 140 + frame, 200], [400, 250, 440, 350]], np.float32)
        looks = Embeddings(np.arange(2, dtype=np.int32), np.eye(2, 8, dtype=np.float16))
        frames.append(Detections(found, np.full(2, 0.9, np.float32), np.zeros(2, np.int32), embeddings=looks))
    model = str(data_dir / "weights" / "osnet_x0_25_msmt17_dynbatch.onnx")
    counts = {}
    for demand in ("engine", "all"):
        source = LookSource(model, LookSettings(demand), AnswerCache(None), print)
        given = source.for_tracker(frames, TrackerSettings(), fps=10.0)
        counts[demand] = [0 if each.embeddings is None else len(each.embeddings) for each in given]
    assert counts["all"] == [2] * 40
    assert counts["engine"][0] == 2 and 4 < sum(counts["engine"]) < 30


def test_missing_peers_are_a_line_and_no_error(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = mot(capsys, two, "--vs", "roboflow-sort", "--vs", "norfair")
    assert status == 0 and "botsort" in out
    for name, package in (("roboflow-sort", "trackers"), ("norfair", "norfair")):
        line = f"engine-eval: {name} is left out: "
        assert (line in err) == (find_spec(package) is None)


@pytest.mark.skipif(
    any(find_spec(name) is None for name in ("ultralytics", "lap", "torch")), reason="ultralytics is missing"
)
def test_a_peer_that_is_installed(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own, peer = scores(capsys, two, "--vs", "ultralytics-bytetrack")
    assert (own["tracker"], peer["tracker"]) == ("botsort", "ultralytics-bytetrack")
    assert peer["ids"] == 2 and peer["idf1"] > 0.9
