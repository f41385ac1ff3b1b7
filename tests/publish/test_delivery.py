"""A destination and its thread: alive again after what servers and disks do, and no burden to anybody."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from engine.clock import ManualClock, SystemClock
from engine.publish.base import Destination
from engine.publish.delivery import STUCK_S, Delivery
from engine.publish.outbox import CLOSED
from engine.publish.retry import DeliveryState, RetryPolicy
from engine.types.packet import Packet
from tests.peers.fixtures import free_port
from tests.peers.media_servers import RtmpServer, RtspRecorder
from tests.publish.conftest import PacketMaker
from tests.publish.test_rtmp import wait_for

QUICK = RetryPolicy(first_s=0.05, cap_s=0.2, good_after_s=0.2, disk_full_s=0.1)
FPS = 50.0


class Feeder:
    """Offers packets for ever at a steady pace, like a camera; keeps how long the longest offer took."""

    def __init__(self, packets: list[Packet], *deliveries: Delivery) -> None:
        self.longest_s = 0.0
        self._packets = packets
        self._deliveries = deliveries
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Feeder:
        for delivery in self._deliveries:
            delivery.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        for delivery in self._deliveries:
            delivery.stop()
        for delivery in self._deliveries:
            delivery.join()
            assert delivery.state is DeliveryState.STOPPED

    def _run(self) -> None:
        for packet in self._packets:
            if self._stopping.wait(1 / FPS):
                return
            for delivery in self._deliveries:
                before_s = time.monotonic()
                delivery.offer(packet)
                self.longest_s = max(self.longest_s, time.monotonic() - before_s)


@pytest.fixture(scope="module")
def minute(encoded: PacketMaker) -> list[Packet]:
    """Half a minute of packets, a key frame every half second."""
    return encoded(1500, FPS)


def delivery_to(url: str) -> Delivery:
    return Delivery(Destination(url, "camera"), SystemClock(), policy=QUICK, rng=random.Random(7))


@pytest.mark.parametrize("kind", ["rtmp", "rtsp"])
def test_a_server_that_is_killed_and_comes_back(
    kind: str, rtmp_server: RtmpServer, rtsp_recorder: RtspRecorder, minute: list[Packet], tmp_path: Path
) -> None:
    server = rtmp_server if kind == "rtmp" else rtsp_recorder
    delivery, folder = delivery_to(server.url()), delivery_to(f"hls:{tmp_path}/folder")
    with Feeder(minute, delivery, folder) as feeder:
        for round_number in range(1, 4):
            wait_for(lambda: delivery.state is DeliveryState.LIVE, 10)
            sent = delivery.packets
            wait_for(lambda: delivery.packets > sent + 20, 10)  # noqa: B023 - called in this round
            server.kill()
            wait_for(lambda: delivery.state is not DeliveryState.LIVE, 10)
            assert "127.0.0.1" in delivery.reason
            server.start()
            wait_for(lambda: delivery.connections > round_number, 10)  # noqa: B023 - called in this round
        assert delivery.connections >= 4
        assert folder.connections == 1 and folder.outbox.dropped[CLOSED] == 0
    assert feeder.longest_s < 0.05
    status = delivery.to_status()
    assert status["reconnects"] >= 3 and status["dropped"]["disconnected"] > 0 and status["packets"] > 60
    assert status["lag_ms"] is not None


def test_a_server_that_is_away_costs_nobody_a_key_frame(minute: list[Packet]) -> None:
    away = delivery_to(f"rtsp://127.0.0.1:{free_port()}/live")
    asked = 0
    with Feeder(minute, away):
        wait_for(lambda: away.state is DeliveryState.WAITING)
        deadline_s = time.monotonic() + 1.0
        while time.monotonic() < deadline_s:
            asked += away.needs_keyframe
            time.sleep(0.005)
    assert asked == 0 and away.to_status()["dropped"]["disconnected"] > 20


def test_counts_go_on_after_a_restart_of_the_process(minute: list[Packet], tmp_path: Path) -> None:
    before = {"connections": 2, "packets": 10, "bytes": 99, "dropped": {"too_slow": 4}}
    delivery = Delivery(Destination(f"hls:{tmp_path}", "camera"), SystemClock(), before=before)
    with Feeder(minute, delivery):
        wait_for(lambda: delivery.packets > 10)
    status = delivery.to_status()
    assert status["connections"] == 3 and status["dropped"]["too_slow"] == 4 and status["bytes"] > 99


def test_a_full_disk_recovers_by_itself(
    minute: list[Packet], small_disk: Callable[[int], Path], tmp_path: Path
) -> None:
    disk = small_disk(8 << 20)
    full, free = delivery_to(f"hls:{disk}/video"), delivery_to(f"hls:{tmp_path}/free")
    with Feeder(minute, full, free):
        wait_for(lambda: full.packets > 25, 10)
        with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(bytes(4096))
        wait_for(lambda: full.state is DeliveryState.DISK_FULL, 10)
        assert "free space there" in full.reason
        (disk / "filler").unlink()
        sent = full.packets
        wait_for(lambda: full.state is DeliveryState.LIVE and full.packets > sent + 20, 10)
        assert free.connections == 1


def test_refusals_are_tried_rarely(
    start_rtsp_recorder: Callable[..., RtspRecorder], minute: list[Packet]
) -> None:
    server = start_rtsp_recorder("--user", "me", "--password", "right")
    delivery = delivery_to(server.url(login="me:wrong@"))
    with Feeder(minute, delivery):
        wait_for(lambda: delivery.state is DeliveryState.REFUSED)
        since_ns = delivery.since_ns
        time.sleep(0.5)
        assert delivery.since_ns == since_ns and delivery.state is DeliveryState.REFUSED
    assert "wrong" not in str(delivery.to_status())


def test_a_variable_that_is_gone_is_told(minute: list[Packet]) -> None:
    delivery = delivery_to("rtmp://127.0.0.1/live/${NOT_SET_ANYWHERE}")
    with Feeder(minute, delivery):
        wait_for(lambda: delivery.state is DeliveryState.MISCONFIGURED)
        assert "NOT_SET_ANYWHERE is not set" in delivery.reason


def test_another_size_opens_the_connection_anew(rtmp_server: RtmpServer, encoded: PacketMaker) -> None:
    packets = encoded(50, FPS) + encoded(
        400, FPS, size=(640, 480), first_number=51, start_ns=6_000_000_000, restarted=True
    )
    delivery = delivery_to(rtmp_server.url())
    with Feeder(packets, delivery):
        wait_for(lambda: delivery.connections == 2, 10)
        wait_for(lambda: delivery.packets > 100, 10)
    assert "reason" in delivery.to_status() and delivery.outbox.dropped[CLOSED] <= 1


def test_a_call_that_does_not_come_back_is_noticed(tmp_path: Path, encoded: PacketMaker) -> None:
    """A playlist that is a pipe which nobody reads: writing into it waits for ever."""
    clock = ManualClock()
    delivery = Delivery(Destination(f"hls:{tmp_path}", "camera"), clock)
    packets = encoded(30)
    number = packets[0].meta.wall_ns // 500_000_000
    delivery.start()
    wait_for(lambda: delivery.needs_keyframe)
    delivery.offer(packets[0])
    wait_for(lambda: delivery.state is DeliveryState.LIVE)
    os.mkfifo(tmp_path / f"init-{number}.mp4.new")
    for packet in packets[1:]:
        delivery.offer(packet)
    wait_for(lambda: delivery._busy_since_ns is not None)
    assert not delivery.stuck
    clock.advance(STUCK_S + 1)
    wait_for(lambda: delivery.stuck)
    assert delivery.to_status()["state"] == "stuck" and not delivery.crashed
    # Let it go, so that no thread stays behind.
    with (tmp_path / f"init-{number}.mp4.new").open("rb") as reader:
        reader.read()
    delivery.stop()
    delivery.join()
