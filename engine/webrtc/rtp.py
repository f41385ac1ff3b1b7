"""H.264 as RTP: payloads made once for all peers (RFC 6184), and the numbers of one peer's stream (RFC 3550, 4588).

Knows bytes. Encryption, sockets and what the peer reports are peer.py's.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from engine.types.packet import Packet, PacketFlag

CLOCK_HZ = 90_000
MOST_PAYLOAD_BYTES = 1180
"""With RTP and SRTP around it still within 1280 bytes, which every IPv6 link takes in one piece."""
HISTORY = 1024
"""RTP packets that can be sent again: a power of two; three seconds at 4 Mbit/s."""

_START = b"\x00\x00\x01"
_STAP_A, _FU_A = 24, 28
_DELIMITER, _FILLER = 9, 12
_HEADER = struct.Struct("!BBHII")
_VERSION_2 = 0x80
_MARKER = 0x80


def rtp_timestamp(captured_ns: int) -> int:
    """The RTP timestamp of a picture: its time in 90 kHz, modulo 2³². The same for every peer."""
    return captured_ns * CLOCK_HZ // 1_000_000_000 & 0xFFFFFFFF


def nal_units(access_unit: bytes) -> Iterator[bytes]:
    """The NAL units of an Annex B byte stream, without start codes; delimiters and filling are left out."""
    begin = access_unit.find(_START)
    while begin >= 0:
        begin += len(_START)
        end = access_unit.find(_START, begin)
        # A fourth byte of the next start code, and trailing zeros, belong to no NAL unit.
        unit = (access_unit[begin:] if end < 0 else access_unit[begin:end]).rstrip(b"\x00")
        if unit and unit[0] & 0x1F not in (_DELIMITER, _FILLER):
            yield unit
        begin = end


def payloads_of(access_unit: bytes) -> list[bytes]:
    """RTP payloads of one access unit: small NAL units together (STAP-A), large ones in pieces (FU-A), RFC 6184."""
    payloads: list[bytes] = []
    together: list[bytes] = []
    room = 0
    for unit in nal_units(access_unit):
        if len(unit) > room - 2 and together:
            payloads.append(_aggregated(together))
            together = []
        if len(unit) > MOST_PAYLOAD_BYTES:
            payloads += _pieces(unit)
            continue
        if not together:
            room = MOST_PAYLOAD_BYTES - 1
        together.append(unit)
        room -= 2 + len(unit)
    if together:
        payloads.append(_aggregated(together))
    return payloads


def _aggregated(units: list[bytes]) -> bytes:
    if len(units) == 1:
        return units[0]
    importance = max(unit[0] & 0x60 for unit in units)
    return bytes([importance | _STAP_A]) + b"".join(struct.pack("!H", len(unit)) + unit for unit in units)


def _pieces(unit: bytes) -> list[bytes]:
    indicator, kind = unit[0] & 0x60 | _FU_A, unit[0] & 0x1F
    count = -(-(len(unit) - 1) // (MOST_PAYLOAD_BYTES - 2))
    size = -(-(len(unit) - 1) // count)
    pieces = []
    for first in range(1, len(unit), size):
        start, end = (0x80 if first == 1 else 0), (0x40 if first + size >= len(unit) else 0)
        pieces.append(bytes([indicator, start | end | kind]) + unit[first : first + size])
    return pieces


class Payloads:
    """What is made of the newest packet once, and shared by many peers that are handed the same packet."""

    def __init__(self) -> None:
        self._packet: Packet | None = None
        self._payloads: list[bytes] = []
        self._text = ""

    def of(self, packet: Packet) -> list[bytes]:
        """The packet's RTP payloads, in order."""
        if packet is not self._packet:
            self._packet, self._payloads, self._text = packet, payloads_of(packet.data), ""
        return self._payloads

    def frame_text(self, packet: Packet) -> str:
        """Which frame it is, for its RTP timestamp, as JSON."""
        self.of(packet)
        if not self._text:
            meta = packet.meta
            body = {
                "rtp": rtp_timestamp(meta.captured_ns),
                "frame": meta.frame_index,
                "time": meta.wall_ns / 1e9,
                "no_signal": bool(meta.flags & PacketFlag.NO_SIGNAL),
            }
            self._text = json.dumps(body, separators=(",", ":"))
        return self._text


@dataclass(slots=True)
class _Sent:
    sequence: int
    timestamp: int
    marker: int
    payload: bytes


class RtpStream:
    """One peer's stream: its sequence numbers, and what can be sent again.

    ssrc, payload_type          of the video
    rtx_ssrc, rtx_payload_type  of what is sent again (RFC 4588); without a payload type it is repeated as it was
    packets, octets             sent so far, as sender reports tell; again: of those sent again
    """

    def __init__(
        self,
        ssrc: int,
        payload_type: int,
        first_sequence: int,
        rtx_ssrc: int = 0,
        rtx_payload_type: int | None = None,
    ) -> None:
        self.ssrc = ssrc
        self.packets = 0
        self.octets = 0
        self.again = 0
        self._payload_type = payload_type
        self._rtx = None if rtx_payload_type is None else (rtx_ssrc, rtx_payload_type)
        self._sequence = first_sequence
        self._rtx_sequence = first_sequence
        self._history: list[_Sent | None] = [None] * HISTORY

    def packets_of(self, payloads: list[bytes], timestamp: int) -> list[bytes]:
        """The RTP packets of one access unit; the last one carries the marker."""
        packets: list[bytes] = []
        for payload in payloads:
            marker = _MARKER if len(packets) + 1 == len(payloads) else 0
            sequence = self._sequence
            self._sequence = sequence + 1 & 0xFFFF
            self._history[sequence % HISTORY] = _Sent(sequence, timestamp, marker, payload)
            header = _HEADER.pack(_VERSION_2, marker | self._payload_type, sequence, timestamp, self.ssrc)
            packets.append(header + payload)
            self.octets += len(payload)
        self.packets += len(packets)
        return packets

    def once_more(self, sequence: int) -> bytes | None:
        """A packet that the peer misses, None if it is too old."""
        sent = self._history[sequence % HISTORY]
        if sent is None or sent.sequence != sequence:
            return None
        self.again += 1
        if self._rtx is None:
            header = _HEADER.pack(
                _VERSION_2, sent.marker | self._payload_type, sequence, sent.timestamp, self.ssrc
            )
            return header + sent.payload
        ssrc, payload_type = self._rtx
        header = _HEADER.pack(
            _VERSION_2, sent.marker | payload_type, self._rtx_sequence, sent.timestamp, ssrc
        )
        self._rtx_sequence = self._rtx_sequence + 1 & 0xFFFF
        return header + struct.pack("!H", sequence) + sent.payload
