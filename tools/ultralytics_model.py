"""Ultralytics checkpoints: load without running what is in them, compute, write as ONNX.

The only file of the tools that imports torch and ultralytics. Both are kept from the network: nothing is
downloaded, installed or reported. `torchvision` has to be installed (ultralytics looks for its version), but is
never imported: its CPU builds and torch's do not always go together.
"""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import ConfigError, ModelCorrupt, ModelUnsupported
from engine.types import F32
from tools.command_line import needs
from tools.onnx_graph import one_line

_REFUSED = (
    ArithmeticError, AssertionError, AttributeError, ImportError, IndexError, KeyError, NotImplementedError,
    OSError, RuntimeError, SystemError, TypeError, ValueError,
)  # fmt: skip
"""What torch and ultralytics raise when they cannot do it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How a checkpoint is exported.

    size_wh     input size in pixels, multiples of the model's stride
    batch       fixed number of pictures, 0 = any
    opset       ONNX operator set, 0 = what this torch writes best
    end_to_end  the head without suppression where the model has one; None = if it has one
    """

    size_wh: tuple[int, int]
    batch: int = 0
    opset: int = 0
    end_to_end: bool | None = None


class Checkpoint:
    """A loaded `.pt` file.

    task, stride  as the file says
    """

    def __init__(self, path: Path, folder: Path, trusted: bool = False) -> None:
        """Load it. `folder` takes what ultralytics writes beside the file and as its settings.

        trusted  unpickle all that is in the file, which runs whatever code it holds
        Raises `ModelCorrupt`, or `ModelUnsupported` for what is no checkpoint of these families.
        """
        if not zipfile.is_zipfile(path):
            raise ModelCorrupt(f"{path}: not a checkpoint of PyTorch, or damaged")
        ultralytics = import_ultralytics(folder, trusted)
        self._path = path
        self._link = folder / "model.pt"
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(path.resolve())
        try:
            with _quiet():
                self._yolo = ultralytics.YOLO(str(self._link))
        except (*_REFUSED, pickle.UnpicklingError, EOFError) as error:
            raise self._not_loaded(error, trusted) from error
        model = self._yolo.model
        self.task = str(getattr(model, "task", "detect"))
        self.stride = int(max(model.stride))
        self.has_end_to_end = getattr(model.model[-1], "one2one_cv2", None) is not None

    def _not_loaded(self, error: BaseException, trusted: bool) -> ModelUnsupported | ModelCorrupt:
        text = one_line(error)
        if not trusted and ("outside the supported" in text or "weights_only" in text.lower()):
            return ModelUnsupported(
                f"{self._path}: holds more than weights and known layers, so it was not loaded; --trust-pickle "
                "loads it all the same, which runs any code that whoever made the file has put into it"
            )
        if "TorchScript" in text:
            return ModelUnsupported(f"{self._path}: a TorchScript file; export the .pt that it was made of")
        if "truncated or corrupted" in text:
            return ModelCorrupt(f"{self._path}: not a checkpoint of PyTorch, or damaged")
        return ModelUnsupported(f"{self._path}: no checkpoint that ultralytics can load: {text}")

    def export(self, wish: Wish) -> Path:
        """Write the model as ONNX into the folder, not simplified, of any picture size where the batch is free.

        Raises `ModelUnsupported`.
        """
        arguments: dict[str, Any] = {
            "format": "onnx", "imgsz": [wish.size_wh[1], wish.size_wh[0]], "dynamic": wish.batch == 0,
            "batch": max(1, wish.batch), "simplify": False, "device": "cpu", "opset": wish.opset or None,
        }  # fmt: skip
        arguments["nms"] = False if self._end_to_end(wish) else None
        try:
            with _quiet():
                return Path(self._yolo.export(**arguments))
        except _REFUSED as error:
            raise ModelUnsupported(f"{self._path}: cannot be exported: {one_line(error)}") from error

    def forward(self, pictures_nchw: F32, wish: Wish) -> list[F32]:
        """What torch computes for float32 pictures: arrays as the ONNX file's outputs."""
        import torch

        model = self._yolo.model
        model.eval()
        if hasattr(model, "end2end"):
            model.end2end = self._end_to_end(wish)
        with _quiet(), torch.no_grad():
            answer = model(torch.from_numpy(np.ascontiguousarray(pictures_nchw)))
        return _arrays(answer, self.task)

    def _end_to_end(self, wish: Wish) -> bool:
        if wish.end_to_end and not self.has_end_to_end:
            raise ConfigError(f"{self._path}: has no head without suppression; leave out --head end2end")
        return self.has_end_to_end if wish.end_to_end is None else wish.end_to_end


def _arrays(answer: Any, task: str) -> list[F32]:
    """The exported outputs of an eval-mode answer: (predictions, (…, prototypes)) or predictions alone."""
    first = answer[0] if isinstance(answer, tuple | list) else answer
    several = task == "segment" and isinstance(first, tuple | list)
    found = list(first) if several else [first]
    return [tensor.detach().float().numpy() for tensor in found]


def import_ultralytics(folder: Path, trusted: bool) -> Any:
    """The package, deaf to the network, which it must be told before it is imported."""
    os.environ.update(
        YOLO_OFFLINE="True", YOLO_AUTOINSTALL="False", YOLO_VERBOSE="False", YOLO_CONFIG_DIR=str(folder),
        MPLCONFIGDIR=str(folder),
    )  # fmt: skip
    with needs("export"), _quiet():
        import torch
        import ultralytics
        from ultralytics.nn import tasks

    # Its own switch for torch's weights_only, whose default is to unpickle everything.
    can_be_safe = hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint") and hasattr(
        tasks, "SAFE_LOAD"
    )
    if not trusted and not can_be_safe:
        raise ConfigError(
            "this torch or ultralytics cannot load a .pt without running the code in it; upgrade both "
            "(pip install -U 'camring[export]'), or, if you trust who made the file, add --trust-pickle"
        )
    tasks.SAFE_LOAD = not trusted
    return ultralytics


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the tracer's warnings, which are about shapes that are fixed on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
