"""How good a person detector is: average precision on annotated sequences, and on frames of the rendered scenes.

Any detector file that the engine reads, through the engine's own detector, so that figures are those of a run. Real
footage is looked at here and nowhere else: nothing of a training depends on it.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from engine.errors import ConfigError
from engine.eval_pictures import Pictures
from engine.evaluation.mot_files import read_rows
from engine.evaluation.mot_sequence import Sequence, find_sequences
from engine.models.base import BatchItem, DetectorOptions
from engine.models.detector import create_detector
from engine.types import F32, FrameNv12
from tools.command_line import check_output, print_table, write_whole
from tools.nano.average_precision import (
    Judged,
    average_precision,
    best_f1_score,
    coco_average_precision,
    share_at,
)
from tools.nano.evaluate_scene import SETTINGS, scene_frames

EMBEDDED = Path("engine/models/embedded/nano_det.onnx")
BESIDE = "yolox_nano_416_f32"
SHOWN_SCORE = 0.25
"""What the engine writes and draws unless it is told otherwise (`infer.show_confidence`)."""
LEAST_SCORE = 0.01
LEAST_VISIBILITY = 0.4
"""People of whom less is to be seen, by the ninth column of gt.txt, are not asked for: no box says where they are."""
CLIPS = {"PETS09-S2L1-a": "clips/pets09_s2l1_0001-0320.mp4"}
"""Pictures of the sequences that have no folder of them, beside `mot/` in the data folder."""
_VISIBILITY, _COLUMNS_WITH_VISIBILITY = 8, 9


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one detector on one set of pictures.

    ap50, ap   average precision at an overlap of 0.5, and the mean over 0.5 … 0.95
    recall, precision  at `SHOWN_SCORE` and an overlap of 0.5
    best_score the score at which recall and precision would be best together
    """

    pictures: int
    people: int
    ap50: float
    ap: float
    recall: float
    precision: float
    best_score: float


