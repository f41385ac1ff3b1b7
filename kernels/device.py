"""The GPU as the rest sees it: memory, streams, events, copies, graphs. The only file that imports CuPy.

Knows arrays and addresses only: no frames, no models. Importing it costs nothing where CuPy is missing;
`require` says so in one line. Nothing here waits for the GPU unless its name says so. Device arrays are
`cupy.ndarray`; their type is written `DeviceArray` because CuPy has no type information.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

try:
    import cupy
except ImportError as error:
    cupy = None
    _MISSING = str(error)

DeviceArray = Any
"""A `cupy.ndarray`: shape, strides in bytes and dtype as in numpy; `.data.ptr` is its address."""


class GpuError(RuntimeError):
    """The GPU or its driver refused something. One line."""


class GpuUnavailable(GpuError):
    """There is no GPU to work on: CuPy, the driver or the device is missing."""


class GpuOutOfMemory(GpuError):
    """The GPU has no memory left for this."""


@contextmanager
def gpu_errors(what: str) -> Iterator[None]:
    """Turn errors of CuPy and the driver into `GpuError`; `what` was being done."""
    require_cupy()
    try:
        yield
    except cupy.cuda.memory.OutOfMemoryError as error:
        raise GpuOutOfMemory(f"{what}: {_line(error)}") from error
    except (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError) as error:
        full = any(name in str(error) for name in ("cudaErrorMemoryAllocation", "CUDA_ERROR_OUT_OF_MEMORY"))
        kind = GpuOutOfMemory if full else GpuError
        raise kind(f"{what}: {_line(error)}") from error


def require_cupy() -> None:
    """Raises `GpuUnavailable` where CuPy cannot be imported."""
    if cupy is None:
        raise GpuUnavailable(f"CuPy is missing ({_MISSING}); install camring[gpu]")


def require(device: int = 0) -> None:
    """Make sure that this GPU can be worked on, and make it the calling thread's own.

    Every thread that uses a GPU other than 0 calls this once. Raises `GpuUnavailable`.
    """
    require_cupy()
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise GpuUnavailable(f"no NVIDIA GPU that can be used: {_line(error)}") from error
    if not 0 <= device < count:
        raise GpuUnavailable(f"GPU {device} does not exist; this machine has {count}, counted from 0")
    with gpu_errors(f"GPU {device}"):
        cupy.cuda.Device(device).use()


def current() -> int:
    """Number of the thread's own GPU."""
    with gpu_errors("GPU"):
        return int(cupy.cuda.runtime.getDevice())


def context_address() -> int:
    """The CUcontext of the thread's own GPU that everything here works in, for libraries that would make another."""
    with gpu_errors("GPU"):
        cupy.cuda.runtime.free(0)  # the usual way to have it made
        return int(cupy.cuda.driver.ctxGetCurrent())


def capability(device: int | None = None) -> int:
    """Compute capability as one number, such as 86 or 90; of the thread's own GPU if none is named."""
    with gpu_errors("compute capability"):
        return int(cupy.cuda.Device(device).compute_capability)


def name(device: int = 0) -> str:
    """What the driver calls this GPU, such as `NVIDIA A10G`."""
    with gpu_errors(f"GPU {device}"):
        return str(cupy.cuda.runtime.getDeviceProperties(device)["name"].decode())


def describe(device: int = 0) -> str:
    """Name, compute capability and memory, for the log."""
    with gpu_errors(f"GPU {device}"):
        properties = cupy.cuda.runtime.getDeviceProperties(device)
        memory_gib = properties["totalGlobalMem"] / 2**30
        return f"{properties['name'].decode()}, sm_{capability(device)}, {memory_gib:.0f} GiB"


def memory_bytes() -> tuple[int, int]:
    """(free, total) memory of the thread's own GPU."""
    with gpu_errors("GPU memory"):
        free, total = cupy.cuda.runtime.memGetInfo()
        return int(free), int(total)


def empty(shape: int | Sequence[int], dtype: DTypeLike) -> DeviceArray:
    """A new array with undefined content, in C order. Raises `GpuOutOfMemory`."""
    with gpu_errors(f"GPU array of {np.prod(shape):.0f} × {np.dtype(dtype)}"):
        return cupy.empty(shape, dtype)


def empty_nv12(y_shape: tuple[int, ...], uv_shape: tuple[int, ...]) -> tuple[DeviceArray, DeviceArray]:
    """Packed planes of an NV12 picture in one new array, with undefined content. Raises `GpuOutOfMemory`."""
    # Kernels read pairs of chroma at once: they begin at an even address.
    luma, chroma = int(np.prod(y_shape)), int(np.prod(uv_shape))
    start = luma + luma % 2
    memory = empty(start + chroma, np.uint8)
    return memory[:luma].reshape(y_shape), memory[start:].reshape(uv_shape)


def to_device(array: NDArray[Any]) -> DeviceArray:
    """A copy of a host array; complete when this returns."""
    with gpu_errors("copy to the GPU"):
        copied = cupy.asarray(np.ascontiguousarray(array))
        cupy.cuda.get_current_stream().synchronize()
        return copied


