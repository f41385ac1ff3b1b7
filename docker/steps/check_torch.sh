#!/bin/sh
# Refuse a base image that the rest could not work with: torch must be there, new enough for SAM 2, and of the CUDA that
# CuPy and TensorRT will be installed for; Triton needs a C compiler when it runs.
#
# CUDA          12 or 13
set -eu

python3 - <<'PYTHON'
import os
import shutil
import sys

wanted = os.environ["CUDA"]
try:
    import torch
except ImportError:
    sys.exit("this base image has no torch for its python3; take one of the family pytorch/pytorch")
version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
found = str(torch.version.cuda or "none")
if version < (2, 6):
    sys.exit(f"this base image has torch {torch.__version__}; tools/export_onnx.py needs 2.6 or newer for SAM 2")
if found.split(".")[0] != wanted:
    sys.exit(f"this base image has CUDA {found}, but CUDA={wanted} was asked for: change TORCH_IMAGE or CUDA")
if not (shutil.which("cc") or shutil.which("gcc")):
    sys.exit("this base image has no C compiler, which Triton needs to start kernels")
print(f"torch {torch.__version__}, CUDA {found}, python {sys.version.split()[0]}")
PYTHON
