"""Packets through a pool: whole, in order, each once; what was overwritten is counted; a restart goes on numbering."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.config import CameraConfig, OutputConfig, RunConfig, StreamConfig
from engine.errors import OutputError
from engine.types import Packet, PacketFlag, PacketMeta, Rendition
from engine.workers.packets import PacketReader, PacketWriter
from tests.workers.house import House

OpenHouse = Callable[[RunConfig], House]
KIB = 1024


@pytest.fixture
def house(open_house: OpenHouse, tmp_path: Path) -> House:
    return open_house(
        RunConfig(
            "m3-cpu",
            (CameraConfig("a", "test://"),),
            output=OutputConfig(directory=str(tmp_path)),
            stream=StreamConfig(packet_slot_kib=16),
        )
    )


def writer_of(house: House, numbers: dict[str, int] | None = None) -> PacketWriter:
    return PacketWriter(house.start("stream:a").context.writers["packets:a"], numbers)


def reader_of(house: House) -> PacketReader:
    return PacketReader(house.start("control").context.feeds["packets:a"])


def meta_of(rendition: Rendition = Rendition.CLEAN, captured_ns: int = 1) -> PacketMeta:
    return PacketMeta(rendition, 0, 0, 1, 0, 5, captured_ns, 7, 8, 640, 360, PacketFlag.KEYFRAME)


def read_all(reader: PacketReader) -> Iterator[Packet]:
    while (packet := reader.next()) is not None:
        yield packet


def test_packets_come_out_whole_and_in_order(house: House) -> None:
    writer, reader = writer_of(house), reader_of(house)
    payloads = [b"a", b"b" * 16 * KIB, b"c" * (16 * KIB + 1), bytes(range(256)) * 200]
    for payload in payloads:
        told = writer.write(meta_of(), payload)
        assert told.parts == -(-len(payload) // (16 * KIB))
    found = list(read_all(reader))
    assert [packet.data for packet in found] == payloads
    assert [packet.meta.number for packet in found] == [1, 2, 3, 4]
    assert all(packet.meta.keyframe and packet.meta.frame_index == 5 for packet in found)
    assert reader.lost == dict.fromkeys(Rendition, 0) and reader.next() is None


def test_each_rendition_has_numbers_of_its_own(house: House) -> None:
    writer, reader = writer_of(house), reader_of(house)
    for rendition in (Rendition.CLEAN, Rendition.OVERLAY, Rendition.CLEAN, Rendition.OVERLAY_JPEG):
        writer.write(meta_of(rendition), b"x")
    assert [(packet.meta.rendition, packet.meta.number) for packet in read_all(reader)] == [
        (Rendition.CLEAN, 1), (Rendition.OVERLAY, 1), (Rendition.CLEAN, 2), (Rendition.OVERLAY_JPEG, 1)
    ]  # fmt: skip


def test_a_slow_reader_counts_what_it_has_lost_and_never_gets_half_a_packet(house: House) -> None:
    writer, reader = writer_of(house), reader_of(house)
    writer.write(meta_of(), b"first")
    assert [packet.data for packet in read_all(reader)] == [b"first"]
    payloads = [bytes([number]) * (40 * KIB) for number in range(40)]  # three slots each: twice the pool
    for payload in payloads:
        writer.write(meta_of(), payload)
    found = list(read_all(reader))
    assert [packet.data for packet in found] == payloads[-len(found) :]
    assert 10 < len(found) < 40
    assert reader.lost[Rendition.CLEAN] == 40 - len(found)


def test_a_packet_that_a_killed_writer_left_half_done_is_a_loss_and_nothing_else(house: House) -> None:
    writer, reader = writer_of(house), reader_of(house)
    writer.write(meta_of(), b"whole")
    torn = house.producer("packets:a")
    with torn.write() as slot:
        replace(meta_of(), number=2, parts=2, part_bytes=16 * KIB).pack_into(slot.meta)
    house.kill("stream:a")
    writer = writer_of(house)
    assert writer.numbers[Rendition.CLEAN] == 2
    writer.write(meta_of(), b"next")
    assert [packet.data for packet in read_all(reader)] == [b"whole", b"next"]
    assert reader.lost[Rendition.CLEAN] == 1


def test_numbers_go_on_behind_what_lies_in_the_pool_and_what_was_told(house: House) -> None:
    writer = writer_of(house)
    for number in range(3):
        writer.write(meta_of(captured_ns=100 + number), b"x")
    house.kill("stream:a")
    writer = writer_of(house, {"overlay": 41, "clean": 1})
    assert writer.newest_ns == {Rendition.CLEAN: 102}
    assert writer.write(meta_of(), b"x").number == 4
    assert writer.write(meta_of(Rendition.OVERLAY), b"x").number == 42


def test_a_restarted_reader_goes_on_behind_what_it_has_read(house: House) -> None:
    writer, reader = writer_of(house), reader_of(house)
    for _ in range(2):
        writer.write(meta_of(), b"x")
    assert reader.next() is not None
    house.kill("control")
    reader = reader_of(house)
    assert [packet.meta.number for packet in read_all(reader)] == [2]
    assert house.memory("packets:a").statistics().leased == (0, 0)


def test_what_there_is_no_room_for_is_refused_and_takes_no_number(house: House) -> None:
    writer, reader = writer_of(house), reader_of(house)
    for payload in (b"", bytes(writer.most_bytes + 1)):
        with pytest.raises(OutputError, match="packet_slot_kib"):
            writer.write(meta_of(), payload)
    largest = bytes(writer.most_bytes)
    assert writer.write(meta_of(), largest).number == 1
    assert [packet.data for packet in read_all(reader)] == [largest]
