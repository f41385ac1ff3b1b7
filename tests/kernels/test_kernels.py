"""One set of tests for every implementation of the kernels: values worked out by hand, or the reference."""

from types import ModuleType

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels import cpu, reference
from kernels.buffers import LetterboxBuffers
from kernels.colour import PixelFormat, ycbcr_to_rgb
from kernels.letterbox import Fit, Letterbox, fit_letterbox

PLAIN = PixelFormat()
EVERY = pytest.mark.parametrize("kernels", [cpu, reference], ids=["cpu", "reference"])
U8 = NDArray[np.uint8]


def smooth_nv12(width: int, height: int, seed: int = 0) -> tuple[U8, U8]:
    """A picture without detail finer than a few pixels, in rows that are longer than the picture."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
    wide = cv2.resize(coarse, (width + 32, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    y: U8 = np.ascontiguousarray(wide[:, :, 0])[:, :width]
    chroma = cv2.resize(wide[:, :, 1:], ((width + 1) // 2 + 16, (height + 1) // 2)).astype(np.uint8)
    return y, chroma[:, : (width + 1) // 2]


def run(
    kernels: ModuleType, y: U8, uv: U8, box: Letterbox, pixels: PixelFormat = PLAIN, bt709: bool = False
) -> NDArray[np.float32]:
    target = np.full((3, box.input_height, box.input_width), np.nan, np.float32)
    kernels.nv12_to_input(
        y, uv, box, ycbcr_to_rgb(bt709, False, pixels.bgr), pixels, LetterboxBuffers(target)
    )
    return target


@pytest.mark.parametrize("bt709", [False, True], ids=["601", "709"])
@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("bgr", [False, True], ids=["rgb", "bgr"])
def test_every_colour_is_within_two_levels(bt709: bool, full_range: bool, bgr: bool) -> None:
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 1, 3)
    matrix = ycbcr_to_rgb(bt709, full_range, bgr)
    y = np.ascontiguousarray(colours[:, :, 0])
    uv = np.ascontiguousarray(colours[:, :, 1:])
    count = len(colours)
    box = Letterbox(1, count, 1, count, 1, count, 0, 0)
    target = np.zeros((3, count, 1), np.float32)
    cpu.nv12_to_input(y, uv, box, matrix, PLAIN, LetterboxBuffers(target))
    expected = reference.convert(colours, matrix).transpose(2, 0, 1)
    assert np.abs(target - expected).max() <= 2


@pytest.mark.parametrize(
    ("bt709", "full_range", "ycbcr", "rgb"),
    [
        (False, False, (16, 128, 128), (0, 0, 0)),
        (False, False, (235, 128, 128), (255, 255, 255)),
        (False, True, (255, 128, 128), (255, 255, 255)),
        (False, False, (81, 90, 240), (255, 0, 0)),
        (False, True, (76, 85, 255), (254, 0, 0)),
        (True, False, (63, 102, 240), (255, 0, 0)),
        (True, False, (32, 240, 118), (0, 0, 255)),
        (True, True, (182, 30, 12), (0, 255, 0)),
    ],
)
def test_colours_from_the_standards(
    bt709: bool, full_range: bool, ycbcr: tuple[int, int, int], rgb: tuple[int, int, int]
) -> None:
    colour = np.array([[ycbcr]], np.uint8)
    converted = reference.convert(colour, ycbcr_to_rgb(bt709, full_range))[0, 0]
    assert np.abs(converted.astype(int) - np.array(rgb)).max() <= 2


def test_limited_601_agrees_with_opencv() -> None:
    y, uv = smooth_nv12(64, 48)
    y = np.clip(y, 16, 235)  # OpenCV cuts off what is blacker than black before it converts
    box = fit_letterbox((64, 48), (64, 48), Fit.STRETCH)
    flat_uv = np.full_like(np.ascontiguousarray(uv), 90)
    expected = cv2.cvtColorTwoPlane(y, flat_uv, cv2.COLOR_YUV2RGB_NV12)
    assert np.abs(run(cpu, y, flat_uv, box) - expected.transpose(2, 0, 1)).max() <= 2


@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("size_wh", [(128, 96), (63, 95), (97, 40), (640, 360), (1281, 723), (64, 64)])
def test_fast_equals_reference(fit: Fit, size_wh: tuple[int, int]) -> None:
    y, uv = smooth_nv12(*size_wh)
    box = fit_letterbox(size_wh, (96, 64), fit)
    pixels = PixelFormat(bgr=True, mean=(103.5, 116.3, 123.7), scale=(0.5, 0.25, 1.0), pad=100)
    fast, slow = (run(kernels, y, uv, box, pixels, bt709=True) for kernels in (cpu, reference))
    # One grey level of rounding in each of Y, Cb and Cr, times the gain of the conversion, make 5.
    levels = np.abs(fast - slow) / np.array(pixels.scale)[:, None, None]
    levels = levels[:, ~between_chroma_samples(box)]
    assert levels.max() <= 5 and levels.mean() < 0.6


def between_chroma_samples(box: Letterbox) -> NDArray[np.bool_]:
    """Pixels (height, width) of the input that may take either of two chroma samples."""
    between = np.zeros((box.input_height, box.input_width), np.bool_)
    if box.chroma_is_finer:
        chroma_wh = (box.source_width + 1) // 2, (box.source_height + 1) // 2
        columns, rows = (
            (2 * np.arange(size) + 1) * length % (2 * size) == 0
            for size, length in zip((box.width, box.height), chroma_wh, strict=True)
        )
        picture = np.s_[box.top : box.top + box.height, box.left : box.left + box.width]
        between[picture] = rows[:, None] | columns
    return between


@EVERY
def test_padding_is_normalised_grey(kernels: ModuleType) -> None:
    y, uv = smooth_nv12(100, 50)
    pixels = PixelFormat(mean=(14.0, 0.0, 0.0), scale=(0.01, 1.0, 2.0))
    target = run(kernels, y, uv, fit_letterbox((100, 50), (64, 64), Fit.CENTRED), pixels)
    assert np.allclose(target[:, :16], np.array([1.0, 114.0, 228.0])[:, None, None])
    assert np.allclose(target[:, 48:], np.array([1.0, 114.0, 228.0])[:, None, None])


@EVERY
def test_cameras_of_two_sizes_take_turns_in_one_buffer(kernels: ModuleType) -> None:
    target = np.zeros((3, 64, 64), np.float32)
    buffers = LetterboxBuffers(target)
    matrix = ycbcr_to_rgb(False, False)
    for size_wh in ((100, 50), (50, 100), (100, 50), (64, 64), (300, 20)):
        y, uv = smooth_nv12(*size_wh)
        box = fit_letterbox(size_wh, (64, 64), Fit.CENTRED)
        kernels.nv12_to_input(y, uv, box, matrix, PLAIN, buffers)
        assert np.array_equal(target, run(kernels, y, uv, box)), size_wh


def test_nothing_is_written_outside_the_target() -> None:
    batch = np.full((3, 3, 64, 96), 7.0, np.float32)
    y, uv = smooth_nv12(200, 100)
    box = fit_letterbox((200, 100), (96, 64), Fit.CENTRED)
    cpu.nv12_to_input(y, uv, box, ycbcr_to_rgb(False, False), PLAIN, LetterboxBuffers(batch[1]))
    assert (batch[0] == 7).all() and (batch[2] == 7).all()
    assert np.array_equal(batch[1], run(cpu, y, uv, box))


def test_a_target_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="float32"):
        LetterboxBuffers(np.zeros((1, 8, 8), np.float32))


FITS = st.sampled_from(Fit)
SIZES = st.tuples(st.integers(2, 4000), st.integers(2, 4000))


@EVERY
@given(source_wh=SIZES, fit=FITS, corners=st.tuples(*[st.floats(0, 1)] * 4))
def test_boxes_come_back_to_where_they_were(
    kernels: ModuleType, source_wh: tuple[int, int], fit: Fit, corners: tuple[float, float, float, float]
) -> None:
    box = fit_letterbox(source_wh, (640, 384), fit)
    source = np.array([corners], np.float32) * np.array([*source_wh, *source_wh], np.float32)
    placed = source * np.array([box.width, box.height] * 2) / np.array([*source_wh, *source_wh])
    placed += np.array([box.left, box.top] * 2)
    back = kernels.boxes_to_source(placed.astype(np.float32), box)
    scale_x, scale_y = box.scale_xy
    assert np.abs(back - source).max() <= 1e-3 * max(scale_x, scale_y, 1) + 1e-3


@EVERY
def test_boxes_are_clipped_to_the_picture(kernels: ModuleType) -> None:
    box = fit_letterbox((1280, 720), (640, 640), Fit.CENTRED)
    outside = np.array([[-50, 0, 700, 640], [-50, -50, -10, -10]], np.float32)
    clipped = kernels.boxes_to_source(outside, box)
    assert clipped.tolist() == [[0, 0, 1280, 720], [0, 0, 0, 0]]
    assert kernels.boxes_to_source(np.empty((0, 4), np.float32), box).shape == (0, 4)


@EVERY
def test_nms_known(kernels: ModuleType) -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    scores = np.array([0.6, 0.9, 0.8, 0.7], np.float32)
    classes = np.array([0, 0, 1, 0], np.int32)
    assert kernels.nms(boxes, scores, classes, 0.5).tolist() == [1, 2, 3]
    assert kernels.nms(boxes, scores, np.zeros(4, np.int32), 0.5).tolist() == [1, 3]
    assert kernels.nms(boxes, scores, classes, 0.9).tolist() == [1, 2, 3, 0]


@EVERY
@pytest.mark.parametrize("count", [0, 1])
def test_nms_of_next_to_nothing(kernels: ModuleType, count: int) -> None:
    boxes = np.array([[0, 0, 5, 5]], np.float32)[:count]
    kept = kernels.nms(boxes, np.ones(count, np.float32), np.zeros(count, np.int32), 0.5)
    assert kept.tolist() == list(range(count)) and kept.dtype == np.intp


@given(
    st.lists(
        st.tuples(
            *[st.integers(0, 60)] * 2, *[st.integers(1, 40)] * 2, st.integers(1, 50), st.integers(0, 2)
        ),
        max_size=25,
    ),
    st.sampled_from([0.3, 0.45, 0.6, 0.9]),
)
def test_nms_equals_reference(objects: list[tuple[int, ...]], iou: float) -> None:
    table = np.array(objects, np.float32).reshape(-1, 6)
    boxes = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1).astype(np.float32)
    scores, classes = (table[:, 4] / 50).astype(np.float32), table[:, 5].astype(np.int32)
    overlaps = {reference.overlap(a, b) for a in boxes for b in boxes}
    assume(all(abs(value - iou) > 1e-5 for value in overlaps))
    kept = cpu.nms(boxes, scores, classes, iou)
    assert kept.tolist() == reference.nms(boxes, scores, classes, iou).tolist()
