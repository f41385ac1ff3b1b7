"""What the functions on the GPU have beyond those of the other implementations: batches, and what they refuse."""

from typing import Any

import numpy as np
import pytest

from kernels.colour import PixelFormat, ycbcr_to_rgb
from kernels.letterbox import Fit, fit_letterbox
from tests.kernels.test_nv12_to_input import run, smooth_nv12
from tests.kernels.twins import FAST, DeviceTwin

TWINS = {name: twin for name, twin in FAST.items() if isinstance(twin, DeviceTwin)}
device_twin = pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS.keys())
PIXELS = PixelFormat(scale=(0.5, 1.0, 2.0))
INPUT_WH = (64, 48)


def place(twin: DeviceTwin, buffers: Any, index: int, size_wh: tuple[int, int], bt709: bool = False) -> None:
    y, uv = map(twin.on_device_in_rows, smooth_nv12(*size_wh))
    box = fit_letterbox(size_wh, INPUT_WH, Fit.CENTRED)
    buffers.place(index, y, uv, box, ycbcr_to_rgb(bt709, False), PIXELS)


@device_twin
def test_a_batch_of_all_sizes_in_one_launch(twin: DeviceTwin) -> None:
    batch = np.full((4, 3, 48, 64), 7, np.float32)
    buffers = twin.cuda.InputBuffers(twin.on_device(batch))
    frames = {0: ((100, 50), False), 3: ((30, 80), True), 1: ((64, 48), False)}
    for index, (size_wh, bt709) in frames.items():
        place(twin, buffers, index, size_wh, bt709)
    buffers.fill()
    result = twin.launcher.download(buffers.target_nchw)
    assert (result[2] == 7).all()
    for index, (size_wh, bt709) in frames.items():
        box = fit_letterbox(size_wh, INPUT_WH, Fit.CENTRED)
        assert np.array_equal(result[index], run(twin, *smooth_nv12(*size_wh), box, PIXELS, bt709)), index


@device_twin
def test_cameras_take_turns_in_one_slot(twin: DeviceTwin) -> None:
    buffers = twin.cuda.InputBuffers(twin.on_device(np.full((1, 3, 48, 64), np.nan, np.float32)))
    for size_wh in ((100, 50), (100, 50), (50, 100), (100, 50), (64, 48)):
        place(twin, buffers, 0, size_wh)
        buffers.fill()
        box = fit_letterbox(size_wh, INPUT_WH, Fit.CENTRED)
        result = twin.launcher.download(buffers.target_nchw)[0]
        assert np.array_equal(result, run(twin, *smooth_nv12(*size_wh), box, PIXELS)), size_wh


@device_twin
def test_padding_that_is_there_is_not_written_again(twin: DeviceTwin) -> None:
    buffers = twin.cuda.InputBuffers(twin.on_device(np.zeros((1, 3, 48, 64), np.float32)))
    for _ in range(2):
        place(twin, buffers, 0, (100, 50))
        buffers.fill()
        result = twin.launcher.download(buffers.target_nchw)
        buffers.target_nchw[0, :, 0] = 5
    buffers.fill()  # nothing was placed
    assert (result[0, :, 0] == 5).all() and (result[0, :, 24] != 5).any()


@device_twin
def test_the_last_frame_placed_in_a_slot_counts(twin: DeviceTwin) -> None:
    """A call that was given up after its frames were placed leaves nothing behind."""
    buffers = twin.cuda.InputBuffers(twin.on_device(np.full((2, 3, 48, 64), np.nan, np.float32)))
    for _ in range(3):
        place(twin, buffers, 0, (50, 100))
        place(twin, buffers, 1, (50, 100))
    place(twin, buffers, 0, (100, 50))
    buffers.fill()
    results = twin.launcher.download(buffers.target_nchw)
    for result, size_wh in zip(results, ((100, 50), (50, 100)), strict=True):
        box = fit_letterbox(size_wh, INPUT_WH, Fit.CENTRED)
        assert np.array_equal(result, run(twin, *smooth_nv12(*size_wh), box, PIXELS))


@device_twin
def test_what_is_no_nv12_is_refused(twin: DeviceTwin) -> None:
    buffers = twin.cuda.InputBuffers(twin.on_device(np.zeros((1, 3, 48, 64), np.float32)))
    y = twin.on_device(np.zeros((50, 100), np.uint8))
    uv = twin.on_device(np.zeros((25, 102, 1), np.uint8))
    box = fit_letterbox((100, 50), INPUT_WH, Fit.CENTRED)
    matrix = ycbcr_to_rgb(False, False)
    with pytest.raises(ValueError, match="not NV12"):
        buffers.place(0, y, uv, box, matrix, PIXELS)
    good_uv = twin.on_device(np.zeros((25, 50, 2), np.uint8))
    with pytest.raises(ValueError, match="placement is for 64 × 64"):
        buffers.place(0, y, good_uv, fit_letterbox((100, 50), (64, 64), Fit.CENTRED), matrix, PIXELS)
    with pytest.raises(ValueError, match="float32 or float16"):
        twin.cuda.InputBuffers(twin.on_device(np.zeros((1, 3, 8, 8), np.uint8)))


@device_twin
def test_too_many_boxes_are_refused(twin: DeviceTwin) -> None:
    boxes, scores = np.zeros((1025, 4), np.float32), np.ones(1025, np.float32)
    with pytest.raises(ValueError, match="at most 1024 boxes"):
        twin.nms(boxes, scores, np.zeros(1025, np.int32), 0.5)
