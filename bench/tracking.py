"""How well and how fast the trackers keep identities, on given boxes: no detector, no pictures.

Real sequences need the test data ($ENGINE_TEST_DATA or ../shared/data); walkers are made up, see
`bench.tracking_scenes`. Scores are those of motmetrics: a box counts from overlap 0.5, and boxes on people whom
the annotators marked as not to be judged are left out.

Streets are also given with looks: made-up embeddings of every box, or of those that `engine.tracking.demand` asks for.
Real ones, and other people's trackers, are in `bench.identity`.

    python -m bench.tracking [--data DIR] [--seconds 20] [--json FILE]
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import motmetrics
import numpy as np
from numpy.typing import NDArray

from bench.data import data_folder
from bench.machine import argument_parser, heading, markdown_table, write_json
from bench.tracking_scenes import SceneFrame, covered_shares, detect, street, with_looks
from engine.tracking.association import iou_matrix
from engine.tracking.base import Tracker, create_tracker
from engine.tracking.demand import Demand, DemandSettings
from engine.tracking.settings import TrackerSettings
from engine.types import Detections, TrackState

F64 = NDArray[np.float64]

TRACKERS = ("botsort", "bytetrack", "sort")
REFRESH_FRAMES = 10
MOT_PERSON = 1
MOT_NOT_JUDGED = (2, 7, 8, 12)
METRICS = ("idf1", "mota", "num_switches", "num_false_positives", "num_misses")


@dataclass(frozen=True, slots=True)
class Sequence:
    """Frames with truth. `ignored_xyxy` has one array a frame: boxes there are neither right nor wrong."""

    name: str
    frames: list[SceneFrame]
    ignored_xyxy: list[F64]

    @classmethod
    def of_street(cls, people: int, fps: float, seconds: float, seed: int) -> Sequence:
        """Made-up walkers."""
        frames = street(people, fps, seconds, seed=seed)
        return cls(f"street, {people} people, {fps:g} fps", frames, [np.empty((0, 4))] * len(frames))

    def looked_at(self) -> Sequence:
        """With an embedding of every box."""
        return Sequence(f"{self.name}, looks", with_looks(self.frames), self.ignored_xyxy)

    def looked_at_on_demand(self) -> Sequence:
        """With embeddings of those boxes whose look may change a decision, and the share of these in the name."""
        demand = Demand(DemandSettings.of(TrackerSettings(), (0,), REFRESH_FRAMES))
        frames, asked = [], 0
        for frame in with_looks(self.frames):
            found = frame.detections
            wanted = demand.wanted(found)
            demand.granted(wanted.rows)
            rows = np.sort(wanted.rows)
            asked += len(rows)
            looks = found.embeddings
            if looks is not None:
                looks = replace(looks, rows=rows.astype(np.int32), vectors=looks.vectors[rows])
            frames.append(replace(frame, detections=replace(found, embeddings=looks)))
        share = asked / max(1, sum(len(frame.detections) for frame in self.frames))
        return Sequence(f"{self.name}, looks at {share:.0%} of the boxes", frames, self.ignored_xyxy)

    def every(self, step: int, fps: float) -> Sequence:
        """Every `step`-th frame of a sequence of `fps`."""
        return Sequence(f"{self.name}, {fps / step:.3g} fps", self.frames[::step], self.ignored_xyxy[::step])


@dataclass(frozen=True, slots=True)
class Score:
    """Result of one tracker on one sequence; `ids` counts the track IDs given, `people` the true ones."""

    sequence: str
    tracker: str
    idf1: float
    mota: float
    switches: int
    false_positives: int
    misses: int
    ids: int
    people: int


@dataclass(frozen=True, slots=True)
class Timing:
    """Time of `Tracker.update` with about this many objects in the picture, without camera motion.

    looks  whether every box has an embedding of 512 numbers
    """

    tracker: str
    objects: float
    looks: bool
    p50_us: float
    p95_us: float
    p99_us: float


def _rows(path: Path) -> F64:
    return np.array([[float(cell) for cell in line.split(",")] for line in path.read_text().split()])


def _xyxy(rows: F64) -> F64:
    """MOTChallenge counts pixels from 1."""
    corner = rows[:, 2:4] - 1
    return np.concatenate((corner, corner + rows[:, 4:6]), axis=1)


def _judge(truth: F64) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows count, and which are to be left out; sequences of 2016 and 2017 also say what each thing is."""
    flagged = truth[:, 6] > 0
    if truth.shape[1] == 9:
        person = truth[:, 7] == MOT_PERSON
        return person & flagged, np.isin(truth[:, 7], MOT_NOT_JUDGED) | (person & ~flagged)
    return flagged, ~flagged


def load_mot(folder: Path, det_name: str, fps: float) -> Sequence:
    """A MOTChallenge folder with its det file, as far as there is truth. Without one, boxes come from the truth."""
    truth = _rows(folder / "gt" / "gt.txt")
    counts, ignored = _judge(truth)
    found = _rows(folder / "det" / det_name) if det_name else None
    rng = np.random.default_rng(0)
    frames, ignored_xyxy = [], []
    for number in range(1, int(truth[:, 0].max()) + 1):
        now = truth[:, 0] == number
        boxes = _xyxy(truth[now & counts])
        if found is None:
            detections = detect(boxes, covered_shares(boxes, np.empty((0, 4))), rng)
        else:
            rows = found[found[:, 0] == number]
            scores = np.clip(rows[:, 6], 0, 1).astype(np.float32)
            detections = Detections(_xyxy(rows).astype(np.float32), scores, np.zeros(len(rows), np.int32))
        truth_ids = truth[now & counts, 1].astype(np.int64)
        frames.append(SceneFrame(number / fps, truth_ids, boxes, detections))
        ignored_xyxy.append(_xyxy(truth[now & ignored]))
    return Sequence(f"{folder.name} {det_name or 'boxes made from the truth'}", frames, ignored_xyxy)


