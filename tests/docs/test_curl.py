"""Every `curl` of the documents, really sent by curl to one running engine: each must be answered with 2xx.

The cameras that the pages speak of are there and show the test picture; where a head is meant, it is a simulated
one. Before each request, what it speaks of is put back in place (a page before may have removed or replaced it).
Numbers of objects and frames are those of this run.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.docs.reading import Command, commands
from tests.docs.trying import path_of, urls_of
from tests.e2e.engine import EngineRun, free_port, until

CURLS = [(command, step) for command in commands() for step in command.steps if step[0] == "curl"]
PICTURE = "test://?width=1280&height=720&fps=2"
HEAD = "head"
"""The camera that has one, whatever the page calls it."""
SECRETS = {"YARD_LOGIN": "me:secret", "YARD_USER": "me", "YARD_PASSWORD": "secret"}


class Asked:
    """The engine that the pages speak to. `cameras`: how they should be; `replaced`: those that are not at present."""

    def __init__(self, folder: Path, segmenter: Path) -> None:
        head = free_port()
        scene = f"scene://court?camera=2&width=320&height=180&fps=2&http={head}"
        ptz = {"driver": "hikvision", "url": f"http://127.0.0.1:{head}", "hfov_deg": 59.8}
        names = ("gate", "front", "cam0", "yard")
        self.cameras: dict[str, dict[str, Any]] = {name: {"name": name, "source": PICTURE} for name in names}
        self.cameras[HEAD] = {"name": HEAD, "source": scene, "ptz": ptz}
        self.replaced: set[str] = set()
        file = folder / "cameras.json"
        file.write_text(json.dumps({"camera": list(self.cameras.values())}))
        words = ("--cameras", str(file), "--model", "motion", "--no-overlay")
        masks = ("--segment", "prompt", "--segment-model", str(segmenter))
        self.run = EngineRun(
            folder / "out", *words, *masks, environ={**SECRETS, "ENGINE_TRACK_CAMERA_MOTION": "off"}
        )

    def is_ready(self) -> bool:
        told = self.run.health()
        if told is None:
            return False
        heads = told.get("ptz", {}).get(HEAD, {}).get("state") in ("ok", "degraded")
        return heads and all(self.newest_frame(name) is not None for name in self.cameras)

    def newest_frame(self, name: str) -> int | None:
        file = self.run.out / f"{name}.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return int(json.loads(lines[-1])["frame"]) if lines else None

    def ask(self, method: str, path: str, body: object = None) -> Any:
        connection = HTTPConnection("127.0.0.1", self.run.port, timeout=30)
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        told = json.load(answer)
        connection.close()
        assert answer.status < 300, told
        return told

    def put_back(self, name: str) -> None:
        """The camera as it should be, giving pictures."""
        if name not in self.replaced:
            return
        if name in {each["name"] for each in self.ask("GET", "/cameras")["cameras"]}:
            self.ask("DELETE", f"/cameras/{name}")
        before = self.newest_frame(name)
        self.ask("POST", "/cameras", self.cameras[name])
        self.replaced.discard(name)
        until(lambda: self.newest_frame(name) not in (None, before), 90, f"a picture of {name}")

    def object_of(self, name: str) -> int:
        """Somebody who is pointed at."""
        self.ask("PUT", f"/cameras/{name}/segmentation", {"mode": "prompt"})
        return int(self.ask("POST", f"/cameras/{name}/prompts", {"points": [[640, 360, 1]]})["object"])


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, segmenter: Path) -> Iterator[Asked]:
    if shutil.which("curl") is None:
        pytest.skip("curl is missing: apt-get install curl")
    engine = Asked(tmp_path_factory.mktemp("curl"), segmenter)
    try:
        until(engine.is_ready, 120, "all cameras, and a head that answers")
        yield engine
    finally:
        engine.run.process.terminate()
        status = engine.run.wait()
    assert status == 0


def body_of(words: list[str]) -> dict[str, Any]:
    """What is sent as JSON, empty without."""
    told: dict[str, Any] = json.loads(words[words.index("-d") + 1]) if "-d" in words else {}
    return told


def spoken_of(path: str, body: dict[str, Any]) -> set[str]:
    """Names of the cameras that a request is about."""
    found = re.match(r"/(?:cameras|ptz|mjpeg|snapshot|hls|whep)/([\w-]+)", path)
    return {*([found[1]] if found else []), *([body["camera"]] if "camera" in body else [])}


def prepared(asked: Asked, words: list[str]) -> list[str]:
    """The command with this engine's port, and numbers that there are."""
    (url,) = urls_of(words)
    path, body = path_of(url), body_of(words)
    method = words[words.index("-X") + 1] if "-X" in words else "GET"
    if (method, path) == ("POST", "/cameras"):
        asked.replaced.add(body["name"])
        if body["name"] in {each["name"] for each in asked.ask("GET", "/cameras")["cameras"]}:
            asked.ask("DELETE", f"/cameras/{body['name']}")
        return [
            *words[: words.index(url)],
            f"127.0.0.1:{asked.run.port}{path}",
            *words[words.index(url) + 1 :],
        ]
    path = re.sub(r"^/ptz/[\w-]+", f"/ptz/{HEAD}", path)
    if "/ptz/" in path and "point" in body:
        body["point"] = [160, 90]
    names = spoken_of(path, body)
    for name in names:
        asked.put_back(name)
    if method == "DELETE" and path.count("/") == 2:
        asked.replaced |= names
    if "/objects/" in path:
        (name,) = names
        path = re.sub(r"/objects/\d+", f"/objects/{asked.object_of(name)}", path)
    if "object" in body:
        body["object"] = asked.object_of(*names)
    if "frame" in body:
        body["frame"] = asked.newest_frame(*names)
    sent = [f"127.0.0.1:{asked.run.port}{path}" if word == url else word for word in words]
    if body:
        sent[sent.index("-d") + 1] = json.dumps(body)
    return sent


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("command", "words"), CURLS, ids=[command.place for command, _ in CURLS])
def test_a_request_is_answered(command: Command, words: list[str], asked: Asked, tmp_path: Path) -> None:
    sent = [
        *prepared(asked, words),
        "--silent",
        "--show-error",
        "--max-time",
        "30",
        "--write-out",
        "\n%{http_code}",
    ]
    done = subprocess.run(sent, capture_output=True, text=True, cwd=tmp_path)
    answer, _, status = done.stdout.rpartition("\n")
    assert done.returncode == 0 and status[:1] == "2", f"{command.text}\n{status} {answer}{done.stderr}"
