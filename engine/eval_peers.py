"""Trackers of other libraries on the same detections, for comparison. In a checkout only.

Each runs in a process of its own (`python -m bench.tracker_peers` of the checkout): some are under the AGPL, which the
engine never imports, and they want other versions of what it uses. Knows how to start them and what is handed over.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from collections.abc import Sequence as Several
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import ConfigError, WorkerError
from engine.eval_detections import Say
from engine.eval_pictures import Pictures
from engine.eval_runs import TrackerRun
from engine.evaluation.mot_scores import ResultFrame
from engine.evaluation.mot_sequence import Sequence
from engine.models.registry import cache_dir
from engine.registry import nearest
from engine.types import Detections

ALL = "all"
_CHECKOUT = Path(__file__).resolve().parent.parent
_PROGRAM = "bench.tracker_peers"


@dataclass(frozen=True, slots=True)
class Task:
    """What a tracker is given of a sequence."""

    sequence: Sequence
    detections: Several[Detections]
    pictures: Pictures | None


def default_folder() -> Path:
    """Where `python -m bench.identity --install-peers` puts packages."""
    return cache_dir().parent / "tracker-peers"


class Peers:
    """The peers that were asked for and can run. Those that cannot are told to `say`, a line each."""

    def __init__(self, wanted: Several[str], folder: Path | None, say: Say) -> None:
        """`folder`: where their packages are, besides this Python's own; None = `default_folder`.

        Raises `ConfigError` for a name that is not known, and outside a checkout.
        """
        self._say = say
        self._folder = folder or default_folder()
        self.names: list[str] = []
        if not wanted:
            return
        if not (_CHECKOUT / "bench" / "tracker_peers").is_dir():
            raise ConfigError("--vs works in a checkout of the repository, where bench/tracker_peers is")
        if folder is not None and not folder.is_dir():
            raise ConfigError(
                f"--peers {folder}: no such folder; python -m bench.identity --install-peers {folder}"
            )
        known: dict[str, str] = json.loads(self._program("--list"))
        for name in wanted:
            if name != ALL and name not in known:
                raise ConfigError(
                    f"--vs {name!r} is not known{nearest(name, known)}; use {ALL}, or of: {', '.join(known)}"
                )
        for name in known if ALL in wanted else dict.fromkeys(wanted):
            if known[name]:
                say(f"{name} is left out: {known[name]}")
            else:
                self.names.append(name)

    def run(self, tasks: Several[Task]) -> Iterator[list[TrackerRun]]:
        """Each of them on all of these. One that fails is left out, with its last words."""
        for name in self.names:
            try:
                yield self._run(name, tasks)
            except WorkerError as error:
                self._say(f"{name} is left out: {error}")

    def _run(self, name: str, tasks: Several[Task]) -> list[TrackerRun]:
        with tempfile.TemporaryDirectory(prefix="camring-peer-") as folder:
            paths = []
            for number, task in enumerate(tasks):
                paths += [Path(folder) / f"job{number}.npz", Path(folder) / f"result{number}.npz"]
                _write_job(paths[-2], task)
            self._program(name, *map(str, paths))
            return [_read_result(name, path) for path in paths[1::2]]

    def _program(self, *arguments: str) -> str:
        places = [str(self._folder.resolve())] if self._folder.is_dir() else []
        variables = os.environ | {
            "PYTHONPATH": os.pathsep.join([*places, str(_CHECKOUT)]),
            "OMP_NUM_THREADS": "1",
            "PYTHONWARNINGS": "ignore",
        }
        command = [sys.executable, "-m", _PROGRAM, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=_CHECKOUT)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
            raise WorkerError(f"it failed: {last}")
        return done.stdout


def _write_job(path: Path, task: Task) -> None:
    detections, info = task.detections, task.sequence.info
    files = task.pictures.files if task.pictures else ()
    clip = task.pictures.clip if task.pictures else None
    np.savez(
        path,
        counts=np.array([len(found) for found in detections]),
        boxes_xyxy=np.concatenate([found.boxes_xyxy for found in detections]),
        scores=np.concatenate([found.scores for found in detections]),
        class_ids=np.concatenate([found.class_ids for found in detections]),
        size_wh=np.array([info.width, info.height]),
        pictures=np.array([str(file.resolve()) for file in files], np.str_),
        clip=np.str_(clip.resolve() if clip else ""),
    )


def _read_result(name: str, path: Path) -> TrackerRun:
    with np.load(path, allow_pickle=False) as stored:
        ends = np.cumsum(stored["counts"])[:-1]
        boxes, ids = np.split(stored["boxes_xyxy"], ends), np.split(stored["ids"], ends)
        times_s = stored["update_s"].tolist()
    return TrackerRun(name, [ResultFrame(*of_frame) for of_frame in zip(ids, boxes, strict=True)], times_s)
