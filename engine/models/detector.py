"""The detector for a model path, or for the word `motion`. Imports a runtime only when it is asked for."""

from __future__ import annotations

from pathlib import Path

from engine.models.base import Detector, DetectorOptions

MOTION = "motion"
"""The name of the detector that needs no weights."""


def create_detector(path_or_motion: str, options: DetectorOptions) -> Detector:
    """A detector ready to run: an ONNX file by its path, or `motion`.

    Raises a `ModelError` subclass where the file cannot be used.
    """
    if path_or_motion == MOTION:
        from engine.models.motion import MotionDetector

        return MotionDetector(options)
    from engine.models.ort import OrtDetector

    return OrtDetector(Path(path_or_motion), options)
