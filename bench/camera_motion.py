"""Camera motion: how exactly and how fast it is found, and what it is worth to the tracker.

accuracy    rendered turns and zooms of a pinhole camera over real pictures, people masked: error of the homography over
            the whole picture, in pixels, and time of an estimate on one thread
switches    botsort with and without it on real pictures seen through a moving window (see `bench.camera_motion_scenes`)
update      time of a whole `Tracker.update` at 768 × 576 with 10 to 20 objects, camera motion on

Needs the test data ($ENGINE_TEST_DATA or ../shared/data).

    python -m bench.camera_motion [--frames N] [--only accuracy|switches|update] [--json FILE]
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import motmetrics
import numpy as np
from numpy.typing import NDArray

from bench.camera_motion_scenes import (
    HFOV_DEG,
    PAN_DEG_S,
    Moment,
    Still,
    crowd,
    frame_of,
    pets,
    pictures_of,
    seen_through,
    ways,
)
from bench.data import clip, data_folder
from bench.machine import argument_parser, heading, markdown_table, write_json
from engine.tracking.association import iou_matrix
from engine.tracking.base import create_tracker
from engine.tracking.camera_motion import CameraMotion
from engine.tracking.camera_motion_pose import axes_of, lens_of, motion_between
from engine.tracking.camera_motion_warp import points_through
from engine.tracking.settings import TrackerSettings
from engine.types import U8, FrameNv12, PtzPose

F64 = NDArray[np.float64]

SIZES = ((768, 576), (1280, 720), (1920, 1080))
SENSOR_NOISE = 3.0
SWITCHES = "num_switches"


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Error of the step, over a grid of points of the picture, and the time that one estimate took.

    affine_px   error of the affine motion nearest to the true one, where it is worst
    """

    size: str
    motion: str
    mode: str
    median_px: float
    p95_px: float
    worst_px: float
    affine_px: float
    untrusted: int
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Switches:
    """What the tracker makes of a moving camera."""

    scene: str
    motion: str
    off: int
    on: int
    idf1_off: float
    idf1_on: float
    untrusted: int


@dataclass(frozen=True, slots=True)
class Update:
    """Time of `Tracker.update`, milliseconds."""

    camera: str
    objects: float
    p50_ms: float
    p95_ms: float
    without_p95_ms: float


Row = Accuracy | Switches | Update


def rendered(picture: U8, poses: list[PtzPose], size_wh: tuple[int, int]) -> Iterator[U8]:
    """Views of a pinhole camera that turns before a picture as wide as one and a half of its fields of view."""
    size = picture.shape[1], picture.shape[0]
    wide = PtzPose(0, 0, 2 * float(np.degrees(np.arctan(1.5 * np.tan(np.radians(HFOV_DEG / 2))))))
    half = np.array(((1, 0, 0.5), (0, 1, 0.5), (0, 0, 1)))
    random = np.random.default_rng(1)
    for pose in poses:
        back = lens_of(wide, size) @ axes_of(wide) @ axes_of(pose).T @ np.linalg.inv(lens_of(pose, size_wh))
        view = cv2.warpPerspective(
            picture, np.linalg.inv(half) @ back @ half, size_wh,
            flags=cv2.INTER_AREA | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT,
        )  # fmt: skip
        noisy = view + random.normal(0, SENSOR_NOISE, view.shape)
        yield np.clip(noisy, 0, 255).astype(np.uint8)


def swings(deg_s: float, fps: float, frames: int) -> list[PtzPose]:
    """To and fro within a quarter of the field of view, a little up and down, in and out, and rolling."""
    far, poses = HFOV_DEG / 4, []
    for t in np.arange(frames) / fps:
        pan, tilt = far * np.sin(deg_s * t / far), 0.06 * HFOV_DEG * np.sin(2 * t)
        poses.append(PtzPose(pan % 360, tilt, HFOV_DEG * (1 + 0.05 * np.sin(3 * t)), 2 * np.sin(t)))
    return poses


