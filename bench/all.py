"""Run every benchmark and write docs/benchmarks.md from what they print.

    python -m bench.all [--only NAME] [--data DIR]

Figures in documents come from here. The data folder holds the real weights and clips (see tests/conftest.py).
"""

from __future__ import annotations

import argparse
import datetime
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "benchmarks"
REPORT = ROOT / "docs" / "benchmarks.md"
FOUR_CLIPS = ("et_01_dog", "et_08_driving", "et_12_hideandseek", "sam2_bedroom")
ONE_CLIP = ("et_01_dog",)


@dataclass(frozen=True)
class Benchmark:
    """One section of the report: its heading, what it is to show, and the command."""

    name: str
    title: str
    goal: str
    command: tuple[str, ...]


def throughput(data: Path, name: str, model: str, clips: tuple[str, ...], goal: str) -> Benchmark:
    arguments = [argument for clip in clips for argument in ("--clip", str(data / "clips" / f"{clip}.mp4"))]
    cameras = f"{len(clips)} clip" + ("s as so many cameras" if len(clips) > 1 else "")
    return Benchmark(
        name,
        f"Whole engine, {model}, {cameras}",
        goal,
        ("bench.throughput", "--model", str(data / "weights" / f"{model}.onnx"), *arguments),
    )


def benchmarks(data: Path) -> list[Benchmark]:
    """All of them, quick ones first."""
    yolov8n, yolox = "yolov8n_640_f32_dynbatch", "yolox_nano_416_f32"
    light = str(data / "weights" / "light_person_detector_192_f32.onnx")
    return [
        Benchmark("startup", "Start of the command line", "help in 0.25 s at most, nothing heavy loaded",
                  ("bench.startup",)),
        Benchmark("handover", "Handing over a frame", "p50 ≤ 150 µs, p99 ≤ 1 ms for 1080p and 4K; at least 50 times "
                  "faster than multiprocessing.Queue, 10 times than pyzmq, not slower than iceoryx2",
                  ("bench.handover",)),
        Benchmark("kernels", "Before and after the model", "none asked for",
                  ("bench.kernels",)),
        throughput(data, "yolov8n-1", yolov8n, ONE_CLIP, "ratio to the machine's limit ≥ 0.82"),
        throughput(data, "yolox-1", yolox, ONE_CLIP, "ratio to the machine's limit ≥ 0.57"),
        throughput(data, "yolov8n-4", yolov8n, FOUR_CLIPS, "ratio to the machine's limit ≥ 0.85"),
        throughput(data, "yolox-4", yolox, FOUR_CLIPS, "ratio to the machine's limit ≥ 0.66"),
        Benchmark("tracking", "Tracking", "association only: p95 ≤ 0.5 ms for 10–20 objects",
                  ("bench.tracking", "--data", str(data))),
        Benchmark("soak", "Half an hour's worth of looped input", "memory, descriptors and mappings stay flat",
                  ("bench.soak", "--model", light, "--clip", str(data / "clips" / "et_08_driving.mp4"))),
    ]  # fmt: skip


def run(benchmark: Benchmark, data: Path) -> bool:
    """Run one benchmark and keep what it prints; False if it failed."""
    print(f"== {benchmark.name}", flush=True)
    command = [sys.executable, "-m", *benchmark.command]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    print(done.stdout, done.stderr[-2000:], flush=True)
    if done.returncode == 0:
        RESULTS.mkdir(exist_ok=True)
        text = done.stdout.replace(str(data), "$DATA").replace(str(ROOT) + os.sep, "")
        date = datetime.date.today().isoformat()
        (RESULTS / f"{benchmark.name}.md").write_text(
            f"## {benchmark.title}\n\nGoal: {benchmark.goal}. Measured {date}.\n\n{text.strip()}\n"
        )
    return done.returncode == 0


def write_report(data: Path) -> None:
    """Put the kept results together."""
    head = (
        "# Benchmarks\n"
        "Every figure is printed by a command in `bench/`; `make bench` runs all and writes this page. Ratios are\n"
        "taken within one run with interleaved repetitions, because the same machine gives other absolute figures\n"
        "from hour to hour. `$DATA` is the folder with the real weights and clips.\n"
    )
    parts = [RESULTS / f"{benchmark.name}.md" for benchmark in benchmarks(data)]
    REPORT.write_text("\n".join([head, *(part.read_text() for part in parts if part.exists())]))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("ENGINE_TEST_DATA", str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--only", action="append", help="name of a benchmark; may be repeated")
    args = parser.parse_args()
    chosen = [b for b in benchmarks(args.data) if not args.only or b.name in args.only]
    failed = [benchmark.name for benchmark in chosen if not run(benchmark, args.data)]
    write_report(args.data)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
