"""One camera's packets to its destinations, through a real pool and into real folders."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from engine.config import CameraConfig, OutputConfig, RunConfig, StreamConfig
from engine.publish.base import Destination
from engine.publish.delivery import Delivery
from engine.publish.low_latency_hls import PLAYLIST
from engine.publish.retry import DeliveryState
from engine.types import Packet, Rendition
from engine.workers.packets import PacketWriter
from engine.workers.publish import KEYFRAME_INTERVAL_NS, Distributor, run
from tests.publish.conftest import encode
from tests.publish.test_rtmp import wait_for
from tests.workers.house import House, Worker

OpenHouse = Callable[[RunConfig], House]


def config_of(folder: Path, *urls: str, **stream: str) -> RunConfig:
    return RunConfig(
        "m3-cpu",
        (CameraConfig("a", "test://"),),
        output=OutputConfig(directory=str(folder), overlay=False),
        stream=StreamConfig(publish=urls, **stream),  # type: ignore[arg-type]  # only texts are given
    )


@contextmanager
def running(worker: Worker) -> Iterator[None]:
    """The worker at work in a thread; told to stop at the end."""
    thread = threading.Thread(target=run, args=(worker.context,))
    thread.start()
    try:
        yield
    finally:
        # Its grace is for a process of its own.
        worker.context.stop_grace_s = None
        worker.send({"type": "stop"})
        thread.join(10)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def packets() -> list[Packet]:
    return encode(80)


def test_packets_reach_every_destination(
    open_house: OpenHouse, tmp_path: Path, packets: list[Packet]
) -> None:
    house = open_house(config_of(tmp_path, f"hls:{tmp_path}/one/{{camera}}", f"hls:{tmp_path}/two"))
    worker = house.start("publish:a")
    writer = PacketWriter(house.start("stream:a").context.writers["packets:a"])
    with running(worker):
        wait_for(lambda: bool(worker.heard("command")))
        for packet in packets:
            writer.write(packet.meta, packet.data)
            other = replace(packet.meta, rendition=Rendition.CLEAN, number=0)
            writer.write(other, b"another view")
            wait_for(
                lambda: (
                    house.memory("packets:a").newest_seq() <= worker.context.feeds["packets:a"].acknowledged()
                )
            )
        wait_for(lambda: all((tmp_path / name / PLAYLIST).exists() for name in ("one/a", "two")))
        wait_for(lambda: (tmp_path / "two" / PLAYLIST).read_text().count("#EXTINF") == 3)
    (command, *_) = worker.heard("command")
    assert (command["to"], command["command"], command["rendition"]) == (
        "stream:a", "stream-keyframe", "overlay",
    )  # fmt: skip
    worker.context.before_status()
    told = worker.context.status["publish"]
    assert set(told["destinations"]) == {f"hls:{tmp_path}/one/a", f"hls:{tmp_path}/two"}
    assert all(each["packets"] == 80 and each["connections"] == 1 for each in told["destinations"].values())
    assert told["lost"] == 0 and worker.context.status["degraded"] == []
    assert [line["text"] for line in worker.heard("log")] == [
        f"publish hls:{tmp_path}/one/a: live", f"publish hls:{tmp_path}/two: live",
    ]  # fmt: skip


def test_trouble_is_told_once_and_counts_go_on_after_a_restart(
    open_house: OpenHouse, tmp_path: Path, packets: list[Packet], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    url = f"hls:{tmp_path}/file/x"
    house = open_house(config_of(tmp_path, url, view="clean"))
    before = {"publish": {"destinations": {url: {"connections": 3, "packets": 50}}, "lost": 7}}
    worker = house.start("publish:a", before)
    writer = PacketWriter(house.start("stream:a").context.writers["packets:a"])
    with running(worker):
        wait_for(lambda: bool(worker.heard("command")))
        for packet in packets[:3]:
            writer.write(replace(packet.meta, rendition=Rendition.CLEAN), packet.data)
        wait_for(lambda: bool(worker.heard("log")))
        worker.context.before_status()
        told = worker.context.status
        assert "Not a directory" in told["degraded"][0]
        assert told["publish"]["lost"] == 7
        assert told["publish"]["destinations"][url]["state"] == "waiting"
        assert told["publish"]["destinations"][url]["packets"] == 50
    (line,) = worker.heard("log")
    assert line["level"] == "warning" and "Not a directory" in line["text"]


def test_key_frames_are_asked_for_in_moderation(open_house: OpenHouse, tmp_path: Path) -> None:
    house = open_house(config_of(tmp_path, f"hls:{tmp_path}/x"))
    delivery = Delivery(Destination(f"hls:{tmp_path}/x", "a"), house.clock)
    distributor = Distributor(Rendition.OVERLAY, [delivery], house.clock)
    assert not distributor.keyframe_due()
    delivery.outbox.restart()
    assert distributor.keyframe_due() and not distributor.keyframe_due()
    house.clock.advance(KEYFRAME_INTERVAL_NS / 1e9)
    assert distributor.keyframe_due()


def test_addresses_that_look_alike_without_their_secrets_are_told_apart(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    house = open_house(config_of(tmp_path))
    deliveries = [
        Delivery(Destination(f"rtsp://me:{word}@host/x", "a"), house.clock) for word in ("one", "two")
    ]
    told = Distributor(Rendition.OVERLAY, deliveries, house.clock).to_status()
    assert set(told["destinations"]) == {"rtsp://***@host/x", "rtsp://***@host/x (2)"}
    assert {each["state"] for each in told["destinations"].values()} == {DeliveryState.CONNECTING.value}
