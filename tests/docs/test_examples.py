"""Every example does what it says, as its own process, on real runs."""

from __future__ import annotations

import csv
import http.server
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.docs.reading import ROOT
from tests.e2e.engine import EngineRun, clip, model, until

EXAMPLES = ROOT / "examples"
SMALL = "test://?width=640&height=360"


def example(name: str, *words: str) -> list[str]:
    return [sys.executable, str(EXAMPLES / name), *words]


def done(command: list[str], cwd: Path) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=90, cwd=cwd)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_they_are_short() -> None:
    assert {
        file.name: n for file in EXAMPLES.iterdir() if (n := len(file.read_text().splitlines())) > 60
    } == {}


@pytest.mark.data
def test_python_api(data_dir: Path, tmp_path: Path) -> None:
    source = clip(data_dir, "pets09_s2l1_0001-0320")
    words = ("--offline", "--model", model(data_dir), "--pictures", "pictures")
    said = done(example("python_api.py", source, *words), tmp_path)
    assert "cam0 frame" in said and "objects; lost: {'cam0': {}}" in said
    assert len(list((tmp_path / "pictures").glob("cam0-*.jpg"))) > 3


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address, and what is posted there."""
    got: list[dict[str, Any]] = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", got
        server.shutdown()


def test_custom_output(tmp_path: Path) -> None:
    """The figures of the test picture walk through a zone; `motion` finds them."""
    (tmp_path / "cameras.toml").write_text(
        f'[[camera]]\nname = "yard"\nsource = "{SMALL}&frames=100"\n'
        '[[camera.zone]]\nname = "middle"\npolygon = [[0.3, 0.0], [0.7, 0.0], [0.7, 1.0], [0.3, 1.0]]\n'
    )
    (tmp_path / "profile.toml").write_text('[infer]\nmodel = "motion"\n')
    program = (
        (EXAMPLES / "custom_output.py").read_text().replace("from_profile(", 'from_profile("profile.toml", ')
    )
    (tmp_path / "custom_output.py").write_text(program)  # with a detector that needs no weights
    with webhook() as (url, events):
        words = ("--cameras", "cameras.toml", "--offline", "--csv", "objects.csv", "--webhook", url)
        done([sys.executable, "custom_output.py", *words], tmp_path)
    with (tmp_path / "objects.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 100 and {row["camera"] for row in rows} == {"yard"}
    assert all(float(row["width"]) > 0 for row in rows) and max(int(row["frame"]) for row in rows) == 99
    assert "appeared" in {event["kind"] for event in events}
    assert {event["camera"] for event in events} == {"yard"}


def test_custom_tracker(tmp_path: Path) -> None:
    run = EngineRun(
        tmp_path / "out", "--source", f"{SMALL}&frames=60", "--offline", "--model", "motion", "--no-overlay",
        "--tracker", str(EXAMPLES / "custom_tracker.py:Nearest"),
    )  # fmt: skip
    assert run.wait() == 0, run.text()
    lines = run.lines()
    ids = [[each["id"] for each in line["objects"]] for line in lines]
    assert len(lines) == 60 and len(set(ids[-1])) == len(ids[-1]) >= 3
    stayed = set(ids[-1]) & set(ids[-11])
    assert len(stayed) >= 2, "somebody keeps his ID over ten frames"
    assert any(each["velocity"] != [0.0, 0.0] for each in lines[-1]["objects"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[EngineRun]:
    """A run to be asked and to be read."""
    folder = tmp_path_factory.mktemp("examples")
    segmenter = str(request.getfixturevalue("segmenter"))
    words = (
        "--source",
        f"gate={SMALL}",
        "--model",
        "motion",
        "--segment",
        "prompt",
        "--segment-model",
        segmenter,
    )
    environ = {"ENGINE_OUTPUT_ATTACH": str(folder / "run.sock")}
    started = EngineRun(folder / "out", *words, "--no-overlay", environ=environ)
    try:
        until(lambda: keyframes_possible(started), 110, "a segmenter that is ready")
        yield started
    finally:
        started.process.terminate()
        started.wait()


def keyframes_possible(run: EngineRun) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{run.port}/health", timeout=5) as answer:
            told = json.load(answer)
    except OSError:
        return False
    camera, segment = told["cameras"]["gate"], told["processes"]["segment"]
    return bool(camera["results_out"] > 3 and segment["state"] == "running")


def test_prompt_over_http(run: EngineRun, tmp_path: Path) -> None:
    """Whatever is at the point, it is followed under a number of its own."""
    asked = example(
        "prompt_over_http.py", "gate", "320", "180", "--engine", f"127.0.0.1:{run.port}", "--masks", "3"
    )
    said = done(asked, tmp_path)
    assert said.startswith("object 1") and said.count(" corners, ") == 3
    refused = [*asked[:3], "0", "-5", *asked[5:]]
    ended = subprocess.run(refused, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1 and "point (0, -5) is outside" in ended.stdout


def test_read_from_another_process(run: EngineRun, tmp_path: Path) -> None:
    said = done(
        example("read_from_another_process.py", str(run.out.parent / "run.sock"), "--results", "5"), tmp_path
    )
    assert said.count("gate frame ") == 5 and "5 results; not read" in said
