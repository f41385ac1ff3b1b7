"""Low-latency HLS in memory: the rules of RFC 8216bis, and what a player may ask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.publish.low_latency_hls import HlsSettings, LowLatencyHls
from engine.types.packet import Packet
from tests.publish.conftest import START_NS, PacketMaker, probe
from tests.publish.hls_rules import read

SECONDS = HlsSettings(segment_s=1.0, window_s=25.0)
"""Segments as long as these packets' key frames are apart."""


def filled(packets: list[Packet], settings: HlsSettings | None = None) -> LowLatencyHls:
    hls = LowLatencyHls(settings or SECONDS)
    for packet in packets:
        hls.add(packet)
    return hls


@pytest.mark.parametrize("fps", [30.0, 25.0, 15.0, 2.0])
def test_the_rules_hold_at_every_moment(encoded: PacketMaker, fps: float) -> None:
    hls = LowLatencyHls(SECONDS)
    targets = set()
    for packet in encoded(round(40 * fps), fps, keyframe_every=max(1, round(fps))):
        if hls.add(packet):
            found = read(hls.playlist())
            targets.add((found.target_s, found.part_target_s))
            assert found.segments == [
                f"segment-{found.first_number + index}.m4s" for index in range(len(found.segments))
            ]
    assert len(targets) == 1, "neither target may ever change"
    assert sum(found.durations_s) <= 28
    assert all(hls.file(name) for name in found.segments)


def test_what_is_announced_is_what_comes(encoded: PacketMaker) -> None:
    hls = LowLatencyHls(SECONDS)
    hint = ""
    seen: set[str] = set()
    for packet in encoded(200, 25.0) + encoded(100, 25.0, first_number=400, start_ns=START_NS + 16 * 10**9):
        if not hls.add(packet):
            continue
        found = read(hls.playlist())
        new = [uri for parts in found.parts for uri, _, _ in parts if uri not in seen]
        seen.update(new)
        if hint:
            assert new[0] == hint
            assert hls.file(hint) is not None
        hint = found.hint
        assert hls.is_hinted(hint) and hls.file(hint) is None
    assert len(seen) == 23


def test_parts_make_the_segment_and_decode(encoded: PacketMaker, ffprobe: str, tmp_path: Path) -> None:
    hls = filled(encoded(130, 25.0))
    found = read(hls.playlist())
    for name, parts in zip(found.segments, found.parts, strict=False):
        assert hls.file(name) == b"".join(hls.file(uri) or b"" for uri, _, _ in parts)
        path = tmp_path / name
        path.write_bytes((hls.file(found.maps[0]) or b"") + (hls.file(name) or b""))
        assert probe(ffprobe, path)["nb_read_frames"] == "25"
    assert found.dates[0] == "2023-11-14T22:13:20.000Z" and found.dates[1] == "2023-11-14T22:13:21.000Z"


def test_another_encoder_begins_anew(encoded: PacketMaker) -> None:
    second = {"first_number": 101, "start_ns": START_NS + 4 * 10**9, "size": (640, 480), "restarted": True}
    hls = filled(encoded(100, 25.0) + encoded(100, 25.0, **second))
    found = read(hls.playlist())
    assert found.discontinuities == 1 and len(found.maps) == 2
    assert hls.file(found.maps[0]) != hls.file(found.maps[1])
    # Time goes on, so that nothing is shown twice and nothing is missing.
    assert sum(found.durations_s) == pytest.approx(7.0, abs=0.05)


def test_after_a_hole_it_goes_on_at_the_next_key_frame(encoded: PacketMaker) -> None:
    packets = encoded(150, 25.0)
    hls = filled(packets[:60] + packets[65:])
    assert hls.ignored == 10
    found = read(hls.playlist())
    assert len(found.segments) >= 4 and found.discontinuities == 0


def test_a_delta_update_leaves_the_old_part_out(encoded: PacketMaker) -> None:
    hls = filled(encoded(1000, 25.0))
    whole, delta = read(hls.playlist()), read(hls.playlist(skip=True))
    assert delta.skipped > 0
    assert delta.first_number == whole.first_number
    assert delta.segments == whole.segments[delta.skipped :]
    assert sum(delta.durations_s) <= float(delta.control["CAN-SKIP-UNTIL"]) + 2 * delta.target_s
    early = filled(encoded(100, 25.0))
    assert read(early.playlist(skip=True)).skipped == 0


def test_what_a_blocked_request_waits_for(encoded: PacketMaker) -> None:
    hls = filled(encoded(90, 25.0))
    number, part = hls.next_number, hls.next_part
    assert (number, part) == (3, 1)
    assert hls.has(2) and hls.has(2, 0) and hls.has(3, 0)
    assert not hls.has(3) and not hls.has(3, 1) and not hls.has(4, 0)
    assert hls.has(2, 99), "a part beyond the last one stands for the first of the next segment"
    assert not hls.is_too_far(4) and hls.is_too_far(5) and hls.is_too_far(3, 9)
    assert hls.file("part-3-0.m4s") and hls.file("part-3-1.m4s") is None and hls.file("segment-3.m4s") is None
    for name in ("", "part-3.m4s", "segment-0-0.m4s", "part--1-0.m4s", "../etc/passwd", "part-٣-0.m4s"):
        assert hls.file(name) is None, name


def test_files_stay_for_a_while_after_they_have_left_the_playlist(encoded: PacketMaker) -> None:
    hls = filled(encoded(2000, 25.0))
    first = read(hls.playlist()).first_number
    assert first > 40
    assert hls.file(f"segment-{first - 1}.m4s") is not None
    assert hls.file("segment-0.m4s") is None and "segment-0.m4s" not in hls.names
    assert len(hls.names) < 250


def test_without_key_frames_a_segment_ends_in_time(encoded: PacketMaker) -> None:
    hls = filled(encoded(250, 25.0, keyframe_every=1000))
    found = read(hls.playlist())
    assert len(found.segments) >= 3
    assert "#EXT-X-INDEPENDENT-SEGMENTS" not in hls.playlist()


def test_files_of_a_plain_web_server_promise_nothing_that_it_cannot_do(encoded: PacketMaker) -> None:
    text = filled(encoded(100, 25.0), replace(SECONDS, blocking=False, first_number=7)).playlist(skip=True)
    found = read(text)
    assert "CAN-BLOCK-RELOAD" not in found.control and "CAN-SKIP-UNTIL" not in found.control
    assert not found.hint and found.first_number == 7


def test_nothing_is_ready_before_the_first_part(encoded: PacketMaker) -> None:
    hls = LowLatencyHls()
    assert not hls.ready and not hls.is_hinted("part-0-0.m4s")
    for packet in encoded(40, 25.0)[10:20]:
        assert not hls.add(packet)
    assert not hls.ready and hls.ignored == 10


def test_key_frames_that_come_now_and_then_end_segments(encoded: PacketMaker) -> None:
    """Every two seconds, as the stream worker makes them, late by a picture, and some on request."""
    times = filled(encoded(400, 25.0, keyframe_every=51), HlsSettings())
    found = read(times.playlist())
    assert set(found.durations_s) == {2.04} and "#EXT-X-INDEPENDENT-SEGMENTS" in times.playlist()
    often = read(filled(encoded(400, 25.0, keyframe_every=12), HlsSettings()).playlist())
    assert set(often.durations_s) == {0.96}
