"""A simulated camera on real sockets: an independent client logs in, broken wires are broken, no bytes break it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptz.simulator.accounts import LoginSettings
from ptz.simulator.answer import GARBAGE
from ptz.simulator.camera import CameraSettings, SimulatedCamera
from ptz.simulator.faults import Fault
from ptz.simulator.server import BadRequest, Served, parse_head, serve
from tests.ptz.simulator.visitor import ADMIN, PTZ, camera, ptz_data

STATUS = f"{PTZ}/status"
QUICK = CameraSettings(answer_s=0.0)


def with_served(host: SimulatedCamera, visit: Callable[[Served], Awaitable[None]]) -> None:
    """Run `visit` against the camera on a socket."""

    async def run() -> None:
        async with asyncio.timeout(20), serve(host) as served:
            await visit(served)

    asyncio.run(run())


def client(served: Served, password: str = ADMIN.password) -> httpx.AsyncClient:
    auth = httpx.DigestAuth(ADMIN.name, password)
    return httpx.AsyncClient(base_url=served.url, auth=auth, trust_env=False, timeout=5)


@pytest.mark.parametrize("digest", ["qop", "noqop", "dual"])
def test_a_client_that_is_not_ours_logs_in_and_moves_the_head(digest: str) -> None:
    host = camera(settings=QUICK, login=LoginSettings(digest=digest))

    async def visit(served: Served) -> None:
        async with client(served) as web:
            assert "DS-2DF8425IX" in (await web.get("/ISAPI/System/deviceInfo")).text
            answer = await web.put(f"{PTZ}/continuous", content=ptz_data(60, 20, 0))
            assert (answer.status_code, "<statusCode>1<" in answer.text) == (200, True)
            await asyncio.sleep(0.4)
            await web.put(f"{PTZ}/continuous", content=ptz_data(0, 0, 0))
            status = (await web.get(STATUS)).text
            assert "<azimuth>0<" not in status
            assert "<elevation>-" in status, "raw elevation is positive downwards"

    with_served(host, visit)
    assert host.accounts.refused_since(0.0) == 0
    assert len({entry.peer for entry in host.log}) == 1, "one connection served them all"


def test_a_client_with_the_wrong_password_gets_nowhere() -> None:
    host = camera(settings=QUICK)

    async def visit(served: Served) -> None:
        async with client(served, "wrong") as web:
            for _ in range(8):
                assert (await web.get(STATUS)).status_code == 401
        async with client(served) as web:
            assert "userLocked" in (await web.get(STATUS)).text

    with_served(host, visit)
    assert host.accounts.standing("127.0.0.1", 1.0).locked


BREAKS = {
    "half_answer_close": httpx.RemoteProtocolError,
    "reset_before": httpx.ReadError,
    "reset_after": httpx.ReadError,
    "garbage": httpx.RemoteProtocolError,
    "silent": httpx.ReadTimeout,
    "half_answer": httpx.ReadTimeout,
    "length_too_long": httpx.ReadTimeout,
    "slow": httpx.ReadTimeout,
}


@pytest.mark.parametrize("kind", sorted(BREAKS))
def test_broken_wires_as_a_client_sees_them(kind: str) -> None:
    host = camera("hik-8425ix", Fault(kind, path="status", value=5.0), settings=QUICK)

    async def visit(served: Served) -> None:
        async with httpx.AsyncClient(base_url=served.url, trust_env=False, timeout=0.2) as web:
            assert (await web.get("/ISAPI/System/deviceInfo")).status_code == 401
            with pytest.raises(BREAKS[kind]):
                await web.get(STATUS)
            assert (await web.get("/ISAPI/System/deviceInfo")).status_code == 401, "others go on"

    with_served(host, visit)


@pytest.mark.parametrize("kind", ["chunked", "close_each"])
def test_wires_that_a_client_copes_with(kind: str) -> None:
    host = camera("hik-8425ix", Fault(kind), settings=QUICK)

    async def visit(served: Served) -> None:
        async with client(served) as web:
            for _ in range(3):
                assert (await web.get(STATUS)).text.endswith("</PTZStatus>")

    with_served(host, visit)
    assert len({entry.peer for entry in host.log}) == (4 if kind == "close_each" else 1)


async def raw(served: Served, request: bytes) -> bytes:
    """Everything that comes back until the end of the connection, or for a moment."""
    reader, writer = await asyncio.open_connection(served.host, served.port)
    writer.write(request)
    answer = b""
    try:
        async with asyncio.timeout(0.3):
            while piece := await reader.read(65_536):
                answer += piece
    except (TimeoutError, ConnectionError):
        pass
    writer.close()
    return answer


def test_what_is_no_request_is_answered_with_400_and_the_end() -> None:
    async def visit(served: Served) -> None:
        for request in (b"hello\r\n\r\n", b"GET\r\n\r\n", b"GET x HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nbad\r\n\r\n",
                        b"PUT / HTTP/1.1\r\nContent-Length: ten\r\n\r\n",
                        b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):  # fmt: skip
            assert (await raw(served, request)).startswith(b"HTTP/1.1 400 "), request
        assert (await raw(served, b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000)).startswith(b"HTTP/1.1 431 ")
        assert (await raw(served, b"PUT / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n")).startswith(
            b"HTTP/1.1 413 "
        )

    with_served(camera(settings=QUICK), visit)


def test_bodies_come_in_chunks_and_after_a_hundred_continue() -> None:
    host = camera(settings=QUICK)

    async def visit(served: Served) -> None:
        head = b"POST /onvif/device_service HTTP/1.1\r\nConnection: close\r\n"
        body = b"<a/>"
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\n4\r\n" + body + b"\r\n0\r\n\r\n"
        assert (await raw(served, chunked)).startswith(b"HTTP/1.1 400 ")
        waited = await raw(served, head + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n" + body)
        assert waited.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 ")

    with_served(host, visit)
    assert [entry.status for entry in host.log] == [400, 400]


def test_bytes_that_belong_to_nothing_and_garbage() -> None:
    async def visit(served: Served) -> None:
        host.device.faults.add(Fault("trailing_bytes"))
        request = f"GET {STATUS} HTTP/1.1\r\nConnection: close\r\n\r\n".encode()
        assert (await raw(served, request)).endswith(b"<!-- more than was announced -->\r\n")
        host.device.faults.clear()
        host.device.faults.add(Fault("garbage"))
        assert await raw(served, request) == GARBAGE

    host = camera(settings=QUICK)
    with_served(host, visit)


def test_events_and_pictures_flow_until_the_client_goes() -> None:
    host = camera(settings=CameraSettings(answer_s=0.0, heartbeat_s=0.05))

    async def visit(served: Served) -> None:
        async with client(served) as web:
            async with web.stream("GET", "/ISAPI/Event/notification/alertStream") as events:
                text = b""
                async for piece in events.aiter_bytes():
                    text += piece
                    if text.count(b"videoloss</eventType>") >= 3:
                        break
            async with web.stream("GET", "/ISAPI/Streaming/channels/102/httppreview") as film:
                assert (film.headers["Content-Type"]).startswith("multipart/x-mixed-replace")
                text = b""
                async for piece in film.aiter_bytes():
                    text += piece
                    if text.count(b"\xff\xd9") >= 3:
                        break

    with_served(host, visit)


def test_a_rebooting_camera_refuses_connections_and_comes_back() -> None:
    host = camera(settings=QUICK)

    async def visit(served: Served) -> None:
        async with client(served) as web:
            assert (await web.get(STATUS)).status_code == 200
            host.device.reboot(host.device.now_s, 0.4)
            await asyncio.sleep(0.15)
            for _ in range(2):
                with pytest.raises((httpx.ConnectError, httpx.ReadError)) as failed:
                    await web.get(STATUS)
            assert failed.type is httpx.ConnectError, "nobody is at the address"
            await asyncio.sleep(0.6)
            assert (await web.get(STATUS)).status_code == 200, "a stale nonce is no failed login"

    with_served(host, visit)
    assert host.accounts.refused_since(0.0) == 0


def test_two_cameras_cannot_have_one_address() -> None:
    async def visit(served: Served) -> None:
        with pytest.raises(OSError):
            async with serve(camera(), served.host, served.port):
                pass

    with_served(camera(), visit)


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_request_or_refused(head: bytes) -> None:
    for whole in (head, b"GET /" + head, b"PUT / HTTP/1.1\r\n" + head):
        try:
            request = parse_head(whole)
        except BadRequest as bad:
            assert bad.status in (400, 431)
        else:
            assert request.path.startswith("/")
            camera().handle(request, 0.0, "h:1")


def test_no_bytes_stop_the_server() -> None:
    pieces = [
        b"\x00" * 10,
        b"GET / HTTP/1.1\r\n",
        b"\r\n\r\n",
        b"\xff" * 300 + b"\r\n\r\n",
        b"PUT /ISAPI HTTP/1.1\r\n\r\n",
    ]

    async def visit(served: Served) -> None:
        await asyncio.gather(*(raw(served, a + b) for a in pieces for b in pieces))
        async with client(served) as web:
            assert (await web.get(STATUS)).status_code == 200

    with_served(camera(settings=QUICK), visit)
