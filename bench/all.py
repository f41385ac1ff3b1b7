"""Run every benchmark and write docs/benchmarks.md from what they print.

    python -m bench.all [--only NAME …] [--list] [--report] [--data DIR]

Figures in documents come from here. Each benchmark runs in a process of its own; what it prints is kept in
docs/benchmarks/NAME.md, and its --json beside it where a goal is judged by it (`bench.reach`). One that fails
keeps its old figures. The data folder holds the real weights and clips (see tests/conftest.py).
"""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench import reach
from bench.data import FOUR_CLIPS, ONE_CLIP, data_folder

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "benchmarks"
REPORT = ROOT / "docs" / "benchmarks.md"


@dataclass(frozen=True)
class Benchmark:
    """One section of the report: its heading, what it is to show, and the command.

    minutes    about how long it takes on two cores
    needs_gpu  left out where there is none
    """

    name: str
    title: str
    goal: str
    command: tuple[str, ...]
    minutes: float
    needs_gpu: bool = False


def throughput(data: Path, name: str, model: str, clips: tuple[str, ...], goal: str) -> Benchmark:
    arguments = [argument for clip in clips for argument in ("--clip", str(data / "clips" / f"{clip}.mp4"))]
    cameras = f"{len(clips)} clip" + ("s as so many cameras" if len(clips) > 1 else "")
    return Benchmark(
        name,
        f"Whole engine, {model}, {cameras}",
        goal,
        ("bench.throughput", "--model", str(data / "weights" / f"{model}.onnx"), *arguments),
        minutes=2,
    )


