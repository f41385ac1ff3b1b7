"""What goes between the calls of a segmenter: features of frames, and predictions for rows of objects."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.types import F32, I64, Bools

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Features:
    """Encoded frames.

    image_embed, high_res_0, high_res_1  float32 (F, C, r, r), (F, C', m, m), (F, C", m/2, m/2), m as a mask's side
    sizes_wh                             width and height of each frame's source
    times_s                              float64 (F,): of each frame, for motion; any origin
    failures                             for each frame why it could not be encoded, "" if it was
    """

    image_embed: F32
    high_res_0: F32
    high_res_1: F32
    sizes_wh: tuple[tuple[int, int], ...]
    times_s: F64
    failures: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sizes_wh)

    def of(self, frame_index: I64) -> tuple[dict[str, F32], I64]:
        """The arrays of the frames that rows refer to, without the others; and the rows' places in these.

        Views where the frames lie side by side.
        """
        used, index = np.unique(frame_index, return_inverse=True)
        side_by_side = len(used) > 0 and used[-1] - used[0] == len(used) - 1
        chosen: slice | I64 = slice(int(used[0]), int(used[-1]) + 1) if side_by_side else used
        arrays = {name: getattr(self, name)[chosen] for name in ("image_embed", "high_res_0", "high_res_1")}
        return arrays, index.astype(np.int64)


@dataclass(slots=True)
class Predictions:
    """Masks of n rows.

    low_res_masks   float32 (n, m, m): logits over the whole picture, -1024 everywhere where the object is absent
    ious            float32 (n,): predicted IoU of the mask
    object_scores   float32 (n,): logit of the object being there at all
    pointers        float32 (n, C): the segmenter's own description of the object
    motion_ious     float32 (n,): overlap with where the object's motion leads, NaN where that is not known
    failures        for each row why there is no prediction, "" if there is one; the numbers say "absent" then
    candidate_masks, candidate_ious, candidate_pointers
                    float32 (n, 4, m, m), (n, 4), (n, 4, C): the single mask and three for ambiguous prompts,
                    not blanked; None where they were not asked for
    frame_index     int64 (n,): whose frame each row belongs to in the features
    prompted        bool (n,): which rows somebody has pointed at
    """

    low_res_masks: F32
    ious: F32
    object_scores: F32
    pointers: F32
    motion_ious: F32
    failures: list[str]
    candidate_masks: F32 | None = None
    candidate_ious: F32 | None = None
    candidate_pointers: F32 | None = None
    frame_index: I64 = field(default_factory=lambda: np.empty(0, np.int64))
    prompted: Bools = field(default_factory=lambda: np.empty(0, np.bool_))

    @classmethod
    def absent(
        cls, rows: int, mask_side: int, no_object_score: float, *, width: int = 256, candidates: bool = False
    ) -> Predictions:
        """So many rows in which nothing is; width: C, of pointers."""
        side = (mask_side, mask_side)
        return cls(
            np.full((rows, *side), no_object_score, np.float32),
            np.zeros(rows, np.float32),
            np.full(rows, -1.0, np.float32),
            np.zeros((rows, width), np.float32),
            np.full(rows, np.nan, np.float32),
            [""] * rows,
            np.full((rows, 4, *side), no_object_score, np.float32) if candidates else None,
            np.zeros((rows, 4), np.float32) if candidates else None,
            np.zeros((rows, 4, width), np.float32) if candidates else None,
        )

    def __len__(self) -> int:
        return len(self.ious)

    def put(self, index: I64, part: Predictions) -> None:
        """Write the rows of another one to these places. Candidates are written where both have them."""
        for name in ("low_res_masks", "ious", "object_scores", "pointers", "motion_ious"):
            getattr(self, name)[index] = getattr(part, name)
        for name in ("candidate_masks", "candidate_ious", "candidate_pointers"):
            if (mine := getattr(self, name)) is not None and (theirs := getattr(part, name)) is not None:
                mine[index] = theirs
        for at, failure in zip(index, part.failures, strict=True):
            self.failures[at] = failure

    def take(self, index: I64) -> Predictions:
        """Copies of some rows, without candidates."""
        return Predictions(
            self.low_res_masks[index],
            self.ious[index],
            self.object_scores[index],
            self.pointers[index],
            self.motion_ious[index],
            [self.failures[at] for at in index],
            frame_index=self.frame_index[index],
            prompted=self.prompted[index],
        )
