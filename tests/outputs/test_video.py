"""The processed video: every frame, in real time, in files that survive kills and full disks."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from engine.errors import OutputError
from engine.outputs.encode import EncoderSettings
from engine.outputs.overlay_style import colour_of
from engine.outputs.recording import existing_parts, part_path
from engine.outputs.video import Timeline, VideoOutput
from engine.types import ColourMatrix, FrameFlag, FrameMeta
from tests.conftest import MountDisk
from tests.outputs.conftest import CountFrames
from tests.outputs.results import PERSON, decoded_frames, make_frame, make_result

REPOSITORY = Path(__file__).resolve().parents[2]


def write_frames(output: VideoOutput, indices: range, size: tuple[int, int] = (320, 240)) -> None:
    """Write grey frames with one object, at 25 frames a second of source time."""
    for index in indices:
        output.write(make_result(index), make_frame(*size, index))


def shown_times(path: Path) -> list[float]:
    """Seconds at which the pictures of a file are shown."""
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


@pytest.mark.data
def test_every_frame_of_a_real_clip_is_in_the_video(
    pets_clip: Path, tmp_path: Path, count_frames: CountFrames
) -> None:
    path = tmp_path / "cam0.mp4"
    output = VideoOutput(path, fps_hint=7.0)
    for frame in decoded_frames(pets_clip):
        output.write(make_result(frame.meta.index), frame)
    output.close()
    assert output.frames_written == 320
    assert count_frames(path) == 320
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (768, 576)
    steps = np.diff(shown_times(path))
    assert np.allclose(steps, 1 / 7, atol=2e-5)


@pytest.mark.data
def test_colours_and_drawings_of_a_real_frame_come_back(pets_clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "cam0.mp4"
    output = VideoOutput(path, EncoderSettings(crf=12))
    (original,) = decoded_frames(pets_clip, 1)
    output.write(make_result(0, [(7, 0.87, (500.0, 200.0, 560.0, 330.0))]), original)
    output.close()
    (encoded,) = decoded_frames(path)
    untouched = (slice(350, 540), slice(0, 768))
    assert cv2.PSNR(encoded.y[untouched], original.y[untouched]) > 38
    half = (slice(175, 270), slice(0, 384))
    assert cv2.PSNR(encoded.uv[half], original.uv[half]) > 38
    colour = colour_of(7, ColourMatrix.BT601, False)
    outline_y, outline_uv = encoded.y[210:320, 500:502], encoded.uv[105:160, 250]
    assert np.abs(outline_y.astype(int) - colour.y).mean() < 6
    assert np.abs(outline_uv.astype(int) - (colour.cb, colour.cr)).mean() < 6


@pytest.mark.data
def test_the_leased_frame_is_not_drawn_on(pets_clip: Path, tmp_path: Path) -> None:
    output = VideoOutput(tmp_path / "cam0.mp4")
    (frame,) = decoded_frames(pets_clip, 1)
    y, uv = frame.y.copy(), frame.uv.copy()
    frame.y.flags.writeable = frame.uv.flags.writeable = False
    output.write(make_result(), frame)
    output.close()
    np.testing.assert_array_equal(frame.y, y)
    np.testing.assert_array_equal(frame.uv, uv)


def meta_at(captured_ms: int, pts_ms: int, flags: FrameFlag = FrameFlag.NONE) -> FrameMeta:
    meta = make_frame(16, 16).meta
    pts_ns = pts_ms * 1_000_000 if pts_ms >= 0 else -1
    return replace(meta, captured_ns=captured_ms * 1_000_000, pts_ns=pts_ns, flags=flags)


def times_ms(*metas: FrameMeta) -> list[int]:
    timeline = Timeline()
    return [timeline.advance(meta) // 1_000_000 for meta in metas]


def test_source_time_rules_and_gaps_stay() -> None:
    assert times_ms(meta_at(0, 900), meta_at(7, 1000), meta_at(8, 1600)) == [0, 100, 700]


def test_capture_time_fills_in_where_the_source_has_none() -> None:
    assert times_ms(meta_at(0, -1), meta_at(70, -1), meta_at(100, 5), meta_at(150, 45)) == [0, 70, 100, 140]


def test_a_reconnect_keeps_the_outage_and_a_loop_goes_on() -> None:
    cut = FrameFlag.DISCONTINUITY
    assert times_ms(meta_at(0, 5000), meta_at(4000, 80, cut), meta_at(4040, 120)) == [0, 4000, 4040]
    assert times_ms(meta_at(0, 5000), meta_at(4000, 5500, cut)) == [0, 4000]
    assert times_ms(meta_at(0, 5000), meta_at(40, 0), meta_at(80, 40)) == [0, 40, 80]
    day_ms = 86_400_000
    assert times_ms(meta_at(0, 0), meta_at(40, day_ms), meta_at(80, day_ms + 40)) == [0, 40, 80]


def test_time_always_goes_on() -> None:
    times = times_ms(*(meta_at(5, 5) for _ in range(4)))
    assert all(later > earlier for earlier, later in itertools.pairwise(times))


def test_skipped_frames_leave_their_gap_in_the_file(tmp_path: Path) -> None:
    output = VideoOutput(tmp_path / "cam0.mp4", fps_hint=25.0)
    for index in (0, 1, 5, 6, 30):
        output.write(make_result(index), make_frame(64, 48, index))
    output.close()
    assert shown_times(tmp_path / "cam0.mp4") == pytest.approx([0, 0.04, 0.2, 0.24, 1.2], abs=2e-5)


def test_parts_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "cam.0.mp4"
    assert [part_path(path, n).name for n in (1, 2, 11)] == [
        "cam.0.mp4",
        "cam.0.part2.mp4",
        "cam.0.part11.mp4",
    ]
    for name in ("cam.0.mp4", "cam.0.part3.mp4", "camx0.part4.mp4", "cam.0.part5.jsonl", "cam.0.partx.mp4"):
        (tmp_path / name).touch()
    assert sorted(existing_parts(path)) == [1, 3]


def test_a_new_size_begins_a_new_part(tmp_path: Path, count_frames: CountFrames) -> None:
    output = VideoOutput(tmp_path / "cam0.mp4")
    write_frames(output, range(0, 10), (320, 240))
    write_frames(output, range(10, 30), (161, 121))
    write_frames(output, range(30, 45), (320, 240))
    output.close()
    parts = existing_parts(tmp_path / "cam0.mp4")
    assert {number: count_frames(part) for number, part in parts.items()} == {1: 10, 2: 20, 3: 15}
    assert output.frames_written == 45


def test_resume_begins_the_next_part_and_a_new_run_begins_anew(
    tmp_path: Path, count_frames: CountFrames
) -> None:
    path = tmp_path / "cam0.mp4"
    for resume, frames, expected in (
        (True, 5, {1: 5}), (True, 6, {1: 5, 2: 6}), (True, 7, {1: 5, 2: 6, 3: 7}), (False, 8, {1: 8}),
    ):  # fmt: skip
        output = VideoOutput(path, resume=resume)
        write_frames(output, range(frames))
        output.close()
        output.close()
        assert {number: count_frames(part) for number, part in existing_parts(path).items()} == expected


def test_no_frame_no_file(tmp_path: Path) -> None:
    output = VideoOutput(tmp_path / "cam0.mp4")
    output.miss(make_result(0))
    output.close()
    assert output.frames_missing == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_encoder_is_refused_before_the_first_frame(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="available"):
        VideoOutput(tmp_path / "cam0.mp4", EncoderSettings("h265_dreams"))


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/cam0\.mp4: cannot be prepared for writing"):
        VideoOutput(tmp_path / "file" / "cam0.mp4")


WRITER = """
import itertools, sys
from engine.outputs.video import VideoOutput
from tests.outputs.results import decoded_frames, make_result
output = VideoOutput(sys.argv[2], resume=True)
for frame in decoded_frames(sys.argv[1]):
    output.write(make_result(frame.meta.index), frame)
    print(frame.meta.index, flush=True)
