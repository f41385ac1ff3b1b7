"""Changing a run while it goes on, as a program does it over HTTP, and watching what the others notice of it."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.error
import urllib.request
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.e2e.engine import EngineRun, until


def ask(run: EngineRun, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
    """Status and document of the answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{run.port}{path}",
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=40) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def done(run: EngineRun, method: str, path: str, body: object = None) -> dict[str, Any]:
    """The document of an answer that must be a yes."""
    status, document = ask(run, method, path, body)
    assert status < 300, f"{method} {path}: {status} {document}\n{run.text()}"
    return document


def cameras(run: EngineRun) -> dict[str, Any]:
    """What /health says of every camera."""
    found: dict[str, Any] = until(run.health, 5, "health")["cameras"]
    return found


def accounts_hold(run: EngineRun) -> bool:
    """For every camera frames_in = processed + pending + Σ dropped."""
    return all(
        one["frames_in"] == one["frames_processed"] + one["frames_pending"] + sum(one["dropped"].values())
        for one in cameras(run).values()
    )


def pids(run: EngineRun) -> dict[str, int | None]:
    """Process numbers by worker."""
    return {name: row["pid"] for name, row in until(run.health, 5, "health")["processes"].items()}


def open_files(pid: int) -> int:
    """Descriptors of a process."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def shared_memory_mib(pid: int) -> float:
    """Memory of pools that a process has mapped."""
    found = 0
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if "memfd:" in line:
            begin, _, end = line.split()[0].partition("-")
            found += int(end, 16) - int(begin, 16)
    return found / 2**20


class Held:
    """How long this machine holds up a thread that wants to run every 20 ms: what no engine can do anything about."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Held:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        before_s = time.monotonic()
        while not self._over.wait(0.02):
            now_s = time.monotonic()
            self.longest_s, before_s = max(self.longest_s, now_s - before_s), now_s


def longest_gap_s(lines: list[dict[str, Any]], begin_s: float, end_s: float) -> float:
    """The longest time without a result between these times of capture."""
    times: list[float] = [begin_s, *(line["time"] for line in lines if begin_s < line["time"] < end_s), end_s]
    return max(after - before for before, after in pairwise(times))
