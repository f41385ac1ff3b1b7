"""The training of nano-det, step by step: weights, their moving average, the schedule, checkpoints.

A step is a function of what was before and of its number, so that a training that was interrupted goes on to the same
end. Knows torch and batches; neither the command line nor ONNX.
"""

from __future__ import annotations

import math
import os
import pickle
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.errors import ModelCorrupt, OutputError
from kernels import cpu as kernels
from tools.nano.average_precision import Judged
from tools.nano.detector import INPUT_WH, NanoDetector, Plan, boxes_xyxy, cells
from tools.nano.detector_batches import Batch, Order, Sample, batch, frame_of, whole
from tools.nano.detector_loss import Losses, Wanted, losses
from tools.nano.pictures import Clip

VERSION = 1
LEAST_SCORE, NMS_IOU = 0.01, 0.45


@dataclass(frozen=True, slots=True)
class Settings:
    """What a training depends on, beside its pictures.

    steps, batch   how many, of how many pictures each
    peak, last     learning rate after the warm-up and at the end, on a half cosine
    crowded_steps, crowded_peak  of the second part, whose pictures are crowded; its rate falls on a half cosine, too
    average_tau    steps over which the moving average of the weights becomes slow; `average` its greatest share kept
    bfloat16       convolutions in 16 bits, as processors with AMX and GPUs compute several times faster
    """

    seed: int = 0
    steps: int = 5400
    batch: int = 16
    size_wh: tuple[int, int] = INPUT_WH
    peak: float = 2e-3
    last: float = 2e-5
    crowded_steps: int = 700
    crowded_peak: float = 5e-4
    warm_up: int = 200
    weight_decay: float = 0.02
    most_norm: float = 10.0
    average: float = 0.9985
    average_tau: float = 400.0
    bfloat16: bool = True
    plan: Plan = field(default_factory=Plan)

    @property
    def all_steps(self) -> int:
        """Of both parts."""
        return self.steps + self.crowded_steps


