"""Objects of one frame, detected or tracked, as parallel arrays that lie in a result slot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.types.arrays import F32, I32, I64, U8, Bools
from engine.types.columns import Columns, check_columns, lay_out, view_columns
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


@dataclass(frozen=True, slots=True)
class Detections:
    """Objects found in one frame, as parallel arrays. Raises `ValueError` for other shapes or types.

    boxes_xyxy  float32 (n, 4): left, top, right, bottom in source pixels
    scores      float32 (n,): 0..1
    class_ids   int32 (n,): index into the model's labels
    masks       their outlines, None where the model gives none
    """

    boxes_xyxy: F32
    scores: F32
    class_ids: I32
    masks: Masks | None = None

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
    velocities_xy  float32 (n, 2): motion of the box centre in pixels per second
    masks          their outlines, None where the model gives none
    """

    boxes_xyxy: F32
    scores: F32
    class_ids: I32
    track_ids: I64
    ages: I32
    velocities_xy: F32
    masks: Masks | None = None

    _COLUMNS: ClassVar[Columns] = (
        ("track_ids", np.int64, 1), ("boxes_xyxy", np.float32, 4), ("scores", np.float32, 1),
        ("class_ids", np.int32, 1), ("ages", np.int32, 1), ("velocities_xy", np.float32, 2),
    )  # fmt: skip
    BYTES_PER_OBJECT: ClassVar[int] = 44

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
        )  # fmt: skip

    def take(self, index: Bools | NDArray[np.intp]) -> Tracks:
        """The objects selected by a mask or an index array; copies."""
        return replace(
            self, boxes_xyxy=self.boxes_xyxy[index], scores=self.scores[index], class_ids=self.class_ids[index],
            track_ids=self.track_ids[index], ages=self.ages[index], velocities_xy=self.velocities_xy[index],
            masks=self.masks.take(index) if self.masks is not None else None,
        )  # fmt: skip

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
