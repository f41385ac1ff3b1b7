"""All tracks of one camera as parallel arrays.

Knows how to add, drop and vote. Does not know how tracks move or which detection is theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from engine.types import F32, I32, I64

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]

LARGEST_VOTE = 10.0
"""The lead a class can have, in summed scores: so many sure sightings of another class change it."""


@dataclass(slots=True)
class TrackTable:
    """One row a track.

    states         float64 (n, 5, 4): see `engine.tracking.kalman`
    track_ids      int64 (n,): 0 until confirmed
    class_ids      int32 (n,): the class voted for so far
    votes          float64 (n,): lead of that class, in summed scores
    first_frames   int64 (n,): number of the frame in which the track was first seen
    first_s        float64 (n,): tracker time of the first sighting
    seen_s         float64 (n,): tracker time of the last sighting
    seen_frames    int64 (n,): number of the frame of the last sighting
    scores         float32 (n,): score of the last sighting
    evidence       float64 (n,): summed scores of all sightings
    looks          float32 (n, d): what they look like, of length 1; zeros where nobody looked yet. d is 0 until the
                   first embedding comes
    sightings      int32 (n,): how many embeddings went into `looks`
    """

    states: F64
    track_ids: I64
    class_ids: I32
    votes: F64
    first_frames: I64
    first_s: F64
    seen_s: F64
    seen_frames: I64
    scores: F32
    evidence: F64
    looks: F32
    sightings: I32

    @classmethod
    def empty(cls) -> TrackTable:
        """No tracks."""
        return cls(
            np.empty((0, 5, 4)), np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0),
            np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0, np.int64), np.empty(0, np.float32),
            np.empty(0), np.empty((0, 0), np.float32), np.empty(0, np.int32),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.track_ids)

    def keep(self, kept: Bools) -> None:
        """Drop all rows but those of a mask (n,)."""
        if not kept.all():
            for column in fields(self):
                setattr(self, column.name, getattr(self, column.name)[kept])

    def add(self, states: F64, class_ids: I32, scores: F32, frame: int, time_s: float) -> None:
        """Add tracks (k,) at the end, first seen now and without an ID."""
        count = len(class_ids)
        frames = np.full(count, frame, np.int64)
        self.states = np.concatenate((self.states, states))
        self.track_ids = np.concatenate((self.track_ids, np.zeros(count, np.int64)))
        self.class_ids = np.concatenate((self.class_ids, class_ids))
        self.votes = np.concatenate((self.votes, scores.astype(np.float64)))
        self.first_frames = np.concatenate((self.first_frames, frames))
        self.first_s = np.concatenate((self.first_s, np.full(count, time_s)))
        self.seen_s = np.concatenate((self.seen_s, np.full(count, time_s)))
        self.seen_frames = np.concatenate((self.seen_frames, frames))
        self.scores = np.concatenate((self.scores, scores))
        self.evidence = np.concatenate((self.evidence, scores.astype(np.float64)))
        self.looks = np.concatenate((self.looks, np.zeros((count, self.looks.shape[1]), np.float32)))
        self.sightings = np.concatenate((self.sightings, np.zeros(count, np.int32)))

    def take(self, chosen: Bools) -> TrackTable:
        """The rows of a mask (n,); copies."""
        return TrackTable(*(getattr(self, column.name)[chosen] for column in fields(self)))

    def followed_by(self, others: TrackTable) -> TrackTable:
        """These rows and then others. Looks of another length than the others' are forgotten."""
        before = self
        if before.looks.shape[1] != others.looks.shape[1]:
            before = self.take(np.ones(len(self), np.bool_))
            before.forget_looks(others.looks.shape[1])
        return TrackTable(
            *(
                np.concatenate((getattr(before, column.name), getattr(others, column.name)))
                for column in fields(self)
            )
        )

    def newest(self, most: int) -> Bools:
        """(n,) the `most` rows that were seen last."""
        kept = np.zeros(len(self), np.bool_)
        kept[np.argsort(-self.seen_frames, kind="stable")[:most]] = True
        return kept

    def forget_looks(self, dims: int) -> None:
        """Nobody has been looked at yet, and vectors have this many numbers from now on."""
        self.looks = np.zeros((len(self), dims), np.float32)
        self.sightings = np.zeros(len(self), np.int32)

    def see(self, rows: Rows, class_ids: I32, scores: F32, frame: int, time_s: float) -> None:
        """Note that these rows (k,), each named once, were seen as these classes with these scores.

        The class is a weighted majority vote (Boyer and Moore): a sighting of the leading class adds its
        score to the lead, any other takes it away, and a lead below zero changes sides.
        """
        self.seen_frames[rows] = frame
        self.seen_s[rows] = time_s
        self.scores[rows] = scores
        self.evidence[rows] += scores
        agrees = self.class_ids[rows] == class_ids
        votes = self.votes[rows] + np.where(agrees, scores, -scores)
        changed = votes < 0
        if changed.any():
            self.class_ids[rows[changed]] = class_ids[changed]
            np.abs(votes, out=votes)
        self.votes[rows] = np.minimum(votes, LARGEST_VOTE)
