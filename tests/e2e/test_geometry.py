"""Pictures that change their size on the way, odd ones too: each frame once, each box where the object is."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from engine.types import nv12_geometry
from tests.e2e.engine import EngineRun, model
from tests.e2e.test_outputs import pictures_in

pytestmark = [pytest.mark.data, pytest.mark.slow]

Start = Callable[..., EngineRun]
Size = tuple[int, int]
"""Width and height in pixels."""

TALL_SIZES: list[Size] = [(203, 271), (405, 539), (810, 1080), (1215, 1619), (301, 401)]
"""The shape of bus.jpg, growing and at the end small again; most of them odd."""


def scaled(data_dir: Path, size: Size) -> Any:
    """bus.jpg in another size, BGR uint8."""
    picture_bgr = cv2.imread(str(data_dir / "images" / "bus.jpg"))
    assert picture_bgr is not None
    return cv2.resize(picture_bgr, size, interpolation=cv2.INTER_AREA)


def pools_made_for(run: EngineRun) -> list[Size]:
    """The sizes for which frame pools were made, in order, by the log."""
    return [
        (int(width), int(height))
        for width, height in re.findall(r"cam0: \d+ slots for (\d+)x(\d+),", run.text())
    ]


def outgrown(sizes: list[Size]) -> list[Size]:
    """Those sizes that need bigger slots than all before them."""
    needs = [nv12_geometry(*size)[2] for size in sizes]
    return [size for index, size in enumerate(sizes) if all(needs[index] > need for need in needs[:index])]


def video_parts(run: EngineRun) -> list[tuple[Size, int]]:
    """(size, number of pictures) of each part of the video."""
    paths = [run.out / "cam0.mp4"]
    paths += sorted(run.out.glob("cam0.part*.mp4"), key=lambda path: int(path.stem.rpartition("part")[2]))
    parts = []
    for path in paths:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            parts.append(((stream.width, stream.height), pictures_in(path)))
    return parts


def even(size: Size) -> Size:
    """What H.264 makes of a size."""
    return size[0] + size[0] % 2, size[1] + size[1] % 2


def assert_same_objects(run: EngineRun, sizes: list[Size], most_apart: float) -> None:
    """Every frame of the same scene has the same objects, at the same place relative to the picture."""
    lines = run.lines()
    assert [line["frame"] for line in lines] == list(range(len(sizes)))
    found = []
    for line, (width, height) in zip(lines, sizes, strict=True):
        boxes = [object_["bbox"] for object_ in line["objects"] if object_["confidence"] > 0.6]
        found.append(np.array(sorted(boxes)) / (width, height, width, height))
    assert all(boxes.shape == found[0].shape and len(boxes) >= 3 for boxes in found)
    assert np.abs(np.array(found) - found[0]).max() < most_apart


@pytest.mark.parametrize("mode", ["--offline", "--loop"], ids=["offline", "live"])
def test_a_folder_of_pictures_that_grow(engine_run: Start, data_dir: Path, tmp_path: Path, mode: str) -> None:
    sizes = [size for size in TALL_SIZES for _ in range(3)]
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, size in enumerate(sizes):
        cv2.imwrite(str(folder / f"{index:03}.png"), scaled(data_dir, size))
    (folder / "004b.png").write_bytes(b"no picture")
    source = str(folder) if mode == "--offline" else f"images://{folder}?fps=10"
    flags = () if mode == "--offline" else ("--duration", "6")
    run = engine_run("--source", source, mode, "--model", model(data_dir), *flags)
    assert run.wait(60) == 0, run.text()
    assert pools_made_for(run) == outgrown(TALL_SIZES)
    assert "004b.png is not a picture that can be read; left out" in run.text()
    assert "203x271, padded to 204x272 because H.264" in run.text()
    if mode == "--offline":
        assert_same_objects(run, sizes, most_apart=0.04)
        assert video_parts(run) == [(even(size), 3) for size in TALL_SIZES]
    else:
        frames = [line["frame"] for line in run.lines()]
        assert frames == sorted(set(frames)) and frames[-1] > len(sizes), "more than one round"
        assert "killed" not in run.text() and "workers restarted: 0" in run.text()
        shown = [size for size, _ in video_parts(run)]
        assert all(a != b for a, b in itertools.pairwise(shown))
        assert set(shown) == {even(size) for size in TALL_SIZES}


def write_stream(path: Path, pictures: list[Any], first_pts: int) -> None:
    """H.264 in MPEG-TS at 25 fps; such files may be put one behind the other."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "g": "10"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuv420p", threads=1)
            frame.pts, frame.time_base = first_pts + index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_a_stream_that_changes_its_resolution(engine_run: Start, data_dir: Path, tmp_path: Path) -> None:
    sizes: list[Size] = [(406, 540), (810, 1080), (302, 402), (1080, 1440)]
    each = 20
    with (tmp_path / "stream.ts").open("wb") as whole:
        for index, size in enumerate(sizes):
            part = tmp_path / f"{index}.ts"
            write_stream(part, [scaled(data_dir, size)] * each, index * each)
            whole.write(part.read_bytes())
    run = engine_run("--source", str(tmp_path / "stream.ts"), "--offline", "--model", model(data_dir))
    assert run.wait(60) == 0, run.text()
    assert pools_made_for(run) == outgrown(sizes) == [(406, 540), (810, 1080), (1080, 1440)]
    assert_same_objects(run, [size for size in sizes for _ in range(each)], most_apart=0.06)
    assert video_parts(run) == [(size, each) for size in sizes]
    identities = [{o["id"] for o in line["objects"] if o["confidence"] > 0.6} for line in run.lines()]
    assert len(identities[each - 1]) >= 3 and None not in identities[each - 1]


def expected_objects(data_dir: Path, name: str) -> dict[str, list[tuple[str, float, list[float]]]]:
    """What a model is known to find: picture to (label, score, box x1 y1 x2 y2), the sure ones."""
    items = tomllib.loads((data_dir / "MANIFEST.toml").read_text())["item"]
    (item,) = (item for item in items if item["file"] == f"weights/{name}.onnx")
    return {
        picture: [(row[0], row[1], row[2:6]) for row in rows if row[1] >= 0.45]
        for picture, rows in item["expected"].items()
    }


@pytest.mark.parametrize("name", ["yolox_nano_416_f32", "yolov8n_640_f32_dynbatch"])
def test_two_pictures_of_different_size_have_the_known_objects(
    engine_run: Start, data_dir: Path, name: str
) -> None:
    run = engine_run(
        "--source", str(data_dir / "images"), "--offline", "--no-overlay", "--model", model(data_dir, name)
    )
    assert run.wait(60) == 0, run.text()
    lines = dict(zip(("bus.jpg", "zidane.jpg"), run.lines(), strict=True))
    assert [line["frame"] for line in lines.values()] == [0, 1]
    for picture, objects in expected_objects(data_dir, name).items():
        for label, score, (left, top, right, bottom) in objects:
            wanted = np.array([left, top, right - left, bottom - top])
            assert any(
                found["label"] == label
                and abs(found["confidence"] - score) < 0.08
                and np.abs(np.array(found["bbox"]) - wanted).max() < 16
                for found in lines[picture]["objects"]
            ), f"{picture}: {label} {score} at {wanted} is not among {lines[picture]['objects']}"
