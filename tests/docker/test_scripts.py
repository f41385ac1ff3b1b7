"""The scripts of docker/ as somebody types them: help, choices, and one clear line where something is missing."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("build_image.sh", "run_local.sh", "run_gpu_test.sh")
TOOLS = (
    "bash",
    "sh",
    "basename",
    "cat",
    "dirname",
    "env",
    "git",
    "grep",
    "id",
    "sed",
    "tail",
    "tr",
    "od",
    "mkdir",
)


def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """From another folder, with a clean environment."""
    there = {"PATH": os.environ["PATH"], **environment}
    command = [str(ROOT / "docker" / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", env=there, timeout=30)


@pytest.fixture
def bare_path(tmp_path: Path) -> str:
    """A PATH with the system's usual tools, and neither docker nor nvidia-smi."""
    for tool in TOOLS:
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    return str(tmp_path)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_and_wrong_flags(script: str, bare_path: str) -> None:
    told = run(script, "--help", PATH=bare_path)
    assert (
        told.returncode == 0
        and told.stdout.startswith(f"usage: docker/{script}")
        and "Exit status" in told.stdout
    )
    for arguments in (("--nonsense",), ("--env",), ("--base",)):
        refused = run(script, *arguments, PATH=bare_path)
        assert refused.returncode == 2 and refused.stderr.count("\n") == 1, refused.stderr
        assert "--help" in refused.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_docker_there_is_one_line(script: str, bare_path: str) -> None:
    done = run(script, PATH=bare_path)
    assert done.returncode == 1
    assert done.stderr == f"{script}: docker is missing: https://docs.docker.com/engine/install/\n"
    assert done.stdout == ""


def test_device_chooses_the_dockerfile() -> None:
    [command, name] = run("build_image.sh", "--dry-run").stdout.splitlines()
    assert f"--file {ROOT}/docker/Dockerfile " in command and "PYTHON_IMAGE=python:" in command
    assert name == "camring:dev"
    [command, name] = run("build_image.sh", "--dry-run", "--env", "prod").stdout.splitlines()
    assert f"--file {ROOT}/docker/Dockerfile.gpu " in command and "--build-arg CUDA=13" in command
    assert name == "camring:0.1.0-gpu"
    [command, name] = run(
        "build_image.sh", "--dry-run", "--env", "prod", "--device", "cpu"
    ).stdout.splitlines()
    assert "Dockerfile.gpu" not in command and name == "camring:0.1.0"
    refused = run("build_image.sh", "--dry-run", "--device", "tpu")
    assert refused.returncode == 2 and "neither cpu nor cuda" in refused.stderr


def test_a_base_may_be_named_with_its_digest() -> None:
    base = f"python:3.11-slim-bookworm@sha256:{'0' * 64}"
    [command, _] = run("build_image.sh", "--dry-run", "--base", base, "--no-cache").stdout.splitlines()
    assert f"PYTHON_IMAGE={base}" in shlex.split(command) and "--pull" in command
    [command, _] = run("build_image.sh", "--dry-run", PYTHON_IMAGE=base).stdout.splitlines()
    assert f"PYTHON_IMAGE={base}" in shlex.split(command), "the environment wins, as for docker compose"


@pytest.mark.parametrize(
    ("arguments", "profiles"),
    [
        ((), "cpu,simulated,monitoring,bus"),
        (("--device", "cuda"), "gpu,simulated,monitoring,bus"),
        (("--env", "prod", "--device", "cpu"), "cpu,monitoring,bus"),
    ],
)
def test_device_chooses_the_engine_that_is_started(arguments: tuple[str, ...], profiles: str) -> None:
    done = run("run_local.sh", "--dry-run", *arguments, CAMERAS="simulated.toml")
    assert done.returncode == 0, done.stderr
    [told, command] = done.stdout.splitlines()
    assert told.endswith(f"profiles {profiles}")
    assert shlex.split(command)[-2:] == ["up", "--build"] and str(ROOT / "docker/compose.yml") in command
    assert not (ROOT / "docker/secrets").exists() or done.stdout.count("made") == 0


def test_a_cameras_file_that_is_not_there_is_told() -> None:
    done = run("run_local.sh", "--dry-run", CAMERAS="none.toml")
    assert done.returncode == 1 and "cameras.example.toml" in done.stderr and done.stderr.count("\n") == 1


def test_the_gpu_test_writes_figures_and_reads_what_is_given(tmp_path: Path) -> None:
    (tmp_path / "MANIFEST.toml").touch()
    (tmp_path / "a b.onnx").touch()
    done = run(
        "run_gpu_test.sh", "--dry-run", "--quick", "--gpu", "1", "--no-build", "--out", str(tmp_path),
        "--data", str(tmp_path), "--model", str(tmp_path / "a b.onnx"), "--", "-k", "one or two",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    versions, tests, bench = (shlex.split(line) for line in done.stdout.replace("\\n", " ").splitlines())
    for command in (versions, tests, bench):
        assert '"device=1"' in command and "--read-only" in command and f"{tmp_path}:/results" in command
        assert f"{tmp_path}/a b.onnx:/model.onnx:ro" in command and "ENGINE_TEST_DATA=/data" in command
    assert tests[-2:] == ["-k", "one or two"]
    assert bench[-6:] == [
        "bench/gpu.py",
        "--json",
        "/results/figures.json",
        "--quick",
        "--model",
        "/model.onnx",
    ]
    refused = run("run_gpu_test.sh", "--dry-run", "--model", str(tmp_path / "none.onnx"))
    assert refused.returncode == 2 and "no such file" in refused.stderr


def test_every_test_that_needs_a_gpu_is_run_there() -> None:
    script = (ROOT / "docker/run_gpu_test.sh").read_text()
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if path == Path(__file__) or "mark.gpu" not in path.read_text():
            continue
        name = str(path.relative_to(ROOT))
        assert name in script or any(
            f"{parent} " in script for parent in ("tests/kernels",) if name.startswith(parent)
        ), name