def benchmarks(data: Path) -> list[Benchmark]:
    """All of them, quick ones first."""
    yolov8n, yolox = "yolov8n_640_f32_dynbatch", "yolox_nano_416_f32"
    light = str(data / "weights" / "light_person_detector_192_f32.onnx")
    clips = [str(data / "clips" / f"{name}.mp4") for name in FOUR_CLIPS]
    return [
        Benchmark("startup", "Start of the command line", "help in 0.25 s at most, nothing heavy loaded",
                  ("bench.startup",), minutes=0.1),
        Benchmark("handover", "Handing over a frame", "p50 ≤ 150 µs, p99 ≤ 1 ms for 1080p and 4K; at least 50 times "
                  "faster than multiprocessing.Queue, 10 times than pyzmq, not slower than iceoryx2",
                  ("bench.handover",), minutes=1),
        Benchmark("kernels", "Before and after the model", "none asked for",
                  ("bench.kernels",), minutes=0.2),
        Benchmark("preprocess", "From an NV12 frame to the model's input", "3 times as fast as cvtColor, resize and "
                  "blobFromImage; mean difference of 1 grey level at most, detections unchanged",
                  ("bench.preprocess", "--clip", clips[0], "--model", str(data / "weights" / f"{yolov8n}.onnx")),
                  minutes=1),
        Benchmark("preprocess-ways", "The steps of that, each in several ways", "none asked for",
                  ("bench.preprocess_ways",), minutes=0.5),
        Benchmark("scene", "The rendered world: cost of a frame, and people found in it", "25 ms at 1280 × 720; recall "
                  "≥ 0.9 for people of 80 pixels or more",
                  ("bench.scene",), minutes=1.5),
        Benchmark("overlay", "Drawing masks, trails, boxes and labels", "8 times as fast as supervision's annotators, "
                  "2.5 times as an OpenCV loop that blends inside of boxes",
                  ("bench.overlay",), minutes=1),
        Benchmark("viewers", "One more viewer, one more sink", "≤ 5 % of what the first costs, each",
                  ("bench.viewers",), minutes=2.5),
        Benchmark("glass-to-glass", "From the camera to the browser", "WebRTC p50 ≤ 150 ms, p95 ≤ 300 ms beyond "
                  "inference; low-latency HLS ≤ 3 s",
                  ("bench.glass_to_glass",), minutes=1),
        Benchmark("encode", "Encoding live video", "none asked for",
                  ("bench.encode",), minutes=1),
        Benchmark("sources", "Reading a source", "none asked for",
                  ("bench.sources", *clips), minutes=1),
        Benchmark("layout", "How the model's calls are laid out", "the layout measured at start is 1.5 times as fast "
                  "as the worst, for small models",
                  ("bench.layout",), minutes=2),
        Benchmark("davis", "Masks of a segmenting detector", "mean J of the best instance within 0.01 of the "
                  "manifest's",
                  ("bench.davis", "--data", str(data)), minutes=1.5),
        Benchmark("mask-motion", "Masks moved between keyframes", "keyframe every 5: 0.95 of the J of masks of every "
                  "frame",
                  ("bench.mask_motion", "--data", str(data)), minutes=1.5),
        Benchmark("dashboard-sync", "What the dashboard draws over a picture", "the record of the same frame, ± 1",
                  ("bench.dashboard_sync",), minutes=1.5),
        Benchmark("control", "The control API under load", "p99 of delivery ≤ 50 ms to 200 WebSocket clients, the "
                  "stuck one let go with a reason; p99 of /health and /metrics beside inference ≤ 50 ms",
                  ("bench.control",), minutes=1.7),
        Benchmark("live-changes", "Cameras that come and go while others run", "the others' longest gap between "
                  "results is no longer than without",
                  ("bench.live_changes",), minutes=1.5),
        Benchmark("batching", "Batches over cameras", "adaptive: the best of the three, p95 age ≤ 1.5 × inference "
                  "time; one frozen or stuttering camera of 8: the other 7 keep 0.97 of their throughput",
                  ("bench.batching",), minutes=3),
        Benchmark("quantization", "int8", "1.3 times as fast as fp32 at 0.01 less recall and precision at most",
                  ("bench.quantization",), minutes=6),
        Benchmark("edgetam", "EdgeTAM, followed objects", "5 frames/s at 512 × 512 with one object on two cores",
                  ("bench.edgetam",), minutes=3),
        throughput(data, "yolov8n-1", yolov8n, ONE_CLIP, "ratio to the machine's limit ≥ 0.82"),
        throughput(data, "yolox-1", yolox, ONE_CLIP, "ratio to the machine's limit ≥ 0.57"),
        throughput(data, "yolov8n-4", yolov8n, FOUR_CLIPS, "ratio to the machine's limit ≥ 0.85"),
        throughput(data, "yolox-4", yolox, FOUR_CLIPS, "ratio to the machine's limit ≥ 0.66"),
        Benchmark("peers", "What one would use instead", "the engine is faster than each",
                  ("bench.peers",), minutes=9),
        Benchmark("tracking", "Tracking", "association only: p95 ≤ 0.5 ms for 10–20 objects",
                  ("bench.tracking", "--data", str(data)), minutes=2),
        Benchmark("camera-motion", "The camera's own motion", "pan of 20 °/s: a third of the identity switches; update "
                  "with it: p95 ≤ 2.5 ms at 768 × 576; estimate ≤ 3 ms at 1080p",
                  ("bench.camera_motion",), minutes=4),
        Benchmark("identity", "Identities: the engine's trackers and others on the same detections",
                  "PETS IDF1 ≥ 0.82, MOTA ≥ 0.79, at most 6 switches with ReID, IDF1 ≥ 0.77 without; TUD-Campus ≥ 0.76 "
                  "/ 0.63; mean IDF1 and mean HOTA above every default of the others",
                  ("bench.identity",), minutes=5),
        Benchmark("reid", "Re-identification networks", "rank-1 ≥ 0.92, AUC ≥ 0.97",
                  ("bench.reid", "--data", str(data)), minutes=1.5),
        Benchmark("reid-budget", "Embeddings only where they can change a decision", "none asked for",
                  ("bench.reid_budget",), minutes=4),
        Benchmark("gallery-soak", "A day of people coming and going", "memory bounded and flat with 10⁵ identities",
                  ("bench.gallery_soak",), minutes=3),
        Benchmark("events", "Cost of events in a frame, memory under churn", "none asked for",
                  ("bench.events",), minutes=2),
        Benchmark("bus", "Message brokers", "one that is frozen, killed or away for an hour slows nothing, and takes "
                  "bounded memory",
                  ("bench.bus",), minutes=2),
        Benchmark("segment-live", "Masks on a live stream", "5 masked frames/s with SAM2.1-tiny, 12 with EdgeTAM; "
                  "detection lags 1.15 times as long at most; a prompt is answered within a keyframe and 100 ms",
                  ("bench.segment_live",), minutes=4),
        Benchmark("soak", "Half an hour's worth of looped input", "memory, descriptors and mappings stay flat",
                  ("bench.soak", "--model", light, "--clip", str(data / "clips" / "et_08_driving.mp4")), minutes=3),
        Benchmark("sam2-parity", "SAM 2: the whole loop against the official predictor", "30 frames, 3 objects, one "
                  "removed and one added on the way: mask logits within 1e-3 of their range, 99.9 % with the same "
                  "sign",
                  ("bench.sam2_parity",), minutes=4),
        Benchmark("sam2-speed", "SAM 2: speed against the official predictor", "tiny at 512: ≥ 1.3 × with one object, "
                  "≥ 1.45 × with four; in eight bits ≥ 1.9 × and ≥ 1.8 ×; at 448 in eight bits ≥ 2.4 ×",
                  ("bench.sam2_speed",), minutes=8),
        Benchmark("sam2-soak", "SAM 2: ten thousand keyframes, objects coming and going", "resident memory stays flat",
                  ("bench.sam2_soak",), minutes=6),
        Benchmark("ptz", "Following people with simulated cameras", "walk RMS ≤ 5 % W; run in frame ≥ 97 %; step "
                  "overshoot ≤ 5 %, settled in 1.4 s; sway ≤ 0.5 commands/s; group in frame ≥ 95 %; better than the "
                  "baselines",
                  ("bench.ptz",), minutes=12),
        Benchmark("ptz-faults", "Following people through every fault of a camera", "no crash, the right state shown, "
                  "well again within 3 s",
                  ("bench.ptz", "--faults"), minutes=3),
        Benchmark("ptz-safety", "Heads whose controller is killed, wrong passwords", "stopped in 0.7 s, in 1.5 s where "
                  "ends of turns are ignored; at most 2 requests with credentials in a minute",
                  ("bench.ptz", "--safety"), minutes=1),
        Benchmark("ptz-detector", "Following people with a real detector on rendered pictures", "as with the oracle",
                  ("bench.ptz", "--detector", "yolox_nano_416_f32", "--seeds", "1"), minutes=2),
        Benchmark("publish-faults", "Destinations of published video that fail", "RTMP and RTSP server killed and "
                  "restarted 20 times, a full disk: recovers alone, nothing else slows",
                  ("bench.publish_faults",), minutes=3),
        Benchmark("out-of-box", "From a fresh clone to the first mask in the dashboard", "5 minutes with the "
                  "installation, 10 s of it the engine",
                  ("bench.out_of_box",), minutes=5),
        Benchmark("install", "What is installed", "none asked for",
                  ("bench.install",), minutes=2),
        Benchmark("default-scene", "The default run: a rendered scene with the embedded models", "15 frames with masks "
                  "a second in both cameras; recall and precision 0.95, IDF1 0.90, mask IoU 0.80, 97 % of the time "
                  "in frame",
                  ("bench.default_scene",), minutes=3),
        Benchmark("nano-det", "The embedded detector", "10 ms a frame of 640 × 360 on one core; half of yolox_nano's "
                  "AP50 on real clips",
                  ("bench.nano_det",), minutes=3),
        Benchmark("nano-sam", "The embedded segmenter", "mean IoU 0.70 over 150 frames from one box",
                  ("bench.nano_sam",), minutes=3),
        Benchmark("memory", "Memory of the whole engine", "two 720p cameras with masks: 2.0 GB",
                  ("bench.footprint", "--part", "memory"), minutes=1.5),
        Benchmark("idle", "A run whose cameras are all down", "3 % of one core",
                  ("bench.footprint", "--part", "idle"), minutes=1),
        Benchmark("gpu", "On a GPU", "NV12 to the model's input: ≥ 80 % of copy bandwidth",
                  ("bench.gpu",), minutes=5, needs_gpu=True),
    ]  # fmt: skip


