"""Batches over eight cameras: how full they are and how old their frames, by policy, and what a bad camera costs.

    python -m bench.batching [--model FILE] [--seconds 6] [--repeat 2] [--quick] [--json FILE]

Eight paced 1080p sources at 15 frames/s (a clip of the test picture, made here, H.264) and a real detector that cannot
keep up, through engine-run as a user starts it. One run for each policy of `infer.collect`, interleaved; in each run:
all well, one camera stutters (its decoder is stopped for 500 ms every 2 s), all well, it is frozen (stopped), all well.

Frames per batch are from /metrics; throughput and ages from the JSON lines: capture to the begin of the batch, and
capture to the detections. Inference time is the median from the begin of a batch to its detections.
"""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.stream import VideoStream

from bench.data import data_folder
from bench.machine import argument_parser, heading, markdown_table, write_json
from engine.sources.testpicture import TestPicture

CAMERAS, FPS, BATCH = 8, 15, 8
POLICIES = ("adaptive", "greedy", "all")
STALL_S, STALL_EVERY_S = 0.5, 2.0
BAD = f"c{CAMERAS - 1}"
SETTLE_S = 2.0
"""Between the phases, so that queues and estimates are those of the phase."""
SAME_BATCH_S = 0.02
"""Results of a batch are there within this."""
PHASES = ("well", "stutters", "well", "frozen", "well")


def make_clip(path: Path, seconds: int = 10) -> None:
    """A 1080p clip of the test picture at 15 frames/s."""
    picture = TestPicture(1920, 1080, FPS)
    y, uv = np.empty((1080, 1920), np.uint8), np.empty((540, 960, 2), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "g": str(2 * FPS)})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for index in range(seconds * FPS):
            picture.draw(200 + index, y, uv)
            nv12 = np.concatenate([y, uv.reshape(540, 1920)])
            frame = av.VideoFrame.from_ndarray(nv12, format="nv12")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))


@dataclass(frozen=True)
class Counters:
    """/metrics at one moment."""

    batches: float
    frames: float
    processed: dict[str, float]


@dataclass(frozen=True)
class Result:
    """One frame: when its detections were there (wall time), its age when its batch began, and how long that took."""

    camera: str
    done_s: float
    begun_ms: float
    infer_ms: float


@dataclass
class Phase:
    """What was measured in one phase of a run, between two moments of wall time."""

    name: str
    begin_s: float
    end_s: float
    batch_frames: float
    results: list[Result] = field(default_factory=list, repr=False)

    def fps(self, *, without: str = "") -> float:
        """Frames per second from batch to batch, so that it does not matter where the phase cuts one."""
        done_s = sorted(result.done_s for result in self.results if result.camera != without)
        later = [at_s for at_s in done_s if at_s > done_s[0] + SAME_BATCH_S]
        return len(later) / (done_s[-1] - done_s[0]) if later else 0.0


