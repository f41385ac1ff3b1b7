"""The files of a recording: each plays alone, the oldest go and never the newest, a kill costs the last fragment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import av
import pytest

from engine.clock import ManualClock
from engine.outputs.encode import Encoder, EncoderSettings, PictureFormat, picture_of
from engine.outputs.recording import Recording, RecordingSettings, existing_segments, segment_path
from tests.outputs.conftest import CountFrames
from tests.outputs.results import make_frame

MS = 1_000_000
NOON_NS = 1_800_014_400 * 1_000_000_000
"""2027-01-15 12:00:00 UTC."""
GIB = 1 << 30


class Camera:
    """One camera's pictures, 25 a second, encoded as live."""

    def __init__(self, recording: Recording, size: tuple[int, int] = (64, 48)) -> None:
        self.recording = recording
        self.frame = make_frame(*size)
        self.encoder = Encoder(PictureFormat.of(self.frame), EncoderSettings(live=True, keyframe_s=2.0))
        self.shown_ns = 0

    def record(self, count: int) -> None:
        for _ in range(count):
            keyframe = self.recording.plan(self.encoder.format, self.shown_ns)
            for packet in self.encoder.encode(picture_of(self.frame), self.shown_ns, keyframe):
                self.recording.write(packet, self.shown_ns, NOON_NS + self.shown_ns)
            self.shown_ns += 40 * MS


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_segments_are_called_after_their_first_picture_and_each_plays_alone(
    tmp_path: Path, count_frames: CountFrames, ffprobe: str
) -> None:
    recording = Recording(tmp_path / "cam0.mp4", RecordingSettings(segment_s=3.0))
    Camera(recording).record(200)
    recording.close()
    assert names(tmp_path) == [f"cam0.20270115T1200{second:02}Z.mp4" for second in (0, 3, 6)]
    assert [count_frames(path) for path in existing_segments(tmp_path / "cam0.mp4")] == [75, 75, 50]
    for path in existing_segments(tmp_path / "cam0.mp4"):
        told = subprocess.run([ffprobe, "-v", "error", "-show_entries", "packet=pts_time,flags", "-of", "csv", path],
                              capture_output=True, text=True, check=True)  # fmt: skip
        assert told.stderr == "" and told.stdout.startswith("packet,0.000000,K")
    assert (recording.frames, recording.files) == (200, 3)


def test_a_segment_begins_where_it_is_due_though_the_encoder_looks_ahead(tmp_path: Path) -> None:
    recording, frame = Recording(tmp_path / "cam0.mp4", RecordingSettings(segment_s=1.0)), make_frame(64, 48)
    encoder = Encoder(PictureFormat.of(frame), EncoderSettings())
    packets = []
    for n in range(60):
        packets += encoder.encode(picture_of(frame), n * 40 * MS, recording.plan(encoder.format, n * 40 * MS))
    packets += encoder.flush()
    assert [n for n, packet in enumerate(packets) if packet.keyframe] == [0, 25, 50]
    for packet in packets:
        recording.write(packet, packet.time_ns, NOON_NS + packet.time_ns)
    recording.close()
    assert recording.files == 3 and recording.frames == 60


def test_two_segments_of_one_second_have_two_names(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "cam0.mp4", RecordingSettings(segment_s=60.0))
    Camera(recording).record(3)
    Camera(recording, (96, 64)).record(3)
    recording.close()
    another = Recording(tmp_path / "cam0.mp4", RecordingSettings(segment_s=60.0))
    Camera(another).record(1)
    another.close()
    assert [path.name for path in existing_segments(tmp_path / "cam0.mp4")] == [
        "cam0.20270115T120000Z.mp4", "cam0.20270115T120000Z-2.mp4", "cam0.20270115T120000Z-3.mp4"
    ]  # fmt: skip


def segment(folder: Path, hour: int, clock: ManualClock, size: int = 1000) -> Path:
    """A segment that was finished so many hours ago."""
    path = segment_path(folder / "cam0.mp4", clock.wall_ns() - hour * 3_600_000_000_000)
    with path.open("wb") as file:
        file.truncate(size)
    ended_ns = clock.wall_ns() - hour * 3_600_000_000_000
    os.utime(path, ns=(ended_ns, ended_ns))
    return path


def test_segments_that_are_too_old_go_and_the_newest_stays_however_old(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock(wall_ns=NOON_NS)
    old, edge, newest = (segment(tmp_path, hour, clock) for hour in (30, 23, 3))
    (tmp_path / "cam1.20200101T000000Z.mp4").write_bytes(b"of another camera")
    (tmp_path / "cam0.mp4").write_bytes(b"no segment")
    settings = RecordingSettings(segment_s=60.0, keep_h=24.0)
    recording = Recording(tmp_path / "camx.mp4", settings, clock=clock)  # torn ends are not looked for
    recording._path = tmp_path / "cam0.mp4"
    with caplog.at_level("INFO", "engine"):
        recording.tidy()
    assert not old.exists() and edge.exists() and newest.exists()
    assert f"{old}: deleted: 30.0 h old, 24 are kept" in caplog.text
    clock.advance(9.9)
    os.utime(edge, ns=(0, 0))
    recording.tidy()
    assert edge.exists(), "looked again too soon"
    clock.advance(0.2)
    os.utime(newest, ns=(0, 0))
    recording.tidy()
    assert not edge.exists() and newest.exists() and recording.deleted == 2
    assert names(tmp_path) == ["cam0.20270115T090000Z.mp4", "cam0.mp4", "cam1.20200101T000000Z.mp4"]


def test_the_oldest_go_until_the_rest_fits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock(wall_ns=NOON_NS)
    paths = [segment(tmp_path, hour, clock, GIB) for hour in (5, 4, 3, 2)]  # sparse: they take no room
    recording = Recording(tmp_path / "camx.mp4", RecordingSettings(60.0, keep_gib=2.5), clock=clock)
    recording._path = tmp_path / "cam0.mp4"
    with caplog.at_level("INFO", "engine"):
        recording.tidy()
    assert [path.exists() for path in paths] == [False, False, True, True]
    assert "deleted: 4.00 GiB, 2.5 are kept" in caplog.text


def test_what_cannot_be_deleted_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(wall_ns=NOON_NS)
    segment(tmp_path, 30, clock), segment(tmp_path, 3, clock)
    recording = Recording(tmp_path / "camx.mp4", RecordingSettings(60.0, keep_h=24.0), clock=clock)
    recording._path = tmp_path / "cam0.mp4"

    def refuses(path: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "unlink", refuses)
    with caplog.at_level("WARNING", "engine"):
        for _ in range(3):
            recording.tidy()
            clock.advance(11)
    assert caplog.text.count("cannot be deleted: Operation not permitted") == 1 and recording.deleted == 0


def test_a_killed_recording_costs_its_last_fragment_and_the_next_run_cuts_it_off(tmp_path: Path) -> None:
    settings = RecordingSettings(segment_s=60.0)
    killed = Recording(tmp_path / "cam0.mp4", settings)
    Camera(killed).record(125)
    assert killed._writer is not None
    killed._writer.abandon()  # as the kernel closes it
    (path,) = existing_segments(tmp_path / "cam0.mp4")
    with path.open("ab") as file:
        file.write(b"\x00\x00\x40\x00moof torn")
    Recording(tmp_path / "cam0.mp4", settings)
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 100  # fragments of two seconds