def has_gpu() -> bool:
    """Whether NVIDIA's driver answers and names a device."""
    program = shutil.which("nvidia-smi")
    return program is not None and subprocess.run([program, "-L"], capture_output=True).returncode == 0


def chosen(data: Path, names: list[str] | None) -> list[Benchmark]:
    """Those named, or all that can run here. Raises `SystemExit` for a name that there is not."""
    every = benchmarks(data)
    if names is None:
        gpu = has_gpu()
        return [benchmark for benchmark in every if gpu or not benchmark.needs_gpu]
    if unknown := set(names) - {benchmark.name for benchmark in every}:
        raise SystemExit(f"no benchmark named {', '.join(sorted(unknown))}; --list names all")
    return [benchmark for benchmark in every if benchmark.name in names]


def list_benchmarks(data: Path) -> None:
    """Names, times and titles, and how long everything takes."""
    every = benchmarks(data)
    for benchmark in every:
        remark = " (only with a GPU)" if benchmark.needs_gpu else ""
        print(f"{benchmark.name:<14}{benchmark.minutes:>5g} min  {benchmark.title}{remark}")
    total = sum(benchmark.minutes for benchmark in every if not benchmark.needs_gpu)
    print(f"without a GPU about {total:.0f} minutes")


def run(benchmark: Benchmark, data: Path) -> bool:
    """Run one benchmark and keep what it prints; False if it failed."""
    print(f"== {benchmark.name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.json"
        command = [sys.executable, "-m", *benchmark.command]
        if benchmark.name in reach.JUDGED:
            command += ["--json", str(figures)]
        variables = os.environ | {"ENGINE_TEST_DATA": str(data)}
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=variables)
        print(done.stdout, done.stderr[-2000:], flush=True)
        if done.returncode:
            return False
        keep(benchmark, portable(done.stdout, data))
        if figures.exists():
            (RESULTS / f"{benchmark.name}.json").write_text(portable(figures.read_text(), data))
    return True


