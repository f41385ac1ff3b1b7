"""What a whole engine takes of a small machine: memory with two 720p cameras and masks; CPU with all cameras down.

    python -m bench.footprint --part memory|idle [--seconds S] [--data DIR] [--json FILE]

Memory is the proportional set size of all processes (shared memory counts once), its peak over the run. The two
cameras are clips of 1280 × 720, looped at their own pace; videos are written, masks are asked for every person. CPU is
read while two RTSP cameras refuse connections, from 10 s after the start on.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.data import data_folder
from bench.machine import argument_parser, heading, markdown_table, write_json
from bench.usage import Usage

CLIPS = ("et_08_driving", "et_12_hideandseek")
ENGINE = str(Path(sys.executable).with_name("engine-run"))
MODELS = ("--model", "nano_det", "--segment-model", "nano_sam")
SETTLED_S = 10.0


def run(folder: Path, seconds: float, *arguments: str) -> tuple[Usage, float, float]:
    """An engine for so long: what it used, and when measuring began and ended (s since the epoch)."""
    command = [
        ENGINE,
        "--profile",
        "m3-cpu",
        "--port",
        "0",
        "--out",
        str(folder / "out"),
        *MODELS,
        *arguments,
    ]
    with Usage() as usage, (folder / "log").open("wb") as log:
        engine = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            time.sleep(SETTLED_S)
            first_s = time.time()
            time.sleep(seconds)
            last_s = time.time()
            if engine.poll() is not None:
                raise SystemExit(f"engine-run ended: {(folder / 'log').read_text()[-2000:]}")
        finally:
            engine.terminate()
            engine.wait(30)
    return usage, first_s, last_s


def memory(folder: Path, data: Path, seconds: float) -> tuple[str, list[tuple[object, ...]]]:
    """Peak memory with two 720p cameras, detector, tracker and masks with memory."""
    clips = [str(data / "clips" / f"{name}.mp4") for name in CLIPS]
    usage, first_s, last_s = run(
        folder, seconds, "--source", f"a={clips[0]}", "--source", f"b={clips[1]}", "--loop", "--segment", "track"
    )  # fmt: skip
    peak = usage.peak_memory_mib()
    cores = usage.cores(first_s, last_s)
    sentence = f"{peak / 1024:.2f} GiB ({peak:.0f} MiB) at most in {seconds:.0f} s"
    return sentence, [("two 720p cameras, nano_det, nano_sam", f"{peak:.0f} MiB", f"{cores:.2f} cores")]


def idle(folder: Path, seconds: float) -> tuple[str, list[tuple[object, ...]]]:
    """CPU of an engine whose cameras all refuse connections: without masks and with a segmenter that waits."""
    rows: list[tuple[object, ...]] = []
    shares = []
    cameras = [f"--source={name}=rtsp://127.0.0.1:9/{name}" for name in ("a", "b")]
    for what, more in (("boxes", ()), ("boxes and masks", ("--segment", "track"))):
        usage, first_s, last_s = run(folder, seconds, *cameras, *more)
        share = usage.cores(first_s, last_s)
        shares.append(f"{what} {share:.2%}")
        rows.append(
            (f"two cameras down, {what}", f"{usage.peak_memory_mib():.0f} MiB", f"{share:.2%} of a core")
        )
    return f"{', '.join(shares)} of one core", rows


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--part", choices=("memory", "idle"), required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--data", type=Path, default=data_folder())
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sentence, rows = (
            memory(folder, args.data, args.seconds) if args.part == "memory" else idle(folder, args.seconds)
        )
    print(heading())
    print(markdown_table(("run", "peak memory (PSS)", "CPU"), rows))
    write_json(args.json, rows=rows, reach={args.part: sentence})


if __name__ == "__main__":
    main()
