"""What `kernels.cuda` launches can be compiled for every GPU that is to be expected, without one being here."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from kernels.colour import PixelFormat, ycbcr_to_rgb
from kernels.device import GpuError
from kernels.launch import Launcher, argument_type
from kernels.letterbox import Fit, fit_letterbox
from tests.kernels.twins import INTERPRETED

pytest.importorskip("triton", reason="Triton is missing: pip install camring[dev]", exc_type=ImportError)
if INTERPRETED:
    pytest.skip("Triton interprets in this process", allow_module_level=True)

from kernels import cuda
from kernels.crops_cuda import CropInput
from kernels.triton_compile import MachineCode, compile_kernel, parameter_types

CAPABILITIES = (80, 86, 89, 90)


class CompilingLauncher(Launcher):
    """Compiles what is launched and runs nothing; a device array is a numpy array of zeros."""

    def __init__(self, capability: int) -> None:
        self._capability = capability
        self.compiled: dict[str, MachineCode] = {}

    def empty(self, shape: int | Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        return np.zeros(shape, dtype)

    def upload(self, host: NDArray[Any], target: NDArray[Any]) -> None:
        assert host.shape == target.shape and host.dtype == target.dtype

    def download(self, array: NDArray[Any]) -> NDArray[Any]:
        return array

    def address(self, array: NDArray[Any]) -> int:
        return array.ctypes.data

    def launch(
        self,
        kernel: Any,
        grid: tuple[int, ...],
        arguments: Sequence[Any],
        constants: Mapping[str, int],
        warps: int = 4,
    ) -> None:
        assert 1 <= len(grid) <= 3 and min(grid) > 0
        addresses = [None if isinstance(a, np.generic) else self.address(a) for a in arguments]
        types = list(map(argument_type, arguments, addresses))
        self.compiled[kernel.__name__] = compile_kernel(kernel, types, constants, self._capability, warps)


@pytest.fixture(params=CAPABILITIES, ids=lambda capability: f"sm_{capability}")
def launcher(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[CompilingLauncher]:
    launcher = CompilingLauncher(request.param)
    monkeypatch.setattr(cuda, "launcher", launcher)
    yield launcher
    assert launcher.compiled, "nothing was launched"
    for name, code in launcher.compiled.items():
        assert code.cubin.startswith(b"\x7fELF"), name
        assert code.threads % 32 == 0 and code.shared_bytes <= 48 * 1024, name
        assert code.null_pointers == 2, name  # global scratch and profile scratch, since Triton 3.4


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_nv12_to_input_compiles(
    launcher: CompilingLauncher, kind: type[np.float32] | type[np.float16]
) -> None:
    buffers = cuda.InputBuffers(np.zeros((2, 3, 64, 96), kind))
    box = fit_letterbox((100, 50), (96, 64), Fit.CENTRED)
    y, uv = np.zeros((50, 128), np.uint8)[:, :100], np.zeros((25, 64, 2), np.uint8)[:, :50]
    for index in (0, 1):
        buffers.place(index, y, uv, box, ycbcr_to_rgb(False, False), PixelFormat())
    buffers.fill()


def test_anchors_and_suppression_compile(launcher: CompilingLauncher) -> None:
    cuda.decode_anchors(np.zeros((84, 2100), np.float32), 80, 0.25)
    cuda.nms(np.zeros((300, 4), np.float32), np.ones(300, np.float32), np.zeros(300, np.int32), 0.45)
    assert set(launcher.compiled) == {
        "best_classes", "pick_anchors", "rank_scores", "mark_overlaps", "keep_unbeaten",
    }  # fmt: skip


def test_masks_compile(launcher: CompilingLauncher) -> None:
    sizes = np.full((2, 2), 20, np.int32)
    coefficients, boxes = np.zeros((2, 32), np.float32), np.zeros((2, 4), np.float32)
    cuda.assemble_masks(np.zeros((32, 160, 160), np.float32), coefficients, boxes, sizes, (640, 640))
    y, uv = np.zeros((100, 100), np.uint8), np.zeros((50, 50, 2), np.uint8)
    cuda.blend_mask(y, uv, np.ones((4, 4), np.bool_), (3.0, 3.0, 60.0, 60.0), (10, 20, 30), 0.5)
    assert set(launcher.compiled) == {"assemble_masks", "blend_mask"}


@pytest.mark.parametrize("kind", [np.float32, np.float16])
@pytest.mark.parametrize("channels_last", [False, True])
def test_crops_compile(
    launcher: CompilingLauncher, kind: type[np.float32] | type[np.float16], channels_last: bool
) -> None:
    shape = (2, 256, 128, 3) if channels_last else (2, 3, 256, 128)
    crops = CropInput(np.zeros(shape, kind), channels_last=channels_last)
    y, uv = np.zeros((50, 128), np.uint8)[:, :100], np.zeros((25, 64, 2), np.uint8)[:, :50]
    crops.place(y, uv, (3, 5, 40, 50), ycbcr_to_rgb(False, False), PixelFormat())
    crops.fill()


PTX = """
.visible .entry shade(
	.param .u64 .ptr .global .align 16 shade_param_0,
	.param .u32 shade_param_1,
	.param .f64 shade_param_2,
	.param .u64 .ptr .global .align 1 shade_param_3
)
.reqntid 128
{
	ret;
}
"""


def test_parameters_are_read_from_ptx() -> None:
    assert parameter_types(PTX, "shade") == ("u64", "u32", "f64", "u64")
    with pytest.raises(GpuError, match="no entry function light"):
        parameter_types(PTX, "light")


def test_pixels_are_stored_together_where_the_address_allows_it() -> None:
    from kernels.triton_kernels import nv12_to_input

    constants = {"WIDTH": 96, "HEIGHT": 64, "ROWS": 8, "COLUMNS": 128}
    aligned, other = (
        compile_kernel(nv12_to_input, ["*i64:16", "*fp32:16", target], constants, 90, 4).cubin
        for target in ("*fp32:16", "*fp32")
    )
    assert len(aligned) < len(other)


def test_a_kernel_that_cannot_be_compiled_is_one_line() -> None:
    from kernels.triton_kernels import rank_scores

    with pytest.raises(GpuError, match=r"^Triton cannot compile rank_scores for sm_90: .+$") as caught:
        compile_kernel(rank_scores, ["*fp32", "*i32", "i32"], {"BLOCK": 3}, 90, 4)  # no power of two
    assert "\n" not in str(caught.value)
