"""Whether the engine's loop over the graphs gives the masks of the official predictor, and would notice if not.

A clip of moving figures is tracked by both from boxes in its first frame; what runs is the engine's own `Segmenter`.
The same is done with one thing wrong at a time: a comparison that such an error does not spoil would prove nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.models.sam2 import Segmenter, SegmenterOptions
from engine.models.sam2_memory import MemoryBank, Recalled
from engine.models.sam2_pictures import Pictures
from engine.types import F32, I64, FrameMeta, FrameNv12, Prompt
from tools.sam2 import official
from tools.sam2.export import MEAN, STD
from tools.sam2.families import Parts

FAULTS = ("memory ages off by one", "memories zeroed", "pointers left out")
FRAMES, OBJECTS = 18, 2
"""Fewer than 16 frames would be counted otherwise: the predictor divides ages by the clip's length then."""


@dataclass(frozen=True, slots=True)
class LoopParity:
    """Mask logits of a tracked clip, against the official predictor's.

    largest    largest difference over all frames and objects
    spread     standard deviation of the official logits
    agreement  share of pixels that both put on the same side of zero
    faults     the largest difference with one thing wrong, by what is wrong
    """

    largest: float
    spread: float
    agreement: float
    faults: dict[str, float]

    def complaints(self, tolerance: float, agreement: float) -> list[str]:
        """What is out of tolerance, which for the difference is a share of the spread."""
        found = []
        if not self.largest <= tolerance * self.spread:
            found.append(
                f"the loop's masks are off by {self.largest:.2g} with a spread of {self.spread:.2g}, "
                f"{tolerance:g} of it allowed"
            )
        if not self.agreement >= agreement:
            found.append(f"only {self.agreement:.2%} of the loop's pixels agree, {agreement:.2%} wanted")
        return found

    def unnoticed(self) -> list[str]:
        """Errors that the comparison does not notice."""
        return [
            f"the comparison does not notice: {name} (off by {off:.2g}, without it by {self.largest:.2g})"
            for name, off in self.faults.items()
            if not off > 10 * self.largest
        ]

    def record(self) -> dict[str, Any]:
        """For the sidecar."""
        return {
            "frames": FRAMES, "objects": OBJECTS, "largest": float(f"{self.largest:.3g}"),
            "spread": float(f"{self.spread:.3g}"), "sign_agreement": round(self.agreement, 6),
            "controls": {name: float(f"{off:.3g}") for name, off in self.faults.items()},
        }  # fmt: skip


def by_official(parts: Parts, size: int) -> F32:
    """Mask logits (frames, objects, m, m) of the clip by the official model."""
    frames, boxes = made_up_clip(size, FRAMES, OBJECTS)
    pictures = Pictures(size, np.asarray(MEAN, np.float32), np.asarray(STD, np.float32))
    return official.track(
        parts.official, np.concatenate([pictures.fill([frame]).copy() for frame in frames]), boxes
    )


def against(wanted: F32, folder: Path, faults: Sequence[str] = ()) -> LoopParity:
    """Track the clip by the graphs in the folder; `wanted` are the logits of another implementation."""
    # As the official predictor: every frame is remembered, however unsure its mask is.
    segmenter = Segmenter.load(folder, SegmenterOptions(freeze_iou=0.0))
    try:
        found = _track(segmenter, "")
        wrong = {fault: float(np.abs(_track(segmenter, fault) - wanted).max()) for fault in faults}
    finally:
        segmenter.close()
    return LoopParity(
        largest=float(np.abs(found - wanted).max()),
        spread=float(wanted.std()),
        agreement=float(((found > 0) == (wanted > 0)).mean()),
        faults=wrong,
    )


def made_up_clip(size: int, count: int, objects: int) -> tuple[list[FrameNv12], list[F32]]:
    """Frames of size × size with a rough ground and figures that move over it, and their first boxes."""
    generator = np.random.default_rng(0)
    cells = size // 16 + 1
    ground = generator.integers(0, 255, (cells, cells, 3), np.uint8).repeat(16, 0).repeat(16, 1)[:size, :size]
    side = size // 4
    places = [
        (size // 8 + size // 12 * number, size // 16 + number * size // objects) for number in range(objects)
    ]
    frames = []
    for index in range(count):
        picture = ground.copy()
        for number, (left, top) in enumerate(places):
            x = min(left + index * size // 64, size - side)
            picture[top : top + side, x : x + side] = (60 * number % 255, 255 - 50 * number, 128)
        frames.append(_nv12(picture, index))
    boxes = [np.array([left, top, left + side, top + side], np.float32) for left, top in places]
    return frames, boxes


def _nv12(picture_rgb: NDArray[np.uint8], index: int) -> FrameNv12:
    size = len(picture_rgb)
    planes = cv2.cvtColor(picture_rgb, cv2.COLOR_RGB2YUV_I420)
    chroma = planes[size:].reshape(2, size // 2, size // 2).transpose(1, 2, 0)
    slot = np.concatenate([planes[:size].ravel(), np.ascontiguousarray(chroma).ravel()])
    time_ns = index * 40_000_000
    return FrameNv12.view(FrameMeta(index, time_ns, time_ns, size, size, size, size, size * size), slot)


def _track(segmenter: Segmenter, fault: str) -> F32:
    """Mask logits (frames, objects, m, m): every object prompted in the first frame, followed in all others."""
    frames, boxes = made_up_clip(segmenter.image_size, FRAMES, OBJECTS)
    sidecar = segmenter.sidecar
    bank = _Faulty(
        OBJECTS, sidecar.memory_tokens, sidecar.memory_slots, sidecar.pointer_slots, segmenter.rows_per_call,
        (sidecar.memory_width, sidecar.width),
    )  # fmt: skip
    bank.fault = fault
    rows = np.array([bank.add(("clip", number))[0] for number in range(OBJECTS)])
    first = np.zeros(OBJECTS, np.int64)
    masks = []
    for index, frame in enumerate(frames):
        features = segmenter.encode([frame])
        if index:
            found = segmenter.track(features, first, bank, rows)
        else:
            found = segmenter.prompt(features, first, [Prompt.of_box(box) for box in boxes])
        segmenter.remember(features, bank, rows, found)
        masks.append(found.low_res_masks.copy())
    return np.stack(masks)


class _Faulty(MemoryBank):
    """A bank that recalls one thing wrong."""

    fault = ""

    def recall(self, rows: I64, *, padded: bool = False) -> Recalled:
        recalled = super().recall(rows, padded=padded)
        if self.fault == FAULTS[0]:
            return replace(recalled, memory_tpos=(recalled.memory_tpos + 1) % self.slots)
        if self.fault == FAULTS[1]:
            return replace(recalled, memory=np.zeros_like(recalled.memory))
        if self.fault == FAULTS[2]:
            return replace(recalled, obj_ptr_valid=np.zeros_like(recalled.obj_ptr_valid))
        return recalled
