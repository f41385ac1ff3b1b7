"""The course of nano-sam's training: optimiser, running average of the weights, checkpoints, lines of progress."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tools.nano.pictures import Clip
from tools.nano.segmenter_batches import Batch, BatchSettings, draw
from tools.nano.segmenter_losses import Losses, People
from tools.nano.segmenter_speed import aligned, quickened
from tools.nano.segmenter_steps import TRUTH_REMEMBERED, clip_step, people_step, picture_step
from tools.nano.segmenter_together import Together
from tools.nano.segmenter_validation import Validation, fixed_batches, validate
from tools.nano.train_segmenter import CHECKPOINT, WEIGHTS, Plan
from tools.sam2.nano import nano_model

_SAID_EVERY = 100
_SAVED_EVERY = 500
_HELD_OUT_CLIPS = 24
_HELD_OUT_FRAMES = 9
_LONGEST_GRADIENT = 1.0


class Training:
    """A model on its way. `step` is how many steps are done; all randomness of a step comes from seed and step."""

    def __init__(
        self,
        plan: Plan,
        seed: int,
        *,
        bfloat16: bool = True,
        model: Any = None,
        together: Together | None = None,
    ) -> None:
        """model: another than nano-sam, for tests. together: the processes that train it, None = this one."""
        self.plan, self.seed, self.bfloat16 = plan, seed, bfloat16
        self.together = together or Together()
        self.model = quickened(aligned(nano_model(seed=seed)) if model is None else model)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        decoder = self.model.sam_mask_decoder
        torch.manual_seed(seed)
        self.people = People(decoder.conv_s0.out_channels, decoder.conv_s1.out_channels)
        groups = [
            *_groups(self.model, plan.decay),
            {"params": list(self.people.parameters()), "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.98))
        self.step = 0
        self._drawing = ThreadPoolExecutor(1, "draws batches")
        self._next: Future[tuple[np.random.Generator, Batch]] | None = None

    def begin_with(self, detector: Any) -> None:
        """Take the image encoder's body from a trained nano-det."""
        for model in (self.model, self.average):
            model.image_encoder.trunk.begin_with(detector.state_dict())

    def resume(self, path: Path) -> None:
        """Go on where the checkpoint was written."""
        saved = torch.load(path, map_location="cpu", weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.average.load_state_dict(saved["average"])
        self.people.load_state_dict(saved["people"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.step = int(saved["step"])

    def save(self, folder: Path) -> None:
        """The checkpoint to go on from, and the averaged weights as the exporter takes them."""
        content = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "people": self.people.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        for name, each in ((CHECKPOINT, content), (WEIGHTS, {"model": self.average.state_dict()})):
            beside = folder / f"{name}.part"
            torch.save(each, beside)
            beside.replace(folder / name)

    def once(self, data: Sequence[Clip], stills: Sequence[Clip]) -> Losses:
        """One step. The batch of the next one is drawn meanwhile."""
        plan, step = self.plan, self.step
        drawn = self._next or self._drawing.submit(self._draw, step, data, stills)
        rng, batch = drawn.result()
        self._next = (
            self._drawing.submit(self._draw, step + 1, data, stills) if step + 1 < plan.steps else None
        )
        self.model.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            if step < plan.people_steps:
                found = people_step(self.model, self.people, batch)
            elif plan.is_of_pictures(step):
                found = picture_step(self.model, self.people, batch, rng, plan.background_at(step))
            else:
                truth_share = plan.short_truth if plan.is_short(step) else TRUTH_REMEMBERED
                found = clip_step(self.model, self.people, batch, rng, truth_share)
        self.optimizer.zero_grad(set_to_none=True)
        found.total.backward()
        self.together.average_gradients(
            parameter for group in self.optimizer.param_groups for parameter in group["params"]
        )
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), _LONGEST_GRADIENT)
        for group in self.optimizer.param_groups:
            group["lr"] = plan.rate_at(step)
        self.optimizer.step()
        self.together.average([each for each in self.model.buffers() if each.is_floating_point()])
        self.step += 1
        self._follow()
        return found

    def _draw(
        self, step: int, data: Sequence[Clip], stills: Sequence[Clip]
    ) -> tuple[np.random.Generator, Batch]:
        """A step's batch, and the generator that the rest of its chance comes from."""
        plan, size, share = self.plan, self.model.image_size, self.together.share
        rng = np.random.default_rng(self.together.seeds(self.seed, step))
        if plan.is_of_pictures(step):
            settings = BatchSettings(share(plan.pictures), 1, plan.picture_objects, size)
            return rng, draw(rng, stills if plan.is_of_stills(step) else data, settings)
        few, most = plan.short_frames if plan.is_short(step) else plan.frames
        clips = plan.short_clips if plan.is_short(step) else plan.clips
        # Everybody's clips of a step are as long, so that nobody waits.
        frames = int(np.random.default_rng((self.seed, step, 0, 1)).integers(few, most + 1))
        settings = BatchSettings(share(clips), frames, plan.clip_objects, size)
        return rng, draw(rng, data, settings)

    def run(
        self,
        data: Sequence[Clip],
        stills: Sequence[Clip],
        held_out: Sequence[Clip],
        folder: Path,
        stop: Callable[[], bool],
    ) -> Validation | None:
        """All steps that are left, or until somebody's `stop` says so; a checkpoint now and then and at the end.

        Of processes together the first one says how it goes, and what came of it.
        """
        first = self.together.first
        batches = fixed_batches(held_out, _HELD_OUT_FRAMES, self.model.image_size, _HELD_OUT_CLIPS)
        began, sums = time.monotonic(), np.zeros(5)
        while self.step < self.plan.steps and not self.together.anybody(stop()):
            found = self.once(data, stills)
            sums += [
                float(each.detach())
                for each in (found.mask, found.iou, found.score, found.people, found.overlap)
            ]
            if first and self.step % _SAID_EVERY == 0:
                self._say(sums / _SAID_EVERY, (time.monotonic() - began) / 60)
            if first and self.step % _SAVED_EVERY == 0:
                self.save(folder)
                print(f"  held out: {validate(self.average, batches).line()}", flush=True)
            if self.step % _SAID_EVERY == 0:
                sums[:] = 0
        if not first:
            return None
        self.save(folder)
        judged = validate(self.average, batches)
        print(f"held out at the end: {judged.line()}", flush=True)
        return judged

    def _say(self, means: np.ndarray, minutes: float) -> None:
        mask, iou, score, people, overlap = means
        print(
            f"step {self.step}/{self.plan.steps}, {minutes:.1f} min: mask {mask:.3f}, iou {iou:.3f}, "
            f"score {score:.3f}, people {people:.3f}, overlap {overlap:.3f}, rate {self.plan.rate_at(self.step):.1e}",
            flush=True,
        )

    def _follow(self) -> None:
        """The average moves towards the weights; faster at first, when they are worth nothing yet."""
        share = 1 - min(self.plan.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            averages, values = list(self.average.parameters()), list(self.model.parameters())
            torch._foreach_lerp_(averages, values, share)
            for average, value in zip(self.average.buffers(), self.model.buffers(), strict=True):
                if average.is_floating_point():
                    average.lerp_(value, share)
                else:
                    average.copy_(value)


def _groups(model: Any, decay: float) -> list[dict[str, Any]]:
    """Matrices and kernels decay; biases, scales and embeddings do not."""
    matrices = [
        p
        for name, p in model.named_parameters()
        if p.ndim >= 2 and "embed" not in name and "token" not in name
    ]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
