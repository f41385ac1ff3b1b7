"""What objects look like, so that one that was lost is recognised when it comes back.

Knows vectors by name, not where they come from: SAM 2's object pointer is one, the embedding of a re-identification
network may be another. Whether two objects may be the same at all (class, place, time) is the caller's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from engine.types import F32

VIEWS = 4
"""Vectors kept of an object under one name: a few sides of it."""
SAME_VIEW = 0.95
"""A vector more similar than this to one that is kept takes its place."""


@dataclass(frozen=True, slots=True)
class EmbeddingKind:
    """A way to describe an object as a float32 vector.

    threshold  cosine from which two descriptions may be of the same object
    weight     its say where objects are described in several ways
    """

    name: str
    threshold: float
    weight: float = 1.0


SAM2_POINTER = EmbeddingKind("sam2-pointer", 0.5)
"""SAM 2's own description of an object. It was trained to find the object again in the same video, not to tell people
apart: the threshold only rules out what is clearly another thing, and the overlap of masks decides. Not measured:
random weights say nothing about it."""


class Gallery:
    """Descriptions of one camera's objects, at most `VIEWS` of each kind for each object."""

    def __init__(self, kinds: Iterable[EmbeddingKind] = (SAM2_POINTER,)) -> None:
        self._kinds = {kind.name: kind for kind in kinds}
        self._views: dict[int, dict[str, list[F32]]] = {}

    def __len__(self) -> int:
        """Objects that are described."""
        return len(self._views)

    def add(self, object_id: int, name: str, vector: F32) -> None:
        """Describe an object. A vector that is zero or not finite describes nothing. Raises `KeyError` for a name
        that is no kind of this gallery."""
        unit = _unit(vector)
        if unit is None or name not in self._kinds:
            if name not in self._kinds:
                raise KeyError(name)
            return
        views = self._views.setdefault(object_id, {}).setdefault(name, [])
        likeness = [float(unit @ view) for view in views]
        if likeness and max(likeness) > SAME_VIEW:
            del views[int(np.argmax(likeness))]
        elif len(views) == VIEWS:
            del views[0]
        views.append(unit)

    def forget(self, object_id: int) -> None:
        """Nothing is known of this object any more."""
        self._views.pop(object_id, None)

    def likeness(self, object_id: int, vectors: Mapping[str, F32]) -> float | None:
        """How much above its threshold the likeness with these descriptions is, weighted; negative: another object.

        Each kind that both are described in counts with its best view. None where there is no such kind.
        """
        known = self._views.get(object_id, {})
        total, weights = 0.0, 0.0
        for name, vector in vectors.items():
            unit = _unit(vector)
            if name in known and unit is not None:
                kind = self._kinds[name]
                total += kind.weight * (max(float(unit @ view) for view in known[name]) - kind.threshold)
                weights += kind.weight
        return total / weights if weights else None

    def views(self, object_id: int) -> dict[str, F32]:
        """The newest description of each kind."""
        return {name: views[-1] for name, views in self._views.get(object_id, {}).items()}


def _unit(vector: F32) -> F32 | None:
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        return None
    return (vector / length).astype(np.float32)
