"""Checkpoints of SAM 2, EdgeTAM and nano-sam: read without running what is in them, recognised by names and shapes.

`torch.load(weights_only=True)` builds tensors and plain containers and nothing else; a file that asks for more is
refused.
"""

from __future__ import annotations

import hashlib
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from engine.errors import ConfigError, ModelCorrupt, ModelUnsupported
from tools.command_line import check_input
from tools.onnx_graph import one_line
from tools.sam2.families import Source

_WIDTHS_AND_BLOCKS = {(96, 12): "tiny", (96, 16): "small", (112, 24): "base+", (144, 48): "large"}
"""Channels of the first stage and number of blocks of the backbone."""
_NAMED = 3  # names in a message before it says "and so many more"


def read(path: Path, variant: str | None = None) -> Source:
    """The weights in a file. `variant` is what the user says it is.

    Raises `ConfigError` where there is no such file or it is another variant, `ModelCorrupt` where it is no sound
    checkpoint, `ModelUnsupported` where it is none of these models.
    """
    check_input(path, ".pt")
    weights = _tensors(path)
    family, found = recognise(weights, path)
    if variant is not None and variant != found:
        raise ConfigError(f"--variant {variant}: {path} holds {family} {found}, by its shapes")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Source(family, found, weights, 0, f"sha256:{digest}")


def recognise(weights: Mapping[str, Any], path: Path) -> tuple[str, str]:
    """Family and variant of tensors by their names and shapes. Raises `ModelUnsupported`."""
    if any(name.startswith("spatial_perceiver.") for name in weights):
        return "edgetam", "edgetam"
    if "image_encoder.neck.to_finest.weight" in weights:
        return "sam2.1", "nano"
    patch = weights.get("image_encoder.trunk.patch_embed.proj.weight")
    blocks = {name.split(".")[3] for name in weights if name.startswith("image_encoder.trunk.blocks.")}
    variant = None if patch is None else _WIDTHS_AND_BLOCKS.get((patch.shape[0], len(blocks)))
    if variant is None or "sam_mask_decoder.iou_token.weight" not in weights:
        some = ", ".join(list(weights)[:_NAMED])
        raise ModelUnsupported(
            f"{path}: neither SAM 2, SAM 2.1 nor EdgeTAM by its {len(weights)} tensors ({some}, …); official "
            "checkpoints are meant, as github.com/facebookresearch/sam2 links to them, or one of tools/train_nano.py"
        )
    return ("sam2.1" if "no_obj_embed_spatial" in weights else "sam2"), variant


def put_into(model: Any, source: Source) -> None:
    """Give a model its weights, all of them and no others. Raises `ModelCorrupt`."""
    assert source.weights is not None
    expected = model.state_dict()
    what = f"checkpoint of {source.family} {source.variant}"
    if missing := [name for name in expected if name not in source.weights]:
        raise ModelCorrupt(f"{what}: lacks {_some(missing)}")
    if foreign := [name for name in source.weights if name not in expected]:
        raise ModelCorrupt(f"{what}: holds what the model has no place for: {_some(foreign)}")
    for name, tensor in expected.items():
        found = source.weights[name]
        if found.shape != tensor.shape:
            raise ModelCorrupt(
                f"{what}: {name} has shape {tuple(found.shape)}, the model wants {tuple(tensor.shape)}"
            )
        if not bool(torch.isfinite(found).all()):
            raise ModelCorrupt(f"{what}: {name} holds numbers that are not finite")
    model.load_state_dict(dict(source.weights))


def _tensors(path: Path) -> dict[str, Any]:
    """The tensors by name. Raises `ModelCorrupt`, `ModelUnsupported`."""
    try:
        with warnings.catch_warnings():
            # About kinds of pickles that it may not understand; where it does not, it raises.
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path, error) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise ModelCorrupt(f"{path}: cannot be read, damaged or cut short: {one_line(error)}") from error
    found = content.get("model", content) if isinstance(content, dict) else content
    if not isinstance(found, dict) or not found:
        raise ModelUnsupported(f"{path}: holds no table of weights but {type(found).__name__}")
    odd = [str(name) for name, value in found.items() if not isinstance(value, torch.Tensor)]
    if odd:
        raise ModelUnsupported(f"{path}: holds more than tensors: {_some(odd)}")
    return found


def _refused(path: Path, error: Exception) -> ModelCorrupt | ModelUnsupported:
    with path.open("rb") as file:
        start = file.read(64)
    if start.lstrip()[:1] == b"<":
        return ModelCorrupt(f"{path}: a web page, no checkpoint; download the file itself")
    if not zipfile.is_zipfile(path) and not start.startswith(b"\x80"):
        return ModelCorrupt(f"{path}: no torch checkpoint: it begins with {start[:16]!r}")
    # torch's advice, to load it without this protection, would run whatever is in the file.
    wanted = [word for word in str(error).split() if "." in word and "torch" not in word.lower()]
    names = f" (it asks for {wanted[0].strip('`,')})" if wanted and "GLOBAL" in str(error) else ""
    return ModelUnsupported(f"{path}: holds code or classes beside weights{names}; it is not loaded")


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
