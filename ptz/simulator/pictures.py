"""The pictures of a simulated camera over HTTP: a still, and stills without end (MJPEG)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

from ptz.http import Response
from ptz.simulator.answer import Answer

Picture = Callable[[float], bytes]
"""A JPEG of what the camera sees at this time of the device, in seconds."""

GREY_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBk"
    "eFxlZ2P/wAALCAAQABABAREA/8QAFQABAQAAAAAAAAAAAAAAAAAAAAP/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/9oACAEBAAA/AJgP/9k="
)
"""16×16 pixels: what a camera without a world sees."""


def grey(_now_s: float) -> bytes:
    """A grey picture."""
    return GREY_JPEG


def still(picture: Picture, now_s: float) -> Answer:
    """One picture."""
    return Answer(Response(200, (("Content-Type", "image/jpeg"),), picture(now_s)))


def film(picture: Picture, now_s: float, fps: float) -> Answer:
    """Pictures without end, as multipart/x-mixed-replace."""
    headers = (("Content-Type", "multipart/x-mixed-replace; boundary=frame"),)
    return Answer(Response(200, headers), stream=_frames(picture, now_s, 1 / fps))


def _frames(picture: Picture, now_s: float, interval_s: float) -> Iterator[tuple[float, bytes]]:
    index = 0
    while True:
        jpeg = picture(now_s + index * interval_s)
        head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
        yield (interval_s if index else 0.0), head + jpeg + b"\r\n"
        index += 1
