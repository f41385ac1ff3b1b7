"""HTTP/1.1 over one persistent connection of asyncio, as far as cameras need it.

Limits for time and size, and nothing but `PtzUnreachable` and `PtzProtocolError` comes out. Knows nothing of logins.
"""

from __future__ import annotations

from ptz.http import Request, Response, Transport


class SocketTransport(Transport):
    """A connection to `http://host:port` or `https://host:port`.

    url              without credentials; a path in it is ignored
    tls_fingerprint  SHA-256 of the camera's certificate in hex, for certificates that nobody signed; "" = the certificate
                     must be signed by an authority that this machine trusts
    """

    def __init__(self, url: str, *, tls_fingerprint: str = "") -> None:
        raise NotImplementedError

    async def exchange(self, request: Request, timeout_s: float) -> Response:
        """See `Transport.exchange`. Repeated once where a kept connection turns out to have been closed meanwhile."""
        raise NotImplementedError

    async def close(self) -> None:
        """See `Transport.close`."""
        raise NotImplementedError
