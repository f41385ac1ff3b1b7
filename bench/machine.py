"""What every benchmark prints with its figures: the machine, the versions and the command."""

from __future__ import annotations

import importlib.metadata
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


def heading() -> str:
    """The machine in a line, and the command in another."""
    machine = describe_machine()
    versions = ", ".join(f"{name} {machine[name]}" for name in PACKAGES)
    command = shlex.join(["python", "-m", f"bench.{Path(sys.argv[0]).stem}", *sys.argv[1:]])
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}"
    return f"{where}, {versions}\n\ncommand: `{command}`\n"


def markdown_table(columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """A table as it goes into docs/benchmarks.md."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)
