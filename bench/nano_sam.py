"""The embedded segmenter: milliseconds of each of its graphs, and how well it follows people from one box.

    python -m bench.nano_sam [--model DIR] [--data DIR] [--beside DIR] [--only speed|tracking] [--json FILE]

Speed: each graph through the engine's own runtime, on one thread and on two, for one object and for four, memory full;
beside EdgeTAM at its own size of 512 (made-up weights, on which the cost does not depend), in turns. The least and the
median of all calls are told: on a busy machine only the least says something. Tracking: `bench.nano_sam_tracking`.

DIR is a folder with EdgeTAM's graphs; where it is missing they are exported (camring[export], docs/export.md).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data import data_folder
from bench.edgetam import export
from bench.machine import argument_parser, heading, markdown_table, write_json
from bench.nano_sam_tracking import FRAMES, Followed, OnDavis, on_davis, said, tracking
from engine.models.embedded import embedded_segmenter
from engine.models.graph_session import GraphOptions, GraphSession, graph_session_named
from engine.models.sam2 import Segmenter, SegmenterOptions
from engine.models.sam2_sidecar import GRAPHS, Sidecar, load
from tools.sam2.interface import Counts, Widths, sample_inputs

ROUNDS, CALLS = 8, 3
THREADS, OBJECTS = (1, 2), (1, 4)
_BESIDE_SIZE = 512
_CHOSEN = {"mask_decoder": ("low_res_mask", "iou", "obj_ptr", "object_score")}
"""Outputs that a followed object needs; candidates are left out."""
_PER_OBJECT = GRAPHS[1:]


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of one graph: the least and the median of all calls."""

    model: str
    graph: str
    threads: int
    objects: int
    least_ms: float
    median_ms: float


def costs(folders: Sequence[Path], graph: str, threads: int, objects: int) -> list[Cost]:
    """Of each folder's graph, calls in turns."""
    opened = [_opened(load(folder), graph, threads, objects) for folder in folders]
    times: list[list[float]] = [[] for _ in folders]
    for _ in range(ROUNDS):
        for (_, call), spent in zip(opened, times, strict=True):
            for _ in range(CALLS):
                began = time.perf_counter()
                call()
                spent.append(1e3 * (time.perf_counter() - began))
    for session, _ in opened:
        session.close()
    return [
        Cost(_name(load(folder)), graph, threads, objects, min(spent), statistics.median(spent))
        for folder, spent in zip(folders, times, strict=True)
    ]


def _opened(
    sidecar: Sidecar, graph: str, threads: int, objects: int
) -> tuple[GraphSession, Callable[[], Mapping[str, Any]]]:
    """A graph and a call of it: one frame, its box or nothing as a prompt, a full bank."""
    session = graph_session_named("ort-cpu").load(sidecar.path(graph), GraphOptions(threads, objects, 1))
    counts = Counts(1, objects, sidecar.memory_slots, sidecar.pointer_slots, points=1)
    feeds: dict[str, NDArray[Any]] = sample_inputs(
        graph, sidecar.image_size, sidecar.memory_tokens, counts, widths=_widths(session, sidecar)
    )
    for name, values in feeds.items():
        if name.endswith("_valid"):
            feeds[name] = np.full_like(values, float(name != "mask_prompt_valid"))
    return session, lambda: session.run(feeds, _CHOSEN.get(graph))


def _widths(session: GraphSession, sidecar: Sidecar) -> Widths:
    """What the graph's inputs say, the usual where it has none of them."""
    shapes = {each.name: each.shape for each in session.inputs}
    finest = shapes.get("high_res_0", (0, 32, 0, 0))
    fine = shapes.get("high_res_1", (0, 64, 0, 2 * sidecar.grid))
    return Widths(
        sidecar.width, sidecar.memory_width, sidecar.mask_scale, int(finest[1] or 0), int(fine[1] or 0),
        int(fine[3] or 0) // sidecar.grid,
    )  # fmt: skip


def _name(sidecar: Sidecar) -> str:
    return f"{sidecar.variant} {sidecar.image_size}"


def keyframe_ms(found: Sequence[Cost], threads: int = 1) -> tuple[float, float]:
    """Least milliseconds of a frame's own part and of each followed object's, of the first model of the table."""
    first = {each.graph: each.least_ms for each in found if each.model == found[0].model
             and (each.threads, each.objects) == (threads, 1)}  # fmt: skip
    return first["image_encoder"], sum(first[graph] for graph in _PER_OBJECT)


