"""Nothing is sent to anybody: ONNX Runtime would from 1.29 on, and keeps what it sends in the home folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("module", ["engine.models.ort", "bench.plain"])
def test_onnx_runtime_collects_nothing(tmp_path: Path, module: str) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    variables |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    for name in ("CI", "PYTEST_CURRENT_TEST"):
        variables.pop(name, None)
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True, env=variables, cwd=tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