def accuracy(
    picture: U8, size_wh: tuple[int, int], speed: tuple[float, float], mode: str, frames: int
) -> Accuracy:
    """Against what was rendered. A fifth of the picture is masked, by boxes that stay where they are."""
    deg_s, fps = speed
    width, height = size_wh
    poses = swings(deg_s, fps, frames)
    x, y = np.meshgrid(np.linspace(0, width, 13), np.linspace(0, height, 9))
    grid = np.column_stack((x.ravel(), y.ravel()))
    left = np.linspace(0.05, 0.85, 8) * width
    boxes = np.column_stack((left, np.full(8, 0.4 * height), left + 0.07 * width, np.full(8, 0.8 * height)))
    motion, errors, affine_px, times_ms = CameraMotion(mode), [], 0.0, []
    views = rendered(picture, poses, size_wh)
    for number, (view, pose) in enumerate(zip(views, poses, strict=True)):
        frame = frame_of(view)
        if mode in ("auto", "pose"):
            frame = FrameNv12(replace(frame.meta, pose=pose), frame.y, frame.uv)
        started_ns = time.perf_counter_ns()
        warp = motion.estimate(frame, boxes)
        times_ms.append((time.perf_counter_ns() - started_ns) / 1e6)
        truth = motion_between(poses[number - 1], pose, size_wh)
        if number and truth is not None:
            there = points_through(truth, grid)
            shown = ((there >= 0) & (there <= size_wh)).all(axis=1)
            errors.append(np.hypot(*(points_through(warp.matrix, grid) - there)[shown].T))
            affine_px = max(affine_px, best_affine_error(grid[shown], there[shown]))
    every = np.concatenate(errors)
    median, p95 = np.percentile(every, (50, 95))
    p50_ms, p95_ms = np.percentile(times_ms[1:], (50, 95))
    return Accuracy(
        f"{width}×{height}", f"{deg_s:g} °/s at {fps:g} fps", mode,
        round(float(median), 2), round(float(p95), 2), round(float(every.max()), 2),
        round(affine_px, 1),
        sum(motion.statistics.untrusted.values()) - 1, round(float(p50_ms), 2), round(float(p95_ms), 2),
    )  # fmt: skip


def best_affine_error(before_xy: F64, now_xy: F64) -> float:
    """How far off the best affine motion is, at the point where it is worst."""
    terms = np.column_stack((before_xy, np.ones(len(before_xy))))
    fitted = terms @ np.linalg.lstsq(terms, now_xy, rcond=None)[0]
    return float(np.hypot(*(fitted - now_xy).T).max())


def tracked(moments: Iterable[Moment], mode: str) -> tuple[int, float, int]:
    """ID switches, IDF1, and how often the camera's motion was not known."""
    tracker = create_tracker("botsort", settings=TrackerSettings(camera_motion=mode))
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for moment in moments:
        tracks = tracker.update(moment.detections, moment.time_s, moment.frame())
        tracks = tracks.take(tracks.track_ids > 0)
        boxes = tracks.boxes_xyxy.astype(np.float64)
        distances = 1 - iou_matrix(moment.truth_xyxy, boxes)
        distances[distances > 0.5] = np.nan
        ignored = (iou_matrix(moment.ignored_xyxy, boxes) >= 0.5).any(axis=0)
        judged = ~ignored | ~np.isnan(distances).all(axis=0)
        accumulator.update(moment.truth_ids.tolist(), tracks.track_ids[judged].tolist(), distances[:, judged])
    values = motmetrics.metrics.create().compute(accumulator, metrics=[SWITCHES, "idf1"]).iloc[0]
    untrusted = 0
    if tracker.camera_motion is not None:
        untrusted = sum(tracker.camera_motion.statistics.untrusted.values()) - 1
    return int(values[SWITCHES]), float(values["idf1"]), untrusted


def switches(scene: str, stills: list[Still], crop_wh: tuple[int, int]) -> Iterator[Switches]:
    """Every way of moving, with and without."""
    picture_wh = stills[0].picture.shape[1], stills[0].picture.shape[0]
    for motion, way in ways(picture_wh, crop_wh).items():
        moments = list(seen_through(stills, way, crop_wh))
        off, on = tracked(moments, "off"), tracked(moments, "flow")
        yield Switches(scene, motion, off[0], on[0], round(off[1], 3), round(on[1], 3), on[2])


