"""Who comes before one camera: when a new track is recognised, under which ID it is shown, and what is kept of it.

An ID that was shown is never changed. So a new track is decided about when its tracker confirms it; where somebody who
left could be meant and the looks do not tell yet, it is shown without ID for a moment (`identity.wait_s`). Whoever has
not been looked at by then keeps the new ID, and may still be given its `gid` later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from engine.identity.gallery import Gallery, Outcome, Verdict
from engine.types import F32, I32, I64, Tracks, TrackState

SURE_LOOKS = 3
"""A newcomer looked at so often is decided about at once, if its looks tell; the first one is often cut off by the
picture's edge."""
DESCRIBE_EVERY_S = 1.0
"""Between two times that what is known of those in the picture is brought up to date."""


class LooksOfTracks(Protocol):
    """What is needed of a tracker (`engine.tracking.base.Tracker`)."""

    new_ids: I64
    removed_ids: I64

    def looks(self, track_ids: I64) -> tuple[F32, I32]:
        """Looks of tracks, and how many embeddings went into each."""

    def rename(self, track_id: int, known_id: int) -> None:
        """A track is somebody known."""


@dataclass(slots=True)
class Waiting:
    """A new track that nobody knows yet: since when, and of which class."""

    since_s: float
    class_id: int


class Arrivals:
    """The policy for one camera. `advance` is called once a frame, behind the tracker and before anything is shown."""

    def __init__(self, camera: str, gallery: Gallery) -> None:
        self.camera = camera
        self._gallery = gallery
        self._waiting: dict[int, Waiting] = {}
        self._described_s = -np.inf

    def advance(self, tracks: Tracks, tracker: LooksOfTracks, time_s: float) -> Tracks:
        """The tracks under the IDs that they are to be shown with, and their gids.

        time_s  of the gallery's time line, never backwards
        """
        gallery = self._gallery
        if gallery.scope == "off":
            self._waiting.clear()
            return tracks
        gallery.advance(self.camera, time_s)
        self._take_leave(tracker)
        self._take_note(tracks, tracker, time_s)
        renamed = self._decide(tracks, tracker, time_s)
        shown = self._shown(tracks, renamed)
        gallery.seen(self.camera, shown.track_ids[shown.states == TrackState.CONFIRMED], time_s)
        if time_s >= self._described_s + DESCRIBE_EVERY_S:
            self._described_s = time_s
            self._describe(shown.track_ids[shown.states == TrackState.CONFIRMED], tracker)
        return shown

    def _take_leave(self, tracker: LooksOfTracks) -> None:
        removed = tracker.removed_ids
        if not len(removed):
            return
        for track_id in removed.tolist():
            self._waiting.pop(track_id, None)
        looks, counts = tracker.looks(removed)
        if looks.shape[1]:
            self._gallery.describe(self.camera, removed[counts > 0], looks[counts > 0])
        self._gallery.left(self.camera, removed)

    def _take_note(self, tracks: Tracks, tracker: LooksOfTracks, time_s: float) -> None:
        class_of = dict(zip(tracks.track_ids.tolist(), tracks.class_ids.tolist(), strict=True))
        for track_id in tracker.new_ids.tolist():
            self._waiting[track_id] = Waiting(time_s, class_of.get(track_id, -1))

    def _decide(self, tracks: Tracks, tracker: LooksOfTracks, time_s: float) -> dict[int, int]:
        """Decide about whoever can be decided about; new ID → known ID of those who were recognised."""
        asked = self._undecided(tracks)
        if not asked:
            return {}
        ids = np.array(sorted(asked), np.int64)
        looks, counts = tracker.looks(ids)
        looked_at = counts > 0
        for track_id in ids[~looked_at].tolist():
            self._without_look(track_id, time_s)
        if not looked_at.any():
            return {}
        ids, looks, counts = ids[looked_at], looks[looked_at], counts[looked_at]
        classes = np.array([asked[each] for each in ids.tolist()], np.int32)
        verdicts = self._gallery.recognise(self.camera, classes, looks, time_s)
        renamed = {}
        for index, (track_id, verdict) in enumerate(zip(ids.tolist(), verdicts, strict=True)):
            if self._is_open(track_id, verdict, int(counts[index]), time_s):
                continue
            known = self._settle(track_id, asked[track_id], verdict, time_s)
            self._gallery.describe(self.camera, ids[index : index + 1], looks[index : index + 1])
            if known and known != track_id:
                tracker.rename(track_id, known)
                renamed[track_id] = known
        return renamed

    def _undecided(self, tracks: Tracks) -> dict[int, int]:
        """Track ID → class of new tracks, and of shown ones without identity."""
        found = {track_id: waiting.class_id for track_id, waiting in self._waiting.items()}
        gallery = self._gallery
        confirmed = tracks.states == TrackState.CONFIRMED
        for track_id, class_id in zip(
            tracks.track_ids[confirmed].tolist(), tracks.class_ids[confirmed].tolist(), strict=True
        ):
            if not gallery.gid_of(self.camera, track_id) and not gallery.is_declined(self.camera, track_id):
                found.setdefault(track_id, class_id)
        return found

    def _without_look(self, track_id: int, time_s: float) -> None:
        """Show a new track that nobody can be meant by, or that has waited for long enough."""
        waiting = self._waiting.get(track_id)
        if waiting is None:
            return
        over = time_s - waiting.since_s >= self._gallery.config.wait_s
        if over or not self._gallery.may_come(self.camera, waiting.class_id, time_s):
            del self._waiting[track_id]

    def _is_open(self, track_id: int, verdict: Verdict, looks: int, time_s: float) -> bool:
        """Whether a new track waits for more looks."""
        waiting = self._waiting.get(track_id)
        if waiting is None or time_s - waiting.since_s >= self._gallery.config.wait_s:
            return False
        if verdict.cosine < 0.0 and not self._gallery.may_come(self.camera, waiting.class_id, time_s):
            return False
        return looks < SURE_LOOKS or verdict.outcome in (Outcome.CLOSE, Outcome.GATED)

    def _settle(self, track_id: int, class_id: int, verdict: Verdict, time_s: float) -> int:
        """Give a track its identity; returns the ID that somebody known had here, for a track that was not shown."""
        gallery = self._gallery
        was_shown = self._waiting.pop(track_id, None) is None
        if verdict.outcome in (Outcome.CLOSE, Outcome.GATED):
            gallery.counts[f"refused:{'margin' if verdict.outcome is Outcome.CLOSE else 'gate'}"] += 1
        known = gallery.known_id(verdict.gid, self.camera) if verdict.gid and not was_shown else 0
        gallery.enter(self.camera, known or track_id, class_id, time_s, verdict.gid)
        return known

    def _shown(self, tracks: Tracks, renamed: dict[int, int]) -> Tracks:
        ids = tracks.track_ids
        if renamed:
            ids = np.array([renamed.get(each, each) for each in ids.tolist()], np.int64)
        states = tracks.states
        if self._waiting:
            held = np.isin(ids, np.fromiter(self._waiting, np.int64, len(self._waiting)))
            if held.any():
                ids = np.where(held, 0, ids)
                states = np.where(held & (states == TrackState.CONFIRMED), TrackState.TENTATIVE, states)
        shown = replace(
            tracks,
            track_ids=ids,
            states=states.astype(np.int32),
            gids=self._gallery.gids_of(self.camera, ids),
        )
        # One that coasts is not seen, and without an ID it is nobody.
        hidden = (shown.states == TrackState.COASTING) & (shown.track_ids == 0)
        return shown.take(~hidden) if hidden.any() else shown

    def _describe(self, track_ids: I64, tracker: LooksOfTracks) -> None:
        if not len(track_ids):
            return
        looks, counts = tracker.looks(track_ids)
        known = counts > 0
        if looks.shape[1] and known.any():
            self._gallery.describe(self.camera, track_ids[known], looks[known])
            self._gallery.learn(self.camera, track_ids[known], looks[known])
