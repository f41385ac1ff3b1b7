"""Whether a graph computes what its torch module computes, and the module what the official model computes.

Everything is a table of `Difference`s: largest distance, as a share of the output's largest magnitude.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.models.sam2_sidecar import GRAPHS
from engine.types import F32
from tools.command_line import needs
from tools.sam2.export import sample_inputs
from tools.sam2.families import Parts
from tools.sam2.interface import INTERFACE, Counts

with needs("export"):
    import onnxruntime

COUNTS = (Counts(2, 3), Counts(1, 1, memories=2, pointers=3, points=1), Counts(3, 5, points=4))
"""Sizes of the calls that are compared: what varies varies."""

TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2}
"""Largest difference as a share of an output's largest magnitude."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far an output is from the reference.

    largest    largest difference
    magnitude  largest magnitude of the reference
    l2         norm of the difference, as a share of the reference's
    """

    graph: str
    output: str
    counts: str
    largest: float
    magnitude: float
    l2: float

    @property
    def share(self) -> float:
        """The largest difference as a share of the largest magnitude; infinite where it is no number."""
        if not np.isfinite(self.largest):
            return float("inf")
        return self.largest / self.magnitude if self.magnitude else self.largest

    def row(self) -> tuple[str, ...]:
        """For a printed table."""
        return (
            self.graph, self.output, self.counts, f"{self.largest:.2g}", f"{self.magnitude:.3g}", f"{self.l2:.2g}"
        )  # fmt: skip


COLUMNS = ("GRAPH", "OUTPUT", "CALL", "LARGEST DIFFERENCE", "LARGEST VALUE", "RELATIVE L2")


def difference(graph: str, output: str, counts: str, found: Any, wanted: Any) -> Difference:
    """Compare two arrays of the same shape."""
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    if found.shape != wanted.shape:
        return Difference(graph, output, f"{counts}: {found.shape}", float("inf"), 0.0, float("inf"))
    distance = found - wanted
    norm = float(np.linalg.norm(wanted))
    return Difference(
        graph, output, counts,
        largest=float(np.abs(distance).max(initial=0.0)), magnitude=float(np.abs(wanted).max(initial=0.0)),
        l2=float(np.linalg.norm(distance)) / norm if norm else 0.0,
    )  # fmt: skip


def open_graph(path: Path) -> Any:
    """A session on the CPU, with as many threads as torch uses."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def graph_differences(
    parts: Parts, folder: Path, size: int, pictures: Sequence[F32] = ()
) -> list[Difference]:
    """Every output of every graph in the folder against the torch modules, in calls of several sizes.

    pictures  (1,3,S,S), normalised, for the image encoder; noise where there are none
    """
    found = []
    for name in GRAPHS:
        session = open_graph(folder / f"{name}.onnx")
        for call in COUNTS:
            inputs = sample_inputs(name, size, parts.memory_tokens, call, parts.widths)
            if pictures and "image" in inputs:
                chosen = [pictures[index % len(pictures)] for index in range(call.frames)]
                inputs["image"] = torch.from_numpy(np.concatenate(chosen))
            wanted = run_module(parts.modules[name], inputs)
            results = session.run(None, {key: value.numpy() for key, value in inputs.items()})
            label = _label(call, INTERFACE[name].inputs)
            for output, result, reference in zip(INTERFACE[name].outputs, results, wanted, strict=True):
                found.append(difference(name, output, label, result, reference))
    return found


def run_module(module: Any, inputs: Mapping[str, Any]) -> list[F32]:
    """The outputs of a torch module, as arrays."""
    with torch.no_grad():
        outputs = module(*inputs.values())
    return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]


def complaints(differences: list[Difference], tolerance: float) -> list[str]:
    """What is out of tolerance, one text each."""
    return [
        f"{item.graph}.{item.output} ({item.counts}) is off by {item.share:.2g} of its largest value, "
        f"{tolerance:g} allowed"
        for item in differences
        if not item.share <= tolerance
    ]


def worst(differences: list[Difference]) -> list[Difference]:
    """The largest difference of every output over all calls."""
    by_output: dict[tuple[str, str], Difference] = {}
    for item in differences:
        key = (item.graph, item.output)
        if key not in by_output or item.share > by_output[key].share:
            by_output[key] = item
    return list(by_output.values())


def record(differences: list[Difference]) -> dict[str, dict[str, dict[str, float]]]:
    """For the sidecar: the worst figures of every output, by graph."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for item in worst(differences):
        found.setdefault(item.graph, {})[item.output] = {
            "largest": _rounded(item.largest), "magnitude": _rounded(item.magnitude), "l2": _rounded(item.l2)
        }  # fmt: skip
    return found


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _label(counts: Counts, inputs: Mapping[str, Mapping[int, str]]) -> str:
    """The sizes that this graph sees, as F=2 N=3."""
    used = {axis for axes in inputs.values() for axis in axes.values()}
    sizes = {
        "F": counts.frames, "N": counts.rows, "M": counts.memories, "P": counts.pointers, "T": counts.points
    }  # fmt: skip
    return " ".join(f"{axis}={size}" for axis, size in sizes.items() if axis in used)
