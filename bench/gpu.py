"""The GPU path on a machine with a GPU: is it right, how quick is it, and how near to what the device can do.

    python bench/gpu.py [--quick] [--json FILE] [--model FILE.onnx]

Runs from the repository without installing it. What is not there (TensorRT, PyNvVideoCodec, torch, PyAV, test data)
becomes a row "not run" with the reason. Exit status: 0 all right, 1 a result is wrong, 2 there is no GPU to work on.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__" and not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

PACKAGES = (
    "cupy-cuda13x",
    "triton",
    "torch",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "PyNvVideoCodec",
    "numpy",
)
ROOFLINE_GOAL = 0.8


class NotRun(Exception):
    """Why a part cannot be run on this machine."""


@dataclass
class Report:
    """Tables as they are printed, and the same for --json. `wrong` names what failed."""

    quick: bool
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def add(self, table: str, **row: Any) -> None:
        """One row, printed at once: a run that is cut off has shown what it knew."""
        rows = self.tables.setdefault(table, [])
        if not rows:
            print(f"\n## {table}\n")
            print("| " + " | ".join(row) + " |\n|" + "---|" * len(row))
        rows.append(row)
        print("| " + " | ".join(str(value) for value in row.values()) + " |", flush=True)

    def not_run(self, table: str, what: str, why: object) -> None:
        """A row for what this machine cannot do."""
        line = " ".join(str(why).split())
        self.tables.setdefault(table, []).append({"what": what, "not run": line})
        print(f"\n{table}: {what}: not run: {line}", flush=True)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few repetitions: does it work")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write machine and figures here as well")
    parser.add_argument("--model", type=Path, metavar="FILE.onnx", help="detector with a free batch")
    args = parser.parse_args()
    from kernels import device

    try:
        device.require()
        what = device.describe()
    except device.GpuError as error:
        print(f"bench.gpu: {error}", file=sys.stderr)
        return 2
    machine = {"gpu": what, **versions()}
    print("; ".join(f"{name} {value}" for name, value in machine.items()))
    report = Report(args.quick)
    for part in (kernel_parity, roofline, against_torch, copies, backend_parity, decoding, cameras):
        run_part(report, part, args)
    if args.json:
        args.json.write_text(
            json.dumps({"machine": machine, "tables": report.tables, "wrong": report.wrong}, indent=1)
        )
    for wrong in report.wrong:
        print(f"bench.gpu: {wrong}", file=sys.stderr)
    return 1 if report.wrong else 0


def run_part(
    report: Report, part: Callable[[Report, argparse.Namespace], None], args: argparse.Namespace
) -> None:
    """One part; what it lacks is a row, what the GPU refuses is wrong, and the next part still runs."""
    from engine.errors import EngineError
    from kernels.device import GpuError

    title = part.__name__.replace("_", " ")
    try:
        part(report, args)
    except NotRun as reason:
        report.not_run(title, "all of it", reason)
    except ImportError as error:
        report.not_run(title, "all of it", f"{error.name or error} is not installed")
    except (GpuError, EngineError) as error:
        report.wrong.append(f"{title}: {' '.join(str(error).split())}")


def versions() -> dict[str, str]:
    """Interpreter, cores and the packages that matter here."""
    found = {"python": platform.python_version(), "cores": str(os.cpu_count())}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def kernel_parity(report: Report, args: argparse.Namespace) -> None:
    """Every Triton kernel against the numpy reference."""
    from bench import gpu_kernels

    for check in gpu_kernels.checks():
        report.add(
            "kernels against the numpy reference", kernel=check.name,
            difference=f"{check.worst:.3g} {check.unit}", allowed=f"{check.allowed:g}",
            passed="yes" if check.passed else "NO",
        )  # fmt: skip
        if not check.passed:
            report.wrong.append(
                f"{check.name}: differs by {check.worst:.3g} {check.unit}, allowed {check.allowed:g}"
            )


def roofline(report: Report, args: argparse.Namespace) -> None:
    """NV12 to input against a copy in the same memory, in the same run."""
    import numpy as np

    from bench import gpu_kernels
    from kernels import device

    stream = device.Stream()
    for dtype in (np.float32, np.float16):
        for frames in (1, 8, 64):
            found = gpu_kernels.roofline(stream, 5 if report.quick else 30, frames, dtype)
            report.add(
                "NV12 1080p → 640 × 640: share of copy bandwidth", output=np.dtype(dtype).name, frames=frames,
                kernel_us=f"{found.kernel_ms * 1e3:.1f}", us_per_frame=f"{found.kernel_ms * 1e3 / frames:.2f}",
                moved_GiB_s=f"{found.moved_gib_per_s:.0f}", copy_GiB_s=f"{found.copy_gib_per_s:.0f}",
                share=f"{found.share:.2f}", goal=f"{ROOFLINE_GOAL:g}",
            )  # fmt: skip
    print(
        "\nmoved: the 32-byte sectors of the planes that hold a sample, once, and the picture written, without its "
        "padding; copy: bytes read and written. Few frames do not fill the device."
    )


def against_torch(report: Report, args: argparse.Namespace) -> None:
    """Times of the kernels and of torch's equivalents, on the GPU."""
    from bench import gpu_torch
    from bench.gpu_kernels import gpu_ms
    from kernels import device

    if not gpu_torch.has_cuda():
        raise NotRun("this torch has no CUDA")
    stream, repeat = device.Stream(), 10 if report.quick else 100
    for name, mine, theirs in gpu_torch.pairs():
        device.Stream().wait()
        ours_ms, torch_ms = gpu_ms(mine, stream, repeat), gpu_torch.torch_ms(theirs, repeat)
        report.add(
            "kernels against torch", what=name, ours_ms=f"{ours_ms:.4f}", torch_ms=f"{torch_ms:.4f}",
            ratio=f"{torch_ms / ours_ms:.2f}",
        )  # fmt: skip