def all_switches(data: Path, frames: int) -> Iterator[Switches]:
    """People who walk, seen 7 times a second through windows of two sizes; people who stand, 10 times."""
    walkers = pets(data, frames)
    yield from switches("PETS09-S2L1-a, 384×288", walkers, (384, 288))
    yield from switches("PETS09-S2L1-a, 512×384", walkers, (512, 384))
    for name in ("MOT17-02-FRCNN", "MOT17-13-FRCNN"):
        yield from switches(f"standing people of {name}, 960×540", crowd(data, name, frames, 10), (960, 540))


def updates(data: Path, frames: int) -> Iterator[Update]:
    """A crowd of 10 to 20 through a window of 768 × 576, for a camera that stands still and one that pans."""
    size_wh = (768, 576)
    stills = crowd(data, "MOT17-02-FRCNN", frames, 25)
    picture_wh = stills[0].picture.shape[1], stills[0].picture.shape[0]
    for motion in ("still", "pan, whole width", "shake"):
        moments = list(seen_through(stills, ways(picture_wh, size_wh)[motion], size_wh))
        trackers = {
            mode: create_tracker("botsort", settings=TrackerSettings(camera_motion=mode))
            for mode in ("off", "flow")
        }
        times: dict[str, list[float]] = {mode: [] for mode in trackers}
        for moment in moments:
            frame = moment.frame()
            for mode, tracker in trackers.items():
                started_ns = time.perf_counter_ns()
                tracker.update(moment.detections, moment.time_s, frame)
                times[mode].append((time.perf_counter_ns() - started_ns) / 1e6)
        objects = float(np.mean([len(moment.detections) for moment in moments]))
        p50, p95 = np.percentile(times["flow"][5:], (50, 95))
        without = np.percentile(times["off"][5:], 95)
        yield Update(
            motion, round(objects, 1), round(float(p50), 2), round(float(p95), 2), round(float(without), 2)
        )


def accuracies(data: Path, frames: int) -> Iterator[Accuracy]:
    """Each size of picture at speeds of a PTZ camera, by flow; the other modes at one of them."""
    picture = pictures_of(clip("et_12_hideandseek"), 1)[0]
    large = cv2.imread(str(data / "mot" / "MOT17-04-FRCNN" / "img1" / "000001.jpg"), cv2.IMREAD_GRAYSCALE)
    for size_wh in SIZES:
        wide = cv2.resize(
            np.asarray(large, np.uint8) if size_wh[0] > 1000 else picture,
            (round(1.5 * size_wh[0]), round(1.5 * size_wh[0] * 9 / 16)), interpolation=cv2.INTER_CUBIC,
        )  # fmt: skip
        view = np.asarray(wide, np.uint8)
        for speed in ((5.0, 25.0), (20.0, 25.0), (20.0, 7.0), (60.0, 7.0)):
            yield accuracy(view, size_wh, speed, "flow", frames)
        for mode in ("auto", "ecc"):
            yield accuracy(view, size_wh, (20.0, 25.0), mode, frames)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--frames", type=int, default=320, help="of each clip (default: %(default)s)")
    parser.add_argument("--only", choices=("accuracy", "switches", "update"), help="one part of it")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    data = data_folder()
    print(heading())
    parts: dict[str, Callable[[Path, int], Iterator[Row]]] = {
        "accuracy": accuracies,
        "switches": all_switches,
        "update": updates,
    }
    lengths = {"accuracy": max(3, args.frames // 6)}
    figures: dict[str, list[dict[str, object]]] = {}
    for name, measure in parts.items():
        if args.only in (None, name):
            rows = [asdict(row) for row in measure(data, lengths.get(name, args.frames))]
            figures[name] = rows
            print(markdown_table(tuple(rows[0]), [tuple(row.values()) for row in rows]), "\n", flush=True)
    pans = [row for row in figures.get("switches", ()) if str(row["motion"]).startswith("pan")]
    if pans:
        ratios = [int(str(row["on"])) / max(1, int(str(row["off"]))) for row in pans]
        print(f"pans of {PAN_DEG_S:g} °/s: switches with / without, worst of {len(pans)}: {max(ratios):.2f}")
        figures["pans"] = [
            {"worst_ratio": round(max(ratios), 3), "mean_ratio": round(float(np.mean(ratios)), 3)}
        ]
    write_json(args.json, **figures)


if __name__ == "__main__":
    main()