def upload(host: NDArray[Any], target: DeviceArray) -> None:
    """Put a small host array into a device array of the same shape, in order with the current stream.

    The host array must be packed and not pinned; the driver has copied it when this returns.
    """
    if host.nbytes != target.nbytes or not host.flags.c_contiguous:
        raise ValueError(f"copy of {host.dtype} {host.shape} into {target.dtype} {target.shape}")
    with gpu_errors("copy to the GPU"):
        kind, stream = cupy.cuda.runtime.memcpyHostToDevice, cupy.cuda.get_current_stream()
        cupy.cuda.runtime.memcpyAsync(target.data.ptr, host.ctypes.data, host.nbytes, kind, stream.ptr)


def to_host(array: DeviceArray) -> NDArray[Any]:
    """A copy of a device array, in order with the current stream; complete when this returns."""
    with gpu_errors("copy from the GPU"):
        return np.asarray(cupy.asnumpy(array))


def wrap(
    address: int, shape: Sequence[int], strides: Sequence[int], dtype: DTypeLike, owner: object
) -> DeviceArray:
    """A view of device memory that somebody else allocated. `strides` in bytes; `owner` is kept alive."""
    size = sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True)) + np.dtype(dtype).itemsize
    with gpu_errors("view of device memory"):
        memory = cupy.cuda.UnownedMemory(address, size, owner)
        return cupy.ndarray(tuple(shape), dtype, cupy.cuda.MemoryPointer(memory, 0), tuple(strides))


class Event:
    """A mark in a stream. Made by `Stream.record`."""

    def __init__(self, *, timing: bool = False) -> None:
        """`timing` events can be given to `elapsed_ms`; others are cheaper."""
        with gpu_errors("event"):
            self.raw = cupy.cuda.Event(block=True, disable_timing=not timing)

    @property
    def done(self) -> bool:
        """Whether the stream has passed the mark."""
        with gpu_errors("event"):
            return bool(self.raw.done)

    def wait(self) -> None:
        """Sleep until the stream has passed the mark. Raises `GpuError` if anything before it failed."""
        with gpu_errors("work on the GPU"):
            self.raw.synchronize()


def elapsed_ms(start: Event, stop: Event) -> float:
    """Milliseconds between two marks that were made with `timing` and have been passed."""
    with gpu_errors("event"):
        return float(cupy.cuda.get_elapsed_time(start.raw, stop.raw))


class Kernel:
    """Machine code for the thread's own GPU, loaded and ready."""

    def __init__(self, cubin: bytes, name: str, threads: int, shared_bytes: int) -> None:
        """`threads` in a block, which gets `shared_bytes` of shared memory. Raises `GpuError`."""
        self._block, self._shared_bytes, self._name = (threads,), shared_bytes, name
        with gpu_errors(f"loading kernel {name}"):
            module = cupy.cuda.function.Module()
            module.load(cubin)
            self._function = module.get_function(name)

    def launch(self, grid: tuple[int, ...], arguments: Sequence[np.generic]) -> None:
        """Start `grid` blocks in the current stream. Arguments are numpy numbers, addresses as uint64."""
        with gpu_errors(f"kernel {self._name}"):
            self._function(grid, self._block, arguments, self._shared_bytes)


