"""Objects of one frame, detected or tracked, as parallel arrays that lie in a result slot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.types.arrays import F32, I32, I64, U8, Bools
from engine.types.columns import Columns, check_columns, lay_out, view_columns
from engine.types.embeddings import Embeddings
from engine.types.masks import Masks


@dataclass(frozen=True, slots=True)
class Written:
    """What of a frame's objects found room in a slot: always the first ones.

    count       objects
    mask_bytes  bytes of their masks, 0 where none are there
    masks_lost  objects that kept their box but not their mask
    """

    count: int
    mask_bytes: int
    masks_lost: int


class TrackState(IntEnum):
    """The life of a track. A result holds objects of the first four; the others the tracker keeps to itself.

    UNTRACKED  seen, too unsure or too much like another box to start a track; ID 0
    TENTATIVE  seen once, waits to be seen again; ID 0
    CONFIRMED  seen in this frame, with its ID
    COASTING   not seen in this frame: its box is where the filter expects it, its score the last one
    LOST       not seen for longer than it may coast; found again it goes on under its ID
    REMOVED    given up
    """

    UNTRACKED = 0
    TENTATIVE = 1
    CONFIRMED = 2
    COASTING = 3
    LOST = 4
    REMOVED = 5


@dataclass(frozen=True, slots=True)
class Detections:
    """Objects found in one frame, as parallel arrays. Raises `ValueError` for other shapes or types.

    boxes_xyxy  float32 (n, 4): left, top, right, bottom in source pixels
    scores      float32 (n,): 0..1
    class_ids   int32 (n,): index into the model's labels
    masks       their outlines, None where the model gives none
    embeddings  what some of them look like, None where none was looked at
    """

    boxes_xyxy: F32
    scores: F32
    class_ids: I32
    masks: Masks | None = None
    embeddings: Embeddings | None = None

    _COLUMNS: ClassVar[Columns] = (
        ("boxes_xyxy", np.float32, 4), ("scores", np.float32, 1), ("class_ids", np.int32, 1),
    )  # fmt: skip
    BYTES_PER_OBJECT: ClassVar[int] = 24

    def __post_init__(self) -> None:
        _check(self._COLUMNS, self)

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def empty(cls) -> Detections:
        """No objects."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))

    def take(self, index: Bools | NDArray[np.intp]) -> Detections:
        """The objects selected by a mask or an index array; copies."""
        return Detections(
            self.boxes_xyxy[index], self.scores[index], self.class_ids[index],
            self.masks.take(index) if self.masks is not None else None,
            self.embeddings.take(index, len(self)) if self.embeddings is not None else None,
        )  # fmt: skip

    def write_into(self, slot_u8: U8) -> Written:
        """Lay the arrays out in a result slot, the masks behind them; boxes go before masks where it is full."""
        return _write(self._COLUMNS, self, slot_u8)

    @classmethod
    def view(cls, count: int, slot_u8: U8, mask_bytes: int = 0) -> Detections:
        """The arrays inside a result slot, with the masks if there are any. No copy."""
        masks = _view_masks(count, slot_u8[count * cls.BYTES_PER_OBJECT :], mask_bytes)
        return cls(**view_columns(cls._COLUMNS, count, slot_u8), masks=masks)


