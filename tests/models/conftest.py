"""A real HTTP server with one file, that can be told to misbehave."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from engine.models.fetch import Wanted


@dataclass
class Site:
    """What the server does.

    body        the file
    ranges      answer Range requests
    break_after bytes after which the connection is closed, per answer; afterwards everything is sent
    statuses    what is answered instead, one per request; afterwards the file
    stall       send the headers, then nothing
    requests    the Range header of each request so far, empty without one
    gate        nothing is sent before it opens
    """

    body: bytes
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    stall: bool = False
    shifted_ranges: bool = False
    location: str = ""
    port: int = 0
    requests: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/model.onnx"

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.url, hashlib.sha256(self.body).hexdigest(), len(self.body))


def handler_of(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            site.requests.append(asked)
            if site.statuses:
                self.send_error(site.statuses.pop(0))
                return
            if site.location and self.path == "/model.onnx":
                self.send_response(302)
                self.send_header("Location", site.location)
                self.end_headers()
                return
            self.send_file(int(asked.removeprefix("bytes=").rstrip("-")) if asked and site.ranges else 0)

        def send_file(self, start: int) -> None:
            size = len(site.body)
            if start >= size:
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                said = start - 1 if site.shifted_ranges else start
                self.send_header("Content-Range", f"bytes {said}-{size - 1}/{size}")
            self.send_header("Content-Length", str(size - start))
            self.end_headers()
            site.gate.wait(30)
            if site.stall:
                self.connection.recv(1)  # until the client goes away
                return
            end = start + site.break_after.pop(0) if site.break_after else size
            self.wfile.write(site.body[start:end])
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the tests look at `site.requests`."""

    return Handler


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A running server with a file of 300 000 bytes."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = Site(random.Random(7).randbytes(300_000))
    site.gate.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(site))
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    site.gate.set()
    server.shutdown()
    server.server_close()
    thread.join()