def real_sequences(data: Path) -> Iterator[Sequence]:
    """The MOTChallenge material of the test data. MOT17 has truth for 4 to 8 frames only."""
    mot = data / "mot"
    yield load_mot(mot / "PETS09-S2L1-a", "det_yolov8n640.txt", 7)
    yield load_mot(mot / "PETS09-S2L1-a", "det.txt", 7)
    yield load_mot(mot / "TUD-Campus", "det.txt", 25)
    for name, fps in (("02", 30), ("04", 30), ("05", 14), ("13", 25)):
        yield load_mot(mot / f"MOT17-{name}-FRCNN", "det.txt", fps)
    for folder, fps, steps in (("MOT16-13", 25, (1, 2, 5)), ("PETS09-S2L1-a", 7, (1, 7))):
        whole = load_mot(mot / folder, "", fps)
        yield from (whole.every(step, fps) for step in steps)


def _distances(truth_xyxy: F64, boxes_xyxy: F64) -> F64:
    distances = 1 - iou_matrix(truth_xyxy, boxes_xyxy)
    distances[distances > 0.5] = np.nan
    return distances


def score(tracker: Tracker, tracker_name: str, sequence: Sequence) -> Score:
    """Run the tracker over the sequence and judge the objects with an ID."""
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    ids: set[int] = set()
    people: set[int] = set()
    for frame, ignored in zip(sequence.frames, sequence.ignored_xyxy, strict=True):
        tracks = tracker.update(frame.detections, frame.time_s)
        tracks = tracks.take((tracks.track_ids > 0) & (tracks.states != TrackState.COASTING))
        boxes = tracks.boxes_xyxy.astype(np.float64)
        distances = _distances(frame.truth_xyxy, boxes)
        judged = np.isnan(_distances(ignored, boxes)).all(axis=0) | ~np.isnan(distances).all(axis=0)
        accumulator.update(frame.truth_ids.tolist(), tracks.track_ids[judged].tolist(), distances[:, judged])
        ids.update(tracks.track_ids.tolist())
        people.update(frame.truth_ids.tolist())
    values = (
        motmetrics.metrics.create().compute(accumulator, metrics=list(METRICS), name=sequence.name).iloc[0]
    )
    idf1, mota, switches, false_positives, misses = (float(values[name]) for name in METRICS)
    return Score(
        sequence.name, tracker_name, round(idf1, 3), round(mota, 3), int(switches), int(false_positives), int(misses),
        len(ids), len(people),
    )  # fmt: skip


def measure(tracker_name: str, people: int, seconds: float, looks: bool = False) -> Timing:
    """Time each update of a street at 25 fps; the first 10 frames do not count."""
    frames = street(people, 25, seconds, seed=people)
    if looks:
        frames = with_looks(frames, dims=512)
    tracker = create_tracker(tracker_name)
    times_ns = []
    for frame in frames:
        started_ns = time.perf_counter_ns()
        tracker.update(frame.detections, frame.time_s)
        times_ns.append(time.perf_counter_ns() - started_ns)
    p50, p95, p99 = np.percentile(np.array(times_ns[10:]) / 1000, (50, 95, 99))
    objects = float(np.mean([len(frame.truth_ids) for frame in frames]))
    return Timing(tracker_name, round(objects, 1), looks, round(p50), round(p95), round(p99))


def all_sequences(data: Path | None) -> Iterator[Sequence]:
    """Real ones where there is data, then streets from 60 frames a second down to 1."""
    if data is not None:
        yield from real_sequences(data)
    for people, fps, seconds in ((8, 60, 20), (12, 25, 30), (20, 10, 40), (12, 4, 60), (8, 1, 120)):
        plain = Sequence.of_street(people, fps, seconds, seed=people)
        yield plain
        yield plain.looked_at()
        yield plain.looked_at_on_demand()


def main() -> None:
    parser = argument_parser(__doc__)
    folder = data_folder()
    default = folder if (folder / "mot").is_dir() else None
    parser.add_argument("--data", type=Path, default=default, help="folder of the test data")
    parser.add_argument("--seconds", type=float, default=20, help="length of the streets that are timed")
    args = parser.parse_args()
    print(heading())
    scores = [
        score(create_tracker(name), name, sequence)
        for sequence in all_sequences(args.data)
        for name in TRACKERS
    ]
    timings = [
        measure(name, people, args.seconds, looks)
        for name, looks in (*((name, False) for name in TRACKERS), ("botsort", True))
        for people in (5, 10, 20, 50, 100)
    ]
    print(
        markdown_table(
            ("sequence", "tracker", "IDF1", "MOTA", "IDSW", "FP", "FN", "ids", "people"),
            [tuple(asdict(entry).values()) for entry in scores],
        )
    )
    print()
    print(
        markdown_table(
            ("tracker", "objects", "looks", "p50 µs", "p95 µs", "p99 µs"),
            [tuple(asdict(entry).values()) for entry in timings],
        )
    )
    write_json(
        args.json,
        scores=[asdict(entry) for entry in scores],
        timings=[asdict(entry) for entry in timings],
    )


if __name__ == "__main__":
    main()
