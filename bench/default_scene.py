"""What a fresh machine sees: the built-in scene with the embedded models, scored against its exact truth.

    python -m bench.default_scene [--seconds 75] [--json FILE] [-- ARGUMENTS of engine-run]

`engine-run` as it is started without a source: two rendered cameras of 640 × 360 at 20 frames/s, detection, tracks,
masks and a head that follows, all of it on this machine. The first seconds, in which the head tries out how it moves,
are not judged (docs/evaluation.md).
"""

from __future__ import annotations

import json
import math
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.machine import argument_parser, heading, markdown_table, write_json

ENGINE_RUN = str(Path(sys.executable).with_name("engine-run"))
ENGINE_EVAL = str(Path(sys.executable).with_name("engine-eval"))
GOALS = {"recall": 0.95, "precision": 0.95, "idf1": 0.90, "mask_iou": 0.80, "time_in_frame": 0.97}
LEAST_FPS = 15.0
START_S = 60.0


def run(folder: Path, seconds: float, arguments: list[str]) -> str:
    """One default run of so many seconds after its first results; what it has printed."""
    log = folder / "log"
    command = [ENGINE_RUN, "--profile", "m3-cpu", "--out", str(folder / "out"), "--port", "0", *arguments]
    with log.open("w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
    deadline_s = time.monotonic() + START_S
    while not all((folder / "out" / f"{name}.jsonl").exists() for name in ("overview", "ptz")):
        if process.poll() is not None or time.monotonic() > deadline_s:
            process.kill()
            raise SystemExit(f"engine-run has not begun:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    if process.wait(60):
        raise SystemExit(f"engine-run failed:\n{log.read_text()[-3000:]}")
    return log.read_text()


def score_of(out: Path) -> dict[str, Any]:
    """What `engine-eval scene` says of a folder."""
    done = subprocess.run([ENGINE_EVAL, "scene", str(out), "--json"], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def said_of(figures: dict[str, Any]) -> tuple[str, ...]:
    """The figures of a camera, or of all, as they stand in the table."""
    shares = [
        "–" if figures[name] is None else f"{100 * figures[name]:.1f} %"
        for name in ("recall", "precision", "idf1")
    ]
    iou = "–" if figures["mask_iou"] is None else f"{figures['mask_iou']:.3f}"
    inside = "–" if figures["time_in_frame"] is None else f"{100 * figures['time_in_frame']:.1f} %"
    fps = 0.0 if figures["masked_fps"] is None else figures["masked_fps"]
    return (*shares, iou, str(figures["without_mask"]), inside, f"{fps:.1f}")


def reached(told: dict[str, Any]) -> dict[str, str]:
    """What was asked for, in sentences, for bench.reach."""
    rates = {name: each["masked_fps"] or 0.0 for name, each in told["cameras"].items()}
    enough = all(rate >= LEAST_FPS for rate in rates.values())
    overall = told["overall"]
    values = {name: -math.inf if overall[name] is None else overall[name] for name in GOALS}
    short = [name for name, goal in GOALS.items() if values[name] < goal]
    words = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in values.items())
    return {
        "masks_per_s": ", ".join(f"{name} {rate:.1f}" for name, rate in rates.items())
        + (": reached" if enough else ": missed"),
        "score": words + (f": missed in {', '.join(short)}" if short else ": reached"),
    }


def main() -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=75.0, help="of results; the first 6 are not judged")
    parser.add_argument("more", nargs="*", metavar="ARGUMENT", help="of engine-run, after --")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        said = run(folder, args.seconds, args.more)
        told = score_of(folder / "out")
    print(heading())
    columns = (
        "camera", "recall", "precision", "IDF1", "mask IoU", "found without a mask", "target in frame",
        "frames with masks/s",
    )  # fmt: skip
    rows: list[tuple[object, ...]] = [("all", *said_of(told["overall"]))]
    rows += [(name, *said_of(each)) for name, each in told["cameras"].items()]
    print(markdown_table(columns, rows))
    keyframes = re.search(r"segmentation: .*", said)
    seconds, people = told["overall"]["seconds"], told["overall"]["people"]
    print(
        f"\n{seconds:.0f} s judged, {people} sightings of people; {keyframes[0] if keyframes else 'no masks'}."
    )
    print("\n".join(f"* {text}" for text in reached(told).values()))
    write_json(args.json, score=told, reach=reached(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
