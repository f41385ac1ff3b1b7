"""Where the real weights and clips lie that benchmarks run on: the same folder that the tests use."""

from __future__ import annotations

import os
from pathlib import Path

ONE_CLIP = ("et_01_dog",)
FOUR_CLIPS = ("et_01_dog", "et_08_driving", "et_12_hideandseek", "sam2_bedroom")


def data_folder() -> Path:
    """$ENGINE_TEST_DATA, or `shared/data` beside the checkout. Whether it is there is not looked at."""
    named = os.environ.get("ENGINE_TEST_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"


def weights(name: str) -> Path:
    """An ONNX file, by its name without the ending."""
    return data_folder() / "weights" / f"{name}.onnx"


def clip(name: str) -> Path:
    """A video file, by its name without the ending."""
    return data_folder() / "clips" / f"{name}.mp4"
