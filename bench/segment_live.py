"""Masks on a live stream: how many frames carry them, what they cost detection, and how soon a prompt is answered.

    python -m bench.segment_live [--tiny DIR] [--edgetam DIR] [--seconds 12] [--repeat 2] [--prompts 5] [--json FILE]

A 720p clip at 25 frames/s, played live by engine-run as a user starts it: detector, tracker and masks of every tracked
object (mode `track`), JSON lines, no video. Without masks, with SAM2.1-tiny at 448 and with EdgeTAM at 512, in turn,
several times; segmenters are exported with made-up weights where none are named (their time does not depend on that,
but for objects that they do not see: every mask counts that is published).

Lag of detection is capture to tracked boxes, from the JSON lines, as a ratio within one round. A prompt is a small mask
(which is its own answer), sent over HTTP; it is answered when the first line with the object's mask has been written.
It is compared with a keyframe: capture to masks, half of all keyframes, in the same run.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from bench.data import clip, weights
from bench.machine import argument_parser, heading, markdown_table, write_json

ROOT = Path(__file__).resolve().parent.parent
CLIP, DETECTOR = "et_12_hideandseek", "yolox_nano_416_f32"
SETTLE_S = 4.0
"""Before anything is measured: models load, layouts are tried, the first masks come."""
FRAMES = 200
"""Of the clip, which is played again and again: masks do not outlive the cut from its end to its beginning."""
PROMPT_PATIENCE_S, CUT_PATIENCE_S = 20.0, 4.0
LEAST_FPS = {"SAM2.1-tiny 448": 5.0, "EdgeTAM 512": 12.0}
LARGEST_LAG, PROMPT_EXTRA_MS = 1.15, 100.0
STAGES_OF_DETECTION = ("decode", "queue", "infer", "track")


@dataclass
class Figures:
    """One run. `lag_ms` of every line; `prompts_ms`: POST to the first line with the mask."""

    fps: float
    masked_fps: float
    lag_ms: list[float]
    total_ms: list[float]
    age_p50_ms: float | None = None
    keyframe_ms: float | None = None
    keyframe_fps: float = 0.0
    prompts_ms: list[float] = field(default_factory=list)


class Engine:
    """One `engine-run` on the clip."""

    def __init__(self, out: Path, segmenter: Path | None) -> None:
        self.out = out
        self.log = (out / "engine.log").open("w")
        command = [
            str(Path(sys.executable).with_name("engine-run")), "--source", f"c={clip(CLIP)}", "--loop",
            "--no-overlay", "--model", str(weights(DETECTOR)), "--out", str(out), "--port", "0",
        ]  # fmt: skip
        if segmenter is not None:
            command += ["--segment", "track", "--segment-model", str(segmenter)]
        # Made-up weights give ragged masks, whose outlines take the output longer than those of objects.
        variables = {**os.environ, "ENGINE_OUTPUT_MASKS": "rle"}
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, env=variables)
        self.url = self.wait_for(self._address, "the address of its metrics")
        self.wait_for(lambda: len(self.lines()) > 5, "results")

    def wait_for(self, condition: Callable[[], Any], what: str, patience_s: float = 60.0) -> Any:
        deadline_s = time.monotonic() + patience_s
        while time.monotonic() < deadline_s and self.process.poll() is None:
            if answer := condition():
                return answer
            time.sleep(0.02)
        raise SystemExit(f"engine-run did not give {what}:\n{(self.out / 'engine.log').read_text()[-3000:]}")

    def _address(self) -> str:
        said = (self.out / "engine.log").read_text().partition("health and metrics at ")[2]
        return said.split("\n")[0].strip()

    def lines(self, offset: int = 0) -> list[dict[str, Any]]:
        """The whole lines written so far, from this place in the file on."""
        path = self.out / "c.jsonl"
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(offset)
            whole, newline, _ = file.read().rpartition(b"\n")
        return [json.loads(line) for line in whole.split(b"\n")] if newline else []

    def whole_bytes(self) -> int:
        """Bytes of the whole lines written so far."""
        return (self.out / "c.jsonl").read_bytes().rfind(b"\n") + 1

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def segmentation(self) -> dict[str, Any]:
        """What /health says of the camera's masks."""
        found: dict[str, Any] = self.ask("GET", "health")["segmentation"]["cameras"]["c"]
        return found

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(20):
            raise SystemExit(f"engine-run failed:\n{(self.out / 'engine.log').read_text()[-3000:]}")
        self.log.close()