class Graph:
    """Work that was recorded once and is started by one call."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def launch(self, stream: Stream) -> None:
        """Append the recorded work to the stream; the memory that it uses is that of the recording."""
        with gpu_errors("CUDA graph"):
            self._raw.launch(stream.raw)


class Stream:
    """A queue of work for the GPU. `with stream:` makes it the one that this thread's calls go to.

    `address` is the cudaStream_t that other libraries take.
    """

    def __init__(self) -> None:
        with gpu_errors("stream"):
            cupy.cuda.runtime.getDevice()  # fails in a clean way where there is no driver
            # One that does not wait for the default stream, which other libraries use.
            self.raw = cupy.cuda.Stream(non_blocking=True)
        self.address = int(self.raw.ptr)

    def __enter__(self) -> Stream:
        self.raw.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.raw.__exit__(kind, error, trace)

    def record(self, event: Event | None = None) -> Event:
        """Put a mark behind the work so far; a new one if none is given."""
        event = event or Event()
        with gpu_errors("event"):
            self.raw.record(event.raw)
        return event

    def wait_for(self, event: Event) -> None:
        """Let the work that comes next start after this mark; the caller goes on at once."""
        with gpu_errors("event"):
            self.raw.wait_event(event.raw)

    def wait(self) -> None:
        """Sleep until everything in the stream is done. Raises `GpuError` if any of it failed."""
        with gpu_errors("work on the GPU"):
            self.raw.synchronize()

    def capture(self, work: Callable[[], None]) -> Graph:
        """Record what `work` puts into this stream instead of running it.

        `work` must neither wait nor allocate. Only this thread's calls count. Raises `GpuError`, with the stream
        usable again.
        """
        with self, gpu_errors("recording a CUDA graph"):
            self.raw.begin_capture(cupy.cuda.runtime.streamCaptureModeThreadLocal)
            try:
                work()
            except BaseException:
                with gpu_errors_ignored():
                    self.raw.end_capture()
                raise
            return Graph(self.raw.end_capture())


@contextmanager
def gpu_errors_ignored() -> Iterator[None]:
    """For cleaning up after an error that is already on its way: a second one would hide it."""
    try:
        yield
    except (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError):
        return


def upload_async(host: NDArray[Any], target: DeviceArray, stream: Stream) -> None:
    """Copy a host array into a device array of the same shape and dtype; rows of both may be strided.

    The first axis may have any stride, the others are packed. The copy overlaps other work only if the host
    memory is pinned or registered; it must stay until the stream has passed it.
    """
    kind = cupy.cuda.runtime.memcpyHostToDevice if cupy else 0
    _copy_rows(target.data.ptr, target, host.ctypes.data, host, kind, stream)


def download_async(source: DeviceArray, host: NDArray[Any], stream: Stream) -> None:
    """Copy a device array into a host array of the same shape and dtype; as `upload_async`, the other way."""
    kind = cupy.cuda.runtime.memcpyDeviceToHost if cupy else 0
    _copy_rows(host.ctypes.data, host, source.data.ptr, source, kind, stream)


def copy_async(source: DeviceArray, target: DeviceArray, stream: Stream) -> None:
    """Copy a device array into another of the same shape and dtype; as `upload_async`, within the GPU."""
    kind = cupy.cuda.runtime.memcpyDeviceToDevice if cupy else 0
    _copy_rows(target.data.ptr, target, source.data.ptr, source, kind, stream)


def _copy_rows(to: int, target: Any, start: int, source: Any, kind: int, stream: Stream) -> None:
    if target.shape != source.shape or target.dtype != source.dtype:
        raise ValueError(f"copy of {source.dtype} {source.shape} into {target.dtype} {target.shape}")
    target_pitch, row_bytes = row_layout(target.shape, target.strides, target.dtype.itemsize)
    source_pitch, _ = row_layout(source.shape, source.strides, source.dtype.itemsize)
    if source.size == 0:
        return
    with gpu_errors("copy from, to or within the GPU"):
        if target_pitch == source_pitch == row_bytes:
            cupy.cuda.runtime.memcpyAsync(to, start, source.nbytes, kind, stream.address)
            return
        cupy.cuda.runtime.memcpy2DAsync(
            to, target_pitch, start, source_pitch, row_bytes, len(source), kind, stream.address
        )


def row_layout(shape: Sequence[int], strides: Sequence[int], itemsize: int) -> tuple[int, int]:
    """(bytes from row to row, bytes in a row). Raises `ValueError` where a row is not in one piece."""
    row_bytes = itemsize
    for length, stride in zip(reversed(shape[1:]), reversed(strides[1:]), strict=True):
        if stride != row_bytes and length > 1:
            raise ValueError(f"rows must be in one piece, not shape {tuple(shape)} strides {tuple(strides)}")
        row_bytes *= length
    pitch = strides[0] if shape and shape[0] > 1 else row_bytes
    if pitch < row_bytes:
        raise ValueError(f"rows must not overlap: shape {tuple(shape)} strides {tuple(strides)}")
    return pitch, row_bytes


def pinned_empty(shape: int | Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """A new host array that the GPU can read and write by itself. Raises `GpuOutOfMemory`."""
    count, kind = int(np.prod(shape)), np.dtype(dtype)
    with gpu_errors(f"pinned host memory of {count * kind.itemsize} bytes"):
        memory = cupy.cuda.alloc_pinned_memory(max(count * kind.itemsize, 1))
        return np.frombuffer(memory, kind, count).reshape(shape)


class HostRegistration:
    """Host memory that was made known to the GPU; `close` before the memory goes away."""

    def __init__(self, address: int) -> None:
        self._address: int | None = address

    def close(self) -> None:
        """Give the memory back to the system's own management. May be called twice."""
        if self._address is None:
            return
        address, self._address = self._address, None
        with gpu_errors("giving registered host memory back"):
            cupy.cuda.runtime.hostUnregister(address)


_PORTABLE, _READ_ONLY = 1, 8
"""cudaHostRegisterPortable and cudaHostRegisterReadOnly."""


def register_host(memory: NDArray[np.uint8], *, read_only: bool = False) -> HostRegistration:
    """Let the GPU copy from this memory by itself, such as a mapped pool of frames.

    memory     uint8 in one piece; whole pages are registered
    read_only  for a mapping without write permission; not every GPU can do that

    Raises `GpuError` where the driver refuses; copies work without it, but they do not overlap.
    """
    if not memory.flags.c_contiguous:
        raise ValueError("memory to register must be in one piece")
    address = memory.ctypes.data
    flags = _PORTABLE | (_READ_ONLY if read_only else 0)
    with gpu_errors(f"registering {memory.nbytes} bytes of host memory"):
        cupy.cuda.runtime.hostRegister(address, memory.nbytes, flags)
    return HostRegistration(address)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
