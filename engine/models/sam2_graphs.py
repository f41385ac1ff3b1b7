"""The four graphs of a SAM 2 as calls: rows of objects in, rows of numbers out, those that are not finite named.

Knows what each graph is fed with; not which objects there are, nor what a prompt means. The folder that they come
from describes itself in `engine.models.sam2_sidecar`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ModelCorrupt
from engine.models import sam2_prompts, sam2_sidecar
from engine.models.graph_session import GraphChain, GraphOptions, check_interface
from engine.models.sam2_memory import MemoryBank
from engine.models.sam2_predictions import Features, Predictions
from engine.models.sam2_sidecar import Sidecar
from engine.types import F32, I32, I64, Bools

_INPUTS: Mapping[str, tuple[str, ...]] = {
    "image_encoder": ("image",),
    "memory_attention": (
        "image_embed", "frame_index", "memory", "memory_tpos", "obj_ptr", "obj_ptr_tdiff", "memory_valid",
        "obj_ptr_valid",
    ),
    "mask_decoder": (
        "pix_feat", "high_res_0", "high_res_1", "frame_index", "point_coords", "point_labels", "multimask",
        "mask_prompt", "mask_prompt_valid",
    ),
    "memory_encoder": ("image_embed", "frame_index", "low_res_mask", "object_score", "mask_from_points"),
}  # fmt: skip
_CHOSEN = ("low_res_mask", "iou", "obj_ptr", "object_score")
_CANDIDATES = ("candidate_masks", "candidate_ious", "candidate_ptrs")
_OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "image_encoder": ("image_embed", "high_res_0", "high_res_1"),
    "memory_attention": ("pix_feat",),
    "mask_decoder": (*_CHOSEN, *_CANDIDATES),
    "memory_encoder": ("memory",),
}


@dataclass(frozen=True, slots=True)
class DecoderPrompts:
    """What n rows of a decoder call are prompted with.

    coords, labels  float32 (n, T, 2) in the model's pixels, int32 (n, T)
    dense           float32 (n, m, m): logits of a mask for each row, None where no row has one
    dense_valid     bool (n,): which rows have one
    ambiguous       whether three masks are weighed
    """

    coords: F32
    labels: I32
    dense: F32 | None = None
    dense_valid: Bools | None = None
    ambiguous: bool = True

    @classmethod
    def nothing(cls, rows: int) -> DecoderPrompts:
        """Frames without a prompt."""
        return cls(*sam2_prompts.no_points(rows))


class Graphs:
    """The graphs of a folder, on the first backend that runs them.

    chain  what runs them, and which backends were given up
    """

    def __init__(self, sidecar: Sidecar, backends: Sequence[str], options: GraphOptions) -> None:
        """Load all four.

        Raises `ModelCorrupt` (a damaged file, graphs of different exports mixed), `ModelUnsupported`, or
        `BackendError` where none of the backends runs.
        """
        self._sidecar = sidecar
        paths = {graph: sidecar.path(graph) for graph in sam2_sidecar.GRAPHS}
        self.chain = GraphChain(backends, paths, options)
        try:
            self._check()
        except BaseException:
            self.chain.close()
            raise
        side = sidecar.mask_side
        self._no_mask: F32 = np.zeros((options.rows, 1, side, side), np.float32)

    def encode(self, pictures: F32) -> dict[str, F32]:
        """float32 (F, 3, S, S) → image_embed, high_res_0, high_res_1."""
        return self.chain.run("image_encoder", {"image": pictures})

    def attend(
        self, features: Features, frame_index: I64, bank: MemoryBank, rows: I64
    ) -> tuple[F32, list[str]]:
        """Features of n rows in the light of their memories, float32 (n, C, r, r), and why a row has none."""
        frames, places = features.of(frame_index)
        padded = self.chain.sessions()["memory_attention"].fixed("memory", 1) is not None
        feeds: dict[str, NDArray[Any]] = {"image_embed": frames["image_embed"], "frame_index": places}
        feeds.update(bank.recall(rows, padded=padded).feeds())
        pix_feat: F32 = self.chain.run("memory_attention", feeds)["pix_feat"]
        return pix_feat, failures_of(pix_feat, "memory_attention")

    def decode(
        self,
        features: Features,
        frame_index: I64,
        pix_feat: F32,
        prompts: DecoderPrompts,
        *,
        candidates: bool = False,
    ) -> Predictions:
        """Masks of n rows, at most as many as in one call. Rows that are not finite say so and are absent."""
        rows = len(pix_feat)
        frames, places = features.of(frame_index)
        dense, valid = self._no_mask[:rows], np.zeros(rows, np.bool_)
        if prompts.dense is not None:
            dense = prompts.dense[:, None]
            valid = np.ones(rows, np.bool_) if prompts.dense_valid is None else prompts.dense_valid
        feeds: dict[str, NDArray[Any]] = {
            "pix_feat": pix_feat,
            "high_res_0": frames["high_res_0"],
            "high_res_1": frames["high_res_1"],
            "frame_index": places,
            "point_coords": prompts.coords,
            "point_labels": prompts.labels,
            "multimask": np.full(rows, prompts.ambiguous, np.float32),
            "mask_prompt": dense,
            "mask_prompt_valid": valid.astype(np.float32),
        }
        found = self.chain.run("mask_decoder", feeds, (*_CHOSEN, *_CANDIDATES) if candidates else _CHOSEN)
        result = Predictions(
            found["low_res_mask"][:, 0],
            found["iou"][:, 0],
            found["object_score"][:, 0],
            found["obj_ptr"],
            np.full(rows, np.nan, np.float32),
            [""] * rows,
            found.get("candidate_masks"),
            found.get("candidate_ious"),
            found.get("candidate_ptrs"),
        )
        # What is chosen of the candidates tells whether the graph was finite.
        for name in _CHOSEN:
            self.fail(result, failures_of(found[name], "mask_decoder"))
        return result

    def encode_memory(
        self, features: Features, frame_index: I64, predictions: Predictions, index: I64
    ) -> tuple[F32, list[str]]:
        """What is to be remembered of some rows, float32 (k, L, W), and why a row has nothing."""
        frames, places = features.of(frame_index[index])
        feeds: dict[str, NDArray[Any]] = {
            "image_embed": frames["image_embed"],
            "frame_index": places,
            "low_res_mask": predictions.low_res_masks[index][:, None],
            "object_score": predictions.object_scores[index][:, None],
            "mask_from_points": predictions.prompted[index].astype(np.float32),
        }
        memory: F32 = self.chain.run("memory_encoder", feeds)["memory"]
        return memory, failures_of(memory, "memory_encoder")

    def absent(self, rows: int, *, candidates: bool = False) -> Predictions:
        """Rows in which nothing is."""
        sidecar = self._sidecar
        return Predictions.absent(
            rows, sidecar.mask_side, sidecar.no_object_score, width=sidecar.width, candidates=candidates
        )

    def fail(self, predictions: Predictions, failures: Sequence[str]) -> None:
        """Make the rows absent that have failed."""
        for row, failure in enumerate(failures):
            if failure:
                with_candidates = predictions.candidate_masks is not None
                predictions.put(np.array([row]), self.absent(1, candidates=with_candidates))
                predictions.failures[row] = failure

    def _check(self) -> None:
        """Refuse graphs of another set, or with another interface. Raises `ModelCorrupt` or `ModelUnsupported`."""
        sidecar, sessions = self._sidecar, self.chain.sessions()
        for graph, session in sessions.items():
            sidecar.check_set_id(graph, session.metadata)
            check_interface(session, sidecar.path(graph), _INPUTS[graph], _OUTPUTS[graph])
        for graph, entry, axis, what, says in (
            ("memory_attention", "memory", 2, "its memories have {} tokens", sidecar.memory_tokens),
            ("memory_attention", "memory", 3, "its memories are {} wide", sidecar.memory_width),
            ("memory_attention", "obj_ptr", 2, "its pointers are {} wide", sidecar.width),
            ("mask_decoder", "pix_feat", 1, "its features have {} channels", sidecar.width),
            ("mask_decoder", "mask_prompt", 2, "its masks have a side of {}", sidecar.mask_side),
            ("memory_encoder", "low_res_mask", 2, "its masks have a side of {}", sidecar.mask_side),
        ):
            found = sessions[graph].fixed(entry, axis)
            if found not in (None, says):
                raise ModelCorrupt(
                    f"{sidecar.path(graph)}: {what.format(found)}, {sam2_sidecar.FILE_NAME} says {says}; "
                    "export the folder again"
                )


def failures_of(rows: F32, graph: str) -> list[str]:
    """Why rows of an array (n, …) cannot be used: "" for those that are finite throughout."""
    with np.errstate(over="ignore", invalid="ignore"):
        sums = rows.reshape(len(rows), -1).sum(axis=1)  # finite if and only if all are, at these sizes
    return ["" if fine else f"{graph} gave numbers that are not finite" for fine in np.isfinite(sums)]
