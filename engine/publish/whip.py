"""WHIP: publish over WebRTC to a media server or platform (`whip://` over HTTP, `whips://` over HTTPS; RFC 9725).

The token is sent as a Bearer: the password in the URL, or the user where there is no password. What is encoded already
is passed on. Key frames that the server asks for are not made for it: one comes every `output.keyframe_s` anyway.
"""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import ssl
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit

from engine.errors import PublishError, PublishRefused, PublishUnreachable, WebRtcError
from engine.publish.base import Destination, Sink, serves
from engine.types.packet import Packet

if TYPE_CHECKING:
    from engine.webrtc.peer import SendingPeer

T = TypeVar("T")

MOST_ANSWER_BYTES = 64 * 1024
MOST_REDIRECTS = 3
SILENCE_S = 15.0
"""A server that nothing has been heard of for so long has gone: it reports what it receives every second or so."""
GOODBYE_S = 0.5
_SDP = "application/sdp"


@serves("whip", "whips")
class WhipSink(Sink):
    """One session. An event loop of its own, in a thread, carries the connection."""

    takes_changes = True

    def __init__(self, destination: Destination, timeout_s: float = 5.0) -> None:
        super().__init__(destination, timeout_s)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._peer: SendingPeer | None = None
        self._ready = threading.Event()
        self._ended = ""
        self._session = ""
        self._token = ""
        self._http: http.client.HTTPConnection | None = None
        self._interrupted = False
        self._heard: tuple[int, float] = 0, 0.0

    def open(self, first: Packet) -> None:
        """Offer, take the answer, and wait until the connection stands; see `Sink.open`."""
        if importlib.util.find_spec("aiortc") is None:
            raise PublishError(
                f"{self._where}: WHIP needs the extra `webrtc` (pip install 'camring[webrtc]')"
            )
        from engine.webrtc.peer import SendingPeer, addresses_for
        from engine.webrtc.rtp import Payloads

        address = self.destination.address()
        self._token = address.password or address.user
        secure = address.scheme == "whips"
        url = f"{'https' if secure else 'http'}://{address.place}{address.path}"
        url += f"?{address.query}" if address.query else ""
        until_s = time.monotonic() + self.timeout_s
        local = self._connect(url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="whip", daemon=True)
        self._thread.start()

        async def begin() -> SendingPeer:
            return SendingPeer(
                addresses_for(local), Payloads(), self._ready.set, lambda: None, self._connection_ended
            )

        self._peer = self._on_loop(begin())
        answer = self._post(url, self._on_loop(self._peer.offer()))
        try:
            self._on_loop(self._peer.accept(answer))
        except WebRtcError as error:
            raise PublishError(f"{self._where}: {error}") from None
        while not self._ready.wait(0.05):
            self._check(until_s)
        self._heard = 0, time.monotonic()

    def write(self, packet: Packet) -> None:
        """Send one packet; see `Sink.write`."""
        peer = self._peer
        if peer is None:
            raise PublishUnreachable(f"{self._where}: not connected")
        self._check()

        async def send() -> tuple[bool, int]:
            return peer.send(packet), peer.received_packets

        sent, heard = self._on_loop(send())
        if not sent:
            raise PublishUnreachable(f"{self._where}: the network takes no more")
        now_s = time.monotonic()
        if heard != self._heard[0]:
            self._heard = heard, now_s
        elif now_s - self._heard[1] > SILENCE_S:
            raise PublishUnreachable(
                f"{self._where}: nothing has been heard of the server for {SILENCE_S:g} s"
            )

    def close(self) -> None:
        """Delete the session, if that takes no time, and let go."""
        session, self._session = self._session, ""
        if session and not self._interrupted and not self._ended:
            with suppress(PublishError):
                self._request("DELETE", session, "", GOODBYE_S)
        self._hang_up()
        peer, self._peer = self._peer, None
        loop, self._loop = self._loop, None
        if loop is None or self._thread is None:
            return
        if peer is not None:
            with suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(peer.close(), loop).result(self.timeout_s)
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join(self.timeout_s)
        if not self._thread.is_alive():
            loop.close()

    def interrupt(self) -> None:
        """See `Sink.interrupt`."""
        self._interrupted = True
        http_connection = self._http
        if http_connection is not None and http_connection.sock is not None:
            with suppress(OSError):
                http_connection.sock.shutdown(2)

    @property
    def _where(self) -> str:
        return f"publish {self.destination.label}"

    def _connection_ended(self, reason: str) -> None:
        self._ended = reason

    def _check(self, until_s: float | None = None) -> None:
        if self._interrupted:
            raise PublishUnreachable(f"{self._where}: interrupted")
        if self._ended:
            raise PublishUnreachable(f"{self._where}: {self._ended}")
        if until_s is not None and time.monotonic() > until_s:
            raise PublishUnreachable(
                f"{self._where}: no WebRTC connection in {self.timeout_s:g} s; does UDP reach the server?"
            )

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result(self.timeout_s)
        except TimeoutError:
            raise PublishUnreachable(f"{self._where}: no progress in {self.timeout_s:g} s") from None

    def _post(self, url: str, offer: str) -> str:
        """The answer to our offer. Raises `PublishError`."""
        for _ in range(MOST_REDIRECTS + 1):
            answer, body = self._request("POST", url, offer, self.timeout_s)
            location = urljoin(url, answer.headers.get("Location", ""))
            if answer.status in (307, 308):
                if urlsplit(location).netloc != urlsplit(url).netloc:
                    raise PublishRefused(f"{self._where}: sent on to another server; publish to that one")
                url = location
                continue
            if answer.status == 201:
                self._session = location
                return body
            if answer.status in (401, 403):
                raise PublishRefused(f"{self._where}: the token was refused ({answer.status})")
            raise PublishError(f"{self._where}: answers {answer.status} {answer.reason}")
        raise PublishError(f"{self._where}: sent on more than {MOST_REDIRECTS} times")

    def _connect(self, url: str) -> str:
        """Connect to the server; which address of ours it sees."""
        connection = self._http = self._connection(url, self.timeout_s)
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(error) from None
        address: str = connection.sock.getsockname()[0]
        return address

    def _request(
        self, method: str, url: str, body: str, timeout_s: float
    ) -> tuple[http.client.HTTPResponse, str]:
        headers = {"Content-Type": _SDP, "Accept": _SDP} if body else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        parts = urlsplit(url)
        path = parts.path or "/"
        connection = self._http or self._connection(url, timeout_s)
        self._http = connection
        try:
            if connection.sock is not None:
                connection.sock.settimeout(timeout_s)
            connection.request(
                method, f"{path}?{parts.query}" if parts.query else path, body or None, headers
            )
            answer = connection.getresponse()
            content = answer.read(MOST_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(error) from None
        if len(content) > MOST_ANSWER_BYTES:
            raise PublishError(f"{self._where}: an answer of more than {MOST_ANSWER_BYTES} bytes")
        return answer, content.decode(errors="replace")

    def _connection(self, url: str, timeout_s: float) -> http.client.HTTPConnection:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=context)
        return http.client.HTTPConnection(host, parts.port, timeout=timeout_s)

    def _hang_up(self) -> None:
        connection, self._http = self._http, None
        if connection is not None:
            connection.close()

    def _failed(self, error: OSError | http.client.HTTPException) -> PublishUnreachable:
        if isinstance(error, TimeoutError):
            return PublishUnreachable(f"{self._where}: no answer in {self.timeout_s:g} s")
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return PublishUnreachable(f"{self._where}: {reason}")
