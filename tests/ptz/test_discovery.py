"""WS-Discovery on the loopback: a responder that answers properly, one that does not, and nobody."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from engine.errors import PtzProtocolError, PtzRefused, PtzUnreachable
from ptz import discovery
from ptz.discovery import GROUP, Discovered, discover, matches, probe
from ptz.xml import parse

LOOPBACK = "127.0.0.1"
Answer = Callable[[str], list[bytes]]


def answer(
    message_id: str,
    xaddrs: str = "http://127.0.0.1:8080/onvif/device_service",
    identity: str = "urn:uuid:1",
    scopes: str = "onvif://www.onvif.org/name/Front%20gate onvif://www.onvif.org/hardware/DS-2DE "
    "onvif://www.onvif.org/location/city/Bern onvif://www.onvif.org/location/country/CH",
) -> bytes:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope"
 xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl">
<SOAP-ENV:Header><wsa:RelatesTo>{message_id}</wsa:RelatesTo></SOAP-ENV:Header><SOAP-ENV:Body><d:ProbeMatches>
<d:ProbeMatch><wsa:EndpointReference><wsa:Address>{identity}</wsa:Address></wsa:EndpointReference>
<d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types><d:Scopes>{scopes}</d:Scopes><d:XAddrs>{xaddrs}</d:XAddrs>
<d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches></SOAP-ENV:Body></SOAP-ENV:Envelope>""".encode()


class Responder(asyncio.DatagramProtocol):
    """A device on the network: reads probes as a device would and answers to whom asked."""

    def __init__(self, answers: Answer) -> None:
        self.probes: list[bytes] = []
        self._answers = answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        self.probes.append(data)
        root = parse(data, "probe")
        assert root.need("Body/Probe").text_of("Types") == "dn:NetworkVideoTransmitter"
        for reply in self._answers(root.text_of("Header/MessageID")):
            self._transport.sendto(reply, source)


@asynccontextmanager
async def responder(answers: Answer, multicast: bool = False) -> AsyncIterator[tuple[Responder, int]]:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("" if multicast else LOOPBACK, 0))
    if multicast:
        membership = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(LOOPBACK))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(lambda: Responder(answers), sock=sock)
    yield protocol, sock.getsockname()[1]
    transport.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize("multicast", [False, True], ids=["one address", "multicast"])
def test_a_camera_that_answers(multicast: bool) -> None:
    async def scene() -> list[Discovered]:
        async with responder(lambda asked: [answer(asked), answer(asked)], multicast) as (device, port):
            where = {"interface": LOOPBACK} if multicast else {"address": LOOPBACK}
            found = await discover(0.4, port=port, **where)
            assert len(device.probes) == 2 and device.probes[0] == device.probes[1], "datagrams get lost"
        return found

    (found,) = asyncio.run(scene())
    assert found == Discovered(
        xaddrs=("http://127.0.0.1:8080/onvif/device_service",),
        answered_from=LOOPBACK,
        name="Front gate",
        hardware="DS-2DE",
        location="city/Bern, country/CH",
        identity="urn:uuid:1",
        types=("NetworkVideoTransmitter", "Device"),
    )
    assert found.url == "http://127.0.0.1:8080/onvif/device_service"


def test_nobody_is_a_result() -> None:
    async def scene() -> None:
        async with responder(lambda asked: []) as (device, port):
            assert await discover(0.1, address=LOOPBACK, port=port) == []
            assert device.probes
        assert await discover(0.1, address=LOOPBACK, port=port) == [], "nobody listens there"

    asyncio.run(scene())


def test_what_is_no_answer_does_not_keep_the_others_from_being_found() -> None:
    def answers(asked: str) -> list[bytes]:
        return [
            b"",
            b"\xff" * 60_000,
            b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
            answer("urn:uuid:somebody-else", identity="urn:uuid:2"),
            answer(asked, xaddrs="ftp://192.0.2.1/ http://[oops", identity="urn:uuid:3"),
            answer(asked, identity="urn:uuid:4", scopes="onvif://www.onvif.org/name/%1b%5b31mred%0a"),
            *(answer(asked, f"http://192.0.2.9:{n}/", f"urn:uuid:n{n}") for n in (81, 82)),
        ]

    async def scene() -> list[Discovered]:
        async with responder(answers) as (_, port):
            return await discover(0.3, address=LOOPBACK, port=port)

    found = {device.identity: device for device in asyncio.run(scene())}
    assert set(found) == {"urn:uuid:4", "urn:uuid:n81", "urn:uuid:n82"}
    assert found["urn:uuid:4"].name == "[31mred"


def test_the_address_to_use_is_where_the_answer_came_from() -> None:
    named = ("http://169.254.7.7/onvif/device_service", "http://192.0.2.5:8000/onvif/device_service")
    assert Discovered(named, "192.0.2.5").url == "http://192.0.2.5:8000/onvif/device_service"
    assert Discovered(named, "198.51.100.1").url == "http://198.51.100.1/onvif/device_service"


def test_answers_in_the_way_of_a_real_device_without_the_list_around_them() -> None:
    bare = answer("urn:uuid:q").replace(b"<d:ProbeMatches>", b"").replace(b"</d:ProbeMatches>", b"")
    assert [device.identity for device in matches(bare, LOOPBACK, "urn:uuid:q")] == ["urn:uuid:1"]
    with pytest.raises(PtzProtocolError, match="names no device"):
        matches(probe("urn:uuid:q").replace(b"MessageID", b"RelatesTo"), LOOPBACK, "urn:uuid:q")


def test_all_interfaces_are_asked() -> None:
    assert LOOPBACK in discovery.own_addresses()

    async def scene() -> list[Discovered]:
        async with responder(lambda asked: [answer(asked)], multicast=True) as (_, port):
            return await discover(0.4, port=port)

    assert [found.identity for found in asyncio.run(scene())] == ["urn:uuid:1"]


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"address": "camera.example"}, PtzRefused, "'camera.example' is no IPv4 address"),
        ({"interface": "eth0"}, PtzRefused, "'eth0' is no IPv4 address"),
        ({"interface": "192.0.2.77"}, PtzUnreachable, "no network interface can ask: 192.0.2.77"),
    ],
)
def test_what_cannot_be_asked(arguments: dict[str, str], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        asyncio.run(discover(0.1, **arguments))  # type: ignore[arg-type]  # all of them are texts
    with pytest.raises(PtzRefused, match="seconds"):
        asyncio.run(discover(0.0))
