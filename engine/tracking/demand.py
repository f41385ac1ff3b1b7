"""Which boxes are worth a look: those whose looks can change a decision of the tracker or the gallery.

Embedding a crop costs a hundred times what tracking a box costs, and most boxes of a video lie where the box of the
same person lay a frame ago, with nobody else near: motion alone is right about them. `Demand` follows boxes from frame
to frame by overlap, in chains of its own, and names the others with the reason. It knows boxes, scores and classes of
one camera; not pixels, not a clock, not the budget (`engine.workers.infer_budget`), and not the tracker, which comes
later and may see it otherwise. A restarted process begins anew: everybody is new.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.tracking.chains import Chains, covered_shares, overlap_of, pair, regret_of
from engine.tracking.settings import TrackerSettings
from engine.types import I32, Detections

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]

LARGEST_COORDINATE_PX = 1e6


class Need(IntEnum):
    """Why a box is worth a look, the most needed first.

    NEW        nobody was there in the frames before: someone new, whom a track starts on, or someone come back, whom
               track or gallery may know; until there were `DemandSettings.new_looks`
    AMBIGUOUS  another pairing of this frame's boxes with the chains is nearly as good, or somebody who was hidden, or
               not found, has just come out again
    REFRESH    nothing is unclear, and the last look was `DemandSettings.refresh_frames` ago
    """

    NEW = 0
    AMBIGUOUS = 1
    REFRESH = 2


UNSURE = 0.75
"""Share of a sure box's score from which a look at an unsure one still helps it to continue its track: measured with
the boxes of six detectors, with jitter. Nearer to 1 more people are missed, from a half on more are switched."""


@dataclass(frozen=True, slots=True)
class DemandSettings:
    """What is worth a look.

    class_ids        classes that the network can tell apart
    refresh_frames   frames of a chain between two looks that nothing else asks for
    low_score        boxes below this are not followed: the tracker does not see them
    least_score      boxes below this are followed, but not looked at: such a box is hidden by half, and so is its look
    least_height_px  nor are boxes lower or
    least_width_px   narrower than this: a network that takes 256 × 128 sees in 24 rows little more than two colours,
                     and people that small overlap each other rarely enough for motion
    link_overlap     least overlap of a box with its predecessor
    repeat_overlap   of two boxes that overlap by more only the better one is followed
    margin           another pairing is nearly as good if it overlaps by so much less in sum
    covered          share of a box that others lie on from which its look is not its own
    new_looks        looks at somebody new: a track is confirmed in its second frame, and one look may be a bad one
    return_looks     looks at somebody who was hidden
    keep_frames      frames without a box after which a chain has ended
    most_boxes       boxes of a frame that are followed, best scores first
    """

    class_ids: tuple[int, ...]
    refresh_frames: int
    low_score: float
    least_score: float
    link_overlap: float
    repeat_overlap: float
    most_boxes: int
    least_height_px: float = 24.0
    least_width_px: float = 8.0
    margin: float = 0.3
    covered: float = 0.4
    new_looks: int = 3
    return_looks: int = 2
    keep_frames: int = 5

    @classmethod
    def of(cls, tracker: TrackerSettings, class_ids: Iterable[int], refresh_frames: int) -> DemandSettings:
        """Scores and overlaps as the tracker has them: a look is worth something where the tracker can use it."""
        return cls(
            class_ids=tuple(class_ids),
            refresh_frames=refresh_frames,
            low_score=tracker.low_score,
            least_score=UNSURE * min(tracker.high_score, tracker.start_score),
            link_overlap=tracker.match_similarity,
            repeat_overlap=tracker.duplicate_overlap,
            most_boxes=tracker.most_detections,
        )


class Wanted(NamedTuple):
    """Boxes worth a look, the most needed first.

    rows   int32 (k,): which detections
    needs  int32 (k,): `Need` of each
    """

    rows: I32
    needs: I32


class Demand:
    """The boxes of one camera, frame by frame in their order: `wanted`, then `granted`."""

    def __init__(self, settings: DemandSettings) -> None:
        self.settings = settings
        self.forget()

    def __len__(self) -> int:
        """Chains that are followed now."""
        return len(self._chains)

    def forget(self) -> None:
        """What comes next has nothing to do with what was: everybody is new."""
        self._chains = self._beginning(np.empty((0, 4)))
        self._chain_of_row: dict[int, int] = {}

    def wanted(self, detections: Detections) -> Wanted:
        """The boxes of this frame worth a look. Call it once a frame; boxes that are none are passed over."""
        settings, chains = self.settings, self._chains
        rows = self._followed(detections)
        boxes = detections.boxes_xyxy[rows].astype(np.float64)
        chains.age()
        overlap = chains.overlap_with(boxes)
        chain_of = pair(overlap, settings.link_overlap)
        regret = regret_of(overlap, chain_of, settings.link_overlap)
        gone = np.zeros(len(rows), np.bool_)
        linked = chain_of >= 0
        gone[linked] = chains.unseen[chain_of[linked]] > 1
        chain_of = self._go_on(boxes, chain_of)
        covered = covered_shares(boxes) >= settings.covered
        self._owe(chain_of, Need.AMBIGUOUS, gone | covered)
        needs, urgency = self._needs(chain_of, regret, covered)
        good = detections.scores[rows] >= settings.least_score
        sizes = boxes[:, 2:] - boxes[:, :2]
        good &= (sizes[:, 1] >= settings.least_height_px) & (sizes[:, 0] >= settings.least_width_px)
        chosen = np.flatnonzero(good & (needs >= 0))
        chosen = chosen[np.lexsort((rows[chosen], urgency[chosen], needs[chosen]))]
        self._chain_of_row = dict(zip(rows[chosen].tolist(), chain_of[chosen].tolist(), strict=True))
        return Wanted(rows[chosen].astype(np.int32), needs[chosen].astype(np.int32))

    def granted(self, rows: I32) -> None:
        """Those of the boxes just wanted that will be looked at; the others stay in need."""
        looked_at = [self._chain_of_row[row] for row in rows.tolist()]
        self._chains.since_look[looked_at] = 0
        self._chains.owed[looked_at] = np.maximum(self._chains.owed[looked_at] - 1, 0)

    def _followed(self, detections: Detections) -> Rows:
        """Rows of the boxes that are followed, best first: sound ones of the wanted classes, none twice."""
        settings, boxes, scores = self.settings, detections.boxes_xyxy, detections.scores
        # Not-a-number fails every comparison, so this catches it as well.
        sound = (np.abs(boxes) < LARGEST_COORDINATE_PX).all(axis=1)
        sound &= (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        sound &= np.isfinite(scores) & (scores >= settings.low_score)
        sound &= np.isin(detections.class_ids, settings.class_ids)
        rows = np.flatnonzero(sound)
        rows = rows[np.argsort(-scores[rows], kind="stable")[: settings.most_boxes]]
        best = boxes[rows].astype(np.float64)
        overlap = overlap_of(best, best)
        repeats = np.triu(overlap > settings.repeat_overlap, 1).any(axis=0)
        return rows[~repeats]

    def _beginning(self, boxes: F64) -> Chains:
        return Chains.begin(boxes, self.settings.new_looks, Need.NEW)

    def _go_on(self, boxes: F64, chain_of: Rows) -> Rows:
        """Chains take their boxes, new ones begin, old ones end; returns the chain of each box."""
        chains = self._chains
        linked, starting = np.flatnonzero(chain_of >= 0), np.flatnonzero(chain_of < 0)
        chains.go_on(chain_of[linked], boxes[linked])
        # What was not seen is soon forgotten, and at once where there is far too much of it.
        patience = self.settings.keep_frames if len(chains) <= self.settings.most_boxes else 0
        kept = chains.unseen <= patience
        self._chains = chains.followed_by(self._beginning(boxes[starting]), kept)
        chains_now = np.empty(len(boxes), np.intp)
        chains_now[linked] = (np.cumsum(kept) - 1)[chain_of[linked]]
        chains_now[starting] = np.count_nonzero(kept) + np.arange(len(starting))
        return chains_now

    def _owe(self, chain_of: Rows, need: Need, which: Bools) -> None:
        """Looks at boxes (m,) that were hidden, unless more are due to them as new ones."""
        chains, own = self._chains, chain_of[which]
        own = own[(chains.owed[own] == 0) | (chains.owed_need[own] == need)]
        chains.owed[own], chains.owed_need[own] = self.settings.return_looks, need

    def _needs(self, chain_of: Rows, regret: F64, covered: Bools) -> tuple[I64, F64]:
        """(m,) `Need` of each box, -1 for none, and how urgent it is among its like: the smaller the sooner."""
        settings, chains = self.settings, self._chains
        owed, since = chains.owed[chain_of], chains.since_look[chain_of]
        owed_need = chains.owed_need[chain_of]
        new = (owed > 0) & (owed_need == Need.NEW)
        # While others cover it, a look would be of them: what is not pressing waits.
        returned = (owed > 0) & (owed_need == Need.AMBIGUOUS) & ~covered
        unclear = regret < settings.margin
        patience = settings.refresh_frames + (settings.refresh_frames - 1) * covered
        needs = np.full(len(chain_of), -1)
        urgency = np.zeros(len(chain_of))
        for need, which, first in (
            (Need.REFRESH, since >= patience, -since.astype(np.float64)),
            (Need.AMBIGUOUS, unclear | returned, np.where(unclear, regret, settings.margin)),
            (Need.NEW, new, -owed.astype(np.float64)),
        ):
            needs[which], urgency[which] = need, first[which]
        return needs, urgency
