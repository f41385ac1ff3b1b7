"""The hub of live video: what viewers get, what they miss, and what is asked of the stream worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.control.commands import CommandFailed, Commands
from engine.control.video import VideoHub, VideoLimits
from engine.types.packet import Packet, PacketFlag, PacketMeta, Rendition

CLEAN, JPEG = Rendition.CLEAN, Rendition.CLEAN_JPEG
RUNNING = {"renditions": {"clean": {"running": True, "encoder": "libx264", "reason": "configured"}}}
KEY = PacketFlag.KEYFRAME
Answerer = Callable[[dict[str, Any]], dict[str, Any] | None]


def make_packet(
    number: int, flags: PacketFlag = PacketFlag.NONE, rendition: Rendition = CLEAN, size: int = 10
) -> Packet:
    meta = PacketMeta(
        rendition, number, 0, 1, size, number, number * 1000, number * 1000, number * 1000, 64, 64, flags
    )
    return Packet(meta, bytes(size))


@dataclass
class House:
    """A hub, whose stream worker answers with what `answer` gives, or not at all."""

    limits: VideoLimits = field(default_factory=lambda: VideoLimits(want_every_s=0.01))
    asked: list[dict[str, Any]] = field(default_factory=list)
    answer: Answerer = lambda message: RUNNING
    now_s: float = 100.0

    def __post_init__(self) -> None:
        self.commands = Commands(self._take, "t", timeout_s=0.2)
        self.hub = VideoHub(self.commands, self.limits, lambda: self.now_s)

    def _take(self, message: dict[str, Any]) -> None:
        self.asked.append(message)
        result = self.answer(message)
        if result is not None:
            self.commands.answered({"id": message["id"], "ok": True, "result": result})

    def asked_for(self, command: str) -> list[dict[str, Any]]:
        return [each for each in self.asked if each["command"] == command]

    def publish(self, *packets: Packet) -> None:
        for packet in packets:
            self.hub.publish("gate", packet)


@dataclass
class Taker:
    """A viewer's end."""

    numbers: list[int] = field(default_factory=list)
    room: bool = True

    def take(self, packet: Packet) -> bool:
        self.numbers.append(packet.meta.number)
        return self.room


def run(test: Callable[[House], Awaitable[None]], house: House | None = None) -> None:
    asyncio.run(test(house or House()))  # type: ignore[arg-type]  # tests are coroutine functions


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_viewer_begins_with_the_newest_group_of_pictures() -> None:
    async def test(house: House) -> None:
        house.publish(
            make_packet(1, KEY), make_packet(2), make_packet(3, KEY), make_packet(4), make_packet(5)
        )
        taker = Taker()
        subscription = house.hub.subscribe("gate", CLEAN)
        house.publish(make_packet(6))  # on its way, and in the group, too
        subscription.start(taker.take, replay=True)
        house.publish(make_packet(7))
        await settle()
        assert taker.numbers == [3, 4, 5, 6, 7]
        assert not subscription.skipped
        subscription.close()

    run(test)


def test_without_replay_it_begins_at_the_next_key_frame_which_is_asked_for() -> None:
    async def test(house: House) -> None:
        house.publish(make_packet(1, KEY), make_packet(2))
        taker = Taker()
        subscription = house.hub.subscribe("gate", CLEAN)
        subscription.start(taker.take, replay=False)
        await settle()
        (asked,) = house.asked_for("stream-keyframe")
        assert (asked["to"], asked["rendition"]) == ("stream:gate", "clean")
        house.publish(make_packet(3), make_packet(4, KEY), make_packet(5))
        await settle()
        assert taker.numbers == [4, 5]
        assert subscription.skipped == {"keyframe": 1}
        subscription.close()

    run(test)


def test_a_key_frame_of_just_now_is_as_good_as_the_next_one() -> None:
    async def test(house: House) -> None:
        house.publish(make_packet(1, KEY))
        taker = Taker()
        subscription = house.hub.subscribe("gate", CLEAN)
        subscription.start(taker.take, replay=False)
        await settle()
        assert taker.numbers == [1]
        assert not house.asked_for("stream-keyframe")
        subscription.close()

    run(test)


def test_after_a_hole_it_goes_on_at_a_key_frame_and_all_is_counted() -> None:
    async def test(house: House) -> None:
        taker = Taker()
        subscription = house.hub.subscribe("gate", CLEAN)
        house.publish(make_packet(1, KEY))
        subscription.start(taker.take, replay=True)
        house.publish(make_packet(2), make_packet(5), make_packet(6), make_packet(7, KEY), make_packet(8))
        await settle()
        assert taker.numbers == [1, 2, 7, 8]
        assert subscription.skipped == {"overrun": 2, "keyframe": 2}
        assert len(house.asked_for("stream-keyframe")) == 1
        subscription.close()
        assert house.hub.statistics()["skipped"] == {"overrun": 2, "keyframe": 2}

    run(test)


def test_who_has_no_room_goes_on_at_a_key_frame_and_asks_for_none() -> None:
    async def test(house: House) -> None:
        taker = Taker()
        subscription = house.hub.subscribe("gate", CLEAN)
        house.publish(make_packet(1, KEY))
        subscription.start(taker.take, replay=True)
        taker.room = False
        house.publish(make_packet(2))
        await settle()
        taker.room = True
        house.publish(make_packet(3), make_packet(4, KEY), make_packet(5))
        await settle()
        assert taker.numbers == [1, 2, 4, 5]
        assert subscription.skipped == {"slow": 1, "keyframe": 1}
        assert not house.asked_for("stream-keyframe")
        subscription.close()

    run(test)


