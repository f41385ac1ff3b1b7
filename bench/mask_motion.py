"""Masks moved between keyframes against masks of every frame, on DAVIS sequences with a segmenting detector.

    python -m bench.mask_motion [--data DIR] [--model FILE] [--every N] [--frames N] [--json FILE]

*Every frame* is J of the best instance (largest overlap with the truth) among the masks that the detector makes on
each frame. The other columns have its masks on every N-th frame only: on those they are the detector's own, on the
frames between it gives boxes, which belong to a mask by class and overlap with the box of the frame before; the mask
is *held* where it was, moved *by the box* alone, or *moved* by `MaskMover` (box and optical flow). What appears between
two keyframes has no mask before the next one. *Late* masks arrive some frames after their keyframe, as those of a slow
segmenter do; until the first ones have come frames do not count there, nor for what these are compared with.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from bench import davis
from bench.data import data_folder
from bench.machine import argument_parser, heading, markdown_table, write_json
from engine.segmentation.mask_motion import MaskMover, MotionLimits
from engine.types import I64, U8, Detections, FrameMeta, FrameNv12, Masks, MaskSource, Tracks, nv12_geometry
from tools.accuracy import iou

MODEL = "yolov8n-seg_320_f32_dynbatch"
FPS = 24.0
LEAST_IOU = 0.2
"""Boxes of two frames with less overlap are not taken for one thing: between two frames jumpers go far."""
WANTED = 0.95
LATE = (2, 5)
TIMED_WH = (1280, 720)
BY_BOX = MotionLimits(flow_objects=0)


@dataclass
class Identities:
    """Which box is the same thing as in the frame before: best overlap first, of one class."""

    boxes_xyxy: dict[int, np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = field(default_factory=dict)
    class_ids: dict[int, int] = field(default_factory=dict)
    last: int = 0

    def of(self, found: Detections) -> I64:
        """An identity for every box; a thing that is not seen is remembered where it was."""
        known = list(self.boxes_xyxy)
        ids = np.zeros(len(found), np.int64)
        if known and len(found):
            overlaps = iou(np.array([self.boxes_xyxy[key] for key in known]), found.boxes_xyxy)
            overlaps[np.array([self.class_ids[key] for key in known])[:, None] != found.class_ids] *= 0.5
            free = set(range(len(known)))
            for row, column in sorted(
                zip(*np.nonzero(overlaps >= LEAST_IOU), strict=True), key=lambda at: -overlaps[at]
            ):
                if row in free and not ids[column]:
                    free.remove(row)
                    ids[column] = known[row]
        for index in range(len(found)):
            if not ids[index]:
                self.last += 1
                ids[index] = self.last
            self.boxes_xyxy[int(ids[index])] = found.boxes_xyxy[index]
            self.class_ids[int(ids[index])] = int(found.class_ids[index])
        return ids

    def forget_all_but(self, ids: I64) -> None:
        """What is not seen on a keyframe is not looked for any more."""
        self.boxes_xyxy = {int(key): self.boxes_xyxy[int(key)] for key in ids}


def tracks_of(found: Detections, ids: I64) -> Tracks:
    return Tracks.of(replace(found, masks=None), ids, np.ones(len(found), np.int32))


@dataclass
class Moved:
    """J of each frame, from the frame on that has masks, and milliseconds that moving took on each."""

    overlaps: list[float]
    first: int
    ms: list[float]
    objects: float

    def mean(self, overlaps: Sequence[float] | None = None) -> float:
        """Mean over the frames that count, of these figures or its own."""
        return float(np.mean((self.overlaps if overlaps is None else overlaps)[self.first :]))


def move(sequence: davis.Sequence, every: int, limits: MotionLimits | None = None, late: int = 0) -> Moved:
    """Masks of every n-th frame, moved to all of them."""
    mover, identities = MaskMover(limits), Identities()
    under_way: dict[int, tuple[Detections, I64]] = {}
    shown: list[int] = []
    result = Moved([], late, [], 0.0)
    counts = []
    for index, (frame, found) in enumerate(zip(sequence.frames, sequence.detections, strict=True)):
        ids = identities.of(found)
        start = time.thread_time()
        mover.advance(frame, index / FPS, tracks_of(found, ids))
        if index % every == 0:
            mover.anchor(index)
            identities.forget_all_but(ids)
            under_way[index] = found, ids
        if index - late in under_way:
            shown = put(mover, index - late, *under_way.pop(index - late))
        masks = mover.masks(shown)
        result.ms.append((time.thread_time() - start) * 1e3)
        counts.append(len(shown))
        result.overlaps.append(davis.best_instance(masks, sequence.truths[index])[0])
    result.objects = float(np.mean(counts))
    return result


def put(mover: MaskMover, frame_seq: int, found: Detections, ids: I64) -> list[int]:
    """Hand over the masks of a keyframe; the objects that have one."""
    for row, object_id in enumerate(ids.tolist()):
        assert found.masks is not None
        mover.place(
            object_id, found.masks.grid(row), found.masks.rects_xyxy[row], frame_seq, 1.0, MaskSource.DETECTOR
        )
    mover.release(frame_seq)
    return [int(each) for each in ids]


def hold(sequence: davis.Sequence, every: int) -> float:
    """J with masks that stay where they were."""
    held: Masks | None = None
    overlaps = []
    for index, found in enumerate(sequence.detections):
        held = found.masks if index % every == 0 else held
        overlaps.append(davis.best_instance(held, sequence.truths[index])[0])
    return float(np.mean(overlaps))


def enlarged(sequence: davis.Sequence) -> davis.Sequence:
    """The same as 720p, to be timed."""
    width, height = TIMED_WH
    frames, detections = [], []
    for frame, found in zip(sequence.frames, sequence.detections, strict=True):
        stride, offset_uv, nbytes = nv12_geometry(width, height)
        meta: FrameMeta = replace(
            frame.meta, width=width, height=height, stride_y=stride, stride_uv=stride, offset_uv=offset_uv
        )
        large = FrameNv12.view(meta, np.zeros(nbytes, np.uint8))
        cv2.resize(np.ascontiguousarray(frame.y), TIMED_WH, dst=large.y)
        scale = np.array([width / frame.meta.width, height / frame.meta.height] * 2, np.float32)
        frames.append(large)
        masks = found.masks
        if masks is not None:
            masks = replace(masks, rects_xyxy=masks.rects_xyxy * scale)
        detections.append(replace(found, boxes_xyxy=found.boxes_xyxy * scale, masks=masks))
    blank: U8 = np.zeros((1, 1), np.uint8)
    return davis.Sequence(sequence.name, frames, [blank > 0] * len(frames), detections)


def measure(sequence: davis.Sequence, every: int) -> dict[str, object]:
    """All figures of one sequence."""
    each = [
        davis.best_instance(found.masks, truth)[0]
        for found, truth in zip(sequence.detections, sequence.truths, strict=True)
    ]
    moved, timed = move(sequence, every), move(enlarged(sequence), every)
    late = {}
    for frames in LATE:
        run = move(sequence, every, late=frames)
        late[str(frames)] = run.mean() / run.mean(each)
    return {
        "sequence": sequence.name, "every_frame": float(np.mean(each)), "held": hold(sequence, every),
        "by_box": move(sequence, every, BY_BOX).mean(), "moved": moved.mean(), "late": late,
        "ms": median(moved.ms), "ms_720p": median(timed.ms), "ms_720p_least": min(timed.ms[1:]),
        "objects": moved.objects,
    }  # fmt: skip


def parsed() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--model", type=Path, help=f"default: {MODEL} of the data folder")
    parser.add_argument(
        "--every", type=int, default=5, metavar="N", help="frames from keyframe to keyframe (5)"
    )
    parser.add_argument("--frames", type=int, metavar="N", help="of each sequence: to see that it works")
    return parser.parse_args()


def main() -> None:
    args = parsed()
    # One core: what the engine gives to this.
    cv2.setNumThreads(1)
    model = args.model or args.data / "weights" / f"{MODEL}.onnx"
    found = [measure(each, args.every) for each in davis.sequences(args.data, model, args.frames)]
    print(heading())
    print(tables(found))
    mean = mean_of(found)
    ratios = [float(str(each["moved"])) / float(str(each["every_frame"])) for each in found]
    ratio = mean("moved") / mean("every_frame")
    said = (
        f"{ratio:.3f} of the every-frame J over all sequences ({mean('moved'):.3f} of {mean('every_frame'):.3f}); "
        f"by sequence {min(ratios):.3f} to {max(ratios):.3f}"
    )
    print(f"\nkeyframe every {args.every}: {said}; wanted {WANTED}")
    write_json(args.json, every=args.every, sequences=found, ratio=ratio, reach={"moved": said})


def mean_of(found: Sequence[dict[str, object]]) -> Callable[[str], float]:
    """The mean of a figure over the sequences."""
    return lambda key: float(np.mean([float(str(each[key])) for each in found]))


def tables(found: Sequence[dict[str, object]]) -> str:
    """Quality, and time."""
    kinds = ("held", "by_box", "moved")
    mean = mean_of(found)
    columns = (
        "sequence",
        "every frame",
        "held",
        "by the box",
        "moved",
        *(f"moved, {late} frames late" for late in LATE),
    )
    rows: list[tuple[object, ...]] = []
    for each in found:
        every, late = float(str(each["every_frame"])), each["late"]
        assert isinstance(late, dict)
        shares = [f"{float(str(each[kind])):.3f} ({float(str(each[kind])) / every:.3f})" for kind in kinds]
        rows.append(
            (each["sequence"], f"{every:.3f}", *shares, *(f"({share:.3f})" for share in late.values()))
        )
    every = mean("every_frame")
    rows.append(
        (
            "mean",
            f"{every:.3f}",
            *(f"{mean(kind):.3f} ({mean(kind) / every:.3f})" for kind in kinds),
            *[""] * len(LATE),
        )
    )
    timed: list[tuple[object, ...]] = [
        (each["sequence"], f"{float(str(each['objects'])):.1f}",
         *(f"{float(str(each[key])):.2f}" for key in ("ms", "ms_720p", "ms_720p_least")))
        for each in found
    ]  # fmt: skip
    heads = ("sequence", "objects", "ms a frame, 480p", "ms a frame, 720p", "least")
    quality, times = markdown_table(columns, rows), markdown_table(heads, timed)
    return f"J, and its share of that of every frame:\n\n{quality}\n\nOne thread:\n\n{times}"


if __name__ == "__main__":
    main()
