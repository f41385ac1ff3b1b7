"""The objects of one camera, and the few things that can happen to one.

Knows identities, places in the memory and events. Does not know frames, requests or when anything is done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from engine.segmentation.events import EventKind, EventLog
from engine.segmentation.gallery import Gallery
from engine.segmentation.geometry import Outline
from engine.segmentation.identities import Identities
from engine.segmentation.jobs import Memory
from engine.segmentation.seats import Seat, Seats
from engine.types import F32, Prompt

NO_CLASS = -1
"""Class of an object that no detector has named."""


class Origin(StrEnum):
    """What an object began with."""

    TRACK = "track"
    PROMPT = "prompt"
    AUTOMATIC = "automatic"


@dataclass(frozen=True, slots=True, eq=False)
class Pointed:
    """A prompt that waits for a keyframe, and where the object's box was when it was given (None: no box known)."""

    prompt: Prompt
    anchor_xyxy: F32 | None


@dataclass(slots=True, eq=False)
class HeldObject:
    """One object that is segmented.

    box_xyxy         where it is, as far as is known: of its track, or of its mask as it was moved
    track_id         the tracker's number in the newest record; 0: it has no track there
    last_track_id    the number it had last
    seen_s           when its track was there, or the frame of its last sure mask
    tracked_s        when its track was there; None: it has never had one
    masked_s         frame time of its mask; None without one
    outline, outline_box_xyxy   its newest mask, and where its box was on that frame
    pointed          what somebody has pointed at and no keyframe has taken yet
    seated           it has a place in the memory
    remembers        there is something in it
    sure             its newest mask shows it
    begin_again      it is to start from its box at the next keyframe
    tighten          (4,) by how much its mask's edges differ from the track's box, in parts of its size
    lost_since_s     when it went out of sight; None: it is there
    passed           keyframes that could have refreshed it and did not
    """

    object_id: int
    origin: Origin
    box_xyxy: F32
    added_s: float
    seen_s: float
    class_id: int = NO_CLASS
    protected: bool = False
    track_id: int = 0
    last_track_id: int = 0
    tracked_s: float | None = None
    velocity_xy: F32 = field(default_factory=lambda: np.zeros(2, np.float32))
    pointed: Pointed | None = None
    seated: bool = False
    remembers: bool = False
    announced: bool = False
    sure: bool = False
    confidence: float = 0.0
    masked_s: float | None = None
    outline: Outline | None = None
    outline_box_xyxy: F32 | None = None
    tighten: F32 | None = None
    begin_again: bool = False
    disagreements: int = 0
    begun_again: int = 0
    lost_since_s: float | None = None
    look_at_s: float = 0.0
    failures: int = 0
    frozen_until_s: float = 0.0
    passed: int = 0
    records: int = 0

    @property
    def tracked(self) -> bool:
        """Whether it has a track in the newest record."""
        return self.track_id > 0

    @property
    def visible(self) -> bool:
        """Whether it is in the picture, as far as is known."""
        return self.lost_since_s is None and (self.tracked or self.sure)

    def point(self, prompt: Prompt, anchor_xyxy: F32 | None) -> None:
        """Somebody points at it; it waits no longer for anything."""
        self.pointed = Pointed(prompt, anchor_xyxy)
        self.begin_again = False

    def was_beside(self, other: HeldObject) -> bool:
        """Whether it had its track when the other was there already, so that they are two."""
        return self.tracked_s is not None and other.added_s <= self.tracked_s

    def current_outline(self) -> Outline | None:
        """Its newest mask, carried along with its box."""
        if self.outline is None or self.outline_box_xyxy is None:
            return None
        return self.outline.moved(self.outline_box_xyxy, self.box_xyxy)