def test_another_encoder_may_count_as_it_likes() -> None:
    async def test(house: House) -> None:
        taker = Taker()
        subscription = house.hub.subscribe("gate", CLEAN)
        house.publish(make_packet(50, KEY))
        subscription.start(taker.take, replay=True)
        house.publish(make_packet(7, KEY | PacketFlag.DISCONTINUITY), make_packet(8))
        await settle()
        assert taker.numbers == [50, 7, 8]
        assert not subscription.skipped
        subscription.close()

    run(test)


@pytest.mark.parametrize(
    "limits", [VideoLimits(group_packets=3), VideoLimits(group_bytes=35), VideoLimits(handovers=1)]
)
def test_what_is_kept_is_bounded(limits: VideoLimits) -> None:
    async def test(house: House) -> None:
        house.publish(make_packet(1, KEY), *map(make_packet, range(2, 9)))
        subscription = house.hub.subscribe("gate", CLEAN)
        taker = Taker()
        if limits.handovers > 1:
            assert house.hub.newest_group("gate", CLEAN) == []
        subscription.start(taker.take, replay=True)
        house.publish(*map(make_packet, range(9, 20)), make_packet(20, KEY))
        await settle()
        house.publish(make_packet(21, KEY))
        await settle()
        assert taker.numbers[-1] == 21
        assert sum(subscription.skipped.values()) + len(taker.numbers) >= 12
        subscription.close()

    run(test, House(limits))


def test_it_is_wanted_as_long_as_somebody_looks() -> None:
    async def test(house: House) -> None:
        one, two = house.hub.subscribe("gate", CLEAN), house.hub.subscribe("gate", Rendition.OVERLAY)
        await asyncio.sleep(0.05)
        wants = house.asked_for("stream-want")
        assert len(wants) > 2
        assert wants[0] == {**wants[0], "to": "stream:gate", "renditions": ["overlay", "clean"], "ttl_s": 5.0}
        two.close()
        two.close()
        await asyncio.sleep(0.03)
        assert house.asked_for("stream-want")[-1]["renditions"] == ["clean"]
        one.close()
        count = len(house.asked)
        await asyncio.sleep(0.05)
        assert len(house.asked) == count
        assert house.hub.statistics() == {"viewers": {}, "skipped": {}}

    run(test)


def test_viewers_wait_for_a_worker_that_does_not_answer() -> None:
    async def test(house: House) -> None:
        house.answer = lambda message: None
        subscription = house.hub.subscribe("gate", CLEAN)
        with pytest.raises(CommandFailed, match="did not answer"):
            await house.hub.require("gate", CLEAN)
        house.answer = lambda message: RUNNING
        await asyncio.sleep(0.3)
        await house.hub.require("gate", CLEAN)
        assert house.hub.statistics()["skipped"]["unanswered"] >= 1
        subscription.close()

    run(test)


def test_an_encoder_that_does_not_run_is_told_of() -> None:
    async def test(house: House) -> None:
        house.answer = lambda message: {"renditions": {"clean": {"running": False, "reason": "disk on fire"}}}
        with pytest.raises(CommandFailed, match="gate: no clean video: disk on fire") as failed:
            await house.hub.require("gate", CLEAN)
        assert failed.value.status == 503

    run(test)


def test_key_frames_are_asked_for_twice_a_second_at_most() -> None:
    async def test(house: House) -> None:
        for now_s in (100.0, 100.1, 100.4, 100.6, 100.9, 101.2):
            house.now_s = now_s
            house.hub.ask_for_keyframe("gate", CLEAN)
        await settle()
        assert len(house.asked_for("stream-keyframe")) == 3

    run(test)


def test_viewers_of_a_camera_that_is_removed_are_told() -> None:
    async def test(house: House) -> None:
        reasons: list[str] = []
        house.publish(make_packet(1, KEY))
        subscription = house.hub.subscribe("gate", CLEAN, reasons.append)
        other = house.hub.subscribe("yard", CLEAN, reasons.append)
        subscription.start(Taker().take, replay=True)
        house.hub.forget("gate")
        await settle()
        assert reasons == ["camera 'gate' has been removed"]
        assert house.hub.newest_group("gate", CLEAN) == []
        other.close()

    run(test)


def test_a_snapshot_is_the_picture_that_was_asked_for() -> None:
    async def test(house: House) -> None:
        house.publish(make_packet(4, KEY, JPEG))

        def answer(message: dict[str, Any]) -> dict[str, Any]:
            # The picture may be there before the answer, and others, too.
            house.publish(make_packet(5, KEY, JPEG), make_packet(6, KEY, JPEG))
            return {"number": 6}

        house.answer = answer
        packet = await house.hub.snapshot("gate", JPEG, 70)
        assert packet.meta.number == 6
        assert house.asked[0] == {**house.asked[0], "rendition": "clean_jpeg", "quality": 70}
        assert not house.asked_for("stream-want")
        assert house.hub.statistics()["viewers"] == {}

    run(test)


def test_a_snapshot_that_does_not_come_is_told_of() -> None:
    async def test(house: House) -> None:
        house.answer = lambda message: {"number": 9}
        with pytest.raises(CommandFailed, match="did not come") as failed:
            await house.hub.snapshot("gate", JPEG, 70)
        assert failed.value.status == 504

    run(test, House(VideoLimits(snapshot_s=0.05)))


def test_a_loop_that_has_ended_is_let_go_of() -> None:
    house = House()

    async def watch() -> None:
        house.hub.subscribe("gate", CLEAN).start(Taker().take, replay=True)

    asyncio.run(watch())
    house.publish(make_packet(1, KEY), make_packet(2))
    house.hub.forget("gate")
