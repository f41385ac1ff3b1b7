"""What every tool does at its edges, and that its help loads nothing heavy."""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import ConfigError, ModelError, OutputError
from tools.command_line import check_output, needs, run_tool, write_whole

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("export_onnx", "export_trt", "fetch_models", "quantize_onnx")
HEAVY = (
    "{'torch', 'ultralytics', 'onnx', 'onnxslim', 'onnxruntime', 'numpy', 'cv2', 'av', 'tensorrt', 'cupy'}"
)


def parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog="sometool")


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("start", ["file", "module"])
def test_help_from_anywhere_in_the_tree(tool: str, start: str) -> None:
    how = [str(ROOT / "tools" / f"{tool}.py")] if start == "file" else ["-m", f"tools.{tool}"]
    done = subprocess.run(
        [sys.executable, *how, "--help"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.startswith(f"usage: {tool}") and "Exit status" in done.stdout


@pytest.mark.parametrize("tool", TOOLS)
def test_help_imports_nothing_heavy(tool: str) -> None:
    code = (
        f"import sys; from tools.{tool} import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print('\\nHEAVY', sorted({{m.split('.')[0] for m in sys.modules}} & {HEAVY}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.rstrip().endswith("HEAVY []"), out.stdout[-200:]


def test_torch_has_one_door() -> None:
    users = [
        path.name
        for path in (ROOT / "tools").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in imported(node)
        if name.split(".")[0] in ("torch", "torchvision", "ultralytics")
    ]
    assert set(users) == {"ultralytics_model.py"}


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


@pytest.mark.parametrize(("error", "status"), [(ConfigError("wrong flag"), 2), (ModelError("bad file"), 1)])
def test_an_error_is_one_line(error: Exception, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    def work(args: argparse.Namespace) -> int:
        raise error

    assert run_tool(parser(), work, []) == status
    assert capsys.readouterr() == ("", f"sometool: {error}\n")


def test_an_interruption_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def work(args: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    assert run_tool(parser(), work, []) == 130
    assert capsys.readouterr().err == "sometool: interrupted; nothing was written\n"


def test_a_reader_that_leaves_is_no_error() -> None:
    """As in `tool --list | head -1`."""
    command = f"{sys.executable} -m tools.fetch_models --list | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr == ""


def test_a_missing_package_names_the_extra() -> None:
    with (
        pytest.raises(
            ConfigError, match=r"needs the package no_such_package: pip install 'camring\[export\]'"
        ),
        needs("export"),
    ):
        import no_such_package  # type: ignore[import-not-found]  # noqa: F401 - that is what is tested


def test_without_torch_the_export_says_what_to_install(tmp_path: Path) -> None:
    """A process in which torch cannot be imported, as after a plain installation."""
    import zipfile

    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("data.pkl", b"")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from tools.export_onnx import main\n"
        f"sys.exit(main([{str(tmp_path / 'model.pt')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.startswith("export_onnx: this needs the package torch: pip install 'camring[export]'")
    assert len(done.stderr.splitlines()) == 1


def test_where_a_result_cannot_go(tmp_path: Path) -> None:
    assert check_output(tmp_path / "a" / "b.onnx", ".onnx") == tmp_path / "a" / "b.onnx"
    assert list((tmp_path / "a").iterdir()) == [], "the trial leaves nothing"
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path, ".onnx")
    with pytest.raises(OutputError, match="name it so"):
        check_output(tmp_path / "b.engine", ".onnx")
    with pytest.raises(OutputError, match="cannot be written"):
        check_output(Path("/proc/nowhere/b.onnx"), ".onnx")


def test_a_file_is_whole_or_as_it_was(tmp_path: Path, small_disk: Callable[[int], Path]) -> None:
    path = small_disk(64 * 1024) / "model.onnx"
    write_whole(path, b"first")
    with pytest.raises(OutputError, match="no space for 200000 bytes"):
        write_whole(path, bytes(200_000))
    assert path.read_bytes() == b"first"
    assert [entry.name for entry in path.parent.iterdir()] == ["model.onnx"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
