"""Whether the whole loop over the graphs gives the masks of the official predictor, and would notice if it did not.

A clip of moving figures is tracked by both from boxes in its first frame. The same is done with one thing wrong at
a time: a comparison that such an error does not spoil would prove nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.models.sam2_sidecar import GRAPHS, Sidecar, load
from engine.types import F32
from tools.sam2 import official
from tools.sam2.families import Parts
from tools.sam2.parity import open_graph

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
    """Mask logits (frames, objects, 4r, 4r) of the clip by the official model."""
    return np.stack(official.track(parts.official, *made_up_clip(size, FRAMES, OBJECTS)))


def against(wanted: F32, folder: Path, faults: Sequence[str] = ()) -> LoopParity:
    """Track the clip by the graphs in the folder; `wanted` are the logits of another implementation."""
    sidecar = load(folder)
    frames, boxes = made_up_clip(sidecar.image_size, FRAMES, OBJECTS)
    loop = _Loop(sidecar)
    found = loop.track(frames, boxes, "")
    return LoopParity(
        largest=float(np.abs(found - wanted).max()),
        spread=float(wanted.std()),
        agreement=float(((found > 0) == (wanted > 0)).mean()),
        faults={fault: float(np.abs(loop.track(frames, boxes, fault) - wanted).max()) for fault in faults},
    )


def made_up_clip(size: int, count: int, objects: int) -> tuple[list[NDArray[np.uint8]], list[F32]]:
    """RGB frames (size, size, 3) with a rough ground and figures that move over it, and their first boxes."""
    generator = np.random.default_rng(0)
    cells = size // 16 + 1
    ground = generator.integers(0, 255, (cells, cells, 3), np.uint8).repeat(16, 0).repeat(16, 1)[:size, :size]
    side = size // 4
    places = [
        (size // 8 + size // 12 * number, size // 16 + number * size // objects) for number in range(objects)
    ]
    frames = []
    for index in range(count):
        frame = ground.copy()
        for number, (left, top) in enumerate(places):
            x = min(left + index * size // 64, size - side)
            frame[top : top + side, x : x + side] = (60 * number % 255, 255 - 50 * number, 128)
        frames.append(frame)
    boxes = [np.array([left, top, left + side, top + side], np.float32) for left, top in places]
    return frames, boxes


class _Loop:
    """The streaming loop in its plainest form: every object seen in every frame, prompted in the first."""

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar
        self._graphs = {name: open_graph(sidecar.path(name)) for name in GRAPHS}

    def track(self, frames: Sequence[NDArray[np.uint8]], boxes: Sequence[F32], fault: str) -> F32:
        """Mask logits (frames, objects, 4r, 4r)."""
        bank = _Bank(self._sidecar, len(boxes))
        masks = []
        for now, frame in enumerate(frames):
            image = (frame.astype(np.float32) / 255 - self._sidecar.mean) / self._sidecar.std
            embed, finest, fine = self._run(
                "image_encoder",
                {"image": np.ascontiguousarray(image.transpose(2, 0, 1))[None].astype(np.float32)},
            )
            rows = np.zeros(len(boxes), np.int64)
            shared = {"image_embed": embed, "frame_index": rows}
            features = (
                self._run("memory_attention", shared | bank.inputs(now, fault))[0]
                if now
                else np.repeat(embed + self._sidecar.no_mem_embed[None, :, None, None], len(boxes), 0)
            )
            prompt = _box_prompt(boxes) if now == 0 else _no_prompt(len(boxes))
            side = self._sidecar.mask_side
            low, _, pointer, score, *_ = self._run(
                "mask_decoder",
                {
                    "pix_feat": features, "high_res_0": finest, "high_res_1": fine, "frame_index": rows,
                    "multimask": np.full(len(boxes), float(now > 0), np.float32),
                    "mask_prompt": np.zeros((len(boxes), 1, side, side), np.float32),
                    "mask_prompt_valid": np.zeros(len(boxes), np.float32),
                } | prompt,
            )  # fmt: skip
            (memory,) = self._run(
                "memory_encoder",
                shared
                | {
                    "low_res_mask": low,
                    "object_score": score,
                    "mask_from_points": np.full(len(boxes), float(now == 0), np.float32),
                },
            )
            bank.keep(now, memory, pointer)
            masks.append(low[:, 0])
        return np.stack(masks)

    def _run(self, graph: str, inputs: dict[str, Any]) -> list[Any]:
        return list(self._graphs[graph].run(None, inputs))


class _Bank:
    """Memories and pointers of each row: slot 0 is the conditioning frame, the others go round."""

    def __init__(self, sidecar: Sidecar, rows: int) -> None:
        slots, pointers = sidecar.memory_slots, sidecar.pointer_slots
        self._memory = np.zeros((rows, slots, sidecar.memory_tokens, 64), np.float32)
        self._pointer = np.zeros((rows, pointers, 256), np.float32)
        self._memory_frame = np.full(slots, -1)
        self._pointer_frame = np.full(pointers, -1)

    def inputs(self, now: int, fault: str) -> dict[str, Any]:
        rows, slots = self._memory.shape[:2]
        rank = np.where(np.arange(slots) == 0, slots - 1, np.clip(now - self._memory_frame - 1, 0, slots - 1))
        if fault == FAULTS[0]:
            rank = (rank + 1) % slots
        memory = np.zeros_like(self._memory) if fault == FAULTS[1] else self._memory
        known = (self._pointer_frame >= 0) & (fault != FAULTS[2])
        ages = np.where(known, now - self._pointer_frame, 0)
        return {
            "memory": memory,
            "memory_tpos": np.tile(rank.astype(np.int64), (rows, 1)),
            "memory_valid": np.tile((self._memory_frame >= 0).astype(np.float32), (rows, 1)),
            "obj_ptr": self._pointer,
            "obj_ptr_tdiff": np.tile(ages.astype(np.float32), (rows, 1)),
            "obj_ptr_valid": np.tile(known.astype(np.float32), (rows, 1)),
        }

    def keep(self, now: int, memory: F32, pointer: F32) -> None:
        slot = 0 if now == 0 else 1 + (now - 1) % (self._memory.shape[1] - 1)
        self._memory[:, slot] = _as_bfloat16(memory)
        self._memory_frame[slot] = now
        slot = 0 if now == 0 else 1 + (now - 1) % (self._pointer.shape[1] - 1)
        self._pointer[:, slot] = pointer
        self._pointer_frame[slot] = now


def _as_bfloat16(values: F32) -> F32:
    """Rounded to sixteen bits as the official predictor keeps memories, to the nearest, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) & 0xFFFF0000
    return rounded.astype(np.uint32).view(np.float32)


def _box_prompt(boxes: Sequence[F32]) -> dict[str, Any]:
    corners = np.stack([box.reshape(2, 2) for box in boxes])
    return {"point_coords": corners, "point_labels": np.tile(np.array([2, 3], np.int32), (len(boxes), 1))}


def _no_prompt(rows: int) -> dict[str, Any]:
    return {
        "point_coords": np.zeros((rows, 1, 2), np.float32),
        "point_labels": np.full((rows, 1), -1, np.int32),
    }
