"""The wheel, as somebody installs it who has no checkout: every command, with what it needs and nothing else.

It is built without a network and installed beside links to the declared dependencies alone, so that a package that is
imported and not declared, or that belongs to an extra, is not there. `bench.install` does it with a package index.
"""

from __future__ import annotations

import email
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from importlib.metadata import distribution
from pathlib import Path

import cv2
import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from readme_renderer import markdown

from engine.models.embedded import CHECKSUMS, EMBEDDED, embedded_folder
from tests.evaluation.mot import write_sequence

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("engine", "kernels", "ipc", "ptz")
COMMANDS = ("engine-run", "engine-models", "engine-segment", "engine-eval", "engine-ptz", "engine-view")
DATA = {
    "engine/bus/state.schema.json", "engine/outputs/event.schema.json", "engine/outputs/frame.schema.json",
    "engine/control/static/index.html", "engine/control/static/main.js", "engine/control/static/css/base.css",
    "engine/configs/models.toml", "engine/configs/profiles/m3-cpu.toml", "engine/configs/profiles/g5-trt.toml",
    "engine/configs/cameras.example.toml", "engine/models/embedded/nano_det.onnx",
    f"engine/models/embedded/{CHECKSUMS}", "engine/models/embedded/nano_sam/segmenter.json",
    *(f"{name}/py.typed" for name in PACKAGES),
}  # fmt: skip
SUFFIXES = {".py", ".typed", ".json", ".toml", ".js", ".css", ".html", ".svg", ".onnx", ""}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="an environment is laid out as on Linux"),
]


