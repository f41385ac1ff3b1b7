"""engine-view: the picture in a real SDL window, real SDL events to requests, and what happens without a window."""

from __future__ import annotations

import ctypes
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    sdl2 = pytest.importorskip("sdl2", reason="the extra `view` is not installed")

from engine import view_cli
from engine.api import Engine
from engine.config.overlay import OVERLAY_STYLES
from engine.errors import CommandError, ConfigError, ViewerError
from engine.types import ColourMatrix
from engine.view_app import HELP, Viewer
from engine.view_feed import Picture, PictureFeed, RunFeed
from engine.view_places import fitted, in_picture
from engine.view_remote import Server, nv12_of
from engine.view_window import Key, Mouse, Quit, Window
from tests.outputs.results import make_frame

WIDTH, HEIGHT = 640, 480


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Iterator[Window]:
    """A real window of SDL's, on a display that nobody sees."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    opened = Window("test", WIDTH, HEIGHT)
    opened.events()
    yield opened
    opened.close()
    opened.close()


def shown(window: Window) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """What the window shows: uint8 (height, width, 3), BGR."""
    picture = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    done = sdl2.SDL_RenderReadPixels(
        window._renderer, None, sdl2.SDL_PIXELFORMAT_ARGB8888, picture.ctypes.data, 4 * WIDTH
    )
    assert done == 0
    return picture[:, :, :3]


def press(*keys: int, shift: bool = False) -> None:
    for key in keys:
        event = sdl2.SDL_Event()
        event.type = sdl2.SDL_KEYDOWN
        event.key.keysym.sym = key
        event.key.keysym.mod = sdl2.KMOD_LSHIFT if shift else 0
        sdl2.SDL_PushEvent(ctypes.byref(event))


def click(x: int, y: int, to: tuple[int, int] | None = None, button: int = 1) -> None:
    """Press here, and let go there."""
    for kind, (at_x, at_y) in ((sdl2.SDL_MOUSEBUTTONDOWN, (x, y)), (sdl2.SDL_MOUSEBUTTONUP, to or (x, y))):
        event = sdl2.SDL_Event()
        event.type = kind
        event.button.x, event.button.y, event.button.button = at_x, at_y, button
        sdl2.SDL_PushEvent(ctypes.byref(event))


class NotingFeed(PictureFeed):
    """A feed that shows grey pictures and notes what is asked for."""

    styles = ("full", "none")

    def __init__(self, size: tuple[int, int] = (320, 240), heads: tuple[str, ...] = ()) -> None:
        self.size, self.heads = size, heads
        self.asked: list[Any] = []
        self.number = 0

    def cameras(self) -> list[str]:
        return ["front", "back"]

    def next(self, camera: str, style: str, timeout_s: float) -> Picture | None:
        self.number += 1
        return self._picture(camera)

    def redraw(self, style: str) -> Picture | None:
        self.asked.append(("redraw", style))
        return None

    def _picture(self, camera: str) -> Picture:
        return Picture(camera, self.number, make_frame(*self.size, self.number))

    def over(self) -> bool:
        return False

    def has_head(self, camera: str) -> bool:
        return camera in self.heads

    def prompt(self, camera: str, frame: int, **what: Any) -> int:
        self.asked.append((camera, frame, what))
        return 1_000_000_000

    def forget(self, camera: str, object_id: int) -> None:
        self.asked.append(("forget", camera, object_id))

    def set_mode(self, camera: str, mode: str) -> None:
        if mode == "auto":
            raise CommandError("no segmenter for that")
        self.asked.append((camera, mode))

    def follow(self, camera: str, point: tuple[float, float]) -> None:
        self.asked.append(("follow", camera, point))


def settle(viewer: Viewer, until: Callable[[], bool]) -> None:
    """Steps until something has happened that another thread does."""
    for _ in range(200):
        viewer.step()
        if until():
            return
        time.sleep(0.005)
    raise AssertionError(f"did not happen; said {viewer.message!r}")


def test_a_picture_is_as_large_as_it_goes_and_not_distorted() -> None:
    assert fitted((640, 480), (1280, 720)) == (0, 60, 640, 360)
    assert fitted((1000, 100), (10, 10)) == (450, 0, 100, 100)
    assert fitted((3, 3), (4000, 1)) == (0, 1, 3, 1)


def test_a_click_is_a_place_in_the_picture_or_beside_it() -> None:
    rect = fitted((640, 480), (1280, 720))
    assert in_picture((0, 60), rect, (1280, 720)) == (1.0, 1.0)
    assert in_picture((639, 419), rect, (1280, 720)) == (1279.0, 719.0)
    assert in_picture((320, 240), rect, (1280, 720)) == (641.0, 361.0)
    assert (
        in_picture((320, 59), rect, (1280, 720)) is None and in_picture((0, 420), rect, (1280, 720)) is None
    )


@pytest.mark.parametrize("size", [(320, 240), (321, 241), (1920, 1080), (160, 120)])
@pytest.mark.parametrize(("matrix", "full_range"), [(0, False), (1, False), (0, True)])
def test_the_window_shows_nv12_in_its_own_colours(
    window: Window, size: tuple[int, int], matrix: int, full_range: bool
) -> None:
    frame = make_frame(*size, matrix=ColourMatrix(matrix), full_range=full_range)
    frame.y[:] = 120
    frame.uv[:] = (90, 180)
    frame.y[:, : size[0] // 2] = 60
    window.show(frame, (0, 0, WIDTH, HEIGHT))
    kr, kb = ((0.299, 0.114), (0.2126, 0.0722))[matrix]
    y, scale = (120 / 255, 255) if full_range else ((120 - 16) / 219, 224)
    cb, cr = (90 - 128) / scale, (180 - 128) / scale
    r, b = y + (2 - 2 * kr) * cr, y + (2 - 2 * kb) * cb
    expected = np.array([b, (y - kr * r - kb * b) / (1 - kr - kb), r]) * 255
    picture = shown(window)
    np.testing.assert_allclose(picture[HEIGHT // 2, WIDTH * 3 // 4], expected, atol=6)
    sums = picture.astype(int).sum(axis=2)
    assert sums[:, :200].max() < sums[:, -200:].min()


def test_real_events_become_ours(window: Window) -> None:
    press(sdl2.SDLK_SPACE, sdl2.SDLK_q)
    press(sdl2.SDLK_TAB, shift=True)
    click(10, 20, button=3)
    event = sdl2.SDL_Event()
    event.type = sdl2.SDL_QUIT
    sdl2.SDL_PushEvent(ctypes.byref(event))
    assert window.events() == [
        Key("space"), Key("q"), Key("tab", shift=True), Mouse(10, 20, 3, True), Mouse(10, 20, 3, False), Quit(),
    ]  # fmt: skip


def test_a_click_points_and_a_drag_draws_a_box(window: Window) -> None:
    feed = NotingFeed()
    viewer = Viewer(feed, window)
    viewer.step()
    click(100, 200)
    settle(viewer, lambda: len(feed.asked) == 1)
    assert feed.asked == [("front", 1, {"points": [(50.25, 100.25, 1)]})]
    click(200, 100, to=(100, 40))
    settle(viewer, lambda: len(feed.asked) == 2)
    assert feed.asked[1][2] == {"box": (50.25, 20.25, 100.25, 50.25)}
    settle(viewer, lambda: "object 1000000000 of front" in viewer.message)
    assert shown(window)[4:16, 4:200].max() > 200, "the answer is written into the picture"
    click(400, 300, button=3)
    settle(viewer, lambda: len(feed.asked) == 3)
    assert feed.asked[2][2] == {"points": [(200.25, 150.25, 0)], "object_id": 1_000_000_000}
    press(sdl2.SDLK_DELETE)
    settle(viewer, lambda: feed.asked[-1] == ("forget", "front", 1_000_000_000))


def test_where_there_is_a_head_a_click_follows(window: Window) -> None:
    feed = NotingFeed(heads=("front",))
    viewer = Viewer(feed, window)
    viewer.step()
    click(100, 200)
    settle(viewer, lambda: len(feed.asked) == 1)
    assert feed.asked == [("follow", "front", (50.25, 100.25))]


def test_keys_choose_camera_style_and_mode(window: Window, tmp_path: Path) -> None:
    feed = NotingFeed()
    viewer = Viewer(feed, window, snapshots=tmp_path / "shots")
    viewer.step()
    press(sdl2.SDLK_TAB, sdl2.SDLK_o)
    viewer.step()
    assert (viewer.camera, viewer.style) == ("back", "none")
    press(sdl2.SDLK_m)
    settle(viewer, lambda: viewer.mode == "prompt" and "prompt" in viewer.message)
    press(sdl2.SDLK_m)
    settle(viewer, lambda: viewer.message == "no segmenter for that")
    assert viewer.mode == "prompt" and ("back", "prompt") in feed.asked
    press(sdl2.SDLK_h)
    viewer.step()
    assert viewer.message == HELP
    press(sdl2.SDLK_s)
    viewer.step()
    (saved,) = (tmp_path / "shots").iterdir()
    picture = cv2.imread(str(saved))
    assert saved.name.startswith("back-") and picture is not None and picture.shape == (240, 320, 3)
    press(sdl2.SDLK_SPACE)
    viewer.step()
    number = feed.number
    viewer.step()
    assert viewer.paused and feed.number == number
    press(sdl2.SDLK_SPACE, sdl2.SDLK_ESCAPE)
    viewer.run()
    assert viewer.quitting


def test_a_real_run_in_a_real_window(window: Window) -> None:
    """Drawn in every style; a prompt that cannot be is refused in the picture; nobody is left behind."""
    with Engine.from_profile("m3-cpu", sources=["test://"], infer_model="motion") as engine:
        feed = RunFeed(engine, tuple(OVERLAY_STYLES))
        viewer = Viewer(feed, window)
        settle_s(viewer, lambda: shown(window)[100:380].std() > 5)
        seen = {}
        for _ in OVERLAY_STYLES:
            press(sdl2.SDLK_SPACE)
            viewer.step()
            seen[viewer.style] = shown(window).copy()
            press(sdl2.SDLK_SPACE, sdl2.SDLK_o)
            viewer.step()
        assert (seen["spotlight"][100:380] < 128).mean() > (seen["none"][100:380] < 128).mean()
        # The status line in the lower left corner of the picture is part of one of them.
        assert not np.array_equal(seen["full"][380:420, :200], seen["none"][380:420, :200])
        click(320, 240)
        settle_s(viewer, lambda: "no segmentation" in viewer.message)
    assert not engine.running


def settle_s(viewer: Viewer, until: Callable[[], bool], timeout_s: float = 30.0) -> None:
    ends = time.monotonic() + timeout_s
    while not until():
        assert time.monotonic() < ends, f"did not happen; said {viewer.message!r}"
        viewer.step()


def test_without_a_display_the_dashboard_is_opened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    opened: list[str] = []

    def note(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr("webbrowser.open", note)
    assert view_cli.main(["--model", "motion", "--duration", "2", "--set", "control.port=0"]) == 0
    assert len(opened) == 1 and opened[0].startswith("http://127.0.0.1:")
    said = capsys.readouterr().err
    assert "no window: " in said and opened[0] in said
    assert view_cli.main(["--url", "http://127.0.0.1:1/"]) == 0 and opened[1] == "http://127.0.0.1:1/"


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "engine.view_window")
    monkeypatch.setitem(sys.modules, "sdl2", None)
    with pytest.raises(ViewerError, match=r"camring\[view\]"):
        import engine.view_window  # noqa: F401 - its import is what is tested


def test_flags_that_make_no_sense_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert view_cli.main(["--url", "http://127.0.0.1:1", "--source", "test://"]) == 2
    assert "--url" in capsys.readouterr().err
    args = view_cli.build_parser().parse_args(["--set", "infer.lanes=1", "--model", "motion"])
    assert view_cli.settings_of(args) == {"infer.lanes": "1", "infer.model": "motion"}
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        view_cli.settings_of(view_cli.build_parser().parse_args(["--set", "nonsense"]))
    with pytest.raises(ViewerError, match="--url"):
        Server("ftp://elsewhere")
    with pytest.raises(ViewerError, match="does not answer"):
        Server("http://127.0.0.1:1").ask("GET", "/cameras")


def test_a_jpeg_becomes_planes() -> None:
    bgr = np.full((61, 81, 3), (30, 120, 220), np.uint8)
    frame = nv12_of(cv2.imencode(".jpg", bgr)[1].tobytes(), 7)
    assert frame is not None and frame.y.shape == (60, 80) and frame.meta.index == 7
    back = cv2.cvtColorTwoPlane(frame.y, frame.uv, cv2.COLOR_YUV2BGR_NV12)
    assert np.abs(back.astype(int) - (30, 120, 220)).max() < 8
    assert nv12_of(b"no picture", 1) is None
