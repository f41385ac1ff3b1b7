"""Fixtures: the engine as a user starts it, and the peers that it talks to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.engine import EngineRun
from tests.peers.fixtures import rtsp_server, start_rtsp_server

__all__ = ["engine_run", "rtsp_server", "start_rtsp_server"]


@pytest.fixture
def engine_run(tmp_path: Path) -> Iterator[Callable[..., EngineRun]]:
    """Start `engine-run` with these arguments; whatever is left at the end is killed and fails the test."""
    if sys.platform != "linux":
        pytest.skip("processes are watched through /proc, which is Linux's")
    runs: list[EngineRun] = []

    def start(
        *arguments: str, environ: dict[str, str] | None = None, prefix: tuple[str, ...] = ()
    ) -> EngineRun:
        run = EngineRun(tmp_path / f"out{len(runs)}", *arguments, environ=environ, prefix=prefix)
        runs.append(run)
        return run

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()
        assert "Traceback" not in run.text(), run.text()
