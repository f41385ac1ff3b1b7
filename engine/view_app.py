"""What the viewer does with clicks and keys: pictures of one camera at a time, prompts, styles, modes, snapshots.

Knows a feed of pictures and a window; a request that takes time is made in a thread of its own, so that the picture
goes on. Its answer, or why it was refused, is written into the picture for a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from engine.errors import EngineError, OutputError
from engine.outputs.jpeg import encode_jpeg
from engine.outputs.overlay_shapes import draw_box, write_text
from engine.outputs.overlay_style import style_for
from engine.types import FrameNv12
from engine.view_feed import Picture, PictureFeed
from engine.view_places import Rect, fitted, in_picture
from engine.view_window import Key, Motion, Mouse, Quit, Window, WindowEvent

HELP = (
    "click: point at an object (where there is a head: follow it; with Shift: point)   drag: box around it   "
    "right click: does not belong to it   "
    "delete: forget the last   space: pause   tab, left, right: camera   o: style   m: mode   s: snapshot   "
    "f: full screen   h: this line   q: quit"
)
_LEFT, _RIGHT = 1, 3
_DRAG_PX = 6
_MESSAGE_S = 4.0
_WAIT_S = 0.02
_JPEG_QUALITY = 95


class Viewer:
    """One viewer; `run` returns when somebody quits or nothing is to come any more."""

    def __init__(
        self,
        feed: PictureFeed,
        window: Window,
        style: str = "",
        snapshots: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._feed = feed
        self._window = window
        self._clock = clock
        self._snapshots = snapshots or Path()
        self.style = style or feed.styles[0]
        self.mode = ""
        self.camera = ""
        self.paused = False
        self.quitting = False
        self.message = ""
        self.objects: list[tuple[str, int]] = []
        self._message_until = 0.0
        self._picture: Picture | None = None
        self._pressed: tuple[int, int] | None = None
        self._drag: tuple[int, int] | None = None
        self._asking: list[tuple[Future[str], str]] = []
        self._asker = ThreadPoolExecutor(1, thread_name_prefix="viewer-asks")
        self._times: list[float] = []

    def run(self, duration_s: float | None = None) -> None:
        """Show pictures until told to quit. Raises an `EngineError` of the feed."""
        until = None if duration_s is None else self._clock() + duration_s
        try:
            while not self.quitting and (until is None or self._clock() < until):
                self.step()
        finally:
            self._asker.shutdown(wait=False, cancel_futures=True)

    def step(self) -> None:
        """One round: what has been clicked and typed, then the newest picture."""
        for event in self._window.events():
            self.take(event)
        self._hear_answers()
        self._settle_camera()
        if self.paused or not self.camera:
            time.sleep(_WAIT_S)
            self._refresh()
            return
        picture = self._feed.next(self.camera, self.style, _WAIT_S)
        if picture is not None:
            self._times = [*self._times[-29:], self._clock()]
            self._show(picture)
        elif self._feed.over():
            self.quitting = True
        else:
            self._refresh()
            if trouble := self._feed.trouble():
                self._window.title(f"camring · {self.camera} · {trouble}")

    def _settle_camera(self) -> None:
        names = self._feed.cameras()
        if self.camera not in names:
            self.camera, self._picture = (names[0] if names else ""), None

    def _show(self, picture: Picture) -> None:
        self._picture = picture
        planes = self._annotated(picture.planes)
        self._window.show(planes, self._rect(picture))
        rate = ""
        if len(self._times) > 1:
            rate = f"{(len(self._times) - 1) / max(1e-6, self._times[-1] - self._times[0]):.1f} fps"
        state = "paused" if self.paused else rate
        self._window.title(f"camring · {picture.camera} · {self.style} · {state}")

    def _refresh(self) -> None:
        if self._picture is not None:
            self._window.refresh(self._rect(self._picture))

    def _redraw(self) -> None:
        picture = self._feed.redraw(self.style)
        if picture is not None and picture.camera == self.camera:
            self._show(picture)

    def _rect(self, picture: Picture) -> Rect:
        height, width = picture.planes.y.shape
        return fitted(self._window.size(), (width, height))

    def _annotated(self, planes: FrameNv12) -> FrameNv12:
        """With the message and the box that is being drawn, if there are any."""
        box = self._dragged()
        if not self.message and box is None:
            return planes
        if not planes.y.flags.writeable:
            planes = replace(planes, y=planes.y.copy(), uv=planes.uv.copy(), surface=None)
        style = style_for(planes.y.shape[0], planes.meta.matrix, planes.meta.full_range)
        if box is not None:
            edges = [round(edge) for edge in box]
            draw_box(planes.y, planes.uv, edges, style.paper, style.line_px)
        if self.message:
            write_text(planes.y, planes.uv, (0, 0), self.message, (style.paper, style.ink), style)
        return planes

    def say(self, text: str) -> None:
        """Write a line into the picture for a while."""
        self.message, self._message_until = text, self._clock() + _MESSAGE_S

    def take(self, event: WindowEvent) -> None:
        """Do what a click or a key asks for."""
        if isinstance(event, Quit):
            self.quitting = True
        elif isinstance(event, Key):
            self._key(event)
        elif isinstance(event, Motion):
            self._drag = (event.x, event.y) if self._pressed else None
        elif isinstance(event, Mouse):
            self._button(event)

    def _key(self, key: Key) -> None:
        step = -1 if key.shift or key.name == "left" else 1
        actions: dict[str, Callable[[], None]] = {
            "q": self._quit, "escape": self._quit, "space": self._pause, "s": self._snapshot,
            "f": self._window.toggle_fullscreen, "f11": self._window.toggle_fullscreen,
            "h": lambda: self.say(HELP), "delete": self._forget,
            "tab": lambda: self._next_camera(step), "left": lambda: self._next_camera(step),
            "right": lambda: self._next_camera(step), "n": lambda: self._next_camera(step),
            "o": lambda: self._next_style(step), "m": lambda: self._next_mode(step),
        }  # fmt: skip
        action = actions.get(key.name)
        if action is not None:
            action()

    def _quit(self) -> None:
        self.quitting = True

    def _pause(self) -> None:
        self.paused = not self.paused
        self._times = []
        self._redraw()

    def _next_camera(self, step: int) -> None:
        names = self._feed.cameras()
        if self.camera in names:
            self.camera = names[(names.index(self.camera) + step) % len(names)]
            self._picture, self._pressed, self._drag, self._times = None, None, None, []
            self.paused = False

    def _next_style(self, step: int) -> None:
        styles = self._feed.styles
        self.style = styles[(styles.index(self.style) + step) % len(styles)]
        self._redraw()

    def _next_mode(self, step: int) -> None:
        modes, camera = self._feed.modes, self.camera
        mode = modes[(modes.index(self.mode) + step) % len(modes)] if self.mode in modes else "prompt"

        def switch() -> str:
            self._feed.set_mode(camera, mode)
            self.mode = mode
            return f"mode of {camera}: {mode}"

        self._ask(switch, "mode")

    def _forget(self) -> None:
        if not self.objects:
            self.say("nothing was pointed at yet")
            return
        camera, object_id = self.objects.pop()

        def forget() -> str:
            self._feed.forget(camera, object_id)
            return f"object {object_id} of {camera} forgotten"

        self._ask(forget, "forget")

    def _snapshot(self) -> None:
        if self._picture is None:
            return
        picture = self._feed.redraw(self.style) or self._picture
        planes, meta = picture.planes, picture.planes.meta
        path = self._snapshots / f"{picture.camera}-{picture.frame_number}.jpg"
        try:
            encoded = encode_jpeg(planes.y, planes.uv, meta.matrix, meta.full_range, _JPEG_QUALITY)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded)
            self.say(f"saved {path}")
        except OSError as error:
            self.say(f"{path}: cannot be written: {error.strerror}")
        except OutputError as error:
            self.say(str(error))

    def _button(self, mouse: Mouse) -> None:
        if mouse.button not in (_LEFT, _RIGHT):
            return
        if mouse.down:
            self._pressed, self._drag = ((mouse.x, mouse.y), None) if mouse.button == _LEFT else (None, None)
            if mouse.button == _RIGHT:
                self._point((mouse.x, mouse.y), mouse, on_it=False)
            return
        pressed, self._pressed, self._drag = self._pressed, None, None
        if pressed is None:
            return
        if max(abs(mouse.x - pressed[0]), abs(mouse.y - pressed[1])) >= _DRAG_PX:
            self._box(pressed, (mouse.x, mouse.y))
        else:
            self._point(pressed, mouse, on_it=True)

    def _place(self, point: tuple[int, int]) -> tuple[float, float] | None:
        if self._picture is None:
            return None
        height, width = self._picture.planes.y.shape
        return in_picture(point, self._rect(self._picture), (width, height))

    def _dragged(self) -> tuple[float, float, float, float] | None:
        """The box between where the button went down and where the mouse is, in pixels of the picture."""
        if self._pressed is None or self._drag is None:
            return None
        start, end = self._place(self._pressed), self._place(self._drag)
        if start is None or end is None:
            return None
        (ax, ay), (bx, by) = start, end
        return min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)

    def _box(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        self._pressed, self._drag = start, end
        box = self._dragged()
        self._pressed, self._drag = None, None
        if box is not None:
            self._prompt(box=box)

    def _point(self, point: tuple[int, int], mouse: Mouse, *, on_it: bool) -> None:
        place = self._place(point)
        if place is None:
            return
        camera = self.camera
        if on_it and self._feed.has_head(camera) and not mouse.shift:

            def follow() -> str:
                self._feed.follow(camera, place)
                return f"{camera} follows who is at {place[0]:.0f}, {place[1]:.0f}"

            self._ask(follow, "follow")
        elif on_it:
            self._prompt(points=[(*place, 1)])
        elif self.objects and self.objects[-1][0] == camera:
            self._prompt(points=[(*place, 0)], object_id=self.objects[-1][1])
        else:
            self.say("point at an object first; a right click then says what does not belong to it")

    def _prompt(self, **what: object) -> None:
        if self._picture is None:
            return
        camera, frame = self.camera, self._picture.frame_number

        def prompt() -> str:
            object_id = self._feed.prompt(camera, frame, **what)
            if (camera, object_id) not in self.objects:
                self.objects.append((camera, object_id))
            return f"object {object_id} of {camera}"

        self._ask(prompt, "prompt")

    def _ask(self, work: Callable[[], str], what: str) -> None:
        self._asking.append((self._asker.submit(work), what))

    def _hear_answers(self) -> None:
        waiting = []
        for answer, what in self._asking:
            if not answer.done():
                waiting.append((answer, what))
                continue
            error = answer.exception()
            if error is not None and not isinstance(error, EngineError):
                raise error
            self.say(answer.result() if error is None else str(error))
        self._asking = waiting
        if self.message and self._clock() > self._message_until:
            self.message = ""
