"""The engine against what one would use instead: same ONNX file, same frames, same machine, same run.

    python -m bench.peers [--model FILE] [--clip FILE …] [--frames 160] [--repeat 3] [--quick] [--json FILE]

The ways take turns within every repetition, each in processes of its own, so that neither threads nor memory mix. Every
one gets the same frames: the clips are cut to so many frames beforehand, without encoding them again. One camera is the
first clip; four cameras are four clips at once, or in turn where the way knows only one.

What is included:
  every way   reading and decoding the file, letterbox to the model's input, the model, threshold and class-aware
              suppression at the same overlap; loading and the first and last tenth of the frames are not counted
  engine      `engine-run --profile m3-cpu --offline --no-overlay` with its defaults: besides tracking (BoT-SORT without
              compensation of camera motion), JSON lines, shared memory, /health and the supervisor. Its model keeps
              boxes from a score of 0.1 for the tracker, and shows them from 0.25
  ultralytics `predict` and `track` with stream=True, conf 0.25, results left as tensors; `.streams` for four cameras,
              where it takes one frame of each per call. Its BoT-SORT compensates camera motion (a few ms a frame), its
              ByteTrack does not: that is the like of the engine's tracking. onnxruntime as ultralytics sets it up
  others      cv2.VideoCapture and `bench/plain.py`, score 0.25, no tracking, nothing written. onnxruntime with its
              default of a thread for each core; in a process per camera with one thread each
  limit       one-thread sessions side by side on a ready tensor: no reading, no drawing, nothing but the model

`objects` is there to see that the same was found: trackers show fewer boxes than detectors do.
Processor time is that of all processes of a way while frames were counted, memory their largest sum at one moment.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import av

from bench import peer_ultralytics
from bench.data import FOUR_CLIPS, clip, weights
from bench.machine import argument_parser, heading, markdown_table, write_json
from bench.throughput import counted, engine_lines, finished_s, rate_of
from bench.usage import Usage

ROOT = Path(__file__).resolve().parent.parent
ENGINE, LIMIT = "engine", "limit"
ONE_CAMERA = (
    ENGINE, "ultralytics-predict", "ultralytics-botsort", "ultralytics-bytetrack", "plain-loop", "decoder-thread",
    "decoder-process", LIMIT,
)  # fmt: skip
MORE_CAMERAS = (*ONE_CAMERA[:-1], "process-per-camera", LIMIT)
TITLES = {
    ENGINE: "engine",
    "ultralytics-predict": "ultralytics predict",
    "ultralytics-botsort": "ultralytics track, BoT-SORT",
    "ultralytics-bytetrack": "ultralytics track, ByteTrack",
    "plain-loop": "plain OpenCV loop",
    "decoder-thread": "decoder thread and loop",
    "decoder-process": "decoder process, mp.Queue, loop",
    "process-per-camera": "a whole process per camera",
    LIMIT: "limit: the model alone",
}
LONGEST_S = 600


class PeerFailed(Exception):
    """A peer has ended with an error."""


@dataclass(frozen=True)
class Outcome:
    """One repetition of one way. `objects` is the mean in a frame."""

    fps: float
    cpu_ms: float
    memory_mib: float
    objects: float


@dataclass
class Row:
    """A way with so many cameras: one outcome for each repetition, or why there is none."""

    way: str
    cameras: int
    outcomes: list[Outcome] = field(default_factory=list)
    not_run: str = ""

    def median(self, figure: str) -> float:
        """Of one field of the outcomes."""
        values: list[float] = [getattr(outcome, figure) for outcome in self.outcomes]
        return statistics.median(values)


def cut_clip(source: Path, frames: int, target: Path) -> None:
    """The first frames of a file, as they are: packets are copied in the order in which they are decoded.

    So nothing lacks what it was predicted from; the very last pictures may be later ones of the file.
    """
    with av.open(str(source)) as reading, av.open(str(target), "w") as writing:
        stream = reading.streams.video[0]
        copied = writing.add_stream_from_template(stream)
        packets = (packet for packet in reading.demux(stream) if packet.size)
        for _, packet in zip(range(frames), packets, strict=False):
            packet.stream = copied
            writing.mux(packet)


def run_peer(way: str, model: Path, arguments: list[str], folder: Path) -> Any:
    """What `bench.peer_runs` has found out, in a process of its own. Raises `PeerFailed`."""
    result = folder / "result.json"
    command = [sys.executable, "-m", "bench.peer_runs", way, str(result), str(model), *arguments]
    variables = os.environ | peer_ultralytics.environment(folder) | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, timeout=LONGEST_S
    )
    if done.returncode:
        raise PeerFailed(f"exit status {done.returncode}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(result.read_text())


def outcome_of(finished: list[tuple[float, int]], usage: Usage) -> Outcome:
    """Figures of one repetition, from the time and the objects of every frame."""
    times_s = [time_s for time_s, _ in finished]
    inner = counted(times_s)
    fps = rate_of(times_s)
    return Outcome(
        fps=fps,
        cpu_ms=usage.cores(float(inner[0]), float(inner[-1])) / fps * 1e3,
        memory_mib=usage.peak_memory_mib(),
        objects=statistics.mean(objects for _, objects in finished),
    )


def run_once(way: str, model: Path, clips: list[Path], limit_s: float) -> Outcome:
    """One repetition of one way."""
    with Usage() as usage, tempfile.TemporaryDirectory() as folder:
        if way == ENGINE:
            lines = engine_lines(model, clips)
            finished = [(finished_s(line), len(line["objects"])) for line in lines]
        elif way == LIMIT:
            alone = run_peer(way, model, [str(limit_s)], Path(folder))
        else:
            finished = run_peer(way, model, [str(clip) for clip in clips], Path(folder))
    if way == LIMIT:
        cores = usage.cores(alone["first_s"], alone["last_s"])
        return Outcome(alone["fps"], cores / alone["fps"] * 1e3, usage.peak_memory_mib(), objects=0.0)
    return outcome_of(finished, usage)


def measure(model: Path, clips: list[Path], frames: int, repeat: int, limit_s: float) -> list[Row]:
    """All ways in turn, for one camera and for all clips; each repetition begins with another way."""
    rows = [Row(way, 1) for way in ONE_CAMERA]
    if len(clips) > 1:
        rows += [Row(way, len(clips)) for way in MORE_CAMERAS]
    reason = peer_ultralytics.reason_not_to_run(model)
    for row in rows:
        row.not_run = reason if row.way.startswith("ultralytics") else ""
    runnable = [row for row in rows if not row.not_run]
    with tempfile.TemporaryDirectory() as folder:
        cut: dict[int, list[Path]] = {}
        for cameras in {row.cameras for row in rows}:
            cut[cameras] = [Path(folder) / f"{cameras}-{number}.mp4" for number in range(cameras)]
            for source, target in zip(clips[:cameras], cut[cameras], strict=True):
                cut_clip(source, frames // cameras, target)
        for number in range(repeat):
            first = number * len(runnable) // repeat
            for row in runnable[first:] + runnable[:first]:
                repetition(row, model, cut[row.cameras], limit_s)
    return rows


def repetition(row: Row, model: Path, clips: list[Path], limit_s: float) -> None:
    """Add one outcome, and say so; a peer that fails is left out from then on, with the reason."""
    if row.not_run:
        return
    try:
        row.outcomes.append(run_once(row.way, model, clips, limit_s))
        print(f"{row.cameras} {row.way}: {row.outcomes[-1].fps:.1f}", file=sys.stderr, flush=True)
    except PeerFailed as error:
        row.outcomes.clear()
        row.not_run = f"failed, {error}"


def ratios(engine: Row, peer: Row) -> list[float]:
    """How many times as fast as the peer the engine was, in each repetition."""
    return [e.fps / p.fps for e, p in zip(engine.outcomes, peer.outcomes, strict=True)]


def engine_of(rows: list[Row], cameras: int) -> Row:
    return next(row for row in rows if row.way == ENGINE and row.cameras == cameras)


def cells(row: Row, engine: Row) -> tuple[object, ...]:
    """The line of one way in the table."""
    if row.not_run:
        return (row.cameras, TITLES[row.way], f"not run: {row.not_run}", *([""] * 5))
    fps = [outcome.fps for outcome in row.outcomes]
    times = ratios(engine, row)
    return (
        row.cameras,
        TITLES[row.way],
        f"{row.median('fps'):.1f}",
        f"{min(fps):.1f}–{max(fps):.1f}",
        "" if row.way == ENGINE else f"{statistics.median(times):.2f} ({min(times):.2f}–{max(times):.2f})",
        f"{row.median('cpu_ms'):.0f}",
        f"{row.median('memory_mib'):.0f}",
        "" if row.way == LIMIT else f"{row.median('objects'):.2f}",
    )


def verdict(rows: list[Row], cameras: int) -> dict[str, Any]:
    """The fastest peer, and how many times as fast as it the engine was; the limit is nobody's way of doing it."""
    engine = engine_of(rows, cameras)
    peers = [
        row for row in rows if row.cameras == cameras and row.outcomes and row.way not in (ENGINE, LIMIT)
    ]
    closest = min(peers, key=lambda row: statistics.median(ratios(engine, row)))
    return {
        "cameras": cameras,
        "closest": TITLES[closest.way],
        "times": statistics.median(ratios(engine, closest)),
        "not_run": [TITLES[row.way] for row in rows if row.cameras == cameras and row.not_run],
    }


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", type=Path, default=weights("yolov8n_640_f32_dynbatch"))
    parser.add_argument("--clip", type=Path, action="append", help="may be repeated; default: four clips")
    parser.add_argument("--frames", type=int, default=96, help="for each way, shared out among its cameras")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a measurement of the limit")
    parser.add_argument("--quick", action="store_true", help="32 frames, once: to see that every way runs")
    args = parser.parse_args()
    args.clip = args.clip or [clip(name) for name in FOUR_CLIPS]
    if args.quick:
        args.frames, args.repeat, args.seconds = 32, 1, 2.0
    return args


def main() -> int:
    args = parse_arguments()
    model, clips = args.model.resolve(), [path.resolve() for path in args.clip]
    rows = measure(model, clips, args.frames, args.repeat, args.seconds)
    verdicts = [verdict(rows, cameras) for cameras in sorted({row.cameras for row in rows})]
    print(heading())
    print(
        f"{model.stem}, {args.frames} frames a way shared out among the cameras, {args.repeat} repetitions\n"
    )
    columns = ("cameras", "way", "frames/s", "spread", "engine is … times as fast", "CPU ms a frame", "MiB",
               "objects")  # fmt: skip
    print(markdown_table(columns, [cells(row, engine_of(rows, row.cameras)) for row in rows]))
    for each in verdicts:
        cameras = f"{each['cameras']} camera" + "s" * (each["cameras"] > 1)
        print(f"\n{cameras}: {each['times']:.2f} times as fast as the fastest peer ({each['closest']})")
    write_json(args.json, verdicts=verdicts, rows=[asdict(row) for row in rows])
    return 1 if any(row.not_run.startswith("failed") for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
