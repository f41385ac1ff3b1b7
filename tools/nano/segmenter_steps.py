"""One training step of nano-sam: a batch and a model → losses. Single pictures with corrections, and clips with memory.

Prompts are drawn as a detector and a person give them. Over a clip a row sees only what the engine would give it: a
prompt in the first frame, then what it remembers of its own answers, of which the sure ones are taken in; sometimes the
truth is put in the place of an answer, and sometimes somebody corrects a later frame. Knows the rollout, no schedule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from engine.types import F32, I64, Bools
from tools.nano import segmenter_prompts
from tools.nano.segmenter_batches import Batch
from tools.nano.segmenter_losses import Losses, People, losses, mean
from tools.nano.segmenter_rollout import (
    Decoded,
    Features,
    History,
    Points,
    attend,
    decode,
    encode,
    first_features,
    pointer_of,
    remember,
)
from tools.sam2.nano_trunk import MEAN_RGB, STD_RGB

Tensor = Any
SURE_IOU = 0.5
"""Predicted overlap above which a frame is remembered, the engine's default (`segment.freeze_iou`)."""
TRUTH_LOGIT = 10.0
"""A mask that is the answer has logits of plus and minus this."""

TRUTH_REMEMBERED = 0.1
"""Share of the frames whose true mask is remembered instead of the answer."""

_ALWAYS_REMEMBERS = 0.15  # rows whose memory takes in frames that are not sure, or without the object
_WHOLE_BODIES = 0.4  # boxes of bodies as far as they are in the picture, hidden or not: what nano-det gives
_CORRECTED_CLIPS = 0.15
_KINDS_ON_PICTURES = (0.7, 0.15, 0.15)  # a box, a click, a box and a click
_BOXES_CORRECTED = 0.35  # of the boxes on a picture; clicks always are, once
_LONGEST_AGE = 300.0
_SHARPER = 8.0  # logits of prompted frames, for memory: the engine binarises them, which has no gradient


def as_input(pictures_bgr: Any) -> Tensor:
    """uint8 (F, S, S, 3) → normalised RGB (F, 3, S, S), channels last."""
    pictures = torch.from_numpy(np.ascontiguousarray(pictures_bgr[..., ::-1])).permute(0, 3, 1, 2).float()
    mean_rgb = torch.tensor(MEAN_RGB)[:, None, None] * 255
    std_rgb = torch.tensor(STD_RGB)[:, None, None] * 255
    return ((pictures - mean_rgb) / std_rgb).contiguous(memory_format=torch.channels_last)


def people_step(model: Any, people: People, batch: Batch) -> Losses:
    """Losses of the encoder alone, on the first frames of a batch."""
    features = encode(model, as_input(batch.pictures_bgr[0]))
    nothing = torch.zeros(())
    return Losses(nothing, nothing, nothing, nothing, _people_loss(people, features, batch, 1))


def picture_step(
    model: Any, people: People, batch: Batch, rng: np.random.Generator, background: float = 1.0
) -> Losses:
    """Losses over prompts of one kind, and corrections, on the first frames of a batch."""
    features = encode(model, as_input(batch.pictures_bgr[0]))
    members = np.arange(len(batch.person))
    kind = int(rng.choice(3, p=_KINDS_ON_PICTURES))
    truth, present = torch.from_numpy(batch.masks[0]), torch.from_numpy(batch.present[0])
    own = features.rows(batch.clip_index)
    pix_feat = first_features(model, own)
    points = stacked([drawn_prompt(batch, 0, int(row), kind, rng) for row in members])
    decoded = decode(model, own, pix_feat, points)
    found = [(losses(decoded, truth, present, background), len(members))]
    if kind != 0 or rng.random() < _BOXES_CORRECTED:
        points = with_corrections(batch, 0, members, points, decoded, rng)
        decoded = decode(model, own, pix_feat, points, decoded.mask().detach())
        found.append((losses(decoded, truth, present, background), len(members)))
    return mean(found, _people_loss(people, features, batch, 1))


def drawn_prompt(batch: Batch, frame: int, row: int, kind: int, rng: np.random.Generator) -> tuple[F32, I64]:
    """coords float32 (T, 2) and labels int64 (T,) that somebody points at a person with, who has to be there."""
    mask = batch.full_mask(frame, row)
    if kind == 1:
        point = segmenter_prompts.click_inside(rng, mask)
        assert point is not None
        return point[None], np.array([segmenter_prompts.ON_OBJECT], np.int64)
    box, whole = batch.box(frame, row), batch.full_boxes[row]
    if (
        frame == 0
        and rng.random() < _WHOLE_BODIES
        and bool((whole[2:] - whole[:2] >= box[2:] - box[:2] - 2).all())
    ):
        box = whole
    box = segmenter_prompts.loose_box(rng, box, mask.shape[0])
    coords, labels = segmenter_prompts.as_points(box)
    if kind == 0:
        return coords, labels
    beside = segmenter_prompts.click_beside(rng, mask) if rng.random() < 0.5 else None
    point = segmenter_prompts.click_inside(rng, mask) if beside is None else beside
    assert point is not None
    label = segmenter_prompts.ON_OBJECT if beside is None else segmenter_prompts.NOT_ON_OBJECT
    return np.concatenate([coords, point[None]]), np.append(labels, label)


