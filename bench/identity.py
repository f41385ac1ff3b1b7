"""Identities: the engine's trackers and those of other libraries on the same detections, in one run.

    python -m bench.identity --install-peers [DIR]
    python -m bench.identity [--peers DIR] [--no-peers] [--sequence TEXT …] [--no-cache] [--json FILE]

sequences  PETS09-S2L1-a with detections of yolov8n (score 0.1, NMS 0.45, found by the engine on the clip) and with
           its det.txt; TUD-Campus with its det.txt; the first frames of MOT17-02, 04, 05 and 13 with their det.txt;
           MOT16-13 with boxes made from its truth, with a detector's mistakes (`bench.tracking_scenes.detect`)
trackers   the engine's with the defaults of each; `botsort` compensates camera motion where there are pictures,
           `no CMC` does not; ReID is OSNet, of the boxes that the engine would look at within its budget, or of all
peers      every tracker of Roboflow `trackers`, Ultralytics, supervision and norfair, each as its library makes it when
           it is told nothing, in a process of its own. Those that are not installed are named and left out

IDF1, MOTA: motmetrics. HOTA: TrackEval. Boxes on people who are not to be judged are left out (docs/evaluation.md).
Means count each sequence once. `fps` are updates a second without detector, ReID network and decoder, camera motion
included, on one thread. Needs the test data ($ENGINE_TEST_DATA or ../shared/data); what networks say is kept on disk.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.data import clip, data_folder, weights
from bench.machine import argument_parser, heading, markdown_table, write_json
from bench.tracker_peers.catalogue import install
from bench.tracking_scenes import covered_shares, detect
from engine.eval_cache import AnswerCache
from engine.eval_detections import DetectionSource, DetectorSettings
from engine.eval_looks import OF_ALL, ON_DEMAND, LookSettings, LookSource
from engine.eval_peers import ALL, Peers, Task, default_folder
from engine.eval_pictures import Pictures
from engine.eval_runs import Entrant, TrackerRun, run_trackers
from engine.evaluation.mot_report import Scored, as_json
from engine.evaluation.mot_scores import judge
from engine.evaluation.mot_sequence import Sequence as MotSequence
from engine.tracking.base import create_tracker
from engine.types import Detections

DETECTOR, NETWORK, PETS_CLIP = (
    "yolov8n_640_f32_dynbatch",
    "osnet_x0_25_msmt17_dynbatch",
    "pets09_s2l1_0001-0320",
)
PETS, TUD = "PETS09-S2L1-a, yolov8n", "TUD-Campus, det.txt"
PETS_FROM_0 = f"{PETS}, truth counted from pixel 0"
"""The same results again, not in the means: earlier comparisons of these peers, which the goal was taken from, read the
truth as if it counted pixels from 0, as a detector does. It fits the pictures better, too."""
REID, WITHOUT_REID = "botsort, ReID", "botsort"
LIBRARIES = ("roboflow-", "ultralytics-", "supervision-")
"""Whose defaults the engine is to be better than; norfair has none for what is near."""


@dataclass(frozen=True)
class Variant:
    """A tracker of the engine as it enters. `demand` is whose looks it gets, none where empty."""

    name: str
    tracker: str
    camera_motion: str = "auto"
    demand: str = ""


VARIANTS = (
    Variant("sort", "sort"),
    Variant("bytetrack", "bytetrack"),
    Variant("botsort, no CMC", "botsort", camera_motion="off"),
    Variant(WITHOUT_REID, "botsort"),
    Variant(REID, "botsort", demand=ON_DEMAND),
    Variant("botsort, ReID of all", "botsort", demand=OF_ALL),
)


@dataclass(frozen=True)
class Entry:
    """A sequence of the table: its folder, where its detections come from, and the clip with its pictures."""

    name: str
    folder: str
    detections: str
    clip: str = ""


TRUTH = "made from the truth"
SEQUENCES = (
    Entry(PETS, "PETS09-S2L1-a", DETECTOR, PETS_CLIP),
    Entry("PETS09-S2L1-a, det.txt", "PETS09-S2L1-a", "public", PETS_CLIP),
    Entry(TUD, "TUD-Campus", "public"),
    *(
        Entry(f"MOT17-{number}, det.txt", f"MOT17-{number}-FRCNN", "public")
        for number in ("02", "04", "05", "13")
    ),
    Entry("MOT16-13, made", "MOT16-13", TRUTH),
)


def make_detections(sequence: MotSequence) -> list[Detections]:
    """What a detector would find of the truth: the same in every run."""
    rng = np.random.default_rng(0)
    nothing = np.empty((0, 4))
    return [
        detect(frame.boxes_xyxy, covered_shares(frame.boxes_xyxy, nothing), rng) for frame in sequence.truth
    ]


def task_of(entry: Entry, data: Path, cache: AnswerCache) -> Task:
    """The sequence with its detections and pictures."""
    sequence = MotSequence.read(data / "mot" / entry.folder)
    pictures = Pictures.of(sequence, clip(entry.clip) if entry.clip else None)
    if entry.detections == TRUTH:
        return Task(sequence, make_detections(sequence), pictures)
    wanted = str(weights(DETECTOR)) if entry.detections == DETECTOR else entry.detections
    source = DetectionSource(wanted, DetectorSettings(), cache, note)
    return Task(sequence, source.of(sequence, pictures), pictures)


def run_variants(task: Task, cache: AnswerCache) -> list[TrackerRun]:
    """The engine's trackers; without pictures those with ReID get no looks, and camera motion is not known."""
    sources = {
        demand: LookSource(str(weights(NETWORK)), LookSettings(demand), cache, note)
        for demand in (ON_DEMAND, OF_ALL)
    }
    looked_at = sources[OF_ALL].of_all(task.detections, task.pictures) if task.pictures else None
    fps = task.sequence.info.fps
    entrants = []
    for variant in VARIANTS:
        settings = replace(create_tracker(variant.tracker).settings, camera_motion=variant.camera_motion)
        found: Sequence[Detections] = task.detections
        if variant.demand and looked_at is not None:
            found = sources[variant.demand].for_tracker(looked_at, settings, fps)
        tracker = create_tracker(variant.tracker, settings=settings)
        entrants.append(Entrant(variant.name, tracker, found, variant.camera_motion != "off"))
    return run_trackers(entrants, task.pictures, fps)


