"""Room for objects with a memory, on one device for all cameras: who has a place, and who gives way.

Knows numbers only; the memory itself is the segmenter's. A place is taken before the request goes out, so that the
bank, which has as many rows, never has to choose for itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

Key = tuple[str, int]
"""Camera and object ID."""


@dataclass(slots=True)
class Seat:
    """A place that is taken. `visible`: the object is in the picture at present."""

    seen_s: float
    protected: bool = False
    visible: bool = True


class Seats:
    """Places of one device.

    evicted  objects that had to give way so far
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.evicted = 0
        self._seats: dict[Key, Seat] = {}
        self._notices: dict[str, list[int]] = {}
        self._freed: deque[Key] = deque(maxlen=4 * capacity)

    def __len__(self) -> int:
        """Places taken."""
        return len(self._seats)

    def __contains__(self, key: Key) -> bool:
        return key in self._seats

    def take(self, key: Key, seat: Seat, *, insist: bool) -> bool:
        """Whether there is a place; then it is taken.

        Where all are taken, the unprotected object that was seen least recently gives way, those that are out of
        sight first. Who does not insist takes none from an object that is in the picture: with more objects than
        places they would only push each other out.
        """
        if key not in self._seats and len(self._seats) >= self.capacity:
            victim = self._victim(insist=insist)
            if victim is None:
                return False
            self._evict(victim)
        self._seats[key] = seat
        return True

    def could_take(self, key: Key) -> bool:
        """Whether somebody who insists would get a place."""
        return key in self._seats or len(self._seats) < self.capacity or self._victim(insist=True) is not None

    def update(self, key: Key, seat: Seat) -> None:
        """What is known of an object now, if it has a place."""
        if key in self._seats:
            self._seats[key] = seat

    def give_back(self, key: Key) -> None:
        """The place is free again."""
        self._seats.pop(key, None)

    def drain_evicted(self, camera: str) -> list[int]:
        """Objects of a camera that gave way since it last asked."""
        return self._notices.pop(camera, [])

    def drain_freed(self) -> tuple[Key, ...]:
        """Memories to be given back with the next job, whose camera may be another. Twice does no harm."""
        freed = tuple(self._freed)
        self._freed.clear()
        return freed

    def free_again(self, freed: Iterable[Key]) -> None:
        """That job was not run: the next one gives them back."""
        self._freed.extendleft(freed)

    def _victim(self, *, insist: bool) -> Key | None:
        candidates = [
            (seat.visible, seat.seen_s, key)
            for key, seat in self._seats.items()
            if not seat.protected and (insist or not seat.visible)
        ]
        return min(candidates)[2] if candidates else None

    def _evict(self, key: Key) -> None:
        del self._seats[key]
        self.evicted += 1
        self._notices.setdefault(key[0], []).append(key[1])
        self._freed.append(key)
