"""Prompts as the decoder wants them: checked against the picture, in the model's pixels, masks as logits.

Knows prompts and sizes; neither graphs nor memories. Resizing follows the official predictor (bilinear, antialiased).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from engine.errors import PromptError
from engine.types import F32, I32, Bools, Prompt

MASK_LOGIT = 10.0
"""A mask that is the answer has logits of plus and minus this."""
PREVIOUS_LOGIT = 32.0
"""Earlier logits are clamped to plus and minus this before they go into the decoder again."""
_MOST_POINTS = 16
"""A box counts as two. Engines of TensorRT are built for so many."""
_BOX_LABELS = (2, 3)
_NO_POINT = -1
_ON_OBJECT = 1


def check_prompt(prompt: Prompt, size_wh: tuple[int, int], *, refining: bool = False) -> None:
    """Refuse what no segmenter could answer on a picture of this size. Raises `PromptError`.

    refining  the object is known already, so that points that are not on it say something too
    """
    width, height = size_wh
    if prompt.mask_hw is not None:
        if len(prompt.points_xy) or prompt.box_xyxy is not None:
            raise PromptError("a mask is the answer itself: give it without points and box")
        _check_mask(prompt.mask_hw, size_wh)
        return
    points = prompt.points_xy
    count = len(points) + (0 if prompt.box_xyxy is None else 2)
    if count > _MOST_POINTS:
        raise PromptError(f"{count} points, at most {_MOST_POINTS} are taken, of which a box is two")
    if not np.isfinite(points).all() or (points < 0).any() or (points > (width, height)).any():
        raise PromptError(f"a point lies outside of the picture of {width} × {height}")
    if not np.isin(prompt.labels, (0, 1)).all():
        raise PromptError("labels of points are 1, on the object, or 0, not on it")
    if prompt.box_xyxy is not None:
        _check_box(prompt.box_xyxy, size_wh)
    elif not refining and not (prompt.labels == _ON_OBJECT).any():
        raise PromptError("every point says what the object is not; give one on it, or a box")


def points_of(prompt: Prompt, size_wh: tuple[int, int], image_size: int) -> tuple[F32, I32]:
    """Coordinates float32 (T, 2) in the model's pixels and labels int32 (T,), the box's corners first.

    A box is cut at the picture's edges. A prompt that is a mask has the one point that is none.
    """
    if prompt.mask_hw is not None:
        return no_points(1)[0][0], no_points(1)[1][0]
    coords, labels = prompt.points_xy, prompt.labels
    if prompt.box_xyxy is not None:
        corners = np.clip(prompt.box_xyxy.reshape(2, 2), 0, np.asarray(size_wh, np.float32))
        coords = np.concatenate([corners, coords])
        labels = np.concatenate([np.array(_BOX_LABELS, np.int32), labels])
    # In this order of operations, as the official predictor: the last bit of a coordinate is the same.
    scaled = coords / np.asarray(size_wh, np.float32) * np.float32(image_size)
    return scaled.astype(np.float32), labels


def no_points(rows: int) -> tuple[F32, I32]:
    """What a frame without a prompt is decoded with: one point that is none, for each row."""
    return np.zeros((rows, 1, 2), np.float32), np.full((rows, 1), _NO_POINT, np.int32)


def is_ambiguous(points: int) -> bool:
    """Whether the decoder is to weigh three masks: one point or none may mean a part or the whole."""
    return points <= 1


def square_mask(mask_hw: Bools, image_size: int) -> F32:
    """A source's mask as 0 and 1, float32 (S, S)."""
    height, width = mask_hw.shape
    if (height, width) == (image_size, image_size):
        return mask_hw.astype(np.float32)
    down, across = _resizing(height, image_size), _resizing(width, image_size)
    resized: F32 = (down @ mask_hw.astype(np.float32) @ across.T >= 0.5).astype(np.float32)
    return resized


def logits_of_mask(square: F32, mask_side: int) -> F32:
    """Low-resolution logits float32 (mask_side, mask_side) of a mask that is the answer."""
    smaller = _resizing(square.shape[0], mask_side)
    logits: F32 = smaller @ (square * np.float32(2 * MASK_LOGIT) - np.float32(MASK_LOGIT)) @ smaller.T
    return logits


def dense_prompt_of_mask(square: F32, weight: F32, bias: float) -> F32:
    """What the decoder reads such a mask's pointer from, float32 (S/k, S/k): a k × k convolution with stride k."""
    block = len(weight)
    side = square.shape[0] // block
    blocks = square.reshape(side, block, side, block)
    dense: F32 = np.einsum("iajb,ab->ij", blocks, weight, optimize=True) + np.float32(bias)
    return dense.astype(np.float32)


@lru_cache(maxsize=8)
def _resizing(length: int, target: int) -> F32:
    """float32 (target, length): weights of a bilinear resize that averages where it shrinks."""
    scale = length / target
    support = max(scale, 1.0)
    centres = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(length)[None, :] + 0.5 - centres[:, None]) / support
    weights = np.maximum(0.0, 1.0 - distance)
    weights /= weights.sum(axis=1, keepdims=True)
    found: F32 = weights.astype(np.float32)
    found.setflags(write=False)
    return found


def _check_mask(mask_hw: Bools, size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    if mask_hw.shape != (height, width):
        found = f"{mask_hw.shape[1]} × {mask_hw.shape[0]}"
        raise PromptError(f"the mask is {found}, the picture {width} × {height}")
    if not mask_hw.any():
        raise PromptError("the mask is empty")
    if mask_hw.all():
        raise PromptError("the mask covers the whole picture: nothing is left that it could be told from")


def _check_box(box_xyxy: F32, size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    left, top, right, bottom = (float(value) for value in box_xyxy)
    if not np.isfinite(box_xyxy).all() or right <= left or bottom <= top:
        raise PromptError(f"the box {left:g}, {top:g}, {right:g}, {bottom:g} has no area")
    if min(right, width) <= max(left, 0) or min(bottom, height) <= max(top, 0):
        raise PromptError(f"the box lies outside of the picture of {width} × {height}")
