"""All cameras in one picture: places, sizes, order in time, and the file that comes of it."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from engine.errors import ConfigError
from engine.outputs.encode import EncoderSettings
from engine.outputs.mosaic import MOST_QUEUED, Interleave, Mosaic, Tile
from engine.outputs.mosaic_file import MosaicFile, check_record
from engine.types import ColourMatrix

MS = 1_000_000


def tile(level: int, width: int = 64, height: int = 36) -> Tile:
    uv = np.full(((height + 1) // 2, (width + 1) // 2, 2), 128, np.uint8)
    return Tile(np.full((height, width), level, np.uint8), uv, ColourMatrix.BT601, False)


@pytest.mark.parametrize(
    ("cameras", "size_wh", "expected"),
    [(1, (640, 360), (640, 360)), (2, (640, 360), (1280, 360)), (3, (640, 360), (1280, 720)),
     (2, (1920, 1080), (1920, 540)), (4, (1280, 720), (1920, 1080)), (5, (321, 181), (960, 360))],
)  # fmt: skip
def test_the_grid_has_a_place_for_each_and_stays_small(
    cameras: int, size_wh: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert Mosaic([str(number) for number in range(cameras)], tile(90, *size_wh)).size_wh == expected


def test_each_camera_has_its_place_and_its_shape() -> None:
    mosaic = Mosaic(["a", "b", "c"], tile(90))
    mosaic.paste("a", tile(90))
    mosaic.paste("b", tile(200, 72, 72))
    mosaic.paste("c", tile(150, 33, 17))
    y = mosaic.frame.y
    assert (y[:36, :64] == 90).all()
    upright = y[:36, 64:]
    assert (
        (upright[:, 14:50] == 200).all() and (upright[:, :12] == 16).all() and (upright[:, 52:] == 16).all()
    )
    assert y[36:, :64].max() == 150 and (y[36:, 64:] == 16).all()


def test_pictures_come_in_the_order_of_their_times() -> None:
    order = Interleave(["a", "b"])
    order.put("a", 100 * MS, tile(1))
    assert list(order.due()) == []
    order.put("b", 90 * MS, tile(2))
    assert [name for name, _, _ in order.due()] == ["b"]
    order.put("b", 130 * MS, tile(2))
    assert [name for name, _, _ in order.due()] == ["a"]
    order.end("a")
    assert [name for name, _, _ in order.due()] == ["b"] and not order.all_ended


def test_nobody_is_waited_for_for_long() -> None:
    order = Interleave(["a", "silent"])
    order.put("a", 0, tile(1))
    order.put("a", 900 * MS, tile(1))
    assert list(order.due()) == []
    order.put("a", 1100 * MS, tile(1))
    assert [time_ns for _, time_ns, _ in order.due()] == [0]
    crowd = Interleave(["a", "silent"])
    for number in range(MOST_QUEUED + 5):
        crowd.put("a", number * MS, tile(1))
    assert len(list(crowd.due())) == 5


def levels(path: Path) -> list[tuple[float, int, int]]:
    """Time and mean luma of both halves of every picture of a file."""
    found = []
    with av.open(str(path)) as container:
        for picture in container.decode(video=0):
            y = picture.to_ndarray(format="yuv420p")[: picture.height]
            half = y.shape[1] // 2
            assert picture.time is not None
            found.append((picture.time, round(y[:, :half].mean()), round(y[:, half:].mean())))
    return found


def test_the_file_shows_both_at_their_moments(tmp_path: Path) -> None:
    file = MosaicFile(tmp_path / "all.mp4", ["a", "b"], EncoderSettings("libx264"), resume=False)
    for number in range(20):
        file.put("a", (1000 + 50 * number) * MS, tile(60 + 5 * number))
        file.put("b", (1020 + 50 * number) * MS, tile(160))
    file.end("a")
    file.end("b")
    file.close()
    shown = levels(tmp_path / "all.mp4")
    assert [time_s for time_s, _, _ in shown] == pytest.approx(
        [0.05 * number for number in range(20)], abs=2e-3
    )
    assert [left for _, left, _ in shown[::6]] == pytest.approx([60, 90, 120, 150], abs=3)
    assert shown[0][2] == 16 and shown[5][2] == pytest.approx(160, abs=2)


def test_a_successor_goes_on_with_a_part_and_other_cameras_begin_one(tmp_path: Path) -> None:
    path = tmp_path / "all.mp4"
    path.write_bytes(b"of a run before")
    first = MosaicFile(path, ["a", "b"], EncoderSettings("libx264"), resume=False)
    for number in range(5):
        first.put("a", number * 50 * MS, tile(60))
        first.put("b", number * 50 * MS, tile(60))
    first.follow(["a", "b", "c"])
    for number in range(5, 8):
        for name in "abc":
            first.put(name, number * 50 * MS, tile(90))
    first.close()
    second = MosaicFile(path, ["a"], EncoderSettings("libx264"), resume=True)
    second.put("a", 0, tile(60))
    second.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["all.mp4", "all.part2.mp4", "all.part3.mp4"]
    assert len(levels(tmp_path / "all.part2.mp4")) == 3


def test_places_that_take_no_video_are_known_before(tmp_path: Path) -> None:
    check_record(tmp_path / "new.mp4", "flag --record")
    (tmp_path / "folder.mp4").mkdir()
    for path, problem in (
        (tmp_path / "new.avi", "must end in .mp4"),
        (tmp_path / "new", "must end in .mp4"),
        (tmp_path / "folder.mp4", "is a folder"),
        (tmp_path / "none" / "new.mp4", "there is no folder"),
    ):
        with pytest.raises(ConfigError, match=problem) as raised:
            check_record(path, "flag --record")
        assert "\n" not in str(raised.value) and str(raised.value).startswith("flag --record: ")
    assert list(tmp_path.iterdir()) == [tmp_path / "folder.mp4"]


def test_no_permission_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(ConfigError, match="no permission"):
        check_record(tmp_path / "new.mp4", "flag --record")
