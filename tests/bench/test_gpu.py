"""bench/gpu.py: what it needs to be imported, and what it says where there is no GPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kernels import device

ROOT = Path(__file__).resolve().parent.parent.parent
MAY_BE_MISSING = (
    "av", "tensorrt", "PyNvVideoCodec", "orjson", "rich", "uvloop", "starlette", "uvicorn", "prometheus_client",
    "scipy", "pycocotools", "onnx", "onnxslim", "msgspec", "httpx",
)  # fmt: skip
"""What a machine with a GPU and little else does not have."""

IMPORTS = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
for name in {MAY_BE_MISSING!r}:
    sys.modules[name] = None
import bench.gpu, bench.gpu_kernels, bench.gpu_copies, bench.gpu_cameras
import engine.models.prepare_cuda, engine.models.onnx_detector, engine.models.trt
print("imported")
"""


def has_gpu() -> bool:
    try:
        device.require()
    except device.GpuError:
        return False
    return True


def test_it_is_imported_where_only_the_gpu_packages_are() -> None:
    pytest.importorskip("triton", reason="triton is missing: pip install 'camring[gpu]'")
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, timeout=100)
    assert done.stdout == "imported\n", done.stderr


@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
def test_without_a_gpu_it_is_one_line_and_status_2(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "bench" / "gpu.py"),
        "--quick",
        "--json",
        str(tmp_path / "out.json"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("bench.gpu: ") and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_bytes_of_the_roofline_are_counted_by_sectors() -> None:
    pytest.importorskip("triton", reason="triton is missing: pip install 'camring[gpu]'")
    from bench.gpu_kernels import needed_bytes
    from kernels.letterbox import Fit, fit_letterbox

    # 1080p in 640 × 360: one luma row in three, two chroma rows in three, each read whole; written in float32.
    hd = needed_bytes(fit_letterbox((1920, 1080), (640, 640), Fit.CENTRED), 4)
    assert hd == 360 * 1920 + 360 * 1920 + 3 * 640 * 360 * 4
    # One pixel in nine, 45 bytes apart: a row has a sector for each of them, and no more.
    wide = needed_bytes(fit_letterbox((2880, 1620), (64, 36), Fit.STRETCH), 2)
    assert wide == 36 * 64 * 32 * 2 + 3 * 64 * 36 * 2
    with pytest.raises(ValueError, match="nothing is mixed"):
        needed_bytes(fit_letterbox((1280, 720), (640, 640), Fit.CENTRED), 4)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not has_gpu(), reason="there is no GPU")
@pytest.mark.timeout(900)
def test_with_a_gpu_nothing_is_wrong() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "gpu.py"), "--quick"],
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stderr
    assert "share of copy bandwidth" in done.stdout
