"""People cut out of one picture and put into another: anywhere, or close to somebody, before or behind them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from engine.types import F32, U8

LEAST_HEIGHT_PX = 16
"""Of somebody who is cut out, or put next to."""
_MOST_PEOPLE = np.iinfo(np.uint8).max - 1


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture and the people in it.

    picture_bgr  uint8 (height, width, 3); `ids` uint8 (height, width): person k at its pixels, 0 nobody
    full_xyxy, visible_xyxy  float32 (n, 4) of persons 1 … n; NaN where there is none
    visibility   float32 (n,)
    """

    picture_bgr: U8
    ids: U8
    full_xyxy: F32
    visible_xyxy: F32
    visibility: F32


@dataclass(frozen=True, slots=True)
class _CutOut:
    """Somebody's rectangle: uint8 (height, width, 3) and, 255 where the body is, (height, width)."""

    picture_bgr: U8
    mask: U8


def pasted(frame: Frame, other: Frame, rng: np.random.Generator) -> Frame:
    """The frame with one whole person out of another one in it, anywhere and at another size."""
    height, width = frame.ids.shape
    person = _somebody_whole(other, rng)
    if person is None or len(frame.visibility) >= _MOST_PEOPLE:
        return frame
    tall = float(np.exp(rng.uniform(np.log(0.15), np.log(0.9)))) * height
    cut_out = _cut_out(other, person, tall)
    tall_px, wide_px = cut_out.mask.shape
    if wide_px >= width or tall_px >= height:
        return frame
    at = int(rng.integers(0, width - wide_px)), int(rng.integers(0, height - tall_px))
    return _put(frame, cut_out, at, rng, behind=None)


def pasted_beside(frame: Frame, other: Frame, rng: np.random.Generator) -> Frame:
    """The frame with one whole person next to somebody and of about the same size, so that one hides the other.

    As it is where nobody is large enough, or there is no room.
    """
    height, width = frame.ids.shape
    tall = frame.visible_xyxy[:, 3] - frame.visible_xyxy[:, 1]
    candidates = np.flatnonzero((frame.visibility > 0.5) & (tall >= 1.5 * LEAST_HEIGHT_PX))
    if not len(candidates) or len(frame.visibility) >= _MOST_PEOPLE:
        return frame
    person, pasted_one = int(rng.choice(candidates)), _somebody_whole(other, rng)
    if pasted_one is None:
        return frame
    left, top, right, bottom = frame.visible_xyxy[person]
    cut_out = _cut_out(other, pasted_one, float((bottom - top) * np.exp(rng.normal(0, 0.12))))
    tall_px, wide_px = cut_out.mask.shape
    apart = float(rng.uniform(0.15, 0.85)) * (right - left + wide_px) / 2 * rng.choice((-1, 1))
    x = round(float(left + right - wide_px) / 2 + apart)
    y = round(float(bottom - tall_px + rng.normal(0, 0.08) * tall_px))
    if x < 0 or y < 0 or x + wide_px > width or y + tall_px > height:
        return frame
    return _put(frame, cut_out, (x, y), rng, behind=person if rng.random() < 0.5 else None)


def _somebody_whole(other: Frame, rng: np.random.Generator) -> int | None:
    """A person by chance, if they are seen whole and large enough."""
    height, width = other.ids.shape
    candidates = np.flatnonzero(other.visibility > 0.95)
    if not len(candidates):
        return None
    person = int(rng.choice(candidates))
    left, top, right, bottom = other.visible_xyxy[person].astype(int)
    at_the_edge = top <= 1 or bottom >= height - 1 or left <= 1 or right >= width - 1
    return None if at_the_edge or bottom - top < LEAST_HEIGHT_PX else person


def _cut_out(other: Frame, person: int, tall_px: float) -> _CutOut:
    """Somebody at this height, but at most twice as large as they are."""
    left, top, right, bottom = other.visible_xyxy[person].astype(int)
    mask = (other.ids[top:bottom, left:right] == person + 1).astype(np.uint8) * 255
    scale = min(tall_px / (bottom - top), 2.0)
    size_wh = max(3, round((right - left) * scale)), max(8, round((bottom - top) * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = cv2.resize(other.picture_bgr[top:bottom, left:right], size_wh, interpolation=method)
    mask = np.asarray(cv2.resize(mask, size_wh, interpolation=method), np.uint8)
    return _CutOut(np.asarray(picture, np.uint8), mask)


def _put(
    frame: Frame, cut_out: _CutOut, at: tuple[int, int], rng: np.random.Generator, behind: int | None
) -> Frame:
    """The cut-out in the frame, in front of everybody but `behind`."""
    (x, y), (tall_px, wide_px) = at, cut_out.mask.shape
    picture, ids = frame.picture_bgr.copy(), frame.ids.copy()
    rows, columns = slice(y, y + tall_px), slice(x, x + wide_px)
    mask = cut_out.mask
    if behind is not None:
        mask = np.where(ids[rows, columns] == behind + 1, 0, mask).astype(np.uint8)
    share = np.asarray(cv2.blur(mask, (3, 3)), np.float32)[..., None] * (1 / 255)
    brighter = float(rng.uniform(0.7, 1.3))
    mixed = picture[rows, columns] * (1 - share) + np.minimum(cut_out.picture_bgr * brighter, 255) * share
    picture[rows, columns] = mixed.astype(np.uint8)
    people = len(frame.visibility)
    before = np.bincount(ids.ravel(), minlength=people + 1)[1:]
    ids[rows, columns][mask > 127] = people + 1
    after = np.bincount(ids.ravel(), minlength=people + 2)[1:]
    own = after[people] / max(1, int((cut_out.mask > 127).sum()))
    box = np.array([[x, y, x + wide_px, y + tall_px]], np.float32)
    return Frame(
        picture, ids, np.concatenate([frame.full_xyxy, box]), np.concatenate([frame.visible_xyxy, box]),
        np.append(frame.visibility * after[:people] / np.maximum(before, 1), own).astype(np.float32),
    )  # fmt: skip
