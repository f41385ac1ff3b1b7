"""Video over plain HTTP: low-latency HLS, Motion JPEG and snapshots, with ffmpeg as a player."""

from __future__ import annotations

import io
import json
import re
import subprocess
import time
from collections.abc import Iterator

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.live_camera import read_clock
from tests.control.live_server import LiveServer, live_server, wait_for

PART = re.compile(r'#EXT-X-PART:.*URI="([^"]+)"')


@pytest.fixture
def server() -> Iterator[LiveServer]:
    with live_server("gate", hls_idle_s=2.0) as server:
        yield server


def grey(jpeg: bytes) -> NDArray[np.uint8]:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return picture.astype(np.uint8)


def test_ffprobe_plays_the_playlist(server: LiveServer, ffprobe: str) -> None:
    url = f"{server.url}/hls/gate/overlay/index.m3u8"
    found = subprocess.run(
        [ffprobe, "-v", "error", "-read_intervals", "%+3", "-count_frames", "-show_streams", "-of", "json", url],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    (stream,) = json.loads(found.stdout)["streams"]
    assert (stream["codec_name"], stream["width"], stream["height"]) == ("h264", 640, 360)
    assert int(stream["nb_read_frames"]) >= 60
    assert not found.stderr


def test_a_playlist_is_held_back_until_the_next_part_is_there(server: LiveServer) -> None:
    with httpx.Client(base_url=f"{server.url}/hls/gate/clean", timeout=20) as client:
        first = client.get("/index.m3u8")
        assert first.headers["content-type"] == "application/vnd.apple.mpegurl"
        assert first.headers["cache-control"] == "no-cache"
        hls = server.video.hls._streams["gate", "clean"].hls
        number, part = hls.next_number, hls.next_part
        begun_s = time.monotonic()
        blocked = client.get("/index.m3u8", params={"_HLS_msn": number, "_HLS_part": part + 1})
        assert 0.05 < time.monotonic() - begun_s < 3.0
        assert blocked.text != first.text
        names = PART.findall(blocked.text)
        assert names
        file = client.get(f"/{names[-1]}")
        assert file.status_code == 200
        assert file.headers["content-type"] == "video/mp4"
        assert "immutable" in file.headers["cache-control"]
        hint = re.search(r'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', blocked.text)
        assert hint
        assert client.get(f"/{hint[1]}").status_code == 200  # waited for
        assert client.get("/index.m3u8", params={"_HLS_skip": "YES"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/hls/gate/clean/index.m3u8?_HLS_msn=900", 400),
        ("/hls/gate/clean/index.m3u8?_HLS_part=1", 400),
        ("/hls/gate/clean/index.m3u8?_HLS_msn=x", 422),
        ("/hls/gate/clean/nothing.m4s", 404),
        ("/hls/gate/both/index.m3u8", 404),
        ("/hls/nowhere/clean/index.m3u8", 404),
        ("/mjpeg/nowhere", 404),
        ("/mjpeg/gate?fps=0", 422),
        ("/snapshot/nowhere.jpg", 404),
        ("/snapshot/gate.jpg?quality=0", 422),
        ("/snapshot/gate.jpg?view=both", 422),
    ],
)
def test_requests_that_are_refused(server: LiveServer, path: str, status: int) -> None:
    answer = httpx.get(server.url + path, timeout=20)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_a_stream_that_nobody_fetches_ends_and_its_numbers_go_on(server: LiveServer) -> None:
    playlist = f"{server.url}/hls/gate/clean/index.m3u8"

    def number() -> int:
        found = re.search(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", httpx.get(playlist, timeout=20).text)
        assert found
        return int(found[1])

    before = number()
    assert server.statistics()["hls"] == {"streams": 1}
    wait_for(lambda: server.statistics()["hls"] == {"streams": 0})
    assert server.statistics()["viewers"] == {}
    assert number() > before


def test_a_removed_camera_ends_its_streams(server: LiveServer) -> None:
    with httpx.stream("GET", f"{server.url}/mjpeg/gate", timeout=20) as answer:
        chunks = answer.iter_bytes()
        next(chunks)
        httpx.get(f"{server.url}/hls/gate/clean/index.m3u8", timeout=20)
        server.live.hub.forget("gate")
        assert b"".join(chunks).endswith(b"--camring-frame--\r\n")
    wait_for(lambda: server.statistics()["viewers"] == {})


def parts_of(content: io.BytesIO) -> Iterator[tuple[dict[str, str], bytes]]:
    """Headers and picture of every whole part."""
    while True:
        head = content.readline()
        if not head.startswith(b"--camring-frame"):
            return
        headers = {}
        while (line := content.readline().strip()) != b"":
            key, _, value = line.decode().partition(": ")
            headers[key] = value
        picture = content.read(int(headers["Content-Length"]))
        if not content.readline():
            return
        yield headers, picture


def test_every_part_of_motion_jpeg_says_which_frame_it_is(server: LiveServer) -> None:
    content = io.BytesIO()
    with httpx.stream("GET", f"{server.url}/mjpeg/gate?view=clean&fps=10", timeout=20) as answer:
        kind = answer.headers["content-type"]
        assert kind.startswith("multipart/x-mixed-replace; boundary=")
        begun_s = time.monotonic()
        for chunk in answer.iter_bytes():
            content.write(chunk)
            if time.monotonic() - begun_s > 2.0:
                break
    content.seek(0)
    parts = list(parts_of(content))
    assert 15 <= len(parts) <= 23
    numbers = [int(headers["X-Frame"]) for headers, _ in parts]
    assert numbers == sorted(set(numbers))
    for headers, jpeg in parts:
        assert read_clock(grey(jpeg))[0] == int(headers["X-Frame"])
        assert abs(float(headers["X-Time"]) - time.time()) < 30
        assert headers["X-No-Signal"] == "0"
    wait_for(lambda: server.statistics()["viewers"] == {})


def test_ffmpeg_reads_motion_jpeg(server: LiveServer, ffprobe: str) -> None:
    found = subprocess.run(
        [ffprobe, "-v", "error", "-f", "mpjpeg", "-read_intervals", "%+#10", "-count_frames", "-show_streams",
         "-of", "json", f"{server.url}/mjpeg/gate"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    (stream,) = json.loads(found.stdout)["streams"]
    assert (stream["codec_name"], stream["width"]) == ("mjpeg", 640)
    assert int(stream["nb_read_frames"]) >= 10


def test_a_slow_reader_gets_the_newest_and_holds_nobody_up(server: LiveServer) -> None:
    with httpx.stream("GET", f"{server.url}/mjpeg/gate?fps=30", timeout=20) as stuck:
        next(stuck.iter_raw(1))  # and never read again
        ages = []
        for _ in range(5):
            begun_s = time.monotonic()
            assert httpx.get(f"{server.url}/snapshot/gate.jpg", timeout=20).status_code == 200
            ages.append(time.monotonic() - begun_s)
        assert sorted(ages)[2] < 0.5


def test_a_snapshot_is_of_now(server: LiveServer) -> None:
    wait_for(lambda: server.live.cameras["gate"].frames > 3)
    answer = httpx.get(f"{server.url}/snapshot/gate.jpg?view=clean&quality=95", timeout=20)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "no-store"
    number, painted_ms = read_clock(grey(answer.content))
    assert number == int(answer.headers["x-frame"])
    assert (time.monotonic_ns() // 1_000_000 & 0xFFFFFFFF) - painted_ms < 1000
    small = httpx.get(f"{server.url}/snapshot/gate.jpg?quality=20", timeout=20)
    assert len(small.content) < len(answer.content)
    assert server.statistics()["viewers"] == {}
