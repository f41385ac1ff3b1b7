"""The Dockerfiles as files: hadolint, shellcheck, and what we ask of them beyond."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.docker import dockerfile

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
NAMES = ("Dockerfile", "Dockerfile.gpu")
STEP = re.compile(r"sh /steps/(\w+\.sh)")
PINNED = re.compile(r"^[\w./-]+:[\w.-]*\d[\w.-]*(@sha256:[0-9a-f]{64})?$")


def installed(program: str) -> str:
    """Path of a program that came with the extra `dev`; skips where it has none for this machine."""
    found = shutil.which(program, path=str(Path(sys.executable).parent)) or shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is missing: make test installs it where it can")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_hadolint(name: str) -> None:
    done = subprocess.run([installed("hadolint"), str(DOCKER / name)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_shellcheck() -> None:
    scripts = [*DOCKER.glob("*.sh"), *DOCKER.glob("steps/*.sh")]
    assert len(scripts) >= 10
    command = [installed("shellcheck"), "--external-sources", "--source-path", str(ROOT), *map(str, scripts)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_step_is_a_script_that_is_there(name: str) -> None:
    for stage in dockerfile.read(DOCKER / name).stages:
        for each in stage.all("RUN"):
            commands = each.value.split("&&")
            assert all(STEP.fullmatch(command.strip()) for command in commands), each
            assert ("mount", "type=bind,source=docker/steps,target=/steps") in each.flags
            for script in STEP.findall(each.value):
                text = (DOCKER / "steps" / script).read_text()
                assert text.startswith("#!/bin/sh\n") and "\nset -eu\n" in text, script


def test_no_step_is_left_over() -> None:
    used = {script for name in NAMES for script in STEP.findall((DOCKER / name).read_text())}
    assert used == {path.name for path in (DOCKER / "steps").glob("*.sh")}
    [helper] = (DOCKER / "steps").glob("*.py")
    assert helper.name in (DOCKER / "steps/install_dependencies.sh").read_text()


def derived(folder: Path, extras: str, cuda: str) -> tuple[dict[str, str], dict[str, str]]:
    """Requirements and constraints of an image: package → line."""
    environment = {"PATH": "/usr/bin:/bin", "EXTRAS": extras, "CUDA": cuda}
    command = [sys.executable, str(DOCKER / "steps/requirements.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    found = []
    for name in ("requirements.txt", "constraints.txt"):
        lines = [line for line in (folder / name).read_text().splitlines() if line and line[0] != "#"]
        found.append({re.split(r"[<>=;]", line)[0]: line for line in lines})
    return found[0], found[1]


def test_the_cpu_image_takes_the_lock_as_it_is(tmp_path: Path) -> None:
    wanted, held = derived(tmp_path, "webrtc,mqtt", "")
    assert {"numpy", "onnxruntime", "aiortc", "aiomqtt"} <= set(wanted)
    assert not {"torch", "cupy-cuda13x", "tensorrt"} & set(wanted)
    lowered = {name.lower().replace("_", "-") for name in held}
    assert {name.lower().replace("_", "-") for name in wanted} <= lowered, "a version is not held"


@pytest.mark.parametrize("cuda", ["12", "13"])
def test_the_gpu_image_takes_what_fits_its_cuda_and_leaves_torch_alone(cuda: str, tmp_path: Path) -> None:
    wanted, held = derived(tmp_path, "trt,gpu,nvdec,export,webrtc,mqtt", cuda)
    assert {f"cupy-cuda{cuda}x", f"tensorrt-cu{cuda}", "PyNvVideoCodec", "onnxscript", "hydra-core"} <= set(
        wanted
    )
    assert not {"torch", "torchvision", "triton", "tensorrt"} & (set(wanted) | set(held))
    assert not any(name.startswith("ultralytics") for name in wanted)
    assert len([name for name in wanted if name.startswith(("cupy", "tensorrt"))]) == 2


@pytest.mark.parametrize(("extras", "cuda", "part"), [("nonsense", "", "EXTRAS"), ("mqtt", "11", "CUDA")])
def test_what_cannot_be_built_is_one_line(extras: str, cuda: str, part: str, tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "EXTRAS": extras, "CUDA": cuda}
    command = [sys.executable, str(DOCKER / "steps/requirements.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 1 and done.stderr.startswith(part) and done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", NAMES)
def test_what_is_copied_is_there_and_gets_into_the_context(name: str) -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for stage in dockerfile.read(DOCKER / name).stages:
        for each in stage.all("COPY"):
            if dict(each.flags).get("from"):
                continue
            for source in each.words()[:-1]:
                assert (ROOT / source).exists(), each
                assert source in allowed, f"{source} is kept out by .dockerignore"


def test_the_context_holds_no_secrets_and_nothing_large() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*", "everything is out that is not named"
    assert not {"!docker", "!docker/secrets", "!docker/models", "!out", "!.venv", "!.git"} & set(lines)


@pytest.mark.parametrize("name", NAMES)
def test_the_wheel_is_built_from_all_of_its_packages(name: str) -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    builder = dockerfile.read(DOCKER / name).stage("builder")
    copied = {source for each in builder.all("COPY") for source in each.words()[:-1]}
    assert {*build["packages"], *build["force-include"], "pyproject.toml", "README.md", "LICENSE"} <= copied


@pytest.mark.parametrize("name", NAMES)
def test_bases_are_arguments_with_a_version(name: str) -> None:
    parsed = dockerfile.read(DOCKER / name)
    stages = {stage.name for stage in parsed.stages}
    for stage in parsed.stages:
        argument = stage.base.removeprefix("${").removesuffix("}")
        assert stage.base in stages or PINNED.match(parsed.arguments[argument]), stage.base


@pytest.mark.parametrize("name", NAMES)
def test_what_runs(name: str) -> None:
    """Two stages, nobody's user, one process that hears signals, a check that needs no shell."""
    parsed = dockerfile.read(DOCKER / name)
    runtime = parsed.stage("runtime")
    assert parsed.stages[-1] in (runtime, dockerfile.Stage("", "runtime", ()))
    [user] = runtime.all("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user.value), (
        "a number, so that it can be checked by others"
    )
    assert f"--uid {user.value.split(':')[0]} " in (DOCKER / "steps/add_user.sh").read_text()
    assert [each.value for each in runtime.all("STOPSIGNAL")] == ["SIGTERM"]
    assert [each.value for each in runtime.all("EXPOSE")] == ["8080"]
    for keyword in ("ENTRYPOINT", "CMD"):
        [each] = runtime.all(keyword)
        assert each.value.startswith("["), "a shell would hold signals back"
    [check] = runtime.all("HEALTHCHECK")
    assert 'CMD ["python", "/opt/camring/healthcheck.py"]' in check.value
    labels = {key: value for each in runtime.all("LABEL") for key, value in each.pairs().items()}
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert not runtime.all("ADD")