class ObjectTable:
    """All objects of a camera by ID.

    now_s     time of the newest call, set by the owner
    forgets   objects whose memory is to be given back with the next job
    gone      objects that the caller need not keep masks of any more
    asked     what the job that is under way wants of each object
    declined  objects that somebody removed: not segmented until somebody points at them
    present   tracks of the newest record; newest_track is the highest number that a track has had
    renamed   (ID under which a track was known, ID that it has now) in the order in which it was found out
    """

    def __init__(self, camera: str, seats: Seats, identities: Identities, gallery: Gallery) -> None:
        self.camera = camera
        self.objects: dict[int, HeldObject] = {}
        self.identities = identities
        self.gallery = gallery
        self.events = EventLog(camera)
        self.now_s = 0.0
        self.forgets: dict[int, None] = {}
        self.gone: dict[int, None] = {}
        self.asked: dict[int, Memory] = {}
        self.declined: dict[int, None] = {}
        self.present: frozenset[int] = frozenset()
        self.newest_track = 0
        self.renamed: list[tuple[int, int]] = []
        self._seats = seats

    def note(self, kind: EventKind, held: HeldObject | int, text: str) -> None:
        """An event about an object (or its ID) now."""
        object_id = held if isinstance(held, int) else held.object_id
        self.events.add(kind, object_id, self.now_s, text)

    def add(self, held: HeldObject) -> HeldObject:
        """Hold one more."""
        self.objects[held.object_id] = held
        self.gone.pop(held.object_id, None)
        return held

    def announce(self, held: HeldObject, text: str) -> None:
        """Say once that an object is segmented from now on."""
        if not held.announced:
            held.announced = True
            self.note(EventKind.ADDED, held, text)

    def drop(self, held: HeldObject, text: str, kind: EventKind = EventKind.REMOVED) -> None:
        """Hold it no longer. Its ID stays with its track, if there is one."""
        self.unseat(held)
        del self.objects[held.object_id]
        self.gallery.forget(held.object_id)
        self.gone[held.object_id] = None
        if held.announced:
            self.note(kind, held, text)

    def seat(self, held: HeldObject, *, insist: bool) -> bool:
        """Give it a place in the memory, if there is one."""
        if not held.seated:
            held.seated = self._seats.take(self._key(held), self._seat(held), insist=insist)
            self.take_evictions()
        return held.seated

    def unseat(self, held: HeldObject) -> None:
        """Give its place back, and what is in it."""
        if held.seated:
            self._seats.give_back(self._key(held))
            self.forgets[held.object_id] = None
        held.seated = held.remembers = False

    def take_freed(self) -> tuple[tuple[str, int], ...]:
        """Objects of all cameras whose memory goes to others with the next job."""
        return self._seats.drain_freed()

    def free_again(self, freed: tuple[tuple[str, int], ...]) -> None:
        """The job that was to give these back was not run."""
        self._seats.free_again(freed)

    def could_seat(self, object_id: int) -> bool:
        """Whether somebody who insists would get a place for it."""
        return self._seats.could_take((self.camera, object_id))

    def capacity(self) -> int:
        """Places of the device."""
        return self._seats.capacity

    def update_seats(self) -> None:
        """Tell the device which objects are seen and protected."""
        for held in self.objects.values():
            if held.seated:
                self._seats.update(self._key(held), self._seat(held))

    def take_evictions(self) -> None:
        """Note which objects had to give way to others, of this camera or another."""
        for object_id in self._seats.drain_evicted(self.camera):
            held = self.objects.get(object_id)
            if held is not None and held.seated:
                self.forgets[object_id] = None
                self.lose_memory(held)

    def lose_memory(self, held: HeldObject) -> None:
        """Its memory went to another object. With a track it goes on without one, otherwise there is nothing left."""
        text = f"gave way: all {self.capacity()} places for objects with a memory are taken (segment.max_objects)"
        held.seated = held.remembers = False
        if not held.tracked:
            held.announced = True
            self.drop(held, text, EventKind.EVICTED)
        else:
            self.note(EventKind.EVICTED, held, text)
            held.announced = False

    def lose(self, held: HeldObject, text: str) -> None:
        """It is out of sight from now on."""
        if held.lost_since_s is None:
            held.lost_since_s = self.now_s
            held.sure = False
            held.outline = held.tighten = None
            held.masked_s = None
            self.note(EventKind.LOST, held, text)

    def find(self, held: HeldObject, text: str) -> None:
        """It is back."""
        if held.lost_since_s is not None:
            held.lost_since_s = None
            held.disagreements = 0
            self.note(EventKind.FOUND, held, text)

    def bind(self, held: HeldObject, track_id: int) -> None:
        """This track is this object from now on."""
        self.rename(held, track_id)
        held.track_id = held.last_track_id = track_id

    def rename(self, held: HeldObject, track_id: int) -> None:
        """This track, which may be hidden at present, is published as this object from now on."""
        before = self.identities.of(track_id)
        if before != held.object_id:
            self.renamed.append((before, held.object_id))
        self.identities.rename(track_id, held.object_id)

    def merge(self, held: HeldObject, other: HeldObject, text: str) -> None:
        """`other` is the same object: its track becomes that of `held`, and it is held no longer."""
        if other.track_id:
            self.bind(held, other.track_id)
            held.class_id, held.tracked_s = other.class_id, other.tracked_s
            held.box_xyxy, held.velocity_xy, held.seen_s = other.box_xyxy, other.velocity_xy, other.seen_s
        elif other.last_track_id:
            self.rename(held, other.last_track_id)
        held.protected = held.protected or other.protected
        if held.pointed is None:
            held.pointed = other.pointed
        self.drop(other, text)

    def _key(self, held: HeldObject) -> tuple[str, int]:
        return self.camera, held.object_id

    def _seat(self, held: HeldObject) -> Seat:
        return Seat(held.seen_s, held.protected, held.visible)
