"""WS-Discovery: which ONVIF cameras answer in this network, or at one address.

One probe, a bounded time of listening. No answers is a result. What answers is not trusted: size, count and addresses
are checked, nothing is fetched.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import struct
import sys
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from engine.errors import PtzProtocolError, PtzRefused, PtzUnreachable
from ptz.xml import Element, document, element, parse

GROUP = "239.255.255.250"
PORT = 3702
MOST_ANSWERS = 1000
MOST_BYTES = 65_535
REPEAT_S = 0.3
"""The probe is sent a second time after this: datagrams get lost."""
SCOPE = "onvif://www.onvif.org/"

_SOAP = "http://www.w3.org/2003/05/soap-envelope"
_ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
_DISCOVERY = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
_NETWORK = "http://www.onvif.org/ver10/network/wsdl"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Discovered:
    """A device that answered.

    xaddrs         addresses of its device service, as it names them
    answered_from  host that the answer came from; behind NAT this is the one that works
    name, hardware, location  as it names itself, "" where it does not
    identity       its own permanent address (urn:uuid:…)
    types          what it says it is
    """

    xaddrs: tuple[str, ...]
    answered_from: str
    name: str = ""
    hardware: str = ""
    location: str = ""
    identity: str = ""
    types: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """http://host[:port]/path to talk to: of the addresses it names, the one at the host that answered; else the
        first one with that host put in its place."""
        named = [urlsplit(address) for address in self.xaddrs]
        chosen = next((parts for parts in named if parts.hostname == self.answered_from), named[0])
        port = f":{chosen.port}" if chosen.port else ""
        return f"{chosen.scheme}://{self.answered_from}{port}{chosen.path or '/'}"


async def discover(
    timeout_s: float = 2.0, interface: str = "", address: str = "", port: int = PORT
) -> list[Discovered]:
    """Who answers within `timeout_s`, in the order of their addresses.

    interface  address of one of ours to ask through; "" = all of them
    address    ask this host alone, without multicast
    Raises `PtzUnreachable` where nothing can be sent at all, and `PtzRefused` for an address that is none.
    """
    if not 0 < timeout_s <= 60:
        raise PtzRefused(f"discovery takes more than 0 and at most 60 seconds, found {timeout_s}")
    message_id = f"urn:uuid:{uuid.uuid4()}"
    listener = _Listener(message_id)
    loop = asyncio.get_running_loop()
    endpoints = []
    refusals = []
    target = (str(_address(address)), port) if address else (GROUP, port)
    for own in [interface] if interface or address else own_addresses():
        try:
            endpoint, _ = await loop.create_datagram_endpoint(
                lambda: listener, sock=_socket(str(_address(own)) if own else "", multicast=not address)
            )
            endpoints.append(endpoint)
        except OSError as error:
            refusals.append(f"{own or 'any'}: {error.strerror or error}")
    if not endpoints:
        raise PtzUnreachable(
            f"discovery: no network interface can ask: {'; '.join(refusals) or 'there is none'}"
        )
    try:
        await _ask(endpoints, probe(message_id), target, timeout_s)
    finally:
        for endpoint in endpoints:
            endpoint.close()
        await asyncio.sleep(0)
    if listener.refusals and not listener.found:
        log.info("discovery: %s", "; ".join(sorted(listener.refusals)))
    return sorted(listener.found.values(), key=lambda found: (found.answered_from, found.url))


async def _ask(
    endpoints: Iterable[asyncio.DatagramTransport], body: bytes, target: tuple[str, int], timeout_s: float
) -> None:
    first_s = min(REPEAT_S, timeout_s / 2)
    for wait_s in (first_s, timeout_s - first_s):
        for endpoint in endpoints:
            endpoint.sendto(body, target)
        await asyncio.sleep(wait_s)


def _address(text: str) -> ipaddress.IPv4Address:
    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        raise PtzRefused(f"discovery: {text!r} is no IPv4 address") from None


def _socket(own: str, multicast: bool) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        found.setblocking(False)
        found.bind((own, 0))
        if multicast:
            found.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
            found.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
    except OSError:
        found.close()
        raise
    return found


def own_addresses() -> list[str]:
    """IPv4 addresses of this machine's interfaces; where they cannot be listed, the one towards the network."""
    found = {address for _, name in socket.if_nameindex() if (address := _address_of(name))}
    return sorted(found or {_address_outwards()} - {""})


