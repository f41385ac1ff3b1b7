"""Batches for nano-det: frames of rendered clips, cut, mixed and spoilt by chance.

Who is to be found: people of whom at least `LEAST_VISIBLE` is seen, by the box of their whole body as far as it lies in
the picture. Of whom less is seen is neither to be found nor wrong to find. Same seed and step, same batch: a training
that goes on from a checkpoint sees what it would have seen.

Knows numpy and OpenCV; no torch, and nothing of files but the clips it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from engine.types import F32, U8
from tools.nano.detector_spoil import spoil
from tools.nano.pictures import Clip

LEAST_VISIBLE = 0.3
LEAST_WIDTH_PX, LEAST_HEIGHT_PX = 4.0, 12.0
"""Smaller ones, in input pixels, are ignored."""
LEAST_INSIDE = 0.25
"""Share of what is seen of somebody that has to lie in the cut."""
GREY = 114
"""What the engine's letterbox is filled with."""
MOSAIC_SHARE, PASTE_SHARE = 0.3, 0.3
LEAST_ZOOM, MOST_ZOOM = 0.8, 1.9
"""Against the size at which the whole frame just fits; a part of a mosaic may be as small as `LEAST_PART_ZOOM`."""
LEAST_PART_ZOOM = 0.45
_FREE_PAD = 12


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
class Sample:
    """A picture as the network is given it, with who is to be found, float32 (n, 4), and where nothing counts."""

    picture_bgr: U8
    wanted_xyxy: F32
    ignored_xyxy: F32


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples side by side; zeros fill up where there are fewer people.

    images_rgb  uint8 (n, height, width, 3)
    wanted_xyxy, ignored_xyxy  float32 (n, most, 4); `counts` bool (n, most)
    """

    images_rgb: U8
    wanted_xyxy: F32
    counts: np.ndarray
    ignored_xyxy: F32


def batch(clips: Sequence[Clip], seed: int, step: int, count: int, size_wh: tuple[int, int]) -> Batch:
    """The samples of a step: a function of seed and step."""
    rng = np.random.default_rng((seed, step))
    return together([sample(clips, rng, size_wh) for _ in range(count)])


def together(samples: Sequence[Sample]) -> Batch:
    """Samples of one size as a batch."""
    images = np.stack([one.picture_bgr[..., ::-1] for one in samples])
    wanted, counts = _filled([one.wanted_xyxy for one in samples])
    return Batch(images, wanted, counts, _filled([one.ignored_xyxy for one in samples])[0])


def sample(clips: Sequence[Clip], rng: np.random.Generator, size_wh: tuple[int, int]) -> Sample:
    """One picture by chance: cut out of a frame, or a mosaic of four, then spoilt as cameras do."""
    if rng.random() < MOSAIC_SHARE:
        made = _mosaic(clips, rng, size_wh)
    else:
        made = cut(_drawn(clips, rng), _place(rng, _source_wh(clips), size_wh), size_wh)
    if rng.random() < 0.5:
        made = _mirrored(made)
    return Sample(np.asarray(spoil(made.picture_bgr, rng), np.uint8), made.wanted_xyxy, made.ignored_xyxy)


def whole(frame: Frame, size_wh: tuple[int, int]) -> Sample:
    """The whole frame as the engine prepares it: its aspect ratio kept, in the middle, grey around."""
    height, width = frame.ids.shape
    scale = min(size_wh[0] / width, size_wh[1] / height)
    shift = (size_wh[0] - width * scale) / 2, (size_wh[1] - height * scale) / 2
    return cut(frame, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), size_wh)


def frame_of(clip: Clip, index: int) -> Frame:
    """Frame `index` of a clip."""
    return Frame(
        clip.frames_bgr[index], clip.ids[index], clip.full_boxes_xyxy[index], clip.visible_boxes_xyxy[index],
        clip.visibility[index],
    )  # fmt: skip


def cut(frame: Frame, place: np.ndarray, size_wh: tuple[int, int]) -> Sample:
    """The frame moved and scaled by `place` (2, 3), as cv2.warpAffine takes it, onto a picture of this size.

    Boxes are scaled as the pixels are; turns are not meant.
    """
    method = cv2.INTER_AREA if place[0, 0] < 0.6 else cv2.INTER_LINEAR
    picture = _scaled(frame.picture_bgr, place, size_wh, method)
    wanted, ignored = judged(frame, place, size_wh)
    return Sample(picture, wanted, ignored)


def judged(frame: Frame, place: np.ndarray, size_wh: tuple[int, int]) -> tuple[F32, F32]:
    """Boxes float32 (n, 4) of those to be found, and (k, 4) of those who do not count, in the cut's pixels."""
    height, width = frame.ids.shape
    # Beyond the edge of the source there is nothing to see, also where the cut goes on with grey.
    full = _clipped(_moved(_clipped(frame.full_xyxy, (width, height)), place), size_wh)
    seen = _moved(frame.visible_xyxy, place)
    inside = _clipped(seen, size_wh)
    here = np.isfinite(seen).all(1) & (frame.visibility > 0) & (_area(inside) > 0)
    full = np.where(np.isfinite(full), full, inside)
    share = _area(inside) / np.maximum(_area(seen), 1e-6)
    sizes = full[:, 2:] - full[:, :2]
    large = (sizes[:, 0] >= LEAST_WIDTH_PX) & (sizes[:, 1] >= LEAST_HEIGHT_PX)
    wanted = here & large & (frame.visibility >= LEAST_VISIBLE) & (share >= LEAST_INSIDE)
    return full[wanted], inside[here & ~wanted]


