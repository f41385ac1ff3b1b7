"""What happened to objects and modes, as plain records: kept until somebody takes them, counted where they are lost."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

MOST_EVENTS = 1000
"""Kept until drained; a camera that nobody asks loses its oldest ones."""


class EventKind(StrEnum):
    """Kinds of events."""

    ADDED = "added"
    """An object has a place in the memory, or was pointed at."""
    REMOVED = "removed"
    """It is no longer segmented: somebody said so, it stayed lost, or it turned out to be another object."""
    LOST = "lost"
    """It is out of sight; its memory is kept and looked through now and then."""
    FOUND = "found"
    """It is back, under the ID that it had."""
    EVICTED = "evicted"
    """Its memory went to another object, because there was no room."""
    REPROMPTED = "re-prompted"
    """Its mask and its box disagreed: it begins again from the detector's box."""
    FROZEN = "frozen"
    """The segmenter gave no usable answer for it."""
    LATE = "late"
    """Masks are older than they should be, or no longer are."""
    MODE = "mode changed"
    """The camera is segmented in another way."""


@dataclass(frozen=True, slots=True)
class Event:
    """One of them. `object_id` is 0 where it concerns no object; `time_s` is the caller's."""

    kind: EventKind
    camera: str
    object_id: int
    time_s: float
    text: str

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {
            "kind": str(self.kind), "camera": self.camera, "object_id": self.object_id,
            "time_s": self.time_s, "text": self.text,
        }  # fmt: skip


class EventLog:
    """The newest events that nobody has taken yet.

    added     events so far
    overflow  events so far that were pushed out before they were taken
    """

    def __init__(self, camera: str = "", most: int = MOST_EVENTS) -> None:
        self.camera = camera
        self.added = 0
        self.overflow = 0
        self._events: deque[Event] = deque(maxlen=most)

    def __len__(self) -> int:
        return len(self._events)

    def add(self, kind: EventKind, object_id: int, time_s: float, text: str) -> None:
        """Note one about this camera."""
        self.overflow += len(self._events) == self._events.maxlen
        self.added += 1
        self._events.append(Event(kind, self.camera, object_id, time_s, text))

    def drain(self) -> tuple[Event, ...]:
        """All that wait, oldest first; they are the caller's from now on."""
        events = tuple(self._events)
        self._events.clear()
        return events
