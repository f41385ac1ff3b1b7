"""The kernels on an NVIDIA GPU: the same functions as `kernels.cpu`, on device arrays, in the current stream.

Nothing waits for the GPU, except where the size of the result is what it has to tell (`decode_anchors`, `nms`).
Importing this needs Triton, calling it needs CuPy and a GPU; `kernels.device` says so where one is missing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels import triton_kernels
from kernels.colour import PixelFormat
from kernels.cpu import covered
from kernels.device import DeviceArray
from kernels.launch import GpuLauncher, Launcher
from kernels.letterbox import Letterbox

launcher: Launcher = GpuLauncher()
"""How kernels are started; tests put another one here."""

MOST_CANDIDATES = 1024
"""Boxes that `nms` takes: what fits into one block."""

_TILE_ROWS, _TILE_COLUMNS = 8, 128
_ANCHORS, _PICKED, _RANKED, _CELLS = 128, 1024, 64, 128
"""What one program works on, for each kernel: chosen for coalesced access, not tuned on a device yet."""


class InputBuffers:
    """The input of one call on the GPU, and the table that says what goes into it.

    Frames are placed first, of any sizes and colour matrices, then `fill` prepares all of them in one launch.
    Not for two threads at once.
    """

    def __init__(self, target_nchw: DeviceArray) -> None:
        """`target_nchw` float32 or float16 (batch, 3, height, width), packed; written in place."""
        self.target_nchw = target_nchw
        batch, channels, height, width = target_nchw.shape
        if channels != 3 or target_nchw.dtype not in (np.float32, np.float16):
            raise ValueError(
                f"target must be float32 or float16 (n, 3, h, w), not {target_nchw.dtype} {target_nchw.shape}"
            )
        self._input_wh = width, height
        self._geometry, self._colours = np.zeros((batch, 16), np.int64), np.zeros((batch, 24), np.float32)
        self._on_device: tuple[DeviceArray, DeviceArray] | None = None
        self._padding: list[tuple[Letterbox, PixelFormat] | None] = [None] * batch
        self._placed: dict[int, tuple[int, Letterbox, PixelFormat, DeviceArray, DeviceArray]] = {}

    def place(
        self,
        index: int,
        y: DeviceArray,
        uv: DeviceArray,
        letterbox: Letterbox,
        ycbcr_to_rgb: NDArray[np.float32],
        pixels: PixelFormat,
    ) -> None:
        """Let the next `fill` put this frame at `index` of the batch, instead of one that was placed there before.

        y   uint8 (height, width), uv uint8 (⌈height/2⌉, ⌈width/2⌉, 2), rows of both may be strided; uv begins at
            an even address and its rows are an even number of bytes apart, as in every NV12 picture

        Both must stay until what `fill` starts is done.
        """
        uv_address = launcher.address(uv)
        if uv_address % 2 or uv.strides[0] % 2 or uv.strides[1:] != (2, 1) or y.strides[1] != 1:
            raise ValueError(f"not NV12 planes: strides {y.strides} and {uv.strides}, uv at {uv_address:#x}")
        if (letterbox.input_width, letterbox.input_height) != self._input_wh:
            raise ValueError(f"the placement is for {letterbox.input_width} × {letterbox.input_height}")
        fill = letterbox.padded and self._padding[index] != (letterbox, pixels)
        row = self._placed[index][0] if index in self._placed else len(self._placed)
        self._placed[index] = row, letterbox, pixels, y, uv
        self._geometry[row] = (
            launcher.address(y), uv_address, y.strides[0], uv.strides[0] // 2,
            letterbox.source_width, letterbox.source_height, letterbox.width, letterbox.height,
            letterbox.left, letterbox.top, index, letterbox.input_height if fill else 0,
            letterbox.meets_pixels, letterbox.chroma_is_finer, 0, 0,
        )  # fmt: skip
        scale_x, scale_y = letterbox.scale_xy
        self._colours[row] = (
            *ycbcr_to_rgb.reshape(-1), *pixels.mean, *pixels.scale, pixels.pad, scale_x, scale_y,
            (letterbox.source_width + 1) // 2 / letterbox.width,
            (letterbox.source_height + 1) // 2 / letterbox.height, 0,
        )  # fmt: skip

    def fill(self) -> None:
        """Prepare the frames that were placed since the last call."""
        if not self._placed:
            return
        if self._on_device is None:
            self._on_device = (
                launcher.empty(self._geometry.shape, np.int64), launcher.empty(self._colours.shape, np.float32),
            )  # fmt: skip
        launcher.upload(self._geometry, self._on_device[0])
        launcher.upload(self._colours, self._on_device[1])
        width, height = self._input_wh
        launcher.launch(
            triton_kernels.nv12_to_input,
            (-(-width // _TILE_COLUMNS), -(-height // _TILE_ROWS), len(self._placed)),
            (*self._on_device, self.target_nchw),
            {"WIDTH": width, "HEIGHT": height, "ROWS": _TILE_ROWS, "COLUMNS": _TILE_COLUMNS},
        )
        for index, (_, letterbox, pixels, _, _) in self._placed.items():
            self._padding[index] = letterbox, pixels
        self._placed.clear()


def nv12_to_input(
    y: DeviceArray,
    uv: DeviceArray,
    letterbox: Letterbox,
    ycbcr_to_rgb: NDArray[np.float32],
    pixels: PixelFormat,
    buffers: InputBuffers,
) -> None:
    """See `kernels.cpu.nv12_to_input`; `buffers` are those of a batch of one."""
    buffers.place(0, y, uv, letterbox, ycbcr_to_rgb, pixels)
    buffers.fill()


def decode_anchors(
    rows: DeviceArray, classes: int, confidence: float
) -> tuple[DeviceArray, DeviceArray, DeviceArray, DeviceArray]:
    """See `kernels.cpu.decode_anchors`. Waits for the GPU, to learn how many there are."""
    anchors = rows.shape[1]
    all_scores, all_class_ids = launcher.empty(anchors, np.float32), launcher.empty(anchors, np.int32)
    boxes, scores = launcher.empty((anchors, 4), np.float32), launcher.empty(anchors, np.float32)
    class_ids, columns = launcher.empty(anchors, np.int32), launcher.empty(anchors, np.int64)
    count = launcher.empty(1, np.int32)
    stride, number = np.int32(rows.strides[0] // 4), np.int32(anchors)
    launcher.launch(
        triton_kernels.best_classes,
        (-(-anchors // _ANCHORS),),
        (rows, stride, all_scores, all_class_ids, number, np.int32(classes)),
        {"BLOCK": _ANCHORS},
    )
    launcher.launch(
        triton_kernels.pick_anchors,
        (1,),
        (
            rows, stride, all_scores, all_class_ids, boxes, scores, class_ids, columns, count, number,
            np.float32(confidence),
        ),
        {"BLOCK": _PICKED},
        warps=8,
    )  # fmt: skip
    found = int(launcher.download(count)[0])
    return boxes[:found], scores[:found], class_ids[:found], columns[:found]


def nms(boxes_xyxy: DeviceArray, scores: DeviceArray, class_ids: DeviceArray, iou: float) -> DeviceArray:
    """See `kernels.cpu.nms`; at most `MOST_CANDIDATES` boxes. Waits for the GPU, to learn how many stay."""
    boxes = len(scores)
    if boxes > MOST_CANDIDATES:
        raise ValueError(f"at most {MOST_CANDIDATES} boxes, not {boxes}")
    kept = launcher.empty(boxes, np.int64)
    if not boxes:
        return kept
    words = MOST_CANDIDATES // 32
    order, count = launcher.empty(boxes, np.int32), launcher.empty(1, np.int32)
    bits = launcher.empty((MOST_CANDIDATES, words), np.int32)
    number, used = np.int32(boxes), -(-boxes // 32)
    launcher.launch(
        triton_kernels.rank_scores, (-(-boxes // _RANKED),), (scores, order, number), {"BLOCK": _RANKED}
    )
    launcher.launch(
        triton_kernels.mark_overlaps,
        (used, used),
        (boxes_xyxy, class_ids, order, bits, number, np.float64(iou)),
        {"WORDS": words},
    )
    launcher.launch(
        triton_kernels.keep_unbeaten,
        (1,),
        (bits, order, scores, kept, count, number),
        {"WORDS": words},
        warps=16,
    )
    return kept[: int(launcher.download(count)[0])]


def assemble_masks(
    prototypes_chw: DeviceArray,
    coefficients_nc: DeviceArray,
    boxes_xyxy: DeviceArray,
    sizes_hw: NDArray[np.int32],
    input_wh: tuple[int, int],
) -> DeviceArray:
    """See `kernels.cpu.assemble_masks`. `sizes_hw` stays on the host: it says how much memory is needed."""
    channels, height, width = prototypes_chw.shape
    cells = sizes_hw.astype(np.int64).prod(axis=1)
    grids = launcher.empty(int(cells.sum()), np.uint8)
    if not len(grids):
        return grids
    table = np.column_stack([sizes_hw, np.cumsum(cells) - cells]).astype(np.int64)
    sizes = launcher.empty(table.shape, np.int64)
    launcher.upload(np.ascontiguousarray(table), sizes)
    launcher.launch(
        triton_kernels.assemble_masks,
        (-(-int(cells.max()) // _CELLS), len(cells)),
        (
            prototypes_chw, coefficients_nc, boxes_xyxy, sizes, grids,
            np.float32(width / input_wh[0]), np.float32(height / input_wh[1]),
            np.int32(channels), np.int32(height), np.int32(width),
        ),
        {"BLOCK": _CELLS},
    )  # fmt: skip
    return grids


def blend_mask(
    y: DeviceArray,
    uv: DeviceArray,
    grid: DeviceArray,
    rect_xyxy: tuple[float, float, float, float],
    ycbcr: tuple[int, int, int],
    opacity: float,
) -> None:
    """See `kernels.cpu.blend_mask`."""
    if not grid.size:
        return
    grid_rows, grid_columns = grid.shape
    luma, cb, cr = ycbcr
    for plane, scale, colour, other in ((y, 1.0, luma, 0), (uv, 0.5, cb, cr)):
        left, top, right, bottom = (edge * scale for edge in rect_xyxy)
        rows, columns = covered(top, bottom, plane.shape[0]), covered(left, right, plane.shape[1])
        if not (len(rows) and len(columns)):
            continue
        part = plane[rows.start : rows.stop, columns.start : columns.stop]
        step_y, step_x = grid_rows / (bottom - top), grid_columns / (right - left)
        launcher.launch(
            triton_kernels.blend_mask,
            (-(-len(columns) // _TILE_COLUMNS), -(-len(rows) // _TILE_ROWS)),
            (
                part, np.int32(plane.strides[0]), np.int32(len(rows)), np.int32(len(columns)),
                grid.view(np.uint8), np.int32(grid_rows), np.int32(grid_columns),
                np.float64((rows.start + 0.5 - top) * step_y), np.float64((columns.start + 0.5 - left) * step_x),
                np.float64(step_y), np.float64(step_x),
                np.float64(colour), np.float64(other), np.float64(opacity),
            ),
            {"CHANNELS": plane.ndim - 1, "ROWS": _TILE_ROWS, "COLUMNS": _TILE_COLUMNS},
        )  # fmt: skip
