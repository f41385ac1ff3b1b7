"""A client of one camera's HTTP: logs in by digest, keeps its nonce, asks the governor before it sends credentials.

Knows neither ISAPI nor ONVIF. One request is in flight at a time; whoever comes meanwhile waits.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.lockout import Governor
from ptz.drivers.base import DriverOptions
from ptz.http import Response, Transport

Refuses = Callable[[Response], bool]
"""Whether an answer refuses the credentials that the request carried in its body."""


class HttpClient:
    """Requests to one camera.

    transport       carries them; closed with the client
    options         user, password, time-out; `url` for messages
    governor        asked before each login; None makes one for the account, shared with all processes
    now             seconds of the event loop
    challenge_path  a path that is read (GET) to get a challenge before anything is changed; "" sends the request itself
                    without credentials first, with its whole body
    """

    def __init__(
        self,
        transport: Transport,
        options: DriverOptions,
        governor: Governor | None,
        now: Callable[[], float],
        challenge_path: str = "",
    ) -> None:
        raise NotImplementedError

    async def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        content_type: str = "",
        *,
        refuses: Refuses | None = None,
        timeout_s: float | None = None,
    ) -> Response:
        """Send and return the answer, whatever its HTTP status but 401.

        refuses    for requests that carry a login of their own in `body` (WS-UsernameToken): the governor is asked
                   before, and told what this says of the answer; no digest is sent
        timeout_s  instead of `options.timeout_s`

        Raises `PtzUnauthorized` (refused, or a login is wanted and none is set), `PtzLocked` (account locked, or the
        governor allows none), `PtzUnreachable`, `PtzProtocolError`.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of the connection; may be called twice."""
        raise NotImplementedError
