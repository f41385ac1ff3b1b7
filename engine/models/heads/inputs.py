"""Which input of a graph takes the pictures, and what its further inputs are fed with.

Everything but the pictures is the same in every call, so a backend needs to know no model: it feeds
`Graph.constants`, each row repeated for every picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.models.heads.base import Tensor


def pictures_first(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The inputs with that of the pictures in front; empty if not exactly one takes some.

    Pictures are float32 or float16 [batch, 3, height, width] or [batch, height, width, 3].
    """
    pictures = [tensor for tensor in inputs if _takes_pictures(tensor)]
    if len(pictures) != 1:
        return ()
    return (pictures[0], *(tensor for tensor in inputs if tensor is not pictures[0]))


def constants_of(further: Sequence[Tensor], input_wh: tuple[int, int]) -> dict[str, NDArray[Any]] | None:
    """One row for each further input, by its name; None where it is not known what one of them wants.

    orig_target_sizes  (1, 2) width and height that boxes are scaled to: the input's own, so that they come in
                       input pixels (lyuwenyu/RT-DETR and Peterande/D-FINE, tools/…/export_onnx.py)
    pixel_mask         (1, height, width) which pixels are picture and not padding: all (Hugging Face DETR)
    """
    width, height = input_wh
    constants: dict[str, NDArray[Any]] = {}
    for tensor in further:
        if tensor.name == "orig_target_sizes" and len(tensor.shape) == 2:
            constants[tensor.name] = np.array([[width, height]], tensor.dtype)
        elif tensor.name == "pixel_mask" and len(tensor.shape) == 3:
            sides = zip(tensor.shape[1:], (height, width), strict=True)
            size = [declared if isinstance(declared, int) else own for declared, own in sides]
            constants[tensor.name] = np.ones((1, *size), tensor.dtype)
        else:
            return None
    return constants


def repeated(constants: Mapping[str, NDArray[Any]], count: int) -> dict[str, NDArray[Any]]:
    """What the further inputs are fed with for `count` pictures."""
    return {name: np.repeat(row, count, axis=0) for name, row in constants.items()}


def _takes_pictures(tensor: Tensor) -> bool:
    if tensor.dtype not in ("float32", "float16") or len(tensor.shape) != 4:
        return False
    channels = tensor.shape[1]
    return channels == 3 or tensor.channels_last or not isinstance(channels, int)
