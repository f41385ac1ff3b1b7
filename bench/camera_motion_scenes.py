"""A camera that moves over real pictures: crops whose place and size change from frame to frame, and what is in them.

The camera is a window over a fixed picture: 60° across, so that a pan of 20 °/s goes a third of its width in a second.
Boxes of people, and those of the detector, go with the picture, are cut off at the window's edges and left out where
less than half of them is in it. Boxes of people that are cut off, or marked as not to be judged, count neither way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from bench.tracking import load_mot
from bench.tracking_scenes import covered_shares, detect
from engine.types import U8, Detections, FrameMeta, FrameNv12

F64 = NDArray[np.float64]
Ids = NDArray[np.int64]

HFOV_DEG = 60.0
PAN_DEG_S = 20.0
LEAST_VISIBLE = 0.5
WHOLE = 0.9


@dataclass(frozen=True, slots=True)
class Window:
    """What the camera sees: middle in pixels of the picture, and size as a share of the crop's own."""

    x: float
    y: float
    size: float = 1.0


Way = Callable[[float], Window]
"""Where the window is at a time in seconds."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame of a moving camera, with truth."""

    time_s: float
    picture: U8
    truth_ids: Ids
    truth_xyxy: F64
    ignored_xyxy: F64
    detections: Detections

    def frame(self) -> FrameNv12:
        """As it lies in a slot, grey."""
        return frame_of(self.picture)


@dataclass(frozen=True, slots=True)
class Still:
    """One frame of a fixed camera, with truth."""

    time_s: float
    picture: U8
    truth_ids: Ids
    truth_xyxy: F64
    ignored_xyxy: F64
    detections: Detections


