"""What nano-sam is trained on: pieces of rendered clips, cropped, stretched to a square, disturbed, with their masks.

A piece has the same crop in all its frames, or one that drifts as a moving camera's would. Batches are numpy; a pure
function of the data, the settings and the generator. Knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from engine.types import F32, I64, U8, Bools
from tools.nano.pictures import Clip
from tools.nano.segmenter_looks import Looks, looks

MASK_STRIDE = 2
"""Pixels of the model's picture a side of a mask's cell: those of nano-sam's own masks."""
_SIDES_STRIDE = 4
LEAST_PX = 120
"""Somebody with fewer pixels in the model's picture is not begun with."""
ABSENT_PX = 6
"""Somebody with fewer is absent."""
_STRIDES = (0.5, 0.3, 0.2)  # every frame of a clip, every second, every third
_HIDDEN = 0.3  # of the pieces of three frames or more have somebody behind something for a while
_WHOLE = 0.25  # of the pieces are whole pictures, in which most people are small


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """What a batch is like.

    clips    pieces of so many different clips
    frames   frames of a piece
    objects  most people of a piece
    size     side S of the model's picture
    augment  crop, flip, disturb; else whole pictures and the first frames of a clip
    """

    clips: int
    frames: int
    objects: int
    size: int = 256
    augment: bool = True


@dataclass(frozen=True, slots=True)
class Piece:
    """T frames of one clip, picture side S.

    frames_bgr  uint8 (T, S, S, 3)
    ids         uint8 (T, 2S, 2S)
    people      int64 (K,): who is asked for, numbers in `ids`
    full_boxes  float32 (K, 4): of their whole bodies in the first frame, in the picture's pixels, cut at its edges
    """

    frames_bgr: U8
    ids: U8
    people: I64
    full_boxes: F32


