"""Streams: a real server, real WebSocket clients, good ones and bad ones."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from engine.control.app import create_app
from engine.control.commands import Commands
from engine.control.listen import bind_socket
from engine.control.server import ControlServer
from engine.control.stream import KINDS, StreamLimits, Streams
from engine.types import EventKind
from tests.control.statuses import make_status

LIMITS = StreamLimits(clients=3, queue_messages=150, queue_bytes=1 << 18, queue_records=2, send_timeout_s=1.0)
ODD = 'odd "name"\\'


@dataclass
class Serving:
    """A server in a thread of its own, and the streams that it serves."""

    port: int
    streams: Streams
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread = field(default_factory=threading.Thread)

    def open(self, path: str, **more: Any) -> ClientConnection:
        """A client that has been told that it is listened for."""
        client: ClientConnection = connect(
            f"ws://127.0.0.1:{self.port}{path}", open_timeout=5, close_timeout=1, **more
        )
        return client

    def event(self, number: int, camera: str = "gate", kind: str = "crossed") -> None:
        self.streams.publish(camera, b"", [(kind, json.dumps({"n": number, "kind": kind}).encode())])

    def end(self) -> float:
        begun = time.monotonic()
        self.stop.set()
        self.thread.join(timeout=10)
        assert not self.thread.is_alive()
        return time.monotonic() - begun


@pytest.fixture
def serving() -> Iterator[Serving]:
    listening = bind_socket("127.0.0.1", 0)
    serving = Serving(listening.getsockname()[1], Streams(LIMITS))
    app = create_app(make_status, Commands(lambda message: None, "0"), serving.streams)
    server = ControlServer(app, listening)
    serving.thread = threading.Thread(target=server.run, args=(lambda: not serving.stop.is_set(),))
    serving.thread.start()
    yield serving
    serving.end()


def next_of(client: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(client.recv(timeout=5))
    return message


def until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def test_events_come_in_order_each_a_message(serving: Serving) -> None:
    assert not serving.streams.somebody_listens.is_set()
    with serving.open("/events") as client:
        begin = next_of(client)
        assert begin == {
            "schema": "camring.stream/1", "type": "begin", "stream": "events", "cameras": ["gate", ODD],
            "kinds": list(KINDS),
        }  # fmt: skip
        assert serving.streams.somebody_listens.is_set() and serving.streams.listening("events")
        for number in range(100):
            serving.event(number)
        assert [next_of(client)["n"] for _ in range(100)] == list(range(100))
    until(lambda: not serving.streams.somebody_listens.is_set(), "the client is forgotten")
    assert serving.streams.statistics()["events"] == {"clients": 0, "sent": 101, "lost": 0, "dropped": 0}


def test_only_what_was_asked_for(serving: Serving) -> None:
    with serving.open("/events?camera=gate&kind=count&kind=fast") as client:
        assert next_of(client)["kinds"] == ["count", "fast"]
        told = [("gate", "crossed"), (ODD, "fast"), ("gate", "fast"), ("gate", "count")]
        for number, (camera, kind) in enumerate(told):
            serving.event(number, camera, kind)
        assert [next_of(client)["n"] for _ in range(2)] == [2, 3]


def test_whole_records_for_those_who_want_them(serving: Serving) -> None:
    with serving.open("/results?camera=gate") as client:
        assert next_of(client)["stream"] == "results"
        serving.streams.publish(ODD, b'{"n": 0}', [])
        serving.streams.publish("gate", b'{"n": 1}', [("count", b"{}")])
        assert next_of(client) == {"n": 1}


def test_records_that_could_not_be_read_are_told(serving: Serving) -> None:
    expected = {"type": "lost", "camera": "gate", "reason": "overrun", "results": 7, "events": None}
    with serving.open("/results") as results, serving.open("/events") as events:
        for client in (results, events):
            next_of(client)
        serving.streams.missed("gate", 7)
        for client in (results, events):
            assert next_of(client) == {"schema": "camring.stream/1", **expected}


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/events?camera=nowhere", 404, "no camera 'nowhere'; there are: gate"),
        ("/results?camera=nowhere", 404, "no camera 'nowhere'"),
        ("/events?kind=birthday", 422, "no kind 'birthday'; there are: appeared, left"),
        ("/events?since=1", 422, "unknown parameter 'since'; there are: camera, kind"),
        ("/results?kind=fast", 422, "unknown parameter 'kind'; there are: camera"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    serving: Serving, path: str, status: int, words: str
) -> None:
    with pytest.raises(InvalidStatus) as caught, serving.open(path):
        pass
    assert caught.value.response.status_code == status
    assert words in json.loads(caught.value.response.body or b"")["detail"]


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}],
)
def test_a_page_of_another_site_hears_nothing(serving: Serving, headers: dict[str, str]) -> None:
    with socket.create_connection(("127.0.0.1", serving.port), timeout=5) as raw:
        lines = {"Host": f"127.0.0.1:{serving.port}", "Upgrade": "websocket", "Connection": "Upgrade"}
        lines |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version": "13", **headers}
        text = "".join(f"{key}: {value}\r\n" for key, value in lines.items())
        raw.sendall(f"GET /events HTTP/1.1\r\n{text}\r\n".encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 403")


def test_a_page_of_our_own_hears(serving: Serving) -> None:
    with serving.open("/events", origin=f"http://127.0.0.1:{serving.port}") as client:
        assert next_of(client)["type"] == "begin"


@pytest.mark.parametrize("path", ["/results", "/ws"])
def test_plain_http_is_told_what_to_do(serving: Serving, path: str) -> None:
    answer = httpx.get(f"http://127.0.0.1:{serving.port}{path}")
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    assert "ws://" in answer.json()["detail"]


def test_one_client_too_many_is_refused_and_http_goes_on(serving: Serving) -> None:
    with ExitStack() as clients:
        for _ in range(3):
            next_of(clients.enter_context(serving.open("/events")))
        with pytest.raises(InvalidStatus) as caught, serving.open("/results"):
            pass
        assert caught.value.response.status_code == 503
        assert httpx.get(f"http://127.0.0.1:{serving.port}/health").status_code == 200
    until(lambda: serving.streams.clients("events") == 0, "they have gone")
    with serving.open("/results") as client:
        assert next_of(client)["type"] == "begin"


def test_who_talks_is_let_go(serving: Serving) -> None:
    with serving.open("/events") as client:
        next_of(client)
        client.send("hello")
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(timeout=5)
        assert caught.value.rcvd is not None and caught.value.rcvd.code == 1003
    with serving.open("/events") as client:
        next_of(client)
        client.send("x" * 100_000)
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(timeout=5)
        assert caught.value.rcvd is not None and caught.value.rcvd.code == 1009


class Silent:
    """A client that shakes hands and then does not read."""

    def __init__(self, port: int, path: str) -> None:
        self.raw = socket.socket()
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.raw.settimeout(5)
        self.raw.connect(("127.0.0.1", port))
        head = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self.raw.sendall(head.encode())
        assert self.raw.recv(12).startswith(b"HTTP/1.1 101")


def test_a_client_that_does_not_read_holds_nobody_up(serving: Serving) -> None:
    silent = [Silent(serving.port, path) for path in ("/events", "/results")]
    until(
        lambda: serving.streams.clients("events") + serving.streams.clients("results") == 2, "both are there"
    )
    with serving.open("/events") as client:
        next_of(client)
        padding = "x" * 20_000
        longest_s = 0.0
        for number in range(600):
            begun = time.monotonic()
            message = json.dumps({"n": number, "padding": padding}).encode()
            serving.streams.publish("gate", message, [("count", message)])
            longest_s = max(longest_s, time.monotonic() - begun)
            assert next_of(client)["n"] == number
        assert longest_s < 0.5
        until(lambda: serving.streams.clients("results") == 0, "who takes nothing is let go")
        until(lambda: serving.streams.clients("events") == 1, "who takes nothing is let go")
    statistics = serving.streams.statistics()
    assert statistics["events"]["lost"] > 0 and statistics["results"]["lost"] > 0
    for each in silent:
        each.raw.close()


def slow_messages(serving: Serving, path: str) -> list[dict[str, Any]]:
    """What a client reads that pauses while far more is published than it takes up, and then goes on."""
    with serving.open(path, max_queue=1) as client:
        next_of(client)
        padding = "x" * 50_000
        for number in range(200):
            message = json.dumps({"n": number, "padding": padding}).encode()
            serving.streams.publish("gate", message, [("count", message)])
        found: list[dict[str, Any]] = []
        while not found or found[-1].get("n") != 999:
            found.append(next_of(client))
            if len(found) == 3:
                serving.event(999, kind="count")
                serving.streams.publish("gate", b'{"n": 999}', [])
        return found


def test_a_slow_client_of_events_is_told_how_many_it_missed(serving: Serving) -> None:
    found = slow_messages(serving, "/events")
    notices = [each for each in found if each.get("type") == "lost"]
    assert notices and {each["reason"] for each in notices} == {"slow"}
    seen = [each["n"] for each in found if "n" in each]
    assert seen == sorted(seen)
    assert sum(each["events"] for each in notices) + len(seen) == 201, "none is lost silently"


def test_a_slow_client_of_results_gets_the_newest_and_is_told_what_it_missed(serving: Serving) -> None:
    found = slow_messages(serving, "/results")
    notices = [each for each in found if each.get("type") == "lost"]
    seen = [each["n"] for each in found if "n" in each]
    assert seen == sorted(seen) and seen[-1] == 999
    assert sum(each["results"] for each in notices) + len(seen) == 201
    assert sum(each["events"] for each in notices) == 200 - len([n for n in seen if n < 200])


def test_the_stop_is_quick_and_clients_are_told(serving: Serving) -> None:
    silent = Silent(serving.port, "/events")
    with serving.open("/events") as client:
        next_of(client)
        for number in range(40):
            serving.event(number)
        for _ in range(40):
            next_of(client)
        assert serving.end() < 1.5
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(timeout=5)
        assert caught.value.rcvd is not None and caught.value.rcvd.code == 1012
    silent.raw.close()
    serving.event(1)  # a reader that does not know yet


def test_a_client_that_is_cut_off_is_forgotten(serving: Serving) -> None:
    silent = Silent(serving.port, "/events")
    until(lambda: serving.streams.clients("events") == 1, "it is there")
    silent.raw.close()
    until(lambda: serving.streams.clients("events") == 0, "it is forgotten")


def test_the_kinds_are_those_that_there_are() -> None:
    assert list(KINDS) == [kind.name.lower() for kind in EventKind]
