"""Network streams from a real RTSP server, and from peers that refuse, hang or vanish."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from engine.clock import SystemClock
from engine.errors import (
    SourceDisconnected,
    SourceError,
    SourceNotFound,
    SourceUnauthorized,
    SourceUnsupported,
)
from engine.sources.av import AvSource
from engine.sources.base import Picture, SourceOptions
from engine.sources.reconnect import Backoff, Reconnector, SourceState
from tests.peers.fixtures import RtspServer, free_port
from tests.sources.clips import show, shown

StartRtspServer = Callable[..., RtspServer]


@contextmanager
def opened(url: str, timeout_s: float = 3.0, transport: str = "tcp") -> Iterator[AvSource]:
    source = AvSource(SourceOptions(url, timeout_s=timeout_s, rtsp_transport=transport))
    try:
        source.open()
        yield source
    finally:
        source.close()


def error_of_opening(url: str, timeout_s: float = 1.0) -> tuple[SourceError, float]:
    """What opening raises, and after how many seconds."""
    start_s = time.monotonic()
    with pytest.raises(SourceError) as caught, opened(url, timeout_s):
        pass
    message = str(caught.value)
    assert "geheim" not in message and "\n" not in message
    # Nor in what a traceback would print.
    assert caught.value.__cause__ is None and (
        caught.value.__suppress_context__ or caught.value.__context__ is None
    )
    return caught.value, time.monotonic() - start_s


@pytest.mark.peer
@pytest.mark.parametrize(
    ("path", "transport", "codec", "full_range"),
    [
        ("/live", "tcp", "h264", False),
        ("/live", "udp", "h264", False),
        ("/h265", "tcp", "hevc", False),
        ("/mjpeg", "tcp", "mjpeg", True),
    ],
)
def test_pictures_come_at_the_pace_of_the_camera(
    rtsp_server: RtspServer, path: str, transport: str, codec: str, full_range: bool
) -> None:
    with opened(rtsp_server.url(path), transport=transport) as source:
        pictures = list(shown(source, 40))
        assert codec in source.description and "320x240" in source.description
        assert source.live and source.fps == 25 and source.corrupt_packets == 0
    assert all(seen.picture.full_range is full_range for seen in pictures)
    # The ball of the test pattern: white on black.
    assert all(seen.y.max() > 200 and seen.y.min() < 30 for seen in pictures)
    headers = [seen.picture for seen in pictures[15:]]
    gaps_s = [(b.captured_ns - a.captured_ns) / 1e9 for a, b in itertools.pairwise(headers)]
    assert sum(gaps_s) / len(gaps_s) == pytest.approx(0.04, abs=0.01)
    steps_s = [(b.pts_ns - a.pts_ns) / 1e9 for a, b in itertools.pairwise(headers)]
    assert all(step == pytest.approx(0.04, abs=0.005) for step in steps_s)
    assert abs(headers[-1].wall_ns - time.time_ns()) < 5e9


@pytest.mark.peer
def test_the_first_picture_comes_soon_and_without_a_backlog(rtsp_server: RtspServer) -> None:
    with opened(rtsp_server.url()) as first:
        # A second viewer joins in the middle of a group of pictures, and must not wait for its end twice.
        list(shown(first, 30))
        start_s = time.monotonic()
        with opened(rtsp_server.url()) as source:
            list(shown(source, 1))
            assert time.monotonic() - start_s < 2.5
            ages_s = [(time.monotonic_ns() - seen.picture.captured_ns) / 1e9 for seen in shown(source, 20)]
    assert ages_s[-1] < 0.1


@pytest.mark.peer
def test_the_end_of_a_live_stream_is_a_lost_connection(rtsp_server: RtspServer) -> None:
    count = 0
    with (
        opened(rtsp_server.url("/short")) as source,
        pytest.raises(SourceDisconnected, match="the stream ended"),
    ):
        for _ in shown(source):
            count += 1
    assert 45 <= count <= 50


@pytest.mark.peer
def test_passwords(start_rtsp_server: StartRtspServer) -> None:
    server = start_rtsp_server("--user", "admin", "--password", "p@ss/w:rd")
    with opened(server.url(login="admin:p%40ss%2Fw%3Ard@")) as source:
        assert len(list(shown(source, 3))) == 3
    for login in ("admin:geheim@", ""):
        error, _ = error_of_opening(server.url(login=login), 3.0)
        assert isinstance(error, SourceUnauthorized)
        assert f"127.0.0.1:{server.port}/live" in str(error)


@pytest.mark.peer
def test_streams_that_are_not_there(rtsp_server: RtspServer) -> None:
    error, _ = error_of_opening(rtsp_server.url("/absent", "u:geheim@"), 3.0)
    assert isinstance(error, SourceNotFound) and "no such stream" in str(error)
    error, _ = error_of_opening(rtsp_server.url("/audio"), 3.0)
    assert isinstance(error, (SourceUnsupported, SourceDisconnected))


@pytest.mark.peer
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_frozen_camera_is_noticed(rtsp_server: RtspServer, transport: str) -> None:
    timeout_s = 1.0
    with opened(rtsp_server.url(), timeout_s, transport) as source:
        list(shown(source, 10))
        rtsp_server.freeze()
        start_s = time.monotonic()
        with pytest.raises(SourceDisconnected):
            list(shown(source))
        assert time.monotonic() - start_s < 2 * timeout_s
        start_s = time.monotonic()
    assert time.monotonic() - start_s < 1.0, "closing must not wait for the camera"


@pytest.mark.peer
def test_a_silent_camera_leaves_its_worker_free(rtsp_server: RtspServer) -> None:
    with opened(rtsp_server.url(), 30.0) as source:
        list(shown(source, 5))
        rtsp_server.freeze()
        while source.ready(0.2):
            source.grab()
        start_s = time.monotonic()
        assert not source.ready(0.1)
        assert time.monotonic() - start_s < 0.3
        rtsp_server.thaw()
        while not source.ready(0.2):
            assert time.monotonic() - start_s < 10
        assert isinstance(source.grab(), Picture)


@pytest.mark.peer
def test_a_killed_camera_comes_back(rtsp_server: RtspServer) -> None:
    options = SourceOptions(rtsp_server.url(), timeout_s=2.0)
    reconnector = Reconnector(lambda: AvSource(options), SystemClock(), Backoff(cap_s=0.5))
    deadline_s = time.monotonic() + 60

    def until(done: Callable[[], bool]) -> list[Picture]:
        pictures = []
        while not done():
            assert time.monotonic() < deadline_s, f"{reconnector.state}: {reconnector.reason}"
            item = reconnector.grab()
            assert item is not None
            if isinstance(item, Picture):
                pictures.append(item)
            else:
                time.sleep(max(0.0, (item.until_ns - time.monotonic_ns()) / 1e9))
        return pictures

    for connection in range(1, 4):
        pictures = until(lambda: reconnector.state is SourceState.STREAMING)
        assert reconnector.connections == connection
        assert pictures[-1].discontinuity is (connection > 1)
        rtsp_server.kill()
        until(lambda: reconnector.state is SourceState.RECONNECTING)
        rtsp_server.start()
    reconnector.close()


def test_a_closed_port() -> None:
    error, seconds = error_of_opening(f"rtsp://admin:geheim@127.0.0.1:{free_port()}/live")
    assert isinstance(error, SourceDisconnected) and "connection refused" in str(error)
    assert seconds < 1.0


@pytest.mark.parametrize("scheme", ["rtsp", "http", "rtmp"])
def test_a_listener_that_never_answers(scheme: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"{scheme}://admin:geheim@127.0.0.1:{listener.getsockname()[1]}/live"
        error, seconds = error_of_opening(url, 0.5)
    assert isinstance(error, SourceDisconnected) and "no answer" in str(error)
    assert seconds < 2.5


def test_a_peer_that_talks_nonsense() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 20)

        thread = threading.Thread(target=answer)
        thread.start()
        error, _ = error_of_opening(f"rtsp://admin:geheim@127.0.0.1:{listener.getsockname()[1]}/live")
        thread.join()
    assert isinstance(error, SourceDisconnected)


def test_a_host_that_does_not_exist() -> None:
    error, _ = error_of_opening("rtsp://admin:geheim@camera.invalid/live", 2.0)
    assert isinstance(error, SourceDisconnected) and "camera.invalid" in str(error)


@pytest.mark.peer
def test_a_picture_is_only_written_when_asked(rtsp_server: RtspServer) -> None:
    with opened(rtsp_server.url()) as source:
        for _ in range(5):
            picture = source.grab()
        assert picture is not None
        assert show(source, picture).y.max() > 200


@pytest.mark.peer
def test_rtmp(rtmp_url: str) -> None:
    with opened(rtmp_url) as source:
        assert source.live and "h264 320x240" in source.description
        headers = [seen.picture for seen in shown(source, 50)]
    gaps_s = [(b.pts_ns - a.pts_ns) / 1e9 for a, b in itertools.pairwise(headers)]
    assert all(gap == pytest.approx(0.04, abs=0.002) for gap in gaps_s)
