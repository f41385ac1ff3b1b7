"""Results as `supervision.Detections`, made and used by the real package."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine.adapters.supervision import NO_ID, to_supervision
from engine.errors import OutputError
from engine.outputs.jsonl import frame_record
from engine.outputs.masks import full_size
from tests.outputs.results import disc, make_result

needs_supervision = pytest.mark.skipif(
    find_spec("supervision") is None, reason="supervision is missing: pip install 'camring[supervision]'"
)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of matplotlib and pycocotools

ROWS = [(7, 0.9, (10.0, 20.0, 60.0, 150.0)), (0, 0.8, (100.0, 30.0, 180.0, 90.0))]


def result() -> Any:
    return make_result(41, ROWS, grids=[disc(20, 20), disc(16, 16)])


@needs_supervision
@pytest.mark.parametrize("masks", ["none", "rle", "polygon"])
def test_a_record(masks: str) -> None:
    found = to_supervision(frame_record(result(), masks), classes=("car", "person"), size_wh=(320, 240))
    assert found.xyxy.tolist() == [[10, 20, 60, 150], [100, 30, 180, 90]]
    assert found.tracker_id is not None and found.tracker_id.tolist() == [7, NO_ID]
    assert found.class_id is not None and found.class_id.tolist() == [1, 1]
    assert found.confidence is not None and np.allclose(found.confidence, [0.9, 0.8])
    assert found["class_name"].tolist() == ["person", "person"]
    assert found.metadata["camera"] == "cam0" and found.metadata["frame"] == 41
    if masks == "none":
        assert found.mask is None
        return
    truth = np.stack([full_size(result().tracks.masks, row, 320, 240) for row in range(2)])
    assert found.mask is not None and found.mask.shape == truth.shape
    overlap = (found.mask & truth).sum() / (found.mask | truth).sum()
    assert overlap == 1.0 if masks == "rle" else overlap > 0.95


@needs_supervision
def test_a_result_of_the_python_api_and_an_empty_one() -> None:
    raw = result()
    api = SimpleNamespace(
        camera="cam0", frame_number=41, time=1.5, boxes_xyxy=raw.tracks.boxes_xyxy, ids=raw.tracks.track_ids,
        gids=raw.tracks.gids, scores=raw.tracks.scores, class_ids=raw.tracks.class_ids, labels=("person", "person"),
        states=("confirmed", "tentative"), mask=lambda index: np.asarray(full_size(raw.tracks.masks, index, 320, 240)),
    )  # fmt: skip
    found = to_supervision(api)
    assert (
        len(found) == 2 and found.mask is not None and found["state"].tolist() == ["confirmed", "tentative"]
    )
    nothing = to_supervision(frame_record(make_result(1, [])))
    assert len(nothing) == 0 and nothing.mask is None


@needs_supervision
def test_its_own_tools_take_them() -> None:
    import supervision as sv

    found = to_supervision(frame_record(result(), "rle"))
    picture = np.zeros((240, 320, 3), np.uint8)
    drawn = sv.MaskAnnotator().annotate(sv.BoxAnnotator().annotate(picture, found), found)
    assert drawn.any()
    zone = sv.PolygonZone(np.array([[0, 0], [90, 0], [90, 239], [0, 239]]))
    assert zone.trigger(found).tolist() == [True, False]
    assert found[found.tracker_id == 7].xyxy.tolist() == [[10, 20, 60, 150]]


@needs_supervision
def test_another_schema_is_refused() -> None:
    with pytest.raises(ValueError, match=r"camring\.event/1"):
        to_supervision({"schema": "camring.event/1"})


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(OutputError, match=r"pip install 'camring\[supervision\]'"):
        to_supervision(frame_record(result()))
