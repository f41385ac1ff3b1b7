"""WHIP: published to a real aiortc server that decodes what comes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from bench.live_camera import moving_pictures, paint_clock
from engine.errors import PublishError, PublishRefused, PublishUnreachable
from engine.outputs.encode import Encoder, EncoderSettings, PictureFormat
from engine.publish.base import Destination, Sink, create_sink
from engine.types import ColourMatrix
from engine.types.packet import Packet, PacketFlag, PacketMeta, Rendition
from tests.peers.whip_server import WhipServer, whip_server

SIZE = 640, 360


@pytest.fixture(scope="module")
def packets() -> list[Packet]:
    """Three seconds at 25 frames/s with the frame's number in each picture."""
    encoder = Encoder(PictureFormat(*SIZE, ColourMatrix.BT601, False), EncoderSettings(live=True), 25.0)
    made = []
    for number, frame in enumerate(moving_pictures(*SIZE, 75)):
        picture = encoder.picture_of(frame)
        paint_clock(np.asarray(picture.y), number, 0)
        time_ns = 5_000_000_000 + number * 40_000_000
        for each in encoder.encode(picture, time_ns):
            flags = PacketFlag.KEYFRAME if each.keyframe else PacketFlag.NONE
            meta = PacketMeta(
                Rendition.OVERLAY,
                number + 1,
                0,
                1,
                len(each.data),
                number,
                time_ns,
                time_ns,
                time_ns,
                *SIZE,
                flags,
            )
            made.append(Packet(meta, each.data))
    return made


@pytest.fixture
def server() -> Iterator[WhipServer]:
    with whip_server("s3cret") as server:
        yield server


def sink_of(server: WhipServer, path: str = "whip/gate", login: str = ":${WHIP_TOKEN}@") -> Sink:
    return create_sink(Destination.of(f"whip://{login}127.0.0.1:{server.port}/{path}", "gate"))


def send(sink: Sink, packets: list[Packet]) -> None:
    sink.open(packets[0])
    for packet in packets:
        sink.write(packet)
        time.sleep(0.01)


@pytest.mark.parametrize("path", ["whip/gate", "moved/gate?a=b"])
def test_every_picture_arrives_and_the_session_is_deleted(
    server: WhipServer, packets: list[Packet], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("WHIP_TOKEN", "s3cret")
    sink = sink_of(server, path)
    assert "s3cret" not in sink.destination.label
    send(sink, packets[:50])
    until_s = time.monotonic() + 10
    while len(server.numbers) < 40 and time.monotonic() < until_s:
        time.sleep(0.05)
    sink.close()
    sink.close()
    assert len(server.numbers) >= 40
    assert all(after == before + 1 for before, after in pairwise(server.numbers))
    assert server.deleted == 1
    assert not [each for each in threading.enumerate() if each.name == "whip"]


def test_a_wrong_token_is_refused(server: WhipServer, packets: list[Packet]) -> None:
    sink = sink_of(server, login="wrong@")
    with pytest.raises(PublishRefused, match="token was refused"):
        sink.open(packets[0])
    sink.close()


def test_what_servers_answer_is_told(server: WhipServer, packets: list[Packet]) -> None:
    server.answer = 503
    sink = sink_of(server, login="s3cret@")
    with pytest.raises(PublishError, match="answers 503"):
        sink.open(packets[0])
    sink.close()


def test_nobody_there(packets: list[Packet]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        sink = create_sink(Destination.of(f"whip://127.0.0.1:{port}/x", "gate"))
        with pytest.raises(PublishUnreachable, match="refused"):
            sink.open(packets[0])
        sink.close()


def test_a_server_that_never_answers_can_be_interrupted(packets: list[Packet]) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        sink = create_sink(Destination.of(f"whip://127.0.0.1:{silent.getsockname()[1]}/x", "gate"), 8.0)
        begun_s = time.monotonic()
        threading.Timer(0.5, sink.interrupt).start()
        with pytest.raises(PublishUnreachable):
            sink.open(packets[0])
        sink.close()
        assert time.monotonic() - begun_s < 4.0


def test_a_server_that_has_gone_is_noticed(
    server: WhipServer, packets: list[Packet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.publish.whip.SILENCE_S", 1.0)
    sink = sink_of(server, login="s3cret@")
    send(sink, packets[:10])
    server.drop()

    def go_on() -> None:
        for packet in packets[10:] * 10:
            sink.write(packet)
            time.sleep(0.02)

    with pytest.raises(PublishUnreachable, match="heard"):
        go_on()
    sink.close()