def stacked(prompts: list[tuple[F32, I64]]) -> Points:
    """Prompts with as many points each, as one."""
    coords, labels = (np.stack([prompt[which] for prompt in prompts]) for which in (0, 1))
    return Points(torch.from_numpy(coords.astype(np.float32)), torch.from_numpy(labels))


def with_corrections(
    batch: Batch, frame: int, members: I64, points: Points, decoded: Decoded, rng: np.random.Generator
) -> Points:
    """One more click for each row, where its mask is wrong. Points that are none are left out."""
    answers = (decoded.mask().detach() > 0).numpy()
    scale = batch.ids.shape[-1] // answers.shape[-1]
    clicks = []
    for row, answer in zip(members, answers, strict=True):
        found: Bools = np.repeat(np.repeat(answer, scale, 0), scale, 1)
        point, label = segmenter_prompts.correction(rng, found, batch.full_mask(frame, int(row)))
        clicks.append((point[None], np.array([label], np.int64)))
    added = stacked(clicks)
    if bool((points.labels < 0).all()):
        return added
    return Points(torch.cat([points.coords, added.coords], 1), torch.cat([points.labels, added.labels], 1))


def clip_step(
    model: Any, people: People, batch: Batch, rng: np.random.Generator, truth_share: float = TRUTH_REMEMBERED
) -> Losses:
    """Losses over all frames of a batch, each person prompted in the first one and followed by memory."""
    frames = len(batch.pictures_bgr)
    pictures = as_input(batch.pictures_bgr.reshape(-1, *batch.pictures_bgr.shape[2:]))
    encoded = encode(model, pictures)
    features = encoded.frames(frames)
    rows = np.arange(len(batch.person))
    always = rng.random(len(rows)) < _ALWAYS_REMEMBERS
    extra_age = _drawn_ages(rng, len(rows))
    corrected = int(rng.integers(1, frames)) if frames > 1 and rng.random() < _CORRECTED_CLIPS else -1
    history, found = History(), []
    for frame in range(frames):
        own = features[frame].rows(batch.clip_index)
        truth, present = torch.from_numpy(batch.masks[frame]), torch.from_numpy(batch.present[frame])
        if frame == 0:
            pix_feat = first_features(model, own)
            points = stacked(
                [drawn_prompt(batch, 0, row, kind, rng) for kind in _clip_kind(rng) for row in rows.tolist()]
            )
        else:
            pix_feat = attend(model, own, history, extra_age)
            points = Points.nothing(len(rows))
        decoded = decode(model, own, pix_feat, points)
        found.append(losses(decoded, truth, present))
        prompted = np.full(len(rows), frame == 0)
        if frame == corrected:
            prompted = batch.present[frame].copy()
            points = with_corrections(batch, frame, rows, points, decoded, rng)
            decoded = decode(model, own, pix_feat, points, decoded.mask().detach())
            found.append(losses(decoded, truth, present))
        if frame + 1 < frames:
            true = torch.from_numpy(rng.random(len(rows)) < truth_share)
            _take_in(model, history, _Frame(own, truth, present, prompted, true), decoded, always)
    return mean([(each, 1) for each in found], _people_loss(people, encoded, batch, frames))


def _people_loss(people: People, features: Features, batch: Batch, frames: int) -> Tensor:
    """Of the first frames of a batch, whose features lie frame by frame."""
    anybody = np.concatenate([batch.anybody(frame) for frame in range(frames)])
    sides = np.concatenate([batch.sides(frame) for frame in range(frames)])
    return people(features, torch.from_numpy(anybody), torch.from_numpy(sides))


def _clip_kind(rng: np.random.Generator) -> list[int]:
    """The kind of prompt that all rows of a clip begin with."""
    return [int(rng.choice(3, p=[0.75, 0.15, 0.1]))]


def _drawn_ages(rng: np.random.Generator, rows: int) -> I64:
    """How much longer ago than it was the conditioning frame seems to be: clips are short, runs are not."""
    ages = np.exp(rng.uniform(0, np.log(_LONGEST_AGE), rows)).astype(np.int64)
    return np.where(rng.random(rows) < 0.5, ages, 0)


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame of all rows: features, truth (n, m, m); present, prompted on it, remembered as it truly is: bool (n,)."""

    own: Features
    truth: Tensor
    present: Tensor
    prompted: Bools
    true: Tensor


def _take_in(model: Any, history: History, frame: _Frame, decoded: Decoded, always: Bools) -> None:
    """Add a frame to what rows remember: what was answered, here and there the truth."""
    true, prompted = frame.true, torch.from_numpy(frame.prompted)
    seen = torch.where(true, frame.present, decoded.score.detach() > 0) | prompted
    # Of a frame that somebody pointed at the outline is remembered, not how sure it is.
    answer = decoded.mask() * (1 + (_SHARPER - 1) * prompted.float())[:, None, None]
    logits = torch.where(true[:, None, None], (2 * frame.truth - 1) * TRUTH_LOGIT, answer)
    memory = remember(model, frame.own, logits, seen)
    pointer = pointer_of(model, decoded, seen)
    sure = (seen & (true | (decoded.iou().detach() > SURE_IOU))).numpy()
    history.add(memory, pointer, frame.prompted | sure | always, frame.prompted)