@dataclass(frozen=True, slots=True)
class Batch:
    """T frames of B clips, N people, picture side S, mask side m.

    pictures_bgr  uint8 (T, B, S, S, 3)
    ids           uint8 (T, B, S, S)
    clip_index    int64 (N,): the clip of each person
    person        int64 (N,): the number in `ids`
    full_boxes    float32 (N, 4): of the whole body in the first frame, cut at the picture's edges
    masks         float32 (T, N, m, m): covered share of each cell
    present       bool (T, N)
    """

    pictures_bgr: U8
    ids: U8
    clip_index: I64
    person: I64
    full_boxes: F32
    masks: F32
    present: Bools

    def full_mask(self, frame: int, row: int) -> Bools:
        """bool (S, S): the pixels of a person."""
        found: Bools = self.ids[frame, self.clip_index[row]] == self.person[row]
        return found

    def anybody(self, frame: int) -> F32:
        """float32 (B, m, m): covered share of each cell, by whomever."""
        return np.stack([covered(ids > 0, ids.shape[-1] // MASK_STRIDE) for ids in self.ids[frame]])

    def sides(self, frame: int) -> F32:
        """float32 (B, 4, S/4, S/4): pixels to the left, upper, right and lower side of whoever is in the middle of
        each cell, of the part of them that is seen; zeros beside people."""
        return np.stack([_sides(ids) for ids in self.ids[frame]])

    def box(self, frame: int, row: int) -> F32:
        """The box of these pixels, right and bottom exclusive; zeros where there are none."""
        mask = self.full_mask(frame, row)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            return np.zeros(4, np.float32)
        return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


class Favoured(Sequence[Clip]):
    """Clips of which some come more often."""

    def __init__(self, clips: Sequence[Clip], favoured: Bools, times: int) -> None:
        """favoured: bool (n,), which of the clips come so many times as often."""
        self._clips = clips
        self._rows = np.repeat(np.arange(len(clips)), np.where(favoured, times, 1))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Clip:  # type: ignore[override]  # no slices: they would read everything
        return self._clips[int(self._rows[index])]


def draw(rng: np.random.Generator, data: Sequence[Clip], settings: BatchSettings) -> Batch:
    """A batch of pieces of clips drawn from the data. Raises ValueError where no clip has anybody in it."""
    pieces: list[Piece] = []
    for _ in range(200 * settings.clips):
        if len(pieces) == settings.clips:
            break
        piece = piece_of(rng, data[int(rng.integers(len(data)))], settings)
        if piece is not None:
            pieces.append(piece)
    if len(pieces) < settings.clips:
        raise ValueError("hardly a clip of the data shows anybody")
    return assembled(pieces, settings.size)


def assembled(pieces: Sequence[Piece], size: int) -> Batch:
    """A batch of pieces with as many frames each."""
    frames = np.stack([piece.frames_bgr for piece in pieces], 1)
    people = [piece.people for piece in pieces]
    clip_index = np.repeat(np.arange(len(pieces)), [len(each) for each in people])
    person = np.concatenate(people)
    side = size // MASK_STRIDE
    masks = np.empty((frames.shape[0], len(person), side, side), np.float32)
    for row, (clip, number) in enumerate(zip(clip_index, person, strict=True)):
        for frame, ids in enumerate(pieces[int(clip)].ids):
            masks[frame, row] = covered(ids == number, side)
    ids = np.stack([piece.ids[:, ::2, ::2] for piece in pieces], 1)
    present = masks.sum((2, 3)) * (size / side) ** 2 >= ABSENT_PX
    full_boxes = np.concatenate([piece.full_boxes for piece in pieces])
    return Batch(frames, ids, clip_index, person.astype(np.int64), full_boxes, masks, present)


def _sides(ids: U8) -> F32:
    middles = np.arange(_SIDES_STRIDE // 2, ids.shape[0], _SIDES_STRIDE)
    cells = ids[middles[:, None], middles]
    found = np.zeros((4, *cells.shape), np.float32)
    for person in np.unique(cells[cells > 0]):
        mask = ids == person
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        down, across = np.nonzero(cells == person)
        x, y = middles[across] + 0.5, middles[down] + 0.5
        found[:, down, across] = (x - columns[0], y - rows[0], columns[-1] + 1 - x, rows[-1] + 1 - y)
    return found


def covered(mask_hw: Bools, side: int) -> F32:
    """float32 (side, side): the share of each cell that a square mask covers."""
    block = mask_hw.shape[0] // side
    shares: F32 = mask_hw.reshape(side, block, side, block).mean((1, 3), dtype=np.float32)
    return shares


def piece_of(rng: np.random.Generator, clip: Clip, settings: BatchSettings) -> Piece | None:
    """Frames, IDs and people of one piece; None where nobody is to be seen well in its first frame."""
    order = _frames(rng, len(clip.ids), settings)
    first = order[0]
    areas = np.bincount(clip.ids[first].ravel(), minlength=2)[1:]
    seen = np.flatnonzero(areas > 0) + 1
    if not len(seen):
        return None
    windows = _windows(rng, clip, int(rng.choice(seen)), order, settings)
    flip = settings.augment and rng.random() < 0.5
    look = looks(rng) if settings.augment else Looks()
    size = settings.size
    frames = np.empty((len(order), size, size, 3), np.uint8)
    ids = np.empty((len(order), 2 * size, 2 * size), np.uint8)
    for at, (frame, window) in enumerate(zip(order, windows, strict=True)):
        frames[at] = _cut(clip.frames_bgr[frame], window, size, look.interpolation)
        ids[at] = _cut(clip.ids[frame], window, 2 * size, cv2.INTER_NEAREST)
        if flip:
            frames[at], ids[at] = frames[at][:, ::-1].copy(), ids[at][:, ::-1].copy()
        frames[at] = look.apply(rng, frames[at])
    counts = np.bincount(ids[0].ravel(), minlength=2)[1:] / 4
    there = np.flatnonzero(counts >= LEAST_PX) + 1
    if not len(there):
        return None
    people = _chosen(rng, ids, there, settings.objects)
    if settings.augment and len(frames) > 2 and rng.random() < _HIDDEN:
        _hide(rng, frames, ids, int(rng.choice(people)))
    return Piece(frames, ids, people, _moved(clip.full_boxes_xyxy[first, people - 1], windows[0], size, flip))


def _moved(boxes_xyxy: F32, window: tuple[int, int, int, int], size: int, flip: bool) -> F32:
    """Boxes of a frame in the pixels of its part that was stretched to a square, cut at the edges of that."""
    left, top, right, bottom = window
    corners = (boxes_xyxy.reshape(-1, 2, 2) - (left, top)) * (size / (right - left), size / (bottom - top))
    if flip:
        corners[..., 0] = size - corners[:, ::-1, 0]
    moved: F32 = corners.clip(0, size).reshape(-1, 4).astype(np.float32)
    return moved


def _hide(rng: np.random.Generator, frames_bgr: U8, ids: U8, person: int) -> None:
    """Put a piece of the picture without people, or else a plain one, before somebody in some of the later frames."""
    first = int(rng.integers(1, len(frames_bgr)))
    last = int(rng.integers(first, len(frames_bgr))) + 1
    seen = (ids[first:last] == person).any(0)
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    if not len(rows):
        return
    side = frames_bgr.shape[1]
    more = rng.uniform(0.0, 0.4, 4) * np.repeat([np.ptp(rows) + 1, np.ptp(columns) + 1], 2) / 2
    top, left = (int(max(0, low // 2 - add)) for low, add in ((rows[0], more[0]), (columns[0], more[2])))
    down, right = (
        int(min(side, high // 2 + 2 + add)) for high, add in ((rows[-1], more[1]), (columns[-1], more[3]))
    )
    height, width = down - top, right - left
    before = np.full((height, width, 3), frames_bgr[0].mean((0, 1)), np.uint8)
    for y, x in rng.integers(0, (side - height + 1, side - width + 1), (6, 2)).tolist():
        if not ids[0, 2 * y : 2 * (y + height), 2 * x : 2 * (x + width)].any():
            before = frames_bgr[0, y : y + height, x : x + width].copy()
            break
    frames_bgr[first:last, top:down, left:right] = before
    ids[first:last, 2 * top : 2 * down, 2 * left : 2 * right] = 0


def _chosen(rng: np.random.Generator, ids: U8, there: I64, most: int) -> I64:
    """Some of the people, rather those that something happens to: who is hidden or leaves, and comes back."""
    if len(there) <= most:
        return there
    counts = np.stack([np.bincount(each.ravel(), minlength=int(there.max()) + 1)[there] for each in ids])
    eventful = counts.min(0) < 0.5 * counts[0]
    weights = np.where(eventful, 3.0, 1.0)
    return np.sort(rng.choice(there, most, replace=False, p=weights / weights.sum()))


def _frames(rng: np.random.Generator, count: int, settings: BatchSettings) -> I64:
    """Which frames of a clip: every first, second or third, forwards or backwards."""
    wanted = min(settings.frames, count)
    if not settings.augment:
        return np.arange(wanted)
    longest = max(1, (count - 1) // max(wanted - 1, 1))
    stride = min(longest, int(rng.choice(3, p=_STRIDES)) + 1)
    start = int(rng.integers(count - (wanted - 1) * stride))
    order = start + stride * np.arange(wanted)
    return order[::-1].copy() if rng.random() < 0.5 else order


def _windows(
    rng: np.random.Generator, clip: Clip, person: int, order: I64, settings: BatchSettings
) -> list[tuple[int, int, int, int]]:
    """For each frame the part of it that is stretched to the square, (x0, y0, x1, y1)."""
    height, width = clip.ids.shape[1:]
    if not settings.augment or rng.random() < _WHOLE:
        return [(0, 0, width, height)] * len(order)
    box = clip.visible_boxes_xyxy[order[0], person - 1]
    first = _window(rng, box, width, height)
    last = first
    if rng.random() < 0.5:
        # As if the camera turned and zoomed a little.
        size = np.tile(first[2:] - first[:2], 2)
        last = (first + rng.normal(0, 0.08, 4) * size).astype(np.float32)
    shares = np.linspace(0, 1, len(order))[:, None]
    shake = rng.normal(0, 0.6 if rng.random() < 0.3 else 0.0, (len(order), 2))
    drifting = (1 - shares) * first + shares * last + np.tile(shake, 2)
    return [_whole(window.astype(np.float32), width, height) for window in drifting]


def _window(rng: np.random.Generator, box_xyxy: F32, width: int, height: int) -> F32:
    """A part of the picture in which somebody is 14 to 80 % tall, of the shape of some camera's picture."""
    tall = max(float(box_xyxy[3] - box_xyxy[1]), 4.0)
    share = float(np.exp(rng.uniform(np.log(0.14), np.log(0.8))))
    aspect = float(rng.choice([16 / 9, 4 / 3, 1.0, 9 / 16], p=[0.5, 0.2, 0.15, 0.15]))
    aspect *= float(np.exp(rng.normal(0, 0.12)))
    down = min(max(tall / share, 48.0), float(height))
    across = min(down * aspect, float(width))
    centre = (box_xyxy[:2] + box_xyxy[2:]) / 2 + rng.normal(0, 0.25, 2) * (across, down)
    left = float(np.clip(centre[0] - across / 2, 0, width - across))
    top = float(np.clip(centre[1] - down / 2, 0, height - down))
    return np.array([left, top, left + across, top + down], np.float32)


def _whole(window: F32, width: int, height: int) -> tuple[int, int, int, int]:
    """Whole pixels inside of the picture, 16 at least."""
    across = int(np.clip(round(window[2] - window[0]), 16, width))
    down = int(np.clip(round(window[3] - window[1]), 16, height))
    left = int(np.clip(round(window[0]), 0, width - across))
    top = int(np.clip(round(window[1]), 0, height - down))
    return left, top, left + across, top + down


def _cut(picture: U8, window: tuple[int, int, int, int], side: int, interpolation: int) -> U8:
    left, top, right, bottom = window
    part = picture[top:bottom, left:right]
    return cv2.resize(part, (side, side), interpolation=interpolation)  # type: ignore[return-value]  # uint8 as it came
