"""Encoded H.264 as fragments of mp4, for players that take a stream piece by piece (HLS, Media Source Extensions).

Boxes: ISO/IEC 14496-12; the AVC sample entry: ISO/IEC 14496-15. Pure: packets in, bytes out.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.types.packet import Packet

TIMESCALE = 90_000
"""Ticks a second of all times in the files."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """One `moof` and its `mdat`.

    data            the bytes
    start_ticks     decode time of its first picture, in 1/90000 s since the stream's first packet (`tfdt`)
    duration_ticks  up to the picture after its last
    wall_ns         ns since the Unix epoch that belong to its start
    packets         pictures in it
    independent     whether it begins with a key frame
    """

    data: bytes
    start_ticks: int
    duration_ticks: int
    wall_ns: int
    packets: int
    independent: bool


class Fragmenter:
    """Packets of one encoder into fragments. A key frame always begins one.

    A fragment leaves when the packet after it comes, because a picture lasts until the next one.

    init_segment  `ftyp` and `moov`; empty before the first key frame
    codec         as in RFC 6381 (`avc1.42C01F`); empty before the first key frame
    """

    def __init__(self, width: int, height: int, *, origin_ns: int | None = None, most_ticks: int = 0) -> None:
        """A fragmenter.

        width, height  pixels
        origin_ns      captured_ns of time 0; that of the first packet where None
        most_ticks     several packets share a fragment as long as it does not become longer than this; 0: each has its
                       own
        """
        self.init_segment = b""
        self.codec = ""
        raise NotImplementedError

    def add(self, packet: Packet) -> list[Fragment]:
        """Take the next packet; the fragments that are complete now. Packets before the first key frame are ignored."""
        raise NotImplementedError

    def flush(self) -> list[Fragment]:
        """What is still held, its last picture as long as the one before it."""
        raise NotImplementedError
