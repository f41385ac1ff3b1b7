"""`/ws`: one WebSocket for everything; who may listen; who is let go."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from engine.control.app import create_app
from engine.control.listen import bind_socket
from engine.control.roles import Role
from engine.control.security import Security
from engine.control.server import ControlServer
from engine.control.stream import StreamLimits, Streams
from tests.control.asking import SECRETS, TOKENS
from tests.control.statuses import make_camera
from tests.control.workers import EngineInMemory

LIMITS = StreamLimits(clients=4, queue_records=2, send_timeout_s=1.0)
ODD = 'odd "name"\\'
BEARER = f"bearer.{SECRETS[Role.VIEWER]}"


class Served:
    """A server with logins, and the streams that it serves."""

    def __init__(self, security: Security) -> None:
        self.engine = EngineInMemory()
        self.streams = Streams(LIMITS)
        app = create_app(lambda: self.engine.status, self.engine.commands, self.streams, security=security)
        listening = bind_socket("127.0.0.1", 0)
        self.port = listening.getsockname()[1]
        self.stop = threading.Event()
        server = ControlServer(app, listening)
        self.thread = threading.Thread(target=server.run, args=(lambda: not self.stop.is_set(),))
        self.thread.start()

    def open(self, path: str = "/ws", **more: Any) -> ClientConnection:
        more.setdefault("subprotocols", ["camring", BEARER])
        client: ClientConnection = connect(
            f"ws://127.0.0.1:{self.port}{path}", open_timeout=5, close_timeout=1, **more
        )
        return client

    def end(self) -> None:
        self.stop.set()
        self.thread.join(5)
        assert not self.thread.is_alive()


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served(Security(TOKENS))
    yield served
    served.end()


def next_of(client: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(client.recv(timeout=5))
    return message


def subscribe(client: ClientConnection, *streams: str, **more: Any) -> dict[str, Any]:
    client.send(json.dumps({"subscribe": streams, **more}))
    return next_of(client)


def test_nothing_comes_until_it_is_asked_for_and_then_that_alone(served: Served) -> None:
    with served.open() as client:
        assert client.subprotocol == "camring"
        begin = {"schema": "camring.stream/1", "type": "begin", "streams": ["events", "results"]}
        assert subscribe(client, "results", "events") == {**begin, "cameras": ["gate", ODD]}
        served.streams.publish("gate", b'{"frame":1}', [("count", b'{"kind":"count"}')])
        assert [next_of(client), next_of(client)] == [{"kind": "count"}, {"frame": 1}]
        assert subscribe(client, "results", cameras=[ODD])["cameras"] == [ODD]
        served.streams.publish("gate", b'{"frame":2}', [("count", b'{"kind":"count"}')])
        served.streams.publish(ODD, b'{"frame":3}', [("count", b'{"kind":"count"}')])
        assert next_of(client) == {"frame": 3}
        assert subscribe(client)["streams"] == []
        served.streams.publish(ODD, b'{"frame":4}', [])
        assert subscribe(client, "events", cameras=[])["cameras"] == []


def test_health_comes_again_and_again_and_other_cameras_are_told(served: Served) -> None:
    with served.open() as client:
        assert subscribe(client, "health")["streams"] == ["health"]
        first = next_of(client)
        assert (first["schema"], first["type"]) == ("camring.health/1", "health")
        assert first["health"]["status"] == "ok" and set(first["health"]["cameras"]) == {"gate", ODD}
        served.engine.status = {**served.engine.status, "cameras": {"new": make_camera()}}
        told = [next_of(client) for _ in range(2)]
        assert {"schema": "camring.stream/1", "type": "cameras", "cameras": ["new"]} in told
        assert list(next_of(client)["health"]["cameras"]) == ["new"]


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ("{", 400, "not JSON"),
        ("[]", 400, "object"),
        ('{"subscribe": ["all"]}', 422, "subscribe must be a list of results, events and health"),
        ('{"subscribe": ["results"], "camera": "gate"}', 422, "unknown key 'camera'"),
        ('{"subscribe": ["results"], "cameras": ["nowhere"]}', 404, "no camera 'nowhere'"),
    ],
)
def test_what_makes_no_sense_is_answered_and_changes_nothing(
    served: Served, said: str, status: int, words: str
) -> None:
    with served.open() as client:
        subscribe(client, "results")
        client.send(said)
        problem = next_of(client)
        assert (problem["type"], problem["problem"]["status"]) == ("problem", status)
        assert words in problem["problem"]["detail"]
        served.streams.publish("gate", b'{"frame":1}', [])
        assert next_of(client) == {"frame": 1}


def test_who_babbles_and_does_not_listen_is_let_go(served: Served) -> None:
    with served.open() as client:
        with pytest.raises(ConnectionClosed) as caught:
            for _ in range(5000):
                client.send("{")
            while True:
                client.recv(timeout=5)
        assert caught.value.rcvd is None or caught.value.rcvd.code == 1008 or client.protocol.close_code


@pytest.mark.parametrize("more", [{"subprotocols": None}, {"subprotocols": ["camring", "bearer.wrong"]}])
def test_without_a_token_nobody_listens(served: Served, more: dict[str, Any]) -> None:
    for path in ("/ws", "/events", "/results"):
        with pytest.raises(InvalidStatus) as caught, served.open(path, **more):
            pass
        assert caught.value.response.status_code == 401
        assert json.loads(caught.value.response.body or b"")["type"] == "urn:camring:problem:login-needed"


def test_a_token_may_come_in_a_header_or_a_login_in_a_cookie(served: Served) -> None:
    bearer = {"Authorization": f"Bearer {SECRETS[Role.VIEWER]}"}
    with served.open(subprotocols=None, additional_headers=bearer) as client:
        assert client.subprotocol is None and subscribe(client, "events")["type"] == "begin"
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as raw:
        body = json.dumps({"token": SECRETS[Role.VIEWER]})
        raw.sendall(
            f"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        answer = b"".join(iter(lambda: raw.recv(65536), b"")).decode()
    cookie = answer.lower().partition("set-cookie: ")[2].partition(";")[0]
    start = answer.lower().index(cookie)
    held = {"Cookie": answer[start : start + len(cookie)]}
    with served.open(subprotocols=None, additional_headers=held) as client:
        assert subscribe(client, "events")["type"] == "begin"


def test_who_does_not_read_is_told_so_in_the_close_frame_and_counted(served: Served) -> None:
    big = json.dumps({"frame": 0, "filler": "x" * 200_000}).encode()
    received: list[dict[str, Any]] = []
    with served.open(max_queue=1) as stuck, served.open() as good:
        subscribe(stuck, "results")
        subscribe(good, "results")
        reader = threading.Thread(target=lambda: received.extend(json.loads(each) for each in good))
        reader.start()
        until, published = time.monotonic() + 20, 0
        while served.streams.dropped["ws"] == 0 and time.monotonic() < until:
            served.streams.publish("gate", big, [])
            published += 1
            time.sleep(0.02)
        time.sleep(1.0)  # it does not wake up at once: the reason waits for it behind what it has not read
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                stuck.recv(timeout=5)
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (
            1013,
            "too slow: nothing was read for too long",
        )
        good.close()
        reader.join(5)
    told_as_lost = sum(each.get("results", 0) for each in received)
    assert len([each for each in received if "frame" in each]) + told_as_lost == published > 20
    assert served.streams.statistics()["ws"]["dropped"] == 1


def test_one_too_many_is_refused(served: Served) -> None:
    with ExitStack() as clients:
        for _ in range(LIMITS.clients):
            clients.enter_context(served.open())
        with pytest.raises(InvalidStatus) as caught, served.open():
            pass
    assert caught.value.response.status_code == 503
