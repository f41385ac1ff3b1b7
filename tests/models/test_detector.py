"""The detector for a name: the right kind, and no runtime before it is asked for."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.errors import BackendError, ModelNotFound
from engine.models.base import DetectorOptions
from engine.models.detector import create_detector
from engine.models.motion import MotionDetector
from engine.models.onnx_detector import OnnxDetector

from .samples import toy_model


def test_motion_and_files(tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", {"output0": np.zeros((1, 10, 6), np.float32)})
    assert isinstance(create_detector("motion", DetectorOptions()), MotionDetector)
    detector = create_detector(str(path), DetectorOptions())
    assert isinstance(detector, OnnxDetector)
    assert "toy.onnx" in detector.description and "CPUExecutionProvider" in detector.description
    with pytest.raises(ModelNotFound):
        create_detector(str(tmp_path / "motion"), DetectorOptions())


def test_engine_files_are_for_tensorrt_alone(tmp_path: Path) -> None:
    path = tmp_path / "yolo.engine"
    path.write_bytes(b"made elsewhere")
    with pytest.raises(BackendError, match="tensorrt") as info:
        create_detector(str(path), DetectorOptions(backends=("ort-cpu",)))
    assert "ort-cpu" not in str(info.value) and "\n" not in str(info.value)


def test_importing_it_imports_no_runtime() -> None:
    code = (
        "import engine.models.detector, sys; print(sorted({'cv2', 'onnxruntime', 'av'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_motion_needs_no_runtime() -> None:
    code = (
        "from engine.models.base import DetectorOptions; from engine.models.detector import create_detector\n"
        "import sys; create_detector('motion', DetectorOptions()); print('onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
