"""A folder of pictures."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.errors import SourceNotFound, SourceUnsupported
from engine.sources.base import SourceOptions, create_source
from engine.sources.images import ImagesSource
from tests.sources.clips import Shown, rgb_picture, shown


def bgr_of(seen: Shown) -> np.ndarray:
    assert seen.picture.full_range
    height, width = seen.y.shape
    chroma = np.repeat(np.repeat(seen.uv, 2, axis=0), 2, axis=1)[:height, :width]
    return cv2.cvtColor(np.dstack([seen.y, chroma[..., 1], chroma[..., 0]]), cv2.COLOR_YCrCb2BGR)


def opened(url: Path | str, *, loop: bool = False) -> ImagesSource:
    source = create_source(SourceOptions(str(url), loop=loop))
    assert isinstance(source, ImagesSource)
    source.open()
    return source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures of different kinds and sizes, and a file that is none."""
    for index, (name, size) in enumerate(
        {"b.png": (64, 48), "a.jpg": (65, 47), "d.webp": (32, 99), "c.BMP": (40, 30)}.items()
    ):
        assert cv2.imwrite(str(tmp_path / name), rgb_picture(index, *size)[..., ::-1])
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


@pytest.mark.data
def test_real_pictures_are_what_opencv_reads(data_dir: Path) -> None:
    folder = data_dir / "images"
    names = sorted(path.name for path in folder.iterdir() if path.suffix == ".jpg")
    source = opened(folder)
    pictures = list(shown(source))
    assert len(pictures) == len(names) >= 2
    assert (810, 1080) in {(seen.picture.width, seen.picture.height) for seen in pictures}
    for name, seen in zip(names, pictures, strict=True):
        expected_bgr = np.asarray(cv2.imread(str(folder / name)), np.int16)
        assert np.abs(bgr_of(seen) - expected_bgr).mean() <= 2
        grey = cv2.cvtColor(expected_bgr.astype(np.uint8), cv2.COLOR_BGR2GRAY)
        assert np.abs(seen.y.astype(np.int16) - grey).max() <= 1


def test_order_sizes_and_times(folder: Path) -> None:
    pictures = [seen.picture for seen in shown(opened(f"images://{folder}?fps=10"))]
    assert [(p.width, p.height) for p in pictures] == [(65, 47), (64, 48), (40, 30), (32, 99)]
    assert [p.pts_ns for p in pictures] == [0, 100_000_000, 200_000_000, 300_000_000]


def test_loop(folder: Path) -> None:
    pictures = [seen.picture for seen in shown(opened(folder, loop=True), 9)]
    assert [i for i, p in enumerate(pictures) if p.discontinuity] == [4, 8]
    assert [p.pts_ns for p in pictures] == [40_000_000 * index for index in range(9)]


def test_unreadable_pictures_are_left_out_counted_and_named(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "aa.jpg").write_bytes(b"\xff\xd8 broken")
    (folder / "bb.png").touch()
    source = opened(folder)
    with caplog.at_level(logging.WARNING):
        assert len(list(shown(source))) == 4
    assert source.corrupt_packets == 2
    assert source.unreadable == ["aa.jpg", "bb.png"]
    assert "aa.jpg" in caplog.text and "bb.png" in caplog.text


def test_useless_folders(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="no pictures in this folder"):
        opened(tmp_path)
    with pytest.raises(SourceNotFound, match="no such folder"):
        opened(f"images://{tmp_path}/absent")
    (tmp_path / "a.jpg").write_bytes(b"broken")
    for loop in (False, True):
        with pytest.raises(SourceUnsupported, match="none of its 1 pictures can be read"):
            opened(tmp_path, loop=loop).grab()
    with pytest.raises(SourceUnsupported, match="fps must be a number above 0, not 'often'"):
        opened(f"images://{tmp_path}?fps=often")
