"""Is it enough to embed boxes only where a look can change a decision? What it costs, and what it is worth.

The same clip through `engine-run --offline --no-overlay`, as a user starts it, in turns: without re-identification,
with it as it is by default, without its budget's limit, and with every box embedded that reaches the first stage of
association (`reid.refresh_frames = 1`, no limit). For each: the share of these boxes that was embedded, frames per
second between the first and the last tenth, what a frame takes longer than without, and IDF1, MOTA and identity
switches of what was written, against the ground truth of the whole clip. Runs are repeated in turns; the median of
the speeds counts, and the objects must be the same every time.

    python -m bench.reid_budget [--data DIR] [--model FILE] [--reid FILE] [--repeat 3] [--json FILE]
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.data import data_folder
from bench.machine import argument_parser, heading, markdown_table, write_json
from bench.throughput import finished_s, rate_of
from engine.evaluation.mot_scores import MotScore, ResultFrame, judge
from engine.evaluation.mot_sequence import Sequence, find_sequences

CLIP, SEQUENCE = "pets09_s2l1_0001-0320", "PETS09-S2L1-a"
MODEL, REID = "yolov8n_640_f32_dynbatch", "osnet_x0_25_msmt17_dynbatch"
NO_LIMIT = {"ENGINE_REID_CROPS_PER_S": "0", "ENGINE_REID_CROPS_PER_FRAME": "1000"}
EVERY = "every box"
WAYS: dict[str, dict[str, str] | None] = {
    "without": None,
    "on demand, default budget": {},
    "on demand, no limit": NO_LIMIT,
    EVERY: {**NO_LIMIT, "ENGINE_REID_REFRESH_FRAMES": "1"},
}
"""Settings of each way; None is without re-identification."""
COUNTS = re.compile(
    r"re-identification: (\d+) boxes, (\d+) embedded(?: \((.*?)\))?, (\d+) left out.*?, (\S+) ms a crop"
)


@dataclass(frozen=True)
class Run:
    """One run of the engine. `objects` are those of every frame, as they were written."""

    fps: float
    objects: list[Any]
    boxes: int = 0
    embedded: int = 0
    needs: str = ""
    left_out: int = 0
    crop_ms: float = 0.0


def run_engine(clip: Path, model: Path, reid: Path | None, environ: dict[str, str]) -> Run:
    """`engine-run` on the clip. Raises `SystemExit` if it fails."""
    with tempfile.TemporaryDirectory() as out:
        command = [
            str(Path(sys.executable).parent / "engine-run"), "--source", str(clip), "--offline", "--no-overlay",
            "--model", str(model), "--out", out, "--port", "0", *(["--reid", str(reid)] if reid else []),
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=900, env={**os.environ, **environ}
        )
        if done.returncode:
            raise SystemExit(f"engine-run failed:\n{done.stderr[-2000:]}")
        lines = [json.loads(line) for line in (Path(out) / "cam0.jsonl").open()]
    run = Run(rate_of(finished_s(line) for line in lines), [line["objects"] for line in lines])
    counts = COUNTS.search(done.stdout)
    if counts is None:
        return run
    boxes, embedded, needs, left_out, crop_ms = counts.groups()
    measured_ms = float(crop_ms) if crop_ms != "–" else 0.0
    return Run(run.fps, run.objects, int(boxes), int(embedded), needs or "", int(left_out), measured_ms)


def score(sequence: Sequence, objects: list[Any]) -> MotScore:
    """Of the people that have an identity."""
    frames = []
    for of_frame in objects:
        tracked = [one for one in of_frame if one["id"] is not None and one["label"] == "person"]
        ids = np.array([one["id"] for one in tracked], np.int64)
        boxes = np.array([one["bbox"] for one in tracked], np.float64).reshape(len(tracked), 4)
        boxes[:, 2:] += boxes[:, :2]
        frames.append(ResultFrame(ids, boxes))
    return judge(sequence, frames)


def measure(data: Path, model: Path, reid: Path, repeat: int) -> dict[str, list[Run]]:
    """Every way in turn, again and again. Raises `SystemExit` where a run does not give what it gave before."""
    clip = data / "clips" / f"{CLIP}.mp4"
    runs: dict[str, list[Run]] = {way: [] for way in WAYS}
    for _ in range(repeat):
        for way, environ in WAYS.items():
            runs[way].append(run_engine(clip, model, None if environ is None else reid, environ or {}))
            if runs[way][-1].objects != runs[way][0].objects:
                raise SystemExit(f"{way}: two runs gave different objects")
    return runs


def figures_of(way: str, runs: dict[str, list[Run]], sequence: Sequence) -> dict[str, Any]:
    """What is told of one way."""
    first = runs[way][0]
    fps = statistics.median(run.fps for run in runs[way])
    extra_ms = statistics.median(
        1e3 / run.fps - 1e3 / without.fps for run, without in zip(runs[way], runs["without"], strict=True)
    )
    found = score(sequence, first.objects)
    return {
        "way": way, "boxes": first.boxes, "embedded": first.embedded, "needs": first.needs, "left_out": first.left_out,
        "share": first.embedded / max(1, runs[EVERY][0].embedded), "fps": fps, "extra_ms": extra_ms,
        "crop_ms": statistics.median(run.crop_ms for run in runs[way]),
        "idf1": found.clear.idf1, "mota": found.clear.mota, "switches": found.clear.switches,
        "hota": None if found.hota is None else found.hota.hota,
    }  # fmt: skip


def main() -> None:
    """Entry point."""
    parser = argument_parser(__doc__)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--model", type=Path, help=f"detector (default: {MODEL})")
    parser.add_argument("--reid", type=Path, help=f"network (default: {REID})")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    weights = arguments.data / "weights"
    model, reid = arguments.model or weights / f"{MODEL}.onnx", arguments.reid or weights / f"{REID}.onnx"
    (sequence,) = find_sequences([arguments.data / "mot" / SEQUENCE])
    runs = measure(arguments.data, model, reid, arguments.repeat)
    figures = [figures_of(way, runs, sequence) for way in WAYS]
    print(heading())
    print(
        f"{CLIP}, {sequence.frames} frames of 768 × 576, {model.stem}, {reid.stem}; {arguments.repeat} repetitions\n"
    )
    columns = (
        "embedded",
        "share of boxes",
        "needs",
        "frames/s",
        "more a frame",
        "ms a crop",
        "IDF1",
        "MOTA",
        "switches",
    )
    rows: list[tuple[object, ...]] = [
        (one["way"], one["embedded"], f"{100 * one['share']:.0f} %", one["needs"] or "–", f"{one['fps']:.1f}",
         f"{one['extra_ms']:+.1f} ms", f"{one['crop_ms']:.1f}", f"{one['idf1']:.3f}", f"{one['mota']:.3f}",
         one["switches"])
        for one in figures
    ]  # fmt: skip
    print(markdown_table(("way", *columns), rows))
    write_json(arguments.json, ways=figures)


if __name__ == "__main__":
    main()