def measure(entries: Sequence[Entry], data: Path, cache: AnswerCache, peers: Peers) -> Iterator[Scored]:
    """Everybody on everything."""
    tasks = [task_of(entry, data, cache) for entry in entries]
    for entry, task in zip(entries, tasks, strict=True):
        for each in run_variants(task, cache):
            yield from scores_of(entry, task, each)
    for runs in peers.run(tasks):
        note(runs[0].name)
        for entry, task, each in zip(entries, tasks, runs, strict=True):
            yield from scores_of(entry, task, each)


def scores_of(entry: Entry, task: Task, run: TrackerRun) -> Iterator[Scored]:
    """The score under the table's name of the sequence, and the second one of `PETS_FROM_0`."""
    named = [(entry.name, task.sequence)]
    if entry.name == PETS:
        named.append((PETS_FROM_0, MotSequence.read(task.sequence.folder, first_pixel=0)))
    for name, sequence in named:
        yield Scored(run.name, replace(judge(sequence, run.frames), sequence=name), run.update_s)


def details(scores: Sequence[Scored], sequence: str) -> str:
    """One sequence in full, best IDF1 first."""
    own = sorted(
        (each for each in scores if each.score.sequence == sequence), key=lambda e: -e.score.clear.idf1
    )
    rows: list[tuple[object, ...]] = []
    for each in own:
        score, clear = each.score, each.score.clear
        rows.append((
            each.tracker, f"{clear.idf1:.3f}", f"{clear.mota:.3f}", *of_hota(each), clear.switches,
            clear.false_positives, clear.misses, score.ids, f"{each.fps:.0f}" if each.fps else "-",
        ))  # fmt: skip
    heads = ("tracker", "IDF1", "MOTA", "HOTA", "DetA", "AssA", "IDSW", "FP", "FN", "ids", "fps")
    return f"{sequence}\n\n{markdown_table(heads, rows)}\n"


def of_hota(each: Scored) -> tuple[str, str, str]:
    hota = each.score.hota
    return (f"{hota.hota:.3f}", f"{hota.det_a:.3f}", f"{hota.ass_a:.3f}") if hota else ("-", "-", "-")


def matrix(scores: Sequence[Scored], what: str, value: Callable[[Scored], float | None]) -> str:
    """One measure of all trackers on all sequences, and its mean; best mean first."""
    sequences = list(dict.fromkeys(each.score.sequence for each in scores))
    found = {(each.tracker, each.score.sequence): value(each) for each in scores}
    rows = []
    for tracker in dict.fromkeys(each.tracker for each in scores):
        values = [found[tracker, sequence] for sequence in sequences]
        known = [one for one in values if one is not None]
        mean = float(np.mean(known)) if len(known) == len(values) else None
        rows.append((-(mean or 0.0), (tracker, *map(share, [mean, *values]))))
    rows.sort(key=lambda row: row[0])
    return f"{what}\n\n{markdown_table(('tracker', 'mean', *sequences), [cells for _, cells in rows])}\n"


