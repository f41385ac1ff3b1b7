"""SAM 2 as a stream wants it: frames come one at a time, objects come and go, and memory is bounded.

The four graphs, driven as the official video predictor drives its modules, for rows of objects of several cameras at
once. Keeps nothing about objects: that is `engine.models.sam2_memory`'s. Knows neither tracks nor policies; which
objects are asked for, and when, is the caller's, for whom `engine.models.sam2_step` joins the calls.

A row whose numbers are not finite is reported and left out, the others go on. Not for two threads at once. Threads of
the runtime are made in `Segmenter.load` and have the priority that the caller has then.

Source: Ravi et al., "SAM 2: Segment Anything in Images and Videos", arXiv 2408.00714, and its published code.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.models import sam2_prompts, sam2_sidecar
from engine.models.base import Choice
from engine.models.graph_session import GraphOptions
from engine.models.sam2_graphs import DecoderPrompts, Graphs, failures_of
from engine.models.sam2_memory import MemoryBank
from engine.models.sam2_pictures import Pictures
from engine.models.sam2_predictions import F64, Features, Predictions
from engine.models.sam2_selection import boxes_of, choose, is_sure
from engine.models.sam2_sidecar import Sidecar
from engine.types import F32, I32, I64, Bools, FrameNv12, Prompt

_SCORES_BYTES = 128 << 20
"""Attention scores of one call may take so much: every row has one for each pair of a token and a remembered one."""
_MOST_ROWS = {"ort-cpu": 4}
"""On a CPU rows gain little from each other, but wait for each other."""
_MOST_ROWS_ELSEWHERE = 16


@dataclass(frozen=True, slots=True)
class SegmenterOptions:
    """How a segmenter is loaded and how it chooses.

    backends         what may run the graphs, best first
    threads          threads inside one call; 0 = all cores that this process may use
    motion_aware     choose the candidate that agrees with the object's motion, remember only frames that do
    freeze_iou       predicted IoU below which, or without the object in sight, a frame is not remembered; 0 = every
                     frame is, as by the official predictor
    rows_per_call    most objects in one call; 0 = by the size of the picture
    frames_per_call  most frames in one call of the image encoder
    device           number of the GPU
    cache            folder with TensorRT engine files
    """

    backends: tuple[str, ...] = ("ort-cpu",)
    threads: int = 0
    motion_aware: bool = False
    freeze_iou: float = 0.5
    rows_per_call: int = 0
    frames_per_call: int = 4
    device: int = 0
    cache: Path | None = None


class Segmenter:
    """A model folder that is loaded and ready.

    sidecar        what the folder says of itself
    options        as they were given
    rows_per_call  most objects in one call
    """

    def __init__(
        self, sidecar: Sidecar, options: SegmenterOptions, graphs: Graphs, rows_per_call: int
    ) -> None:
        """See `load`."""
        self.sidecar, self.options, self.rows_per_call = sidecar, options, rows_per_call
        self._graphs = graphs
        self._pictures = Pictures(sidecar.image_size, sidecar.mean, sidecar.std)
        self._no_memory: F32 = sidecar.no_mem_embed.reshape(1, -1, 1, 1)

    @classmethod
    def load(cls, folder: Path, options: SegmenterOptions | None = None) -> Segmenter:
        """Load a model folder.

        Raises `ModelNotFound`, `ModelCorrupt` (a damaged file, graphs of different exports mixed), `ModelUnsupported`,
        or `BackendError` where none of the backends runs.
        """
        options = options or SegmenterOptions()
        sidecar = sam2_sidecar.load(folder)
        rows = options.rows_per_call or _rows_for(sidecar, options.backends[0])
        graph_options = GraphOptions(
            options.threads or _cores(), rows, options.frames_per_call, options.device, options.cache
        )
        return cls(sidecar, options, Graphs(sidecar, options.backends, graph_options), rows)

    @property
    def image_size(self) -> int:
        """S, side of the square that pictures are stretched to, in pixels."""
        return self.sidecar.image_size

    @property
    def mask_side(self) -> int:
        """m, side of a low-resolution mask: 4r in official models."""
        return self.sidecar.mask_side

    @property
    def description(self) -> str:
        """Model, size, precision, runtime: one line for the log."""
        precision = "/".join(sorted(set(self.sidecar.precision.values())))
        runtime = self._graphs.chain.sessions()["image_encoder"].description
        size = f"{self.image_size} × {self.image_size}"
        return f"{self.sidecar.family} {self.sidecar.variant}, {size}, {precision}, {runtime}"

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What has been decided without being asked for, and why."""
        chain = self._graphs.chain
        passed = "; ".join(f"{each.name}: {each.reason}" for each in chain.passed_over)
        found = [Choice("segmenter backend", chain.name, passed or "the first that is named")]
        if not self.options.rows_per_call:
            reason = (
                f"attention scores stay below {_SCORES_BYTES >> 20} MiB, and no object waits for many others"
            )
            found.append(Choice("objects per call", str(self.rows_per_call), reason))
        if not self.options.threads:
            found.append(Choice("segmenter threads", str(_cores()), "all cores"))
        return tuple(found)

    @property
    def degraded(self) -> tuple[str, ...]:
        """What runs worse than it was asked for, in words; may change while it runs."""
        return tuple(
            f"segmenter backend {each.name} does not run: {each.reason}"
            for each in self._graphs.chain.passed_over
        )

    def new_bank(self, capacity: int) -> MemoryBank:
        """An empty bank of the sizes that this model has."""
        sidecar = self.sidecar
        return MemoryBank(
            capacity, sidecar.memory_tokens, sidecar.memory_slots, sidecar.pointer_slots, self.rows_per_call,
            (sidecar.memory_width, sidecar.width),
        )  # fmt: skip

    def absent(self, rows: int) -> Predictions:
        """Rows in which nothing is, to be filled with those of several calls."""
        return self._graphs.absent(rows)

    def close(self) -> None:
        """Give everything back. May be called twice."""
        self._graphs.chain.close()

    def pictures(self, frames: Sequence[FrameNv12]) -> F32:
        """What the image encoder is given for frames, float32 (F, 3, S, S); memory that the next call writes over."""
        return self._pictures.fill(frames)

    def encode(self, frames: Sequence[FrameNv12]) -> Features:
        """Features of one frame or more, of any cameras. Raises `BackendError`."""
        parts = []
        for part in _parts(len(frames), self.options.frames_per_call):
            parts.append(self._graphs.encode(self.pictures([frames[index] for index in part])))
        found = {
            name: parts[0][name] if len(parts) == 1 else np.concatenate([part[name] for part in parts])
            for name in parts[0]
        }
        failures = [failures_of(array, "image_encoder") for array in found.values()]
        return Features(
            found["image_embed"],
            found["high_res_0"],
            found["high_res_1"],
            tuple((frame.y.shape[1], frame.y.shape[0]) for frame in frames),
            np.array([_time_s(frame) for frame in frames], np.float64),
            tuple(map(max, zip(*failures, strict=True))),
        )

    def prompt(
        self,
        features: Features,
        frame_index: I64,
        prompts: Sequence[Prompt],
        previous: Sequence[F32 | None] | None = None,
        *,
        candidates: bool = False,
    ) -> Predictions:
        """Masks of n prompts without any memory, as on a frame that an object begins on.

        frame_index  int64 (n,): the frame of each prompt in `features`
        previous     logits (m, m) that the same object had on the same frame, for further clicks on it
        candidates   keep all four candidates; they take 16 times the memory of a mask. Of a mask there are none

        Raises `PromptError`, before anything is computed, and `BackendError`.
        """
        self._check(features, frame_index, prompts, refining=previous is not None)
        result = self._new(frame_index, prompted=True, candidates=candidates)
        for index, coords, labels in self._groups(features, frame_index, prompts):
            frames = frame_index[index]
            if labels is None:
                result.put(index, self._from_masks(features, frames, [prompts[at] for at in index]))
                continue
            pix_feat = features.image_embed[frames] + self._no_memory
            before = None if previous is None else [previous[at] for at in index]
            asked = self._asked(coords, labels, before)
            found = self._graphs.decode(features, frames, pix_feat, asked, candidates=candidates)
            result.put(index, found)
        self._graphs.fail(result, [features.failures[frame] for frame in frame_index])
        return result

    def track(self, features: Features, frame_index: I64, bank: MemoryBank, rows: I64) -> Predictions:
        """Masks of n rows of a bank by what they remember; each has to remember something. Raises `BackendError`."""
        result = self._new(frame_index, prompted=False)
        for part in self._calls(frame_index):
            frames = frame_index[part]
            pix_feat, failures = self._graphs.attend(features, frames, bank, rows[part])
            found = self._graphs.decode(
                features, frames, pix_feat, DecoderPrompts.nothing(len(part)),
                candidates=self.options.motion_aware,
            )  # fmt: skip
            if self.options.motion_aware:
                _follow_motion(found, features.times_s[frames], bank, rows[part])
            self._graphs.fail(found, failures)
            result.put(part, found)
        bank.touch([int(row) for row in rows])
        self._graphs.fail(result, [features.failures[frame] for frame in frame_index])
        return result

    def refine(
        self, features: Features, frame_index: I64, bank: MemoryBank, rows: I64, prompts: Sequence[Prompt]
    ) -> Predictions:
        """Masks of n rows that somebody corrects on this frame: by memory first, then by the prompt upon that.

        A mask is the answer, whatever is remembered. Raises `PromptError`, before anything is computed, and
        `BackendError`.
        """
        self._check(features, frame_index, prompts, refining=True)
        result = self._new(frame_index, prompted=True)
        for index, coords, labels in self._groups(features, frame_index, prompts):
            frames = frame_index[index]
            if labels is None:
                result.put(index, self._from_masks(features, frames, [prompts[at] for at in index]))
                continue
            pix_feat, failures = self._graphs.attend(features, frames, bank, rows[index])
            before = self._graphs.decode(features, frames, pix_feat, DecoderPrompts.nothing(len(index)))
            asked = self._asked(coords, labels, list(before.low_res_masks))
            found = self._graphs.decode(features, frames, pix_feat, asked)
            self._graphs.fail(found, failures)
            result.put(index, found)
        bank.touch([int(row) for row in rows])
        self._graphs.fail(result, [features.failures[frame] for frame in frame_index])
        return result

    def remember(
        self,
        features: Features,
        bank: MemoryBank,
        rows: I64,
        predictions: Predictions,
        conditioning: Bools | None = None,
    ) -> Bools:
        """Take the predictions of n different rows into their memories; bool (n,): which were taken.

        conditioning  bool (n,): the frame replaces the row's conditioning frame; None = those that were prompted

        Prompted rows are taken always, others where they are sure enough (`SegmenterOptions.freeze_iou`), failures
        never. A memory that is not finite is noted in `predictions.failures`. Raises `BackendError`.
        """
        first = predictions.prompted if conditioning is None else conditioning
        sure = is_sure(
            predictions.ious, predictions.object_scores, predictions.motion_ious, self.options.freeze_iou
        )
        fine = np.array([not failure for failure in predictions.failures], np.bool_)
        wanted = np.flatnonzero(fine & (sure | predictions.prompted))
        taken = np.zeros(len(rows), np.bool_)
        for part in self._calls(predictions.frame_index[wanted]):
            index = wanted[part]
            memories, failures = self._graphs.encode_memory(
                features, predictions.frame_index, predictions, index
            )
            for at, failure in zip(index, failures, strict=True):
                predictions.failures[at] = failure
            finite = np.array([not failure for failure in failures], np.bool_)
            index = index[finite]
            bank.remember(rows[index], memories[finite], predictions.pointers[index], first[index])
            taken[index] = True
        index = np.flatnonzero(taken)
        boxes = boxes_of(predictions.low_res_masks[index] > 0)
        bank.motion.update(rows[index], boxes, features.times_s[predictions.frame_index[index]])
        return taken

    def _from_masks(self, features: Features, frame_index: I64, prompts: Sequence[Prompt]) -> Predictions:
        """Rows whose masks are given: the answer is known, the decoder adds the pointer."""
        sidecar = self.sidecar
        masks = [prompt.mask_hw for prompt in prompts if prompt.mask_hw is not None]
        squares = [sam2_prompts.square_mask(mask, self.image_size) for mask in masks]
        dense = [
            sam2_prompts.dense_prompt_of_mask(square, sidecar.mask_weight, sidecar.mask_bias)
            for square in squares
        ]
        asked = DecoderPrompts(*sam2_prompts.no_points(len(squares)), np.stack(dense), ambiguous=False)
        # Without the embedding of a frame without memory, as the official predictor.
        found = self._graphs.decode(features, frame_index, features.image_embed[frame_index], asked)
        for row, square in enumerate(squares):
            if not found.failures[row]:
                found.low_res_masks[row] = sam2_prompts.logits_of_mask(square, self.mask_side)
                found.ious[row], found.object_scores[row] = 1.0, sam2_prompts.MASK_LOGIT
        return found

    def _asked(self, coords: F32, labels: I32, before: Sequence[F32 | None] | None) -> DecoderPrompts:
        """Points upon the logits that rows had before, if any."""
        ambiguous = sam2_prompts.is_ambiguous(labels.shape[1])
        if before is None:
            return DecoderPrompts(coords, labels, ambiguous=ambiguous)
        dense = np.zeros((len(coords), self.mask_side, self.mask_side), np.float32)
        for row, logits in zip(dense, before, strict=True):
            if logits is not None:
                np.clip(logits, -sam2_prompts.PREVIOUS_LOGIT, sam2_prompts.PREVIOUS_LOGIT, out=row)
        valid = np.array([logits is not None for logits in before], np.bool_)
        return DecoderPrompts(coords, labels, dense, valid, ambiguous)

    def _groups(
        self, features: Features, frame_index: I64, prompts: Sequence[Prompt]
    ) -> Iterator[tuple[I64, F32, I32 | None]]:
        """Rows that go into one decoder call: all masks (no labels then), or as many points each.

        How many points there are changes the answer, so that rows are never padded to the same number.
        """
        points = [
            sam2_prompts.points_of(prompt, features.sizes_wh[frame], self.image_size)
            for prompt, frame in zip(prompts, frame_index, strict=True)
        ]
        kinds: dict[int, list[int]] = {}
        for row, (prompt, (_, labels)) in enumerate(zip(prompts, points, strict=True)):
            kinds.setdefault(0 if prompt.mask_hw is not None else len(labels), []).append(row)
        for kind, members in kinds.items():
            for part in self._calls(frame_index[members]):
                index = np.array(members)[part]
                coords, labels = (np.stack([points[at][which] for at in index]) for which in (0, 1))
                yield index, coords, labels if kind else None

    def _calls(self, frame_index: I64) -> Iterator[I64]:
        """Places of rows that go into one call: neither too many rows nor rows of too many frames."""
        part: list[int] = []
        for place, frame in enumerate(frame_index):
            frames = {int(frame_index[at]) for at in part} | {int(frame)}
            if len(part) == self.rows_per_call or len(frames) > self.options.frames_per_call:
                yield np.array(part, np.int64)
                part = []
            part.append(place)
        if part:
            yield np.array(part, np.int64)

    def _check(
        self, features: Features, frame_index: I64, prompts: Sequence[Prompt], *, refining: bool
    ) -> None:
        for prompt, frame in zip(prompts, frame_index, strict=True):
            sam2_prompts.check_prompt(prompt, features.sizes_wh[frame], refining=refining)

    def _new(self, frame_index: I64, *, prompted: bool, candidates: bool = False) -> Predictions:
        result = self._graphs.absent(len(frame_index), candidates=candidates)
        result.frame_index = np.asarray(frame_index, np.int64)
        result.prompted = np.full(len(frame_index), prompted)
        return result