def frame_of(picture: U8) -> FrameNv12:
    """A grey picture as a frame."""
    height, width = picture.shape
    meta = FrameMeta(0, 0, 0, width, height, width, width, width * height)
    return FrameNv12(meta, picture, np.full((-(-height // 2), -(-width // 2), 2), 128, np.uint8))


def pictures_of(clip: Path, most: int) -> list[U8]:
    """The first Y planes of a clip."""
    found: list[U8] = []
    with av.open(str(clip)) as container:
        for picture in container.decode(video=0):
            found.append(np.asarray(picture.to_ndarray(format="gray"), np.uint8))
            if len(found) == most:
                break
    return found


def pets(data: Path, most: int) -> list[Still]:
    """PETS09-S2L1-a with the boxes of yolov8n."""
    sequence = load_mot(data / "mot" / "PETS09-S2L1-a", "det_yolov8n640.txt", 7)
    pictures = pictures_of(data / "clips" / "pets09_s2l1_0001-0320.mp4", most)
    return [
        Still(frame.time_s, picture, frame.truth_ids, frame.truth_xyxy, ignored, frame.detections)
        for frame, ignored, picture in zip(sequence.frames, sequence.ignored_xyxy, pictures, strict=False)
    ]


def crowd(data: Path, name: str, frames: int, fps: float) -> list[Still]:
    """People as they stood in the first frame of a MOT17 folder, with made-up boxes: nothing moves but the camera."""
    folder = data / "mot" / name
    picture = cv2.imread(str(folder / "img1" / "000001.jpg"), cv2.IMREAD_GRAYSCALE)
    sequence = load_mot(folder, "", 30)
    first, ignored = sequence.frames[0], sequence.ignored_xyxy[0]
    covered = covered_shares(first.truth_xyxy, np.empty((0, 4)))
    random = np.random.default_rng(4)
    return [
        Still(
            number / fps, np.asarray(picture, np.uint8), first.truth_ids, first.truth_xyxy, ignored,
            detect(first.truth_xyxy, covered, random),
        )
        for number in range(frames)
    ]  # fmt: skip


def seen_through(stills: list[Still], way: Way, size_wh: tuple[int, int]) -> Iterator[Moment]:
    """The pictures as the moving window sees them."""
    width, height = size_wh
    for still in stills:
        window = way(still.time_s)
        corner = np.array((window.x - width * window.size / 2, window.y - height * window.size / 2))
        # Pixels are counted at their middles.
        shift = corner + (window.size - 1) / 2
        matrix = np.array(((window.size, 0, shift[0]), (0, window.size, shift[1])))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        picture = cv2.warpAffine(still.picture, matrix, size_wh, flags=flags, borderMode=cv2.BORDER_REFLECT)
        truth, shares = _placed(still.truth_xyxy, corner, window.size, size_wh)
        ignored, _ = _placed(still.ignored_xyxy, corner, window.size, size_wh)
        boxes, seen = _placed(still.detections.boxes_xyxy.astype(np.float64), corner, window.size, size_wh)
        detections = Detections(
            boxes.astype(np.float32), still.detections.scores, still.detections.class_ids
        ).take(seen >= LEAST_VISIBLE)
        cut = (shares > 0) & (shares < WHOLE)
        yield Moment(
            still.time_s,
            np.asarray(picture, np.uint8),
            still.truth_ids[shares >= WHOLE],
            truth[shares >= WHOLE],
            np.concatenate((truth[cut], ignored)),
            detections,
        )


def _placed(boxes_xyxy: F64, corner: F64, size: float, size_wh: tuple[int, int]) -> tuple[F64, F64]:
    """Boxes in the window, cut off at its edges, and the share (n,) of each that is in it."""
    placed = (boxes_xyxy - np.tile(corner, 2)) / size
    clipped = np.clip(placed, 0, (*size_wh, *size_wh))
    areas, inside = (np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (placed, clipped))
    return clipped, inside / np.maximum(areas, 1e-9)


def to_and_fro(way_px: float, px_s: float, time_s: float) -> float:
    """-way/2 … +way/2 at constant speed, beginning in the middle."""
    if way_px <= 0:
        return 0.0
    turn = (time_s * px_s / way_px + 0.5) % 2
    return way_px * (min(turn, 2 - turn) - 0.5)


def ways(picture_wh: tuple[int, int], crop_wh: tuple[int, int]) -> dict[str, Way]:
    """How the camera moves, by name; the window never leaves the picture."""
    middle = picture_wh[0] / 2, picture_wh[1] / 2
    room = picture_wh[0] - crop_wh[0], picture_wh[1] - crop_wh[1]
    speed = PAN_DEG_S / HFOV_DEG * crop_wh[0]

    def pan(share: float, direction: float = 1.0) -> Way:
        return lambda time_s: Window(
            middle[0] + direction * to_and_fro(share * room[0], speed, time_s), middle[1]
        )

    def tilt(time_s: float) -> Window:
        return Window(middle[0], middle[1] + to_and_fro(room[1], speed, time_s))

    def oblique(time_s: float) -> Window:
        return Window(
            middle[0] + to_and_fro(room[0], 0.8 * speed, time_s),
            middle[1] + to_and_fro(room[1], 0.6 * speed, time_s),
        )

    def zoom(time_s: float) -> Window:
        return Window(*middle, float(1.2 ** np.sin(2 * time_s)))

    def shake(time_s: float) -> Window:
        # Incommensurate, so that it does not repeat; a hundredth of the width is a mast in the wind.
        far = 0.012 * crop_wh[0]
        return Window(
            middle[0] + far * (np.sin(31.0 * time_s) + np.sin(17.3 * time_s)),
            middle[1] + far * (np.sin(27.1 * time_s) + np.sin(13.7 * time_s)),
        )

    def jerks(time_s: float) -> Window:
        # Presets: still for two seconds, then off to the other one.
        phase = time_s % 6
        side = np.interp(phase, (0, 2, 3, 5, 6), (-0.5, -0.5, 0.5, 0.5, -0.5))
        return Window(middle[0] + float(side) * min(room[0], speed), middle[1])

    return {
        "pan, whole width": pan(1.0),
        "pan, whole width, other way": pan(1.0, -1.0),
        "pan, half width": pan(0.5),
        "pan, quarter width": pan(0.25),
        "tilt": tilt,
        "oblique": oblique,
        "zoom": zoom,
        "shake": shake,
        "stops and starts": jerks,
        "still": lambda _: Window(*middle),
    }
