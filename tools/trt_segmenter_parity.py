"""Whether the engine of a segmenter's graph computes what ONNX Runtime computes of the file. Needs a GPU."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from engine.models.graph_session import GraphOptions, GraphSession, graph_session_named
from engine.models.trt_engine_file import engine_folder
from tools.sam2.interface import Counts, sample_inputs
from tools.trt_segmenter import GraphPlan, compared_calls

TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2}
"""Largest difference as a share of an output's largest magnitude."""


def compare(plan: GraphPlan, device: int, tolerance: float | None) -> tuple[list[tuple[str, ...]], list[str]]:
    """Rows of a table, and what is out of tolerance. Raises `BackendError` where a device fails."""
    allowed = TOLERANCE[plan.recipe.precision] if tolerance is None else tolerance
    judged = _open_engine(plan, device)
    reference = graph_session_named("ort-cpu").load(plan.path, GraphOptions(threads=0))
    rows: list[tuple[str, ...]] = []
    complaints: list[str] = []
    try:
        for sizes in compared_calls(plan):
            counts = Counts(sizes["F"], sizes["N"], sizes["M"], sizes["P"], sizes["T"])
            feeds = sample_inputs(plan.name, plan.size, plan.tokens, counts, widths=plan.widths)
            wanted, found = reference.run(feeds), judged.run(feeds)
            call = " ".join(f"{axis}={sizes[axis]}" for axis in sorted(plan.axes))
            for name, values in wanted.items():
                largest = float(np.abs(values - found[name]).max())
                magnitude = float(np.abs(values).max())
                rows.append((name, call, f"{largest:.2g}", f"{magnitude:.3g}"))
                if not largest <= allowed * magnitude:
                    complaints.append(f"{name} ({call}) is off by {largest:.2g} of {magnitude:.3g}")
    finally:
        judged.close()
        reference.close()
    return rows, complaints


def _open_engine(plan: GraphPlan, device: int) -> GraphSession:
    """The engine as engine-run would find it, wherever the user wants it to lie."""
    rows, frames = plan.profiles["N"].most, plan.profiles["F"].most
    with tempfile.TemporaryDirectory(prefix="camring-engines-") as cache:
        engine_folder(Path(cache)).symlink_to(plan.folder.resolve())
        options = GraphOptions(rows=rows, frames=frames, device=device, cache=Path(cache))
        return graph_session_named("tensorrt").load(plan.path, options)
