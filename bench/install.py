"""What `pip install` of the wheel brings: megabytes, seconds, and how long an import and `--help` take then.

    python -m bench.install [--repeat 10] [--json FILE]

The wheel is built from this checkout and installed into an empty environment, dependencies from the package index.
pip's own cache is not used. Each command is called there with `--help`, and `engine-run` runs the test picture with the
embedded models. Sizes are those of files in site-packages, compiled bytecode included, without pip.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.machine import argument_parser, heading, markdown_table, write_json

ROOT = Path(__file__).resolve().parent.parent
OURS = ("engine", "kernels", "ipc", "ptz")
COMMANDS = ("engine-run", "engine-models", "engine-segment", "engine-eval", "engine-ptz", "engine-view")
RUN = (
    "--source", "test://?width=640&height=360&frames=50", "--offline", "--model", "nano_det", "--segment", "boxes",
    "--segment-model", "nano_sam", "--require-model", "--port", "0",
)  # fmt: skip


def megabytes(*paths: Path) -> float:
    """Of all files below."""
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    return sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink()) / 1e6


def built(folder: Path) -> Path:
    """The wheel of this checkout."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True)
    (wheel,) = folder.glob("camring-*.whl")
    return wheel


def seconds(command: list[str], environ: dict[str, str]) -> float:
    """Wall time of a command that has to succeed."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environ, cwd=environ["HOME"], timeout=900)
    return time.perf_counter() - began


def median_s(command: list[str], environ: dict[str, str], repeat: int) -> float:
    """Of several calls, after one that nobody counts."""
    seconds(command, environ)
    return statistics.median(seconds(command, environ) for _ in range(repeat))


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--repeat", type=int, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = built(folder)
        environ = {"HOME": name, "PATH": os.environ["PATH"], "PIP_NO_CACHE_DIR": "1"}
        environ |= {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_"))}
        venv = folder / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        (packages,) = venv.glob("lib/python*/site-packages")
        before = megabytes(packages)
        installing_s = seconds([str(venv / "bin" / "pip"), "install", "--quiet", str(wheel)], environ)
        ours = megabytes(*(packages / each for each in OURS), *packages.glob("camring-*"))
        everything = megabytes(packages) - before
        count = len(list(packages.glob("*.dist-info"))) - 1
        python, commands = str(venv / "bin" / "python"), [str(venv / "bin" / each) for each in COMMANDS]
        bare_s = median_s([python, "-c", ""], environ, args.repeat)
        import_s = median_s([python, "-c", "import engine"], environ, args.repeat)
        api_s = median_s([python, "-c", "from engine import Engine"], environ, args.repeat)
        helps_s = [median_s([each, "--help"], environ, args.repeat) for each in commands]
        run_s = seconds([commands[0], *RUN], environ)
        wheel_mb = megabytes(wheel)
    rows: list[tuple[object, ...]] = [
        ("wheel", f"{wheel_mb:.1f} MB"),
        ("installed: camring alone", f"{ours:.1f} MB"),
        (f"installed: with the {count - 1} packages that it needs", f"{everything:.0f} MB"),
        ("`pip install` of the wheel, nothing cached", f"{installing_s:.0f} s"),
        ("`import engine`, beyond Python's own start", f"{1e3 * (import_s - bare_s):.0f} ms"),
        ("`from engine import Engine`, the same", f"{1e3 * (api_s - bare_s):.0f} ms"),
    ]
    rows += [
        (f"`{each} --help`", f"{1e3 * taken:.0f} ms") for each, taken in zip(COMMANDS, helps_s, strict=True)
    ]
    rows.append(("`engine-run`, 50 frames of the test picture, embedded models, masks", f"{run_s:.1f} s"))
    print(heading())
    print(markdown_table(("what", "seen"), rows))
    sentence = (
        f"{ours:.0f} MB, {everything:.0f} MB with what it needs; `import engine` {1e3 * (import_s - bare_s):.0f} ms, "
        f"`engine-run --help` {1e3 * helps_s[0]:.0f} ms"
    )
    write_json(args.json, rows=rows, reach={"install": sentence})


if __name__ == "__main__":
    main()
