"""Made-up people: looks around a direction of their own, as alike as a network finds them; and a tracker of them."""

from __future__ import annotations

import numpy as np

from engine.config.identity import IdentityConfig
from engine.types import F32, I32, I64, Detections, Tracks

DIMS = 64
SETTINGS = IdentityConfig(scope="camera", similarity=0.7, margin=0.05)
MEAN = 0.4
"""What everybody has in common: cosine of different people."""


class People:
    """Looks of people by number. `alike` people are a pair that the network can hardly tell apart."""

    def __init__(self, seed: int = 0, dims: int = DIMS) -> None:
        self._chance = np.random.default_rng(seed)
        self._common = self._direction(dims)
        self._own: dict[int, F32] = {}
        self.dims = dims

    def look(self, person: int, noise: float = 0.3, of: int | None = None) -> F32:
        """A look of a person; `of` makes that person nearly another one."""
        if person not in self._own:
            own = self._direction(self.dims)
            self._own[person] = own if of is None else _unit(self._own[of] + 0.25 * own)
        mean = _unit(np.sqrt(MEAN) * self._common + np.sqrt(1 - MEAN) * self._own[person])
        return _unit(mean + noise * self._direction(self.dims))

    def looks(self, *people: int, noise: float = 0.3) -> F32:
        """float32 (n, d)."""
        return np.stack([self.look(person, noise) for person in people])

    def _direction(self, dims: int) -> F32:
        return _unit(self._chance.standard_normal(dims))


def _unit(vector: np.ndarray[tuple[int, ...], np.dtype[np.float64]] | F32) -> F32:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


class Walkers:
    """A tracker that is told who is there: each stay in the picture is a new track, confirmed at once."""

    def __init__(self, people: People, first_track_id: int = 1) -> None:
        self.people = people
        self.next_track_id = first_track_id
        self.new_ids: I64 = np.empty(0, np.int64)
        self.removed_ids: I64 = np.empty(0, np.int64)
        self.renamed: dict[int, int] = {}
        self.unseen: set[int] = set()
        self._track_of: dict[int, int] = {}
        self._looks: dict[int, tuple[F32, int]] = {}

    def see(self, *persons: int, noise: float = 0.3) -> Tracks:
        """A frame with these people."""
        removed = [person for person in self._track_of if person not in persons]
        self.removed_ids = np.array([self._track_of.pop(person) for person in removed], np.int64)
        new = [person for person in persons if person not in self._track_of]
        for person in new:
            self._track_of[person] = self.next_track_id
            self.next_track_id += 1
        self.new_ids = np.array([self._track_of[person] for person in new], np.int64)
        for person in persons:
            if person in self.unseen:
                continue
            track_id = self._track_of[person]
            before, count = self._looks.get(track_id, (np.zeros(self.people.dims, np.float32), 0))
            mean = _unit(before * min(count, 5) + self.people.look(person, noise))
            self._looks[track_id] = mean, count + 1
        boxes = np.array([[10.0 * p, 0, 10.0 * p + 8, 20] for p in persons], np.float32).reshape(-1, 4)
        found = Detections(boxes, np.full(len(persons), 0.9, np.float32), np.zeros(len(persons), np.int32))
        return Tracks.of(found, np.array([self._track_of[person] for person in persons], np.int64))

    def looks(self, track_ids: I64) -> tuple[F32, I32]:
        """As `engine.tracking.base.Tracker.looks`."""
        none = (np.zeros(self.people.dims, np.float32), 0)
        found = [self._looks.get(track_id, none) for track_id in track_ids.tolist()]
        looks = np.array([look for look, _ in found], np.float32).reshape(len(found), self.people.dims)
        return looks, np.array([count for _, count in found], np.int32)

    def rename(self, track_id: int, known_id: int) -> None:
        """As `engine.tracking.base.Tracker.rename`."""
        (person,) = [person for person, own in self._track_of.items() if own == track_id]
        if known_id in self._track_of.values():
            raise ValueError(known_id)
        self._track_of[person] = known_id
        self._looks[known_id] = self._looks.pop(track_id)
        self.renamed[track_id] = known_id
