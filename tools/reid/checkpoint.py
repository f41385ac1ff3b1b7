"""Checkpoints of torchreid: read without running what is in them, recognised by names and shapes."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from engine.errors import ModelCorrupt, ModelUnsupported
from tools.onnx_graph import one_line
from tools.reid.osnet import CHANNELS, OsNet, variant_of

_TRAINING = ("classifier.",)
"""Weights that only training needs: which of its people a picture shows."""
_COUNTER = "num_batches_tracked"
_NAMED = 3


def load(path: Path) -> tuple[str, OsNet]:
    """The variant's name, and the network with the weights of a file, ready to evaluate.

    Files as torchreid writes and publishes them: a table of tensors, or one under `state_dict`. Raises `ModelCorrupt`,
    and `ModelUnsupported` where it is another network or holds more than data.
    """
    weights = tensors(path)
    variant = variant_of(_with_counters(weights))
    if variant is None:
        some = ", ".join(list(weights)[:_NAMED])
        raise ModelUnsupported(
            f"{path}: none of {', '.join(CHANNELS)} by its {len(weights)} tensors ({some}, …); export another network "
            "to ONNX where it was trained, then name its pixels with export_onnx.py reid FILE.onnx --pixels"
        )
    for name, value in weights.items():
        if not bool(torch.isfinite(value).all()):
            raise ModelCorrupt(f"{path}: {name} holds numbers that are not finite")
    network = OsNet(CHANNELS[variant])
    network.load_state_dict(_with_counters(weights))
    return variant, network.eval()


def tensors(path: Path) -> dict[str, Any]:
    """The tensors of a checkpoint by name, without those of the training. Raises as `load`."""
    try:
        with warnings.catch_warnings():
            # About kinds of pickles that it may not understand; where it does not, it raises.
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelUnsupported(
            f"{path}: no checkpoint, or one with code or classes beside its weights, which is not loaded: "
            f"{one_line(error)[:160]}"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise ModelCorrupt(f"{path}: cannot be read, damaged or cut short: {one_line(error)}") from error
    found = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(found, Mapping) or not found:
        raise ModelUnsupported(f"{path}: holds no table of weights but {type(content).__name__}")
    # Training on several GPUs puts a word before every name.
    named = {str(name).removeprefix("module."): value for name, value in found.items()}
    kept = {name: value for name, value in named.items() if not name.startswith(_TRAINING)}
    odd = [name for name, value in kept.items() if not isinstance(value, torch.Tensor)]
    if odd:
        raise ModelUnsupported(f"{path}: holds more than tensors: {', '.join(odd[:_NAMED])}")
    return kept


def _with_counters(weights: Mapping[str, Any]) -> dict[str, Any]:
    """With the counters of batches that early versions of torch did not write; evaluation does not use them."""
    full = dict(weights)
    for name in weights:
        if name.endswith("running_mean"):
            full.setdefault(f"{name.removesuffix('running_mean')}{_COUNTER}", torch.tensor(0))
    return full