def copies(report: Report, args: argparse.Namespace) -> None:
    """Uploads of eight 1080p frames beside as much computing."""
    from bench import gpu_copies

    for found in gpu_copies.overlaps(3 if report.quick else 20):
        if isinstance(found, str):
            report.not_run("uploads beside computing", "registered memory", found)
            continue
        report.add(
            "uploads beside computing", frames_from=found.memory, upload_ms=f"{found.upload_ms:.3f}",
            GiB_s=f"{found.gib_per_s:.1f}", compute_ms=f"{found.compute_ms:.3f}", both_ms=f"{found.both_ms:.3f}",
            hidden=f"{found.hidden:.2f}",
        )  # fmt: skip


def gpu_backends() -> Iterator[tuple[str, str]]:
    """(name, why it cannot be used here or nothing) of every backend that runs on an NVIDIA GPU."""
    from engine.errors import EngineError
    from engine.models.backend import backend_named

    for name in ("tensorrt", "ort-cuda"):
        try:
            backend_named(name).runtime()
            why = "" if name == "tensorrt" else _no_provider("CUDAExecutionProvider")
        except EngineError as error:
            why = str(error)
        yield name, why


def _no_provider(provider: str) -> str:
    import onnxruntime

    return "" if provider in onnxruntime.get_available_providers() else f"this ONNX Runtime has no {provider}"


def model_file(args: argparse.Namespace) -> Path:
    """The detector to run: the one named, or the shared YOLOv8n with a free batch. Raises `NotRun`."""
    named = os.environ.get("ENGINE_TEST_DATA")
    root = Path(__file__).resolve().parent.parent
    folders = [Path(named)] if named else [root.parent / "shared" / "data", root / "shared" / "data"]
    candidates = (
        [args.model] if args.model else [f / "weights" / "yolov8n_640_f32_dynbatch.onnx" for f in folders]
    )
    for path in candidates:
        if path.is_file():
            return path
    raise NotRun("no model: give --model FILE.onnx")


def backend_parity(report: Report, args: argparse.Namespace) -> None:
    """Each GPU backend that is here against ONNX Runtime on the CPU, on drawn pictures."""
    from engine.errors import BackendError

    path = model_file(args)
    for name, why in gpu_backends():
        if why:
            report.not_run("backends against ONNX Runtime on the CPU", name, why)
            continue
        try:
            _compare_backend(report, name, path)
        except BackendError as error:
            # An engine that has not been built is no fault of the backend.
            report.not_run("backends against ONNX Runtime on the CPU", name, error)


