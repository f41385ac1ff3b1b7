"""Whether two backends compute the same for the same pictures: an engine and the file that it was built from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.models.backend import Backend, Call
from engine.types import F32
from kernels import device
from tools.frames import prepared, read_frames
from tools.parity import Parity, Tolerance, head_of

INT8 = Tolerance(relative=0.35, score=0.15, iou=0.7, unmatched=0.1)
"""Eight bits move single numbers far; boxes tell whether it matters."""


def compare(
    reference: Backend,
    judged: Backend,
    urls: Sequence[str],
    count_every: tuple[int, int],
    tolerance: Tolerance,
) -> Parity:
    """Run both on `count` pictures of the sources, every `every`-th one.

    Raises `SourceError` where there are no pictures and `BackendError` where a device fails. A file with a fixed
    batch computes the other places of it too; only the first one counts.
    """
    head = head_of(reference.graph, reference.description)
    parity = Parity(reference.graph, sorted_rows=not head.needs_nms)
    parity.read_by(head)
    calls = reference.new_call(), judged.new_call()
    for frame in read_frames(urls, *count_every):
        tensor, letterbox = prepared(frame, head, reference.graph.input_wh)
        wanted, found = (
            _first(backend, call, tensor) for backend, call in zip((reference, judged), calls, strict=True)
        )
        parity.add(wanted, found, letterbox, tolerance)
    return parity


def _first(backend: Backend, call: Call, tensor: F32) -> list[F32]:
    put(backend, call, tensor)
    return [output[:1] for output in backend.run(call, 1, 0)]


def put(backend: Backend, call: Call, pictures: Any) -> None:
    """Write host pictures (n, 3, height, width) into the first places of a call, wherever its memory lies."""
    typed = np.ascontiguousarray(pictures, dtype=np.dtype(str(call.input_nchw.dtype)))
    target = call.input_nchw[: len(typed)]
    if not backend.on_gpu:
        target[...] = typed
        return
    stream = device.Stream()
    device.upload_async(typed, target, stream)
    stream.wait()