@dataclass(frozen=True, slots=True)
class Tracks:
    """Objects of one frame with identity, as parallel arrays. Raises `ValueError` for other shapes or types.

    boxes_xyxy     float32 (n, 4): left, top, right, bottom in source pixels
    scores         float32 (n,)
    class_ids      int32 (n,)
    track_ids      int64 (n,): unique per camera and run; 0 = seen, not confirmed as a track yet
    ages           int32 (n,): frames since the track was first seen
    velocities_xy  float32 (n, 2): motion of the box centre in pixels per second, relative to the scene where the
                   camera's own motion is known
    states         int32 (n,): `TrackState`
    gids           int64 (n,): identity over all cameras, 0 = none
    masks          their outlines, None where the model gives none
    """

    boxes_xyxy: F32
    scores: F32
    class_ids: I32
    track_ids: I64
    ages: I32
    velocities_xy: F32
    states: I32
    gids: I64
    masks: Masks | None = None

    _COLUMNS: ClassVar[Columns] = (
        ("track_ids", np.int64, 1), ("gids", np.int64, 1), ("boxes_xyxy", np.float32, 4), ("scores", np.float32, 1),
        ("class_ids", np.int32, 1), ("ages", np.int32, 1), ("velocities_xy", np.float32, 2), ("states", np.int32, 1),
    )  # fmt: skip
    BYTES_PER_OBJECT: ClassVar[int] = 56

    def __post_init__(self) -> None:
        _check(self._COLUMNS, self)

    def __len__(self) -> int:
        return len(self.track_ids)

    @classmethod
    def empty(cls) -> Tracks:
        """No objects."""
        none = Detections.empty()
        return cls(
            none.boxes_xyxy, none.scores, none.class_ids,
            np.empty(0, np.int64), np.empty(0, np.int32), np.empty((0, 2), np.float32),
            np.empty(0, np.int32), np.empty(0, np.int64),
        )  # fmt: skip

    def take(self, index: Bools | NDArray[np.intp]) -> Tracks:
        """The objects selected by a mask or an index array; copies."""
        return replace(
            self, boxes_xyxy=self.boxes_xyxy[index], scores=self.scores[index], class_ids=self.class_ids[index],
            track_ids=self.track_ids[index], ages=self.ages[index], velocities_xy=self.velocities_xy[index],
            states=self.states[index], gids=self.gids[index],
            masks=self.masks.take(index) if self.masks is not None else None,
        )  # fmt: skip

    @classmethod
    def of(
        cls, detections: Detections, track_ids: I64, ages: I32 | None = None, velocities_xy: F32 | None = None
    ) -> Tracks:
        """Detections under these IDs, confirmed where the ID is not 0; at rest and new where nothing is said."""
        count = len(detections)
        return cls(
            detections.boxes_xyxy, detections.scores, detections.class_ids, track_ids,
            np.zeros(count, np.int32) if ages is None else ages,
            np.zeros((count, 2), np.float32) if velocities_xy is None else velocities_xy,
            np.where(track_ids > 0, TrackState.CONFIRMED, TrackState.UNTRACKED).astype(np.int32),
            np.zeros(count, np.int64), detections.masks,
        )  # fmt: skip

    def followed_by(self, others: Tracks) -> Tracks:
        """These objects and then others that have no masks."""
        columns = {
            name: np.concatenate((getattr(self, name), getattr(others, name))) for name, _, _ in self._COLUMNS
        }
        masks = None if self.masks is None else self.masks.followed_by_none(len(others))
        return Tracks(**columns, masks=masks)

    def seen(self) -> Tracks:
        """Without those that coast: what the detector saw in this frame. The same object where none does."""
        coasting = self.states == TrackState.COASTING
        return self.take(~coasting) if coasting.any() else self

    def write_into(self, slot_u8: U8) -> Written:
        """Lay the arrays out in a result slot, the masks behind them; boxes go before masks where it is full."""
        return _write(self._COLUMNS, self, slot_u8)

    @classmethod
    def view(cls, count: int, slot_u8: U8, mask_bytes: int = 0) -> Tracks:
        """The arrays inside a result slot, with the masks if there are any. No copy."""
        masks = _view_masks(count, slot_u8[count * cls.BYTES_PER_OBJECT :], mask_bytes)
        return cls(**view_columns(cls._COLUMNS, count, slot_u8), masks=masks)


def _check(columns: Columns, objects: Detections | Tracks) -> None:
    check_columns(columns, objects, len(objects))
    if objects.masks is not None and len(objects.masks) != len(objects):
        raise ValueError(f"masks must be of {len(objects)} objects, not {len(objects.masks)}")


def _write(columns: Columns, objects: Detections | Tracks, slot_u8: U8) -> Written:
    count = min(len(objects), len(slot_u8) // objects.BYTES_PER_OBJECT)
    offset = lay_out([getattr(objects, name)[:count] for name, _, _ in columns], slot_u8)
    if objects.masks is None:
        return Written(count, 0, 0)
    masks = objects.masks if count == len(objects) else objects.masks.take(np.arange(count))
    room = len(slot_u8) - offset - count * masks.BYTES_PER_OBJECT
    wanted = int(masks.present().sum())
    if room < 0:
        return Written(count, 0, wanted)
    fitting = masks.first_bytes(room)
    # Columns are whole float32 words, so what follows them is aligned for these.
    mask_bytes = lay_out(
        [*(getattr(fitting, name) for name, _, _ in Masks.COLUMNS), fitting.bits], slot_u8[offset:]
    )
    return Written(count, mask_bytes, wanted - int(fitting.present().sum()))


def _view_masks(count: int, rest_u8: U8, mask_bytes: int) -> Masks | None:
    return Masks.view(count, rest_u8, mask_bytes) if mask_bytes else None
