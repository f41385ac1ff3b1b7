"""The rendered world: what a frame costs, and how well real detectors find the people in it.

    python -m bench.scene [--model FILE.onnx …] [--frames 24] [--json FILE]

Truth is exact, so recall and precision need nobody's annotations. A person counts whose body is shown to nine tenths; a
box is right at an IoU of 0.4 or more, and false where it meets nobody at 0.3, seen or half hidden.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from bench.data import weights
from bench.machine import describe_machine, heading, markdown_table
from engine.models.base import BatchItem, Detector, DetectorOptions
from engine.models.detector import create_detector
from engine.sources.scene_render import SceneRenderer, Shot
from engine.types import FrameMeta, FrameNv12, nv12_geometry
from ptz.simulator.scenes import SCENES
from ptz.simulator.truth import Truth, truth
from ptz.simulator.world import World
from ptz.types import View

MODELS = ("yolox_nano_416_f32", "yolov8n_640_f32_dynbatch")
SCORE, RIGHT_IOU, MEETING_IOU, SHOWN = 0.25, 0.4, 0.3, 0.9
HEIGHTS_PX = ((40, 60), (60, 80), (80, 120), (120, 2000))
WORLD = World(SCENES["plaza"])


@dataclass(frozen=True)
class Setting:
    """A camera of the plaza, its zoom and the size of its pictures."""

    camera: str
    zoom: float
    width: int

    @property
    def name(self) -> str:
        return f"{self.camera} ×{self.zoom:g} {self.width}×{self.width * 9 // 16}"

    def view(self, number: int) -> View:
        """Where it looks in frame `number`: heads look round."""
        mount = WORLD.mount(self.camera)
        hfov = 2 * math.degrees(math.atan(math.tan(math.radians(mount.hfov_wide_deg) / 2) / self.zoom))
        pan = mount.pan_deg + (20 * math.sin(number) if mount.is_ptz else 0.0)
        return View(self.width, self.width * 9 // 16, pan, mount.tilt_deg, hfov)


SETTINGS = tuple(
    Setting(camera, zoom, width)
    for camera, zoom in (("overview", 1.0), ("ptz", 2.0))
    for width in (640, 1280)
)


def blank(view: View) -> FrameNv12:
    """A frame as it lies in a slot."""
    stride, offset_uv, slot_bytes = nv12_geometry(view.width, view.height)
    meta = FrameMeta(0, 0, 0, view.width, view.height, stride, stride, offset_uv)
    return FrameNv12.view(meta, np.zeros(slot_bytes, np.uint8))


def frame_ms(renderer: SceneRenderer, setting: Setting, *, turning: bool) -> float:
    """Median processor time of a frame in one thread."""
    view = setting.view(0)
    frame, spent = blank(view), []
    for number in range(25):
        shot = Shot(view, 3.0 + number / 15, number)
        if turning:
            shot = replace(shot, view=replace(view, pan_deg=view.pan_deg + 0.4 * number), pan_deg_s=6.0)
        start = time.process_time()
        renderer.draw(shot, frame.y, frame.uv)
        spent.append(time.process_time() - start)
    return float(np.median(spent[2:])) * 1e3


@dataclass
class Tally:
    """Who was there, by height, who of them was found, and what was found that is not there."""

    heights_px: list[float]
    found: list[bool]
    boxes: int = 0
    false: int = 0

    def recall(self, least_px: float, most_px: float) -> str:
        """Share found among people of this height, and how many these are."""
        chosen = [hit for hit, height in zip(self.found, self.heights_px, strict=True)
                  if least_px <= height < most_px]  # fmt: skip
        return f"{np.mean(chosen):.2f} ({len(chosen)})" if chosen else "–"

    def precision(self) -> float:
        """Share of boxes that mean somebody."""
        return 1 - self.false / max(self.boxes, 1)


def measured(detector: Detector, renderer: SceneRenderer, setting: Setting, frames: int) -> Tally:
    """A detector on frames from all over the scene's time."""
    tally = Tally([], [])
    frame = blank(setting.view(0))
    for number in range(frames):
        view, time_s = setting.view(number), 3.1 + 7.3 * number % WORLD.scene.duration_s
        renderer.draw(Shot(view, time_s, number), frame.y, frame.uv)
        found = detector.infer([BatchItem(frame, detector.new_state())])[0]
        sure = found.scores >= SCORE
        count(tally, truth(WORLD, WORLD.mount(setting.camera), view, time_s), found.boxes_xyxy[sure])
    return tally


def count(tally: Tally, exact: Truth, boxes_xyxy: np.ndarray) -> None:
    """Add one frame: each box to the one person that it fits best, best fit first."""
    overlap = ious(exact.visible_boxes_xyxy, boxes_xyxy)
    found = np.zeros(len(exact), bool)
    for flat in np.argsort(-overlap, axis=None):
        person, box = divmod(int(flat), len(boxes_xyxy))
        if overlap[person, box] < RIGHT_IOU:
            break
        if not found[person]:
            found[person] = True
            overlap[:, box] = np.minimum(overlap[:, box], RIGHT_IOU - 0.01)
    shown = exact.visibility >= SHOWN
    heights = exact.visible_boxes_xyxy[:, 3] - exact.visible_boxes_xyxy[:, 1]
    tally.heights_px += heights[shown].tolist()
    tally.found += found[shown].tolist()
    tally.boxes += len(boxes_xyxy)
    if len(boxes_xyxy):
        best = overlap.max(axis=0, initial=0.0)
        tally.false += int((best < MEETING_IOU).sum())


def ious(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (n, 4) and (m, 4): (n, m)."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=-1) for boxes in (one, other)]
    return np.asarray(common / np.maximum(areas[0][:, None] + areas[1][None] - common, 1e-9))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, action="append", help="detector; may be given more than once")
    parser.add_argument("--frames", type=int, default=24, help="frames for each detector and setting")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    models = args.model or [weights(name) for name in MODELS]
    renderers = {camera: SceneRenderer(WORLD, WORLD.mount(camera)) for camera in ("overview", "ptz")}
    print(heading())
    costs = [
        (setting.name, *(f"{frame_ms(renderers[setting.camera], setting, turning=turning):.1f}"
                         for turning in (False, True)))
        for setting in SETTINGS
    ]  # fmt: skip
    print(markdown_table(("camera", "standing, ms", "turning, ms"), list(costs)), end="\n\n")
    rows: list[tuple[object, ...]] = []
    for model in models:
        options = DetectorOptions(confidence=0.1, classes=("person",), lanes=1, threads=1, batch=1)
        detector = create_detector(str(model), options)
        for setting in SETTINGS:
            tally = measured(detector, renderers[setting.camera], setting, args.frames)
            recalls = [tally.recall(*heights) for heights in HEIGHTS_PX]
            rows.append((model.stem, setting.name, *recalls, f"{tally.precision():.3f}"))
        detector.close()
    columns = ("model", "camera", *(f"{low}–{high} px" if high < 2000 else f"{low} px or more"
                                    for low, high in HEIGHTS_PX), "precision")  # fmt: skip
    print(f"Recall at a score of {SCORE} by height in the picture (number of people), and precision:\n")
    print(markdown_table(columns, rows))
    if args.json:
        figures = {"machine": describe_machine(), "frame_ms": costs, "detectors": rows}
        args.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
