"""What was asked for and what was measured: the first section of docs/benchmarks.md.

Reads the figures that benchmarks have left with --json, so that no number in the table is written by hand. A goal whose
benchmark has not run here (there is no GPU, say) is shown without a figure. Does not run anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.machine import markdown_table


@dataclass(frozen=True)
class Goal:
    """One line: what is measured, what was asked for, whose figures tell, and how they read."""

    what: str
    asked: str
    benchmark: str
    measured: Callable[[Any], str]


def times_as_fast_as_peers(cameras: int) -> Callable[[Any], str]:
    def read(figures: Any) -> str:
        verdict = next(each for each in figures["verdicts"] if each["cameras"] == cameras)
        not_run = "".join(f"; not run: {name}" for name in verdict["not_run"])
        return f"{verdict['times']:.2f} × the fastest of them ({verdict['closest']}){not_run}"

    return read


def preprocessing(figures: Any) -> str:
    ms, found = figures["ms"], dict(row[:2] for row in figures["detections"])
    times = ms["cvtColor → resize → blobFromImage"] / ms["kernels.cpu"]
    mean = dict(row[:2] for row in figures["grey_levels"])["full conversion"]
    changed = found["only with the chain"] + found["only here"]
    most = found["difference of scores, most"]
    detections = f"{changed} of {found['boxes']} boxes without a partner, scores within {most}"
    return f"{times:.1f} × ({ms['kernels.cpu']:.2f} ms), mean diff {mean}, {detections}"


def layouts(figures: Any) -> str:
    return ", ".join(
        f"{model['model']} {model['chosen_against_worst']:.2f} × ({model['chosen']})"
        for model in figures["models"]
    )


def dashboard_in_step(figures: Any) -> str:
    return ", ".join(
        f"{way}: the same frame {each['same']:.1%}, ± 1 {each['within_one']:.1%} of {each['pictures']} pictures"
        for way, each in figures.items()
    )


def eight_bits(figures: Any) -> str:
    quantised = {name: file for name, file in figures["files"].items() if name.startswith("int8")}
    return ", ".join(
        f"{name} {file['ratio']:.2f} × at a loss of {file['greatest_loss']:.4f} at most (truth, sure boxes)"
        for name, file in quantised.items()
    )


def said(key: str) -> Callable[[Any], str]:
    """What the benchmark itself says: it gives its --json a table `reach` of sentences."""
    return lambda figures: str(figures["reach"][key])


def people_told_apart(figures: Any) -> str:
    """Of both sets of people: boxes in frames first, as the engine sees them."""
    rows = sorted(figures["quality"], key=lambda row: row["set"] != "boxes in frames")
    return "; ".join(f"{row['model']}, {row['set']}: {row['rank1']:.3f} / {row['auc']:.3f}" for row in rows)


def switches_in_pans(figures: Any) -> str:
    pans = figures["pans"][0]
    return f"worst {pans['worst_ratio']:.2f}, mean {pans['mean_ratio']:.2f} of those without"


def update_with_camera_motion(figures: Any) -> str:
    p95 = [row["p95_ms"] for row in figures["update"]]
    return f"{min(p95):.2f} to {max(p95):.2f} ms p95, by how the camera moves"


def association_alone(figures: Any) -> str:
    rows = [row for row in figures["timings"] if row["tracker"] == "botsort" and 8 <= row["objects"] <= 22]
    return ", ".join(
        f"{row['p95_us'] / 1e3:.2f} ms ({row['objects']:.0f} objects{', a look at each' if row['looks'] else ''})"
        for row in rows
    )


def share_of_copy_bandwidth(figures: Any) -> str:
    rows = figures["tables"]["NV12 1080p → 640 × 640: share of copy bandwidth"]
    return ", ".join(
        f"{row['share']} ({row['output']}, {row['frames']} frames)" for row in rows if row["frames"] > 1
    )


GOALS = (
    Goal("8 paced 1080p cameras at 15 frames/s, detector limited: batches against waiting for everyone and greedy",
         "best of the three, and p95 age of a processed frame ≤ 1.5 × inference time", "batching", said("policies")),
    Goal("one of 8 cameras frozen, or stuttering 500 ms every 2 s: throughput of the other 7", "≥ 0.97 of normal",
         "batching", said("disturbed")),
    Goal("preprocess of one 1080p NV12 frame to a 640 RGB float tensor, against cvtColor → resize → blobFromImage",
         "≥ 3 × faster, mean diff ≤ 1 grey level, detections unchanged", "preprocess", preprocessing),
    Goal("session layout chosen at start by measuring, against the worst choice on this machine",
         "≥ 1.5 × for small models", "layout", layouts),
    Goal("int8 static on CPU against fp32, yolov8n",
         "≥ 1.3 × faster at ≤ 0.01 absolute loss of recall and precision", "quantization", eight_bits),
    Goal("EdgeTAM at 512 × 512, memory full, one object, two cores", "≥ 5 frames/s", "edgetam",
         said("frames per second")),
    Goal("engine on one stream, against ultralytics, OpenCV loops", "faster than each", "peers",
         times_as_fast_as_peers(1)),
    Goal("overlay of 20 masks, boxes, labels and trails at 1080p, against supervision's annotators and a plain OpenCV "
         "loop that blends inside of boxes", "≥ 8 × and ≥ 2.5 × faster", "overlay", said("overlay")),
    Goal("one 720p30 stream, one encoder: CPU time of the second to tenth viewer or sink, against the first",
         "≤ 5 % each", "viewers", said("viewers")),
    Goal("capture → browser frame on loopback beyond inference: WebRTC", "p50 ≤ 150 ms, p95 ≤ 300 ms",
         "glass-to-glass", said("webrtc")),
    Goal("the same: low-latency HLS", "≤ 3 s", "glass-to-glass", said("hls")),
    Goal("200 WebSocket clients, one of them stuck: p99 of delivery; the stuck one", "≤ 50 ms, others unaffected; let "
         "go with a reason", "control", said("clients")),
    Goal("/health and /metrics under full inference load", "p99 ≤ 50 ms", "control", said("load")),
    Goal("engine on four streams, against the same and a process per camera", "faster than each", "peers",
         times_as_fast_as_peers(4)),
    Goal("SAM 2, whole loop against the official predictor, 30 frames, 3 objects, one removed and one added on the "
         "way: mask logits", "max diff ≤ 1e-3 of the range, ≥ 99.9 % same sign", "sam2-parity", said("parity")),
    Goal("SAM 2 tiny at 512, 1 / 4 objects, against the official predictor in torch, float32", "≥ 1.3 × / ≥ 1.45 ×",
         "sam2-speed", said("fp32")),
    Goal("the same with eight bits where it pays", "≥ 1.9 × / ≥ 1.8 ×", "sam2-speed", said("int8")),
    Goal("the same at 448, against the official predictor at 512", "≥ 2.4 × with 1 object", "sam2-speed", said("448")),
    Goal("SAM 2, 10 000 keyframes, objects coming and going: resident memory", "flat", "sam2-soak", said("soak")),
    Goal("live 720p25 clip, detector, tracker and masks on every output frame, 2 cores: masked frames/s",
         "≥ 5 with SAM2.1-tiny, ≥ 12 with EdgeTAM", "segment-live", said("fps")),
    Goal("the same: lag of detection against masks off", "≤ 1.15 ×", "segment-live", said("lag")),
    Goal("the same: prompt → first mask", "≤ 1 keyframe + 100 ms", "segment-live", said("prompt")),
    Goal("masks moved between keyframes, every 5th frame, against those of every frame: yolov8n-seg on DAVIS, J of "
         "the best instance", "≥ 0.95 of the every-frame J", "mask-motion", said("moved")),
    Goal("masks of yolov8n-seg for boxes, on DAVIS: mean J of the best instance", "within 0.01 of the manifest",
         "davis", said("boxes")),
    Goal("PETS09-S2L1-a, yolov8n detections (score 0.1, NMS 0.45): IDF1 / MOTA / identity switches",
         "≥ 0.82 / ≥ 0.79 / ≤ 6 with ReID, IDF1 ≥ 0.77 without", "identity", said("pets")),
    Goal("TUD-Campus with its det.txt: IDF1 / MOTA", "≥ 0.76 / ≥ 0.63", "identity", said("tud")),
    Goal("the same detections for everybody, all sequences: mean IDF1 and mean HOTA against every default of Roboflow "
         "trackers, Ultralytics, supervision", "above each", "identity", said("defaults")),
    Goal("simulated pan of 20 °/s over real clips: identity switches with camera motion compensation", "≤ 1/3 of those "
         "without", "camera-motion", switches_in_pans),
    Goal("a tracker's update at 768 × 576, 10 to 20 objects, camera motion included", "p95 ≤ 2.5 ms", "camera-motion",
         update_with_camera_motion),
    Goal("the same, association only", "p95 ≤ 0.5 ms", "tracking", association_alone),
    Goal("people of PETS09 told apart by re-identification networks: rank-1 / AUC", "≥ 0.92 / ≥ 0.97", "reid",
         people_told_apart),
    Goal("a day of churn, 10⁵ identities: memory", "bounded, flat", "gallery-soak", said("gallery_soak")),
    Goal("a simulated head follows somebody who walks at 12 m", "centring RMS ≤ 5 % W, in frame ≥ 99.5 %", "ptz",
         said("walk")),
    Goal("the same, running with instant reversals", "in frame ≥ 97 %", "ptz", said("run")),
    Goal("the same, a step of 12°", "overshoot ≤ 5 %, settled to 5 % W in ≤ 1.4 s", "ptz", said("step")),
    Goal("the same, standing and swaying", "≤ 0.5 commands/s, 0 reversals", "ptz", said("sway")),
    Goal("the same, a group of 5 merging and splitting: all members", "in frame ≥ 95 %", "ptz", said("group")),
    Goal("the same, running, video 0.5 s late", "in frame ≥ 85 %", "ptz", said("late video")),
    Goal("two simulated cameras hand somebody over", "visible on the owner ≥ 97 %, ≤ 1 change of owner a pass", "ptz",
         said("handoff")),
    Goal("these scenes against P, PID and stop-and-go", "better on error and on commands/s", "ptz",
         said("baselines")),
    *(Goal(f"with yolov8n on rendered pictures: {what}", asked, "ptz-detector", said(f"detector: {key}"))
      for key, what, asked in (
          ("walk", "walk", "as with the oracle"), ("run", "run", "as with the oracle"),
          ("step", "step", "as with the oracle"), ("sway", "sway", "as with the oracle"),
          ("group", "group", "as with the oracle"), ("late video", "run, video 0.5 s late", "as with the oracle"),
      )),
    Goal("kill -9 of a head's controller: head stopped", "≤ 0.7 s, ≤ 1.5 s where ends of turns are ignored",
         "ptz-safety", said("kill")),
    Goal("wrong password: requests with credentials in 60 s", "≤ 2", "ptz-safety", said("password")),
    Goal("every fault of a simulated camera while it follows somebody", "no crash, right state, well again in ≤ 3 s",
         "ptz-faults", said("faults")),
    Goal("metadata and video in the dashboard", "same frame (± 1)", "dashboard-sync", dashboard_in_step),
    Goal("RTMP and RTSP server killed and restarted 20 ×, HLS disk full", "recovers alone, nothing else slows",
         "publish-faults", said("faults")),
    Goal("fresh clone, package index only: `make run` to the first masked frame in the dashboard",
         "≤ 5 min with installation, ≤ 10 s of it the engine", "out-of-box", said("first_mask")),
    Goal("default scene, embedded models, 2 cores: frames with masks a second, both cameras", "≥ 15 each at 640 × 360",
         "default-scene", said("masks_per_s")),
    Goal("the same: recall / precision / IDF1 / mask IoU / head's time in frame",
         "≥ 0.95 / ≥ 0.95 / ≥ 0.90 / ≥ 0.80 / ≥ 97 %", "default-scene", said("score")),
    Goal("nano-det: a frame of 640 × 360 on one core", "≤ 10 ms", "nano-det", said("speed")),
    Goal("nano-det on real clips: AP50 of people", "reported; aim ≥ 0.5 of yolox_nano's", "nano-det",
         said("real_ap50")),
    Goal("nano-sam: a followed object's keyframe", "reported", "nano-sam", said("speed")),
    Goal("nano-sam on rendered scenes: memory tracking from one box, 150 frames with occlusion, mean IoU", "≥ 0.70",
         "nano-sam", said("tracking")),
    Goal("whole engine, m3-cpu, two 720p cameras, detector and segmenter: peak memory", "≤ 2.0 GB", "memory",
         said("memory")),
    Goal("CPU with all cameras down", "≤ 3 % of one core", "idle", said("idle")),
    Goal("wheel: what is installed, time of import", "reported", "install", said("install")),
    Goal("on a GPU: NV12 to tensor kernel", "≥ 80 % of copy bandwidth", "gpu", share_of_copy_bandwidth),
)  # fmt: skip

JUDGED = frozenset(goal.benchmark for goal in GOALS)
"""Names of the benchmarks whose figures are kept."""


def row(goal: Goal, results: Path) -> tuple[object, ...]:
    """The line of one goal; without its figures it says so, and how to get them."""
    file = results / f"{goal.benchmark}.json"
    if not file.exists():
        return (goal.what, goal.asked, "not measured", f"`python -m bench.all --only {goal.benchmark}`")
    figures = json.loads(file.read_text())
    command = figures.get("command", f"python -m bench.{goal.benchmark}")
    return (goal.what, goal.asked, goal.measured(figures), f"`{command}`")


def section(results: Path) -> str:
    """The table, from the kept figures."""
    rows = [row(goal, results) for goal in GOALS]
    return f"## Reach\n\n{markdown_table(('what', 'asked for', 'measured', 'command'), rows)}\n"
