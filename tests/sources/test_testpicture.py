"""The test picture: the same for the same number, moving, paced, and asked for by URL."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from engine.clock import ManualClock
from engine.errors import SourceUnsupported
from engine.sources.base import SourceOptions
from engine.sources.testpicture import TestPicture, TestPictureSource, settings_of
from engine.types import U8
from tests.sources.clips import slot_planes


def drawn(picture: TestPicture, index: int) -> tuple[U8, U8]:
    _, y, uv = slot_planes(picture.width, picture.height)
    picture.draw(index, y, uv)
    return y, uv


def opened(url: str, clock: ManualClock, *, offline: bool = False) -> TestPictureSource:
    source = TestPictureSource(SourceOptions(url, offline=offline), clock)
    source.open()
    return source


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (65, 97)])
def test_a_frame_depends_on_its_number_alone(width: int, height: int) -> None:
    first, again = TestPicture(width, height), TestPicture(width, height)
    first.draw(5, *slot_planes(width, height)[1:])
    for a, b in zip(drawn(first, 40), drawn(again, 40), strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(drawn(first, 40)[0], drawn(first, 41)[0])


def test_the_background_stands_still_and_the_figures_walk() -> None:
    picture = TestPicture()
    frames = [drawn(picture, index)[0] for index in (225, 250)]
    moved = cv2.absdiff(*frames) > 25
    moved[:60] = False
    assert 0.005 < moved.mean() < 0.1
    centres = [[figure.centre_x(index) for figure in picture.figures] for index in (225, 250)]
    assert all(abs(a - b) > 40 for a, b in zip(*centres, strict=True))


@pytest.mark.parametrize("objects", [1, 4, 16])
def test_figures_stay_in_the_picture_and_never_meet(objects: int) -> None:
    picture = TestPicture(objects=objects)
    assert len(picture.figures) == objects
    for figure in picture.figures:
        xs = [figure.centre_x(index) for index in range(400, 5000, 7)]
        assert figure.height_px / 4 < min(xs) and max(xs) < picture.width - figure.height_px / 4
        assert all(abs(a - b) < 7 * 13 for a, b in itertools.pairwise(xs))
    lanes = sorted((f.centre_y - f.height_px / 2, f.centre_y + f.height_px / 2) for f in picture.figures)
    assert all(upper[1] <= lower[0] for upper, lower in itertools.pairwise(lanes))
    assert lanes[0][0] >= 0 and lanes[-1][1] <= picture.height


def test_the_first_pictures_show_the_background_alone() -> None:
    picture, empty = TestPicture(objects=16), TestPicture(objects=0)
    for index in range(10):
        assert np.array_equal(drawn(picture, index)[0], drawn(empty, index)[0])
    assert not np.array_equal(drawn(picture, 400)[0], drawn(empty, 400)[0])


def test_pace_is_the_clock() -> None:
    clock = ManualClock()
    source = opened("test://?fps=20&width=64&height=64", clock)
    start_ns = clock.now_ns()
    pictures = [source.grab() for _ in range(5)]
    assert source.live and source.fps == 20
    assert [p.captured_ns - start_ns for p in pictures if p] == [
        0,
        50_000_000,
        100_000_000,
        150_000_000,
        200_000_000,
    ]


def test_who_comes_late_has_missed_frames() -> None:
    clock = ManualClock()
    source = opened("test://?fps=20&width=64&height=64&frames=30", clock)
    first = source.grab()
    clock.advance(0.52)
    second, third = source.grab(), source.grab()
    assert first and second and third
    assert (first.pts_ns, second.pts_ns, third.pts_ns) == (0, 500_000_000, 550_000_000)
    clock.advance(10)
    assert source.grab() is None


def test_offline_gives_every_frame_at_once() -> None:
    clock = ManualClock()
    source = opened("test://?frames=30&width=64&height=64", clock, offline=True)
    before_ns = clock.now_ns()
    pictures = list(iter(source.grab, None))
    assert [p.pts_ns for p in pictures] == [40_000_000 * index for index in range(30)]
    assert clock.now_ns() == before_ns and not source.live


def test_settings_come_from_the_url() -> None:
    assert settings_of("test://") == {"width": 1280, "height": 720, "fps": 25, "objects": 4, "frames": 0}
    assert settings_of("test://?width=320&objects=0")["width"] == 320
    with pytest.raises(SourceUnsupported, match=r"unknown 'hieght' \(did you mean 'height'\?\)"):
        settings_of("test://?hieght=3")
    with pytest.raises(SourceUnsupported, match="fps must be a number from 1 to 240"):
        settings_of("test://?fps=0")
    with pytest.raises(SourceUnsupported, match="width must be a number"):
        settings_of("test://?width=wide")
