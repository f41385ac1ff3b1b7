"""A connection to a simulated camera in the same process: no sockets, and no time but that of the event loop.

In the loop of `ptz.virtual_time` minutes pass in seconds.
"""

from __future__ import annotations

from collections.abc import Callable

from ptz.http import Request, Response, Transport
from ptz.simulator.camera import SimulatedCamera


class DeviceTransport(Transport):
    """Hands requests to `camera.handle`, waits as long as the answer takes, and fails as a socket would.

    now   seconds of the event loop; the camera's times are these
    host  what the camera sees as the address of the other side
    """

    def __init__(self, camera: SimulatedCamera, now: Callable[[], float], host: str = "127.0.0.1") -> None:
        self.camera = camera
        self.now = now
        self.host = host

    async def exchange(self, request: Request, timeout_s: float) -> Response:
        """See `Transport.exchange`."""
        raise NotImplementedError

    async def close(self) -> None:
        """See `Transport.close`."""
