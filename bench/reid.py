"""Whether re-identification networks tell people apart, and what a crop costs: the engine's own way, on real people.

python -m bench.reid [--data DIR] [--models FILE …] [--repeat 20] [--threads 1 2] [--json FILE]

Two sets of the people of PETS09-S2L1: the 60 crops in `reid/pets09_a`, which are JPEG files and go in as whole
pictures; and the boxes of the ground truth in the frames of the clip, cut out of NV12 as the engine does it: every
12th frame from the 5th on, boxes that count and of which less than 0.3 is covered by another one.

rank-1  share of crops whose nearest by cosine, of all others, is of the same person (leave one out)
means   share of crops that are nearest to the mean of the other crops of the same person, of the means of all people
AUC     chance that a pair of crops of one person is more alike than a pair of two people, over all pairs
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

# Before numpy loads its linear algebra, which takes all cores otherwise.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data import data_folder
from bench.machine import argument_parser, heading, markdown_table, write_json
from engine.models.reid import Crops, Embedder, EmbedderOptions
from engine.types import F32, ColourMatrix, FrameMeta, FrameNv12, nv12_geometry
from tools.frames import read_frames

NAMES = ("osnet_x0_25_msmt17_dynbatch", "person_reid_retail_0248")
CROPS = (1, 8, 32)
FIRST_FRAME, EVERY = 5, 12
MOST_COVERED = 0.3
_FRAME, _ID, _COUNTS = 0, 1, 6


@dataclass(frozen=True, slots=True)
class People:
    """Crops, and who is in each, in the same order."""

    crops: list[Crops]
    ids: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Quality:
    """How well people are told apart; means are of the cosine."""

    crops: int
    people: int
    rank1: float
    rank1_means: float
    auc: float
    same_mean: float
    different_mean: float


def people_of_files(folder: Path) -> People:
    """One folder a person, JPEG files in it."""
    crops, ids = [], []
    for path in sorted(folder.glob("*/*.jpg")):
        bgr = cv2.imread(str(path))
        assert bgr is not None, path
        frame = frame_of(np.asarray(bgr, np.uint8))
        height, width = bgr.shape[:2]
        crops.append(Crops(frame, np.array([[0, 0, width, height]], np.float32)))
        ids.append(int(path.parent.name))
    return People(crops, np.array(ids))


def frame_of(bgr: NDArray[np.uint8]) -> FrameNv12:
    """A picture as NV12. Odd sizes keep their last row or column by way of a repeated one."""
    height, width = bgr.shape[:2]
    even = cv2.copyMakeBorder(bgr, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    planar = np.asarray(cv2.cvtColor(even, cv2.COLOR_BGR2YUV_I420), np.uint8)
    rows, columns = even.shape[:2]
    stride, offset_uv, slot_bytes = nv12_geometry(width, height)
    meta = FrameMeta(0, 0, 0, width, height, stride, stride, offset_uv, matrix=ColourMatrix.BT601)
    frame = FrameNv12.view(meta, np.zeros(slot_bytes, np.uint8))
    frame.y[:] = planar[:height, :width]
    frame.uv[:] = planar[rows:].reshape(2, rows // 2, columns // 2).transpose(1, 2, 0)
    return frame


def people_of_clip(clip: Path, truth: Path) -> People:
    """The boxes of a MOTChallenge ground truth, in the frames of its clip."""
    rows = np.loadtxt(truth, delimiter=",", ndmin=2)
    last = int(rows[:, _FRAME].max())
    count = len(range(FIRST_FRAME, last + 1, EVERY))
    crops, ids = [], []
    frames = read_frames([str(clip)], count, EVERY, FIRST_FRAME - 1)
    for number, frame in zip(range(FIRST_FRAME, last + 1, EVERY), frames, strict=True):
        here = rows[rows[:, _FRAME] == number]
        corners = here[:, 2:6].copy()
        corners[:, :2] -= 1  # the first pixel is number 1 in these files
        corners[:, 2:] += corners[:, :2]
        seen = (covered(corners) < MOST_COVERED) & (here[:, _COUNTS] == 1)
        if seen.any():
            crops.append(Crops(frame, corners[seen].astype(np.float32)))
            ids += here[seen, _ID].astype(np.int64).tolist()
    return People(crops, np.array(ids))


def covered(boxes_xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest share of each box that another one covers."""
    low = np.maximum(boxes_xyxy[:, None, :2], boxes_xyxy[None, :, :2])
    high = np.minimum(boxes_xyxy[:, None, 2:], boxes_xyxy[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    np.fill_diagonal(shared, 0)
    areas = np.prod(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], axis=1)
    shares: NDArray[np.float64] = shared.max(axis=1) / areas
    return shares


def quality(vectors: F32, ids: NDArray[np.int64]) -> Quality:
    """Judge vectors float32 (n, d) of length 1."""
    cosine = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    same = ids[:, None] == ids[None]
    upper = np.triu(np.ones_like(same), 1)
    together, apart = cosine[same & upper], np.sort(cosine[~same & upper])
    # Ties count half: the mean of how many are below and how many are not above.
    below = np.searchsorted(apart, together, "left") + np.searchsorted(apart, together, "right")
    np.fill_diagonal(cosine, -np.inf)
    nearest = ids[cosine.argmax(axis=1)]
    return Quality(
        len(ids), len(np.unique(ids)), float(np.mean(nearest == ids)), _rank1_of_means(vectors, ids),
        float(below.mean() / (2 * len(apart))), float(together.mean()), float(apart.mean()),
    )  # fmt: skip


def _rank1_of_means(vectors: F32, ids: NDArray[np.int64]) -> float:
    people, member = np.unique(ids, return_inverse=True)
    right = 0
    for index, own in enumerate(member):
        others = np.arange(len(ids)) != index
        means = np.stack([vectors[others & (member == person)].sum(axis=0) for person in range(len(people))])
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        right += int((means @ vectors[index]).argmax() == own)
    return right / len(ids)


def judged(embedder: Embedder, people: People) -> Quality:
    """The quality of a network on these people."""
    return quality(np.concatenate(embedder.embed(people.crops)).astype(np.float32), people.ids)


def speeds(
    models: Sequence[Path], threads: Sequence[int], frame: FrameNv12, repeat: int
) -> Iterator[dict[str, object]]:
    """Milliseconds a crop: every network with each number of threads and of crops, taking turns."""
    rng = np.random.default_rng(0)
    height, width = frame.y.shape
    corners = rng.uniform((0, 0), (width - 60, height - 150), (max(CROPS), 2))
    boxes = np.concatenate([corners, corners + np.array([50, 130])], axis=1).astype(np.float32)
    ways = {
        f"{count} thread(s)": EmbedderOptions(threads=count, cores=count, most_crops=max(CROPS))
        for count in threads
    }
    ways |= {f"{max(threads)} core(s), measured": EmbedderOptions(cores=max(threads), most_crops=max(CROPS))}
    loaded = {
        (path.stem, way): Embedder.load(path, options) for path in models for way, options in ways.items()
    }
    times: dict[tuple[str, str, int], list[float]] = {}
    for _ in range(repeat + 1):
        for (name, way), embedder in loaded.items():
            for count in CROPS:
                began = time.perf_counter()
                embedder.embed([Crops(frame, boxes[:count])])
                took = (time.perf_counter() - began) * 1e3 / count
                times.setdefault((name, way, count), []).append(took)
    for (name, way, count), found in times.items():
        kept = found[1:]
        layout = next(choice.chosen for choice in loaded[name, way].choices if choice.what == "layout")
        yield {
            "model": name, "way": way, "layout": layout, "crops": count,
            "ms_per_crop": statistics.median(kept), "least_ms": min(kept),
        }  # fmt: skip
    for embedder in loaded.values():
        embedder.close()


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument(
        "--data", type=Path, default=data_folder(), help="folder of weights, clips, mot and reid"
    )
    parser.add_argument(
        "--models", type=Path, nargs="+", help="ONNX files in place of the two of the test data"
    )
    parser.add_argument("--repeat", type=int, default=20, help="calls that are timed, for each line")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    cv2.setNumThreads(1)
    models = args.models or [args.data / "weights" / f"{name}.onnx" for name in NAMES]
    sets = {
        "JPEG crops": people_of_files(args.data / "reid" / "pets09_a"),
        "boxes in frames": people_of_clip(
            args.data / "clips" / "pets09_s2l1_0001-0320.mp4",
            args.data / "mot" / "PETS09-S2L1-a" / "gt" / "gt.txt",
        ),
    }
    print(heading())
    told: list[dict[str, object]] = []
    rows: list[tuple[object, ...]] = []
    for path in models:
        embedder = Embedder.load(path, EmbedderOptions(threads=1, batch=1))
        for name, people in sets.items():
            found = judged(embedder, people)
            told.append({"model": path.stem, "set": name, **asdict(found)})
            shares = (found.rank1, found.rank1_means, found.auc, found.same_mean, found.different_mean)
            rows.append((path.stem, name, found.crops, *(f"{share:.3f}" for share in shares)))
        embedder.close()
    print(
        markdown_table(
            ("network", "people from", "crops", "rank-1", "means", "AUC", "same", "different"), rows
        )
    )
    timed = list(speeds(models, args.threads, sets["boxes in frames"].crops[0].frame, args.repeat))
    columns = ("model", "way", "layout", "crops", "ms_per_crop", "least_ms")
    shown = [
        tuple(f"{row[c]:.2f}" if isinstance(row[c], float) else row[c] for c in columns) for row in timed
    ]
    print(markdown_table(("network", "threads", "layout", "crops", "ms a crop", "least"), shown))
    write_json(args.json, quality=told, speed=timed)


if __name__ == "__main__":
    main()
