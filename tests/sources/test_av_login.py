"""Passwords in URLs: how many requests a refused open is, and that the budget of refusals is kept."""

from __future__ import annotations

import itertools
import re
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from engine.errors import SourceDisconnected, SourceError, SourceNotFound, SourceUnauthorized
from engine.lockout import BLOCK_S, Governor
from engine.sources.av_container import Address, AvConnection, address_of
from engine.sources.av_login import with_login
from engine.sources.base import SourceOptions

URL = "rtsp://admin:p%40ss%2Fw@10.0.0.9:554/Streaming/Channels/101"


def refused() -> str:
    raise SourceUnauthorized("source x: the camera refused the user name or password")


def governor() -> Governor:
    return Governor("10.0.0.9", "admin", "p@ss/w")


def test_two_refused_opens_and_then_none() -> None:
    for _ in range(2):
        with pytest.raises(SourceUnauthorized, match="refused the user name"):
            with_login(URL, "x", 1.0, refused)
    with pytest.raises(
        SourceUnauthorized, match=r"source x: 10\.0\.0\.9: the password was refused; .* 30 min"
    ):
        with_login(URL, "x", 1.0, lambda: pytest.fail("it must not be opened"))
    # The same account of the same camera, whatever the protocol.
    assert governor().blocked_s == pytest.approx(BLOCK_S, abs=5)
    assert with_login(URL.replace("p%40ss", "richtig"), "x", 1.0, lambda: "open") == "open"


@pytest.mark.parametrize("error", [SourceNotFound("404"), SourceDisconnected("refused"), SourceError("odd")])
def test_other_failures_cost_nothing(error: SourceError) -> None:
    def fail() -> None:
        raise error

    for _ in range(5):
        with pytest.raises(type(error)):
            with_login(URL, "x", 1.0, fail)
    assert governor().blocked_s == 0
    governor().reserve()


def test_success_is_told() -> None:
    assert with_login(URL, "x", 1.0, lambda: 5) == 5
    assert governor().reserve().number == ""


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://10.0.0.9/x",
        "rtmp://u:p@10.0.0.9/x",
        "file:/a:b@c",
        "rtsp://[",
        "http://10.0.0.9/?user=a&pass=b",
    ],
)
def test_urls_without_a_login_of_theirs(url: str) -> None:
    for _ in range(5):
        with pytest.raises(SourceUnauthorized, match="refused the user name"):
            with_login(url, "x", 1.0, refused)


def test_others_that_log_in_are_waited_for_but_not_for_ever() -> None:
    permits = [governor().reserve() for _ in range(2)]
    with pytest.raises(SourceDisconnected, match="others are logging in"):
        with_login(URL, "x", 0.1, refused)
    threading.Timer(0.15, lambda: governor().accepted(permits[0])).start()
    assert with_login(URL, "x", 5.0, lambda: "open") == "open"


@pytest.fixture
def strangers() -> Iterator[Callable[[str, str, bool], int]]:
    """Servers that refuse every login, and count those that were sent: (protocol, challenge, OPTIONS too) → port."""
    listeners: list[socket.socket] = []

    def serve(protocol: str, challenge: str, early: bool) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=accept, args=(listener, protocol, challenge, early), daemon=True).start()
        port: int = listener.getsockname()[1]
        return port

    def accept(listener: socket.socket, protocol: str, challenge: str, early: bool) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection, protocol, challenge, early), daemon=True).start()

    def talk(connection: socket.socket, protocol: str, challenge: str, early: bool) -> None:
        with connection, connection.makefile("rb") as lines:
            for number in itertools.count():
                head = b"".join(iter(lines.readline, b"\r\n"))
                if not head:
                    return
                LOGINS[0] += b"\r\nAuthorization:" in head
                sequence = re.search(rb"CSeq: \d+\r\n", head)
                text = sequence[0] if sequence else b""
                if head.startswith(b"OPTIONS") and not early:
                    connection.sendall(protocol.encode() + b" 200 OK\r\n" + text + b"\r\n")
                    continue
                asked = challenge % number if "%" in challenge else challenge
                text += f"WWW-Authenticate: {asked}\r\nContent-Length: 0\r\n\r\n".encode()
                connection.sendall(protocol.encode() + b" 401 Unauthorized\r\n" + text)

    LOGINS[0] = 0
    yield serve
    for listener in listeners:
        listener.close()


LOGINS = [0]


@pytest.mark.parametrize(
    ("protocol", "challenge", "early"),
    [
        ("RTSP/1.0", 'Digest realm="r", nonce="%032x", stale="FALSE"', False),
        ("RTSP/1.0", 'Digest realm="r", nonce="%032x", stale="TRUE"', False),
        ("RTSP/1.0", 'Digest realm="r", nonce="%032x", qop="auth"', True),
        ("RTSP/1.0", 'Basic realm="r"', False),
        ("HTTP/1.1", 'Digest realm="r", nonce="%032x", qop="auth"', False),
        ("HTTP/1.1", 'Basic realm="r"', False),
    ],
)
def test_a_refused_open_is_one_refused_request(
    strangers: Callable[[str, str, bool], int], protocol: str, challenge: str, early: bool
) -> None:
    port = strangers(protocol, challenge, early)
    url = f"{protocol[:4].lower()}://admin:falsch@127.0.0.1:{port}/Streaming/Channels/101"
    address: Address = address_of(SourceOptions(url))
    for tried in (1, 2, 2, 2):
        with pytest.raises(SourceUnauthorized) as caught:
            AvConnection(address, 3.0)
        assert LOGINS[0] == tried and "falsch" not in str(caught.value)
