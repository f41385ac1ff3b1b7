"""What somebody points at: whether it can be meant, and which known object it is.

Coordinates are source pixels. Raises `PromptError` with one line that says what is wrong; nothing is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.errors import PromptError
from engine.segmentation.geometry import area, ious, mapped
from engine.types import F32, I64, Prompt

HIT_IOU = 0.5
"""A box or mask that overlaps a known object's box by this much means that object."""
FULL_FRAME = 0.98
"""A mask that covers more of the picture points at nothing."""


def check_prompt(prompt: Prompt, size_wh: tuple[int, int], *, refines: bool = False) -> None:
    """Raise `PromptError` for a prompt that cannot be meant on a picture of this size.

    `refines`: it corrects an object that is held, so that points beside the object are enough.
    """
    width, height = size_wh
    picture = f"the picture of {width} × {height} pixels"
    if not np.isfinite(prompt.points_xy).all():
        raise PromptError("a point of the prompt is not a number; give source pixels")
    low, high = np.zeros(2), np.array(size_wh)
    outside = ((prompt.points_xy < low) | (prompt.points_xy > high)).any(axis=1)
    if outside.any():
        x, y = prompt.points_xy[outside][0]
        raise PromptError(f"point ({x:g}, {y:g}) is outside {picture}")
    if not np.isin(prompt.labels, (0, 1)).all():
        raise PromptError("labels of points are 1 (on the object) or 0 (not on it)")
    if prompt.box_xyxy is not None:
        _check_box(prompt.box_xyxy, size_wh, picture)
    if prompt.mask_hw is not None:
        _check_mask(prompt, size_wh, picture)
    elif prompt.box_xyxy is None and not refines and not (prompt.labels == 1).any():
        raise PromptError(
            "every point says where the object is not; give one on the object (label 1) or a box"
        )


def _check_box(box_xyxy: F32, size_wh: tuple[int, int], picture: str) -> None:
    if not np.isfinite(box_xyxy).all():
        raise PromptError(
            "an edge of the box is not a number; give left, top, right, bottom in source pixels"
        )
    left, top, right, bottom = (float(edge) for edge in box_xyxy)
    if right <= left or bottom <= top:
        raise PromptError(
            f"box ({left:g}, {top:g}, {right:g}, {bottom:g}) has no area; give left, top, right, bottom"
        )
    if left >= size_wh[0] or top >= size_wh[1] or right <= 0 or bottom <= 0:
        raise PromptError(f"box ({left:g}, {top:g}, {right:g}, {bottom:g}) is outside {picture}")


def _check_mask(prompt: Prompt, size_wh: tuple[int, int], picture: str) -> None:
    assert prompt.mask_hw is not None
    height, width = prompt.mask_hw.shape
    if (width, height) != size_wh:
        raise PromptError(f"the mask has {width} × {height} pixels, not those of {picture}")
    share = np.count_nonzero(prompt.mask_hw) / max(1, prompt.mask_hw.size)
    if share == 0:
        raise PromptError("the mask is empty; it must show the object")
    if share > FULL_FRAME:
        raise PromptError(f"the mask covers {100 * share:.0f} % of {picture}; it must show one object")


def clipped(prompt: Prompt, size_wh: tuple[int, int]) -> Prompt:
    """The prompt with its box cut at the edges of the picture."""
    if prompt.box_xyxy is None:
        return prompt
    width, height = size_wh
    return replace(prompt, box_xyxy=np.clip(prompt.box_xyxy, 0, [width, height] * 2).astype(np.float32))


def box_of(prompt: Prompt) -> F32:
    """float32 (4,): the box of a prompt; around the points on the object where there are only points."""
    if prompt.mask_hw is not None:
        rows, columns = np.flatnonzero(prompt.mask_hw.any(axis=1)), np.flatnonzero(prompt.mask_hw.any(axis=0))
        return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
    if prompt.box_xyxy is not None:
        return prompt.box_xyxy
    points = prompt.points_xy[prompt.labels == 1]
    points = points if len(points) else prompt.points_xy
    return np.concatenate((points.min(axis=0) - 1, points.max(axis=0) + 1)).astype(np.float32)