def table(found: Sequence[Cost]) -> str:
    """A row for each graph, threads and objects; a column for each model."""
    models = list(dict.fromkeys(each.model for each in found))
    by_key: dict[tuple[str, int, int], list[Cost]] = {}
    for each in found:
        by_key.setdefault((each.graph, each.threads, each.objects), []).append(each)
    rows: list[tuple[object, ...]] = [
        (*key, *(f"{each.least_ms:.2f} ({each.median_ms:.2f})" for each in costs_of))
        for key, costs_of in by_key.items()
    ]
    return markdown_table(("graph", "threads", "objects", *(f"{model}, ms" for model in models)), rows)


def speed(model: Path, beside: Path | None) -> list[Cost]:
    """Of all graphs; the image encoder knows no objects."""
    with tempfile.TemporaryDirectory(prefix="camring-edgetam-") as made:
        other = beside or export(Path(made), _BESIDE_SIZE)[0]
        return [
            cost
            for graph in GRAPHS
            for threads in THREADS
            for objects in (OBJECTS if graph != "image_encoder" else (1,))
            for cost in costs([model, other], graph, threads, objects)
        ]


def people_table(people: Sequence[Followed]) -> str:
    """A row for each person; dashes where nothing can be said."""
    rows: list[tuple[object, ...]] = [
        (f"{each.take.scene} {each.take.camera}".strip(), f"{each.take.start_s:.0f}", each.person,
         *(_share(value) for value in (each.iou, each.worst, each.anew)), each.hidden_frames,
         _share(each.after), _share(each.absent))
        for each in people
    ]  # fmt: skip
    columns = ("scene", "from, s", "person", "mean", "worst tenth", "a box in every frame", "frames hidden",
               "mean afterwards", "no mask while hidden")  # fmt: skip
    return markdown_table(columns, rows)


def davis_table(things: Sequence[OnDavis]) -> str:
    """J and F of each object."""
    rows: list[tuple[object, ...]] = [
        (each.sequence, each.object_id, f"{each.overlap:.3f}", f"{each.contour:.3f}") for each in things
    ]
    return markdown_table(("sequence", "object", "J", "F"), rows)


def real(model: Path, data: Path) -> list[OnDavis]:
    """All objects of the annotated sequences in the data folder."""
    segmenter = Segmenter.load(model, SegmenterOptions(threads=1))
    try:
        return on_davis(segmenter, data)
    finally:
        segmenter.close()


def _share(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"


def main() -> None:
    """Entry point."""
    parser = argument_parser(__doc__)
    parser.add_argument("--model", type=Path, metavar="DIR", help="default: the embedded one")
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--beside", type=Path, metavar="DIR", help="EdgeTAM's folder; default: made")
    parser.add_argument("--only", choices=("speed", "tracking"))
    args = parser.parse_args()
    model = args.model or embedded_segmenter()
    figures: dict[str, Any] = {}
    reach: dict[str, str] = {}
    print(heading())
    size = sum(load(model).path(graph).stat().st_size for graph in GRAPHS) / 1e6
    print(f"{model.name}: four graphs of {size:.2f} MB.")
    if args.only != "tracking":
        found = speed(model, args.beside)
        print(f"\nLeast (median) of {ROUNDS * CALLS} calls, memory full:\n\n{table(found)}")
        frame, each = keyframe_ms(found)
        reach["speed"] = f"{frame:.1f} ms a frame and {each:.1f} ms an object, on one core, memory full"
        figures["speed"] = [asdict(cost) for cost in found]
    if args.only != "speed":
        people = tracking(model)
        print(
            f"\nPeople of rendered scenes, {FRAMES} frames each, from one box; overlaps:\n\n{people_table(people)}"
        )
        reach["tracking"] = said(people)
        figures["tracking"] = [asdict(person) for person in people]
        davis = real(model, args.data)
        print(f"\nReal sequences (DAVIS), things that it was never shown:\n\n{davis_table(davis)}")
        figures["davis"] = [asdict(thing) for thing in davis]
    write_json(args.json, reach=reach, **figures)


if __name__ == "__main__":
    main()
