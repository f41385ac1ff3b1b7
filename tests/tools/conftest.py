"""Checkpoints as Ultralytics writes them, with made-up weights that find something in any picture."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.models.heads.base import RGB_0_TO_1
from engine.models.prepare import CpuPreparation
from engine.types import F32
from kernels.letterbox import Fit
from tools.frames import TEST_PICTURES, read_frames

MakeCheckpoint = Callable[[str], Path]


@pytest.fixture(scope="session")
def ultralytics(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The package as the tools use it; skips where it is not installed."""
    if find_spec("ultralytics") is None:
        pytest.skip("ultralytics is missing: pip install -e '.[export]'")
    from tools.ultralytics_model import import_ultralytics

    return import_ultralytics(tmp_path_factory.mktemp("settings"), trusted=False)


@pytest.fixture(scope="session")
def checkpoint(ultralytics: Any, tmp_path_factory: pytest.TempPathFactory) -> MakeCheckpoint:
    """Gives the `.pt` file of an architecture, made once."""
    folder = tmp_path_factory.mktemp("checkpoints")
    made: dict[str, Path] = {}

    def make(architecture: str) -> Path:
        if architecture not in made:
            made[architecture] = folder / f"{architecture}.pt"
            import torch

            torch.manual_seed(3)
            yolo = ultralytics.YOLO(f"{architecture}.yaml")
            enliven(yolo.model)
            yolo.save(str(made[architecture]))
        return made[architecture]

    return make


def enliven(model: Any) -> None:
    """Weights as training leaves them in kind: signals neither fade nor grow, a few places score high."""
    import torch
    from torch import nn

    noise = nn.functional.interpolate(torch.rand(4, 3, 24, 24), size=(192, 192), mode="bilinear")
    pictures = torch.cat([torch.from_numpy(drawn_pictures()), noise])
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()
        model(pictures)
        model.eval()
        pictures = pictures[: len(pictures) - len(noise)]
        for norm in norms:
            norm.momentum = 0.03
            # Channels that hardly varied would answer anything new with huge numbers.
            norm.running_var.clamp_(min=float(norm.running_var.mean()) / 4)
        head = model.model[-1]
        # Where the results shall lie in the mean, and how far above that the highest. Distances are logarithms of
        # shares of 16 bins, or, in heads without bins, the distances themselves.
        distances = (0.0, 0.5) if getattr(head, "reg_max", 1) > 1 else (3.0, 2.0)
        scores = (-3.0, 4.0)
        for name, (mean, highest) in (
            ("cv2", distances), ("cv3", scores), ("one2one_cv2", distances), ("one2one_cv3", scores),
        ):  # fmt: skip
            for branch in getattr(head, name, None) or ():
                results: list[Any] = []
                hook = branch[-1].register_forward_hook(lambda *call, kept=results: kept.append(call[2]))
                for end_to_end in (False, True) if hasattr(head, "one2one_cv2") else (False,):
                    model.end2end = end_to_end
                    model(pictures)
                hook.remove()
                found = float(results[-1].mean())
                scale = highest / float((results[-1] - found).max())
                branch[-1].weight.mul_(scale)
                branch[-1].bias.copy_((branch[-1].bias - found) * scale + mean)


def drawn_pictures() -> F32:
    """The engine's own test picture, as a model's input."""
    frames = list(read_frames([TEST_PICTURES], 3, 40, first=80))
    tensor = np.zeros((len(frames), 3, 192, 192), np.float32)
    preparation = CpuPreparation(tensor, RGB_0_TO_1, Fit.CENTRED)
    for index, frame in enumerate(frames):
        preparation.prepare(frame, index)
    preparation.wait()
    return tensor
