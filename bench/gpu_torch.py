"""What the kernels do, written in torch by somebody who knows it: the comparison of `bench.gpu`.

Not the engine's: torch is no dependency of it. Every function works on tensors that are on the GPU already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional

from bench import gpu_kernels as ours
from kernels import cuda, device
from kernels.letterbox import Fit, fit_letterbox

Work = Callable[[], object]


def pairs() -> Iterator[tuple[str, Work, Work]]:
    """(name, our work, torch's work), on the same data. None of them waits, except where the size is an answer."""
    yield _input_pair()
    yield _anchor_pair()
    yield _nms_pair()
    yield _mask_pair()


def nv12_to_input(y: Any, uv: Any, height: int, top: int, target: Any) -> None:
    """Planes resized, then converted: quicker than converting all of the source first."""
    planes = torch.cat(
        [
            functional.interpolate(y[None, None].half(), (height, target.shape[2]), mode="bilinear"),
            functional.interpolate(
                uv.permute(2, 0, 1)[None].half(), (height, target.shape[2]), mode="bilinear"
            ),
        ],
        1,
    )[0]
    matrix = torch.as_tensor(ours.MATRIX, device="cuda", dtype=torch.float16)
    rgb = torch.tensordot(matrix[:, :3], planes, 1) + matrix[:, 3, None, None]
    target[:, top : top + height] = rgb.clamp_(0, 255) * (1 / 255)


def _input_pair() -> tuple[str, Work, Work]:
    y_host, uv_host = ours.noise_frame(ours.SOURCE_WH)
    letterbox = fit_letterbox(ours.SOURCE_WH, ours.INPUT_WH, Fit.CENTRED)
    y, uv = ours.on_device(y_host), ours.on_device(uv_host)
    buffers = cuda.InputBuffers(device.empty((1, 3, ours.INPUT_WH[1], ours.INPUT_WH[0]), np.float32))
    y_torch, uv_torch = torch.as_tensor(y_host).cuda(), torch.as_tensor(uv_host).cuda()
    target = torch.full((3, ours.INPUT_WH[1], ours.INPUT_WH[0]), 114 / 255, device="cuda")

    def mine() -> None:
        cuda.nv12_to_input(y, uv, letterbox, ours.MATRIX, ours.PIXELS, buffers)

    def theirs() -> None:
        nv12_to_input(y_torch, uv_torch, letterbox.height, letterbox.top, target)

    return "NV12 1080p → 640 × 640 float32", mine, theirs


def _anchor_pair() -> tuple[str, Work, Work]:
    host = ours.noise_rows()
    rows, rows_torch = ours.on_device(host), torch.as_tensor(host).cuda()

    def theirs() -> object:
        scores, class_ids = rows_torch[4:].max(0)
        columns = torch.nonzero(scores >= 0.25)[:, 0]
        centre, half = rows_torch[:2, columns].T, rows_torch[2:4, columns].T * 0.5
        return torch.cat([centre - half, centre + half], 1), scores[columns], class_ids[columns]

    return f"decode {ours.ANCHORS} anchors", lambda: cuda.decode_anchors(rows, ours.CLASSES, 0.25), theirs


def _nms_pair() -> tuple[str, Work, Work]:
    boxes, scores, class_ids = ours.noise_boxes(300)
    mine = ours.on_device(boxes), ours.on_device(scores), ours.on_device(class_ids)
    boxes_torch, scores_torch, classes_torch = (torch.as_tensor(a).cuda() for a in (boxes, scores, class_ids))

    def theirs() -> object:
        """All overlaps at once, then the greedy walk on the host: torch itself has no suppression."""
        order = scores_torch.argsort(descending=True)
        sorted_boxes = boxes_torch[order] + 4096.0 * classes_torch[order, None]
        shared = torch.minimum(sorted_boxes[:, None, 2:], sorted_boxes[None, :, 2:]) - torch.maximum(
            sorted_boxes[:, None, :2], sorted_boxes[None, :, :2]
        )
        area = (sorted_boxes[:, 2:] - sorted_boxes[:, :2]).prod(1)
        overlap = shared.clamp_(0).prod(2)
        beaten = (overlap / (area[:, None] + area[None] - overlap) > 0.45).triu_(1).cpu().numpy()
        alive = np.ones(len(beaten), bool)
        for index in range(len(beaten)):
            if alive[index]:
                alive &= ~beaten[index]
        return order[torch.as_tensor(alive, device="cuda")]

    return "suppression, 300 boxes", lambda: cuda.nms(*mine, 0.45), theirs


def _mask_pair() -> tuple[str, Work, Work]:
    prototypes, coefficients, boxes, sizes = ours.mask_inputs()
    mine = ours.on_device(prototypes), ours.on_device(coefficients), ours.on_device(boxes)
    prototypes_torch, coefficients_torch = (torch.as_tensor(a).cuda() for a in (prototypes, coefficients))

    def theirs() -> object:
        """Whole masks at the prototypes' size, as Ultralytics does before it crops."""
        return (coefficients_torch @ prototypes_torch.flatten(1)).sigmoid_() > 0.5

    return (
        "masks of 20 boxes (ours cropped to 40 × 40, torch whole)",
        lambda: cuda.assemble_masks(*mine, sizes, ours.INPUT_WH),
        theirs,
    )


def torch_ms(work: Work, repeat: int) -> float:
    """Median time of one call on torch's stream, as `gpu_kernels.gpu_ms` measures ours."""
    times = []
    for index in range(repeat + 3):
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        stop.record()
        stop.synchronize()
        if index >= 3:
            times.append(start.elapsed_time(stop))
    return float(np.median(times))


def has_cuda() -> bool:
    """Whether this torch can use the GPU."""
    return bool(torch.cuda.is_available())
