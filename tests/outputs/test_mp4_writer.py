"""Packets into a file: as they are, at their times, whole up to the last fragment, and never over another file."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

import av
import pytest

from engine.errors import OutputDiskFull, OutputError
from engine.outputs import mp4_writer
from engine.outputs.encode import EncodedPicture, Encoder, EncoderSettings, PictureFormat, picture_of
from engine.outputs.mp4_writer import Mp4Writer
from tests.outputs.results import make_frame

MS = 1_000_000


def packets(count: int, keyframe_s: float = 1.0) -> list[EncodedPicture]:
    frame = make_frame(64, 48)
    encoder = Encoder(PictureFormat.of(frame), EncoderSettings(live=True, keyframe_s=keyframe_s))
    return [each for n in range(count) for each in encoder.encode(picture_of(frame), n * 40 * MS)]


def test_the_packets_are_in_the_file_unchanged(tmp_path: Path) -> None:
    path, written = tmp_path / "cam0.mp4", packets(30)
    writer = Mp4Writer(path, written[0])
    for packet in written:
        writer.write(packet, packet.time_ns)
    writer.close()
    writer.close()
    assert (writer.frames, writer.bytes) == (30, sum(len(packet.data) for packet in written))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.codec_context.name) == (64, 48, "h264")
        found = [packet for packet in container.demux(stream) if packet.size]
        slices = [bytes(packet)[-5:] for packet in found]
    assert slices == [packet.data[-5:] for packet in written]
    assert [packet.is_keyframe for packet in found] == [n % 25 == 0 for n in range(30)]


def test_times_never_stand_still(tmp_path: Path) -> None:
    path, written = tmp_path / "cam0.mp4", packets(6)
    writer = Mp4Writer(path, written[0])
    for packet, time_ms in zip(written, (0, 0, 40, 30, 1000, 1010), strict=True):
        writer.write(packet, time_ms * MS)
    writer.close()
    with av.open(str(path)) as container:
        shown = [round(float(frame.time) * 90_000) for frame in container.decode(video=0)]
    assert shown == [0, 1, 3600, 3601, 90_000, 90_900]


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "cam0.mp4"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match="cannot be created: File exists"):
        Mp4Writer(path, packets(1)[0])
    assert path.read_bytes() == b"precious"


def test_no_room_at_all_leaves_no_file_and_has_a_name_of_its_own(tmp_path: Path) -> None:
    path, (first,) = tmp_path / "cam0.mp4", packets(1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(OutputDiskFull, match="disk full after 0 frames; free space there"):
            Mp4Writer(path, first)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not path.exists()


def test_a_write_that_is_cut_short_is_an_error(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    file = mp4_writer._WholeWrites(tmp_path / "file", "xb")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        assert file.write(b"x" * 700) == 700
        with pytest.raises(OSError, match="File too large"):
            file.write(b"y" * 700)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        file.close()


def test_a_copy_of_an_unfinished_file_plays_up_to_its_last_whole_fragment(tmp_path: Path) -> None:
    path, written = tmp_path / "cam0.mp4", packets(60)
    writer = Mp4Writer(path, written[0])
    for packet in written:
        writer.write(packet, packet.time_ns)
    shutil.copy(path, tmp_path / "copy.mp4")
    writer.abandon()
    with av.open(str(tmp_path / "copy.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 50
