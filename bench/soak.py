"""Does anything grow? A clip looped for half an hour's worth of frames, every process watched.

The engine runs as a user starts it, `--loop --offline`, so that the frames of 30 minutes at 24 fps pass in a few.
Every few seconds the resident memory, open files and memory maps of each process are read from /proc. A straight line
through the second half says how much would be added by as many frames again: memory is flat below `--limit-mib`,
files and maps are flat when less than one is added. Exit status 1 if anything is not.

    python -m bench.soak --model detector.onnx --clip clip.mp4 [--frames 43200] [--overlay] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine import argument_parser, heading, markdown_table, write_json

FRAMES = 30 * 60 * 24
ANSWER_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Sample:
    """One look at one process, when `frames` had been processed."""

    frames: int
    rss_mib: float
    files: int
    maps: int


@dataclass(frozen=True)
class Trend:
    """One figure of one process: at the start, in the middle, at the end, and what the second half would add.

    added  growth over as many frames as the whole run, by the straight line through its second half
    """

    first: float
    middle: float
    last: float
    added: float

    @classmethod
    def of(cls, frames: list[int], values: list[float]) -> Trend:
        half = len(values) // 2
        slope = float(np.polyfit(frames[half:], values[half:], 1)[0])
        return cls(values[0], values[half], values[-1], slope * frames[-1])


def look(pid: int, frames: int) -> Sample:
    """Read one process from /proc."""
    folder = Path(f"/proc/{pid}")
    pages = int((folder / "statm").read_text().split()[1])
    return Sample(
        frames=frames,
        rss_mib=pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        files=len(os.listdir(folder / "fd")),
        maps=(folder / "maps").read_text().count("\n"),
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Engine:
    """One `engine-run` on a looped clip."""

    def __init__(self, arguments: argparse.Namespace, out: str) -> None:
        self.port = free_port()
        command = [
            str(Path(sys.executable).with_name("engine-run")), "--profile", "m3-cpu", "--source", str(arguments.clip),
            "--loop", "--offline", "--model", str(arguments.model), "--out", out, "--port", str(self.port),
        ]  # fmt: skip
        if not arguments.overlay:
            command.append("--no-overlay")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def health(self) -> dict[str, Any]:
        """The answer of /health. Raises `SystemExit` if there is none for long."""
        deadline = time.monotonic() + ANSWER_PATIENCE_S
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                    document: dict[str, Any] = json.load(answer)
                    return document
            except (urllib.error.URLError, OSError, ValueError):
                time.sleep(0.2)
        raise SystemExit("no answer from the engine")

    def stop(self) -> str:
        """SIGTERM; returns what it has said."""
        self.process.send_signal(signal.SIGTERM)
        said = self.process.communicate(timeout=30)[0]
        return said


def watch(engine: Engine, frames: int, interval_s: float) -> dict[str, list[Sample]]:
    """Samples of every process until so many frames have been processed. The first second is left to start-up."""
    samples: dict[str, list[Sample]] = {}
    processed = 0
    while processed < frames:
        time.sleep(interval_s)
        health = engine.health()
        processed = health["cameras"]["cam0"]["frames_processed"]
        if restarted := [name for name, status in health["processes"].items() if status["restarts"]]:
            raise SystemExit(f"restarted: {', '.join(restarted)}")
        pids = {"supervisor": engine.process.pid}
        pids |= {name: status["pid"] for name, status in health["processes"].items()}
        for name, pid in pids.items():
            samples.setdefault(name, []).append(look(pid, processed))
    return samples


def trends_of(samples: list[Sample]) -> dict[str, Trend]:
    """Memory, files and maps of one process."""
    frames = [sample.frames for sample in samples]
    return {
        figure: Trend.of(frames, [float(getattr(sample, figure)) for sample in samples])
        for figure in ("rss_mib", "files", "maps")
    }


def is_flat(trends: dict[str, Trend], limit_mib: float) -> bool:
    """Whether nothing grows."""
    return trends["rss_mib"].added < limit_mib and trends["files"].added < 1 and trends["maps"].added < 1


def row(name: str, trends: dict[str, Trend], limit_mib: float) -> tuple[object, ...]:
    """The line of one process in the table."""
    rss, files, maps = trends["rss_mib"], trends["files"], trends["maps"]
    return (
        name,
        f"{rss.first:.1f} → {rss.middle:.1f} → {rss.last:.1f}",
        f"{rss.added:+.2f}",
        f"{files.first:.0f} → {files.middle:.0f} → {files.last:.0f}",
        f"{maps.first:.0f} → {maps.middle:.0f} → {maps.last:.0f}",
        "yes" if is_flat(trends, limit_mib) else "NO",
    )


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=FRAMES, help=f"default: {FRAMES}, 30 minutes at 24 fps")
    parser.add_argument("--overlay", action="store_true", help="write the video, too")
    parser.add_argument("--interval", type=float, default=2.0, metavar="S", help="from look to look")
    parser.add_argument("--limit-mib", type=float, default=2.0, help="memory that a run may add (default: 2)")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    with tempfile.TemporaryDirectory() as out:
        start_s = time.monotonic()
        engine = Engine(args, out)
        try:
            samples = watch(engine, args.frames, args.interval)
        except BaseException:
            print(engine.stop(), file=sys.stderr)
            raise
        took_s = time.monotonic() - start_s
        said = engine.stop()
    if engine.process.returncode != 0:
        raise SystemExit(f"engine-run ended with {engine.process.returncode}:\n{said}")
    trends = {name: trends_of(of_process) for name, of_process in samples.items()}
    flat = all(is_flat(of_process, args.limit_mib) for of_process in trends.values())
    processed = samples["supervisor"][-1].frames
    print(heading())
    print(
        f"{processed} frames in {took_s:.0f} s, {len(samples['supervisor'])} looks; start → middle → end; "
        f"growth: what as many frames again would add, by the second half (limit {args.limit_mib:g} MiB)"
    )
    columns = ("process", "resident MiB", "growth MiB", "files", "maps", "flat")
    print(markdown_table(columns, [row(name, trends[name], args.limit_mib) for name in sorted(trends)]))
    write_json(args.json, samples={name: [asdict(look) for look in looks] for name, looks in samples.items()})
    return 0 if flat else 1


if __name__ == "__main__":
    sys.exit(main())