input()
"""


@pytest.mark.data
def test_a_killed_writer_leaves_a_file_that_plays(
    pets_clip: Path, tmp_path: Path, count_frames: CountFrames
) -> None:
    path = tmp_path / "cam0.mp4"
    for number, frames in enumerate((60, 45), start=1):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(pets_clip), str(path)],
            cwd=REPOSITORY, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < frames:
            pass
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        part = part_path(path, number)
        # At most one fragment (1 s = 7 frames), the one before it and the encoder's look-ahead are missing.
        assert frames - 24 <= count_frames(part)
        VideoOutput(path, resume=True).close()  # what the next incarnation does first
        with av.open(str(part)) as container:
            assert sum(1 for _ in container.decode(video=0)) >= frames - 24
    assert sorted(existing_parts(path)) == [1, 2]


def test_resume_cuts_off_the_fragment_that_the_predecessor_was_writing(
    tmp_path: Path, count_frames: CountFrames
) -> None:
    path = tmp_path / "cam0.mp4"
    output = VideoOutput(path)
    write_frames(output, range(100))
    output.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b"moof") + 40])
    VideoOutput(path, resume=True).close()
    assert count_frames(path) == len(shown_times(path)) == 75


def test_resume_writes_anew_what_holds_no_picture(tmp_path: Path, count_frames: CountFrames) -> None:
    path = tmp_path / "cam0.mp4"
    output = VideoOutput(path)
    write_frames(output, range(10))
    output.close()
    part_path(path, 2).write_bytes(path.read_bytes()[:700])  # killed before its first fragment
    output = VideoOutput(path, resume=True)
    write_frames(output, range(10, 15))
    output.close()
    parts = existing_parts(path)
    assert {number: count_frames(part) for number, part in parts.items()} == {1: 10, 2: 5}


def test_fragments_reach_the_disk_while_the_run_goes_on(tmp_path: Path, count_frames: CountFrames) -> None:
    path = tmp_path / "cam0.mp4"
    output = VideoOutput(path, fps_hint=25.0)
    write_frames(output, range(100))
    assert count_frames(path) == 75
    output.close()
    assert count_frames(path) == 100


@pytest.mark.data
def test_a_full_disk_leaves_what_was_whole(
    pets_clip: Path, small_disk: MountDisk, count_frames: CountFrames
) -> None:
    path = small_disk(400 * 1024) / "cam0.mp4"
    output = VideoOutput(path)
    with pytest.raises(OutputError, match=r"cam0\.mp4: disk full after \d+ frames; free space.*--out"):
        for frame in decoded_frames(pets_clip):
            output.write(make_result(frame.meta.index, [PERSON]), frame)
    whole = count_frames(path)
    assert whole >= 7
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == whole
    output.close()


def test_a_disk_full_from_the_start_leaves_no_file(small_disk: MountDisk) -> None:
    folder = small_disk(16 * 1024)
    (folder / "other").write_bytes(b"x" * 16 * 1024)
    output = VideoOutput(folder / "cam0.mp4")
    with pytest.raises(OutputError, match="disk full after 0 frames"):
        write_frames(output, range(20))
    assert [path.name for path in folder.iterdir()] == ["other"]
    (folder / "other").unlink()
    write_frames(output, range(3), (64, 48))
    output.close()
    assert [path.name for path in folder.iterdir()] == ["cam0.mp4"]


def test_a_stuck_clock_is_no_excuse(tmp_path: Path, count_frames: CountFrames) -> None:
    output = VideoOutput(tmp_path / "cam0.mp4")
    begun = time.monotonic()
    for _ in range(30):
        output.write(make_result(0), make_frame(64, 48, 0))
    output.close()
    assert count_frames(tmp_path / "cam0.mp4") == 30
    assert time.monotonic() - begun < 30
