"""What other cameras notice while one comes and goes: the longest time without a result, with and without changes.

python -m bench.live_changes [--seconds 30] [--model motion]

Starts a run with three cameras, leaves it alone for a while, and then adds, changes, stops, starts and removes a fourth
one over HTTP for as long. Prints the longest gaps between results of the three in both halves, what each change took,
and whether every frame is accounted for.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.machine import argument_parser, heading, markdown_table, write_json

OTHERS = ("a", "b", "c")
SOURCE = "test://?width=1280&height=720&fps=25"
READY_S = 60.0


class Run:
    """One `engine-run` process and its HTTP side."""

    def __init__(self, folder: Path, *arguments: str, environ: dict[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.folder = folder
        command = [
            str(Path(sys.executable).with_name("engine-run")),
            "--out",
            str(folder),
            "--port",
            str(self.port),
        ]
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **environ},
        )

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The document of an answer. Raises `urllib.error.HTTPError` where it is a no."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=40) as answer:
            document: dict[str, Any] = json.load(answer)
            return document

    def times(self, camera: str) -> list[float]:
        """When results of a camera were captured, seconds since the epoch."""
        path = self.folder / f"{camera}.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line)["time"] for line in lines if line.endswith("}")]

    def stop(self) -> int:
        """End it; its exit status."""
        self.process.terminate()
        return self.process.wait(20)


def until(condition: Callable[[], Any], what: str) -> None:
    """Wait for something."""
    deadline_s = time.monotonic() + READY_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise SystemExit(f"not within {READY_S:g} s: {what}")
        time.sleep(0.1)


def rounds(run: Run, seconds: float) -> dict[str, list[float]]:
    """Have a camera come, change, stop, start and go, again and again; seconds that each took."""
    camera = {"name": "guest", "source": SOURCE}
    zone = {"name": "all", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}
    steps: list[tuple[str, str, str, object]] = [
        ("add", "POST", "/cameras", camera),
        ("change fps and zones", "PATCH", "/cameras/guest", {"infer_fps": 5, "zone": [zone]}),
        ("stop", "POST", "/stop", {"cameras": ["guest"]}),
        ("start", "POST", "/start", {"cameras": ["guest"]}),
        ("remove", "DELETE", "/cameras/guest", None),
    ]
    took: dict[str, list[float]] = {name: [] for name, *_ in steps}
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        for name, method, path, body in steps:
            began_s = time.monotonic()
            run.ask(method, path, body)
            took[name].append(time.monotonic() - began_s)
            time.sleep(0.5)
    return took


def gaps(times: list[float], begin_s: float, end_s: float) -> list[float]:
    """Seconds between results within these times, longest first."""
    within = [begin_s, *(each for each in times if begin_s < each < end_s), end_s]
    return sorted((after - before for before, after in pairwise(within)), reverse=True)


def accounts_hold(run: Run) -> bool:
    """For every camera frames_in = processed + pending + Σ dropped."""
    return all(
        one["frames_in"] == one["frames_processed"] + one["frames_pending"] + sum(one["dropped"].values())
        for one in run.ask("GET", "/health")["cameras"].values()
    )


def measure(run: Run, seconds: float) -> dict[str, Any]:
    """Quiet, then changes: what the three cameras noticed, and what the changes took."""
    until(lambda: all(len(run.times(name)) > 50 for name in OTHERS), "three cameras give results")
    quiet_s = time.time()
    time.sleep(seconds)
    changes_s = time.time()
    took = rounds(run, seconds)
    ended_s = time.time()
    time.sleep(1.0)
    held = accounts_hold(run)
    cameras = {}
    for name in OTHERS:
        times = run.times(name)
        before, during = gaps(times, quiet_s, changes_s), gaps(times, changes_s, ended_s)
        cameras[name] = {
            "longest_without_ms": 1e3 * before[0], "longest_with_ms": 1e3 * during[0],
            "p99_without_ms": 1e3 * before[len(before) // 100], "p99_with_ms": 1e3 * during[len(during) // 100],
        }  # fmt: skip
    return {"cameras": cameras, "took_s": took, "accounts_hold": held}


def show(found: dict[str, Any]) -> None:
    """As tables."""
    columns = ("camera", "longest gap without changes", "with changes", "p99 without", "p99 with")
    print(
        markdown_table(
            columns,
            [
                (name, *(f"{value:.0f} ms" for value in row.values()))
                for name, row in found["cameras"].items()
            ],
        )
    )
    print()
    spans: list[tuple[object, ...]] = [
        (name, len(took), f"{statistics.median(took):.2f} s", f"{max(took):.2f} s")
        for name, took in found["took_s"].items()
    ]
    print(markdown_table(("change", "times", "median", "longest"), spans))
    print(f"\nevery frame accounted for: {'yes' if found['accounts_hold'] else 'NO'}")


def main() -> int:
    """Entry point."""
    parser = argument_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each half (default: 30)")
    parser.add_argument("--model", default="motion", help="detector (default: motion)")
    args = parser.parse_args()
    print(heading())
    sources = [part for name in OTHERS for part in ("--source", f"{name}={SOURCE}")]
    with tempfile.TemporaryDirectory() as folder:
        environ = {"ENGINE_STREAM_ENABLED": "false", "ENGINE_INFER_FPS": "10"}
        run = Run(Path(folder) / "out", *sources, "--no-overlay", "--model", args.model, environ=environ)
        try:
            found = measure(run, args.seconds)
        finally:
            status = run.stop()
    show(found)
    write_json(args.json, **found)
    return status


if __name__ == "__main__":
    sys.exit(main())