def _drawn(clips: Sequence[Clip], rng: np.random.Generator) -> Frame:
    """A frame by chance, with somebody out of another one pasted into some."""
    frame = _any_frame(clips, rng)
    if rng.random() < PASTE_SHARE:
        other = _any_frame(clips, rng)
        if other.ids.shape == frame.ids.shape:
            frame = pasted(frame, other, rng)
    return frame


def _any_frame(clips: Sequence[Clip], rng: np.random.Generator) -> Frame:
    clip = clips[int(rng.integers(len(clips)))]
    return frame_of(clip, int(rng.integers(len(clip.frames_bgr))))


def _source_wh(clips: Sequence[Clip]) -> tuple[int, int]:
    height, width = clips[0].ids.shape[1:]
    return width, height


def _place(
    rng: np.random.Generator, source_wh: tuple[int, int], size_wh: tuple[int, int], least: float = LEAST_ZOOM
) -> np.ndarray:
    """Where a cut lies: some zoom, a little stretched, anywhere that the picture fills as much as it can."""
    fit = min(size_wh[0] / source_wh[0], size_wh[1] / source_wh[1])
    zoom = fit * float(np.exp(rng.uniform(np.log(least), np.log(MOST_ZOOM))))
    stretch = float(np.exp(rng.uniform(-0.12, 0.12)))
    scales = zoom * stretch, zoom / stretch
    shifts = [
        float(rng.uniform(min(0.0, room), max(0.0, room)))
        for room in (size - source * scale for size, source, scale in zip(size_wh, source_wh, scales, strict=True))
    ]  # fmt: skip
    return np.array([[scales[0], 0, shifts[0]], [0, scales[1], shifts[1]]])


def _mosaic(clips: Sequence[Clip], rng: np.random.Generator, size_wh: tuple[int, int]) -> Sample:
    """Four cuts that meet somewhere around the middle: many small people, and backgrounds that end."""
    width, height = size_wh
    x, y = (round(float(rng.uniform(0.3, 0.7)) * side) for side in size_wh)
    picture = np.empty((height, width, 3), np.uint8)
    wanted, ignored = [], []
    for left, top, right, bottom in (
        (0, 0, x, y),
        (x, 0, width, y),
        (0, y, x, height),
        (x, y, width, height),
    ):
        part_wh = right - left, bottom - top
        # As large as in a cut of the whole size, or the people of a mosaic would all be small.
        place = _place(rng, _source_wh(clips), size_wh, LEAST_PART_ZOOM)
        place[:, 2] -= [
            float(rng.uniform(0, size - part)) for size, part in zip(size_wh, part_wh, strict=True)
        ]
        place[:, :] = _covering(place, _source_wh(clips), part_wh)
        part = cut(_any_frame(clips, rng), place, part_wh)
        picture[top:bottom, left:right] = part.picture_bgr
        shift = np.array([left, top, left, top], np.float32)
        wanted.append(part.wanted_xyxy + shift)
        ignored.append(part.ignored_xyxy + shift)
    return Sample(picture, np.concatenate(wanted), np.concatenate(ignored))


def _covering(place: np.ndarray, source_wh: tuple[int, int], part_wh: tuple[int, int]) -> np.ndarray:
    """The place moved so that the picture covers the part where it is large enough."""
    moved = place.copy()
    for axis in (0, 1):
        room = part_wh[axis] - source_wh[axis] * place[axis, axis]
        moved[axis, 2] = np.clip(place[axis, 2], min(0.0, room), max(0.0, room))
    return moved


