"""A detector and tracker that need no picture: truth, made as bad as real ones are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptz.simulator.truth import Truth
from ptz.types import F64, Sightings

FIRST_FALSE_ID = 1_000_000
"""Track IDs of things that are not there begin here; people have their own ID."""


@dataclass(frozen=True, slots=True)
class Oracle:
    """Sightings from truth: boxes off by some percent, people missed, people that are not there.

    What it says depends on seed and time alone, not on what was asked before.

    noise             standard deviation of each edge, as a share of the box's width or height
    miss              chance that somebody is missed in a picture
    false             chance that a picture has somebody who is not there
    least_visibility  who shows less of their body is not seen
    least_height_px   nor is who is smaller
    identities        `gids` hold the person's ID; else they are 0
    """

    seed: int = 0
    noise: float = 0.02
    miss: float = 0.05
    false: float = 0.005
    least_visibility: float = 0.3
    least_height_px: float = 16.0
    identities: bool = True

    def sightings(self, truth: Truth, time_s: float | None = None) -> Sightings:
        """What a detector would report; taken at `truth.time_s`, or at `time_s` of another clock."""
        moment_s = truth.time_s if time_s is None else time_s
        random = np.random.default_rng((self.seed, round(truth.time_s * 1e4) & 0xFFFFFFFF))
        boxes = truth.visible_boxes_xyxy.astype(np.float64)
        heights = boxes[:, 3] - boxes[:, 1]
        # Everybody draws, seen or not, so that one person's luck does not hang on the others.
        missed = random.random(len(truth)) < self.miss
        jitter = random.normal(0.0, self.noise, boxes.shape)
        seen = (truth.visibility >= self.least_visibility) & (heights >= self.least_height_px) & ~missed
        sizes = np.stack([boxes[:, 2] - boxes[:, 0], heights], axis=-1)
        boxes = (boxes + jitter * np.concatenate([sizes, sizes], axis=-1))[seen]
        scores = np.clip(0.9 * truth.visibility[seen] + random.normal(0, 0.05, int(seen.sum())), 0.05, 0.99)
        track_ids = truth.ids[seen]
        gids = track_ids if self.identities else np.zeros_like(track_ids)
        if random.random() < self.false:
            boxes = np.concatenate([boxes, _nobody(random, truth)])
            scores = np.append(scores, random.uniform(0.25, 0.5))
            track_ids = np.append(track_ids, FIRST_FALSE_ID + random.integers(1_000_000))
            gids = np.append(gids, 0)
        frame = [truth.view.width, truth.view.height, truth.view.width, truth.view.height]
        return Sightings(
            time_s=moment_s,
            width=truth.view.width,
            height=truth.view.height,
            boxes_xyxy=np.clip(boxes, 0, frame).astype(np.float32),
            scores=scores.astype(np.float32),
            track_ids=track_ids.astype(np.int64),
            gids=gids.astype(np.int64),
            seen=np.ones(len(track_ids), bool),
            class_ids=np.zeros(len(track_ids), np.int32),
        )


def _nobody(random: np.random.Generator, truth: Truth) -> F64:
    """A box (1, 4) of a person's shape somewhere in the picture."""
    view = truth.view
    height = view.height * random.uniform(0.05, 0.3)
    x, y = random.uniform(0, view.width), random.uniform(0, view.height)
    return np.array([[x - 0.2 * height, y - 0.5 * height, x + 0.2 * height, y + 0.5 * height]])
