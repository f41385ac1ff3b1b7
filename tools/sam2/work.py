"""One model on its way from torch to folders of graphs: export, check, compare, write. Prints its report."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from engine.errors import ModelUnsupported
from tools.command_line import print_table
from tools.sam2 import export, graph_check, half, loop_parity, official, parity, quantize
from tools.sam2.families import GRAPHS, Parts, Source, build
from tools.sam2.graph_edit import copied

LOOP_TOLERANCE = {"fp32": (1e-3, 0.999), "fp16": (0.2, 0.99)}
"""For the tracked clip: largest difference as a share of the logits' spread, least share of agreeing pixels."""

JUDGED = 3
"""Pictures on which an eight-bit image encoder is compared."""


class Work:
    """A model of one source at one size."""

    def __init__(self, source: Source, size: int, opset: int, *, half_weights: bool = False) -> None:
        """half_weights: weights are rounded to float16 and lie so in the files of the float32 graphs."""
        self._source = source
        self._size = size
        self._opset = opset
        self._half_weights = half_weights

    @cached_property
    def parts(self) -> Parts:
        """The built model."""
        parts = build(self._source, self._size)
        if self._half_weights:
            half.round_weights(parts.modules)
        return parts

    @cached_property
    def _graphs(self) -> dict[str, Any]:
        """The graphs in float32, checked. Raises `ModelUnsupported`."""
        graphs = export.export_graphs(self.parts, self._size, self._opset)
        _raise_if([text for name in GRAPHS for text in graph_check.problems(name, graphs[name])])
        return graphs

    def write(self, folder: Path, precision: str, compared: str) -> None:
        """Fill a folder. Raises `ModelUnsupported` where something is out of tolerance.

        compared  "graphs" with torch, "full" = the official model too, module by module and on a clip; "none"
        """
        change = half.to_half if precision == "fp16" else copied
        if precision == "fp32" and self._half_weights:
            change = half.store_weights_in_half
        graphs = {name: change(graph) for name, graph in self._graphs.items()}
        sidecar = self._write(folder, graphs, dict.fromkeys(GRAPHS, precision))
        if compared == "none":
            return
        tolerance = parity.TOLERANCE[precision]
        # What the rounding of weights costs is in the comparison with the official model, not in that of the graphs.
        rounding = "fp16" if self._half_weights else precision
        differences = parity.graph_differences(self.parts, folder, self._size)
        figures: dict[str, Any] = {"graphs_against_torch": parity.record(differences)}
        wrong = parity.complaints(differences, tolerance)
        print_table(parity.COLUMNS, [item.row() for item in parity.worst(differences)])
        if compared == "full":
            modules = official.module_differences(self.parts, self._size)
            figures["torch_against_official"] = parity.record(modules)
            wrong += parity.complaints(modules, parity.TOLERANCE["fp16" if self._half_weights else "fp32"])
            print_table(parity.COLUMNS, [item.row() for item in modules])
            loop = self._loop(folder, figures)
            wrong += loop.complaints(*LOOP_TOLERANCE[rounding])
            if rounding == "fp32" and self._source.weights is None:
                # Only of made-up weights is it known that everything matters, and rounding hides small errors.
                wrong += loop.unnoticed()
        sidecar["parity"] = figures
        export.write_sidecar(folder, sidecar)
        _raise_if(wrong)

    def write_int8(self, folder: Path, how: str, calibrate: str | None, count: int) -> None:
        """Fill a folder with the eight-bit variant; its error is reported, not judged."""
        graphs = {name: copied(graph) for name, graph in self._graphs.items()}
        pictures = quantize.calibration_pictures(calibrate, count + JUDGED, self._size)
        # Noise is outside the ranges of any picture, and pictures that gave the ranges would flatter.
        judged = pictures[-JUDGED:]
        if how == "static":
            learnt = pictures[:-JUDGED] or pictures
            changed = {name: quantize.static(name, graph, learnt) for name, graph in graphs.items()}
        else:
            changed = {name: quantize.dynamic(name, graph) for name, graph in graphs.items()}
        precision = {
            name: "fp32" if changed[name] is graphs[name] else f"int8-{how}" for name in GRAPHS
        }  # fmt: skip
        sidecar = self._write(folder, changed, precision)
        differences = parity.graph_differences(self.parts, folder, self._size, judged)
        print_table(parity.COLUMNS, [item.row() for item in parity.worst(differences)])
        figures: dict[str, Any] = {"graphs_against_torch": parity.record(differences)}
        self._loop(folder, figures, faults=())
        sidecar["parity"] = figures
        export.write_sidecar(folder, sidecar)

    def _loop(
        self, folder: Path, figures: dict[str, Any], faults: tuple[str, ...] = loop_parity.FAULTS
    ) -> Any:
        loop = loop_parity.against(self._official_clip, folder, faults)
        figures["clip_against_official"] = loop.record()
        print(
            f"clip of {loop_parity.FRAMES} frames, {loop_parity.OBJECTS} objects, against the official predictor: "
            f"mask logits off by {loop.largest:.2g} at most (spread {loop.spread:.2g}), {loop.agreement:.3%} of the "
            "pixels agree"
        )
        for name, off in loop.faults.items():
            print(f"  and with {name}: off by {off:.2g}")
        return loop

    @cached_property
    def _official_clip(self) -> Any:
        return loop_parity.by_official(self.parts, self._size)

    def _write(self, folder: Path, graphs: Mapping[str, Any], precision: Mapping[str, str]) -> dict[str, Any]:
        sidecar = export.describe(self.parts, self._source, self._size, precision)
        export.write_folder(folder, graphs, sidecar)
        return sidecar


def _raise_if(wrong: list[str]) -> None:
    if wrong:
        more = f"; and {len(wrong) - 4} more" if len(wrong) > 4 else ""
        raise ModelUnsupported(f"not written: {'; '.join(wrong[:4])}{more}")