class Engine:
    """One `engine-run` on eight copies of the clip."""

    def __init__(self, clip: Path, model: Path, policy: str, out: Path) -> None:
        self.out = out
        self.log = (out / "engine.log").open("w")
        sources = [argument for number in range(CAMERAS) for argument in ("--source", f"c{number}={clip}")]
        command = [
            str(Path(sys.executable).with_name("engine-run")), *sources, "--loop", "--no-overlay",
            "--model", str(model), "--out", str(out), "--port", "0",
        ]  # fmt: skip
        settings = {
            "ENGINE_INFER_COLLECT": policy, "ENGINE_INFER_BATCH": str(BATCH), "ENGINE_INFER_LANES": "1",
            "ENGINE_INFER_THREADS": str(os.cpu_count() or 1), "ENGINE_SUPERVISOR_HANG_TIMEOUT_S": "600",
        }  # fmt: skip
        self.process = subprocess.Popen(
            command, stdout=self.log, stderr=subprocess.STDOUT, env={**os.environ, **settings}
        )
        self.url = self._wait_for(self._address, "the address of its metrics")
        self._wait_for(
            lambda: min(self.counters().processed.values(), default=0) > 10, "frames of every camera"
        )

    def _wait_for(self, condition: Any, what: str, patience_s: float = 90.0) -> Any:
        deadline_s = time.monotonic() + patience_s
        while time.monotonic() < deadline_s and self.process.poll() is None:
            if answer := condition():
                return answer
            time.sleep(0.1)
        raise SystemExit(f"engine-run did not give {what}:\n{(self.out / 'engine.log').read_text()[-3000:]}")

    def _address(self) -> str:
        said = re.search(r"health and metrics at (\S+)", (self.out / "engine.log").read_text())
        return said[1] if said else ""

    def get(self, path: str) -> str:
        """The body of one of its pages; empty while nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def counters(self) -> Counters:
        text = self.get("metrics")
        plain = dict(re.findall(r"^(camring_inference_\w+) (\S+)$", text, re.MULTILINE))
        processed = re.findall(
            r'^camring_frames_processed_total\{camera="(\w+)"\} (\S+)$', text, re.MULTILINE
        )
        return Counters(
            float(plain.get("camring_inference_batches_total", 0)),
            float(plain.get("camring_inference_frames_total", 0)),
            {camera: float(count) for camera, count in processed},
        )

    def decoder(self, camera: str) -> int:
        """Process number of a camera's decoder."""
        return int(json.loads(self.get("health"))["processes"][f"decode:{camera}"]["pid"])

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(20):
            raise SystemExit(f"engine-run failed:\n{(self.out / 'engine.log').read_text()[-3000:]}")
        self.log.close()

    def results(self) -> Iterator[Result]:
        """Every frame that was processed."""
        for path in self.out.glob("*.jsonl"):
            for line in path.read_text().splitlines():
                record = json.loads(line)
                latency_ms: dict[str, float] = record["latency_ms"]
                begun_ms = latency_ms["decode"] + latency_ms["queue"]
                done_s = record["time"] + (begun_ms + latency_ms["infer"]) / 1e3
                yield Result(path.stem, done_s, begun_ms, latency_ms["infer"])


@contextmanager
def disturbed(pid: int, how: str) -> Iterator[None]:
    """Stop a process all the time (`frozen`) or now and then (`stutters`), or leave it alone."""
    over = threading.Event()

    def stutter() -> None:
        while not over.wait(STALL_EVERY_S - STALL_S):
            os.kill(pid, signal.SIGSTOP)
            over.wait(STALL_S)
            os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=stutter) if how == "stutters" else None
    if thread:
        thread.start()
    elif how == "frozen":
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        over.set()
        if thread:
            thread.join()
        os.kill(pid, signal.SIGCONT)


def measure_phase(engine: Engine, name: str, seconds: float) -> Phase:
    """One phase, without its results, which are read when all are written."""
    with disturbed(engine.decoder(BAD), name):
        time.sleep(SETTLE_S)
        begin_s, before = time.time(), engine.counters()
        time.sleep(seconds)
        end_s, after = time.time(), engine.counters()
    frames, batches = after.frames - before.frames, after.batches - before.batches
    return Phase(name, begin_s, end_s, frames / max(1.0, batches))


def measure(clip: Path, model: Path, policy: str, seconds: float) -> list[Phase]:
    """One run through all phases."""
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(clip, model, policy, Path(folder))
        try:
            phases = [measure_phase(engine, name, seconds) for name in PHASES]
            time.sleep(1.0)
        finally:
            engine.stop()
        results = list(engine.results())
    for phase in phases:
        phase.results = [result for result in results if phase.begin_s <= result.done_s < phase.end_s]
    return phases


def p95(values: list[float]) -> float:
    return float(np.percentile(values, 95)) if values else float("nan")


@dataclass(frozen=True)
class Summary:
    """One policy in one state, over all repetitions."""

    policy: str
    state: str
    batch_frames: float
    fps: float
    infer_ms: float
    begin_p95_ms: float
    result_p95_ms: float

    @property
    def ages_per_inference(self) -> float:
        """p95 age of a processed frame in inference times."""
        return self.result_p95_ms / self.infer_ms


def summarise(policy: str, state: str, phases: list[Phase]) -> Summary:
    results = [result for phase in phases for result in phase.results]
    return Summary(
        policy,
        state,
        statistics.mean(phase.batch_frames for phase in phases),
        statistics.mean(phase.fps() for phase in phases),
        statistics.median(result.infer_ms for result in results),
        p95([result.begun_ms for result in results]),
        p95([result.begun_ms + result.infer_ms for result in results]),
    )