def keep(benchmark: Benchmark, printed: str) -> None:
    """Write the section of one benchmark."""
    RESULTS.mkdir(exist_ok=True)
    date = datetime.date.today().isoformat()
    (RESULTS / f"{benchmark.name}.md").write_text(
        f"## {benchmark.title}\n\nGoal: {benchmark.goal}. Measured {date}.\n\n{printed.strip()}\n"
    )


def portable(text: str, data: Path) -> str:
    """Without the places of this machine."""
    return text.replace(str(data), "$DATA").replace(str(ROOT) + os.sep, "")


def report(data: Path) -> str:
    """The page, put together from the kept results."""
    head = (
        "# Benchmarks\n"
        "Every figure is printed by a command in `bench/`; `make bench` runs all and writes this page (`make bench\n"
        "ARGS='--only peers'` runs one, `ARGS=--list` names them and their times, `ARGS=--report` writes the page\n"
        "anew from kept figures). Ratios are taken within one run with interleaved repetitions, because the same\n"
        "machine gives other absolute figures from hour to hour.\n"
        "`$DATA` is the folder with the real weights and clips.\n"
    )
    parts = [RESULTS / f"{benchmark.name}.md" for benchmark in benchmarks(data)]
    texts = [part.read_text() for part in parts if part.exists()]
    return "\n".join([head, reach.section(RESULTS), *texts])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--only", action="append", metavar="NAME", help="one benchmark; may be repeated")
    parser.add_argument("--list", action="store_true", help="name them and how long they take, and stop")
    parser.add_argument(
        "--report", action="store_true", help="write the page from kept results; measure nothing"
    )
    args = parser.parse_args()
    if args.list:
        list_benchmarks(args.data)
        return 0
    measured = [] if args.report else chosen(args.data, args.only)
    failed = [each.name for each in measured if not run(each, args.data)]
    REPORT.write_text(report(args.data))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
