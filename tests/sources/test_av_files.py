"""Files: every frame once, straight into the slot, with its time; and what is said when one is no good."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from engine.clock import ManualClock
from engine.errors import SourceError, SourceNotFound, SourceUnsupported
from engine.sources.av import AvSource
from engine.sources.base import SourceOptions
from engine.types import ColourMatrix
from tests.sources.clips import cut, rgb_picture, shown, slot_planes, write_clip


def opened(path: Path | str, **options: object) -> AvSource:
    source = AvSource(SourceOptions(str(path), **options))  # type: ignore[arg-type]  # keyword pass-through
    source.open()
    return source


@pytest.mark.data
@pytest.mark.parametrize(
    ("clip", "count", "fps", "matrix"),
    [
        ("pets09_s2l1_0001-0320.mp4", 320, 7.0, ColourMatrix.BT601),
        ("et_01_dog.mp4", 289, 29.97, ColourMatrix.BT709),
        ("et_12_hideandseek.mp4", 200, 25.0, ColourMatrix.BT601),
        ("sam2_bedroom.mp4", 200, 30.0, ColourMatrix.BT601),
    ],
)
def test_every_frame_of_a_real_clip_comes_once_and_as_the_decoder_made_it(
    data_dir: Path, clip: str, count: int, fps: float, matrix: ColourMatrix
) -> None:
    path = data_dir / "clips" / clip
    source = opened(path)
    times = []
    with av.open(str(path)) as reference:
        for frame, seen in itertools.zip_longest(reference.decode(video=0), shown(source)):
            assert frame is not None and seen is not None, "one of the two ended early"
            times.append(seen.picture.pts_ns)
            assert seen.picture.matrix == matrix
            if len(times) % 20 == 0:
                planes = frame.to_ndarray(format="nv12")
                assert np.array_equal(seen.y, planes[: frame.height])
                assert np.array_equal(seen.uv.reshape(planes[frame.height :].shape), planes[frame.height :])
    assert len(times) == count
    assert all(earlier < later for earlier, later in itertools.pairwise(times))
    assert source.fps == pytest.approx(fps, abs=0.01)
    assert source.corrupt_packets == 0
    assert "h264" in source.description and not source.live
    source.close()


@pytest.mark.data
def test_frame_threads_lose_nothing(data_dir: Path) -> None:
    source = opened(data_dir / "clips" / "et_01_dog.mp4", offline=True, decoder_threads=3)
    assert "3 frame threads" in source.description
    assert sum(1 for _ in shown(source)) == 289
    source.close()


def test_arrival_is_that_of_the_packet_that_carried_the_frame(tmp_path: Path) -> None:
    # B-frames: the decoder takes several packets before it gives the first picture.
    clip = write_clip(tmp_path / "b.mp4", frames=12, bf=3, b_strategy=0)
    clock = ManualClock()
    reads: list[int] = []

    class TickingClock(ManualClock):
        def now_ns(self) -> int:
            clock.advance(0.001)
            reads.append(clock.now_ns())
            return clock.now_ns()

        def wall_ns(self) -> int:
            return clock.wall_ns()

    source = AvSource(SourceOptions(str(clip)), TickingClock())
    source.open()
    with av.open(str(clip)) as container:
        order = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
    pictures = [seen.picture for seen in shown(source)]
    by_pts = [picture.captured_ns for picture in pictures]
    # Packets arrive in decoding order: sorted by arrival, the pictures must be in the packets' order.
    arrival_order = sorted(range(len(pictures)), key=lambda index: by_pts[index])
    assert arrival_order == [sorted(order).index(pts) for pts in order]
    assert arrival_order != sorted(arrival_order), "the clip has no reordered frames, so it proves nothing"
    assert all(p.wall_ns - p.captured_ns == pictures[0].wall_ns - pictures[0].captured_ns for p in pictures)
    assert set(by_pts) <= set(reads)


@pytest.mark.parametrize("size", [(160, 120), (161, 121), (33, 64), (64, 35)])
@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "full_range"),
    [
        ("a.mkv", "ffv1", "yuv420p", False),
        ("a.mkv", "ffv1", "yuv444p", False),
        ("a.mkv", "ffv1", "yuv422p", False),
        ("a.mkv", "ffv1", "gray", False),
        ("a.mkv", "ffv1", "yuv420p10le", False),
        ("a.avi", "mjpeg", "yuvj420p", True),
        ("a.avi", "mjpeg", "yuvj444p", True),
        ("a.mkv", "ffv1", "bgr0", False),
        ("a.nut", "rawvideo", "nv12", False),
        ("a.avi", "rawvideo", "bgr24", False),
    ],
)
def test_pixel_formats_and_odd_sizes(
    tmp_path: Path, size: tuple[int, int], name: str, codec: str, pix_fmt: str, full_range: bool
) -> None:
    width, height = size
    source = opened(write_clip(tmp_path / name, size, 3, codec, pix_fmt))
    pictures = list(shown(source))
    assert len(pictures) == 3
    for index, seen in enumerate(pictures):
        assert (seen.picture.width, seen.picture.height) == size
        assert seen.picture.full_range is full_range
        red, green, blue = np.moveaxis(rgb_picture(index, width, height).astype(np.float32), 2, 0)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        expected = luma if full_range else 16 + luma * 219 / 255
        assert np.abs(seen.y - expected).max() <= 4
        cb = (blue - luma) / 1.772 * (1 if full_range else 224 / 255) + 128
        cb_expected = np.full_like(cb, 128) if pix_fmt == "gray" else cb
        seen_cb = np.repeat(np.repeat(seen.uv[..., 0], 2, 0), 2, 1)[:height, :width]
        assert np.abs(seen_cb - cb_expected).mean() <= 2.5


def test_only_the_picture_is_written_not_the_padding(tmp_path: Path) -> None:
    source = opened(write_clip(tmp_path / "a.mkv", (33, 17), 1, "ffv1"))
    assert source.grab() is not None
    slot, y, uv = slot_planes(33, 17)
    source.read_into(y, uv)
    used = 33 * 17 + 2 * 17 * 9
    assert np.count_nonzero(slot == 77) >= slot.size - used
    assert not (y == 77).all()


def test_resolution_change_inside_a_stream(tmp_path: Path) -> None:
    data = b""
    for number, size in enumerate(((160, 120), (322, 242), (160, 120))):
        data += write_clip(tmp_path / f"{number}.h264", size, 10, g=5).read_bytes()
    (tmp_path / "all.h264").write_bytes(data)
    sizes = [(s.picture.width, s.picture.height) for s in shown(opened(tmp_path / "all.h264"))]
    assert sizes == [(160, 120)] * 10 + [(322, 242)] * 10 + [(160, 120)] * 10


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_loop_repeats_the_file_and_time_goes_on(tmp_path: Path, name: str) -> None:
    source = opened(write_clip(tmp_path / name, frames=10, bf=2, b_strategy=0), loop=True)
    pictures = [seen.picture for seen in shown(source, 35)]
    times = [picture.pts_ns for picture in pictures]
    assert all(35_000_000 < b - a < 45_000_000 for a, b in itertools.pairwise(times))
    assert [i for i, p in enumerate(pictures) if p.discontinuity] == [10, 20, 30]
    source.close()
    source.close()


def test_truncated_file_gives_what_is_there_and_then_says_so(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "a.mp4", frames=60, g=10, muxer={"movflags": "+faststart"})
    source = opened(cut(whole, 0.6))
    seen = []
    with pytest.raises(SourceError, match=r"truncated: \d+ of 60 frames") as caught:
        for picture in shown(source):
            seen.append(picture)
    assert f"truncated: {len(seen)} of 60 frames" in str(caught.value)
    assert 20 <= len(seen) < 60
    with pytest.raises(SourceError, match="truncated"):
        source.grab()


def test_truncated_matroska_is_told_by_its_length(tmp_path: Path) -> None:
    source = opened(cut(write_clip(tmp_path / "a.mkv", frames=100, g=10), 0.5))
    with pytest.raises(SourceError, match=r"truncated: \d\.\d of 4\.0 s"):
        list(shown(source))


def test_damaged_packets_are_skipped_and_counted(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.avi", frames=30, codec="mjpeg", pix_fmt="yuvj420p")
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        hit = [packet for packet in container.demux(video=0) if packet.size][12]
        start = data.index(bytes(hit))
        data[start : start + hit.size] = bytes(hit.size)
    clip.write_bytes(data)
    source = opened(clip)
    assert len(list(shown(source))) == 29
    assert source.corrupt_packets == 1


@pytest.mark.parametrize(
    ("name", "content", "kind", "message"),
    [
        ("absent.mp4", None, SourceNotFound, "no such file"),
        ("empty.mp4", b"", SourceUnsupported, r"empty file \(0 bytes\)"),
        ("notes.mp4", b"this is no video\n" * 50, SourceUnsupported, "a text file"),
        ("noise.bin", bytes(range(256)) * 9, SourceUnsupported, "not a known video container"),
    ],
)
def test_useless_files_are_named(
    tmp_path: Path, name: str, content: bytes | None, kind: type[SourceError], message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    source = AvSource(SourceOptions(str(tmp_path / name)))
    with pytest.raises(kind, match=message) as caught:
        source.open()
    assert name in str(caught.value) and "\n" not in str(caught.value)
    source.close()


def test_mp4_without_its_index(tmp_path: Path) -> None:
    part = cut(write_clip(tmp_path / "a.mp4", frames=40), 0.5)
    with pytest.raises(SourceUnsupported, match="moov"):
        opened(part)


def test_sound_without_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(SourceUnsupported, match=r"no video stream in it \(streams: audio\)"):
        opened(path)


def test_awkward_file_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=2)
    monkeypatch.chdir(tmp_path)
    for name in ("concat:x|y.mp4", "pipe:0", "100%.mp4", "a b#c?.mp4", "%03d.mp4"):
        shutil.copy(clip, tmp_path / name)
        assert len(list(shown(opened(name)))) == 2
        assert len(list(shown(opened(tmp_path / name)))) == 2
    assert len(list(shown(opened(f"file://{tmp_path}/100%25.mp4")))) == 2


@pytest.mark.data
def test_reading_many_times_keeps_no_file_open(data_dir: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=5)
    source = opened(clip, loop=True)
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("open files can only be counted where /proc is")
    for _ in shown(source, 50):
        before = len(list(descriptors.iterdir()))
    for _ in shown(source, 500):
        assert len(list(descriptors.iterdir())) <= before
    source.close()
