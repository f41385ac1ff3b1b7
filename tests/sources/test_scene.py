"""The scene as a source: URLs, pace, faults, truth, and a head that is steered over HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.clock import ManualClock
from engine.errors import SourceDisconnected, SourceError, SourceUnsupported
from engine.sources.base import Picture, SourceOptions, create_source
from engine.sources.scene import SceneSource, cut_outs_in
from engine.sources.scene_head import ServedHead, StandingHead
from engine.sources.scene_settings import settings_of
from engine.types import U8
from ptz.drivers.base import DriverOptions, create_driver
from ptz.simulator.scenes import SCENES
from ptz.simulator.world import CameraMount
from ptz.types import Levels
from tests.sources.clips import slot_planes

SMALL = "scene://walk_across?camera=1&width=192&height=108&fps=10"


def opened(url: str, clock: ManualClock | None = None, *, offline: bool = False) -> SceneSource:
    source = SceneSource(SourceOptions(url, offline=offline), clock or ManualClock())
    source.open()
    return source


def picture_of(source: SceneSource) -> tuple[Picture, U8]:
    picture = source.grab()
    assert picture is not None
    _, y, uv = slot_planes(picture.width, picture.height)
    source.read_into(y, uv)
    return picture, y.copy()


def test_the_scheme_is_served() -> None:
    source = create_source(SourceOptions("scene://plaza?camera=2"))
    assert isinstance(source, SceneSource) and source.settings.mount.name == "ptz"
    assert settings_of("scene://plaza?camera=overview").mount == SCENES["plaza"].cameras[0]
    assert settings_of("scene://sway").width == 1280


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("scene://plazza", "did you mean 'plaza'"),
        ("scene://plaza?camera=9", "no camera '9'; there are 1 \\(overview\\)"),
        ("scene://plaza?cameras=2", "stands for several sources"),
        ("scene://plaza?widht=3", "did you mean 'width'"),
        ("scene://plaza?width=many", "width must be a whole number from 64"),
        ("scene://plaza?fps=nan", "fps must be"),
        ("scene://plaza?fps=0", "fps must be"),
        ("scene://plaza?camera=1&http=80", "'overview' is fixed"),
        ("scene://plaza?fault=melt:1:2", "fault must be kind"),
        ("scene://plaza?fault=freeze:1..2:2", "no number"),
    ],
)
def test_what_is_wrong_with_a_url_is_said_in_one_line(url: str, problem: str) -> None:
    with pytest.raises(SourceUnsupported, match=problem) as raised:
        settings_of(url)
    assert "\n" not in str(raised.value)


def test_credentials_in_a_url_are_not_told() -> None:
    with pytest.raises(SourceUnsupported) as raised:
        settings_of("scene://plaza?user=root&password=hunter2&nonsense=1")
    assert "hunter2" not in str(raised.value) and "root" not in str(raised.value)


def test_offline_every_picture_comes_and_a_second_run_is_the_same() -> None:
    runs = []
    for _ in range(2):
        source = opened(SMALL + "&frames=3", offline=True)
        runs.append([picture_of(source) for _ in range(3)])
        assert source.grab() is None and not source.live
        source.close()
    assert [picture.pts_ns for picture, _ in runs[0]] == [0, 100_000_000, 200_000_000]
    for (_, first), (_, second) in zip(*runs, strict=True):
        assert np.array_equal(first, second)
    assert not np.array_equal(runs[0][0][1], runs[0][2][1])


def test_live_it_keeps_its_pace_and_leaves_out_what_is_over() -> None:
    clock = ManualClock()
    source = opened(SMALL + "&poses=1", clock)
    first, _ = picture_of(source)
    second, _ = picture_of(source)
    assert second.captured_ns - first.captured_ns == pytest.approx(100_000_000, abs=2)
    clock.advance(1.0)
    late, _ = picture_of(source)
    assert late.pts_ns == 1_100_000_000
    assert late.pose is not None and late.pose.hfov_deg == pytest.approx(82.0)


def test_two_cameras_of_a_machine_see_the_same_moment() -> None:
    seen = []
    for late_s in (0.0, 0.37):
        clock = ManualClock()
        clock.advance(late_s)
        source = opened(SMALL, clock)
        clock.advance(2.0 - late_s)
        picture_of(source)
        assert source._shown is not None
        seen.append(source._shown[2] - clock.now_ns() / 1e9)
    assert seen[0] == pytest.approx(seen[1], abs=1e-6)


def test_late_pictures_show_the_past() -> None:
    scene_s = []
    for latency in ("0", "500"):
        source = opened(f"{SMALL}&latency_ms={latency}&t0=-10")
        picture, _ = picture_of(source)
        assert source._shown is not None
        scene_s.append(source._shown[2])
        assert picture.captured_ns == 1_000_000_000
    assert scene_s == pytest.approx([11.0, 10.5])


def test_pictures_freeze_shrink_and_get_lost() -> None:
    source = opened(SMALL + "&fault=freeze:0.3:0.4&fault=resolution:1:0.2&seed=5", offline=True)
    shown = []
    for _ in range(12):
        picture, _ = picture_of(source)
        assert source._shown is not None and picture.pose is None
        shown.append((round(source._shown[2], 3), picture.width))
    assert [time_s for time_s, _ in shown[2:8]] == [0.2, 0.3, 0.3, 0.3, 0.3, 0.7]
    assert [width for _, width in shown[9:12]] == [192, 96, 96]
    lossy = opened(SMALL + "&fault=drops:0:100:0.5", offline=True)
    numbers = [round(picture_of(lossy)[0].pts_ns / 1e8) for _ in range(20)]
    assert 30 < numbers[-1] < 55 and numbers == sorted(set(numbers))


def test_the_truth_of_a_run_is_written_beside_it(tmp_path: Path) -> None:
    source = opened(f"{SMALL}&truth={tmp_path}/out&name=gate&masks=2&width=640&height=360", offline=True)
    pictures = [picture_of(source)[0] for _ in range(3)]
    source.close()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["gate.masks", "gate.truth"]
    lines = [json.loads(line) for line in (tmp_path / "out" / "gate.truth").read_text().splitlines()]
    assert [line["time"] for line in lines] == [round(picture.wall_ns / 1e9, 6) for picture in pictures]
    assert lines[0]["people"][0]["id"] == 1 and lines[0]["people"][0]["visibility"] == 1
    assert [line.get("masks") for line in lines] == [
        "gate.masks/00000000.png",
        None,
        "gate.masks/00000002.png",
    ]
    masks = cv2.imread(str(tmp_path / "out" / lines[0]["masks"]), cv2.IMREAD_UNCHANGED)
    rows, columns = np.nonzero(np.asarray(masks) == 1)
    left, top, right, bottom = lines[0]["people"][0]["box"]
    assert columns.min() == pytest.approx(left, abs=2) and columns.max() + 1 == pytest.approx(right, abs=2)
    assert rows.min() == pytest.approx(top, abs=2) and rows.max() + 1 == pytest.approx(bottom, abs=2)


def test_truth_of_every_so_many_pictures_also_when_some_are_left_out(tmp_path: Path) -> None:
    clock = ManualClock()
    source = opened(f"{SMALL}&truth={tmp_path}&name=gate&truth_every=4&masks=8", clock)
    numbers = []
    for _ in range(12):
        numbers.append(round(picture_of(source)[0].pts_ns / 1e8))
        clock.advance(0.21)  # every other picture is missed
    source.close()
    lines = [json.loads(line) for line in (tmp_path / "gate.truth").read_text().splitlines()]
    assert 2 <= np.diff(numbers).mean() < 3
    assert [line["number"] // 4 for line in lines] == list(range(len(lines))) and len(lines) > 4
    assert [line["number"] // 8 for line in lines if "masks" in line] == list(range((len(lines) + 1) // 2))
    assert {line["camera"] for line in lines} == {"gate"} and lines[0]["scene"] == "walk_across"
    assert lines[0]["head"] is False and lines[0]["targets"] == []


def test_no_more_truth_is_kept_than_is_wanted(tmp_path: Path) -> None:
    source = opened(f"{SMALL}&truth={tmp_path}&name=gate&truth_s=1&masks=5", ManualClock())
    for _ in range(35):
        picture_of(source)
    source.close()
    now, before = (
        [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        for name in ("gate.truth", "gate.before.truth")
    )
    assert [line["number"] for line in (*before, *now)] == list(range(20, 35))
    masks = sorted(path.name for path in (tmp_path / "gate.masks").iterdir())
    assert masks == [f"{number:08d}.png" for number in (20, 25, 30)]


def test_truth_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot be written"):
        opened(f"{SMALL}&truth={tmp_path}/file/deeper", offline=True)


def test_photographs_of_people_come_from_a_folder(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((40, 20, 4), 255, np.uint8))
    cv2.imwrite(str(tmp_path / "no_opacity.png"), np.full((40, 20, 3), 255, np.uint8))
    assert [picture.shape for picture in cut_outs_in(str(tmp_path))] == [(40, 20, 4)]
    (tmp_path / "a.png").unlink()
    with pytest.raises(SourceError, match="no PNG with opacity"):
        cut_outs_in(str(tmp_path))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(("name", "driver"), [("ptz", "hikvision"), ("ptz2", "onvif")])
def test_a_head_is_steered_like_any_camera(name: str, driver: str) -> None:
    port = free_port()
    mount = next(mount for mount in SCENES["plaza"].cameras if mount.name == name)
    head = ServedHead(mount, port, "", "", 0)
    try:
        asyncio.run(_turned(driver, port))
        look = head.look(time.monotonic())
        assert (look.pose.pan_deg - mount.pan_deg + 180) % 360 - 180 > 1
        assert look.hfov_deg == pytest.approx(60.0, abs=1)
        with pytest.raises(SourceDisconnected, match=f"port {port}"):
            ServedHead(mount, port, "", "", 0)
    finally:
        head.close()
        head.close()


async def _turned(driver_name: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    driver = create_driver(driver_name, DriverOptions(f"http://127.0.0.1:{port}"), loop.time)
    await driver.open()
    await driver.move(Levels(40, 0, 0), 1.0)
    await asyncio.sleep(0.4)
    await driver.stop()
    await driver.close()


def test_a_head_that_nobody_steers_stands() -> None:
    head = StandingHead(CameraMount("c", 0, 0, 4, pan_deg=-10, tilt_deg=-5, zoom=2, hfov_wide_deg=50))
    look = head.look(3.0)
    assert (look.pose.pan_deg, look.pose.tilt_deg, look.velocity.is_zero) == (350.0, -5.0, True)
    with pytest.raises(SourceUnsupported, match="no device profile"):
        StandingHead(CameraMount("c", 0, 0, 4, profile="nothing"))
