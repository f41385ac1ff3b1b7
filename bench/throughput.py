"""Whole engine against the machine's limit: frames per second, as a ratio within one run.

The limit is one-thread `InferenceSession`s side by side, one a core, on ready tensors: what the model costs
when nothing else has to be done. The engine runs `--offline --no-overlay` on real clips, as a user starts it.
A plain loop (cv2.VideoCapture, letterbox, session, NMS in one process) is run beside it as the usual way.
Repetitions are interleaved, the median of the ratios counts.

    python -m bench.throughput --model yolov8n.onnx --clip a.mp4 [--clip b.mp4 …] [--repeat 3]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

from bench.machine import describe_machine, heading, markdown_table

EDGE = 0.1
"""Share of frames at the start and at the end of a run that are left out."""


@dataclass(frozen=True)
class Figures:
    """Frames per second of one repetition."""

    limit: float
    engine: float
    loop: float


def session(model: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


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


def engine_fps(model: Path, clips: list[Path]) -> float:
    """`engine-run` on the clips, one camera each; rate of all cameras together, from the times in the JSON lines."""
    with tempfile.TemporaryDirectory() as out:
        sources = [argument for clip in clips for argument in ("--source", str(clip))]
        command = [
            str(Path(sys.executable).parent / "engine-run"), "--profile", "m3-cpu", *sources,
            "--model", str(model), "--offline", "--no-overlay", "--out", out, "--port", "0",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        if done.returncode:
            raise SystemExit(f"engine-run failed:\n{done.stderr[-2000:]}")
        times = sorted(json.loads(line)["time"] for file in Path(out).glob("*.jsonl") for line in file.open())
    cut = int(len(times) * EDGE)
    span_s: float = times[-cut - 1] - times[cut]
    return (len(times) - 2 * cut) / span_s


def loop_fps(one: ort.InferenceSession, clips: list[Path], seconds: float) -> float:
    """The usual way: read, letterbox, run, threshold and NMS, all in one process, clips in turn."""
    entry = one.get_inputs()[0]
    height, width = (size if isinstance(size, int) else 640 for size in entry.shape[2:])
    frames, start = 0, time.perf_counter()
    captures = [cv2.VideoCapture(str(clip)) for clip in clips]
    while time.perf_counter() - start < seconds:
        for index, capture in enumerate(captures):
            ok, image = capture.read()
            if not ok:
                captures[index] = cv2.VideoCapture(str(clips[index]))
                continue
            scale = min(width / image.shape[1], height / image.shape[0])
            small = cv2.resize(image, None, fx=scale, fy=scale)
            canvas = np.full((height, width, 3), 114, np.uint8)
            canvas[: small.shape[0], : small.shape[1]] = small
            blob = np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1), np.float32)[None] / 255
            rows = one.run(None, {entry.name: blob})[0][0]
            rows = rows.T if rows.shape[0] < rows.shape[1] else rows
            scores = rows[:, 4:].max(1)
            keep = scores > 0.25
            boxes = rows[keep, :4].tolist()
            cv2.dnn.NMSBoxes(boxes, scores[keep].tolist(), 0.25, 0.45)
            frames += 1
    return frames / (time.perf_counter() - start)


def measure(model: Path, clips: list[Path], repeat: int, seconds: float) -> list[Figures]:
    """Interleaved repetitions: limit, engine, loop, limit again."""
    sessions = [session(model) for _ in range(os.cpu_count() or 1)]
    limit_fps(sessions, 2.0)
    figures = []
    for _ in range(repeat):
        before = limit_fps(sessions, seconds)
        engine = engine_fps(model, clips)
        between = limit_fps(sessions, seconds)
        loop = loop_fps(sessions[0], clips, seconds * 2)
        figures.append(Figures((before + between) / 2, engine, loop))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--clip", type=Path, action="append", required=True)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--json", type=Path)
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
    if args.json:
        args.json.write_text(
            json.dumps({"machine": describe_machine(), "figures": [vars(f) for f in figures]})
        )


if __name__ == "__main__":
    main()
