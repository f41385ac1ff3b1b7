"""Masks from a real segmentation model to what users see: JSON lines and video."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as coco

from engine.outputs.jsonl import frame_schema
from engine.outputs.overlay_style import colour_of
from engine.types import ColourMatrix
from tests.e2e.engine import EngineRun, model

pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    # What COCO's tools return from `decode` does not know numpy 2's `copy` yet.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

Start = Callable[..., EngineRun]
SEGMENTER = "yolov8n-seg_320_f32_dynbatch"
CLASSES = ("person", "bus")


def pixels_of(thing: Any, width: int, height: int) -> NDArray[np.bool_]:
    """The pixels of an object in a JSON line: by COCO's tools, or its outlines filled by even-odd."""
    if "mask" in thing:
        return np.asarray(
            coco.decode({**thing["mask"], "counts": thing["mask"]["counts"].encode()}), np.bool_
        )
    # fillPoly takes sixteenths of a pixel, and pixel centres where the record counts from the pixels' edges.
    rings = [(np.array(ring) * 16 - 8).round().astype(np.int32) for part in thing["polygon"] for ring in part]
    return np.asarray(cv2.fillPoly(np.zeros((height, width), np.uint8), rings, 1, shift=4), np.bool_)


def expected_objects(data_dir: Path, picture: str) -> list[tuple[str, float, list[float], int]]:
    """(label, score, box, mask pixels) of the reference run over a picture."""
    items = tomllib.loads((data_dir / "MANIFEST.toml").read_text())["item"]
    rows = next(item for item in items if item["file"] == f"weights/{SEGMENTER}.onnx")["expected"][picture]
    return [(row[0], row[1], row[2:6], row[6]) for row in rows]


def run_on(start: Start, data_dir: Path, picture: str, form: str) -> EngineRun:
    run = start(
        "--source", str(data_dir / "images" / picture), "--offline", "--model", model(data_dir, SEGMENTER),
        environ={"ENGINE_OUTPUT_MASKS": form},
    )  # fmt: skip
    assert run.wait(120) == 0, run.text()
    return run


@pytest.mark.parametrize("form", ["polygon", "rle"])
@pytest.mark.parametrize(("picture", "width", "height"), [("bus.jpg", 810, 1080), ("zidane.jpg", 1280, 720)])
def test_masks_in_the_lines_cover_the_expected_pixels(
    engine_run: Start, data_dir: Path, picture: str, width: int, height: int, form: str
) -> None:
    (line,) = run_on(engine_run, data_dir, picture, form).lines()
    jsonschema.Draft202012Validator(frame_schema()).validate(line)
    found = list(line["objects"])
    for label, _, box_xyxy, pixel_count in expected_objects(data_dir, picture):
        left, top, right, bottom = box_xyxy
        nearest = min(
            (thing for thing in found if thing["label"] == label),
            key=lambda thing: abs(thing["bbox"][0] - left) + abs(thing["bbox"][1] - top),
        )
        found.remove(nearest)
        covered = pixels_of(nearest, width, height)
        assert covered.sum() == pytest.approx(pixel_count, rel=0.05), (label, box_xyxy)
        assert (nearest["mask_id"], nearest["mask_source"]) == (nearest["id"], "detector")
        assert (nearest["mask_age_ms"], nearest["mask_confidence"]) == (0, 1)
        inside = covered[int(top) : int(bottom) + 1, int(left) : int(right) + 1]
        assert inside.sum() > 0.98 * covered.sum()


def chroma_of(picture: Path) -> tuple[NDArray[np.float64], bool]:
    """Cb and Cr (2, ⌈height/2⌉, ⌈width/2⌉) of the first frame of a file with 4:2:0 planes; full range or not."""
    with av.open(str(picture)) as container:
        frame = next(container.decode(video=0))
        planes = [
            np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)[:, : plane.width]
            for plane in frame.planes[1:]
        ]
        return np.stack(planes).astype(np.float64), frame.format.name == "yuvj420p"


def test_in_the_video_an_object_has_the_colour_of_its_identity(engine_run: Start, data_dir: Path) -> None:
    run = run_on(engine_run, data_dir, "bus.jpg", "rle")
    (line,) = run.lines()
    plain, full_range = chroma_of(data_dir / "images" / "bus.jpg")
    shift = chroma_of(run.out / "cam0.mp4")[0] - plain
    masks = [pixels_of(thing, 810, 1080)[::2, ::2] for thing in line["objects"]]
    everywhere = np.sum(masks, axis=0)
    bus = next(index for index, thing in enumerate(line["objects"]) if thing["label"] == "bus")
    only_bus = masks[bus] & (everywhere == 1)
    assert only_bus.sum() > 30_000
    colour = np.array(colour_of(line["objects"][bus]["id"], ColourMatrix.BT601, full_range)[1:])
    # A part of the way from the picture's own colour to that of the object; nothing of it where no object is.
    wanted = colour - plain[:, only_bus].mean(axis=1)
    moved = shift[:, only_bus].mean(axis=1)
    share = float(moved @ wanted / (wanted @ wanted))
    assert share == pytest.approx(0.4, abs=0.05)
    np.testing.assert_allclose(moved, share * wanted, atol=3)
    nothing = everywhere == 0
    for left, top, width, height in (thing["bbox"] for thing in line["objects"]):  # lines and labels
        nothing[
            max(0, int(top) // 2 - 20) : int(top + height) // 2 + 2,
            int(left) // 2 : int(left + width) // 2 + 60,
        ] = 0
    nothing[-30:] = False  # the status line
    assert nothing.sum() > 10_000
    assert np.abs(shift[:, nothing].mean(axis=1)).max() < 2
