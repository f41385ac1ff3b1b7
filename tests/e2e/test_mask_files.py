"""`--save-masks` with a real segmentation model: files say what the lines say, which stay alone in their folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco

from engine.outputs.indexed_png import read_indices
from tests.e2e.engine import EngineRun, model

pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

Start = Callable[..., EngineRun]


@pytest.mark.parametrize(("form", "ending"), [("png", "png"), ("rle", "json")])
def test_files_say_what_the_lines_say(engine_run: Start, data_dir: Path, form: str, ending: str) -> None:
    run = engine_run(
        "--source", str(data_dir / "images" / "bus.jpg"), "--offline", "--no-overlay", "--save-masks", form,
        "--model", model(data_dir, "yolov8n-seg_320_f32_dynbatch"), environ={"ENGINE_OUTPUT_MASKS": "rle"},
    )  # fmt: skip
    assert run.wait(120) == 0, run.text()
    (line,) = run.lines()
    path = run.out / "masks" / "cam0" / f"{line['frame']:06}.{ending}"
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name]
    assert [each.name for each in run.out.rglob("*.jsonl")] == ["cam0.jsonl"]
    masks = [each["mask"] for each in line["objects"] if each["mask"]]
    assert masks
    if form == "rle":
        assert [each["mask"] for each in json.loads(path.read_text())["objects"]] == masks
        return
    covered = [coco.decode({**mask, "counts": mask["counts"].encode()}).astype(bool) for mask in masks]
    assert np.array_equal(read_indices(path) > 0, np.logical_or.reduce(covered))
