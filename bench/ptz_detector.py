"""The goals of `bench.ptz` with a real detector and tracker: pictures are rendered, only the score knows the truth.

Rendering, detection and tracking take no virtual time of their own: a picture's boxes are known `inference_s` after it
arrived, as with the oracle, however long this machine needs for them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.data import weights
from bench.machine import markdown_table
from bench.ptz_reach import REACH
from bench.ptz_runs import Outcome, grouped, in_processes
from engine.models.base import BatchItem, DetectorOptions
from engine.models.detector import create_detector
from engine.ptz_plots import write_plots
from engine.sources.scene_render import SceneRenderer, Shot
from engine.tracking.base import create_tracker
from engine.types import FrameMeta, FrameNv12, TrackState
from engine.types.frame import nv12_geometry
from ptz.simulator.closed_loop import LoopSettings, run_scene
from ptz.simulator.truth import Truth
from ptz.simulator.world import World
from ptz.types import Pose, Sightings, Velocity

LONGEST_S = 40.0
"""Of a scene: pictures cost a hundred times what an oracle costs."""


class DetectorEye:
    """Renders what a camera sees, detects and tracks people in it."""

    def __init__(self, settings: LoopSettings, model: Path) -> None:
        mount = settings.script.heads[0]
        self._optics = settings.device_profile(mount).optics
        self._renderer = SceneRenderer(World(settings.script), mount)
        options = DetectorOptions(classes=("person",), lanes=1, batch=1, threads=1, masks=False)
        self._detector = create_detector(str(model), options)
        self._tracker = create_tracker("botsort")
        self._number = -1

    def see(self, truth: Truth, pose: Pose, turning: Velocity, arrived_s: float) -> Sightings:
        """The tracks of one picture; of the truth it takes the moment and the view."""
        self._number += 1
        view = truth.view
        stride, offset_uv, size = nv12_geometry(view.width, view.height)
        meta = FrameMeta(
            self._number, round(arrived_s * 1e9), round(arrived_s * 1e9), view.width, view.height, stride, stride,
            offset_uv,
        )  # fmt: skip
        frame = FrameNv12.view(meta, np.zeros(size, np.uint8))
        shot = Shot(view, truth.time_s, self._number, turning.pan_deg_s, turning.tilt_deg_s)
        self._renderer.draw(shot, frame.y, frame.uv)
        found = self._detector.infer([BatchItem(frame)])[0]
        tracks = self._tracker.update(found, arrived_s, frame)
        tracks = tracks.take(tracks.track_ids > 0)
        return Sightings(
            time_s=arrived_s,
            width=view.width,
            height=view.height,
            boxes_xyxy=tracks.boxes_xyxy,
            scores=tracks.scores,
            track_ids=tracks.track_ids,
            gids=tracks.gids,
            seen=tracks.states == TrackState.CONFIRMED,
            class_ids=tracks.class_ids,
        )

    def close(self) -> None:
        """Let go of the model."""
        self._detector.close()


def run_one(settings: LoopSettings, model: Path, plots: Path | None) -> Outcome:
    """One run in this process."""
    eye = DetectorEye(settings, model)
    try:
        report = run_scene(settings, eye.see)
    finally:
        eye.close()
    if plots is not None and settings.seed == 0:
        write_plots(report, plots / "detector")
    return Outcome(settings, report.scores, report.steps)


def with_detector(model: str, args: argparse.Namespace) -> dict[str, dict[str, str]]:
    """The goals, judged as with the oracle; prints their table and gives the sentences."""
    file = Path(model) if Path(model).is_file() else weights(model)
    settings = [
        replace(goal.settings, duration_s=min(goal.settings.script.duration_s, LONGEST_S)) for goal in REACH
    ]
    wanted = [replace(each, seed=seed) for each in settings for seed in range(args.seeds)]
    outcomes: Iterator[Outcome] = in_processes(run_one, wanted, args.jobs, file, args.plots)
    lines: list[tuple[object, ...]] = []
    said: dict[str, str] = {}
    for goal, group in zip(REACH, grouped(outcomes, args.seeds), strict=True):
        verdict = goal.judge(group)
        print(f".. {goal.key}: {verdict.said}", flush=True, file=sys.stderr)
        lines.append((goal.what, goal.asked, verdict.said, "yes" if verdict.met else "no"))
        said[f"detector: {goal.key}"] = verdict.said
    title = (
        f"### Goals with {file.stem} and botsort on rendered pictures, up to {LONGEST_S:.0f} s of each scene"
    )
    print(f"{title}\n\n{markdown_table(('what', 'asked for', 'measured', 'met'), lines)}\n", flush=True)
    return {"reach": said}
