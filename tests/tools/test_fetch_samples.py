"""Samples: rendered with their truth, or fetched and checked; fetching itself is tested in tests/models."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

from engine.errors import ModelCorrupt
from tools.fetch_samples import CLIPS, SCENES, Clip, fetch_clip, main

Capture = pytest.CaptureFixture[str]
SUM = "0" * 64


def test_a_sample_is_a_video_with_a_line_of_truth_for_every_frame(tmp_path: Path, capsys: Capture) -> None:
    arguments = ["court", "--render", "--to", str(tmp_path / "new"), "--seconds", "0.4", "--size", "320x180"]
    assert main(arguments) == 0
    video, truth = tmp_path / "new/court.mp4", tmp_path / "new/court.truth"
    assert capsys.readouterr().out.splitlines() == [str(video)]
    assert sorted(path.name for path in video.parent.iterdir()) == ["court.mp4", "court.truth"], (
        "work is left behind"
    )
    with av.open(str(video)) as container:
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 15
    lines = [json.loads(line) for line in truth.read_text().splitlines()]
    assert len(pictures) == len(lines) == 6 and [line["number"] for line in lines] == [0, 1, 2, 3, 4, 5]
    assert pictures[0].shape == (180, 320) and float(np.std(pictures[0])) > 20, "nothing to be seen"
    assert lines[0]["people"] and {line["width"] for line in lines} == {320}


def test_the_list_names_every_sample_with_its_licence(capsys: Capture) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(SCENES) + len(CLIPS)
    for clip in CLIPS:
        assert clip.url.startswith("https://") and any(
            clip.url in line and clip.licence in line for line in lines
        )


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["stret"], "did you mean 'street'"),
        (["people-detection"], "--sha256"),
        (["people-detection", "--sha256", "abc", "--bytes", "5"], "64 hexadecimal digits"),
        (["people-detection", "--render"], "--render"),
        (["people-detection", "store-aisle-detection"], "one clip at a time"),
        (["street", "--size", "641x360"], "--size"),
        (["street", "--seconds", "0"], "--seconds"),
    ],
)
def test_a_wrong_command_is_one_line(arguments: list[str], part: str, capsys: Capture) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and part in told[0]


def test_without_a_network_it_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    arguments = ["people-detection", "--sha256", SUM, "--bytes", "5", "--to", str(tmp_path)]
    assert main(arguments) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and "github.com" in told[0]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").touch()
    assert main(["street", "--to", str(tmp_path / "file")]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and "cannot be written" in told[0]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server on loopback with the clip `clip.mp4`."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served/clip.mp4").write_bytes(b"a clip")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served"))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_clip_is_fetched_and_checked(address: str, tmp_path: Path, capsys: Capture) -> None:
    clip = Clip("corridor", f"{address}/clip.mp4", "CC BY 4.0, somebody", "people")
    found = fetch_clip(clip, tmp_path / "to", hashlib.sha256(b"a clip").hexdigest(), 6)
    assert found.read_bytes() == b"a clip" and "CC BY 4.0, somebody" in capsys.readouterr().out
    with pytest.raises(ModelCorrupt):
        fetch_clip(clip, tmp_path / "other", SUM, 6)
    assert not (tmp_path / "other/corridor.mp4").exists()
