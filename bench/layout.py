"""How a model's calls are laid out over the cores: every layout measured, and the one that is chosen at start.

python -m bench.layout [MODEL.onnx …] [--quick] [--frames 8] [--cores N]

Frames of 1080p go through the engine's detector: prepared, run, selected. `lanes×threads` are calls side by side
and threads in each; a batch is frames in one call. The layouts take turns of a second each, so that whatever else
the machine does meets all of them alike; the median of the turns counts. What is chosen at start is chosen by a
quicker measurement of the model alone; what that takes is measured too, and the start after it.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from bench.data import weights
from bench.machine import argument_parser, heading, markdown_table, write_json
from engine.models.base import BatchItem, DetectorOptions
from engine.models.layout import Bounds, Layout, batches, shapes
from engine.models.onnx_detector import OnnxDetector
from engine.types import FrameMeta, FrameNv12, nv12_geometry

MODELS = ("yolox_nano_416_f32", "light_person_detector_192_f32", "yolov8n_640_f32_dynbatch")


@dataclass(frozen=True)
class Result:
    """One model: frames/s of each layout, what was chosen, and what choosing took."""

    model: str
    frames_per_s: dict[str, float]
    chosen: str
    chosen_against_worst: float
    chosen_against_best: float
    first_start_s: float
    later_start_s: float
    start_without_choice_s: float


def frame_1080p() -> FrameNv12:
    """A picture without objects: soft shades, so that no box is selected and none is suppressed."""
    width, height = 1920, 1080
    stride, offset_uv, size = nv12_geometry(width, height)
    frame = FrameNv12.view(
        FrameMeta(0, 0, 0, width, height, stride, stride, offset_uv), np.full(size, 128, np.uint8)
    )
    frame.y[:] = np.linspace(40, 200, width, dtype=np.uint8)
    return frame


def turn(detector: OnnxDetector, seconds: float) -> float:
    """Frames/s of all calls of a detector together."""
    batch = [BatchItem(frame_1080p())] * detector.batch
    end = time.perf_counter() + seconds

    def work(call: int) -> int:
        frames = 0
        while time.perf_counter() < end:
            frames += len(detector.infer(batch, call))
        return frames

    began = time.perf_counter()
    with ThreadPoolExecutor(detector.calls) as pool:
        frames = sum(pool.map(work, range(detector.calls)))
    return frames / (time.perf_counter() - began)


def layouts_of(path: Path, cores: int, frames: int) -> list[Layout]:
    """What the engine chooses from."""
    probe = OnnxDetector(path, DetectorOptions(lanes=1, threads=1, batch=frames))
    fixed = 0 if probe.batch == frames else probe.batch
    probe.close()
    bounds = Bounds(cores=cores, frames=frames)
    return [
        Layout(*shape, batch) for shape in shapes(bounds, on_cores=True) for batch in batches(bounds, fixed)
    ]


def started(path: Path, **options: int) -> tuple[OnnxDetector, float]:
    """A detector, and the seconds until it was ready."""
    began = time.perf_counter()
    detector = OnnxDetector(path, DetectorOptions(**options))  # type: ignore[arg-type]  # numbers only
    return detector, time.perf_counter() - began


def measure_model(path: Path, cores: int, frames: int, turns: int, seconds: float) -> Result:
    """All layouts of one model, and the choice."""
    layouts = layouts_of(path, cores, frames)
    detectors = {}
    for lanes, threads, batch in layouts:
        detectors[Layout(lanes, threads, batch)], without_choice_s = started(
            path, lanes=lanes, threads=threads, batch=batch, most_lanes=cores
        )
    rates: dict[Layout, list[float]] = {layout: [] for layout in layouts}
    for _ in range(turns):
        for layout, detector in detectors.items():
            rates[layout].append(turn(detector, seconds))
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        (chosen, first_s), (again, later_s) = (
            started(path, most_lanes=cores, most_batch=frames) for _ in range(2)
        )
    [choice] = [choice for choice in chosen.choices if choice.what == "layout"]
    for detector in (*detectors.values(), chosen, again):
        detector.close()
    table = {str(layout): statistics.median(rates[layout]) for layout in layouts}
    mine = table[choice.chosen]
    return Result(
        path.stem, table, choice.chosen, mine / min(table.values()), mine / max(table.values()), first_s, later_s,
        without_choice_s,
    )  # fmt: skip


def report(results: Sequence[Result]) -> str:
    """The figures as tables."""
    rows: list[tuple[object, ...]] = []
    for result in results:
        for layout, rate in sorted(result.frames_per_s.items(), key=lambda entry: -entry[1]):
            mark = "chosen at start" if layout == result.chosen else ""
            rows.append((result.model, layout, f"{rate:.1f}", mark))
    choices: list[tuple[object, ...]] = [
        (
            result.model, result.chosen, f"{result.chosen_against_worst:.2f}", f"{result.chosen_against_best:.2f}",
            f"{result.start_without_choice_s:.2f}", f"{result.first_start_s:.2f}", f"{result.later_start_s:.2f}",
        )
        for result in results
    ]  # fmt: skip
    return "\n\n".join([
        markdown_table(("model", "lanes×threads", "frames/s", ""), rows),
        markdown_table(
            ("model", "chosen", "× the worst", "× the best", "start, configured s", "start, measuring s",
             "start, remembered s"), choices,
        ),
    ])  # fmt: skip


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument(
        "models", nargs="*", type=Path, help="ONNX files; without any: three of the test data"
    )
    parser.add_argument(
        "--quick", action="store_true", help="two short turns: whether it works, not how fast"
    )
    parser.add_argument(
        "--frames", type=int, default=8, help="frames that may be due at once: the largest batch"
    )
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1, help="cores that inference may use")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    turns, seconds = (2, 0.2) if args.quick else (7, 1.0)
    models = args.models or [weights(name) for name in MODELS]
    results = [measure_model(path, args.cores, args.frames, turns, seconds) for path in models]
    print(heading())
    print(report(results))
    write_json(args.json, models=[asdict(result) for result in results])


if __name__ == "__main__":
    main()
