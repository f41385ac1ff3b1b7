"""Write what install_dependencies.sh installs, requirements.txt, and the versions that hold, constraints.txt.

Reads pyproject.toml and requirements.lock of the present folder, and EXTRAS and CUDA of the environment (see there).
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

OF_THE_BASE = ("torch", "torchvision", "triton")
"""What belongs together in a base image with torch, and stays as it is."""
LEFT_OUT = "ultralytics"
"""AGPL-3.0, and for exporting other people's models only: not in an image."""


def name_of(line: str) -> str:
    """The package that a line of requirements names."""
    return re.split(r"[\[<>=;\s]", line, maxsplit=1)[0]


def wanted(lines: Sequence[str], cuda: str) -> list[str]:
    """The engine's requirements as an image needs them. `cuda` is 12, 13, or empty for none."""
    found = [line for line in lines if not line.startswith(LEFT_OUT)]
    if cuda:
        # One package for each CUDA; TensorRT's without a number takes the newest, whatever the base image has.
        found = [re.sub(r"^tensorrt\b", f"tensorrt-cu{cuda}", line) for line in found]
        found = [re.sub(r"^cupy-cuda\d+x", f"cupy-cuda{cuda}x", line) for line in found]
        found = [line for line in found if name_of(line) not in OF_THE_BASE]
    return found


def main(folder: Path, extras: Sequence[str], cuda: str) -> str:
    """Write both files; returns what is wrong, or nothing."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    if unknown := sorted(set(extras) - set(optional)):
        return f"EXTRAS: there is no extra {', '.join(unknown)} in pyproject.toml"
    if cuda not in ("", "12", "13"):
        return f"CUDA: {cuda} is neither 12 nor 13"
    lines = wanted([*project["dependencies"], *(line for name in extras for line in optional[name])], cuda)
    held = Path("requirements.lock").read_text().splitlines()
    if cuda:
        held = [line for line in held if name_of(line) not in OF_THE_BASE]
    (folder / "requirements.txt").write_text("\n".join(lines) + "\n")
    (folder / "constraints.txt").write_text("\n".join(held) + "\n")
    return ""


if __name__ == "__main__":
    named = [name for name in os.environ.get("EXTRAS", "").split(",") if name]
    sys.exit(main(Path(sys.argv[1]), named, os.environ.get("CUDA", "")) or None)
