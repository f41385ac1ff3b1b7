"""Models that want more than pictures: told the size of the input in every call, whatever the number of frames."""

from pathlib import Path

import pytest

from engine.errors import ModelUnsupported
from engine.models.base import BatchItem, DetectorOptions
from engine.models.onnx_detector import OnnxDetector

from .samples import grey_frame, sized_model


@pytest.mark.parametrize("batch", ["N", 1, 2])
def test_boxes_come_back_in_source_pixels(tmp_path: Path, batch: int | str) -> None:
    detector = OnnxDetector(
        sized_model(tmp_path / "sized.onnx", batch), DetectorOptions(lanes=1, threads=1, batch=2)
    )
    assert "RT-DETR" in detector.description and "input 128 × 64" in detector.description
    for count in (1, 2, 3):
        found = detector.infer([BatchItem(grey_frame(200, 200))] * count)
        assert [one.boxes_xyxy.tolist() for one in found] == [[[50, 100, 100, 200]]] * count
        assert [detector.labels[one.class_ids[0]] for one in found] == ["car"] * count
        assert [one.scores.tolist() for one in found] == [[0.75]] * count


def test_other_inputs_are_refused_by_name(tmp_path: Path) -> None:
    path = sized_model(tmp_path / "sized.onnx", "N", further="scale_factor")
    with pytest.raises(
        ModelUnsupported, match=r"only orig_target_sizes.*Found inputs: scale_factor int64"
    ) as info:
        OnnxDetector(path, DetectorOptions())
    assert "\n" not in str(info.value)
