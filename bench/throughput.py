"""Whole engine against the machine's limit: frames per second, as a ratio within one run.

The limit is one-thread `InferenceSession`s side by side, one a core, on ready tensors: what the model costs
when nothing else has to be done. The engine runs `--offline --no-overlay` on real clips, as a user starts it.
A plain loop (cv2.VideoCapture, letterbox, session, NMS in one process, `bench/plain.py`) is run beside it as the
usual way, with onnxruntime's default of one thread for each core.
Repetitions are interleaved, the median of the ratios counts.

    python -m bench.throughput --model yolov8n.onnx --clip a.mp4 [--clip b.mp4 …] [--repeat 3]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from bench.machine import argument_parser, heading, markdown_table, write_json
from bench.plain import PlainDetector, frames_in_turn, session

F64 = NDArray[np.float64]

EDGE = 0.1
"""Share of frames at the start and at the end of a run that are left out."""


@dataclass(frozen=True)
class Figures:
    """Frames per second of one repetition."""

    limit: float
    engine: float
    loop: float


def limit_fps(sessions: list[ort.InferenceSession], seconds: float) -> float:
    """All sessions at once on a ready tensor."""
    entry = sessions[0].get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in entry.shape]
    tensor = np.random.default_rng(0).random(shape, np.float32)
    counts = [0] * len(sessions)
    end = time.perf_counter() + seconds

    def work(lane: int) -> None:
        while time.perf_counter() < end:
            sessions[lane].run(None, {entry.name: tensor})
            counts[lane] += 1

    start = time.perf_counter()
    threads = [threading.Thread(target=work, args=(lane,)) for lane in range(len(sessions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - start)


def engine_lines(model: Path, clips: Sequence[Path]) -> list[dict[str, Any]]:
    """`engine-run` on the clips, one camera each; its JSON lines. Raises `SystemExit` if it fails."""
    with tempfile.TemporaryDirectory() as out:
        sources = [argument for clip in clips for argument in ("--source", str(clip))]
        command = [
            str(Path(sys.executable).parent / "engine-run"), "--profile", "m3-cpu", *sources,
            "--model", str(model), "--offline", "--no-overlay", "--out", out, "--port", "0",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        if done.returncode:
            raise SystemExit(f"engine-run failed:\n{done.stderr[-2000:]}")
        return [json.loads(line) for file in sorted(Path(out).glob("*.jsonl")) for line in file.open()]


def finished_s(line: dict[str, Any]) -> float:
    """When a frame reached the output, in seconds since the Unix epoch: when it was read, and its latency."""
    total_ms: float = line["latency_ms"]["total"]
    read_s: float = line["time"]
    return read_s + total_ms / 1e3


def counted(times_s: Iterable[float]) -> F64:
    """Times in order, without those at the start and at the end."""
    ordered = np.sort(np.fromiter(times_s, np.float64))
    cut = int(len(ordered) * EDGE)
    return ordered[cut : len(ordered) - cut]


def rate_of(times_s: Iterable[float]) -> float:
    """Frames per second, from the times at which frames were finished.

    The slope of the line through (time, number) by least squares: frames of a batch are finished all at once, and
    counting from the middle of one batch to the middle of another would be wrong by up to a batch.
    """
    times = counted(times_s)
    return float(np.polyfit(times - times[0], np.arange(len(times)), 1)[0])


def engine_fps(model: Path, clips: Sequence[Path]) -> float:
    """`engine-run` on the clips; rate of all cameras together."""
    return rate_of(finished_s(line) for line in engine_lines(model, clips))


def loop_fps(detector: PlainDetector, clips: Sequence[Path], seconds: float) -> float:
    """The usual way: read, letterbox, run, threshold and suppression, all in one process, clips in turn."""
    frames, start = 0, time.perf_counter()
    while True:
        for image in frames_in_turn(clips):
            detector.detect(image)
            frames += 1
            if (passed_s := time.perf_counter() - start) >= seconds:
                return frames / passed_s


def measure(model: Path, clips: list[Path], repeat: int, seconds: float) -> list[Figures]:
    """Interleaved repetitions: limit, engine, loop, limit again."""
    sessions = [session(model) for _ in range(os.cpu_count() or 1)]
    detector = PlainDetector(model)
    limit_fps(sessions, 2.0)
    figures = []
    for _ in range(repeat):
        before = limit_fps(sessions, seconds)
        engine = engine_fps(model, clips)
        between = limit_fps(sessions, seconds)
        loop = loop_fps(detector, clips, seconds * 2)
        figures.append(Figures((before + between) / 2, engine, loop))
    return figures


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--clip", type=Path, action="append", required=True)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0)
    args = parser.parse_args()
    figures = measure(args.model, args.clip, args.repeat, args.seconds)
    ratios = [f.engine / f.limit for f in figures]
    row = (
        args.model.stem, len(args.clip), f"{statistics.median(f.limit for f in figures):.1f}",
        f"{statistics.median(f.engine for f in figures):.1f}", f"{statistics.median(ratios):.2f}",
        f"{min(ratios):.2f}–{max(ratios):.2f}", f"{statistics.median(f.loop / f.limit for f in figures):.2f}",
    )  # fmt: skip
    print(heading())
    print(
        markdown_table(
            ("model", "cameras", "limit fps", "engine fps", "ratio", "spread", "plain loop"), [row]
        )
    )
    write_json(args.json, figures=[vars(f) for f in figures])


if __name__ == "__main__":
    main()
