"""HTTP/1.1 over one persistent connection of asyncio, as far as cameras need it.

Limits for time and size, and nothing but `PtzUnreachable` and `PtzProtocolError` comes out. Knows nothing of logins.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import re
import socket
import ssl
from typing import cast
from urllib.parse import urlsplit

from engine.errors import PtzProtocolError, PtzUnreachable, PtzUnsupported
from engine.secrets import mask_text, mask_url
from ptz.http import NotSent, Request, Response, Transport
from ptz.http_answer import MOST_BODY_BYTES, MOST_HEAD_BYTES, AnswerReader, NoAnswerYet

MOST_IDLE_S = 15.0
"""A connection that nobody used for longer is replaced: what lies between may have forgotten it without a word."""

_WORD = re.compile(r"[!-~]+")


class SocketTransport(Transport):
    """A connection to `http://host:port` or `https://host:port`.

    url              without credentials; a path in it is ignored
    tls_fingerprint  SHA-256 of the camera's certificate in hex, for certificates that nobody signed; "" = an
                     authority that this machine trusts must have signed it

    Raises `PtzUnsupported` for a URL that is no HTTP.
    """

    def __init__(self, url: str, *, tls_fingerprint: str = "") -> None:
        self.label, self._host, self._port, self._secure = _address(url)
        self._fingerprint = tls_fingerprint.replace(":", "").strip().lower()
        self._connection: _Connection | None = None

    async def exchange(self, request: Request, timeout_s: float) -> Response:
        """See `Transport.exchange`. Repeated once where a kept connection turns out to have been closed meanwhile."""
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._exchange(request)
        except TimeoutError:
            connected = self._connection is not None
            self._drop()
            asked = f"{request.method} {mask_text(request.path)}"
            if not connected:
                raise NotSent(f"{self.label}: no connection within {timeout_s:g} s ({asked})") from None
            raise PtzUnreachable(f"{self.label}: no answer within {timeout_s:g} s ({asked})") from None
        except BaseException:
            # Also where the caller gave up waiting: half an answer must not be taken for the next one's.
            self._drop()
            raise
        return response

    async def close(self) -> None:
        """See `Transport.close`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _exchange(self, request: Request) -> Response:
        data = self._serialised(request)
        kept = self._connection is not None and self._connection.usable
        if not kept:
            self._drop()
            self._connection = await self._connect()
        assert self._connection is not None
        try:
            return await self._ask(self._connection, request, data)
        except NoAnswerYet:
            self._drop()
            if not kept:
                raise
            # Closed while it was idle, or by a camera that restarted. Every request that we send may come twice.
            self._connection = await self._connect()
            return await self._ask(self._connection, request, data)

    async def _ask(self, connection: _Connection, request: Request, data: bytes) -> Response:
        connection.send(data)
        response, keep = await AnswerReader(connection, self.label).response(request.method)
        if keep and not connection.buffer:
            connection.rest()
        else:
            # Bytes that nobody asked for would be taken for the next answer.
            self._drop()
        return response

    def _serialised(self, request: Request) -> bytes:
        host = f"[{self._host}]" if ":" in self._host else self._host
        default = self._port == (443 if self._secure else 80)
        headers = [("Host", host if default else f"{host}:{self._port}"), *request.headers]
        if request.header("Content-Length") is None and (request.body or request.method in ("PUT", "POST")):
            headers.append(("Content-Length", str(len(request.body))))
        if not _WORD.fullmatch(request.path) or any(re.search(r"[\r\n\0]", f"{k}{v}") for k, v in headers):
            raise PtzProtocolError(f"{self.label}: a path or header with blanks or line ends is not sent")
        head = "".join(f"{key}: {value}\r\n" for key, value in headers)
        text = f"{request.method} {request.path} HTTP/1.1\r\n{head}Connection: keep-alive\r\n\r\n"
        return text.encode("utf-8") + request.body

    async def _connect(self) -> _Connection:
        connection = _Connection()
        context = self._tls() if self._secure else None
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(
                lambda: connection, self._host, self._port, ssl=context, happy_eyeballs_delay=0.25
            )
        except ssl.SSLCertVerificationError as error:
            raise NotSent(await self._untrusted(error)) from None
        except (OSError, UnicodeError) as error:
            raise NotSent(f"{self.label}: {_meaning(error)}") from None
        if self._fingerprint and connection.fingerprint() != self._fingerprint:
            found = connection.fingerprint()
            connection.abort()
            raise PtzProtocolError(
                f"{self.label}: the camera shows another certificate than the set one; its SHA-256 is {found}"
            )
        return connection

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._fingerprint:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    async def _untrusted(self, error: ssl.SSLCertVerificationError) -> str:
        """What to tell of a certificate that nobody vouches for: with what to set if it is the camera's own."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = _Connection()
        advice = "use http, or a certificate that this machine trusts"
        with contextlib.suppress(OSError):
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: connection, self._host, self._port, ssl=context)
            advice = f"if this is your camera set tls_fingerprint to {connection.fingerprint()}"
            connection.abort()
        return f"{self.label}: its certificate is not trusted ({error.verify_message}); {advice}"

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.abort()
        self._connection = None


def _address(url: str) -> tuple[str, str, int, bool]:
    """What messages call it, host, port, and whether it is https."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("http", "https"):
        raise PtzUnsupported(f"{mask_url(url)}: not an address of the form http://host:port") from None
    secure = parts.scheme == "https"
    number = port or (443 if secure else 80)
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port else ""), host, number, secure


def _meaning(error: OSError | UnicodeError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection ({error.reason or 'handshake failed'}); is this an https port?"
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return "host name not found; check the address"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused; is the camera on, and the port right?"
    return f"no connection ({error.strerror or type(error).__name__}); check the address and the network"


class _Connection(asyncio.Protocol):
    """One connection: what has arrived on it and was not read yet, and whether it has ended."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.ended = False
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._rested_s = -math.inf

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if len(self.buffer) > MOST_HEAD_BYTES + 2 * MOST_BODY_BYTES:
            self.abort()
        self._wake()

    def eof_received(self) -> bool:
        self.ended = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        if not self._lost.done():
            self._lost.set_result(None)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def usable(self) -> bool:
        """It can carry another request, as far as can be known before one is sent."""
        idle_s = self._loop.time() - self._rested_s
        return not self.ended and not self.buffer and idle_s < MOST_IDLE_S

    def rest(self) -> None:
        """An exchange is over."""
        self._rested_s = self._loop.time()

    def send(self, data: bytes) -> None:
        """Begin an exchange: until it is over nothing else can be carried."""
        assert self._transport is not None
        self._rested_s = -math.inf
        if not self.ended:
            self._transport.write(data)

    async def more(self) -> bool:
        """Wait for bytes; False where no more will come."""
        if not self.ended:
            self._waiter = self._loop.create_future()
            had = len(self.buffer)
            await self._waiter
            return len(self.buffer) > had or not self.ended
        return False

    def fingerprint(self) -> str:
        """SHA-256 of the other side's certificate, in hex; "" without TLS."""
        assert self._transport is not None
        tls = self._transport.get_extra_info("ssl_object")
        return hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest() if tls else ""

    def abort(self) -> None:
        """End it now."""
        self.ended = True
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """End it, and wait until the socket is gone."""
        self.abort()
        await asyncio.wait([self._lost], timeout=1.0)
