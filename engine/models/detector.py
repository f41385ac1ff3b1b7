"""The detector for a model path, or for the word `motion`. Imports a runtime only when it is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.models.base import Detector, DetectorOptions

MOTION = "motion"
"""The name of the detector that needs no weights."""


def create_detector(path_or_motion: str, options: DetectorOptions) -> Detector:
    """A detector ready to run: an ONNX or TensorRT engine file by its path, or `motion`.

    Raises a `ModelError` subclass where the file cannot be used, `ConfigError` where the options do not fit it.
    """
    if path_or_motion == MOTION:
        from engine.models.motion import MotionDetector

        return MotionDetector(options)
    from engine.models.onnx_detector import OnnxDetector

    path = Path(path_or_motion)
    if path.suffix == ".engine":
        # Made for one GPU and one TensorRT: nothing else can read it.
        options = replace(options, backends=("tensorrt",))
    return OnnxDetector(path, options)
