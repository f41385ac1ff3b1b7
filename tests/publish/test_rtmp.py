"""RTMP against a real nginx: what it records is what was sent."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest

from engine.errors import PublishError, PublishUnreachable
from engine.publish.base import Destination, Sink, create_sink
from engine.types.packet import Packet
from tests.peers.fixtures import free_port
from tests.peers.media_servers import RtmpServer
from tests.publish.conftest import START_NS, PacketMaker, probe


def publish(url: str, packets: list[Packet], pause_s: float = 0.0, timeout_s: float = 5.0) -> Sink:
    """Publish, and give the sink back, still open."""
    sink = create_sink(Destination(url, "camera"), timeout_s)
    try:
        sink.open(packets[0])
        for packet in packets:
            sink.write(packet)
            time.sleep(pause_s)
    except PublishError:
        sink.close()
        raise
    return sink


def wait_for(condition: Callable[[], bool], patience_s: float = 5.0) -> None:
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.02)


def test_the_server_records_every_picture(
    rtmp_server: RtmpServer, encoded: PacketMaker, ffprobe: str
) -> None:
    publish(rtmp_server.url(), encoded(60)).close()
    wait_for(lambda: bool(rtmp_server.recordings()))
    wait_for(lambda: "disconnect" in (rtmp_server.folder / "error.log").read_text())
    assert probe(ffprobe, rtmp_server.recordings()[0]) == {
        "codec_name": "h264", "width": "320", "height": "240", "nb_read_frames": "60",
    }  # fmt: skip


def test_hours_fit_into_its_times(rtmp_server: RtmpServer, encoded: PacketMaker, ffprobe: str) -> None:
    """Behind 2²⁴ ms, that is 4.7 hours, times travel in another field."""
    later = encoded(30, first_number=31, start_ns=START_NS + 17_000 * 10**9)
    publish(rtmp_server.url(), encoded(30) + later).close()
    wait_for(lambda: "disconnect" in (rtmp_server.folder / "error.log").read_text())
    assert probe(ffprobe, rtmp_server.recordings()[0])["nb_read_frames"] == "60"


def test_a_server_that_is_killed_is_noticed(rtmp_server: RtmpServer, encoded: PacketMaker) -> None:
    packets = encoded(50)
    sink = publish(rtmp_server.url(), packets[:25])
    rtmp_server.kill()
    with pytest.raises(PublishUnreachable):
        for packet in packets[25:]:
            sink.write(packet)
            time.sleep(0.01)
    sink.close()


def test_a_name_in_use_is_told(rtmp_server: RtmpServer, encoded: PacketMaker) -> None:
    first = publish(rtmp_server.url("secret-key"), encoded(5))
    with pytest.raises(PublishError, match="BadName") as refused:
        publish(rtmp_server.url("secret-key"), encoded(5))
    assert "secret-key" not in str(refused.value).partition("the server says")[2]
    first.close()


def test_a_server_that_refuses_hangs_up(rtmp_server: RtmpServer, encoded: PacketMaker) -> None:
    with pytest.raises(PublishUnreachable, match=r"closed the connection|reset"):
        publish(rtmp_server.url(app="closed"), encoded(50), pause_s=0.01)


def test_a_frozen_server_is_given_up(rtmp_server: RtmpServer, encoded: PacketMaker) -> None:
    packets = encoded(60, size=(640, 480))
    sink = publish(rtmp_server.url(), packets, timeout_s=0.5)
    rtmp_server.freeze()
    started_s = time.monotonic()
    with pytest.raises(PublishUnreachable, match=r"0\.5 s"):
        publish(rtmp_server.url("other"), packets, timeout_s=0.5)
    assert time.monotonic() - started_s < 3
    sink.interrupt()
    with pytest.raises(PublishUnreachable):
        for packet in packets:
            sink.write(packet)
    sink.close()


def test_somebody_who_never_answers(encoded: PacketMaker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(PublishUnreachable, match=r"no answer in 0\.3 s"):
            publish(f"rtmp://127.0.0.1:{port}/live/x", encoded(2), timeout_s=0.3)
    with pytest.raises(PublishUnreachable, match="cannot connect"):
        publish(f"rtmp://127.0.0.1:{free_port()}/live/x", encoded(2))


def test_somebody_who_is_no_rtmp_server(encoded: PacketMaker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        sink = create_sink(Destination(f"rtmp://127.0.0.1:{port}/live/x", "camera"), 2.0)

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n" * 200)
                connection.recv(65536)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(PublishError, match=r"does not speak RTMP|closed the connection|reset"):
            sink.open(encoded(1)[0])
        sink.close()
        thread.join()
