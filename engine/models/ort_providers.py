"""The execution providers of ONNX Runtime besides the CPU: NVIDIA, Intel, Apple. Each is told what it needs.

Option names: onnxruntime.ai/docs/execution-providers, one page for each.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from engine.models.backend import BackendOptions, Call
from engine.models.gpu import gpu_work
from engine.models.ort import OrtBackend
from engine.types import F32
from kernels import device


class OrtNvidia(OrtBackend):
    """An NVIDIA GPU. Pictures are read from its memory where CuPy is installed, else copied from the host."""

    remedy = "pip install onnxruntime-gpu in place of onnxruntime"

    def __init__(self, path: Path, options: BackendOptions) -> None:
        """See `load`."""
        super().__init__(path, options)
        try:
            device.require(options.device)
            self.description += f", {device.describe(options.device)}"
            self.on_gpu = True
        except device.GpuError as error:
            self.description += f", pictures copied from the host ({error})"

    def new_call(self) -> Call:
        call = super().new_call()
        if self.on_gpu:
            with gpu_work(self.name):
                call.input_nchw = device.to_device(call.input_nchw)
        return call

    def compute(self, call: Call, frames: int, lane: int) -> list[F32]:
        if not self.on_gpu:
            return super().compute(call, frames, lane)
        return self.bound(call, frames, lane, ("cuda", self.options.device)).run()


class OrtCuda(OrtNvidia, name="ort-cuda"):
    """CUDA and cuDNN."""

    provider = "CUDAExecutionProvider"

    def provider_options(self) -> dict[str, str]:
        # The default search tries every algorithm of every layer, for each number of frames that comes up anew.
        return {"device_id": str(self.options.device), "cudnn_conv_algo_search": "HEURISTIC"}


class OrtTensorrt(OrtNvidia, name="ort-tensorrt"):
    """TensorRT in the precision of the file; what it cannot do goes to CUDA."""

    provider = "TensorrtExecutionProvider"

    def provider_options(self) -> dict[str, str]:
        options = {"device_id": str(self.options.device), **self._profile()}
        if self.options.cache is None:
            return options
        folder = self.options.cache / "ort-tensorrt"
        with contextlib.suppress(OSError):  # engines are built again at every start then
            folder.mkdir(parents=True, exist_ok=True)
            options |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder)}
            options |= {"trt_timing_cache_enable": "1", "trt_timing_cache_path": str(folder)}
        return options

    def further_providers(self) -> tuple[str, ...]:
        return ("CUDAExecutionProvider", *super().further_providers())

    def _profile(self) -> dict[str, str]:
        """The sizes to build for: without them every new number of frames builds the engine again."""
        images = self.declared_on_cpu()
        if isinstance(images.inputs[0].shape[0], int):
            return {}
        sizes: dict[str, tuple[int, ...]] = {images.inputs[0].name: images.input_shape(1)[1:]}
        sizes |= {name: row.shape[1:] for name, row in images.constants.items()}
        counts = {"min": 1, "opt": max(1, self.options.batch), "max": max(1, self.options.batch)}
        return {
            f"trt_profile_{kind}_shapes": ",".join(
                f"{name}:{'x'.join(map(str, (count, *size)))}" for name, size in sizes.items()
            )
            for kind, count in counts.items()
        }


class OrtOpenvino(OrtBackend, name="ort-openvino"):
    """An Intel processor through OpenVINO."""

    provider = "OpenVINOExecutionProvider"
    remedy = "pip install onnxruntime-openvino in place of onnxruntime"
    on_cores = True

    def provider_options(self) -> dict[str, str]:
        return {"device_type": "CPU", "num_of_threads": str(max(1, self.options.threads))}


class OrtCoreml(OrtBackend, name="ort-coreml"):
    """The GPU and the neural engine of a Mac, as CoreML shares them out."""

    provider = "CoreMLExecutionProvider"
    remedy = "onnxruntime has it on a Mac only"

    def provider_options(self) -> dict[str, str]:
        return {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"}
