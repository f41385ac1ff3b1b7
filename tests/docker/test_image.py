"""The CPU image, built from its Dockerfile and run as docs/containers.md says: see tests/docker/images.py."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker import dockerfile, images

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[images.Image]:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("images are built as root, on Linux")
    if shutil.which("debootstrap") is None:
        if os.environ.get("STRICT"):
            pytest.fail("debootstrap is missing: apt-get install debootstrap podman crun")
        pytest.skip("debootstrap is missing: apt-get install debootstrap podman crun")
    built = images.built(tmp_path_factory.mktemp("images"))
    print(f"image built and run by {built.way}")
    yield built
    built.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def healthcheck() -> list[str]:
    """The command of HEALTHCHECK."""
    [each] = dockerfile.read(images.ROOT / "docker/Dockerfile").stage("runtime").all("HEALTHCHECK")
    command: list[str] = json.loads(each.value.partition("CMD ")[2])
    return command


def test_it_runs_confined_is_healthy_and_ends_by_a_signal(image: images.Image) -> None:
    environment = {"ENGINE_CONTROL_PORT": str(free_port())}
    running = image.run(["--source", "test://", "--model", "motion"], environment)
    for _ in range(60):
        check = running.execute(*healthcheck())
        if check.returncode == 0:
            break
        time.sleep(0.5)
    assert check.returncode == 0, check.stdout + running.stop()[1]

    assert running.execute("id", "-u").stdout.strip() == str(images.USER)
    assert running.execute("touch", "/opt/venv/x").returncode != 0, "the root can be written to"
    assert "NoNewPrivs:\t1" in running.execute("cat", "/proc/1/status").stdout
    assert "CapEff:\t0000000000000000" in running.execute("cat", "/proc/1/status").stdout
    wait = time.monotonic() + 20
    while not (lines := running.execute("cat", "/out/cam0.jsonl").stdout) and time.monotonic() < wait:
        time.sleep(0.5)
    assert json.loads(lines.splitlines()[0])["camera"] == "cam0"

    status, said = running.stop()
    assert status == 0, said
    assert "stopping: SIGTERM" in said and "summary after" in said
    assert "no token was given: log in with" in said, "listens on every address without a token"


def test_without_arguments_it_shows_something_and_needs_no_network_for_it(image: images.Image) -> None:
    running = image.run(["--duration", "3"], {"ENGINE_CONTROL_PORT": str(free_port())})
    status, said = running.finished(300)
    assert status == 0, said
    assert "summary after" in said and "/out" in said


def test_the_other_commands_and_an_unhealthy_engine(image: images.Image) -> None:
    running = image.run(["engine-models", "list"], {})
    status, said = running.finished(300)
    assert status == 0 and "yolox_nano" in said, said

    environment = {"ENGINE_CONTROL_PORT": str(free_port())}
    running = image.run(["python", *healthcheck()[1:]], environment)
    status, said = running.finished(300)
    assert status == 1 and said.strip().count("\n") == 0 and "port" in said, said


def test_what_is_in_it(image: images.Image) -> None:
    """The engine and what it needs to run; neither pip nor sources, tests and tools."""
    script = (
        "import importlib.util as u, json, os, pathlib, sys\n"
        "import engine.models\n"
        "venv = pathlib.Path('/opt/venv')\n"
        "print(json.dumps(dict(\n"
        "    pip=u.find_spec('pip') is not None, torch=u.find_spec('torch') is not None,\n"
        "    aiortc=u.find_spec('aiortc') is not None, aiomqtt=u.find_spec('aiomqtt') is not None,\n"
        "    source=os.path.exists('/src'), steps=os.path.exists('/steps/add_user.sh'),\n"
        "    embedded=sorted(p.name for p in pathlib.Path(engine.models.__file__).parent.glob('embedded/*')),\n"
        "    profile=(pathlib.Path(engine.models.__file__).parents[1] / 'configs/profiles/m3-cpu.toml').is_file(),\n"
        "    size=sum(p.stat().st_size for p in venv.rglob('*') if p.is_file() and not p.is_symlink()))))\n"
    )
    status, said = image.run(["python", "-I", "-c", script], {}).finished(300)
    assert status == 0, said
    found = json.loads(said.splitlines()[-1])
    assert found["aiortc"] and found["aiomqtt"] and found["profile"]
    assert not (found["torch"] or found["source"] or found["steps"])
    here = images.ROOT / "engine/models/embedded"
    assert found["embedded"] == sorted(path.name for path in here.glob("*")), (
        "embedded models are not in the image"
    )
    assert found["size"] < 800e6, found["size"]


def test_a_token_that_cannot_be_read_ends_it_at_once(image: images.Image) -> None:
    environment = {"CAMRING_ADMIN_TOKEN_FILE": "/run/secrets/none"}
    status, said = image.run(["--source", "test://"], environment).finished(300)
    assert status == 2 and "/run/secrets/none" in said and str(images.USER) in said


def test_the_base_is_the_one_that_the_image_names() -> None:
    """What is tested with bookworm's Python 3.11 says something about the official image of the same."""
    named = dockerfile.read(images.ROOT / "docker/Dockerfile").arguments["PYTHON_IMAGE"]
    assert named == f"python:3.11-slim-{images.SUITE}"
    assert Path(images.ROOT / "requirements.lock").is_file()
