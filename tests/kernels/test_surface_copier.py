"""A decoder's picture in GPU memory, copied within the GPU and into a slot."""

from __future__ import annotations

import numpy as np
import pytest

from kernels import device
from kernels.surface_copier import SurfaceCopier


def no_warning(text: str) -> None:
    raise AssertionError(text)


def test_without_a_gpu_one_line_says_so() -> None:
    try:
        device.require()
    except device.GpuUnavailable:
        with pytest.raises(device.GpuError) as caught:
            SurfaceCopier(0, no_warning)
        assert str(caught.value) and "\n" not in str(caught.value)
    else:
        pytest.skip("there is a GPU")


@pytest.fixture
def copier() -> SurfaceCopier:
    try:
        return SurfaceCopier(0, no_warning)
    except device.GpuUnavailable as error:
        pytest.skip(str(error))


@pytest.mark.gpu
@pytest.mark.parametrize(("width", "height"), [(64, 48), (33, 35), (322, 182), (1920, 1080)])
def test_both_copies_are_complete_and_the_decoder_may_go_on(
    copier: SurfaceCopier, width: int, height: int
) -> None:
    """Each picture is overwritten as soon as `copy` returns, as a decoder does; slots have longer rows than it."""
    pitch, rows = width + width % 2, height + (height + 1) // 2
    rng, stride = np.random.default_rng(3), -(-pitch // 256) * 256
    slot = np.zeros((rows, stride), np.uint8)
    y = slot[:height, :width]
    uv = slot[height:, : 2 * ((width + 1) // 2)].reshape(rows - height, (width + 1) // 2, 2)
    assert np.shares_memory(uv, slot)
    kept = []
    memory = device.empty((rows, pitch), np.uint8)
    for _ in range(5):
        picture = rng.integers(0, 256, (rows, pitch), np.uint8)
        with copier.stream:
            device.upload(picture, memory)
        planes = copier.copy(int(memory.data.ptr), pitch, memory, y, uv)
        with copier.stream:
            device.upload(np.zeros_like(picture), memory)
        assert planes is not None and copier.refused == ""
        assert np.array_equal(y, picture[:height, :width])
        assert np.array_equal(uv.reshape(rows - height, -1), picture[height:, : 2 * uv.shape[1]])
        kept.append((planes, y.copy(), uv.copy()))
    for planes, wanted_y, wanted_uv in kept:
        assert np.array_equal(device.to_host(planes[0]), wanted_y)
        assert np.array_equal(device.to_host(planes[1]), wanted_uv)


@pytest.mark.gpu
def test_decoder_and_copies_share_a_context(copier: SurfaceCopier) -> None:
    assert copier.context_address and copier.context_address == device.context_address()
    assert copier.stream.address
