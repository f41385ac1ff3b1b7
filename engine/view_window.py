"""A window that shows NV12 pictures and tells what is clicked and typed: SDL 2, by PySDL2 (extra `view`).

The only file that imports `sdl2`. Knows pictures, places and keys; does not know what they mean.
"""

from __future__ import annotations

import ctypes
import os
import warnings
from dataclasses import dataclass
from typing import Any

from engine.errors import ViewerError
from engine.types import ColourMatrix, FrameNv12

with warnings.catch_warnings():
    # It says which library it has found, as a warning.
    warnings.simplefilter("ignore")
    try:
        import sdl2
        import sdl2.surface
    except ImportError as error:
        raise ViewerError(f"no window: {error}; install 'camring[view]'") from error

_KEYS = {
    sdl2.SDLK_SPACE: "space", sdl2.SDLK_TAB: "tab", sdl2.SDLK_ESCAPE: "escape", sdl2.SDLK_RETURN: "return",
    sdl2.SDLK_LEFT: "left", sdl2.SDLK_RIGHT: "right", sdl2.SDLK_F11: "f11", sdl2.SDLK_DELETE: "delete",
}  # fmt: skip
_UNSEEN = ("offscreen", "dummy")
"""What SDL draws into where there is no display; only for who asks for it."""
_YUV_MODES = {
    (ColourMatrix.BT601, False): sdl2.surface.SDL_YUV_CONVERSION_BT601,
    (ColourMatrix.BT709, False): sdl2.surface.SDL_YUV_CONVERSION_BT709,
}
"""Full range is the JPEG conversion, whatever the matrix: SDL has no other."""


@dataclass(frozen=True, slots=True)
class Quit:
    """The window is to be closed."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key was pressed: a letter in lower case, or one of space, tab, escape, return, left, right, f11, delete."""

    name: str
    shift: bool = False


@dataclass(frozen=True, slots=True)
class Mouse:
    """A button of the mouse: where in the window, which (1 left, 3 right), and whether it went down."""

    x: int
    y: int
    button: int
    down: bool
    shift: bool = False


@dataclass(frozen=True, slots=True)
class Motion:
    """The mouse has moved, to here."""

    x: int
    y: int


WindowEvent = Quit | Key | Mouse | Motion


