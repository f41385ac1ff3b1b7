#!/bin/sh
# Install Meta's sam2 into /opt/venv for tools/export_onnx.py, against the torch of the base image and without its CUDA
# extension, which needs a compiler and is used for nothing here.
set -eu

python3 -m pip --disable-pip-version-check --python /opt/venv/bin/python install --quiet "setuptools>=61" wheel
SAM2_BUILD_CUDA=0 python3 -m pip --disable-pip-version-check --python /opt/venv/bin/python install \
    --quiet --no-deps --no-build-isolation --require-hashes --requirement requirements-sam2.lock
/opt/venv/bin/python -c 'import sam2, torch; print("sam2 with torch", torch.__version__)'
