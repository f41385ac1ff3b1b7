"""Answers of HTTP out of bytes: whole, in pieces, cut off, wrong, endless."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import PtzProtocolError, PtzUnreachable
from ptz.http import Response
from ptz.http_answer import MOST_BODY_BYTES, MOST_HEAD_BYTES, AnswerReader, NoAnswerYet


class Pieces:
    """A stream that hands out these pieces and then ends."""

    def __init__(self, *pieces: bytes) -> None:
        self.buffer = bytearray()
        self._pieces = list(pieces)

    async def more(self) -> bool:
        if not self._pieces:
            return False
        self.buffer += self._pieces.pop(0)
        return True


def read(*pieces: bytes, method: str = "GET") -> tuple[Response, bool, bytes]:
    """The answer, whether the connection may be kept, and what is left over."""
    stream = Pieces(*pieces)
    response, keep = asyncio.run(AnswerReader(stream, "camera").response(method))
    return response, keep, bytes(stream.buffer)


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: 4\r\n\r\n<a/>"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\n<a/\r\n1\r\n>\r\n0\r\nX: y\r\n\r\n"
TO_THE_END = b"HTTP/1.1 200 OK\r\nServer: App-webs/\r\n\r\n<a/>"


@pytest.mark.parametrize(
    ("answer", "keep"),
    [
        (WHOLE, True),
        (CHUNKED, True),
        (TO_THE_END, False),
        (b"\r\n" + WHOLE, True),
        (WHOLE.replace(b"\r\n", b"\n"), True),
        (WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"), False),
        (WHOLE.replace(b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive"), True),
        (WHOLE.replace(b"OK\r\n", b"OK\r\nconnection: Close\r\n"), False),
        (WHOLE.replace(b"200 OK", b"200"), True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE, True),
        (WHOLE.replace(b"Length: 4", b"Length: 4\r\nContent-Length: 4"), True),
        (WHOLE.replace(b"Length: 4", b"Length :4, 4"), True),
    ],
)
def test_ways_to_end_a_body(answer: bytes, keep: bool) -> None:
    response, kept, rest = read(answer)
    assert (response.status, response.body, kept, rest) == (200, b"<a/>", keep, b"")


@given(st.lists(st.integers(0, len(CHUNKED)), max_size=12), st.sampled_from([WHOLE, CHUNKED, TO_THE_END]))
def test_it_does_not_matter_where_it_is_cut_into_pieces(cuts: list[int], answer: bytes) -> None:
    ends = [*sorted(cuts), len(answer)]
    pieces = [answer[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert read(*pieces)[0].body == b"<a/>"


@given(st.sampled_from([WHOLE, CHUNKED]), st.data())
def test_a_part_of_an_answer_is_none(answer: bytes, data: st.DataObject) -> None:
    part = answer[: data.draw(st.integers(0, len(answer) - 1))]
    with pytest.raises(PtzUnreachable) as caught:
        read(part)
    assert isinstance(caught.value, NoAnswerYet) == (not part.strip())


@given(st.binary(max_size=300))
def test_any_bytes_end_in_an_answer_or_an_error(data: bytes) -> None:
    for bytes_ in (data, b"HTTP/1.1 " + data, b"HTTP/1.1 200 OK\r\n" + data, CHUNKED[:46] + data):
        try:
            read(bytes_)
        except (PtzUnreachable, PtzProtocolError) as error:
            assert str(error).startswith("camera: ") and "\n" not in str(error)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP"),
        (b"<html>", "does not speak HTTP"),
        (b"HTTP/1.1 OK\r\n\r\n", "first line"),
        (b"HTTP/1.1 999 Odd\r\n\r\n", "first line"),
        (WHOLE.replace(b"Length: 4", b"Length: -4"), "Content-Length that makes no sense"),
        (WHOLE.replace(b"Length: 4", b"Length: four"), "Content-Length that makes no sense"),
        (
            WHOLE.replace(b"Length: 4", b"Length: 4\r\nContent-Length: 5"),
            "Content-Length that makes no sense",
        ),
        (WHOLE.replace(b"Length: 4", b"Length: 99999999999"), "at most"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * MOST_HEAD_BYTES, "head of more than"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * (MOST_BODY_BYTES + 1), "more than"),
        (CHUNKED.replace(b"3;x=y", b"z"), "chunk without its size"),
        (CHUNKED.replace(b"3;x=y", b"2"), "longer than its size"),
        (CHUNKED.replace(b"3;x=y", b"fffffff"), "more than"),
        (CHUNKED.replace(b"3;x=y", b"1" * (MOST_HEAD_BYTES + 1)), "chunk without its size"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(answer: bytes, message: str) -> None:
    with pytest.raises(PtzProtocolError, match=message) as caught:
        read(answer)
    assert len(str(caught.value)) < 200


def test_trailers_end_somewhere() -> None:
    trailers = [b"x: " + b"y" * 1000 + b"\r\n"] * 100
    with pytest.raises(PtzProtocolError, match="does not end"):
        read(CHUNKED[: -len(b"X: y\r\n\r\n")], *trailers)


def test_headers_of_any_kind() -> None:
    head = (
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest a=1\r\nwww-authenticate : Digest b=2,\r\n c=3\r\n"
        b"nonsense\r\nContent-Length: 0\r\n\r\n"
    )
    response, _, _ = read(head)
    assert response.all_headers("WWW-Authenticate") == ("Digest a=1", "Digest b=2, c=3")


@pytest.mark.parametrize(("method", "status"), [("HEAD", b"200"), ("GET", b"204"), ("GET", b"304")])
def test_answers_without_a_body(method: str, status: bytes) -> None:
    response, keep, _ = read(WHOLE.replace(b"200", status)[:-4], method=method)
    assert response.body == b"" and keep


def test_what_nobody_asked_for_stays() -> None:
    assert read(WHOLE + b"junk")[2] == b"junk"
