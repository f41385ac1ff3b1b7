"""HLS in a real folder: read by ffmpeg, kept small, and alive after a full disk."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import PublishDiskFull, PublishError
from engine.publish.base import Destination, create_sink
from engine.publish.low_latency_hls import PLAYLIST
from tests.publish.conftest import PacketMaker, probe
from tests.publish.hls_rules import read


def test_ffmpeg_plays_the_folder(encoded: PacketMaker, ffprobe: str, tmp_path: Path) -> None:
    folder = tmp_path / "made" / "camera"
    sink = create_sink(Destination.of(f"hls:{tmp_path}/made/{{camera}}", "camera"))
    packets = encoded(260)
    sink.open(packets[0])
    for packet in packets:
        sink.write(packet)
        if (folder / PLAYLIST).exists():
            found = read((folder / PLAYLIST).read_text())
            named = [*found.segments, *found.maps, *(uri for parts in found.parts for uri, _, _ in parts)]
            assert all((folder / name).stat().st_size for name in named)
    sink.close()
    # A player that joins reads to the end of what is there; without an end in the playlist it would wait for more.
    text = (folder / PLAYLIST).read_text()
    (folder / "ended.m3u8").write_text(text + "#EXT-X-ENDLIST\n")
    seen = probe(ffprobe, folder / "ended.m3u8")
    assert seen["codec_name"] == "h264" and int(seen["nb_read_frames"]) >= 250


def test_old_files_go_and_foreign_ones_stay(encoded: PacketMaker, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    (tmp_path / "segment-7.m4s").write_bytes(b"of a run before")
    sink = create_sink(Destination(f"hls:{tmp_path}", "camera"))
    packets = encoded(2000)
    sink.open(packets[0])
    assert {path.name for path in tmp_path.iterdir()} == {"index.html"}
    for packet in packets:
        sink.write(packet)
    names = {path.name for path in tmp_path.iterdir()}
    assert len(names) < 300 and "index.html" in names and not any(name.endswith(".new") for name in names)
    assert sum(name.startswith("segment-") for name in names) in range(58, 65)


def test_another_size_is_taken_on(encoded: PacketMaker, tmp_path: Path) -> None:
    sink = create_sink(Destination(f"hls:{tmp_path}", "camera"))
    packets = encoded(50) + encoded(
        75, size=(640, 480), first_number=51, start_ns=7_000_000_000, restarted=True
    )
    sink.open(packets[0])
    for packet in packets:
        sink.write(packet)
    assert sink.takes_changes
    found = read((tmp_path / PLAYLIST).read_text())
    assert found.discontinuities == 1 and len(found.maps) == 2


def test_a_full_disk_is_told_and_survived(encoded: PacketMaker, small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(256 * 1024)
    sink = create_sink(Destination(f"hls:{disk}/video", "camera"))
    packets = encoded(400, size=(640, 480))
    filler = disk / "filler"
    filler.write_bytes(bytes(200 * 1024))
    with pytest.raises(PublishDiskFull, match="free space"):
        sink.open(packets[0])
        for packet in packets:
            sink.write(packet)
    sink.close()
    assert not any(path.name.endswith(".new") for path in (disk / "video").iterdir())
    filler.unlink()
    sink.open(packets[0])
    for packet in packets[:100]:
        sink.write(packet)
    assert read((disk / "video" / PLAYLIST).read_text()).segments


def test_a_folder_that_cannot_be(encoded: PacketMaker, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sink = create_sink(Destination(f"hls:{tmp_path}/file/video", "camera"))
    with pytest.raises(PublishError, match="Not a directory"):
        sink.open(encoded(1)[0])


def test_a_live_player_follows(encoded: PacketMaker, ffprobe: str, tmp_path: Path) -> None:
    """ffmpeg reads the growing playlist of a folder while it is written."""
    sink = create_sink(Destination(f"hls:{tmp_path}", "camera"))
    packets = encoded(500)
    sink.open(packets[0])
    for packet in packets[:200]:
        sink.write(packet)
    command = [ffprobe.replace("ffprobe", "ffmpeg"), "-v", "error", "-live_start_index", "0", "-i"]
    command += [str(tmp_path / PLAYLIST), "-frames:v", "300", "-f", "null", "-"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as player:
        for packet in packets[200:]:
            sink.write(packet)
            time.sleep(0.004)
        _, errors = player.communicate(timeout=30)
    assert player.returncode == 0 and errors == ""
