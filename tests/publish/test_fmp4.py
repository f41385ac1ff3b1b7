"""Fragments: read by ffprobe, and their times by ourselves."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from engine.publish.fmp4 import TIMESCALE, Fragment, Fragmenter
from engine.types.packet import Packet
from tests.publish.conftest import PacketMaker, probe


def fragments_of(fragmenter: Fragmenter, packets: list[Packet]) -> list[Fragment]:
    found = [fragment for packet in packets for fragment in fragmenter.add(packet)]
    return found + fragmenter.flush()


@pytest.mark.parametrize("most_ticks", [0, TIMESCALE // 2])
def test_ffprobe_reads_every_picture(
    encoded: PacketMaker, ffprobe: str, tmp_path: Path, most_ticks: int
) -> None:
    fragmenter = Fragmenter(320, 240, most_ticks=most_ticks)
    fragments = fragments_of(fragmenter, encoded(60))
    path = tmp_path / "stream.mp4"
    path.write_bytes(fragmenter.init_segment + b"".join(fragment.data for fragment in fragments))
    found = probe(ffprobe, path)
    assert found == {"codec_name": "h264", "width": "320", "height": "240", "nb_read_frames": "60"}


def test_times_are_those_of_capture_without_gaps(encoded: PacketMaker) -> None:
    packets = encoded(60)
    fragments = fragments_of(Fragmenter(320, 240, most_ticks=TIMESCALE // 2), packets)
    assert fragments[0].start_ticks == 0 and fragments[0].wall_ns == packets[0].meta.wall_ns
    for before, after in itertools.pairwise(fragments):
        assert after.start_ticks == before.start_ticks + before.duration_ticks
    assert all(fragment.duration_ticks <= TIMESCALE // 2 for fragment in fragments)
    assert sum(fragment.packets for fragment in fragments) == 60
    assert fragments[-1].start_ticks + fragments[-1].duration_ticks == pytest.approx(
        60 / 25 * TIMESCALE, abs=2
    )
    box = fragments[1].data
    at = box.index(b"tfdt") + 8
    assert int.from_bytes(box[at : at + 8], "big") == fragments[1].start_ticks


def test_a_key_frame_begins_a_fragment(encoded: PacketMaker) -> None:
    fragments = fragments_of(Fragmenter(320, 240, most_ticks=10 * TIMESCALE), encoded(60, keyframe_every=20))
    assert [(fragment.packets, fragment.independent) for fragment in fragments] == [(20, True)] * 3


def test_nothing_before_the_first_key_frame(encoded: PacketMaker) -> None:
    fragmenter = Fragmenter(320, 240)
    packets = encoded(50)[10:]
    assert [fragmenter.add(packet) for packet in packets[:15]] == [[]] * 15
    assert fragmenter.init_segment == b"" and fragmenter.flush() == []
    fragmenter.add(packets[15])
    assert fragmenter.init_segment[4:8] == b"ftyp" and fragmenter.codec.startswith("avc1.")


def test_a_picture_that_lasts_too_long_is_cut_short(encoded: PacketMaker) -> None:
    most_ticks = TIMESCALE // 2
    packets = encoded(6, fps=25.0) + encoded(6, fps=0.7, first_number=7, start_ns=6_000_000_000)[1:]
    fragments = fragments_of(Fragmenter(320, 240, most_ticks=most_ticks), packets)
    assert max(fragment.duration_ticks for fragment in fragments) == most_ticks
    assert sum(fragment.packets for fragment in fragments) == 11
