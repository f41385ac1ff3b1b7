"""The reader of streams: idle while nobody listens, everything in order while somebody does, gaps told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from engine.config import CameraConfig, PoolConfig, RunConfig
from engine.config.regions import Zone
from engine.control.stream import Streams
from engine.types import EventKind, Events, FrameFlag, ResultMeta, Tracks
from engine.workers.control_streams import StreamReader
from engine.workers.control_wake import SharedWake
from tests.workers.house import House, detections_of, until

YARD = Zone("yard", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)))
CONFIG = RunConfig(
    "m3-cpu", (CameraConfig("a", "test://", zones=(YARD,)),), pool=PoolConfig(result_history=2)
)


class Heard(Streams):
    """Streams whose listener takes everything down."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[int] = []
        self.events: list[tuple[int, str, int]] = []
        self.gaps: list[int] = []
        self.results_wanted = True

    def listening(self, stream: str) -> bool:
        return stream == "events" or self.results_wanted

    def publish(self, camera: str, record: bytes, events: Sequence[tuple[str, bytes]]) -> None:
        if record:
            self.records.append(json.loads(record)["frame"])
        told = [json.loads(message) for _, message in events]
        self.events += [(each["frame"], each["kind"], each.get("count", 0)) for each in told]

    def missed(self, camera: str, records: int) -> None:
        self.gaps.append(records)


def publish(house: House, index: int, flags: FrameFlag = FrameFlag.NONE) -> None:
    producer = house.producer("tracks:a")
    slot = producer.begin()
    assert slot is not None
    tracks = Tracks.of(detections_of((1, 1, 9, 9)), np.array([7]))
    events = Events(
        np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64),
        np.array([EventKind.COUNT], np.int32), np.zeros(1, np.int32), np.full(1, -1, np.int32),
        np.array([index], np.float32), np.zeros((1, 2), np.float32),
    )  # fmt: skip
    events.write_at_end(slot.array())
    count = tracks.write_into(slot.array()).count
    meta = ResultMeta(index + 1, index, 10**18, 64, 48, pts_ns=index, count=count, event_count=1)
    replace(meta, flags=flags).pack_into(slot.meta)
    producer.publish(slot)
    house.wakes["control"].notify()


@pytest.fixture
def house(open_house: Callable[[RunConfig], House]) -> House:
    house = open_house(CONFIG)
    worker = house.start("control")
    worker.send({"type": "labels", "labels": ["person"]})
    worker.context.tend()
    return house


@pytest.fixture
def heard(house: House) -> Iterator[Heard]:
    streams = Heard()
    publish(house, 0)
    context = house.workers["control"].context
    shared = SharedWake(context.wake)
    reader = StreamReader(context, streams, shared.end())
    thread = threading.Thread(target=reader.run)
    shared.start()
    thread.start()
    yield streams
    reader.stop()
    thread.join(5)
    assert not thread.is_alive()
    shared.stop()


def test_what_came_before_somebody_listened_is_not_sent_and_the_rest_in_order(
    house: House, heard: Heard
) -> None:
    heard.somebody_listens.set()
    for index in range(1, 20):
        publish(house, index)
        until(lambda index=index: heard.records[-1:] == [index], f"record {index}")  # type: ignore[misc]  # bound now
    assert heard.records == list(range(1, 20)) and heard.gaps == []
    assert heard.events == [(index, "count", index) for index in range(1, 20)]
    assert not any(house.memory("tracks:a").statistics().leased)


def test_records_are_made_only_for_those_who_want_them(house: House, heard: Heard) -> None:
    heard.results_wanted = False
    heard.somebody_listens.set()
    publish(house, 1)
    until(lambda: len(heard.events) == 1, "the event")
    assert heard.records == []


def test_what_was_overwritten_is_told(house: House, heard: Heard) -> None:
    heard.somebody_listens.set()
    publish(house, 1)
    until(lambda: heard.records == [1], "the first")
    for index in range(2, 200):
        publish(house, index)
    until(lambda: heard.records[-1:] == [199], "the last")
    assert len(heard.records) + sum(heard.gaps) == 199


def test_the_end_and_notices_are_no_records(house: House, heard: Heard) -> None:
    heard.somebody_listens.set()
    publish(house, 1, FrameFlag.NOTICE)
    publish(house, 2, FrameFlag.END_OF_STREAM)
    publish(house, 3)
    until(lambda: heard.records == [3], "the record")
    assert [frame for frame, _, _ in heard.events] == [3]


def test_events_are_kept_also_while_nobody_listens(house: House, heard: Heard) -> None:
    heard.results_wanted = False
    publish(house, 1)
    until(lambda: len(heard.events) == 1, "the event")
    assert heard.records == [] and not heard.somebody_listens.is_set()


def test_a_camera_that_has_gone_is_not_read_and_one_that_has_come_is(house: House) -> None:
    streams, context = Heard(), house.workers["control"].context
    shared = SharedWake(context.wake)
    reader = StreamReader(context, streams, shared.end())
    streams.somebody_listens.set()
    without = replace(CONFIG, cameras=(CameraConfig("b", "test://"),))
    reader.configured(CONFIG, without)
    thread = threading.Thread(target=reader.run)
    shared.start()
    thread.start()
    publish(house, 1)
    reader.configured(without, CONFIG)
    house.wakes["control"].notify()
    until(lambda: streams.records == [1], "the record, once the camera is back")
    reader.stop()
    thread.join(5)
    shared.stop()
    assert not any(house.memory("tracks:a").statistics().leased)
