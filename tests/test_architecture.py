"""Who may import whom, and what must not be imported where: the rules of docs/architecture.md as a test."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("ipc", "kernels", "ptz", "engine")
SIBLINGS = ("sources", "models", "tracking", "identity", "outputs", "segmentation", "evaluation", "events",
            "publish", "webrtc", "bus", "adapters")  # fmt: skip

HEAVY = {
    "onnxruntime": {"engine/models/ort.py"},
    "matplotlib": {"engine/ptz_plots.py"},
    "scipy": {"engine/tracking/association.py"},
    "prometheus_client": {
        "engine/control/metrics.py",
        "engine/control/metrics_bus.py",
        "engine/control/metrics_ptz.py",
        "engine/control/metrics_video.py",
    },
    "uvicorn": {"engine/control/server.py"},
    "rich": {"engine/terminal.py", "engine/models/cli.py", "engine/segment_cli.py"},
    "pycocotools": {"engine/outputs/masks.py"},
    "faiss": {"engine/identity/faiss_index.py"},
    "torch": set(),
    "triton": {"kernels/triton_kernels.py", "kernels/triton_compile.py"},
    "cupy": {"kernels/device.py"},
    "tensorrt": {"engine/models/trt.py"},
    "PyNvVideoCodec": {"engine/sources/nvdec.py"},
    "ultralytics": set(),
    "sam2": set(),
    "timm": set(),
    "motmetrics": {"engine/evaluation/clear.py"},
    "trackeval": {"engine/evaluation/hota.py"},
    "trackers": set(),
    "supervision": {"engine/adapters/supervision.py"},
    "norfair": set(),
    "transformers": set(),
    "aiortc": {"engine/webrtc/peer.py"},
    "aioice": {"engine/webrtc/peer.py"},
    "aiomqtt": {"engine/bus/mqtt.py"},
    "nats": {"engine/bus/nats.py"},
    "redis": {"engine/bus/redis.py"},
    "aiokafka": {"engine/bus/kafka.py"},
    "sdl2": {"engine/view_window.py"},
}
"""Packages that are heavy or optional, and the only files that may import them."""


@cache
def modules() -> tuple[tuple[Path, ast.Module], ...]:
    return tuple(
        (path.relative_to(ROOT), ast.parse(path.read_text()))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    )


@cache
def imported(tree: ast.AST) -> frozenset[str]:
    """Dotted names that a module imports anywhere in it, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def ours(names: frozenset[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in PACKAGES}


def violations(rule: str, allowed: tuple[str, ...]) -> list[str]:
    """Imports of our own modules by files below `rule` that are not below `allowed`."""
    found = []
    for path, tree in modules():
        if not str(path).startswith(rule):
            continue
        for name in ours(imported(tree)):
            if name not in PACKAGES and not any(name == a or name.startswith(a + ".") for a in allowed):
                found.append(f"{path} imports {name}")
    return found


def test_ipc_imports_nothing_of_ours_but_itself() -> None:
    assert violations("ipc/", ("ipc",)) == []


def test_types_import_nothing_of_ours_and_only_numpy() -> None:
    assert violations("engine/types/", ("engine.types",)) == []
    names = {name.split(".")[0] for path, tree in modules() if path.parts[:2] == ("engine", "types")
             for name in imported(tree)}  # fmt: skip
    assert names - set(sys.stdlib_module_names) == {"engine", "numpy"}


def test_kernels_know_arrays_only() -> None:
    assert violations("kernels/", ("kernels",)) == []


def test_ptz_knows_little_of_the_engine() -> None:
    """Cameras' heads need neither pools nor frames: all of `ptz` runs without the rest."""
    allowed = ("ptz", "engine.errors", "engine.clock", "engine.secrets", "engine.registry", "engine.lockout",
               "engine.lockout_ledger")  # fmt: skip
    assert violations("ptz/", allowed) == []


def test_ptz_needs_no_pictures() -> None:
    """What decides and what talks to cameras imports numpy at most."""
    for path, tree in modules():
        if path.parts[0] == "ptz":
            names = {name.split(".")[0] for name in imported(tree)}
            assert names - set(sys.stdlib_module_names) <= {"ptz", "engine", "numpy"}, path


def test_a_simulated_camera_has_a_world_only_for_the_scene_source() -> None:
    for path, tree in modules():
        if path.parts[:2] in {("engine", package) for package in SIBLINGS}:
            users = any(name.split(".")[0] == "ptz" for name in imported(tree))
            assert not users or path.name.startswith("scene"), path


COMMON = (
    "engine.clock", "engine.errors", "engine.registry", "engine.secrets", "engine.types", "engine.config",
    "engine.metrics", "engine.lockout", "engine.lockout_ledger",
)  # fmt: skip


@pytest.mark.parametrize("package", SIBLINGS)
def test_siblings_never_import_each_other(package: str) -> None:
    besides = {"sources": ("ptz",), "publish": ("engine.webrtc",)}.get(package, ())
    assert violations(f"engine/{package}/", (f"engine.{package}", "kernels", *besides, *COMMON)) == []


def test_control_holds_no_frame_logic() -> None:
    allowed = (
        "engine.control", "engine.clock", "engine.errors", "engine.metrics", "engine.secrets",
        "engine.__version__", "engine.types.packet", "engine.webrtc", "engine.publish.low_latency_hls",
    )  # fmt: skip
    assert violations("engine/control/", allowed) == []


def test_the_batching_policy_is_pure() -> None:
    """No clock, no threads, no I/O: it runs on recorded arrivals."""
    assert violations("engine/batching/", ("engine.batching",)) == []
    standard = {name for path, tree in modules() if str(path).startswith("engine/batching/")
                for name in imported(tree)}  # fmt: skip
    allowed = {"__future__", "abc", "collections", "dataclasses", "engine", "typing"}
    assert {name.split(".")[0] for name in standard} <= allowed


def test_the_gallery_is_pure() -> None:
    """Looks and times go in, IDs come out: no clock, no threads, no I/O, nobody's pools or trackers."""
    allowed = ("engine.identity", "engine.types", "engine.errors", "engine.config")
    assert violations("engine/identity/", allowed) == []
    names = {name.split(".")[0] for path, tree in modules() if str(path).startswith("engine/identity/")
             for name in imported(tree)}  # fmt: skip
    standard = {"__future__", "collections", "dataclasses", "enum", "hashlib", "json", "math", "typing"}
    assert names <= {*standard, "engine", "faiss", "numpy"}


def test_events_are_pure() -> None:
    """No clock, no threads, no I/O: time is that of the frames."""
    allowed = ("engine.events", "engine.types", "engine.config", "engine.errors")
    assert violations("engine/events/", allowed) == []
    names = {name.split(".")[0] for path, tree in modules() if str(path).startswith("engine/events/")
             for name in imported(tree)}  # fmt: skip
    assert names <= {"__future__", "collections", "dataclasses", "engine", "numpy", "typing"}


def test_only_the_supervisor_side_imports_the_supervisor() -> None:
    starters = ("engine/api_run.py", "engine/cli.py", "engine/status.py")
    for path, tree in modules():
        if str(path) not in starters and not str(path).startswith("engine/supervisor"):
            assert "engine.supervisor" not in imported(tree), path


@pytest.mark.parametrize("package", sorted(HEAVY))
def test_heavy_packages_have_one_door(package: str) -> None:
    users = {
        str(path)
        for path, tree in modules()
        if any(name == package or name.startswith(package + ".") for name in imported(tree))
    }
    assert users <= HEAVY[package]


def test_every_package_is_typed() -> None:
    assert all((ROOT / package / "py.typed").is_file() for package in PACKAGES)


@pytest.mark.parametrize(
    "module",
    [
        "engine.cli",
        "engine.eval_cli",
        "engine.models.cli",
        "engine.ptz_cli",
        "engine.segment_cli",
        "engine.view_cli",
    ],
)
def test_help_imports_nothing_heavy(module: str) -> None:
    code = (
        f"import sys; from {module} import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('\\nHEAVY', sorted({m.split('.')[0] for m in sys.modules} & "
        "{'cv2', 'onnxruntime', 'torch', 'av', 'numpy', 'scipy', 'rich'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.rstrip().endswith("HEAVY []"), out.stdout[-200:]
