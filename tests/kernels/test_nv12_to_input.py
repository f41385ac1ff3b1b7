"""NV12 to the model's input: values worked out by hand, standards, OpenCV, or the reference."""

from types import ModuleType

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels import cpu, reference
from kernels.buffers import LetterboxBuffers
from kernels.colour import PixelFormat, ycbcr_to_rgb
from kernels.letterbox import Fit, Letterbox, fit_letterbox
from tests.kernels.twins import INTERPRETED, REFERENCE, Twin, every_twin, fast_twin

PLAIN = PixelFormat()
U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]


def smooth_nv12(width: int, height: int, seed: int = 0) -> tuple[U8, U8]:
    """A picture without detail finer than a few pixels, in rows that are longer than the picture."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
    wide = cv2.resize(coarse, (width + 32, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    y: U8 = np.ascontiguousarray(wide[:, :, 0])[:, :width]
    chroma = cv2.resize(wide[:, :, 1:], ((width + 1) // 2 + 16, (height + 1) // 2)).astype(np.uint8)
    return y, chroma[:, : (width + 1) // 2]


def run(
    twin: Twin, y: U8, uv: U8, box: Letterbox, pixels: PixelFormat = PLAIN, bt709: bool = False
) -> NDArray[np.float32]:
    target = np.full((3, box.input_height, box.input_width), np.nan, np.float32)
    twin.nv12_to_input(y, uv, box, ycbcr_to_rgb(bt709, False, pixels.bgr), pixels, target)
    return target


@fast_twin
@pytest.mark.parametrize("bt709", [False, True], ids=["601", "709"])
@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("bgr", [False, True], ids=["rgb", "bgr"])
def test_every_colour_is_within_two_levels(twin: Twin, bt709: bool, full_range: bool, bgr: bool) -> None:
    levels = np.arange(0, 256, 17 if INTERPRETED else 5, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 1, 3)
    matrix = ycbcr_to_rgb(bt709, full_range, bgr)
    y = np.ascontiguousarray(colours[:, :, 0]).reshape(len(levels), -1)
    # One chroma sample for four pixels, four times as large: each pixel gets a sample of its own.
    uv = np.ascontiguousarray(colours[:, :, 1:]).reshape(len(levels), -1, 2)
    height, width = y.shape
    box = Letterbox(2 * width, 2 * height, width, height, width, height, 0, 0)
    target = np.zeros((3, height, width), np.float32)
    twin.nv12_to_input(np.repeat(np.repeat(y, 2, 0), 2, 1), uv, box, matrix, PLAIN, target)
    expected = reference.convert(np.concatenate([y[:, :, None], uv], axis=2), matrix).transpose(2, 0, 1)
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


@every_twin
def test_limited_601_agrees_with_opencv(twin: Twin) -> None:
    y, uv = smooth_nv12(64, 48)
    y = np.clip(y, 16, 235)  # OpenCV cuts off what is blacker than black before it converts
    box = fit_letterbox((64, 48), (64, 48), Fit.STRETCH)
    flat_uv = np.full_like(np.ascontiguousarray(uv), 90)
    expected = cv2.cvtColorTwoPlane(y, flat_uv, cv2.COLOR_YUV2RGB_NV12)
    assert np.abs(run(twin, y, flat_uv, box) - expected.transpose(2, 0, 1)).max() <= 2


@every_twin
def test_three_to_one_takes_the_middle_pixels(twin: Twin) -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 256, (36, 48), np.uint8)
    uv = random.integers(0, 256, (18, 24, 2), np.uint8)
    box = fit_letterbox((48, 36), (16, 12), Fit.STRETCH)
    # Pixel 3 i + 1 is in chroma sample ⌊(3 i + 1) / 2⌋.
    chroma = uv[[0, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17]]
    chroma = chroma[:, [0, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 23]]
    middles = np.dstack([y[1::3, 1::3], chroma])
    expected = reference.convert(middles, ycbcr_to_rgb(False, False)).transpose(2, 0, 1)
    assert np.abs(run(twin, y, uv, box) - expected).max() <= 1


@every_twin
def test_two_to_one_takes_the_mean_of_four_pixels(twin: Twin) -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 256, (24, 32), np.uint8)
    uv = random.integers(0, 256, (12, 16, 2), np.uint8)
    box = fit_letterbox((32, 24), (16, 12), Fit.STRETCH)
    means = y.reshape(12, 2, 16, 2).mean(axis=(1, 3)).round().astype(np.uint8)
    expected = reference.convert(np.dstack([means, uv]), ycbcr_to_rgb(False, False)).transpose(2, 0, 1)
    assert np.abs(run(twin, y, uv, box) - expected).max() <= 2


SIZES_WH = [(128, 96), (63, 95), (97, 40), (640, 360), (1281, 723), (64, 64), (40, 30), (288, 192)]


@fast_twin
@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_fast_equals_reference(twin: Twin, fit: Fit, size_wh: tuple[int, int]) -> None:
    y, uv = smooth_nv12(*size_wh)
    box = fit_letterbox(size_wh, (96, 64), fit)
    pixels = PixelFormat(bgr=True, mean=(103.5, 116.3, 123.7), scale=(0.5, 0.25, 1.0), pad=100)
    fast, slow = (run(one, y, uv, box, pixels, bt709=True) for one in (twin, REFERENCE))
    # One grey level of rounding in each of Y, Cb and Cr, times the gain of the conversion, make 5.
    levels = np.abs(fast - slow) / np.array(pixels.scale)[:, None, None]
    levels = levels[:, ~between_chroma_samples(box)]
    assert levels.max() <= 5 and levels.mean() < 0.6


@fast_twin
@given(
    source_wh=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    input_wh=st.sampled_from([(32, 32), (48, 32), (33, 17)]),
    fit=st.sampled_from(Fit),
    seed=st.integers(0, 9),
)
def test_fast_equals_reference_on_noise(
    twin: Twin, source_wh: tuple[int, int], input_wh: tuple[int, int], fit: Fit, seed: int
) -> None:
    random = np.random.default_rng(seed)
    width, height = source_wh
    y = random.integers(0, 256, (height, width), np.uint8)
    uv = random.integers(0, 256, ((height + 1) // 2, (width + 1) // 2, 2), np.uint8)
    box = fit_letterbox(source_wh, input_wh, fit)
    levels = np.abs(run(twin, y, uv, box) - run(REFERENCE, y, uv, box))[:, ~between_chroma_samples(box)]
    assert levels.size == 0 or levels.max() <= 6


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


@every_twin
def test_padding_is_normalised_grey(twin: Twin) -> None:
    y, uv = smooth_nv12(100, 50)
    pixels = PixelFormat(mean=(14.0, 0.0, 0.0), scale=(0.01, 1.0, 2.0))
    target = run(twin, y, uv, fit_letterbox((100, 50), (64, 64), Fit.CENTRED), pixels)
    assert np.allclose(target[:, :16], np.array([1.0, 114.0, 228.0])[:, None, None])
    assert np.allclose(target[:, 48:], np.array([1.0, 114.0, 228.0])[:, None, None])


@pytest.mark.parametrize("kernels", [cpu, reference], ids=["cpu", "reference"])
def test_cameras_of_two_sizes_take_turns_in_one_buffer(kernels: ModuleType) -> None:
    target = np.zeros((3, 64, 64), np.float32)
    buffers = LetterboxBuffers(target)
    matrix = ycbcr_to_rgb(False, False)
    for size_wh in ((100, 50), (50, 100), (100, 50), (64, 64), (300, 20)):
        y, uv = smooth_nv12(*size_wh)
        box = fit_letterbox(size_wh, (64, 64), Fit.CENTRED)
        kernels.nv12_to_input(y, uv, box, matrix, PLAIN, buffers)
        fresh = np.full_like(target, np.nan)
        kernels.nv12_to_input(y, uv, box, matrix, PLAIN, LetterboxBuffers(fresh))
        assert np.array_equal(target, fresh), size_wh


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_nothing_is_written_outside_the_target(kind: type[np.float32] | type[np.float16]) -> None:
    batch = np.full((3, 3, 64, 96), 7.0, kind)
    y, uv = smooth_nv12(200, 100)
    box = fit_letterbox((200, 100), (96, 64), Fit.CENTRED)
    cpu.nv12_to_input(y, uv, box, ycbcr_to_rgb(False, False), PLAIN, LetterboxBuffers(batch[1]))
    assert (batch[0] == 7).all() and (batch[2] == 7).all()
    assert np.abs(batch[1] - run(REFERENCE, y, uv, box)).max() <= 5


@every_twin
def test_halves_are_the_rounded_floats(twin: Twin) -> None:
    y, uv = smooth_nv12(100, 75)
    box = fit_letterbox((100, 75), (64, 64), Fit.CENTRED)
    pixels = PixelFormat(mean=(3.0, 0.0, 9.5), scale=(1 / 255, 1 / 57, 0.1))
    half = np.full((3, 64, 64), np.nan, np.float16)
    twin.nv12_to_input(y, uv, box, ycbcr_to_rgb(True, False), pixels, half)
    single = run(twin, y, uv, box, pixels, bt709=True)
    assert np.allclose(half, single, rtol=1e-3, atol=1e-3)


def test_a_target_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="float32"):
        LetterboxBuffers(np.zeros((1, 8, 8), np.float32))
    with pytest.raises(ValueError, match="float32"):
        LetterboxBuffers(np.zeros((3, 8, 8), np.uint8))  # type: ignore[arg-type]  # what is refused
