"""Benchmarks: each prints the machine, the command and a table; docs/benchmarks.md holds what they printed."""

import os

# As `engine.models` does: peers, too, run without sending usage data (ONNX Runtime from 1.29 on).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
