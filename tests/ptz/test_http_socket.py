"""HTTP over real sockets: connections that are kept, closed, cut, silent, secret."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.errors import PtzProtocolError, PtzUnreachable, PtzUnsupported
from ptz import http_socket
from ptz.http import NotSent, Request
from ptz.http_socket import SocketTransport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = Request("GET", "/ISAPI/System/deviceInfo")
PUT = Request(
    "PUT", "/ISAPI/PTZCtrl/channels/1/continuous", (("Content-Type", "application/xml"),), b"<PTZData/>"
)

Reply = Callable[[asyncio.StreamWriter, int], Awaitable[None]]


class Camera:
    """A server whose answers are told request by request; it counts connections and keeps what was asked."""

    def __init__(self, *replies: bytes | Reply) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._replies = list(replies)
        self._server: asyncio.Server | None = None

    @asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[str]:
        self._server = await asyncio.start_server(self._serve, host, 0, ssl=tls)
        port = self._server.sockets[0].getsockname()[1]
        async with self._server:
            yield f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                self.requests.append(head + body)
                reply = self._replies.pop(0) if self._replies else OK
                if isinstance(reply, bytes):
                    writer.write(reply)
                else:
                    await reply(writer, len(self.requests))
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def close(writer: asyncio.StreamWriter, _: int) -> None:
    writer.close()


async def answer_and_close(writer: asyncio.StreamWriter, _: int) -> None:
    writer.write(OK)
    writer.close()


async def reset(writer: asyncio.StreamWriter, _: int) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def half(writer: asyncio.StreamWriter, _: int) -> None:
    writer.write(OK[:30])
    writer.close()


async def silence(writer: asyncio.StreamWriter, _: int) -> None:
    await asyncio.sleep(30)


def test_one_connection_for_many_requests() -> None:
    async def run() -> None:
        camera = Camera()
        async with camera.serving() as url:
            transport = SocketTransport(url)
            for request in (GET, PUT, GET):
                assert (await transport.exchange(request, 2.0)).body == b"ok"
            await transport.close()
            await transport.close()
        assert camera.connections == 1
        first, second, _ = camera.requests
        host = url.removeprefix("http://").encode()
        assert first.startswith(b"GET /ISAPI/System/deviceInfo HTTP/1.1\r\nHost: " + host + b"\r\n")
        assert b"Content-Length" not in first and b"Connection: keep-alive" in first
        assert b"Content-Length: 10\r\n" in second and second.endswith(b"\r\n\r\n<PTZData/>")

    asyncio.run(run())


def test_an_empty_body_has_a_length() -> None:
    async def run() -> None:
        camera = Camera()
        async with camera.serving() as url:
            transport = SocketTransport(url)
            await transport.exchange(Request("PUT", "/presets/1/goto"), 2.0)
            await transport.exchange(Request("PUT", "/x", (("Content-Length", "0"),)), 2.0)
            await transport.close()
        assert [request.count(b"Content-Length: 0\r\n") for request in camera.requests] == [1, 1]

    asyncio.run(run())


@pytest.mark.parametrize("closing", [answer_and_close, OK + b"trailing", OK.replace(b"1.1", b"1.0")])
def test_a_connection_that_cannot_be_kept_is_replaced(closing: bytes | Reply) -> None:
    async def run() -> None:
        camera = Camera(closing, closing)
        async with camera.serving() as url:
            transport = SocketTransport(url)
            for _ in range(3):
                assert (await transport.exchange(PUT, 2.0)).body == b"ok"
                await asyncio.sleep(0.01)
            await transport.close()
        assert camera.connections == 3 and len(camera.requests) == 3

    asyncio.run(run())


@pytest.mark.parametrize("ending", [close, reset])
def test_a_kept_connection_that_ends_is_tried_once_anew(ending: Reply) -> None:
    async def run() -> None:
        camera = Camera(OK, ending, OK, ending, ending)
        async with camera.serving() as url:
            transport = SocketTransport(url)
            await transport.exchange(GET, 2.0)
            assert (await transport.exchange(PUT, 2.0)).status == 200
            with pytest.raises(PtzUnreachable, match="closed without an answer"):
                await transport.exchange(PUT, 2.0)
            await transport.close()
        assert len(camera.requests) == 5

    asyncio.run(run())


@pytest.mark.parametrize("ending", [close, reset])
def test_a_new_connection_that_ends_is_not_repeated(ending: Reply) -> None:
    async def run() -> None:
        camera = Camera(ending)
        async with camera.serving() as url:
            transport = SocketTransport(url)
            with pytest.raises(PtzUnreachable) as caught:
                await transport.exchange(PUT, 2.0)
            assert not isinstance(caught.value, NotSent)
            assert (await transport.exchange(PUT, 2.0)).status == 200
            await transport.close()
        assert len(camera.requests) == 2

    asyncio.run(run())


def test_half_an_answer_is_never_repeated() -> None:
    async def run() -> None:
        camera = Camera(OK, half)
        async with camera.serving() as url:
            transport = SocketTransport(url)
            await transport.exchange(GET, 2.0)
            with pytest.raises(PtzUnreachable, match="cut off"):
                await transport.exchange(PUT, 2.0)
            await transport.close()
        assert len(camera.requests) == 2

    asyncio.run(run())


def test_silence_ends_and_what_comes_late_is_not_taken_for_an_answer() -> None:
    async def late(writer: asyncio.StreamWriter, _: int) -> None:
        await asyncio.sleep(0.15)
        writer.write(OK.replace(b"\r\n\r\nok", b"\r\n\r\nno"))
        await asyncio.sleep(0.2)

    async def run() -> None:
        async with Camera(late).serving() as url:
            transport = SocketTransport(url)
            with pytest.raises(PtzUnreachable, match=r"no answer within 0\.1 s \(GET /ISAPI"):
                await transport.exchange(GET, 0.1)
            await asyncio.sleep(0.1)
            assert (await transport.exchange(GET, 2.0)).body == b"ok"
            await transport.close()

    asyncio.run(run())


def test_giving_up_leaves_nothing_behind() -> None:
    async def run() -> None:
        camera = Camera(OK, silence)
        async with camera.serving() as url:
            transport = SocketTransport(url)
            await transport.exchange(GET, 2.0)
            asking = asyncio.create_task(transport.exchange(GET, 5.0))
            await asyncio.sleep(0.05)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert (await transport.exchange(GET, 2.0)).body == b"ok"
            await transport.close()
        assert camera.connections == 2

    asyncio.run(run())


def test_a_connection_that_was_idle_for_long_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        camera = Camera()
        async with camera.serving() as url:
            transport = SocketTransport(url)
            for _ in range(2):
                await transport.exchange(GET, 2.0)
                await asyncio.sleep(0.03)
            await transport.close()
        assert camera.connections == 2

    monkeypatch.setattr(http_socket, "MOST_IDLE_S", 0.02)
    asyncio.run(run())


def test_nobody_there() -> None:
    async def run() -> None:
        async with Camera().serving() as url:
            pass
        with pytest.raises(NotSent, match="connection refused"):
            await SocketTransport(url).exchange(GET, 2.0)
        with pytest.raises(NotSent, match="host name not found"):
            await SocketTransport("http://camera.invalid").exchange(GET, 5.0)
        with pytest.raises(NotSent, match="host name not found"):
            await SocketTransport("http://" + "a" * 70).exchange(GET, 5.0)

    asyncio.run(run())


def test_a_camera_that_takes_no_connections_is_given_up() -> None:
    async def run() -> None:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            port = full.getsockname()[1]
            # The queue of a listener that accepts nobody: whoever comes later waits.
            waiting = [socket.socket() for _ in range(4)]
            for other in waiting:
                other.setblocking(False)
                other.connect_ex(("127.0.0.1", port))
            await asyncio.sleep(0.05)
            with pytest.raises(NotSent, match=r"no connection within 0\.2 s"):
                await SocketTransport(f"http://127.0.0.1:{port}").exchange(GET, 0.2)
            for other in waiting:
                other.close()

    asyncio.run(run())


def test_ipv6() -> None:
    async def run() -> None:
        camera = Camera()
        try:
            async with camera.serving(host="::1") as url:
                transport = SocketTransport(url)
                await transport.exchange(GET, 2.0)
                await transport.close()
        except OSError:
            pytest.skip("no IPv6 on this machine")
        assert b"Host: [::1]:" in camera.requests[0]

    asyncio.run(run())


@pytest.mark.parametrize(
    "url", ["", "camera", "ftp://camera", "http://", "http://camera:port", "rtsp://u:geheim@c"]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(PtzUnsupported, match="http://host:port") as caught:
        SocketTransport(url)
    assert "geheim" not in str(caught.value)


def test_messages_have_no_password() -> None:
    async def run() -> None:
        transport = SocketTransport("http://admin:geheim@127.0.0.1:1/path")
        with pytest.raises(NotSent) as caught:
            await transport.exchange(Request("GET", "/x?password=geheim"), 2.0)
        assert "geheim" not in str(caught.value) and "admin" not in str(caught.value)
        assert "geheim" not in repr(Request("GET", "/", (("Authorization", "geheim"),), b"geheim"))

    asyncio.run(run())


@pytest.mark.parametrize("request_", [Request("GET", "/a b"), Request("GET", "/a\r\nX: y"),
                                      Request("GET", "/", (("X", "a\r\nY: b"),))])  # fmt: skip
def test_nothing_is_smuggled_into_a_request(request_: Request) -> None:
    with pytest.raises(PtzProtocolError, match="not sent"):
        asyncio.run(SocketTransport("http://127.0.0.1:1").exchange(request_, 1.0))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    """A server's TLS with a certificate that nobody signed, and its fingerprint."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing")
    folder: Path = tmp_path_factory.mktemp("certificate")
    key, pem = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", str(key), "-out", str(pem), "-days", "2", "-subj", "/CN=camera"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return context, hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.read_text())).hexdigest()


def test_a_certificate_that_nobody_signed(certificate: tuple[ssl.SSLContext, str]) -> None:
    context, fingerprint = certificate

    async def run() -> None:
        camera = Camera()
        async with camera.serving(context) as url:
            with pytest.raises(NotSent, match=f"not trusted .* set tls_fingerprint to {fingerprint}"):
                await SocketTransport(url).exchange(GET, 5.0)
            with pytest.raises(PtzProtocolError, match=f"another certificate .* {fingerprint}"):
                await SocketTransport(url, tls_fingerprint="00" * 32).exchange(GET, 5.0)
            assert camera.requests == []
            colons = ":".join(re.findall("..", fingerprint.upper()))
            for text in (fingerprint, colons):
                transport = SocketTransport(url, tls_fingerprint=text)
                for _ in range(2):
                    assert (await transport.exchange(PUT, 5.0)).body == b"ok"
                await transport.close()
        assert len(camera.requests) == 4

    asyncio.run(run())


def test_https_where_there_is_none() -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(NotSent, match="no TLS connection"):
                await SocketTransport(f"https://127.0.0.1:{port}").exchange(GET, 5.0)

    asyncio.run(run())