def kept(runs: list[list[Phase]], state: str) -> list[float]:
    """Throughput of the other seven in a state, as a share of normal in the same run."""
    shares = []
    for phases in runs:
        normal = statistics.mean(phase.fps(without=BAD) for phase in phases if phase.name == "well")
        shares += [phase.fps(without=BAD) / normal for phase in phases if phase.name == state]
    return shares


def policy_rows(summaries: list[Summary]) -> list[tuple[object, ...]]:
    return [
        (
            s.state, s.policy, f"{s.batch_frames:.2f}", f"{s.fps:.1f}", f"{s.infer_ms:.0f}", f"{s.begin_p95_ms:.0f}",
            f"{s.result_p95_ms:.0f}", f"{s.ages_per_inference:.2f}",
        )
        for s in summaries
    ]  # fmt: skip


def reach(summaries: list[Summary], shares: dict[str, dict[str, list[float]]]) -> dict[str, str]:
    """What the figures say about the two goals."""
    frames = {
        state: {s.policy: s.batch_frames for s in summaries if s.state == state} for state in ("well", "stutters")
    }  # fmt: skip
    adaptive = next(s for s in summaries if s.policy == "adaptive" and s.state == "well")
    told = [
        f"{found['adaptive']:.2f} of {BATCH} frames a batch (greedy {found['greedy']:.2f}, all {found['all']:.2f})"
        for found in frames.values()
    ]
    return {
        "policies": f"{told[0]}, with a stuttering camera {told[1]}; "
        f"p95 age {adaptive.ages_per_inference:.2f} × inference time",
        "disturbed": ", ".join(
            f"{state} {statistics.median(found):.3f} (waiting for everyone "
            f"{statistics.median(shares['all'][state]):.3f})"
            for state, found in shares["adaptive"].items()
        ),
    }


def main() -> None:
    parser = argument_parser(__doc__)
    default = data_folder() / "weights" / "yolov8n-seg_320_f32_dynbatch.onnx"
    parser.add_argument("--model", type=Path, default=default, help=f"default: {default.name}")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a phase (default: 6)")
    parser.add_argument("--repeat", type=int, default=2, help="runs of each policy (default: 2)")
    parser.add_argument("--quick", action="store_true", help="one short run of each, to see that it works")
    args = parser.parse_args()
    if not args.model.is_file():
        raise SystemExit(f"{args.model}: no such model; name one with --model, or set ENGINE_TEST_DATA")
    seconds, repeat = (2.0, 1) if args.quick else (args.seconds, args.repeat)
    runs: dict[str, list[list[Phase]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "clip.mp4")
        make_clip(clip)
        for _ in range(repeat):
            for policy in POLICIES:
                runs[policy].append(measure(clip, args.model, policy, seconds))
    summaries = [
        summarise(
            policy, state, [phase for phases in runs[policy] for phase in phases if phase.name == state]
        )
        for state in ("well", "stutters", "frozen")
        for policy in POLICIES
    ]
    shares = {
        policy: {state: kept(of, state) for state in ("stutters", "frozen")} for policy, of in runs.items()
    }
    print(heading())
    print(f"{args.model.name}, batches of {BATCH} in one lane, {CAMERAS} × 1080p at {FPS} frames/s.\n")
    columns = (
        "one camera", "policy", "frames a batch", "frames/s", "inference ms", "p95 age at begin ms",
        "p95 age of result ms", "× inference",
    )  # fmt: skip
    print(markdown_table(columns, policy_rows(summaries)))
    print("\nThroughput of the other seven, as a share of normal in the same run:\n")
    rows: list[tuple[object, ...]] = [
        (state, policy, f"{statistics.median(found):.3f}", f"{min(found):.3f}–{max(found):.3f}")
        for state in ("stutters", "frozen")
        for policy in POLICIES
        for found in [shares[policy][state]]
    ]
    print(markdown_table(("one camera", "policy", "share", "spread"), rows))
    write_json(
        args.json,
        summaries=[{**vars(s), "ages_per_inference": s.ages_per_inference} for s in summaries],
        shares=shares,
        reach=reach(summaries, shares),
    )


if __name__ == "__main__":
    main()
