"""What every benchmark has in common: --json, and the machine, versions and command printed with its figures."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shlex
import sys
from pathlib import Path

PACKAGES = ("numpy", "opencv-python-headless", "onnxruntime", "av")


def cpu_name() -> str:
    """Model name of the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def describe_machine() -> dict[str, str]:
    """Processor, cores, system, Python and package versions."""
    return {
        "cpu": cpu_name(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def command_line() -> str:
    """The command that is running, as one would type it for the same figures: without --json."""
    arguments = list(sys.argv[1:])
    if "--json" in arguments:
        at = arguments.index("--json")
        del arguments[at : at + 2]
    return shlex.join(["python", "-m", f"bench.{Path(sys.argv[0]).stem}", *arguments])


def heading() -> str:
    """The machine in a line, and the command in another."""
    machine = describe_machine()
    versions = ", ".join(f"{name} {machine[name]}" for name in PACKAGES)
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}"
    return f"{where}, {versions}\n\ncommand: `{command_line()}`\n"


def markdown_table(columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """A table as it goes into docs/benchmarks.md."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that shows the module's docstring as it is, with the option that every benchmark has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write machine and figures here as well")
    return parser


def write_json(file: Path | None, **figures: object) -> None:
    """The machine, the command and the figures, if a file is asked for."""
    if file:
        document = {"machine": describe_machine(), "command": command_line(), **figures}
        file.write_text(json.dumps(document, indent=1) + "\n")
