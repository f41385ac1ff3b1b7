"""What is left out of a queue, and why: always whole groups of pictures."""

from __future__ import annotations

import threading

from engine.publish.outbox import Outbox
from engine.types.packet import Packet
from tests.publish.conftest import PacketMaker


def taken(outbox: Outbox) -> list[Packet]:
    return [packet for packet in iter(lambda: outbox.take(0.0), None)]


def numbers(packets: list[Packet]) -> list[int]:
    return [packet.meta.number for packet in packets]


def test_nothing_goes_in_while_nobody_takes(encoded: PacketMaker) -> None:
    outbox = Outbox()
    for packet in encoded(5):
        outbox.offer(packet)
    assert len(outbox) == 0 and outbox.dropped["disconnected"] == 5
    assert not outbox.needs_keyframe


def test_it_begins_with_a_key_frame(encoded: PacketMaker) -> None:
    outbox = Outbox()
    outbox.restart()
    assert outbox.needs_keyframe
    packets = encoded(30, keyframe_every=10)
    for packet in packets[5:]:
        outbox.offer(packet)
    assert numbers(taken(outbox)) == list(range(11, 31))
    assert outbox.dropped["no_keyframe"] == 5 and not outbox.needs_keyframe


def test_after_a_hole_it_goes_on_with_a_key_frame(encoded: PacketMaker) -> None:
    outbox = Outbox()
    outbox.restart()
    packets = encoded(30, keyframe_every=10)
    for packet in packets[:4] + packets[6:]:
        outbox.offer(packet)
    assert numbers(taken(outbox)) == [1, 2, 3, 4, *range(11, 31)]
    assert outbox.dropped["no_keyframe"] == 4


def test_who_is_too_slow_gets_the_newest_group(encoded: PacketMaker) -> None:
    outbox = Outbox(most_packets=25)
    outbox.restart()
    for packet in encoded(40, keyframe_every=10):
        outbox.offer(packet)
    left = numbers(taken(outbox))
    assert left[0] % 10 == 1 and left[-1] == 40 and left == list(range(left[0], 41))
    assert outbox.dropped["too_slow"] == left[0] - 1


def test_a_group_that_is_larger_than_the_queue_is_left_out(encoded: PacketMaker) -> None:
    outbox = Outbox(most_packets=8)
    outbox.restart()
    for packet in encoded(30, keyframe_every=20):
        outbox.offer(packet)
    assert outbox.needs_keyframe or numbers(taken(outbox))[0] == 21
    assert outbox.dropped["too_slow"] + outbox.dropped["no_keyframe"] >= 20


def test_bytes_are_bounded_too(encoded: PacketMaker) -> None:
    packets = encoded(40, keyframe_every=10)
    room = sum(len(packet.data) for packet in packets[:12])
    outbox = Outbox(most_bytes=room)
    outbox.restart()
    for packet in packets:
        outbox.offer(packet)
        assert sum(len(each.data) for each in outbox._packets) <= room
    assert outbox.dropped["too_slow"] > 0


def test_closing_wakes_who_waits(encoded: PacketMaker) -> None:
    outbox = Outbox()
    outbox.restart()
    found: list[Packet | None] = []
    waiting = threading.Thread(target=lambda: found.append(outbox.take(30.0)))
    waiting.start()
    outbox.close()
    waiting.join(5.0)
    assert found == [None]
    outbox.offer(encoded(1)[0])
    assert outbox.dropped["disconnected"] == 1
