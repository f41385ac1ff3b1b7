"""The server on a real socket: start, answers, limits, stop."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from engine.control import server as server_module
from engine.control.app import create_app
from engine.control.commands import Commands
from engine.control.listen import bind_socket
from engine.control.server import ControlServer
from engine.errors import ConfigError
from tests.control.statuses import make_status

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class Serving:
    """A server in a thread of its own."""

    port: int
    stop: threading.Event = field(default_factory=threading.Event)
    ticks: int = 0
    thread: threading.Thread = field(default_factory=threading.Thread)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def tick(self) -> bool:
        self.ticks += 1
        return not self.stop.is_set()

    def end(self) -> float:
        """Stop it; returns how long that took."""
        begun = time.monotonic()
        self.stop.set()
        self.thread.join(timeout=10)
        assert not self.thread.is_alive()
        return time.monotonic() - begun


async def slow(request: Request) -> Response:
    await asyncio.sleep(0.5)
    return PlainTextResponse("done")


async def endless(request: Request) -> Response:
    await asyncio.sleep(60)
    return PlainTextResponse("never")


@pytest.fixture
def serving() -> Iterator[Serving]:
    app = create_app(make_status, Commands(lambda message: None, "0"))
    slow_app = Starlette(routes=[Route("/slow", slow), Route("/endless", endless)])
    app.mount("/test", slow_app)
    listening = bind_socket("127.0.0.1", 0)
    serving = Serving(listening.getsockname()[1])
    server = ControlServer(app, listening)
    serving.thread = threading.Thread(target=server.run, args=(serving.tick,))
    serving.thread.start()
    yield serving
    serving.end()


def test_health_and_metrics_over_a_real_socket(serving: Serving) -> None:
    with httpx.Client(base_url=serving.url) as client:
        health = client.get("/health")
        assert health.status_code == 200
        assert set(health.json()) >= {"status", "reasons", "version", "uptime_s", "processes", "cameras"}
        assert "server" not in health.headers
        assert "camring_frames_in_total" in client.get("/metrics").text
        assert client.head("/health").content == b""
        assert client.get("/nowhere").json()["status"] == 404
    assert serving.ticks > 0


def test_a_head_that_is_too_large_is_refused(serving: Serving) -> None:
    with socket.create_connection(("127.0.0.1", serving.port), timeout=5) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        connection.sendall(b"X-Filler: " + b"a" * 40_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 4")
    assert httpx.get(f"{serving.url}/health").status_code == 200


@pytest.mark.parametrize("rubbish", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"\0" * 64 + b"\r\n\r\n"])
def test_rubbish_does_no_harm(serving: Serving, rubbish: bytes) -> None:
    with socket.create_connection(("127.0.0.1", serving.port), timeout=5) as connection:
        connection.sendall(rubbish)
    assert httpx.get(f"{serving.url}/health").status_code == 200


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "REQUEST_TIMEOUT_S", 0.4)


@pytest.mark.parametrize("begun", [b"", b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "])
def test_who_does_not_say_what_he_wants_is_cut_off(impatient: None, serving: Serving, begun: bytes) -> None:
    with socket.create_connection(("127.0.0.1", serving.port), timeout=5) as connection:
        connection.sendall(begun)
        start = time.monotonic()
        for _ in range(20):  # a byte now and then does not help
            with suppress(OSError):
                connection.sendall(b"a" if begun else b"")
            time.sleep(0.05)
        assert connection.recv(100) == b"" and time.monotonic() - start < 3.0


def test_who_says_it_again_slowly_on_the_same_connection_is_cut_off(
    impatient: None, serving: Serving
) -> None:
    with socket.create_connection(("127.0.0.1", serving.port), timeout=5) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /health/live HT")
        assert connection.recv(100) == b""


def test_a_request_that_takes_longer_than_its_head_may_is_not_cut_off(
    impatient: None, serving: Serving
) -> None:
    assert httpx.get(f"{serving.url}/test/slow", timeout=5).text == "done"


def test_a_request_under_way_is_finished_before_the_stop(serving: Serving) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=10)
    connection.request("GET", "/test/slow")
    ticks = serving.ticks
    while serving.ticks < ticks + 2:  # the server has taken the request up
        time.sleep(0.01)
    serving.stop.set()
    assert connection.getresponse().read() == b"done"
    connection.close()


def test_an_endless_request_does_not_hold_up_the_stop(serving: Serving) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=10)
    connection.request("GET", "/test/endless")
    ticks = serving.ticks
    while serving.ticks < ticks + 2:
        time.sleep(0.01)
    assert serving.end() < 3.0
    connection.close()


def test_after_the_stop_the_port_is_free(serving: Serving) -> None:
    httpx.get(f"{serving.url}/health")
    assert serving.end() < 2.0
    bind_socket("127.0.0.1", serving.port).close()


def test_a_port_that_is_taken_is_known_at_once() -> None:
    taken = bind_socket("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with pytest.raises(ConfigError) as caught:
        bind_socket("127.0.0.1", port)
    assert str(caught.value) == f"port {port} on 127.0.0.1 is in use by another program; use --port"
    taken.close()
    bind_socket("127.0.0.1", port).close()


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("no-such-host.invalid", "--host no-such-host.invalid: no such address"),
        ("203.0.113.7", "--host 203.0.113.7 is no address of this machine"),
        ("a..b", "--host a..b: no such address"),
    ],
)
def test_a_host_that_is_not_ours_is_a_clear_error(host: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        bind_socket(host, 0)


def test_ipv6() -> None:
    try:
        listening = bind_socket("::1", 0)
    except ConfigError as error:
        pytest.skip(f"no IPv6 on this machine: {error}")
    assert listening.family == socket.AF_INET6
    listening.close()


SERVER_PROCESS = """
import socket, sys
from engine.control.app import create_app
from engine.control.commands import Commands
from engine.control.server import ControlServer
from tests.control.statuses import make_status
commands = Commands(lambda message: None, '0')
ControlServer(create_app(make_status, commands), socket.socket(fileno=int(sys.argv[1]))).run(lambda: True)
"""


def test_the_socket_outlives_a_killed_server_and_callers_wait_for_the_next() -> None:
    listening = bind_socket("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/health"
    command = [sys.executable, "-c", SERVER_PROCESS, str(listening.fileno())]
    for _ in range(2):
        server = subprocess.Popen(command, pass_fds=[listening.fileno()], cwd=REPOSITORY)
        try:
            # Asked before it can have started: the socket is open, so this waits instead of failing.
            assert httpx.get(url, timeout=30).status_code == 200
        finally:
            os.kill(server.pid, signal.SIGKILL)
            server.wait()
    listening.close()
