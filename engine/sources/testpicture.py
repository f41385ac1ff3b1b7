"""A moving test picture, drawn here: for a first run without a camera, and for tests that know what is in it.

`test://?width=1280&height=720&fps=25&objects=4&frames=0`

A textured background stands still. Figures of different colours come in one after another, so that the first
pictures show the background alone, and walk to and fro, each in a lane of its own: none hides another. The
frame number and the running time are burnt in. The picture is a function of the frame number alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np

from engine.clock import Clock, SystemClock
from engine.errors import SourceUnsupported
from engine.registry import nearest
from engine.sources.base import Picture, Source, SourceOptions
from engine.types import U8

COLOURS_YCBCR: Final = (
    (210, 90, 150), (40, 110, 200), (190, 150, 60), (35, 190, 110), (225, 60, 140), (45, 80, 90),
)  # fmt: skip
"""Bright and dark by turns, so that each figure stands out from the background's luma of 90 to 150."""

PANEL_LUMA, TEXT_LUMA = 40, 88
"""People can read it; it is too faint and too thin to pass for motion."""

SETTINGS: Final = {
    "width": (1280, 64, 7680),
    "height": (720, 64, 4320),
    "fps": (25, 1, 240),
    "objects": (4, 0, 16),
    "frames": (0, 0, 1_000_000_000),
}
"""Default, least and greatest value of each query key. `frames` is where the source ends, 0 = never."""


def settings_of(url: str) -> dict[str, int]:
    """The settings in a `test://` URL. Raises `SourceUnsupported` for an unknown key or a value out of range."""
    settings = {key: default for key, (default, _, _) in SETTINGS.items()}
    for key, values in parse_qs(urlsplit(url).query, keep_blank_values=True).items():
        if key not in SETTINGS:
            known = ", ".join(SETTINGS)
            raise SourceUnsupported(f"source {url}: unknown {key!r}{nearest(key, SETTINGS)}; use {known}")
        _, least, greatest = SETTINGS[key]
        if not values[-1].isdecimal() or not least <= int(values[-1]) <= greatest:
            raise SourceUnsupported(f"source {url}: {key} must be a number from {least} to {greatest}")
        settings[key] = int(values[-1])
    return settings


@dataclass(frozen=True, slots=True)
class Figure:
    """One walker: where it walks, how fast and in which colour.

    centre_y, height_px  its lane
    near_x, far_x        where it turns; it comes in from beyond `near_x`
    speed_px             pixels per frame, on average
    late_px              how far before `near_x` it is at frame 0
    """

    centre_y: int
    height_px: int
    near_x: int
    far_x: int
    speed_px: float
    late_px: float
    colour_ycbcr: tuple[int, int, int]

    def centre_x(self, index: int) -> float:
        """Where it is in this frame."""
        span_px = abs(self.far_x - self.near_x)
        way_px = self.speed_px * index - self.late_px
        if way_px > 0:
            # Slower towards the ends, as people turn.
            way_px = span_px * (1 - math.cos(math.pi * way_px / span_px)) / 2
        return self.near_x + (way_px if self.far_x > self.near_x else -way_px)