class Window:
    """One window. Belongs to the thread that has opened it, which has to be the main thread on macOS."""

    def __init__(self, title: str, width: int, height: int) -> None:
        """Open it. Raises `ViewerError` where there is no display."""
        if sdl2.SDL_InitSubSystem(sdl2.SDL_INIT_VIDEO):
            raise ViewerError(f"no window: {_why()}")
        driver = (sdl2.SDL_GetCurrentVideoDriver() or b"").decode()
        if driver in _UNSEEN and driver not in os.environ.get("SDL_VIDEODRIVER", ""):
            sdl2.SDL_QuitSubSystem(sdl2.SDL_INIT_VIDEO)
            raise ViewerError("no window: there is no display that answers")
        self._texture: Any = None
        self._texture_of: tuple[int, int, int] | None = None
        flags = sdl2.SDL_WINDOW_RESIZABLE | sdl2.SDL_WINDOW_SHOWN
        centred = sdl2.SDL_WINDOWPOS_CENTERED
        self._window = sdl2.SDL_CreateWindow(title.encode(), centred, centred, width, height, flags)
        if not self._window:
            reason = _why()
            sdl2.SDL_QuitSubSystem(sdl2.SDL_INIT_VIDEO)
            raise ViewerError(f"no window: {reason}")
        sdl2.SDL_SetHint(sdl2.SDL_HINT_RENDER_SCALE_QUALITY, b"linear")
        self._renderer = sdl2.SDL_CreateRenderer(self._window, -1, 0)
        if not self._renderer:
            reason = _why()
            sdl2.SDL_DestroyWindow(self._window)
            sdl2.SDL_QuitSubSystem(sdl2.SDL_INIT_VIDEO)
            raise ViewerError(f"no window: {reason}")

    def size(self) -> tuple[int, int]:
        """Width and height of what can be drawn on."""
        width, height = ctypes.c_int(), ctypes.c_int()
        sdl2.SDL_GetWindowSize(self._window, ctypes.byref(width), ctypes.byref(height))
        return width.value, height.value

    def title(self, text: str) -> None:
        """What stands in its frame."""
        sdl2.SDL_SetWindowTitle(self._window, text.encode())

    def show(self, picture: FrameNv12, rect_xywh: tuple[int, int, int, int]) -> None:
        """Show a picture in this part of the window, straight from its planes. Raises `ViewerError`."""
        meta = picture.meta
        mode = _YUV_MODES.get((meta.matrix, meta.full_range), sdl2.surface.SDL_YUV_CONVERSION_JPEG)
        height, width = picture.y.shape
        if self._texture_of != (width, height, mode):
            self._forget_texture()
            sdl2.SDL_SetYUVConversionMode(mode)
            self._texture = sdl2.SDL_CreateTexture(
                self._renderer, sdl2.SDL_PIXELFORMAT_NV12, sdl2.SDL_TEXTUREACCESS_STREAMING, width, height
            )
            if not self._texture:
                raise ViewerError(f"no texture of {width}x{height}: {_why()}")
            self._texture_of = (width, height, mode)
        planes = [
            (ctypes.cast(plane.ctypes.data, ctypes.POINTER(ctypes.c_ubyte)), plane.strides[0])
            for plane in (picture.y, picture.uv)
        ]
        (y, y_pitch), (uv, uv_pitch) = planes
        if sdl2.SDL_UpdateNVTexture(self._texture, None, y, y_pitch, uv, uv_pitch):
            raise ViewerError(f"a picture of {width}x{height} could not be shown: {_why()}")
        self.refresh(rect_xywh)

    def refresh(self, rect_xywh: tuple[int, int, int, int]) -> None:
        """Show the last picture again, black around it."""
        sdl2.SDL_SetRenderDrawColor(self._renderer, 0, 0, 0, 255)
        sdl2.SDL_RenderClear(self._renderer)
        if self._texture is not None:
            sdl2.SDL_RenderCopy(self._renderer, self._texture, None, ctypes.byref(sdl2.SDL_Rect(*rect_xywh)))
        sdl2.SDL_RenderPresent(self._renderer)

    def toggle_fullscreen(self) -> None:
        """Over the whole screen, or not any more."""
        now = sdl2.SDL_GetWindowFlags(self._window) & sdl2.SDL_WINDOW_FULLSCREEN_DESKTOP
        sdl2.SDL_SetWindowFullscreen(self._window, 0 if now else sdl2.SDL_WINDOW_FULLSCREEN_DESKTOP)

    def events(self) -> list[WindowEvent]:
        """What has happened since the last call, in order."""
        found: list[WindowEvent] = []
        event = sdl2.SDL_Event()
        while sdl2.SDL_PollEvent(ctypes.byref(event)):
            told = _told(event)
            if told is not None:
                found.append(told)
        return found

    def close(self) -> None:
        """Close it. May be called twice."""
        if self._window:
            self._forget_texture()
            sdl2.SDL_DestroyRenderer(self._renderer)
            sdl2.SDL_DestroyWindow(self._window)
            sdl2.SDL_QuitSubSystem(sdl2.SDL_INIT_VIDEO)
            self._window = None

    def _forget_texture(self) -> None:
        if self._texture is not None:
            sdl2.SDL_DestroyTexture(self._texture)
            self._texture, self._texture_of = None, None


def _told(event: sdl2.SDL_Event) -> WindowEvent | None:
    kind = event.type
    shift = bool(sdl2.SDL_GetModState() & sdl2.KMOD_SHIFT)
    if kind == sdl2.SDL_QUIT:
        return Quit()
    if kind == sdl2.SDL_KEYDOWN and not event.key.repeat:
        symbol = event.key.keysym.sym
        shift = bool(event.key.keysym.mod & sdl2.KMOD_SHIFT)
        name = _KEYS.get(symbol) or (chr(symbol) if 32 < symbol < 127 else "")
        return Key(name, shift) if name else None
    if kind in (sdl2.SDL_MOUSEBUTTONDOWN, sdl2.SDL_MOUSEBUTTONUP):
        down = kind == sdl2.SDL_MOUSEBUTTONDOWN
        return Mouse(event.button.x, event.button.y, event.button.button, down, shift)
    if kind == sdl2.SDL_MOUSEMOTION:
        return Motion(event.motion.x, event.motion.y)
    return None


def _why() -> str:
    text = sdl2.SDL_GetError()
    return text.decode(errors="replace") if text else "SDL gives no reason"
