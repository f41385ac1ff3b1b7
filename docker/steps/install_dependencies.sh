#!/bin/sh
# Make /opt/venv and install what the engine depends on, in the versions of requirements.lock. Runs in the folder that
# holds pyproject.toml and requirements.lock.
#
# EXTRAS        extras of the engine, separated by commas
# CUDA          unset: no GPU. 13 or 12: the base image has torch for that CUDA; /opt/venv sees it, and the packages
#               whose versions follow from it are not held to the lock
set -eu

# A base that has no pip of its own (Debian's) lends it from an environment. None gets into /opt/venv.
if ! python3 -m pip --version >/dev/null 2>&1; then
    python3 -m venv /opt/pip
    PATH="/opt/pip/bin:$PATH"
fi
python3 -m venv --without-pip ${CUDA:+--system-site-packages} /opt/venv

wanted="$(mktemp -d)"
python3 - "$wanted" <<'PYTHON'
"""Write the requirements of the engine and of its extras, and the versions that hold for them."""
import os
import re
import sys
import tomllib
from pathlib import Path

folder = Path(sys.argv[1])
project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
extras = [name for name in os.environ.get("EXTRAS", "").split(",") if name]
cuda = os.environ.get("CUDA", "")
unknown = sorted(set(extras) - set(project["optional-dependencies"]))
if unknown:
    sys.exit(f"EXTRAS: there is no extra {', '.join(unknown)} in pyproject.toml")
if cuda not in ("", "12", "13"):
    sys.exit(f"CUDA: {cuda} is neither 12 nor 13")

wanted = project["dependencies"] + [line for name in extras for line in project["optional-dependencies"][name]]
if "trt" in extras:
    # One package for each CUDA; the one without a number takes the newest, whatever the base image has.
    wanted = [re.sub(r"^tensorrt\b", f"tensorrt-cu{cuda}", line) for line in wanted]
if cuda == "12":
    wanted = [line.replace("cupy-cuda13x", "cupy-cuda12x") for line in wanted]
# AGPL-3.0, and for exporting other people's models only: not in an image.
wanted = [line for line in wanted if not line.startswith("ultralytics")]

# The base image's torch, torchvision and triton belong together: they stay.
given = ("torch", "torchvision", "triton") if cuda else ()
wanted = [line for line in wanted if re.split(r"[<>=;\s]", line)[0] not in given]
held = [line for line in Path("requirements.lock").read_text().splitlines()
        if re.split(r"[<>=]", line)[0] not in given]
(folder / "requirements.txt").write_text("\n".join(wanted) + "\n")
(folder / "constraints.txt").write_text("\n".join(held) + "\n")
PYTHON

# Without a GPU everything comes as a wheel; of what exports models, iopath and antlr4 come as sources only.
if [ -z "${CUDA:-}" ]; then
    export PIP_ONLY_BINARY=:all:
fi
python3 -m pip --disable-pip-version-check --python /opt/venv/bin/python install --quiet \
    --constraint "$wanted/constraints.txt" --requirement "$wanted/requirements.txt"
rm -rf "$wanted"
