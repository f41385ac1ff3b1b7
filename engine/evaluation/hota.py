"""HOTA by TrackEval (Luiten et al., IJCV 2021). The only file that imports `trackeval`.

Its own reading of files and its preprocessing are not used: it gets overlaps of boxes that are judged, frame by frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.types import I64

F64 = NDArray[np.float64]

MISSING = (
    "HOTA is left out, trackeval is missing: pip install --no-deps trackeval==1.3.0 (with its dependencies it would "
    "lay opencv-python over the OpenCV that is there)"
)


@dataclass(frozen=True, slots=True)
class Hota:
    """Means over the overlaps .05, .10, … .95, and what is needed to combine sequences.

    hota  geometric mean of `det_a` (are the boxes right) and `ass_a` (do they keep their identity)
    """

    hota: float
    det_a: float
    ass_a: float
    parts: Mapping[str, Any]


def available() -> bool:
    """Whether the package is installed. Does not import it."""
    return find_spec("trackeval") is not None


def hota_of(frames: Iterable[tuple[I64, I64, F64]]) -> Hota:
    """HOTA over frames of (true IDs (n,), given IDs (m,), overlaps (n, m)); `available` has to be true."""
    truth, given, overlaps = ([], [], []) if not (listed := list(frames)) else zip(*listed, strict=True)
    truth_places, people = _places(truth)
    given_places, tracks = _places(given)
    data = {
        "num_gt_ids": people,
        "num_tracker_ids": tracks,
        "num_gt_dets": sum(map(len, truth)),
        "num_tracker_dets": sum(map(len, given)),
        "gt_ids": truth_places,
        "tracker_ids": given_places,
        "similarity_scores": list(overlaps),
    }
    return _summary(_metric().eval_sequence(data))


def combined(scores: Sequence[Hota]) -> Hota:
    """HOTA over all frames of several sequences."""
    return _summary(_metric().combine_sequences({str(n): score.parts for n, score in enumerate(scores)}))


def _metric() -> Any:
    # On being imported it prints which of its benchmarks cannot be used; none is.
    with redirect_stdout(StringIO()):
        from trackeval.metrics import HOTA

    return HOTA()


def _summary(parts: Mapping[str, Any]) -> Hota:
    hota, det_a, ass_a = (float(np.mean(parts[name])) for name in ("HOTA", "DetA", "AssA"))
    return Hota(hota, det_a, ass_a, parts)


def _places(ids: Sequence[I64]) -> tuple[list[NDArray[np.intp]], int]:
    """The IDs of each frame as numbers from 0 without gaps, and how many there are."""
    known = np.unique(np.concatenate(ids)) if ids else np.empty(0, np.int64)
    return [np.searchsorted(known, each) for each in ids], len(known)