def pasted(frame: Frame, other: Frame, rng: np.random.Generator) -> Frame:
    """The frame with one whole person out of another one in it, anywhere and at another size."""
    height, width = frame.ids.shape
    candidates = np.flatnonzero(other.visibility > 0.95)
    if not len(candidates) or len(frame.visibility) >= np.iinfo(np.uint8).max - 1:
        return frame
    person = int(rng.choice(candidates))
    left, top, right, bottom = other.visible_xyxy[person].astype(int)
    if top <= 1 or bottom >= height - 1 or left <= 1 or right >= width - 1 or bottom - top < 16:
        return frame
    mask = (other.ids[top:bottom, left:right] == person + 1).astype(np.uint8) * 255
    tall = float(np.exp(rng.uniform(np.log(0.15), np.log(0.9)))) * height
    scale = min(tall / (bottom - top), 2.0)
    wide_px, tall_px = max(3, round((right - left) * scale)), max(8, round((bottom - top) * scale))
    if wide_px >= width or tall_px >= height:
        return frame
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    cut_out = cv2.resize(other.picture_bgr[top:bottom, left:right], (wide_px, tall_px), interpolation=method)
    mask = cv2.resize(mask, (wide_px, tall_px), interpolation=method)
    x, y = int(rng.integers(0, width - wide_px)), int(rng.integers(0, height - tall_px))
    share = cv2.blur(mask, (3, 3)).astype(np.float32)[..., None] * (1 / 255)
    brighter = float(rng.uniform(0.7, 1.3))
    picture, ids = frame.picture_bgr.copy(), frame.ids.copy()
    part = picture[y : y + tall_px, x : x + wide_px]
    mixed = part * (1 - share) + np.minimum(cut_out * brighter, 255) * share
    part[:] = mixed.astype(np.uint8)
    before = np.bincount(ids.ravel(), minlength=len(frame.visibility) + 1)[1:]
    ids[y : y + tall_px, x : x + wide_px][mask > 127] = len(frame.visibility) + 1
    after = np.bincount(ids.ravel(), minlength=len(frame.visibility) + 2)[1:-1]
    left_over = after[: len(before)] / np.maximum(before[: len(after)], 1)
    box = np.array([[x, y, x + wide_px, y + tall_px]], np.float32)
    return Frame(
        picture, ids, np.concatenate([frame.full_xyxy, box]), np.concatenate([frame.visible_xyxy, box]),
        np.concatenate([frame.visibility * left_over, [1.0]]).astype(np.float32),
    )  # fmt: skip


def _mirrored(made: Sample) -> Sample:
    width = made.picture_bgr.shape[1]
    flipped = [np.column_stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]])
               for boxes in (made.wanted_xyxy, made.ignored_xyxy)]  # fmt: skip
    return Sample(np.ascontiguousarray(made.picture_bgr[:, ::-1]), flipped[0], flipped[1])


def _scaled(picture: U8, place: np.ndarray, size_wh: tuple[int, int], method: int) -> U8:
    if method == cv2.INTER_AREA:
        # warpAffine has no averaging: shrink first, then move.
        wh = max(1, round(picture.shape[1] * place[0, 0])), max(1, round(picture.shape[0] * place[1, 1]))
        picture = np.asarray(cv2.resize(picture, wh, interpolation=cv2.INTER_AREA), np.uint8)
        place = np.array([[1, 0, place[0, 2]], [0, 1, place[1, 2]]])
    made = cv2.warpAffine(
        picture, place, size_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(GREY,) * 3
    )  # fmt: skip
    return np.asarray(made, np.uint8)


def _moved(boxes: F32, place: np.ndarray) -> F32:
    scale, shift = np.diag(place[:, :2]), place[:, 2]
    return np.asarray(boxes * np.tile(scale, 2) + np.tile(shift, 2), np.float32)


def _clipped(boxes: F32, size_wh: tuple[int, int]) -> F32:
    return np.asarray(np.clip(boxes, 0, np.array(size_wh * 2)), np.float32)


def _area(boxes: F32) -> F32:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1], np.float32)


def _filled(boxes: Sequence[F32]) -> tuple[F32, np.ndarray]:
    most = max(1, max(len(each) for each in boxes))
    # Few different sizes, so that memory that was freed fits again.
    most = -(-most // _FREE_PAD) * _FREE_PAD
    filled = np.zeros((len(boxes), most, 4), np.float32)
    counts = np.zeros((len(boxes), most), bool)
    for row, each in enumerate(boxes):
        filled[row, : len(each)], counts[row, : len(each)] = each, True
    return filled, counts
