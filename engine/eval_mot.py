"""`engine-eval mot`: sequences in; a result from files, or from trackers on the same detections; scores out.

Knows the order of the work. What is read, run and measured is in the other `eval_` modules and in `evaluation`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import numpy as np

from engine.errors import ConfigError
from engine.eval_cache import AnswerCache
from engine.eval_detections import DetectionSource, DetectorSettings, Say
from engine.eval_looks import LookSettings, LookSource
from engine.eval_peers import Peers, Task
from engine.eval_pictures import Pictures
from engine.eval_runs import Entrant, TrackerRun, run_trackers
from engine.evaluation import hota
from engine.evaluation.mot_report import Scored, as_json, as_table
from engine.evaluation.mot_results import read_result, result_of
from engine.evaluation.mot_scores import judge
from engine.evaluation.mot_sequence import Sequence, find_sequences
from engine.tracking.base import create_tracker

DEFAULT_TRACKER = "botsort"


def run(args: argparse.Namespace, say: Say) -> int:
    """Judge what was asked for and print it. Raises an `EngineError`."""
    sequences = find_sequences(args.folders, args.fps, args.first_pixel)
    if args.clip is not None and len(sequences) > 1:
        raise ConfigError(f"--clip {args.clip}: one video for {len(sequences)} sequences; name one sequence")
    degraded = ""
    if args.result is None:
        evaluation = Evaluation(args, say)
        scored, degraded = evaluation.of(sequences), evaluation.degraded
    else:
        scored = _of_files(args, sequences)
    if not hota.available():
        say(hota.MISSING)
    if args.json:
        print(json.dumps(as_json(scored) | ({"degraded": [degraded]} if degraded else {}), indent=1))
    else:
        print(as_table(scored))
    return 0


def _of_files(args: argparse.Namespace, sequences: list[Sequence]) -> list[Scored]:
    if args.tracker or args.vs:
        raise ConfigError("--result is judged as it is: leave out --tracker and --vs")
    scored = []
    for sequence in sequences:
        path = result_of(args.result, sequence.name, alone=len(sequences) == 1)
        result = read_result(path, sequence, args.classes)
        scored.append(Scored(path.name, judge(sequence, result), np.empty(0)))
    return scored


class Evaluation:
    """Trackers on detections, sequence by sequence."""

    def __init__(self, args: argparse.Namespace, say: Say) -> None:
        """Raises `ConfigError` for a tracker that is not known, `ModelNotFound` for such a model."""
        self._args, self._say = args, say
        self._names = list(dict.fromkeys(args.tracker or [DEFAULT_TRACKER]))
        for name in self._names:
            create_tracker(name)
        cache = AnswerCache(None) if args.no_cache else AnswerCache.of_the_engine()
        settings = DetectorSettings(
            args.confidence, args.nms_iou, args.classes, args.backends, args.threads, args.require_model
        )
        self._detections = DetectionSource(args.detections, settings, cache, say)
        looks = LookSettings(args.reid_demand, args.backends, args.threads)
        self._looks = LookSource(args.reid, looks, cache, say) if args.reid else None
        self._peers = Peers(args.vs, args.peers, say)

    @property
    def degraded(self) -> str:
        """Which detector stands in for which and why, "" where it is the one that was asked for."""
        return self._detections.degraded

    def of(self, sequences: list[Sequence]) -> list[Scored]:
        """The scores of every tracker on every sequence."""
        tasks = [self._task(sequence) for sequence in sequences]
        unseen = [task.sequence.name for task in tasks if task.pictures is None]
        if unseen and self._args.camera_motion != "off":
            self._say(f"no pictures of {', '.join(unseen)}: trackers go without the camera's motion there")
        runs = [self._own_runs(task) for task in tasks]
        for runs_of_peer in self._peers.run(tasks):
            for of_sequence, run_of_peer in zip(runs, runs_of_peer, strict=True):
                of_sequence.append(run_of_peer)
        return [
            Scored(each.name, judge(task.sequence, each.frames), each.update_s)
            for task, of_sequence in zip(tasks, runs, strict=True)
            for each in of_sequence
        ]

    def _task(self, sequence: Sequence) -> Task:
        pictures = Pictures.of(sequence, self._args.clip)
        detections = self._detections.of(sequence, pictures)
        return Task(
            sequence, self._looks.of_all(detections, pictures) if self._looks else detections, pictures
        )

    def _own_runs(self, task: Task) -> list[TrackerRun]:
        fps = task.sequence.info.fps
        entrants = []
        for name in self._names:
            # Its own defaults but for the camera's motion.
            settings = replace(create_tracker(name).settings, camera_motion=self._args.camera_motion)
            own = self._looks.for_tracker(task.detections, settings, fps) if self._looks else task.detections
            entrants.append(
                Entrant(name, create_tracker(name, settings=settings), own, settings.camera_motion != "off")
            )
        return run_trackers(entrants, task.pictures, fps)
