"""What a re-identification network wants to be shown, told from its file. Knows no pixels and no runtime.

The files look alike: a picture of a person in, a row of numbers out. How pixels are scaled is not in the graph's
interface; it is told, in this order, by what the exporter wrote (`reid_pixels`), by the registry of models, or by
sizes that only one family has. What none of these tells is refused: a wrong guess gives vectors that look right and
recognise badly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import ModelUnsupported
from engine.models.heads.base import Graph, recognise
from engine.registry import nearest
from engine.types import F16, F32, Bools
from kernels.colour import PixelFormat

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

PIXELS = {
    "rgb-imagenet": PixelFormat(
        mean=(_MEAN[0] * 255, _MEAN[1] * 255, _MEAN[2] * 255),
        scale=(1 / (255 * _DEVIATION[0]), 1 / (255 * _DEVIATION[1]), 1 / (255 * _DEVIATION[2])),
    ),
    "rgb-1": PixelFormat(scale=(1 / 255, 1 / 255, 1 / 255)),
    "rgb-255": PixelFormat(),
    "bgr-255": PixelFormat(bgr=True),
}
"""How pixels may be scaled, by the names that stand in a file's metadata or in the registry."""

METADATA_KEY = "reid_pixels"
"""Under which a file says which of `PIXELS` it wants."""

_LEAST_DIMS = 16
_TORCHREID_DIMS, _OMZ_DIMS = 512, 256


@dataclass(frozen=True, slots=True)
class ReidHead:
    """How a network is fed and read.

    layout  family and interface, for the log
    pixels  what its pixels are to be
    dims    length of a vector
    reason  how that was told
    """

    layout: str
    pixels: PixelFormat
    dims: int
    reason: str

    def vectors(self, outputs: Sequence[F32], count: int) -> tuple[F16, Bools]:
        """float16 (count, dims) of length 1, and which are sound.

        Where the network answers with a number that is none, or with nothing but zeros, the row is zeros.
        """
        rows = outputs[0][:count].reshape(count, self.dims).astype(np.float64)
        sound = np.isfinite(rows).all(axis=1)
        rows[~sound] = 0.0
        lengths = np.sqrt(np.einsum("kd,kd->k", rows, rows))
        sound &= lengths > 0.0
        rows /= np.where(sound, lengths, 1.0)[:, None]
        return rows.astype(np.float16), sound


def recognise_reid(graph: Graph, where: str, registered: str = "") -> ReidHead:
    """How to use the network of this graph.

    where       names the file
    registered  name in `PIXELS` from the registry, where the file is one of its entries

    Raises `ModelUnsupported` with what was found.
    """
    _check_interface(graph, where)
    dims = graph.shapes[0][1]
    name = graph.metadata.get(METADATA_KEY, "")
    if name and name not in PIXELS:
        raise ModelUnsupported(
            f"{where}: its metadata wants {METADATA_KEY} {name!r}, which is not known{nearest(name, PIXELS)}; known: "
            f"{', '.join(PIXELS)}"
        )
    if name:
        return _head(graph, name, f"{METADATA_KEY} in the file's metadata")
    if registered:
        return _head(graph, registered, "the registry of models")
    if dims == _TORCHREID_DIMS and not graph.channels_last:
        return _head(graph, "rgb-imagenet", f"{dims} numbers, as those of torchreid (assumed)")
    if dims == _OMZ_DIMS and graph.inputs[0].shape[0] == 1:
        return _head(graph, "bgr-255", f"{dims} numbers and a batch of one, as Open Model Zoo's (assumed)")
    raise ModelUnsupported(
        f"{where}: a re-identification network whose pixels are not known: say it with tools/export_onnx.py reid FILE "
        f"--pixels ({', '.join(PIXELS)}). Found {graph.describe()}"
    )


def _head(graph: Graph, pixels: str, reason: str) -> ReidHead:
    order = "[batch, height, width, 3]" if graph.channels_last else "[batch, 3, height, width]"
    return ReidHead(f"{pixels} {order}", PIXELS[pixels], graph.shapes[0][1], reason)


def _check_interface(graph: Graph, where: str) -> None:
    """Refuse what is no re-identification network. Raises `ModelUnsupported`."""
    if graph.one_row and graph.shapes[0][1] >= _LEAST_DIMS:
        if _size_is_open(graph):
            raise ModelUnsupported(
                f"{where}: it says for pictures of which size it was trained neither in its input nor as imgsz in its "
                f"metadata; tools/export_onnx.py reid FILE --size HEIGHT WIDTH writes it. Found {graph.describe()}"
            )
        return
    try:
        detector = recognise(graph, where)
    except ModelUnsupported:
        detector = None
    if detector is not None:
        raise ModelUnsupported(
            f"{where}: a detector ({detector.layout}), no re-identification network; it belongs under infer.model"
        )
    raise ModelUnsupported(
        f"{where}: a re-identification network answers with one row of at least {_LEAST_DIMS} numbers for each "
        f"picture. Found {graph.describe()}"
    )


def _size_is_open(graph: Graph) -> bool:
    shape = graph.inputs[0].shape
    sides = shape[1:3] if graph.channels_last else shape[2:]
    return "imgsz" not in graph.metadata and not all(isinstance(side, int) for side in sides)
