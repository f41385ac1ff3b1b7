"""WS-Discovery: which ONVIF cameras answer in this network, or at one address.

One probe, a bounded time of listening. No answers is a result. What answers is not trusted: size, count and addresses
are checked, nothing is fetched.
"""

from __future__ import annotations

from dataclasses import dataclass

GROUP = "239.255.255.250"
PORT = 3702


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
        """http://host[:port] to talk to, with the host that answered."""
        raise NotImplementedError


async def discover(
    timeout_s: float = 2.0, interface: str = "", address: str = "", port: int = PORT
) -> list[Discovered]:
    """Who answers within `timeout_s`.

    interface  address of one of ours to ask through; "" = all of them
    address    ask this host alone, without multicast
    Raises `PtzUnreachable` where nothing can be sent at all, and `PtzRefused` for an address that is none.
    """
    raise NotImplementedError