def build(source: Path, target: Path, *kinds: str) -> None:
    """Wheel or source distribution of a folder with a pyproject.toml."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(target)]
    done = subprocess.run(
        [*command, *(word for kind in kinds for word in ("-t", kind))],
        cwd=source, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the source distribution of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    build(ROOT, folder, "wheel", "sdist")
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def metadata_of(wheel: Path) -> Message:
    (name,) = [name for name in contents(wheel) if name.endswith(".dist-info/METADATA")]
    return email.message_from_bytes(contents(wheel)[name])


def test_a_wheel_has_all_that_runs_and_nothing_else(built: tuple[Path, Path]) -> None:
    files = set(contents(built[0]))
    tracked = subprocess.run(
        ["git", "ls-files", "-z", *PACKAGES, "configs"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    sources = {re.sub("^configs/", "engine/configs/", name) for name in tracked.stdout.split("\0") if name}
    assert sources <= files and files >= DATA
    tops = {name.partition("/")[0] for name in files}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    shipped = {name for name in files if ".dist-info/" not in name}
    assert {Path(name).suffix for name in shipped} <= SUFFIXES
    assert {name for name in shipped if not Path(name).suffix} == {f"engine/models/embedded/{CHECKSUMS}"}
    assert not [name for name in shipped if Path(name).name.startswith("test_") or "__pycache__" in name]
    assert built[0].stat().st_size < 15e6


def test_a_wheel_of_the_source_distribution_is_the_same(built: tuple[Path, Path], tmp_path: Path) -> None:
    wheel, sdist = built
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.glob("camring-*")
    assert {path.name for path in source.iterdir()} >= {
        "README.md",
        "LICENSE",
        "docs",
        "tools",
        "pyproject.toml",
    }
    assert not [name for name in ("tests", "bench", "docker", ".ci") if (source / name).exists()]
    build(source, tmp_path, "wheel")
    (again,) = tmp_path.glob("*.whl")
    assert contents(again) == contents(wheel)


def test_the_page_on_an_index_has_no_dead_link(built: tuple[Path, Path]) -> None:
    metadata = metadata_of(built[0])
    assert metadata["Description-Content-Type"] == "text/markdown"
    page = markdown.render(str(metadata.get_payload()))
    assert page is not None and "<table>" in page
    targets = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert [target for target in targets if not target.startswith(("https://", "#", "mailto:"))] == []
    for command in COMMANDS:
        assert command in page


def dependencies() -> set[str]:
    """Canonical names of everything that the core needs, and what these need."""
    found: set[str] = set()
    waiting = list(distribution("camring").requires or ())
    while waiting:
        requirement = Requirement(waiting.pop())
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += distribution(name).requires or ()
    return found


def link_dependencies(folder: Path) -> None:
    """Links to the files of the dependencies, and to nothing of the packages beside them."""
    folder.mkdir()
    for name in dependencies():
        of = distribution(name)
        tops = {file.parts[0] for file in of.files or ()} - {"..", "__pycache__"}
        for top in tops:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(of.locate_file(top))))


class Installed:
    """An environment with the wheel, and a home and a folder of its own."""

    def __init__(self, wheel: Path, folder: Path) -> None:
        self.folder, self._bin = folder / "work", folder / "venv" / "bin"
        self.folder.mkdir()
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
        pip = [sys.executable, "-m", "pip", "--python", str(self._bin / "python"), "install", "--quiet"]
        # The links come after: what is beside them is none of pip's business.
        done = subprocess.run(
            [*pip, "--no-deps", "--no-index", str(wheel)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        link_dependencies(folder / "needed")
        (self.packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
        (self.packages / "needed.pth").write_text(f"{folder / 'needed'}\n")
        self._environ = {
            "HOME": str(folder), "PATH": f"{self._bin}:/usr/bin:/bin", "BROWSER": "true", "LANG": "C.UTF-8",
            "https_proxy": "http://127.0.0.1:9",
        }  # fmt: skip

    def __call__(self, *command: str, status: int = 0) -> str:
        """Standard output and error of a command."""
        done = subprocess.run(
            [str(self._bin / command[0]), *command[1:]], cwd=self.folder, env=self._environ, timeout=110, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stdout
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(built[0], tmp_path_factory.mktemp("installed"))


def test_what_is_imported_is_what_was_installed(installed: Installed) -> None:
    code = "import engine, kernels, ipc, ptz, sys; print(*(each.__file__ for each in (engine, kernels, ipc, ptz)))"
    assert all(path.startswith(str(installed.packages)) for path in installed("python", "-c", code).split())
    for absent in ("torch", "sdl2", "onnx", "aiortc", "pytest"):
        assert "ModuleNotFoundError" in installed(
            "python", "-c", f"try: import {absent}\nexcept ModuleNotFoundError as e: print(type(e).__name__)"
        )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_a_version(installed: Installed, command: str) -> None:
    assert installed(command, "--help").startswith(f"usage: {command}")


def test_a_run_with_the_embedded_models(installed: Installed) -> None:
    printed = installed(
        "engine-run", "--source", "test://?width=320&height=180&frames=12", "--offline", "--require-model",
        "--model", "nano_det", "--segment", "boxes", "--segment-model", "nano_sam", "--port", "0", "--out", "run",
    )  # fmt: skip
    assert "detector nano_det: comes with the package" in printed
    assert "segmenter nano_sam: comes with the package" in printed and "degraded" not in printed
    assert len((installed.folder / "run" / "cam0.jsonl").read_text().splitlines()) == 12
    assert (installed.folder / "run" / "cam0.mp4").stat().st_size > 1000


UNREACHABLE = (
    "engine-run", "--source", "test://?width=320&height=180&frames=5", "--offline", "--port", "0", "--no-overlay",
    "--out", "stood-in", "--model", "yolox_nano",
)  # fmt: skip


@pytest.fixture(scope="module")
def stood_in(installed: Installed) -> tuple[str, Path]:
    """What a run has said whose model cannot be fetched, and its records."""
    return installed(*UNREACHABLE), installed.folder / "stood-in" / "cam0.jsonl"


def test_a_run_whose_model_cannot_be_fetched_goes_on_with_the_embedded_one(
    installed: Installed, stood_in: tuple[str, Path]
) -> None:
    printed, records = stood_in
    line = "embedded model nano_det in use because yolox_nano cannot be fetched (github.com: "
    assert f"degraded: {line}" in printed
    for record in records.read_text().splitlines():
        assert f'"degraded":["{line}' in record
    (said,) = installed(*UNREACHABLE, "--require-model", status=1).splitlines()
    assert said.startswith("engine-run: model yolox_nano could not be fetched")


def test_models_are_listed_and_whole(installed: Installed) -> None:
    listed = installed("engine-models", "list")
    for name in EMBEDDED:
        assert re.search(
            rf"^{name} .*Apache-2\.0.*embedded: {installed.packages}/engine/models/embedded/", listed, re.M
        )
    verified = installed("engine-models", "verify")
    assert verified.count(": right (embedded)") == len(EMBEDDED)
    assert "there is nothing to fetch" in installed("engine-models", "fetch", "nano_det")


def test_a_broken_installation_is_one_line(installed: Installed) -> None:
    model = installed.packages / embedded_folder().relative_to(ROOT) / "nano_det.onnx"
    kept = model.read_bytes()
    model.write_bytes(kept[:1000])
    try:
        (said,) = installed("engine-run", "--model", "nano_det", "--port", "0", status=1).splitlines()
    finally:
        model.write_bytes(kept)
    assert said.endswith("the installation is broken; install camring again")


def test_a_picture_is_segmented(installed: Installed) -> None:
    picture = np.full((180, 320, 3), 90, np.uint8)
    cv2.rectangle(picture, (100, 40), (180, 160), (40, 60, 220), -1)
    cv2.imwrite(str(installed.folder / "picture.png"), picture)
    printed = installed("engine-segment", "picture.png", "--model", "nano_sam", "--box", "95,35,185,165")
    assert "1 pictures, " in printed
    assert (installed.folder / "out" / "picture.json").is_file()


def test_results_are_exported_and_scores_want_an_extra(
    installed: Installed, stood_in: tuple[str, Path]
) -> None:
    write_sequence(installed.folder / "two")
    installed("engine-eval", "export-mot", str(stood_in[1]), "cam0.txt")
    assert (installed.folder / "cam0.txt").is_file()
    *_, said = installed("engine-eval", "mot", "two", "--camera-motion", "off", status=2).splitlines()
    assert said == "engine-eval: motmetrics is missing: pip install 'camring[eval]'"


def test_a_head_is_scored(installed: Installed) -> None:
    printed = installed("engine-ptz", "score", "--scene", "walk_across", "--seeds", "1")
    assert "walk_across" in printed


def test_a_window_without_its_extra_is_said_in_a_line(installed: Installed) -> None:
    said = installed("engine-view", "--url", "http://127.0.0.1:1/").splitlines()
    assert len(said) == 2 and "camring[view]" in said[0] and "browser" in said[0]
    assert said[1] == "engine-view: the dashboard is at http://127.0.0.1:1/"


def test_the_api_of_a_program(installed: Installed) -> None:
    code = (
        "from engine import Engine\n"
        "with Engine.from_profile(sources='test://?width=320&height=180&frames=5', infer_model='nano_det',\n"
        "                         offline=True) as run:\n"
        "    print(len(list(run.results())))\n"
    )
    assert installed("python", "-c", code).splitlines()[-1] == "5"
