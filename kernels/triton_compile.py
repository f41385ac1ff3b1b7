"""From a Triton kernel to machine code for one GPU. Needs neither PyTorch nor a GPU.

Knows no arrays and starts nothing. Triton keeps what it has compiled on disk ($TRITON_CACHE_DIR, ~/.triton).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kernels.device import GpuError, GpuUnavailable

try:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.runtime.errors import TritonError
except ImportError as error:
    raise GpuUnavailable(f"Triton is missing ({error}); install camring[gpu]") from error

_ADDRESS = "u64"
_PTX_TYPES = {"i32": "u32", "i64": "u64", "fp32": "f32", "fp64": "f64"}
_THREADS_PER_WARP = 32
_MOST_SHARED_BYTES = 48 * 1024
"""Shared memory that a kernel gets without asking for more."""


@dataclass(frozen=True, slots=True)
class MachineCode:
    """A compiled kernel.

    cubin          the binary, for `kernels.device.Kernel`
    name           of the function in it
    threads        in a block
    shared_bytes   dynamic shared memory of a block
    null_pointers  pointers that Triton appends to the arguments for features that are not used: pass 0
    """

    cubin: bytes
    name: str
    threads: int
    shared_bytes: int
    null_pointers: int


def compile_kernel(
    kernel: Any, types: Sequence[str], constants: Mapping[str, int], capability: int, warps: int
) -> MachineCode:
    """Compile a `triton.jit` function.

    types       of the arguments that are no constants, in their order, in Triton's words: "i32", "fp32", "*u8";
                "*u8:16" for an address that is a multiple of 16 bytes
    constants   values of the `tl.constexpr` arguments
    capability  compute capability of the GPU as one number, such as 86 or 90

    Raises `GpuError` where Triton cannot compile it for that GPU.
    """
    names = [name for name in kernel.arg_names if name not in constants]
    signature = {name: kind.partition(":")[0] for name, kind in zip(names, types, strict=True)}
    aligned = {
        (kernel.arg_names.index(name),): [["tt.divisibility", 16]]
        for name, kind in zip(names, types, strict=True)
        if kind.endswith(":16")
    }
    ordered = {name: signature.get(name, "constexpr") for name in kernel.arg_names}
    source = ASTSource(kernel, ordered, dict(constants), aligned)
    # Fused sums and products would give other numbers than the CPU, and the interpreter, give.
    options = {"num_warps": warps, "enable_fp_fusion": False}
    try:
        compiled = triton.compile(
            source, target=GPUTarget("cuda", capability, _THREADS_PER_WARP), options=options
        )
    except (TritonError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise GpuError(f"Triton cannot compile {kernel.__name__} for sm_{capability}: {reason}") from error
    metadata = compiled.metadata
    if metadata.shared > _MOST_SHARED_BYTES or metadata.global_scratch_size:
        raise GpuError(
            f"{kernel.__name__} for sm_{capability} wants {metadata.shared} bytes of shared memory and "
            f"{metadata.global_scratch_size} of scratch; at most {_MOST_SHARED_BYTES} and 0 are given"
        )
    taken = parameter_types(compiled.asm["ptx"], metadata.name)
    given = tuple(_PTX_TYPES.get(kind, _ADDRESS) for kind in signature.values())
    appended = taken[len(given) :]
    if taken[: len(given)] != given or set(appended) - {_ADDRESS}:
        raise GpuError(f"{kernel.__name__} was compiled to take {taken}, but gets {given}; Triton is too new")
    return MachineCode(
        cubin=compiled.asm["cubin"],
        name=metadata.name,
        threads=metadata.num_warps * _THREADS_PER_WARP,
        shared_bytes=metadata.shared,
        null_pointers=len(appended),
    )


def parameter_types(ptx: str, name: str) -> tuple[str, ...]:
    """Types of the parameters of an entry function, in PTX's words: "u64", "f32"."""
    found = re.search(rf"\.entry\s+{re.escape(name)}\s*\(([^)]*)\)", ptx)
    if found is None:
        raise GpuError(f"no entry function {name} in what Triton compiled")
    return tuple(re.findall(r"\.param\s+(?:\.align\s+\d+\s+)?\.(\w+)", found.group(1)))