def test_the_gpu_image_can_run_on_the_torch_that_sam2_needs() -> None:
    parsed = dockerfile.read(DOCKER / "Dockerfile.gpu")
    match = re.match(
        r"pytorch/pytorch:(\d+)\.(\d+)\.\d+-cuda(\d+)\.\d+-cudnn\d+-runtime", parsed.arguments["TORCH_IMAGE"]
    )
    assert match is not None and (int(match[1]), int(match[2])) >= (2, 6)
    builder = parsed.stage("builder")
    arguments = {key: value for each in builder.all("ARG") for key, value in each.pairs().items()}
    assert arguments["CUDA"] == match[3]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"trt", "gpu", "nvdec", "export"} <= set(arguments["EXTRAS"].split(",")) <= set(extras)


def test_the_parser_reads_the_format(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(
        "ARG A=b:1\nFROM ${A} AS x\n# no\nRUN --mount=type=bind,source=s,target=/t \\\n    # no\n    one \\\n"
        '    && two\nENV P=/v:$P Q="a b"\nCMD ["a", "b c"]\nFROM x\nCOPY --from=x /a /b\n'
    )
    parsed = dockerfile.read(file)
    first, last = parsed.stages
    assert (parsed.arguments, first.name, first.base, last.base) == ({"A": "b:1"}, "x", "${A}", "x")
    [run] = first.all("RUN")
    assert (
        run.value == "one && two"
        and run.flags == (("mount", "type=bind,source=s,target=/t"),)
        and run.line == 4
    )
    assert first.all("ENV")[0].pairs() == {"P": "/v:$P", "Q": "a b"}
    assert first.all("CMD")[0].words() == ["a", "b c"]
    assert dockerfile.substituted("/v:$P${Q}$R", {"P": "1", "Q": "2"}) == "/v:12"
