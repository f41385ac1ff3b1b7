#!/bin/sh
# Build the wheel from the sources in this folder and install it into /opt/venv, whose packages are there already.
set -eu

if ! python3 -m pip --version >/dev/null 2>&1; then
    PATH="/opt/pip/bin:$PATH"
fi
wheels="$(mktemp -d)"
python3 -m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir "$wheels" .
python3 -m pip --disable-pip-version-check --python /opt/venv/bin/python install --quiet --no-deps "$wheels"/*.whl
rm -rf "$wheels"
/opt/venv/bin/engine-run --version