def _address_of(interface: str) -> str:
    if not sys.platform.startswith("linux"):
        return ""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking, 0x8915, struct.pack("256s", interface.encode()[:15]))  # SIOCGIFADDR
        except OSError:
            return ""
    return socket.inet_ntoa(answer[20:24])


def _address_outwards() -> str:
    """The address that a datagram to the group would leave from; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect((GROUP, PORT))
            return str(asking.getsockname()[0])
        except OSError:
            return ""


def probe(message_id: str) -> bytes:
    """The question: every network video transmitter."""
    names = {"xmlns:s": _SOAP, "xmlns:a": _ADDRESSING, "xmlns:d": _DISCOVERY, "xmlns:dn": _NETWORK}
    header = element(
        "s:Header",
        element("a:MessageID", message_id),
        element("a:To", "urn:schemas-xmlsoap-org:ws:2005:04:discovery"),
        element("a:Action", f"{_DISCOVERY}/Probe"),
    )
    types = element("d:Types", "dn:NetworkVideoTransmitter")
    body = element("s:Body", element("d:Probe", types))
    return document(element("s:Envelope", header, body, attributes=dict(names)))


def matches(answer: bytes, answered_from: str, message_id: str) -> list[Discovered]:
    """The devices in an answer. Raises `PtzProtocolError` for what is no answer to our question."""
    root = parse(answer, f"discovery, answer of {answered_from}", MOST_BYTES)
    relates = root.text_of("Header/RelatesTo", message_id)
    if relates.strip() != message_id:
        raise PtzProtocolError(f"discovery, answer of {answered_from}: it answers somebody else's question")
    found = [match for match in root.need("Body").walk() if match.name == "ProbeMatch"]
    if not found:
        raise PtzProtocolError(f"discovery, answer of {answered_from}: it names no device")
    devices = [_device(match, answered_from) for match in found]
    return [device for device in devices if device is not None]


def _device(match: Element, answered_from: str) -> Discovered | None:
    xaddrs = tuple(address for address in match.text_of("XAddrs", "").split()[:16] if _is_usable(address))
    if not xaddrs:
        return None
    scopes = match.text_of("Scopes", "").split()
    return Discovered(
        xaddrs=xaddrs,
        answered_from=answered_from,
        name=_scope(scopes, "name"),
        hardware=_scope(scopes, "hardware"),
        location=_scope(scopes, "location"),
        identity=match.text_of("EndpointReference/Address", "")[:120],
        types=tuple(kind.rpartition(":")[2] for kind in match.text_of("Types", "").split()[:16]),
    )


def _is_usable(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _scope(scopes: Iterable[str], kind: str) -> str:
    """The words of all scopes of a kind, without control characters."""
    found = [scope.removeprefix(f"{SCOPE}{kind}/") for scope in scopes if scope.startswith(f"{SCOPE}{kind}/")]
    text = ", ".join(unquote(words, errors="replace") for words in found)
    return "".join(letter for letter in text if letter.isprintable())[:120]


class _Listener(asyncio.DatagramProtocol):
    """Gathers the answers of all interfaces; the same device that answers twice counts once."""

    def __init__(self, message_id: str) -> None:
        self.found: dict[str, Discovered] = {}
        self.refusals: set[str] = set()
        self._message_id = message_id

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        try:
            devices = matches(data, source[0], self._message_id)
        except PtzProtocolError as error:
            if len(self.refusals) < 20:
                self.refusals.add(str(error))
            return
        for device in devices:
            if len(self.found) < MOST_ANSWERS:
                self.found.setdefault(device.identity or device.url, device)

    def error_received(self, error: Exception) -> None:
        if len(self.refusals) < 20:
            self.refusals.add(str(error))
