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
from collections.abc import Sequence as Several
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import ConfigError, WorkerError
from engine.eval_detections import Say
from engine.eval_pictures import Pictures
from engine.eval_runs import TrackerRun
from engine.evaluation.mot_scores import ResultFrame
from engine.evaluation.mot_sequence import Sequence
from engine.registry import nearest
from engine.types import Detections

ALL = "all"
_CHECKOUT = Path(__file__).resolve().parent.parent
_PROGRAM = "bench.tracker_peers"


class Peers:
    """The peers that were asked for and can run. Those that cannot are told to `say`, a line each."""

    def __init__(self, wanted: Several[str], folder: Path | None, say: Say) -> None:
        """`folder`: where their packages are, besides this Python's own.

        Raises `ConfigError` for a name that is not known, and outside a checkout.
        """
        self._folder = folder
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

    def run(
        self, name: str, sequence: Sequence, detections: Several[Detections], pictures: Pictures | None
    ) -> TrackerRun:
        """One of them on a sequence. Raises `WorkerError` with its last words where it fails."""
        with tempfile.TemporaryDirectory(prefix="camring-peer-") as folder:
            job, answer = Path(folder) / "job.npz", Path(folder) / "result.npz"
            files = pictures.files if pictures else ()
            clip = pictures.clip if pictures else None
            np.savez(
                job,
                counts=np.array([len(found) for found in detections]),
                boxes_xyxy=np.concatenate([found.boxes_xyxy for found in detections]),
                scores=np.concatenate([found.scores for found in detections]),
                class_ids=np.concatenate([found.class_ids for found in detections]),
                size_wh=np.array([sequence.info.width, sequence.info.height]),
                pictures=np.array([str(path.resolve()) for path in files], np.str_),
                clip=np.str_(clip.resolve() if clip else ""),
            )
            self._program(name, str(job), str(answer))
            with np.load(answer, allow_pickle=False) as stored:
                return _run_of(name, {key: stored[key] for key in stored.files})

    def _program(self, *arguments: str) -> str:
        places = [str(self._folder.resolve())] if self._folder else []
        variables = os.environ | {
            "PYTHONPATH": os.pathsep.join([*places, str(_CHECKOUT)]),
            "OMP_NUM_THREADS": "1",
            "PYTHONWARNINGS": "ignore",
        }
        command = [sys.executable, "-m", _PROGRAM, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=_CHECKOUT)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
            raise WorkerError(f"{arguments[0]} failed: {last}")
        return done.stdout


def _run_of(name: str, stored: dict[str, Any]) -> TrackerRun:
    ends = np.cumsum(stored["counts"])[:-1]
    boxes, ids = np.split(stored["boxes_xyxy"], ends), np.split(stored["ids"], ends)
    frames = [ResultFrame(*of_frame) for of_frame in zip(ids, boxes, strict=True)]
    return TrackerRun(name, frames, stored["update_s"].tolist())
