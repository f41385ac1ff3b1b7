"""The official SAM 2 video predictor on pictures that are in memory, one object at a time, for comparisons.

Every object has a state of its own: the predictor computes objects one by one anyway, and so they may begin and end
on any frame. What the pictures are encoded to is computed once and shared by all states.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from engine.models.sam2_sidecar import Sidecar
from engine.types import F32, Prompt
from tools.sam2.families import Source, build


@dataclass(frozen=True)
class Life:
    """One object of a clip.

    first, end  frames that it is there on: first … end - 1
    prompt      on its first frame
    repeats     further prompts on its first frame, one after the other, each upon the mask of the one before
    refined     prompts on later frames, which correct its mask there
    """

    first: int
    end: int
    prompt: Prompt
    repeats: tuple[Prompt, ...] = ()
    refined: Mapping[int, Prompt] = field(default_factory=dict)


def random_model(sidecar: Sidecar) -> Any:
    """The official predictor with the very weights of a folder that was made with `--random`."""
    seed = int(sidecar.weights.removeprefix("random:"))
    source = Source(sidecar.family, sidecar.variant, None, seed, sidecar.weights)
    return build(source, sidecar.image_size).official


class Official:
    """A model on the pictures of one clip."""

    def __init__(self, model: Any, pictures: F32, size_wh: tuple[int, int]) -> None:
        """`pictures` float32 (T, 3, S, S), normalised; `size_wh` of the source that prompts refer to."""
        self._model, self._size_wh = model, size_wh
        self._pictures = torch.from_numpy(pictures)
        with torch.inference_mode():
            self._features = {
                index: (picture[None], model.forward_image(picture[None]))
                for index, picture in enumerate(self._pictures)
            }

    def track(self, life: Life) -> dict[int, F32]:
        """Low-resolution logits (4r, 4r) by frame, of one object."""
        model, state = self._model, self._state()
        with contextlib.redirect_stderr(io.StringIO()):  # progress bars
            self._ask(state, life.first, life.prompt)
            for prompt in life.repeats:
                self._ask(state, life.first, prompt)
            start = life.first
            for frame in (*sorted(life.refined), life.end - 1):
                for _ in model.propagate_in_video(state, start, frame - start):
                    pass
                if frame in life.refined:
                    self._ask(state, frame, life.refined[frame])
                    model.propagate_in_video_preflight(state)
                    start = frame + 1
        outputs = state["output_dict_per_obj"][0]
        every = outputs["non_cond_frame_outputs"] | outputs["cond_frame_outputs"]
        return {index: every[index]["pred_masks"].numpy()[0, 0] for index in range(life.first, life.end)}

    def _ask(self, state: Any, frame: int, prompt: Prompt) -> None:
        if prompt.mask_hw is not None:
            self._model.add_new_mask(state, frame, 0, prompt.mask_hw)
            return
        points = {"points": prompt.points_xy, "labels": prompt.labels} if len(prompt.points_xy) else {}
        self._model.add_new_points_or_box(state, frame, 0, box=prompt.box_xyxy, **points)

    def _state(self) -> dict[str, Any]:
        """What `init_state` makes of a file, of pictures."""
        width, height = self._size_wh
        tables = (
            "point_inputs_per_obj", "mask_inputs_per_obj", "constants", "obj_id_to_idx", "obj_idx_to_id",
            "output_dict_per_obj", "temp_output_dict_per_obj", "frames_tracked_per_obj",
        )  # fmt: skip
        device = torch.device("cpu")
        return {name: {} for name in tables} | {
            "images": self._pictures,
            # Of clips shorter than 16 frames the predictor counts pointers otherwise.
            "num_frames": max(len(self._pictures), 64),
            "video_height": height,
            "video_width": width,
            "device": device,
            "storage_device": device,
            "offload_video_to_cpu": False,
            "offload_state_to_cpu": False,
            "cached_features": dict(self._features),
            "obj_ids": [],
        }


def difference(found: F32, wanted: F32) -> tuple[float, float]:
    """(largest difference as a share of the range of the wanted logits, share of pixels with the same sign)."""
    spread = float(wanted.max() - wanted.min())
    return float(np.abs(found - wanted).max()) / spread, float(((found > 0) == (wanted > 0)).mean())