def hit(prompt: Prompt, object_ids: I64, boxes_xyxy: F32) -> int:
    """The known object that a prompt means, 0 for none.

    A box or a mask means the object whose box it overlaps most, from `HIT_IOU`. Points mean the object with the
    smallest box that holds all points on it; what lies inside an object's box is taken for a part of it.
    """
    if not len(object_ids):
        return 0
    if prompt.mask_hw is not None or prompt.box_xyxy is not None:
        overlap = ious(box_of(prompt), boxes_xyxy)
        best = int(np.argmax(overlap))
        return int(object_ids[best]) if overlap[best] >= HIT_IOU else 0
    points = prompt.points_xy[prompt.labels == 1]
    holds = (
        (points[:, None] >= boxes_xyxy[:, :2]) & (points[:, None] <= boxes_xyxy[:, 2:])
    ).all(axis=(0, 2))  # fmt: skip
    held = np.flatnonzero(holds)
    if not len(held):
        return 0
    return int(object_ids[min(held, key=lambda row: area(boxes_xyxy[row]))])


def carried(prompt: Prompt, from_xyxy: F32, to_xyxy: F32, size_wh: tuple[int, int]) -> Prompt:
    """The prompt as it lies when the object's box has gone on since somebody pointed at it. Masks stay: they are
    of their frame."""
    if prompt.mask_hw is not None:
        return prompt
    points = prompt.points_xy
    if len(points):
        both = np.concatenate((points, points), axis=1)
        moved = np.stack([mapped(row, from_xyxy, to_xyxy)[:2] for row in both])
        points = np.clip(moved, 0, np.array(size_wh)).astype(np.float32)
    box = prompt.box_xyxy
    if box is not None:
        box = np.clip(mapped(box, from_xyxy, to_xyxy), 0, [*size_wh, *size_wh]).astype(np.float32)
        if area(box) == 0:
            return prompt
    return replace(prompt, points_xy=points, box_xyxy=box)


def rescaled(prompt: Prompt, before_wh: tuple[int, int], now_wh: tuple[int, int]) -> Prompt:
    """The prompt in the pixels of a picture of another size."""
    scale = np.array(now_wh, np.float32) / np.array(before_wh, np.float32)
    box = None if prompt.box_xyxy is None else (prompt.box_xyxy * np.tile(scale, 2)).astype(np.float32)
    mask = prompt.mask_hw
    if mask is not None:
        rows = np.arange(now_wh[1]) * before_wh[1] // now_wh[1]
        columns = np.arange(now_wh[0]) * before_wh[0] // now_wh[0]
        mask = mask[rows][:, columns]
    return Prompt((prompt.points_xy * scale).astype(np.float32), prompt.labels, box, mask)


def joined(before: Prompt, after: Prompt) -> Prompt:
    """Two prompts on one object that no keyframe has come between: points add up, boxes and masks replace.

    Raises `PromptError` for points on a mask that still waits.
    """
    if after.mask_hw is not None:
        return after
    if before.mask_hw is not None:
        raise PromptError("the mask given for this object just now has not been taken over yet; try again")
    return Prompt(
        np.concatenate((before.points_xy, after.points_xy)),
        np.concatenate((before.labels, after.labels)),
        before.box_xyxy if after.box_xyxy is None else after.box_xyxy,
        None,
    )


def nearest_ids(object_id: int, known: Sequence[int]) -> str:
    """A line's end that names the objects there are."""
    if not known:
        return "there are none at present"
    near = sorted(sorted(known, key=lambda other: abs(other - object_id))[:8])
    more = f" and {len(known) - len(near)} more" if len(known) > len(near) else ""
    return f"there are {', '.join(map(str, near))}{more}"