def _follow_motion(found: Predictions, times_s: F64, bank: MemoryBank, rows: I64) -> None:
    """Put the motion-aware choice in the place of the official one."""
    assert found.candidate_masks is not None and found.candidate_ious is not None
    assert found.candidate_pointers is not None
    expected = bank.motion.predict(rows, times_s)
    choice = choose(found.candidate_masks, found.candidate_ious, expected, bank.motion.settled(rows))
    each = np.arange(len(rows))
    there = found.object_scores > 0
    found.low_res_masks[there] = found.candidate_masks[each, choice.candidates][there]
    found.ious[:] = found.candidate_ious[each, choice.candidates]
    found.pointers[:] = found.candidate_pointers[each, choice.candidates]
    found.motion_ious[:] = choice.motion_ious


def _rows_for(sidecar: Sidecar, backend: str) -> int:
    """How many rows a call may have."""
    keys = sidecar.memory_slots * sidecar.memory_tokens + sidecar.pointer_tokens * sidecar.pointer_slots
    fitting = _SCORES_BYTES // (4 * sidecar.grid**2 * keys)
    return max(1, min(fitting, _MOST_ROWS.get(backend, _MOST_ROWS_ELSEWHERE)))


def _parts(count: int, most: int) -> Iterator[I64]:
    """0 to count - 1 in pieces of at most so many."""
    for start in range(0, count, most):
        yield np.arange(start, min(start + most, count), dtype=np.int64)


def _time_s(frame: FrameNv12) -> float:
    """When the picture was taken, on the source's clock where it has one."""
    meta = frame.meta
    return (meta.pts_ns if meta.pts_ns >= 0 else meta.captured_ns) / 1e9


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
