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
python3 "$(dirname "$0")/requirements.py" "$wanted"

# Without a GPU everything comes as a wheel; of what exports models, iopath and antlr4 come as sources only.
if [ -z "${CUDA:-}" ]; then
    export PIP_ONLY_BINARY=:all:
fi
python3 -m pip --disable-pip-version-check --python /opt/venv/bin/python install --quiet \
    --constraint "$wanted/constraints.txt" --requirement "$wanted/requirements.txt"
rm -rf "$wanted"
