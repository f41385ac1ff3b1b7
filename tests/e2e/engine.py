"""The engine as a user starts it: a real process, watched from the outside."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ENGINE_RUN = str(Path(sys.executable).with_name("engine-run"))


def until(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Ask again and again until the answer is true; fail with `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s:g} s: {what}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class EngineRun:
    """One `engine-run` process."""

    def __init__(
        self, out: Path, *arguments: str, environ: dict[str, str] | None = None, prefix: tuple[str, ...] = ()
    ) -> None:
        self.out = out
        self.port = free_port()
        self.log = out.with_suffix(".log")
        out.mkdir(exist_ok=True)
        command = [*prefix, ENGINE_RUN, "--out", str(out), "--port", str(self.port), *arguments]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **(environ or {})}
            )

    def wait(self, timeout_s: float = 60) -> int:
        """Wait for the end; returns the exit status."""
        return self.process.wait(timeout_s)

    def stop(self) -> int:
        """SIGTERM, then wait."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(10)

    def results_after(self, count: int) -> bool:
        """True once there are more than `count` lines of the first camera."""
        return len(self.lines()) > count

    def result_newer_than(self, wall_s: float) -> bool:
        """True once a frame captured after `wall_s` is in the lines of the first camera."""
        return self.lines()[-1]["time"] > wall_s  # type: ignore[no-any-return]  # our own document

    def text(self) -> str:
        return self.log.read_text()

    def health(self) -> dict[str, Any] | None:
        """The answer of /health, None while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2) as answer:
                return json.load(answer)  # type: ignore[no-any-return]  # our own document
        except urllib.error.HTTPError as error:
            return json.load(error)  # type: ignore[no-any-return]  # our own document
        except (OSError, ValueError):
            return None

    def workers(self) -> dict[int, str]:
        """Living children: process number to `kind fd`."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    command = (entry / "cmdline").read_bytes().split(b"\0")
                except (OSError, IndexError):
                    continue
                if parent == self.process.pid and len(command) > 3:
                    found[int(entry.name)] = command[3].decode()
        return found

    def lines(self, camera: str = "cam0") -> list[dict[str, Any]]:
        """The JSON lines written so far; every line must be whole."""
        path = self.out / f"{camera}.jsonl"
        if not path.exists():
            return []
        return [
            json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")
        ]


def model(data_dir: Path, name: str = "light_person_detector_192_f32") -> str:
    return str(data_dir / "weights" / f"{name}.onnx")


def clip(data_dir: Path, name: str) -> str:
    return str(data_dir / "clips" / f"{name}.mp4")
