"""The control worker's reader of packets: over a real pool, with cameras that come and go."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.config import CameraConfig, OutputConfig, RunConfig, StreamConfig
from engine.control.commands import Commands
from engine.control.video import VideoHub
from engine.types import PacketFlag, PacketMeta, Rendition
from engine.workers.control_video import VideoReader
from engine.workers.control_wake import WakeEnd
from engine.workers.packets import PacketWriter
from tests.workers.house import House

OpenHouse = Callable[[RunConfig], House]
CAMERAS = CameraConfig("a", "test://"), CameraConfig("b", "test://")


@pytest.fixture
def house(open_house: OpenHouse, tmp_path: Path) -> House:
    config = RunConfig(
        "m3-cpu",
        CAMERAS,
        output=OutputConfig(directory=str(tmp_path)),
        stream=StreamConfig(packet_slot_kib=16),
    )
    return open_house(config)


class Newest(VideoHub):
    """A hub that remembers what was forgotten."""

    def __init__(self) -> None:
        super().__init__(Commands(lambda message: None, "t"))
        self.forgotten: list[str] = []

    def forget(self, camera: str) -> None:
        self.forgotten.append(camera)
        super().forget(camera)

    def numbers(self, camera: str) -> list[int]:
        return [packet.meta.number for packet in self.newest_group(camera, Rendition.CLEAN)]


def write(writer: PacketWriter, *, keyframe: bool = False, data: bytes = b"x") -> None:
    flags = PacketFlag.KEYFRAME if keyframe else PacketFlag.NONE
    writer.write(PacketMeta(Rendition.CLEAN, 0, 0, 1, 0, 5, 1, 7, 8, 640, 360, flags), data)


def until(condition: Callable[[], Any]) -> None:
    end_s = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def test_packets_of_every_camera_reach_the_hub_until_it_is_removed(house: House) -> None:
    writers = {
        name: PacketWriter(house.start(f"stream:{name}").context.writers[f"packets:{name}"]) for name in "ab"
    }
    context, hub, wake = house.start("control").context, Newest(), WakeEnd()
    reader = VideoReader(context, hub, wake)
    reader.start()
    try:
        write(writers["a"], keyframe=True)
        write(writers["a"], data=b"y" * 40_000)
        write(writers["b"], keyframe=True)
        wake.notify()
        until(lambda: hub.numbers("a") == [1, 2] and hub.numbers("b") == [1])
        before = context.config
        after = replace(before, cameras=CAMERAS[1:])
        reader.configured(before, after)
        assert hub.forgotten == ["a"]
        write(writers["a"], keyframe=True)
        write(writers["b"])
        wake.notify()
        until(lambda: hub.numbers("b") == [1, 2])
        assert hub.numbers("a") == []
        assert reader.statistics() == {}
    finally:
        reader.stop()


def test_what_is_overwritten_is_told_also_after_the_camera_has_gone(house: House) -> None:
    writer = PacketWriter(house.start("stream:a").context.writers["packets:a"])
    context, hub, wake = house.start("control").context, Newest(), WakeEnd()
    reader = VideoReader(context, hub, wake)
    write(writer, keyframe=True)
    reader.start()
    try:
        until(lambda: hub.numbers("a") == [1])
        with reader._lock:  # it cannot read meanwhile
            for _ in range(100):
                write(writer)
        wake.notify()
        until(lambda: reader.statistics().get("clean", 0) > 20)
        lost = reader.statistics()
        assert hub.numbers("a") == []  # the group has a hole
        reader.configured(context.config, replace(context.config, cameras=()))
        assert reader.statistics() == lost
    finally:
        reader.stop()
