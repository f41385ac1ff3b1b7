"""The connection without sockets: what a caller sees of each way of travelling, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from engine.errors import PtzProtocolError, PtzUnreachable
from ptz.http import NotSent, Request, Response
from ptz.simulator.faults import Fault
from ptz.simulator.transport import DeviceTransport
from ptz.virtual_time import run_virtual
from tests.ptz.simulator.visitor import PTZ, camera

STATUS = Request("GET", f"{PTZ}/status")


def exchanged(*faults: Fault, timeout_s: float = 2.0) -> tuple[Response | Exception, float, DeviceTransport]:
    """What one exchange gave, how long it took, and the transport."""

    async def run() -> tuple[Response | Exception, float, DeviceTransport]:
        loop = asyncio.get_running_loop()
        transport = DeviceTransport(camera("hik-8425ix", *faults), loop.time)
        try:
            return await transport.exchange(STATUS, timeout_s), loop.time(), transport
        except PtzUnreachable as error:
            return error, loop.time(), transport
        except PtzProtocolError as error:
            return error, loop.time(), transport

    return run_virtual(run())


def test_an_answer_takes_the_time_of_the_camera() -> None:
    answer, seconds, transport = exchanged()
    assert isinstance(answer, Response)
    assert answer.status == 401
    assert answer.header("Content-Length") == str(len(answer.body))
    assert seconds == pytest.approx(0.035)
    assert transport.connections == 1


@pytest.mark.parametrize(
    ("kind", "error", "seconds"),
    [
        ("slow", PtzUnreachable, 2.0),
        ("silent", PtzUnreachable, 2.0),
        ("half_answer", PtzUnreachable, 2.0),
        ("length_too_long", PtzUnreachable, 2.0),
        ("half_answer_close", PtzUnreachable, 0.035),
        ("reset_before", PtzUnreachable, 0.0),
        ("reset_after", PtzUnreachable, 0.035),
        ("refused", NotSent, 0.0),
        ("garbage", PtzProtocolError, 0.035),
    ],
)
def test_failures_take_their_time(kind: str, error: type[Exception], seconds: float) -> None:
    answer, took_s, _ = exchanged(Fault(kind, value=30.0))
    assert type(answer) is error
    assert took_s == pytest.approx(seconds)


@pytest.mark.parametrize("kind", ["chunked", "close_each", "trailing_bytes"])
def test_what_a_client_does_not_notice(kind: str) -> None:
    answer, _, _ = exchanged(Fault(kind))
    assert isinstance(answer, Response)
    assert answer.body.endswith(b"</ResponseStatus>")


def test_a_length_that_is_too_short_cuts_the_body() -> None:
    answer, _, _ = exchanged(Fault("length_too_short"))
    assert isinstance(answer, Response)
    assert not answer.body.endswith(b"</ResponseStatus>")


def test_after_a_failure_the_next_request_has_a_new_connection() -> None:
    async def run() -> list[str]:
        loop = asyncio.get_running_loop()
        host = camera("hik-8425ix", Fault("silent", start_s=1.0, duration_s=1.0))
        transport = DeviceTransport(host, loop.time)
        for _ in range(2):
            await transport.exchange(STATUS, 2.0)
        await asyncio.sleep(1.0)
        with pytest.raises(PtzUnreachable):
            await transport.exchange(STATUS, 2.0)
        await transport.exchange(STATUS, 2.0)
        await transport.close()
        await transport.close()
        return [entry.peer for entry in host.log]

    peers = run_virtual(run())
    assert peers[0] == peers[1] == peers[2] != peers[3]


def test_a_request_that_is_given_up_loses_its_connection() -> None:
    async def run() -> int:
        loop = asyncio.get_running_loop()
        transport = DeviceTransport(camera("hik-8425ix", Fault("slow", value=1.0, duration_s=0.5)), loop.time)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(transport.exchange(STATUS, 5.0), 0.2)
        await asyncio.sleep(1.0)
        await transport.exchange(STATUS, 5.0)
        return transport.connections

    assert run_virtual(run()) == 2
