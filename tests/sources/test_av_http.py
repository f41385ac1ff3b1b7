"""HTTP: recordings with an end, HLS that comes in bursts, Motion JPEG without one; from a server of the test."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2
import pytest

from engine.errors import SourceDisconnected, SourceError, SourceNotFound, SourceUnauthorized
from engine.sources.av import AvSource
from engine.sources.base import SourceOptions
from tests.sources.clips import rgb_picture, shown, write_clip


class Handler(SimpleHTTPRequestHandler):
    """Files of a folder; /closed/… wants a password; /mjpeg streams pictures until the viewer leaves."""

    def do_GET(self) -> None:
        if self.path.startswith("/closed/") and self.headers.get("Authorization") != "Basic YWRtaW46Z2VoZWlt":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
        elif self.path == "/mjpeg":
            self.send_pictures()
        else:
            self.path = self.path.removeprefix("/closed")
            super().do_GET()

    def send_pictures(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        for index in itertools.count():
            jpeg = cv2.imencode(".jpg", rgb_picture(index, 64, 48))[1].tobytes()
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + jpeg + b"\r\n")
            except OSError:
                return
            time.sleep(0.02)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Viewers leave in the middle of an answer: that is no error here."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str, str], str]]:
    """Starts a server for the test's folder; gives the URL of a path in it, with a login if wanted."""
    server = Server(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def url(path: str, login: str = "") -> str:
        return f"http://{login}127.0.0.1:{server.server_port}{path}"

    yield url
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def opened(url: str, *, loop: bool = False) -> Iterator[AvSource]:
    source = AvSource(SourceOptions(url, timeout_s=3.0, loop=loop))
    try:
        source.open()
        yield source
    finally:
        source.close()


def test_a_recording_over_http_is_read_like_a_file(tmp_path: Path, serve: Callable[..., str]) -> None:
    write_clip(tmp_path / "a.mp4", frames=30, muxer={"movflags": "+faststart"})
    with opened(serve("/a.mp4"), loop=True) as source:
        assert not source.live
        pictures = [seen.picture for seen in shown(source, 70)]
    assert [i for i, p in enumerate(pictures) if p.discontinuity] == [30, 60]
    with opened(serve("/a.mp4")) as source:
        assert len(list(shown(source))) == 30


def test_a_recording_that_breaks_off(tmp_path: Path, serve: Callable[..., str]) -> None:
    whole = write_clip(tmp_path / "a.mp4", frames=60, g=10, muxer={"movflags": "+faststart"})
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with opened(serve("/a.mp4")) as source, pytest.raises(SourceError, match=r"truncated: \d+ of 60 frames"):
        list(shown(source))


def test_motion_jpeg_without_an_end_is_live(serve: Callable[..., str]) -> None:
    with opened(serve("/mjpeg")) as source:
        assert source.live
        assert all(seen.picture.full_range for seen in shown(source, 10))


def test_hls_is_handed_out_at_its_pace(tmp_path: Path, serve: Callable[..., str]) -> None:
    options = {"hls_time": "1", "hls_list_size": "10", "hls_flags": "omit_endlist"}
    with av.open(str(tmp_path / "live.m3u8"), "w", format="hls", options=options) as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "25", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(100):
            frame = av.VideoFrame.from_ndarray(rgb_picture(index, 64, 48), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", threads=1)))
        container.mux(stream.encode(None))
    with opened(serve("/live.m3u8")) as source:
        assert source.live
        list(shown(source, 5))
        start_s = time.monotonic()
        list(shown(source, 25))
        assert time.monotonic() - start_s == pytest.approx(1.0, abs=0.2)
    with opened(serve("/live.m3u8").replace("http://", "hls://")) as source:
        assert len(list(shown(source, 2))) == 2


@pytest.mark.parametrize(
    ("path", "login", "kind", "message"),
    [
        ("/absent.mp4", "", SourceNotFound, "no such stream"),
        ("/closed/a.mp4", "", SourceUnauthorized, "refused the user name or password"),
        ("/closed/a.mp4", "admin:geheim2@", SourceUnauthorized, "refused the user name or password"),
        ("/page.html", "", SourceDisconnected, "not a video stream"),
    ],
)
def test_refusals(
    tmp_path: Path, serve: Callable[..., str], path: str, login: str, kind: type[SourceError], message: str
) -> None:
    (tmp_path / "page.html").write_text("<html>camera</html>" * 99)
    write_clip(tmp_path / "a.mp4", frames=5, muxer={"movflags": "+faststart"})
    with pytest.raises(kind, match=message) as caught, opened(serve(path, login)):
        pass
    assert "geheim" not in str(caught.value)
    with opened(serve("/closed/a.mp4", "admin:geheim@")) as source:
        assert len(list(shown(source))) == 5
