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
from tools.nano.detector_paste import Frame, pasted, pasted_beside
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
CROWDED_PASTE_SHARE, CROWDED_BESIDE_SHARE, MOST_PASTED = 0.75, 0.85, 3
"""In the second part of a training: into which share of pictures people are pasted, which share of these next to
others, and how many at most."""
LEAST_ZOOM, MOST_ZOOM = 0.8, 1.9
"""Against the size at which the whole frame just fits; a part of a mosaic may be as small as `LEAST_PART_ZOOM`."""
LEAST_PART_ZOOM = 0.45
_FREE_PAD = 12


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


@dataclass(frozen=True, slots=True)
class Order:
    """Which batch: a function of these and of the clips.

    crowded  people are pasted close to others, before and behind them
    """

    seed: int
    step: int
    count: int
    size_wh: tuple[int, int]
    crowded: bool = False


def batch(clips: Sequence[Clip], order: Order) -> Batch:
    """The samples of a step."""
    rng = np.random.default_rng((order.seed, order.step))
    return together([sample(clips, rng, order.size_wh, order.crowded) for _ in range(order.count)])


def together(samples: Sequence[Sample]) -> Batch:
    """Samples of one size as a batch."""
    images = np.stack([one.picture_bgr[..., ::-1] for one in samples])
    wanted, counts = _filled([one.wanted_xyxy for one in samples])
    return Batch(images, wanted, counts, _filled([one.ignored_xyxy for one in samples])[0])


def sample(
    clips: Sequence[Clip], rng: np.random.Generator, size_wh: tuple[int, int], crowded: bool = False
) -> Sample:
    """One picture by chance: cut out of a frame, or a mosaic of four, then spoilt as cameras do."""
    if rng.random() < MOSAIC_SHARE:
        made = _mosaic(clips, rng, size_wh, crowded)
    else:
        made = cut(_drawn(clips, rng, crowded), _place(rng, _source_wh(clips), size_wh), size_wh)
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


def _drawn(clips: Sequence[Clip], rng: np.random.Generator, crowded: bool) -> Frame:
    """A frame by chance, with somebody out of another one pasted into some, or several."""
    frame = _any_frame(clips, rng)
    if rng.random() >= (CROWDED_PASTE_SHARE if crowded else PASTE_SHARE):
        return frame
    for _ in range(int(rng.integers(1, MOST_PASTED + 1)) if crowded else 1):
        other = _any_frame(clips, rng)
        if other.ids.shape == frame.ids.shape:
            beside = crowded and rng.random() < CROWDED_BESIDE_SHARE
            frame = pasted_beside(frame, other, rng) if beside else pasted(frame, other, rng)
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


def _mosaic(
    clips: Sequence[Clip], rng: np.random.Generator, size_wh: tuple[int, int], crowded: bool
) -> Sample:
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
        frame = _drawn(clips, rng, crowded) if crowded else _any_frame(clips, rng)
        part = cut(frame, place, part_wh)
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