@contextmanager
def engine_with(segmenter: Path | None) -> Iterator[Engine]:
    """A run that is stopped at the end."""
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(Path(folder), segmenter)
        try:
            yield engine
        finally:
            if engine.process.poll() is None:
                engine.stop()


def small_mask(number: int) -> dict[str, Any]:
    """A square in the upper part of the picture as COCO's run lengths, each time elsewhere."""
    picture = np.zeros((720, 1280), np.uint8, order="F")
    left = 100 + 190 * (number % 6)
    picture[40:100, left : left + 60] = 1
    return {"size": [720, 1280], "counts": coco.encode(picture)["counts"].decode()}


def prompt_ms(engine: Engine, number: int) -> float | None:
    """Point at something, and wait until a line shows its mask; None where the clip began anew meanwhile."""
    written = engine.whole_bytes()
    sent_s = time.time()
    object_id = engine.ask("POST", "cameras/c/prompts", {"mask": small_mask(number)})["object"]

    def answered() -> float | None:
        for line in engine.lines(written):
            for thing in line["objects"]:
                if thing["id"] == object_id and thing.get("mask_source") == "prompt":
                    return float(line["time"] + line["latency_ms"]["total"] / 1e3)
        return None

    def cut() -> bool:
        frames = [line["frame"] // FRAMES for line in engine.lines(written)]
        return bool(frames) and frames[0] != frames[-1]

    while (done_s := answered()) is None and not (cut() and time.time() - sent_s > CUT_PATIENCE_S):
        if time.time() - sent_s > PROMPT_PATIENCE_S:
            raise SystemExit(f"no mask of object {object_id} within {PROMPT_PATIENCE_S:g} s")
        time.sleep(0.02)
    engine.ask("DELETE", f"cameras/c/objects/{object_id}")
    return None if done_s is None else 1e3 * (done_s - sent_s)


def measure(segmenter: Path | None, seconds: float, prompts: int) -> Figures:
    """One run: everything written in `seconds`, then the prompts."""
    with engine_with(segmenter) as engine:
        if segmenter is not None:
            engine.wait_for(lambda: engine.segmentation()["keyframe_fps"] > 0, "a first keyframe")
        time.sleep(SETTLE_S)
        begin_s = time.time()
        time.sleep(seconds)
        end_s = time.time()
        told = engine.segmentation() if segmenter is not None else {}
        took_ms: list[float] = []
        for number in range(prompts if segmenter is not None else 0):
            if (each_ms := prompt_ms(engine, number)) is not None:
                took_ms.append(each_ms)
            time.sleep(0.37 + 0.13 * number)  # at another moment of a keyframe each time
        engine.stop()
        every = engine.lines()
    lines = [line for line in every if begin_s <= line["time"] < end_s]
    return Figures(
        fps=len(lines) / seconds,
        masked_fps=sum(has_mask(line) for line in lines) / seconds,
        lag_ms=[sum(line["latency_ms"][stage] for stage in STAGES_OF_DETECTION) for line in lines],
        total_ms=[line["latency_ms"]["total"] for line in lines],
        age_p50_ms=told.get("mask_age_ms", {}).get("p50"),
        keyframe_ms=told.get("mask_lag_ms", {}).get("p50"),
        keyframe_fps=told.get("keyframe_fps", 0.0),
        prompts_ms=took_ms,
    )


def has_mask(line: dict[str, Any]) -> bool:
    """Whether an object of a frame has a mask."""
    return any(thing.get("mask_source") for thing in line["objects"])


def exported(variant: str, size: int, folder: Path) -> Path:
    """A segmenter with made-up weights."""
    target = folder / f"{variant}_{size}"
    command = [
        sys.executable,
        str(ROOT / "tools/export_onnx.py"),
        "sam2",
        "--random",
        variant,
        "--size",
        str(size),
    ]
    print(f"exporting {variant} at {size} …", file=sys.stderr)
    done = subprocess.run(
        [*command, "--parity", "none", "--out", str(target)], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return target


def p(values: list[float], share: float) -> float:
    """A percentile."""
    return float(np.percentile(values, share)) if values else float("nan")


def summary(name: str, runs: list[Figures], off: list[Figures]) -> dict[str, Any]:
    """Medians over the repetitions; ratios of lag within each."""
    ratios = {
        f"lag_p{share}_ratio": statistics.median(
            p(run.lag_ms, share) / p(plain.lag_ms, share) for run, plain in zip(runs, off, strict=True)
        )
        for share in (50, 95)
    }
    prompts = [took_ms for run in runs for took_ms in run.prompts_ms]
    keyframes = [run.keyframe_ms for run in runs if run.keyframe_ms is not None]
    ages = [run.age_p50_ms for run in runs if run.age_p50_ms is not None]
    return {
        "name": name,
        "fps": statistics.median(run.fps for run in runs),
        "masked_fps": statistics.median(run.masked_fps for run in runs),
        "keyframe_fps": statistics.median(run.keyframe_fps for run in runs),
        "keyframe_ms": statistics.median(keyframes) if keyframes else None,
        "age_p50_ms": statistics.median(ages) if ages else None,
        "lag_p50_ms": statistics.median(p(run.lag_ms, 50) for run in runs),
        "lag_p95_ms": statistics.median(p(run.lag_ms, 95) for run in runs),
        "total_p50_ms": statistics.median(p(run.total_ms, 50) for run in runs),
        **ratios,
        "prompt_p50_ms": p(prompts, 50) if prompts else None,
        "prompt_max_ms": max(prompts) if prompts else None,
    }


def reached(found: list[dict[str, Any]]) -> dict[str, str]:
    """What was asked for, in sentences, for bench.reach."""
    fps, lag, prompt = [], [], []
    for each in found:
        if each["name"] not in LEAST_FPS:
            continue
        fps.append(f"{each['name']} {each['masked_fps']:.1f} frames/s (asked: {LEAST_FPS[each['name']]:g})")
        lag.append(f"{each['name']} p50 {each['lag_p50_ratio']:.2f} ×, p95 {each['lag_p95_ratio']:.2f} ×")
        most_ms = each["keyframe_ms"] + PROMPT_EXTRA_MS
        prompt.append(f"{each['name']} p50 {each['prompt_p50_ms']:.0f} ms, bound {most_ms:.0f} ms")
    return {"fps": ", ".join(fps), "lag": ", ".join(lag), "prompt": ", ".join(prompt)}


def main() -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("--tiny", type=Path, metavar="DIR", help="SAM2.1-tiny at 448")
    parser.add_argument("--edgetam", type=Path, metavar="DIR", help="EdgeTAM at 512")
    parser.add_argument("--seconds", type=float, default=12.0, help="measured in each run")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=5, help="in each run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        segmenters: dict[str, Path | None] = {
            "masks off": None,
            "SAM2.1-tiny 448": args.tiny or exported("tiny", 448, Path(folder)),
            "EdgeTAM 512": args.edgetam or exported("edgetam", 512, Path(folder)),
        }
        runs: dict[str, list[Figures]] = {name: [] for name in segmenters}
        for _ in range(args.repeat):
            for name, segmenter in segmenters.items():
                runs[name].append(measure(segmenter, args.seconds, args.prompts))
    found = [summary(name, figures, runs["masks off"]) for name, figures in runs.items()]
    report(found)
    write_json(args.json, runs=found, reach=reached(found), cores=os.cpu_count())
    return 0


def report(found: list[dict[str, Any]]) -> None:
    """Print the table and the verdicts."""
    print(heading())
    columns = (
        "", "frames/s", "with masks/s", "keyframes/s", "keyframe ms", "mask age p50 ms", "lag p50 ms", "lag p95 ms",
        "ratio p50", "ratio p95", "total p50 ms", "prompt p50 ms", "prompt max ms",
    )  # fmt: skip
    keys = (
        ("fps", ".1f"), ("masked_fps", ".1f"), ("keyframe_fps", ".1f"), ("keyframe_ms", ".0f"), ("age_p50_ms", ".0f"),
        ("lag_p50_ms", ".1f"), ("lag_p95_ms", ".1f"), ("lag_p50_ratio", ".2f"), ("lag_p95_ratio", ".2f"),
        ("total_p50_ms", ".1f"), ("prompt_p50_ms", ".0f"), ("prompt_max_ms", ".0f"),
    )  # fmt: skip
    rows = [
        (each["name"], *("–" if each[key] is None else format(each[key], shape) for key, shape in keys))
        for each in found
    ]
    print(markdown_table(columns, rows))
    print("\n" + "\n".join(f"* {text}" for text in reached(found).values()))


if __name__ == "__main__":
    sys.exit(main())