def figures_of(judged: list[Judged], score: float = SHOWN_SCORE) -> Figures:
    """What is told of pictures."""
    share = share_at(judged, score)
    return Figures(
        len(judged), share.people, average_precision(judged), coco_average_precision(judged), share.recall,
        share.precision, best_f1_score(judged),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Annotated:
    """A sequence with pictures: for each frame who is to be found, and where nothing counts, float32 (n, 4)."""

    name: str
    pictures: Pictures
    wanted: tuple[F32, ...]
    ignored: tuple[F32, ...]


def annotated_sequences(data: Path) -> list[Annotated]:
    """The sequences in `data`/mot that have pictures. Raises `ConfigError` where there are none."""
    if not (data / "mot").is_dir():
        raise ConfigError(
            f"{data}: no folder mot in it; name the data folder by --footage or $ENGINE_TEST_DATA"
        )
    found = []
    for sequence in find_sequences([data / "mot"]):
        clip = data / CLIPS[sequence.name] if sequence.name in CLIPS else None
        pictures = Pictures.of(sequence, clip)
        if pictures is not None:
            found.append(_annotated(sequence, pictures))
    if not found:
        raise ConfigError(f"{data}/mot: no sequence with pictures in it")
    return found


def _annotated(sequence: Sequence, pictures: Pictures) -> Annotated:
    """Truth as the engine judges identities by it, less those who are hardly to be seen."""
    rows = read_rows(sequence.folder / "gt" / "gt.txt")
    hidden: dict[int, set[int]] = {}
    if rows.values.shape[1] == _COLUMNS_WITH_VISIBILITY:
        for row in np.flatnonzero(rows.values[:, _VISIBILITY] < LEAST_VISIBILITY):
            hidden.setdefault(int(rows.frames[row]), set()).add(int(rows.ids[row]))
    wanted, ignored = [], []
    width, height = sequence.info.width, sequence.info.height
    for number, frame in enumerate(sequence.truth, 1):
        little = np.isin(frame.ids, list(hidden.get(number, ())))
        boxes = _clipped(frame.boxes_xyxy, width, height)
        wanted.append(boxes[~little])
        beside = _clipped(frame.ignored_xyxy, width, height)
        ignored.append(np.concatenate([beside, boxes[little]]))
    return Annotated(sequence.name, pictures, tuple(wanted), tuple(ignored))


def _clipped(boxes: np.ndarray, width: int, height: int) -> F32:
    """Detectors do not answer beyond the picture."""
    if width and height:
        boxes = np.clip(boxes, 0, [width, height, width, height])
    return boxes.astype(np.float32)


def found_in(model: Path, frames: Iterable[FrameNv12], threads: int = 1) -> Iterator[tuple[F32, F32]]:
    """Boxes (n, 4) and scores (n,) of people in each frame, from `LEAST_SCORE` on."""
    options = DetectorOptions(
        confidence=LEAST_SCORE, classes=("person",), lanes=1, threads=threads, batch=1, masks=False
    )
    detector = create_detector(str(model), options)
    try:
        for frame in frames:
            (found,) = detector.infer([BatchItem(frame)])
            yield found.boxes_xyxy, found.scores
    finally:
        detector.close()


def judged_sequence(model: Path, sequence: Annotated) -> list[Judged]:
    """The detector on every picture of a sequence."""
    answers = found_in(model, sequence.pictures)
    return [
        Judged(boxes, scores, wanted, ignored)
        for (boxes, scores), wanted, ignored in zip(answers, sequence.wanted, sequence.ignored, strict=True)
    ]


def judged_scene(model: Path, frames_each: int) -> dict[str, list[Judged]]:
    """The detector on frames of the rendered scenes, by camera; people are told apart by their height there."""
    judged: dict[str, list[Judged]] = {}
    for setting in SETTINGS:
        drawn = list(scene_frames(setting, frames_each))
        answers = found_in(model, [frame for frame, _, _ in drawn])
        judged[setting.name] = [
            Judged(boxes, scores, wanted, ignored)
            for (boxes, scores), (_, wanted, ignored) in zip(answers, drawn, strict=True)
        ]
    return judged


def recall_by_height(judged: list[Judged], least_px: float, most_px: float) -> tuple[float, int]:
    """Recall at `SHOWN_SCORE` of people of this height, and how many these are; others do not count."""
    chosen = []
    for one in judged:
        heights = one.wanted_xyxy[:, 3] - one.wanted_xyxy[:, 1]
        those = (heights >= least_px) & (heights < most_px)
        rest = np.concatenate([one.ignored_xyxy, one.wanted_xyxy[~those]])
        chosen.append(Judged(one.boxes_xyxy, one.scores, one.wanted_xyxy[those], rest))
    share = share_at(chosen, SHOWN_SCORE)
    return share.recall, share.people


def default_footage() -> Path | None:
    """$ENGINE_TEST_DATA, or `shared/data` beside the checkout; None where neither is there."""
    named = os.environ.get("ENGINE_TEST_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    return folder if (folder / "mot").is_dir() else None


def main(args: argparse.Namespace) -> int:
    """Print the figures of the detectors side by side. Raises an `EngineError`."""
    if args.json is not None:
        check_output(args.json, ".json")
    if args.frames < 1:
        raise ConfigError("--frames is at least 1")
    footage = args.footage or default_footage()
    sequences = annotated_sequences(footage) if footage else []
    models = args.model or [Path(__file__).resolve().parents[2] / EMBEDDED]
    for model in models:
        if not model.is_file():
            raise ConfigError(
                f"{model}: there is no such file; train it first (tools/train_nano.py detector)"
            )
    rows = [
        (model.stem, name, figures_of(judged))
        for model in models for name, judged in judged_scene(model, args.frames).items()
    ]  # fmt: skip
    if footage:
        beside = footage / "weights" / f"{BESIDE}.onnx"
        models = [*models, *([beside] if beside.is_file() and beside not in models else [])]
    else:
        print("no real footage (--footage, $ENGINE_TEST_DATA): rendered frames only")
    rows += [
        (model.stem, sequence.name, figures_of(judged_sequence(model, sequence)))
        for sequence in sequences for model in models
    ]  # fmt: skip
    _tell(rows, args.json)
    return 0


def _tell(rows: list[tuple[str, str, Figures]], out: Path | None) -> None:
    columns = (
        "detector",
        "pictures of",
        "frames",
        "people",
        "AP50",
        "AP50:95",
        f"recall at {SHOWN_SCORE}",
        "precision",
    )
    cells = [
        (model, where, one.pictures, one.people, *(f"{figure:.3f}" for figure in
                                                   (one.ap50, one.ap, one.recall, one.precision)))
        for model, where, one in rows
    ]  # fmt: skip
    print_table(columns, cells)
    if out is not None:
        document = [{"detector": model, "where": where, **asdict(one)} for model, where, one in rows]
        write_whole(out, (json.dumps(document, indent=1) + "\n").encode())
