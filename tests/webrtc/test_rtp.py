"""H.264 as RTP: what a receiver puts together again is what went in."""

from __future__ import annotations

import struct

import pytest
from aiortc.codecs.h264 import h264_depayload
from hypothesis import given
from hypothesis import strategies as st

from engine.types.packet import Packet, PacketFlag, PacketMeta, Rendition
from engine.webrtc.rtp import (
    HISTORY,
    MOST_PAYLOAD_BYTES,
    Payloads,
    RtpStream,
    nal_units,
    payloads_of,
    rtp_timestamp,
)

UNIT = st.builds(
    lambda kind, size, fill: bytes([0x60 | kind]) + bytes([fill]) * size,
    st.sampled_from([1, 5, 6, 7, 8]),
    st.integers(1, 5000),
    st.integers(1, 255),
)


def annex_b(units: list[bytes], start: bytes = b"\x00\x00\x00\x01") -> bytes:
    return b"".join(start + unit for unit in units)


@given(st.lists(UNIT, min_size=1, max_size=12), st.sampled_from([b"\x00\x00\x01", b"\x00\x00\x00\x01"]))
def test_what_is_taken_apart_is_put_together_again(units: list[bytes], start: bytes) -> None:
    payloads = payloads_of(annex_b(units, start))
    assert b"".join(map(h264_depayload, payloads)) == annex_b(units)
    assert max(map(len, payloads)) <= MOST_PAYLOAD_BYTES


def test_delimiters_and_filling_are_not_sent() -> None:
    units = [b"\x09\xf0", b"\x67\x42", b"\x68\xce", b"\x65\x88\x84", b"\x0c\xff\xff\x80"]
    assert list(nal_units(annex_b(units) + b"\x00\x00")) == units[1:4]
    assert list(nal_units(b"")) == list(nal_units(b"\x00\x01")) == []


def test_small_units_go_together_as_important_as_the_most_important() -> None:
    (payload,) = payloads_of(annex_b([b"\x67\x42", b"\x28\xce", b"\x65\x88\x84"]))
    assert payload == b"\x78\x00\x02\x67\x42\x00\x02\x28\xce\x00\x03\x65\x88\x84"


def test_pieces_of_a_large_unit_are_marked_and_about_equal() -> None:
    pieces = payloads_of(annex_b([b"\x65" + bytes(range(1, 251)) * 16]))
    assert [piece[1] for piece in pieces] == [0x85, 0x05, 0x05, 0x45]
    assert {piece[0] for piece in pieces} == {0x7C}
    assert max(map(len, pieces)) - min(map(len, pieces)) < 4


@pytest.mark.parametrize("captured_ns", [0, 11_111, 33_333_333, 5_000_000_000, 10**17])
def test_timestamps_are_the_frame_s_time(captured_ns: int) -> None:
    assert rtp_timestamp(captured_ns) == captured_ns * 90_000 // 10**9 % 2**32


def make_packet(data: bytes) -> Packet:
    meta = PacketMeta(Rendition.CLEAN, 1, 0, 1, len(data), 0, 1, 1, 1, 64, 64, PacketFlag.KEYFRAME)
    return Packet(meta, data)


def test_payloads_are_made_once_for_all_peers() -> None:
    payloads, packet = Payloads(), make_packet(annex_b([b"\x65" * 3000]))
    first = payloads.of(packet)
    assert payloads.of(packet) is first
    assert payloads.of(make_packet(packet.data)) is not first


def fields(packet: bytes) -> tuple[int, int, int, int, int]:
    """First byte, second byte, sequence, timestamp, SSRC."""
    found: tuple[int, int, int, int, int] = struct.unpack("!BBHII", packet[:12])
    return found


def test_packets_of_a_stream_count_up_and_the_last_one_of_a_picture_is_marked() -> None:
    stream = RtpStream(7, 96, 0xFFFE)
    packets = stream.packets_of([b"a", b"b", b"c"], 1234)
    assert [fields(each) for each in packets] == [
        (0x80, 96, 0xFFFE, 1234, 7), (0x80, 96, 0xFFFF, 1234, 7), (0x80, 0x80 | 96, 0, 1234, 7),
    ]  # fmt: skip
    assert [each[12:] for each in packets] == [b"a", b"b", b"c"]
    assert (stream.packets, stream.octets) == (3, 3)


def test_what_was_lost_is_sent_again_on_a_stream_of_its_own() -> None:
    stream = RtpStream(7, 96, 100, rtx_ssrc=8, rtx_payload_type=97)
    stream.packets_of([b"a", b"b"], 1234)
    again = [stream.once_more(101), stream.once_more(100)]
    assert [fields(each) for each in again if each] == [
        (0x80, 0x80 | 97, 100, 1234, 8), (0x80, 97, 101, 1234, 8),
    ]  # fmt: skip
    assert again[0] is not None
    assert again[0][12:] == b"\x00\x65b"
    assert stream.again == 2
    assert stream.once_more(102) is None
    stream.packets_of([b"x"] * HISTORY, 2)
    assert stream.once_more(100) is None


def test_without_a_stream_of_its_own_it_is_repeated_as_it_was() -> None:
    stream = RtpStream(7, 96, 100)
    packets = stream.packets_of([b"a"], 1234)
    assert stream.once_more(100) == packets[0]
