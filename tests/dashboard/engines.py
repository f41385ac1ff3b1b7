"""Engines as a user starts them, for tests that look at them with a browser."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.engine import EngineRun, until


class Engines:
    """Runs that are ended together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.runs: list[EngineRun] = []

    def start(self, *arguments: str, environ: dict[str, str] | None = None) -> EngineRun:
        """One that answers over HTTP."""
        run = EngineRun(self._folder / f"out{len(self.runs)}", *arguments, environ=environ)
        self.runs.append(run)
        until(lambda: run.process.poll() is not None or run.health(), 30, f"an answer\n{run.text()}")
        assert run.process.poll() is None, run.text()
        return run

    def end(self) -> None:
        """Kill what still runs; none of them may have failed."""
        for run in self.runs:
            if run.process.poll() is None:
                run.process.terminate()
        for run in self.runs:
            try:
                run.process.wait(10)
            finally:
                run.process.kill()
            assert "Traceback" not in run.text(), run.text()
