"""The door to the GPU, as far as there is none; and with one, that copies and marks do what they say."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kernels import device


def on_gpu() -> bool:
    try:
        device.require()
    except device.GpuUnavailable:
        return False
    return True


needs_gpu = pytest.mark.skipif(not on_gpu(), reason="no NVIDIA GPU")


def test_without_cupy_one_line_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['cupy'] = None\n"
        "from kernels import device\n"
        "for work in (device.require, device.Stream, lambda: device.empty(3, 'f4')):\n"
        "    try: work()\n"
        "    except device.GpuUnavailable as error: print(error)\n"
    )
    root = Path(__file__).resolve().parent.parent.parent
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root, env=os.environ
    )
    lines = out.stdout.splitlines()
    assert len(lines) == 3 and all("install camring[gpu]" in line for line in lines)


def test_without_triton_one_line_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['triton'] = None\n"
        "from kernels.device import GpuUnavailable\n"
        "try: import kernels.cuda\n"
        "except GpuUnavailable as error: print(error)\n"
    )
    root = Path(__file__).resolve().parent.parent.parent
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root, env=os.environ
    )
    assert "Triton is missing" in out.stdout and "install camring[gpu]" in out.stdout


@pytest.mark.skipif(on_gpu(), reason="there is a GPU")
def test_without_a_gpu_one_line_says_so() -> None:
    for work in (
        device.require,
        device.Stream,
        device.Event,
        device.capability,
        lambda: device.empty(3, "f4"),
    ):
        with pytest.raises(device.GpuError) as caught:
            work()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "strides", "itemsize", "layout"),
    [
        ((5,), (4,), 4, (4, 4)),
        ((5, 6), (6, 1), 1, (6, 6)),
        ((5, 6), (256, 1), 1, (256, 6)),
        ((5, 6, 2), (256, 2, 1), 1, (256, 12)),
        ((1, 6, 2), (7, 2, 1), 1, (12, 12)),
        ((2, 3, 4, 5), (999, 80, 20, 4), 4, (999, 240)),
    ],
)
def test_rows_of_an_array(
    shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int, layout: tuple[int, int]
) -> None:
    assert device.row_layout(shape, strides, itemsize) == layout


@pytest.mark.parametrize(
    ("shape", "strides"), [((5, 6), (1, 5)), ((5, 6), (3, 1)), ((5, 6), (-6, 1)), ((2, 3, 4), (48, 8, 2))]
)
def test_rows_that_are_not_in_one_piece_are_refused(shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="rows"):
        device.row_layout(shape, strides, 1)


@pytest.mark.gpu
@needs_gpu
def test_strided_rows_go_up_and_come_back() -> None:
    host = np.random.default_rng(0).integers(0, 256, (7, 40, 2), np.uint8)[:, :33]
    stream = device.Stream()
    target = device.empty((7, 64, 2), np.uint8)[:, :33]
    back = np.zeros((7, 100, 2), np.uint8)[:, 5:38]
    device.upload_async(host, target, stream)
    device.download_async(target, back, stream)
    stream.wait()
    assert np.array_equal(host, back)


@pytest.mark.gpu
@needs_gpu
def test_registered_memory_marks_and_graphs() -> None:
    memory = np.arange(1 << 20, dtype=np.uint8)
    registration = device.register_host(memory)
    stream, target = device.Stream(), device.empty(memory.shape, np.uint8)
    graph = stream.capture(lambda: device.upload_async(memory, target, stream))
    start = stream.record(device.Event(timing=True))
    graph.launch(stream)
    stop = stream.record(device.Event(timing=True))
    stop.wait()
    assert stop.done and device.elapsed_ms(start, stop) > 0
    assert np.array_equal(device.to_host(target), memory)
    registration.close()
    registration.close()
