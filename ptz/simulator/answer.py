"""What a simulated camera answers, and how that goes over the wire: whole, late, cut off, or not at all.

`ptz.simulator.server` does it to sockets, `ptz.simulator.transport` to callers in the same process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from http import HTTPStatus

from ptz.http import Response


class Wire(StrEnum):
    """How an answer travels.

    PLAIN            as it is, the connection stays open
    CLOSE            as it is, then the connection is closed, and the answer says so
    CHUNKED          in chunks instead of with a Content-Length
    TRAILING         with bytes after it that belong to nothing
    LONG_LENGTH      with a Content-Length that is greater than the body: the rest never comes
    SHORT_LENGTH     with a Content-Length that is less than the body
    HALF_THEN_HANG   half of it, then nothing; the connection stays open
    HALF_THEN_CLOSE  half of it, then the end of the connection
    GARBAGE          bytes that are no HTTP
    HANG             nothing, and the connection stays open
    RESET            nothing: the connection is reset
    REFUSED          there is nobody to connect to
    """

    PLAIN = "plain"
    CLOSE = "close"
    CHUNKED = "chunked"
    TRAILING = "trailing"
    LONG_LENGTH = "long_length"
    SHORT_LENGTH = "short_length"
    HALF_THEN_HANG = "half_then_hang"
    HALF_THEN_CLOSE = "half_then_close"
    GARBAGE = "garbage"
    HANG = "hang"
    RESET = "reset"
    REFUSED = "refused"


GARBAGE = b"\x00\x01 5 not any protocol \xff\xfe\r\n\r\n"
TRAILING = b"\r\n<!-- more than was announced -->\r\n"

Chunks = Iterator[tuple[float, bytes]]
"""Pieces of a body without end: seconds to wait first, then bytes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    response  without Content-Length, which is added on the way
    delay_s   how long the camera takes before the first byte
    wire      how it travels
    stream    pieces of the body that follow `response.body`, without end (alertStream, MJPEG)
    """

    response: Response
    delay_s: float = 0.0
    wire: Wire = Wire.PLAIN
    stream: Chunks | None = None

    def later(self, delay_s: float) -> Answer:
        """The same, this much later."""
        return replace(self, delay_s=self.delay_s + delay_s)

    def by(self, wire: Wire) -> Answer:
        """The same, travelling this way."""
        return replace(self, wire=wire)


NOTHING = Response(0)
"""Stands where no answer is sent."""


def cut_off(wire: Wire, delay_s: float = 0.0) -> Answer:
    """No answer: the connection hangs, is reset or is refused."""
    return Answer(NOTHING, delay_s, wire)


def head_of(answer: Answer) -> bytes:
    """Status line and headers as bytes."""
    response = answer.response
    headers = list(response.headers)
    if answer.stream is not None or answer.wire is Wire.CLOSE:
        headers.append(("Connection", "close"))
    if answer.wire is Wire.CHUNKED:
        headers.append(("Transfer-Encoding", "chunked"))
    elif answer.stream is None:
        extra = {Wire.LONG_LENGTH: 64, Wire.SHORT_LENGTH: -min(8, len(response.body))}.get(answer.wire, 0)
        headers.append(("Content-Length", str(len(response.body) + extra)))
    try:
        reason = HTTPStatus(response.status).phrase
    except ValueError:
        reason = "Unknown"
    lines = [f"HTTP/1.1 {response.status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def bytes_of(answer: Answer, *, head_only: bool = False) -> bytes:
    """What is sent of an answer, without what `stream` adds; b"" where nothing is.

    head_only  the request was HEAD: no body
    """
    if answer.wire in (Wire.HANG, Wire.RESET, Wire.REFUSED):
        return b""
    if answer.wire is Wire.GARBAGE:
        return GARBAGE
    head, body = head_of(answer), b"" if head_only else answer.response.body
    if answer.wire is Wire.CHUNKED and not head_only:
        middle = len(body) // 2
        pieces = [piece for piece in (body[:middle], body[middle:]) if piece]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    whole = head + body
    if answer.wire in (Wire.HALF_THEN_HANG, Wire.HALF_THEN_CLOSE):
        return whole[: len(head) + len(body) // 2] if body else whole[: len(whole) // 2]
    return whole + TRAILING if answer.wire is Wire.TRAILING else whole
