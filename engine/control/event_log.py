"""The newest events, in memory, each with a number that only ever grows, also over restarts of this process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

MOST_EVENTS = 2000
MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events as JSON, oldest first; the number to go on from; whether some between are gone."""

    bodies: Sequence[bytes]
    following: int
    lost: bool


@dataclass(frozen=True, slots=True)
class _Event:
    number: int
    camera: str
    kind: str
    body: bytes


class EventLog:
    """Takes events by one thread, is read by another.

    first  number of the first event; microseconds of the time of day are beyond what any process before can have used
    """

    def __init__(self, first: int, most_events: int = MOST_EVENTS, most_bytes: int = MOST_BYTES) -> None:
        self._next = first
        self._first_kept = first
        self._gap_before = 0
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._bytes = 0
        self._events: deque[_Event] = deque()
        self._lock = threading.Lock()

    def add(self, camera: str, events: Sequence[tuple[str, bytes]]) -> None:
        """Keep events, each with its kind; the oldest ones go."""
        with self._lock:
            for kind, body in events:
                self._events.append(_Event(self._next, camera, kind, body))
                self._next += 1
                self._bytes += len(body)
            while len(self._events) > self._most_events or self._bytes > self._most_bytes:
                gone = self._events.popleft()
                self._bytes -= len(gone.body)
                self._first_kept = gone.number + 1

    def note_gap(self) -> None:
        """Events may have been missed here."""
        with self._lock:
            self._gap_before = self._next

    def page(self, since: int, cameras: frozenset[str], kinds: frozenset[str], limit: int) -> EventPage:
        """Events from number `since` on; the newest where that is 0. An empty set lets all through."""
        with self._lock:
            kept, following = list(self._events), self._next
            lost = since > 0 and (since < self._first_kept or since <= self._gap_before)
        wanted = [
            event
            for event in kept
            if event.number >= since
            and (not cameras or event.camera in cameras)
            and (not kinds or event.kind in kinds)
        ]
        page = wanted[:limit] if since else wanted[-limit:]
        if since and len(wanted) > limit:
            following = page[-1].number + 1
        return EventPage([event.body for event in page], following, lost)
