"""Pictures of a running engine for the viewer, over HTTP: its MJPEG stream in, prompts and modes out.

Pictures come drawn (`/mjpeg/CAMERA?view=overlay`) or plain (`view=clean`); nothing is drawn here. Every part says which
frame it shows (`X-Frame`), and prompts are about that one. Knows the routes of docs/api.md; runs no engine.
"""

from __future__ import annotations

import http.client
import json
import threading
import urllib.parse
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np

from engine.errors import CommandError, ViewerError
from engine.types import ColourMatrix, FrameMeta, FrameNv12
from engine.view_feed import Picture, PictureFeed

TIMEOUT_S = 10.0
_RETRY_S = 1.0
_PART_PATIENCE_S = 1.0
_LONGEST_LINE = 8192
_LARGEST_PICTURE = 64 * 2**20
_VIEWS = {"full": "overlay", "none": "clean"}


def nv12_of(jpeg: bytes, number: int) -> FrameNv12 | None:
    """A JPEG as NV12 planes (BT.601, limited range; odd sizes lose a line); None where it is none."""
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None or min(bgr.shape[:2]) < 2:
        return None
    height, width = bgr.shape[0] & ~1, bgr.shape[1] & ~1
    i420 = cv2.cvtColor(bgr[:height, :width], cv2.COLOR_BGR2YUV_I420)
    quarter = height * width // 4
    chroma = i420[height:].reshape(-1)
    uv = np.stack((chroma[:quarter], chroma[quarter:]), axis=-1).reshape(height // 2, width // 2, 2)
    meta = FrameMeta(number, 0, 0, width, height, width, width, height * width, matrix=ColourMatrix.BT601)
    return FrameNv12(meta, np.ascontiguousarray(i420[:height]), np.ascontiguousarray(uv))


@dataclass(frozen=True, slots=True)
class Server:
    """Where an engine listens, and the token that it knows us by. Raises `ViewerError` for what is no such address."""

    url: str
    token: str = ""

    def __post_init__(self) -> None:
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ViewerError(f"--url: must look like http://127.0.0.1:8080, found {self.url!r}")

    def request(self, method: str, path: str, body: object = None) -> http.client.HTTPResponse:
        """An answer whose body was not read yet.

        Raises `ViewerError` where nobody answers, `CommandError` for a refusal.
        """
        parts = urllib.parse.urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(cast(str, parts.hostname), parts.port, timeout=TIMEOUT_S)
        headers = {"Connection": "close"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, parts.path.rstrip("/") + path, content, headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ViewerError(f"{self.url} does not answer: {error}") from error
        if response.status >= 400:
            said = response.read(_LONGEST_LINE)
            connection.close()
            raise CommandError(_reason(response.status, said))
        return response

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The JSON of an answer. Raises like `request`."""
        with self.request(method, path, body) as response:
            try:
                return json.loads(response.read() or b"null")
            except (OSError, ValueError, http.client.HTTPException) as error:
                raise ViewerError(f"{self.url}: an answer could not be read: {error}") from error


def _reason(status: int, said: bytes) -> str:
    """One line of why a request was refused: what the problem document says (RFC 9457)."""
    try:
        problem = json.loads(said)
    except ValueError:
        return f"refused with status {status}"
    return (
        str(problem.get("detail") or problem.get("title") or status)
        if isinstance(problem, dict)
        else str(status)
    )


class Stream:
    """One camera's MJPEG stream, read in a thread: the newest picture, and why there is none."""

    def __init__(self, server: Server, camera: str, view: str) -> None:
        self.view, self.camera = view, camera
        self.news = threading.Condition()
        self.trouble = ""
        self._newest: tuple[int, bytes] | None = None
        self._path = f"/mjpeg/{urllib.parse.quote(camera)}?view={view}"
        self._server = server
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"mjpeg-{camera}", daemon=True)
        self._thread.start()

    def take(self, timeout_s: float) -> tuple[int, bytes] | None:
        """Number and JPEG of a picture that was not taken before."""
        with self.news:
            if self._newest is None:
                self.news.wait(timeout_s)
            newest, self._newest = self._newest, None
        return newest

    def stop(self) -> None:
        """Read no more: the thread ends with the next part, of which there are two a second at least."""
        self._stopped.set()
        self._thread.join(_PART_PATIENCE_S)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with self._server.request("GET", self._path) as response:
                    self._read(response)
                self.trouble = "the stream has ended"
            except (ViewerError, CommandError, OSError, http.client.HTTPException, ValueError) as error:
                self.trouble = str(error)
            self._stopped.wait(_RETRY_S)

    def _read(self, response: http.client.HTTPResponse) -> None:
        """Parts of a multipart/x-mixed-replace body (RFC 2046, section 5.1). Raises `ValueError` for another."""
        while not self._stopped.is_set():
            line = response.readline(_LONGEST_LINE)
            if not line:
                return
            if not line.startswith(b"--"):
                continue
            headers = http.client.parse_headers(response)
            length = int(headers.get("Content-Length", "0"))
            if not 0 < length <= _LARGEST_PICTURE:
                raise ValueError(f"{self._path}: a part of {length} bytes")
            jpeg = response.read(length)
            if len(jpeg) < length:
                return
            self.trouble = ""
            with self.news:
                self._newest = int(headers.get("X-Frame", "-1")), jpeg
                self.news.notify_all()


class RemoteFeed(PictureFeed):
    """A running engine. Cameras are asked for once; pictures of one camera are streamed at a time."""

    styles = tuple(_VIEWS)

    def __init__(self, url: str, token: str = "") -> None:
        """Ask for the cameras. Raises `ViewerError`, `CommandError` where the token is not good."""
        self._server = Server(url, token)
        listed = self._server.ask("GET", "/cameras")
        cameras = listed.get("cameras", []) if isinstance(listed, dict) else []
        self._cameras = {
            str(camera["name"]): bool(camera.get("settings", {}).get("ptz")) for camera in cameras
        }
        if not self._cameras:
            raise ViewerError(f"{url}: the engine there has no cameras")
        self._stream: Stream | None = None
        self._last: Picture | None = None

    def cameras(self) -> list[str]:
        return list(self._cameras)

    def next(self, camera: str, style: str, timeout_s: float) -> Picture | None:
        stream, view = self._stream, _VIEWS[style]
        if stream is None or (stream.camera, stream.view) != (camera, view):
            self.close()
            self._stream = stream = Stream(self._server, camera, view)
        taken = stream.take(timeout_s)
        planes = None if taken is None else nv12_of(taken[1], taken[0])
        if planes is None:
            return None
        self._last = Picture(camera, planes.meta.index, planes)
        return self._last

    def redraw(self, style: str) -> Picture | None:
        return self._last

    def over(self) -> bool:
        return False

    def trouble(self) -> str:
        return "" if self._stream is None else self._stream.trouble

    def has_head(self, camera: str) -> bool:
        return self._cameras.get(camera, False)

    def prompt(self, camera: str, frame: int, **what: Any) -> int:
        fields: dict[str, Any] = {"camera": camera, "action": "add"}
        if frame >= 0:
            fields["frame"] = frame
        if "object_id" in what:
            fields["object"] = what.pop("object_id")
        return int(self._server.ask("POST", "/prompt", {**fields, **what})["object"])

    def forget(self, camera: str, object_id: int) -> None:
        self._server.ask("POST", "/prompt", {"camera": camera, "action": "remove", "object": object_id})

    def set_mode(self, camera: str, mode: str) -> None:
        self._server.ask("POST", "/mode", {"camera": camera, "mode": mode})

    def follow(self, camera: str, point: tuple[float, float]) -> None:
        self._server.ask("POST", f"/ptz/{urllib.parse.quote(camera)}/select", {"point": list(point)})

    def close(self) -> None:
        """Read no more. May be called twice."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop()
