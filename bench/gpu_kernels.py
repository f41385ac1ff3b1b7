"""The kernels on a GPU: the same results as the reference, their times beside torch, and how near to memory's speed.

Part of `bench.gpu`. Needs CuPy and Triton; torch only for the comparison.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels import cuda, device, reference
from kernels.buffers import LetterboxBuffers
from kernels.colour import PixelFormat, ycbcr_to_rgb
from kernels.launch import GpuLauncher
from kernels.letterbox import Fit, Letterbox, fit_letterbox

PIXELS = PixelFormat(scale=(1 / 255,) * 3)
MATRIX = ycbcr_to_rgb(True, False, False)
SOURCE_WH, INPUT_WH = (1920, 1080), (640, 640)
CLASSES, ANCHORS = 80, 8400
SECTOR_BYTES = 32
"""What a GPU moves at least: one sector of a cache line."""


@dataclass(frozen=True, slots=True)
class Check:
    """A kernel against its reference. `worst` is the largest difference, `allowed` the bound."""

    name: str
    worst: float
    allowed: float
    unit: str

    @property
    def passed(self) -> bool:
        return bool(self.worst <= self.allowed)


def on_device(host: Any) -> Any:
    """A host array in the memory that kernels see."""
    array = cuda.launcher.empty(host.shape, host.dtype)
    cuda.launcher.upload(np.ascontiguousarray(host), array)
    return array


def noise_frame(size_wh: tuple[int, int], seed: int = 0) -> tuple[Any, Any]:
    """Planes Y and UV full of noise."""
    width, height = size_wh
    noise = np.random.default_rng(seed)
    y = noise.integers(0, 256, (height, width), np.uint8)
    return y, noise.integers(0, 256, ((height + 1) // 2, (width + 1) // 2, 2), np.uint8)


def noise_rows(seed: int = 0, anchors: int = ANCHORS) -> Any:
    """Outputs of a detector: boxes in a 640 × 640 picture, and a few good scores."""
    noise = np.random.default_rng(seed)
    rows = np.zeros((4 + CLASSES, anchors), np.float32)
    rows[:2] = noise.uniform(20, 620, (2, anchors))
    rows[2:4] = noise.uniform(10, 120, (2, anchors))
    rows[4:] = noise.random((CLASSES, anchors), np.float32) ** 600
    return rows


def noise_boxes(count: int, seed: int = 0) -> tuple[Any, Any, Any]:
    """Boxes, scores and classes that overlap in many ways."""
    noise = np.random.default_rng(seed)
    corners = noise.uniform(0, 560, (count, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + noise.uniform(20, 80, (count, 2)).astype(np.float32)], axis=1)
    return boxes, noise.random(count, np.float32), noise.integers(0, 10, count, np.int32)


def checks(sizes: Sequence[tuple[int, int]] = ((1920, 1080), (1280, 720), (641, 363))) -> Iterator[Check]:
    """Every kernel against `kernels.reference`, on noise."""
    for size_wh in sizes:
        for dtype in (np.float32, np.float16):
            yield _check_input(size_wh, dtype)
    yield _check_anchors()
    for count in (1, 300, cuda.MOST_CANDIDATES):
        boxes, scores, class_ids = noise_boxes(count)
        found = cuda.nms(on_device(boxes), on_device(scores), on_device(class_ids), 0.45)
        kept = cuda.launcher.download(found)
        wanted = reference.nms(boxes, scores, class_ids, 0.45)
        other = len(set(kept.tolist()) ^ set(wanted.tolist())) + (
            len(kept) == len(wanted) and any(kept != wanted)
        )
        yield Check(f"nms, {count} boxes", other, 0, "boxes")
    yield _check_masks()
    yield _check_blend()


def _check_input(size_wh: tuple[int, int], dtype: type) -> Check:
    y, uv = noise_frame(size_wh)
    letterbox = fit_letterbox(size_wh, INPUT_WH, Fit.CENTRED)
    target = on_device(np.full((1, 3, INPUT_WH[1], INPUT_WH[0]), 5, dtype))
    planes = on_device(_even(y)), on_device(_even(uv))
    y_device, uv_device = planes[0][:, : y.shape[1]], planes[1][:, : uv.shape[1]]
    cuda.nv12_to_input(y_device, uv_device, letterbox, MATRIX, PIXELS, cuda.InputBuffers(target))
    wanted = LetterboxBuffers(np.zeros((3, INPUT_WH[1], INPUT_WH[0]), np.float32))
    reference.nv12_to_input(y, uv, letterbox, MATRIX, PIXELS, wanted)
    found = cuda.launcher.download(target)[0].astype(np.float32)
    worst = float(np.abs(found - wanted.target_chw).max() * 255)
    name = f"nv12_to_input {size_wh[0]} × {size_wh[1]} {np.dtype(dtype)}"
    return Check(name, worst, 4.0, "grey levels")


def _even(plane: Any) -> Any:
    """A plane whose rows are a multiple of 64 pixels long, as a decoder's are."""
    wide = np.zeros((plane.shape[0], -(-plane.shape[1] // 64) * 64, *plane.shape[2:]), plane.dtype)
    wide[:, : plane.shape[1]] = plane
    return wide


def _check_anchors() -> Check:
    rows = noise_rows()
    found = [cuda.launcher.download(array) for array in cuda.decode_anchors(on_device(rows), CLASSES, 0.25)]
    wanted = reference.decode_anchors(rows, CLASSES, 0.25)
    if len(found[0]) != len(wanted[0]):
        return Check("decode_anchors", float("inf"), 0, "")
    worst = max(float(np.abs(a - b).max(initial=0)) for a, b in zip(found, wanted, strict=True))
    return Check(f"decode_anchors, {len(wanted[0])} of {ANCHORS}", worst, 1e-4, "")


def mask_inputs(count: int = 20) -> tuple[Any, Any, Any, Any]:
    """Prototypes, coefficients, boxes and grid sizes of so many masks."""
    noise = np.random.default_rng(4)
    prototypes = noise.normal(0, 1, (32, 160, 160)).astype(np.float32)
    coefficients = noise.normal(0, 0.5, (count, 32)).astype(np.float32)
    boxes, _, _ = noise_boxes(count)
    return prototypes, coefficients, boxes, np.full((count, 2), 40, np.int32)


def _check_masks() -> Check:
    prototypes, coefficients, boxes, sizes = mask_inputs()
    on_gpu = on_device(prototypes), on_device(coefficients), on_device(boxes)
    grids = cuda.assemble_masks(*on_gpu, sizes, INPUT_WH)
    wanted = reference.assemble_masks(prototypes, coefficients, boxes, sizes, INPUT_WH)
    share = float(np.mean(cuda.launcher.download(grids) != wanted))
    return Check("assemble_masks, 20 of 40 × 40", share, 1e-3, "of the cells")


def _check_blend() -> Check:
    y, uv = noise_frame((640, 360))
    grid = np.random.default_rng(6).random((40, 30)) > 0.4
    rect = (101.5, 50.25, 320.0, 301.75)
    planes, cells = (on_device(y), on_device(uv)), on_device(grid)
    cuda.blend_mask(*planes, cells, rect, (90, 200, 60), 0.4)
    reference.blend_mask(y, uv, grid, rect, (90, 200, 60), 0.4)
    found = [cuda.launcher.download(plane).astype(np.int16) for plane in planes]
    wanted = [plane.astype(np.int16) for plane in (y, uv)]
    worst = max(int(np.abs(a - b).max()) for a, b in zip(found, wanted, strict=True))
    return Check("blend_mask", worst, 1, "grey levels")


class RepeatingLauncher(GpuLauncher):
    """Remembers the last launch, so that a kernel can be timed without what prepares it."""

    def __init__(self) -> None:
        super().__init__()
        self.last: tuple[Any, ...] = ()

    def launch(
        self,
        kernel: Any,
        grid: tuple[int, ...],
        arguments: Sequence[Any],
        constants: Mapping[str, int],
        warps: int = 4,
    ) -> None:
        self.last = (kernel, grid, arguments, constants, warps)
        super().launch(*self.last)

    def again(self) -> None:
        """The same launch once more."""
        super().launch(*self.last)


def gpu_ms(work: Callable[[], object], stream: device.Stream, repeat: int, inner: int = 1) -> float:
    """Median time on the GPU of one `work`, which must not wait; `inner` of them between two marks."""
    times = []
    with stream:
        for _ in range(3):
            work()
        stream.wait()
        for _ in range(repeat):
            start, stop = device.Event(timing=True), device.Event(timing=True)
            stream.record(start)
            for _ in range(inner):
                work()
            stream.record(stop)
            stop.wait()
            times.append(device.elapsed_ms(start, stop) / inner)
    return statistics.median(times)


def copy_within(source: Any, target: Any) -> None:
    """Copy a packed device array into another by the driver's own copy, in the current stream."""
    target.data.copy_from_device_async(source.data, source.nbytes)


def copy_gib_per_s(stream: device.Stream, repeat: int, mib: int = 512) -> float:
    """Bandwidth of a copy within the GPU's memory: bytes read and bytes written, per second."""
    source, target = (device.empty(mib << 20, np.uint8) for _ in range(2))
    took_ms = gpu_ms(lambda: copy_within(source, target), stream, repeat)
    return 2 * mib / 1024 / (took_ms / 1e3)


def needed_bytes(letterbox: Letterbox, itemsize: int) -> int:
    """Least bytes that one frame must move: the sectors of the planes that hold a sample, and the picture written.

    Counted where the kernel samples one source pixel for each of the result, as for 1080p in 640: a row that holds
    a sample every few pixels is read whole, a row that holds none is not. Padding is there already.
    """
    if not (letterbox.meets_pixels and letterbox.chroma_is_finer):
        raise ValueError("only for placements where nothing is mixed")
    width, height = letterbox.source_width, letterbox.source_height
    luma = _sectors(letterbox.height, height, letterbox.width, width, 1)
    chroma = _sectors(letterbox.height, (height + 1) // 2, letterbox.width, (width + 1) // 2, 2)
    return (luma + chroma) * SECTOR_BYTES + 3 * letterbox.width * letterbox.height * itemsize


def _sectors(rows: int, source_rows: int, columns: int, source_columns: int, pixel_bytes: int) -> int:
    taken_rows = np.unique(((np.arange(rows) + 0.5) * source_rows / rows).astype(int))
    taken = np.unique(((np.arange(columns) + 0.5) * source_columns / columns).astype(int) * pixel_bytes)
    return len(taken_rows) * len(np.unique(taken // SECTOR_BYTES))


@dataclass(frozen=True, slots=True)
class Roofline:
    """The input kernel against a copy in the same run."""

    frames: int
    kernel_ms: float
    moved_gib_per_s: float
    copy_gib_per_s: float

    @property
    def share(self) -> float:
        return self.moved_gib_per_s / self.copy_gib_per_s


def roofline(stream: device.Stream, repeat: int, frames: int = 64, dtype: type = np.float32) -> Roofline:
    """`frames` different 1080p pictures in one launch: far more than caches hold."""
    launcher = RepeatingLauncher()
    before, cuda.launcher = cuda.launcher, launcher
    letterbox = fit_letterbox(SOURCE_WH, INPUT_WH, Fit.CENTRED)
    try:
        with stream:
            buffers = cuda.InputBuffers(device.empty((frames, 3, INPUT_WH[1], INPUT_WH[0]), dtype))
            pictures = _different_pictures(frames)
            for _ in range(2):  # the second time the padding is there
                for index, (y, uv) in enumerate(pictures):
                    buffers.place(index, y, uv, letterbox, MATRIX, PIXELS)
                buffers.fill()
            stream.wait()
        took_ms = gpu_ms(launcher.again, stream, repeat, inner=4)
    finally:
        cuda.launcher = before
    moved = frames * needed_bytes(letterbox, np.dtype(dtype).itemsize)
    return Roofline(frames, took_ms, moved / 2**30 / (took_ms / 1e3), copy_gib_per_s(stream, repeat))


def _different_pictures(count: int) -> list[list[Any]]:
    """Pictures in memory of their own. Four are made of noise and copied: noise for each would take too long."""
    noise = [[on_device(plane) for plane in noise_frame(SOURCE_WH, seed)] for seed in range(min(4, count))]
    pictures = []
    for index in range(count):
        picture = [device.empty(plane.shape, np.uint8) for plane in noise[index % len(noise)]]
        for plane, copied in zip(noise[index % len(noise)], picture, strict=True):
            copy_within(plane, copied)
        pictures.append(picture)
    return pictures