class Training:
    """Network, moving average and optimiser between two steps; `step` is how many are done."""

    def __init__(self, settings: Settings, device: str = "cpu") -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.device, self.step = settings, device, 0
        self.network = NanoDetector(settings.plan).to(device, memory_format=torch.channels_last)
        self.average = NanoDetector(settings.plan).to(device, memory_format=torch.channels_last).eval()
        self.average.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.AdamW(_groups(self.network, settings), settings.peak, betas=(0.9, 0.99))
        middles, strides = cells(settings.size_wh)
        self._middles, self._strides = middles.to(device), strides.to(device)

    def advance(self, clips: Sequence[Clip]) -> Losses:
        """One step on the batch that belongs to it."""
        settings = self.settings
        crowded = self.step >= settings.steps
        return self.learn(
            batch(clips, Order(settings.seed, self.step, settings.batch, settings.size_wh, crowded))
        )

    def learn(self, given: Batch) -> Losses:
        """One step on a batch."""
        settings = self.settings
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(settings, self.step)
        self.network.train()
        with self._sixteen_bits():
            raw = self.network(_images(given, self.device))
        found = losses(raw.float(), _wanted(given, self.device), self._middles, self._strides)
        found.total.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), settings.most_norm)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self._follow()
        return Losses(found.score.detach(), found.box.detach(), found.distribution.detach())

    def judge(self, samples: Sequence[Sample]) -> list[Judged]:
        """What the moving average finds in whole pictures of the input's size, with the truth."""
        judged = []
        for sample in samples:
            image = torch.from_numpy(sample.picture_bgr[..., ::-1].copy()).permute(2, 0, 1)[None]
            with torch.no_grad(), self._sixteen_bits():
                raw = self.average(_as_input(image, self.device)).float()
            scores = raw[0, 0].sigmoid()
            kept = scores >= LEAST_SCORE
            found = boxes_xyxy(raw, self._middles, self._strides)[0][kept].cpu().numpy()
            certain = scores[kept].cpu().numpy()
            order = np.argsort(-certain, kind="stable")[:1000]
            found, certain = np.ascontiguousarray(found[order]), np.ascontiguousarray(certain[order])
            stay = kernels.nms(found, certain, np.zeros(len(found), np.int32), NMS_IOU)
            judged.append(Judged(found[stay], certain[stay], sample.wanted_xyxy, sample.ignored_xyxy))
        return judged

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all. Raises `OutputError`."""
        content = {
            "version": VERSION, "settings": asdict(self.settings), "step": self.step,
            "network": self.network.state_dict(), "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }  # fmt: skip
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            os.close(descriptor)
            try:
                torch.save(content, name)
                os.replace(name, path)
            finally:
                Path(name).unlink(missing_ok=True)
        except (OSError, RuntimeError) as error:  # torch's writer says RuntimeError where a disk is full
            raise OutputError(f"{path}: the checkpoint cannot be written: {_one_line(error)}") from error

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. Raises `ModelCorrupt` where it is damaged or of other settings."""
        content = read_checkpoint(path)
        wanted = asdict(self.settings)
        different = sorted(name for name in wanted if content["settings"].get(name) != wanted[name])
        if different:
            raise ModelCorrupt(
                f"{path}: a checkpoint of a training with other settings ({', '.join(different)}); name the same "
                "ones, another --work folder, or leave --resume out to begin anew"
            )
        self.network.load_state_dict(content["network"])
        self.average.load_state_dict(content["average"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.step = content["step"]

    def _follow(self) -> None:
        """The moving average follows the weights, quickly at first."""
        keep = self.settings.average * (1 - math.exp(-self.step / self.settings.average_tau))
        with torch.no_grad():
            for mean, now in zip(
                self.average.state_dict().values(), self.network.state_dict().values(), strict=True
            ):
                if mean.dtype.is_floating_point:
                    mean.lerp_(now, 1 - keep)
                else:
                    mean.copy_(now)

    def _sixteen_bits(self) -> AbstractContextManager[Any]:
        if not self.settings.bfloat16:
            return nullcontext()
        autocast: AbstractContextManager[Any] = torch.autocast(self.device, torch.bfloat16)
        return autocast


def learning_rate(settings: Settings, step: int) -> float:
    """Rises from 0, then falls along half a cosine; the second part begins with a smaller one and falls again."""
    if step < settings.warm_up:
        return settings.peak * (step + 1) / settings.warm_up
    peak, first, steps = settings.peak, settings.warm_up, settings.steps - settings.warm_up
    if step >= settings.steps and settings.crowded_steps:
        peak, first, steps = settings.crowded_peak, settings.steps, settings.crowded_steps
    share = (step - first) / max(1, steps)
    return settings.last + (peak - settings.last) * (1 + math.cos(math.pi * min(1.0, share))) / 2


_DAMAGE = (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError)
"""What torch raises for files that are no checkpoints, or damaged ones."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds. Raises `ModelCorrupt`."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelCorrupt(f"{path}: there is no checkpoint here; train first") from error
    except _DAMAGE as error:
        raise ModelCorrupt(f"{path}: no checkpoint, or a damaged one: {_one_line(error)}") from error
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise ModelCorrupt(f"{path}: not a checkpoint of nano-det, version {VERSION}")
    return content


def trained_network(path: Path) -> NanoDetector:
    """The moving average of a checkpoint, ready to be exported. Raises `ModelCorrupt`."""
    content = read_checkpoint(path)
    network = NanoDetector(Plan(**content["settings"]["plan"]))
    network.load_state_dict(content["average"])
    ready: NanoDetector = network.eval()
    return ready


def whole_samples(clips: Sequence[Clip], frames: Sequence[int], size_wh: tuple[int, int]) -> list[Sample]:
    """These frames of all clips, as the engine would prepare them."""
    return [whole(frame_of(clip, index), size_wh) for clip in clips for index in frames]


def _groups(network: NanoDetector, settings: Settings) -> list[dict[str, Any]]:
    """Weights of convolutions decay; biases and what normalisation learns do not."""
    decaying = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    return [
        {"params": decaying, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def _as_input(images: Tensor, device: str) -> Tensor:
    return images.to(device).float().div_(255).contiguous(memory_format=torch.channels_last)


def _images(given: Batch, device: str) -> Tensor:
    return _as_input(torch.from_numpy(given.images_rgb).permute(0, 3, 1, 2), device)


def _wanted(given: Batch, device: str) -> Wanted:
    arrays = given.wanted_xyxy, given.counts, given.ignored_xyxy
    return Wanted(*(torch.from_numpy(each).to(device) for each in arrays))


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "…"
