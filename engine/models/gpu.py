"""What an error of the GPU means to a detector: which of our errors it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from engine.errors import BackendError, BackendMissing, DeviceOutOfMemory
from kernels.device import GpuError, GpuOutOfMemory, GpuUnavailable


@contextmanager
def gpu_work(who: str) -> Iterator[None]:
    """Turn `GpuError` into `BackendError` or the subclass that it is; `who` begins the message."""
    try:
        yield
    except GpuUnavailable as error:
        raise BackendMissing(f"{who}: {error}") from error
    except GpuOutOfMemory as error:
        raise DeviceOutOfMemory(f"{who}: {error}; use a smaller infer.batch or fewer infer.lanes") from error
    except GpuError as error:
        raise BackendError(f"{who}: {error}") from error