def share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def idf1(each: Scored) -> float:
    return each.score.clear.idf1


def hota(each: Scored) -> float | None:
    return each.score.hota.hota if each.score.hota else None


def reach(scores: Sequence[Scored], means: Sequence[dict[str, Any]]) -> dict[str, str]:
    """What was asked for, in sentences."""
    found = {(each.score.sequence, each.tracker): each.score.clear for each in scores}
    said = {}
    parts = []
    for sequence, counted in ((PETS, "from 1"), (PETS_FROM_0, "from 0, as for the peers' figures")):
        if (with_reid := found.get((sequence, REID))) and (without := found.get((sequence, WITHOUT_REID))):
            parts.append(
                f"{with_reid.idf1:.3f} / {with_reid.mota:.3f} / {with_reid.switches} with ReID, "
                f"{without.idf1:.3f} / {without.mota:.3f} / {without.switches} without (truth's pixels {counted})"
            )
    if parts:
        said["pets"] = "; ".join(parts)
    if own := found.get((TUD, WITHOUT_REID)):
        said["tud"] = f"{own.idf1:.3f} / {own.mota:.3f}"
    said["defaults"] = against_defaults(means)
    return said


def against_defaults(means: Sequence[dict[str, Any]]) -> str:
    """The engine's default against the best of the libraries."""
    of_tracker = {each["tracker"]: each for each in means}
    peers = [each for name, each in of_tracker.items() if name.startswith(LIBRARIES)]
    if not peers:
        return "no peer is installed: python -m bench.identity --install-peers"
    parts = []
    for measure_name, title in (("idf1", "mean IDF1"), ("hota", "mean HOTA")):
        if any(each[measure_name] is None for each in of_tracker.values()):
            parts.append(f"{title} not measured")
            continue
        best = max(peers, key=lambda each: float(each[measure_name]))
        own = " and ".join(f"{of_tracker[name][measure_name]:.3f} ({name})" for name in (REID, WITHOUT_REID))
        parts.append(
            f"{title} {own}, best of {len(peers)} defaults {best[measure_name]:.3f} ({best['tracker']})"
        )
    return "; ".join(parts)


def note(line: str) -> None:
    """What goes on, where nobody takes it for a result."""
    print(f".. {line}", flush=True, file=sys.stderr)


def options() -> argparse.ArgumentParser:
    parser = argument_parser(__doc__)
    parser.add_argument(
        "--install-peers", nargs="?", type=Path, const=default_folder(), metavar="DIR",
        help=f"install the pinned peers into a folder of their own, and stop (default: {default_folder()})",
    )  # fmt: skip
    parser.add_argument("--peers", type=Path, metavar="DIR", help="where they are (default: the same)")
    parser.add_argument("--no-peers", action="store_true", help="the engine's trackers alone")
    parser.add_argument(
        "--sequence",
        action="append",
        metavar="TEXT",
        help="only those with this in their name; may be repeated",
    )
    parser.add_argument("--no-cache", action="store_true", help="run the networks anew, and keep nothing")
    return parser


def main() -> None:
    args = options().parse_args()
    if args.install_peers:
        install(args.install_peers)
        print(f"installed into {args.install_peers}")
        return
    # One thread for everybody, so that figures compare.
    cv2.setNumThreads(1)
    cache = AnswerCache(None) if args.no_cache else AnswerCache.of_the_engine()
    left_out: list[str] = []
    peers = Peers([] if args.no_peers else [ALL], args.peers, left_out.append)
    entries = [e for e in SEQUENCES if not args.sequence or any(text in e.name for text in args.sequence)]
    every = list(measure(entries, data_folder(), cache, peers))
    scores = [each for each in every if each.score.sequence != PETS_FROM_0]
    figures = as_json(scores)
    print(heading())
    print(matrix(scores, "IDF1", idf1))
    print(matrix(scores, "HOTA", hota))
    for sequence in dict.fromkeys(each.score.sequence for each in every):
        if sequence in (PETS, PETS_FROM_0, TUD):
            print(details(every, sequence))
    for line in left_out or (["no peers: left out by --no-peers"] if args.no_peers else []):
        print(f"* {line}")
    said = reach(every, figures["mean"])
    print("\n".join(f"* {sentence}" for sentence in said.values()))
    from_0 = as_json([each for each in every if each.score.sequence == PETS_FROM_0])["sequences"]
    write_json(args.json, reach=said, left_out=left_out, from_pixel_0=from_0, **figures)


if __name__ == "__main__":
    main()
