"""How a kernel is started: the one place that knows whether it was compiled. Arrays stay where they are.

`GpuLauncher` compiles a kernel the first time that it meets a combination of argument types and starts it in the
thread's current stream. Tests bring a launcher of their own that runs the same kernels in Triton's interpreter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernels import device
from kernels.device import DeviceArray

_TRITON_TYPES = {
    "uint8": "u8", "int32": "i32", "int64": "i64", "float16": "fp16", "float32": "fp32",
    "float64": "fp64",
}  # fmt: skip


class Launcher(ABC):
    """Arrays on a device and kernels that work on them."""

    @abstractmethod
    def empty(self, shape: int | Sequence[int], dtype: DTypeLike) -> DeviceArray:
        """A new array with undefined content."""

    @abstractmethod
    def upload(self, host: NDArray[Any], target: DeviceArray) -> None:
        """Copy a small host array, which may be changed at once, in order with the kernels."""

    @abstractmethod
    def download(self, array: DeviceArray) -> NDArray[Any]:
        """A copy on the host, once all kernels before it are done."""

    @abstractmethod
    def address(self, array: DeviceArray) -> int:
        """Where the array begins in the memory that kernels see."""

    @abstractmethod
    def launch(
        self,
        kernel: Any,
        grid: tuple[int, ...],
        arguments: Sequence[Any],
        constants: Mapping[str, int],
        warps: int = 4,
    ) -> None:
        """Start `grid` programs. `arguments` are arrays and numpy numbers in the kernel's order, without constants."""


class GpuLauncher(Launcher):
    """Kernels compiled by Triton and started through CuPy. For any thread."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[object, ...], tuple[device.Kernel, int]] = {}

    def empty(self, shape: int | Sequence[int], dtype: DTypeLike) -> DeviceArray:
        return device.empty(shape, dtype)

    def upload(self, host: NDArray[Any], target: DeviceArray) -> None:
        device.upload(host, target)

    def download(self, array: DeviceArray) -> NDArray[Any]:
        return device.to_host(array)

    def address(self, array: DeviceArray) -> int:
        return int(array.data.ptr)

    def launch(
        self,
        kernel: Any,
        grid: tuple[int, ...],
        arguments: Sequence[Any],
        constants: Mapping[str, int],
        warps: int = 4,
    ) -> None:
        addresses = [None if isinstance(a, np.generic) else self.address(a) for a in arguments]
        types = tuple(map(argument_type, arguments, addresses))
        key = (device.current(), kernel.__name__, types, tuple(constants.items()), warps)
        loaded = self._loaded.get(key)
        if loaded is None:
            loaded = self._loaded[key] = self._compile(kernel, types, constants, warps)
        function, null_pointers = loaded
        values = [
            argument if address is None else np.uint64(address)
            for argument, address in zip(arguments, addresses, strict=True)
        ]
        function.launch(grid, [*values, *[np.uint64(0)] * null_pointers])

    def _compile(
        self, kernel: Any, types: tuple[str, ...], constants: Mapping[str, int], warps: int
    ) -> tuple[device.Kernel, int]:
        from kernels.triton_compile import compile_kernel

        code = compile_kernel(kernel, types, constants, device.capability(), warps)
        return device.Kernel(code.cubin, code.name, code.threads, code.shared_bytes), code.null_pointers


def argument_type(argument: Any, address: int | None) -> str:
    """Triton's word for the type of a number, or of an array at an address; ":16" if that is a multiple of 16."""
    kind = _TRITON_TYPES[str(argument.dtype)]
    if address is None:
        return kind
    return f"*{kind}" if address % 16 else f"*{kind}:16"
