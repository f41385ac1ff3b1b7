"""How often somebody may ask: token buckets by client, in memory of fixed size."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable

MOST_CLIENTS = 4096
"""Clients that are remembered; whoever was not heard of for longest is forgotten first, and begins anew."""


class RateLimiter:
    """A bucket for each client: `burst` at once, refilled by `rate_per_s`. A rate of 0 limits nothing.

    now_s  a monotonic clock
    """

    def __init__(self, rate_per_s: float, burst: float, now_s: Callable[[], float]) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._now_s = now_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """Take one; 0.0, or, where none is left, the seconds until there is one again."""
        left = self._left(client)
        if self._rate_per_s <= 0.0:
            return 0.0
        if left < 1.0:
            return (1.0 - left) / self._rate_per_s
        self._put(client, left - 1.0)
        return 0.0

    def wait_s(self, client: str) -> float:
        """Seconds until `take` would give one; takes none."""
        if self._rate_per_s <= 0.0:
            return 0.0
        return max(0.0, (1.0 - self._left(client)) / self._rate_per_s)

    def _left(self, client: str) -> float:
        left, at_s = self._buckets.get(client, (self._burst, self._now_s()))
        return min(self._burst, left + (self._now_s() - at_s) * self._rate_per_s)

    def _put(self, client: str, left: float) -> None:
        self._buckets[client] = left, self._now_s()
        self._buckets.move_to_end(client)
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)


def address_group(address: str) -> str:
    """Who counts as one client: an IPv4 address, or the /64 of an IPv6 one, which one machine has for itself."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