def _compare_backend(report: Report, name: str, path: Path) -> None:
    from engine.models.backend import BackendOptions, backend_named
    from tools.frames import TEST_PICTURES
    from tools.parity import FLOAT16
    from tools.trt_parity import compare

    reference = backend_named("ort-cpu").load(path, BackendOptions())
    judged = backend_named(name).load(path, BackendOptions(batch=8))
    try:
        parity = compare(reference, judged, [TEST_PICTURES], (4 if report.quick else 8, 40), FLOAT16)
    finally:
        reference.close()
        judged.close()
    complaints = parity.complaints(FLOAT16)
    report.add(
        "backends against ONNX Runtime on the CPU", backend=judged.description,
        largest=f"{max(output.relative for output in parity.outputs):.2g}",
        boxes=f"{parity.boxes.matched} of {parity.boxes.wanted}", passed="NO" if complaints else "yes",
    )  # fmt: skip
    report.wrong += [f"{name}: {complaint}" for complaint in complaints]


def decoding(report: Report, args: argparse.Namespace) -> None:
    """Frames a second of one stream by NVDEC and by the software, the same clip."""
    import time

    from engine.sources.av import AvSource
    from engine.sources.base import SourceOptions
    from engine.sources.nvdec import NvdecMissing, load_package
    from engine.types import FrameMeta, FrameNv12, nv12_geometry

    try:
        load_package()
    except NvdecMissing as error:
        raise NotRun(error) from error
    clip = model_file(args).parent.parent / "clips" / "et_01_dog.mp4"
    if not clip.is_file():
        raise NotRun(f"no clip {clip}")
    for backend in ("nvdec", "software"):
        source = AvSource(SourceOptions(str(clip), backend=backend, offline=True))
        source.open()
        frames, began = 0, time.perf_counter()
        while (picture := source.grab()) is not None:
            stride, offset_uv, nbytes = nv12_geometry(picture.width, picture.height)
            meta = FrameMeta(0, 0, 0, picture.width, picture.height, stride, stride, offset_uv)
            if not frames:
                import numpy as np

                frame = FrameNv12.view(meta, np.empty(nbytes, np.uint8))
            source.read_into(frame.y, frame.uv)
            frames += 1
        took_s = time.perf_counter() - began
        report.add("decoding", what=source.description, frames=frames, frames_per_s=f"{frames / took_s:.0f}")
        source.close()


def cameras(report: Report, args: argparse.Namespace) -> None:
    """1080p cameras at 30 frames/s through the engine's own batching, preparation and detector."""
    from bench import gpu_cameras

    usable = [name for name, why in gpu_backends() if not why]
    counts = (2, 8) if report.quick else (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
    for name, detector in _detectors(report, args, usable):
        for served in gpu_cameras.most_cameras(detector, 2.0 if report.quick else 8.0, counts):
            report.add(
                "cameras per GPU: 1080p at 30 frames/s, age of a frame when its objects are known", detector=name,
                cameras=served.cameras, frames_per_s=f"{served.frames_per_s:.0f}", dropped=f"{served.dropped:.3f}",
                p50_ms=f"{served.p50_ms:.1f}", p95_ms=f"{served.p95_ms:.1f}", p99_ms=f"{served.p99_ms:.1f}",
                batch=f"{served.batch:.1f}", served="yes" if served.enough else "no",
            )  # fmt: skip
        detector.close()
    print(
        f"\nserved: at most {gpu_cameras.MOST_DROPPED:.0%} of the frames dropped and a p95 of at most "
        f"{gpu_cameras.MOST_AGE_MS:g} ms. Without decoding: a process beside this one writes the frames."
    )


def _detectors(report: Report, args: argparse.Namespace, usable: list[str]) -> Iterator[tuple[str, Any]]:
    """The real detectors that can run on this GPU, and the stand-in where there is none."""
    from engine.errors import BackendError
    from engine.models.base import DetectorOptions
    from engine.models.onnx_detector import OnnxDetector

    table, real = "cameras per GPU", 0
    for name in usable:
        try:
            options = DetectorOptions(
                lanes=2 if name == "tensorrt" else 1, threads=1, batch=8, backends=(name,)
            )
            detector = OnnxDetector(model_file(args), options)
        except (BackendError, NotRun) as error:
            report.not_run(table, name, error)
            continue
        real += 1
        yield name, detector
    if real:
        return
    report.not_run(
        table, "a real detector", "no runtime for one on this GPU; a stand-in network in torch follows"
    )
    from bench import gpu_standin

    if not gpu_standin.has_cuda():
        raise NotRun("this torch has no CUDA")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stand-in.onnx"
        path.write_bytes(b"not read")
        options = DetectorOptions(lanes=2, threads=1, batch=8, backends=("bench-torch",))
        yield f"stand-in, {gpu_standin.giga_operations():.1f} GFLOP a picture", OnnxDetector(path, options)


if __name__ == "__main__":
    sys.exit(main())
