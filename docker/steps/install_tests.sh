#!/bin/sh
# Add to /opt/venv what the tests of the GPU need, in the versions of requirements.lock.
set -eu

held="$(mktemp)"
grep -Ev '^(torch|torchvision|triton)[<>=]' requirements.lock >"$held"
python3 -m pip --disable-pip-version-check --python /opt/venv/bin/python install --quiet --constraint "$held" \
    pytest pytest-timeout hypothesis jsonschema httpx PyYAML cryptography psutil
rm -f "$held"