class TestPicture:
    """Draws frame number `index` into NV12 planes: a kept background, and what moves over it."""

    __test__ = False  # for pytest, which collects classes by their name

    def __init__(self, width: int = 1280, height: int = 720, fps: int = 25, objects: int = 4) -> None:
        self.width, self.height, self.fps = width, height, fps
        self.figures = _figures(width, height, fps, objects)
        self._background_y, self._background_uv = _background(width, height)
        self._font_scale = max(0.35, height / 1400)

    def draw(self, index: int, y: U8, uv: U8) -> None:
        """Write frame `index` into `y` (height, width) and `uv` (⌈height/2⌉, ⌈width/2⌉, 2)."""
        np.copyto(y, self._background_y)
        np.copyto(uv, self._background_uv)
        for figure in self.figures:
            _draw_figure(figure, index, y, uv)
        self._draw_text(index, y)

    def _draw_text(self, index: int, y: U8) -> None:
        seconds, rest = divmod(index, self.fps)
        clock = (
            f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{1000 * rest // self.fps:03d}"
        )
        origin = (round(20 * self._font_scale), round(30 * self._font_scale))
        cv2.putText(y, f"{index:07d}  {clock}", origin, cv2.FONT_HERSHEY_SIMPLEX, self._font_scale, TEXT_LUMA)


def _figures(width: int, height: int, fps: int, objects: int) -> tuple[Figure, ...]:
    if not objects:
        return ()
    top = round(0.08 * height)
    lane_px = (height - top) / objects
    tall_px = max(8, round(min(0.7 * lane_px, 0.3 * height)))
    margin_px = max(4, tall_px // 3)
    figures = []
    for number in range(objects):
        # Between 7 and 20 s for the whole width, no two alike.
        speed_px = width / fps / (7.0 + 13.0 * ((number * 0.618) % 1.0))
        turns = (margin_px, width - margin_px)
        near_x, far_x = turns if number % 2 == 0 else turns[::-1]
        figures.append(
            Figure(
                centre_y=round(top + (number + 0.5) * lane_px),
                height_px=tall_px,
                near_x=near_x,
                far_x=far_x,
                speed_px=speed_px,
                late_px=tall_px + speed_px * fps * (0.5 + 0.5 * number),
                colour_ycbcr=COLOURS_YCBCR[number % len(COLOURS_YCBCR)],
            )
        )
    return tuple(figures)


def _background(width: int, height: int) -> tuple[U8, U8]:
    """Coarse and fine texture around a middle grey; the same for every run."""
    rng = np.random.default_rng(20)
    chroma_size = ((width + 1) // 2, (height + 1) // 2)
    coarse = cv2.resize(
        rng.integers(100, 140, (9, 16), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    fine = rng.integers(0, 12, (height, width), np.uint8)
    luma = np.clip(coarse.astype(np.int16) + fine - 6, 90, 150).astype(np.uint8)
    panel = round(0.06 * height)
    luma[:panel] = PANEL_LUMA
    chroma = cv2.resize(
        rng.integers(118, 138, (5, 8, 2), np.uint8), chroma_size, interpolation=cv2.INTER_LINEAR
    )
    chroma[: panel // 2] = 128
    return luma, np.asarray(chroma, np.uint8)


def _draw_figure(figure: Figure, index: int, y: U8, uv: U8) -> None:
    """Head, body and two legs that swing with the way walked."""
    tall, x = figure.height_px, round(figure.centre_x(index))
    head_y, head_r = round(figure.centre_y - 0.40 * tall), max(1, round(0.10 * tall))
    hip_y, foot_y = round(figure.centre_y + 0.12 * tall), round(figure.centre_y + 0.48 * tall)
    body = (max(1, round(0.15 * tall)), max(1, round(0.24 * tall)))
    body_y = round(figure.centre_y - 0.08 * tall)
    phase = (figure.speed_px * index / max(1.0, 0.5 * tall)) % 1.0
    stride = round(0.14 * tall * (1 - 4 * abs(phase - 0.5)))
    # Luma at full size, chroma at half: the same shapes twice.
    for plane, half, colour in ((y, 1, figure.colour_ycbcr[:1]), (uv, 2, figure.colour_ycbcr[1:])):
        thick = max(1, round(0.10 * tall) // half)
        cv2.circle(plane, (x // half, head_y // half), max(1, head_r // half), colour, cv2.FILLED)
        axes = (max(1, body[0] // half), max(1, body[1] // half))
        cv2.ellipse(plane, (x // half, body_y // half), axes, 0, 0, 360, colour, cv2.FILLED)
        for foot_x in (x - stride, x + stride):
            hip, foot = (x // half, hip_y // half), (foot_x // half, foot_y // half)
            cv2.line(plane, hip, foot, colour, thick)


class TestPictureSource(Source, schemes=("test",)):
    """The test picture at its own pace, like a camera: who comes late misses frames.

    In `--offline` runs it waits for its reader and every frame comes.
    """

    __test__ = False

    live = True

    def __init__(self, options: SourceOptions, clock: Clock | None = None) -> None:
        super().__init__(options)
        self.live = not options.offline
        self._clock: Clock = clock or SystemClock()
        self._picture: TestPicture | None = None
        self._frames = 0
        self._index = -1
        self._start_ns = 0

    def open(self) -> None:
        settings = settings_of(self.options.url)
        self._frames = settings.pop("frames")
        self._picture = picture = TestPicture(**settings)
        self.fps = float(picture.fps)
        self._index, self._start_ns = -1, self._clock.now_ns()
        self.description = (
            f"test picture {picture.width}x{picture.height} {picture.fps} fps, {len(picture.figures)} figures"
        )

    def grab(self) -> Picture | None:
        assert self._picture is not None, "grab before open"
        self._index += 1
        if self.live:
            self._wait_for_turn()
        if self._frames and self._index >= self._frames:
            return None
        return Picture(
            self._picture.width,
            self._picture.height,
            self._clock.now_ns(),
            self._clock.wall_ns(),
            self._index * 1_000_000_000 // self._picture.fps,
        )

    def _wait_for_turn(self) -> None:
        period_ns = 1e9 / self.fps
        elapsed_ns = self._clock.now_ns() - self._start_ns
        # What should have been shown meanwhile is gone, as with a camera.
        self._index = max(self._index, int(elapsed_ns / period_ns))
        self._clock.sleep(max(0.0, (self._index * period_ns - elapsed_ns) / 1e9))

    def read_into(self, y: U8, uv: U8) -> None:
        assert self._picture is not None, "read_into before open"
        self._picture.draw(self._index, y, uv)

    def close(self) -> None:
        self._picture = None
