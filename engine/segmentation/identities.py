"""Which published ID belongs to which track: the tracker's own number unless the track continues a known object.

An object keeps its ID for ever. It is the number of the track that it began with; objects that begin without a track
(somebody pointed at them, or the grid of points found them) get numbers from `FIRST_OWN_ID` up, which no tracker
reaches. A track that starts on a known object is published under that object's ID from then on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

FIRST_OWN_ID = 1_000_000_000
"""IDs from here on are not a tracker's: a tracker that starts a hundred tracks a second gets here in 115 days."""
MOST_NAMES = 1024
"""Renamed tracks that are remembered. A tracker never reuses a number, so only those that may still live matter."""


class Identities:
    """Published IDs of one camera's tracks.

    next_own_id  the next ID for an object without a track; survives a restart with `names()`
    """

    def __init__(self, next_own_id: int = FIRST_OWN_ID, names: Mapping[int, int] | None = None) -> None:
        self.next_own_id = max(FIRST_OWN_ID, next_own_id)
        self._names: OrderedDict[int, int] = OrderedDict(names or {})

    def __len__(self) -> int:
        """Renamed tracks that are remembered."""
        return len(self._names)

    def of(self, track_id: int) -> int:
        """The published ID of a track; 0 stays 0."""
        return self._names.get(track_id, track_id)

    def renamed(self, track_id: int) -> bool:
        """Whether a track is published under another number than the tracker's."""
        return track_id in self._names

    def rename(self, track_id: int, object_id: int) -> None:
        """Publish a track under this ID from now on."""
        self._names.pop(track_id, None)
        if track_id != object_id:
            self._names[track_id] = object_id
        while len(self._names) > MOST_NAMES:
            self._names.popitem(last=False)

    def seen(self, track_ids: Iterable[int]) -> None:
        """These tracks live: their names are the last to be forgotten."""
        for track_id in track_ids:
            if track_id in self._names:
                self._names.move_to_end(track_id)

    def own_id(self) -> int:
        """An ID that nobody has had."""
        self.next_own_id += 1
        return self.next_own_id - 1

    def names(self, most: int = MOST_NAMES) -> dict[int, int]:
        """The published IDs of renamed tracks, those seen last."""
        return dict(list(self._names.items())[-most:])
