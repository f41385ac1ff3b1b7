"""Frames through a detector: whose turn it is, in which order results come out, and where every frame went."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from engine import topology
from engine.config import CameraConfig, InferConfig, PoolConfig, RunConfig
from engine.models.base import BatchItem, Detector
from engine.types import Detections, FrameFlag, ResultMeta, Surface
from engine.workers import infer
from engine.workers.infer_cameras import NOTICE_AFTER_FRAMES, NOTICE_AFTER_NS, Camera
from ipc.pool import Producer
from tests.workers.house import House, Worker, metas_in, publish_frame

OpenHouse = Callable[[RunConfig], House]
END = FrameFlag.END_OF_STREAM


class Brightness(Detector):
    """Finds one object per frame: the whole picture, with its brightness as score.

    Does not answer for frames as bright as one in `held` until it is let go of.
    """

    labels = ("picture",)
    description = "mean of the luma plane"

    def __init__(self, lanes: int = 1, batch: int = 1) -> None:
        self.lanes, self.calls, self.batch = lanes, lanes, batch
        self.held: dict[int, threading.Event] = {}
        self.batches: list[list[int]] = []

    def infer(self, batch: Sequence[BatchItem], call: int = 0) -> list[Detections]:
        values = [int(item.frame.y.mean()) for item in batch]
        self.batches.append(values)
        for value in values:
            if value in self.held:
                assert self.held[value].wait(20)
        return [self.look(item, value) for item, value in zip(batch, values, strict=True)]

    def look(self, item: BatchItem, value: int) -> Detections:
        height, width = item.frame.y.shape
        box = np.array([[0, 0, width, height]], np.float32)
        return Detections(box, np.array([value / 255], np.float32), np.zeros(1, np.int32))


@dataclass
class Inference:
    """The inference worker of a house, one step at a time."""

    house: House
    worker: Worker
    detector: Brightness
    parts: infer.Inference

    def hand_out(self) -> int:
        return infer.hand_out(self.parts)[0]

    def next_in_s(self) -> float | None:
        """After handing out what is due: when the worker wants to come again."""
        _, next_ns = infer.hand_out(self.parts)
        return None if next_ns is None else (next_ns - self.house.clock.now_ns()) / 1e9

    def publish(self) -> int:
        return infer.publish(self.parts)

    def camera(self, name: str) -> Camera:
        return self.parts.cameras[name]

    def room(self) -> bool:
        """Whether another call may begin now."""
        now_ns = self.house.clock.now_ns()
        begins_ns = self.parts.calls.begins_at(now_ns, 1)
        return begins_ns is not None and begins_ns <= now_ns

    def finish_calls(self) -> None:
        """Wait until every call that may answer has answered."""
        for camera in self.parts.cameras.values():
            for job in camera.pending:
                if job.answer is not None:
                    job.answer.exception(20)
        while not self.room():
            self.worker.context.wake.wait(1)

    def work(self) -> None:
        """What the worker's loop does, until there is nothing to do any more."""
        self.finish_calls()
        while self.publish() + self.hand_out():
            self.finish_calls()


def start(house: House, detector: Brightness) -> Inference:
    worker = house.start("infer")
    return Inference(house, worker, detector, infer.open_inference(worker.context, detector))


def kill(inference: Inference) -> None:
    inference.parts.calls.close()
    inference.house.kill("infer")


@pytest.fixture
def open_inference(open_house: OpenHouse) -> Iterator[Callable[..., Inference]]:
    """An inference worker over cameras with these names."""
    opened: list[Inference] = []

    def open_one(
        *names: str,
        lanes: int = 1,
        batch: int = 1,
        offline: bool = False,
        result_history: int = 24,
        fps: float = 0.0,
        detector: Brightness | None = None,
    ) -> Inference:
        config = RunConfig(
            "m3-cpu",
            tuple(CameraConfig(name, "test://") for name in names),
            infer=InferConfig(lanes=lanes, batch=batch, fps=fps),
            pool=PoolConfig(result_history=result_history),
            offline=offline,
        )
        house = open_house(config)
        for name in names:
            house.create_frame_pool(name, 64, 48)
        opened.append(start(house, detector or Brightness(lanes, batch)))
        return opened[-1]

    yield open_one
    for inference in opened:
        for event in inference.detector.held.values():
            event.set()
        inference.parts.calls.close()


def results(house: House, camera: str = "a") -> list[ResultMeta]:
    return metas_in(house.reader(f"detections:{camera}"))


def accounts(producer: Producer, house: House, camera: str = "a") -> tuple[int, int, int, int]:
    """(frames in, processed, superseded, lost at restarts) as the status counts them."""
    last = results(house, camera)[-1]
    processed = house.memory(f"detections:{camera}").newest_seq()
    return producer.newest_seq(), processed, last.dropped_superseded, last.dropped_restart


def test_a_result_speaks_of_its_frame(open_inference: Callable[..., Inference]) -> None:
    inference = open_inference("a")
    house = inference.house
    frames = house.producer("frames:a")
    publish_frame(frames, 7, value=51)
    house.clock.advance(0.5)
    batched_ns = house.clock.now_ns()
    inference.hand_out()
    inference.finish_calls()
    house.clock.advance(1)
    assert inference.publish() == 1
    reader = house.reader("detections:a")
    with reader.lease_next(0) or pytest.fail("no result") as lease:
        meta = ResultMeta.unpack(lease.meta)
        found = Detections.view(meta.count, lease.array())
        assert found.scores.tolist() == pytest.approx([0.2])
        assert found.boxes_xyxy.tolist() == [[0, 0, 64, 48]]
        del found
    assert (meta.frame_seq, meta.index, meta.width, meta.height) == (1, 7, 64, 48)
    assert (meta.trace.batched_ns, meta.trace.inferred_ns) == (batched_ns, house.clock.now_ns())
    assert 0 < meta.trace.captured_ns < meta.trace.published_ns
    assert house.memory("frames:a").statistics().leased == (0, 0, 0), "a frame is still held"
    assert house.wakes["track"].wait(0)


class WhatLiesOnDevice(Brightness):
    """Remembers the picture in GPU memory that came with each frame."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Surface | None] = []

    def look(self, item: BatchItem, value: int) -> Detections:
        self.seen.append(item.frame.surface)
        return super().look(item, value)


def test_a_frame_comes_with_its_picture_in_gpu_memory(open_inference: Callable[..., Inference]) -> None:
    detector = WhatLiesOnDevice()
    inference = open_inference("a", detector=detector)
    frames, surfaces = inference.house.producer("frames:a"), inference.worker.context.surfaces
    pictures = [Surface(number, number) for number in range(3)]
    for index in range(3):
        seq = publish_frame(frames, index)
        if index != 1:
            surfaces.put("a", seq, pictures[index], 2)
        inference.work()
    assert detector.seen == [pictures[0], None, pictures[2]]
    assert len(surfaces) == 0


def test_live_the_newest_frame_wins_and_the_others_are_counted(
    open_inference: Callable[..., Inference],
) -> None:
    inference = open_inference("a")
    frames = inference.house.producer("frames:a")
    for count in (1, 3, 1, 4):
        for _ in range(count):
            publish_frame(frames, frames.newest_seq())
        inference.work()
    metas = results(inference.house)
    assert [meta.frame_seq for meta in metas] == [1, 4, 5, 9]
    assert [meta.dropped_superseded for meta in metas] == [0, 2, 2, 5]
    assert accounts(frames, inference.house) == (9, 4, 5, 0)


def test_offline_every_frame_comes_in_order(open_inference: Callable[..., Inference]) -> None:
    inference = open_inference("a", offline=True)
    frames = inference.house.producer("frames:a")
    for index in range(6):
        publish_frame(frames, index)
    inference.work()
    assert [meta.frame_seq for meta in results(inference.house)] == [1, 2, 3, 4, 5, 6]
    assert accounts(frames, inference.house) == (6, 6, 0, 0)
    assert inference.house.memory("frames:a").statistics().acknowledged[0] == 6


def test_what_a_killed_worker_had_in_hand_is_lost_at_the_restart_not_superseded(
    open_inference: Callable[..., Inference],
) -> None:
    inference = open_inference("a")
    house, frames = inference.house, inference.house.producer("frames:a")
    for _ in range(3):
        publish_frame(frames, frames.newest_seq())
    inference.work()  # frame 3; 1 and 2 are superseded
    publish_frame(frames, 3)
    inference.hand_out()  # frame 4 dies with the worker
    publish_frame(frames, 4)
    kill(inference)
    publish_frame(frames, 5)
    successor = start(house, Brightness())
    successor.work()
    assert accounts(frames, house) == (6, 2, 2, 2)
    for _ in range(2):
        publish_frame(frames, frames.newest_seq())
    successor.work()
    assert accounts(frames, house) == (8, 3, 3, 2), "a restart is counted once"
    kill(successor)
    third = start(house, Brightness())
    third.work()
    publish_frame(frames, 8)
    third.work()
    assert accounts(frames, house) == (9, 4, 3, 2), "a worker that had nothing in hand has lost nothing"


def test_a_worker_that_died_before_its_first_result_has_lost_what_came_meanwhile(
    open_inference: Callable[..., Inference],
) -> None:
    inference = open_inference("a")
    frames = inference.house.producer("frames:a")
    publish_frame(frames, 0)
    inference.hand_out()
    kill(inference)
    publish_frame(frames, 1)
    start(inference.house, Brightness()).work()
    assert accounts(frames, inference.house) == (2, 1, 0, 1)


def test_offline_a_killed_worker_loses_nothing(open_inference: Callable[..., Inference]) -> None:
    inference = open_inference("a", lanes=2, offline=True)
    house, frames = inference.house, inference.house.producer("frames:a")
    for index in range(4):
        publish_frame(frames, index)
    inference.hand_out()
    inference.finish_calls()
    inference.publish()
    inference.hand_out()
    kill(inference)
    start(house, Brightness(2)).work()
    assert [meta.frame_seq for meta in results(house)] == [1, 2, 3, 4]
    assert accounts(frames, house) == (4, 4, 0, 0)


def test_cameras_take_turns_however_busy_one_of_them_is(open_inference: Callable[..., Inference]) -> None:
    inference = open_inference("busy", "calm", "rare")
    frames = {name: inference.house.producer(f"frames:{name}") for name in ("busy", "calm", "rare")}
    served: list[str] = []
    for turn in range(12):
        publish_frame(frames["busy"], turn, value=1)
        if turn % 2 == 0:
            publish_frame(frames["calm"], turn, value=2)
        if turn == 5:
            publish_frame(frames["rare"], turn, value=3)
        inference.hand_out()
        inference.finish_calls()
        inference.publish()
        served.append("?busy calm rare".replace("?", " ").split()[inference.detector.batches[-1][0] - 1])
    assert served.count("rare") == 1 and served.index("rare") == 5, "the one served least comes first"
    assert served.count("calm") >= 4
    assert served.count("busy") >= 5


def test_a_batch_holds_one_frame_of_each_camera_before_a_second_one(
    open_inference: Callable[..., Inference],
) -> None:
    inference = open_inference("a", "b", "c", batch=4, offline=True)
    for name, value, count in (("a", 10, 5), ("b", 20, 2), ("c", 30, 1)):
        frames = inference.house.producer(f"frames:{name}")
        for index in range(count):
            publish_frame(frames, index, value=value + index)
    inference.detector.held = {10: threading.Event()}
    assert inference.hand_out() == 8, "one batch in the lane, and offline one more that waits for it"
    inference.detector.held[10].set()
    inference.work()
    assert inference.detector.batches == [[10, 20, 30, 11], [21, 12, 13, 14]]
    for name, count in (("a", 5), ("b", 2), ("c", 1)):
        metas = results(inference.house, name)
        assert [meta.index for meta in metas] == list(range(count))


def test_a_single_camera_fills_a_batch_offline(open_inference: Callable[..., Inference]) -> None:
    inference = open_inference("a", batch=3, offline=True)
    frames = inference.house.producer("frames:a")
    for index in range(5):
        publish_frame(frames, index, value=index)
    inference.detector.held = {0: threading.Event()}
    assert inference.hand_out() == 5
    inference.detector.held[0].set()
    inference.work()
    assert inference.detector.batches == [[0, 1, 2], [3, 4]]


def test_live_no_frame_waits_for_a_lane(open_inference: Callable[..., Inference]) -> None:
    inference = open_inference("a", "b")
    for name in "ab":
        publish_frame(inference.house.producer(f"frames:{name}"), 0, value=ord(name))
    inference.detector.held = {ord("a"): threading.Event()}
    assert inference.hand_out() == 1 and not inference.room()


def test_a_batch_is_never_larger_than_the_detector_takes(open_inference: Callable[..., Inference]) -> None:
    inference = open_inference("a", "b", "c", batch=2)
    for name in "abc":
        publish_frame(inference.house.producer(f"frames:{name}"), 0, value=ord(name))
    inference.detector.held = {ord(name): threading.Event() for name in "abc"}
    assert inference.hand_out() == 2
    assert sorted(len(camera.pending) for camera in inference.parts.cameras.values()) == [0, 1, 1]
    assert inference.parts.batcher.queued() == 1, "the third waits for the next call"


def scores(house: House) -> list[int]:
    """Brightness that each result of camera `a` found, in order."""
    reader, found, after = house.reader("detections:a"), [], 0
    while (lease := reader.lease_next(after)) is not None:
        with lease:
            after = lease.seq
            meta = ResultMeta.unpack(lease.meta)
            found += [
                round(score * 255) for score in Detections.view(meta.count, lease.array()).scores.tolist()
            ]
    return found


def test_results_come_in_the_order_of_the_frames_whatever_lane_is_first(
    open_inference: Callable[..., Inference],
) -> None:
    inference = open_inference("a", lanes=3)
    detector, frames = inference.detector, inference.house.producer("frames:a")
    detector.held = {value: threading.Event() for value in (1, 2, 3)}
    for value in (1, 2, 3):
        publish_frame(frames, value, value=value)
        assert inference.hand_out() == 1
    assert not inference.room()
    camera = inference.camera("a")
    detector.held[3].set()
    detector.held[2].set()
    for job in list(camera.pending)[1:]:
        assert job.answer is not None
        job.answer.result(20)
    assert inference.publish() == 0, "frame 1 is still on its way"
    detector.held[1].set()
    inference.finish_calls()
    assert inference.publish() == 3
    assert scores(inference.house) == [1, 2, 3]


def test_a_lane_that_is_done_wakes_the_worker_and_is_free(open_inference: Callable[..., Inference]) -> None:
    inference = open_inference("a")
    inference.worker.context.wake.clear()
    publish_frame(inference.house.producer("frames:a"), 0)
    inference.hand_out()
    assert inference.worker.context.wake.wait(20)
    assert inference.room()


def test_no_more_frames_are_held_than_the_pool_allows(open_inference: Callable[..., Inference]) -> None:
    inference = open_inference("a", lanes=2, offline=True, result_history=2)
    frames = inference.house.producer("frames:a")
    taken = 0
    for index in range(40):
        if (slot := frames.begin()) is None:
            break
        frames.abort(slot)
        publish_frame(frames, index)
        taken += inference.hand_out()
        inference.finish_calls()
        inference.publish()
    camera = inference.camera("a")
    # The tracker reads nothing: its pool is full, results wait here, and so do frames and the decoder.
    assert len(camera.pending) == camera.queue.most_in_flight == 4
    assert frames.begin() is None
    published = inference.house.memory("detections:a").newest_seq()
    assert taken == published + 4
    tracker = inference.house.start("track").context.feeds["detections:a"]
    seen: list[int] = []
    while (lease := tracker.lease_next(seen[-1] if seen else 0)) is not None:
        with lease:
            seen.append(lease.seq)
        tracker.acknowledge(lease.seq)
        inference.work()
    assert seen == list(range(1, frames.newest_seq() + 1))
    assert not camera.pending


def test_the_end_travels_behind_the_last_frame(open_inference: Callable[..., Inference]) -> None:
    inference = open_inference("a", lanes=2, offline=True)
    detector, frames = inference.detector, inference.house.producer("frames:a")
    detector.held = {5: threading.Event()}
    publish_frame(frames, 0, value=5)
    publish_frame(frames, 1, flags=END)
    assert inference.hand_out() == 2
    assert inference.publish() == 0, "the end may not overtake"
    assert inference.room(), "the end needs no lane"
    detector.held[5].set()
    inference.finish_calls()
    assert inference.publish() == 2
    metas = results(inference.house)
    assert [(meta.index, meta.flags, meta.count) for meta in metas] == [(0, FrameFlag.NONE, 1), (1, END, 0)]
    assert inference.camera("a").rate.total == 1


def test_live_the_end_supersedes_nothing_and_is_not_superseded(
    open_inference: Callable[..., Inference],
) -> None:
    inference = open_inference("a")
    frames = inference.house.producer("frames:a")
    publish_frame(frames, 0)
    publish_frame(frames, 1)
    publish_frame(frames, 2, flags=END)
    inference.work()
    assert [(meta.index, meta.dropped_superseded) for meta in results(inference.house)] == [(1, 1), (2, 1)]


def show(inference: Inference, index: int, *names: str, value: int = 0) -> None:
    """A frame of each of these cameras, and the clock two milliseconds after its capture."""
    clock = inference.house.clock
    for name in names:
        publish_frame(inference.house.producer(f"frames:{name}"), index, value=value)
    clock.advance((1_000_000_000 + index * 40_000_000 + 2_000_000 - clock.now_ns()) / 1e9)


def test_live_a_batch_waits_for_its_window_or_for_everybody(open_inference: Callable[..., Inference]) -> None:
    inference = open_inference("a", "b", "c", batch=3)
    show(inference, 0, "a", value=1)
    assert inference.next_in_s() == pytest.approx(0.099, abs=1e-4), "the first window"
    inference.house.clock.advance(0.05)
    assert inference.hand_out() == 0
    assert inference.house.memory("frames:a").statistics().leased == (0, 0, 0), "nothing is held meanwhile"
    show(inference, 2, "b", "c", value=1)
    assert inference.hand_out() == 3
    inference.finish_calls()
    inference.publish()
    show(inference, 3, "a", value=2)
    assert inference.hand_out() == 0
    inference.house.clock.advance(0.1)
    assert inference.hand_out() == 1, "the window is over"
    inference.finish_calls()
    assert inference.detector.batches == [[1, 1, 1], [2]]
    statistics = inference.parts.statistics.to_dict()
    assert (statistics["batches"], statistics["frames"], statistics["batch_frames"]) == (2, 4, 2.0)
    assert statistics["occupancy"] == pytest.approx(4 / 6)


def all_accounts(house: House) -> dict[str, int]:
    """Where the frames of camera `a` went, by its newest record; the sum is `in`."""
    last = results(house)[-1]
    found = {
        "in": house.memory("frames:a").newest_seq(),
        "processed": house.memory("detections:a").newest_seq() - last.notices,
        "superseded": last.dropped_superseded,
        "restart": last.dropped_restart,
        "rate": last.dropped_rate,
        "stale": last.dropped_stale,
        "empty": last.dropped_empty,
    }
    assert found["in"] == sum(count for reason, count in found.items() if reason != "in"), found
    return {reason: count for reason, count in found.items() if count}


def test_live_a_camera_is_thinned_to_its_rate(open_inference: Callable[..., Inference]) -> None:
    inference = open_inference("a", fps=10)
    for index in range(100):
        show(inference, index, "a")
        inference.work()
    inference.house.clock.advance(NOTICE_AFTER_NS / 1e9)
    inference.work()
    inference.house.clock.advance(NOTICE_AFTER_NS / 1e9)
    inference.work()
    assert all_accounts(inference.house) == {"in": 100, "processed": 40, "rate": 60}


def test_drops_are_told_even_where_no_result_comes(open_inference: Callable[..., Inference]) -> None:
    """Every frame is too old when it is looked at; without a notice nobody would ever know."""
    inference = open_inference("a")
    for index in range(20):
        publish_frame(inference.house.producer("frames:a"), index)
        inference.house.clock.advance(1)
        inference.work()
    inference.house.clock.advance(1)
    inference.work()
    assert all_accounts(inference.house) == {"in": 20, "stale": 20}
    last = results(inference.house)[-1]
    assert last.flags == FrameFlag.NOTICE and last.frame_seq == 20 and last.count == 0
    assert inference.camera("a").rate.total == 0


def test_a_successor_goes_on_with_the_counts_of_a_notice(open_inference: Callable[..., Inference]) -> None:
    inference = open_inference("a", fps=1)
    for index in range(20):
        show(inference, index, "a")
        inference.work()
    assert results(inference.house)[-1].flags & FrameFlag.NOTICE
    told = results(inference.house)[-1].dropped_rate
    kill(inference)
    successor = start(inference.house, Brightness())
    for index in range(20, 45):
        show(successor, index, "a")
        successor.work()
    successor.house.clock.advance(NOTICE_AFTER_NS / 1e9)
    successor.work()
    successor.house.clock.advance(NOTICE_AFTER_NS / 1e9)
    successor.work()
    found = all_accounts(inference.house)
    assert found["in"] == 45 and found["processed"] == 2
    assert 0 < told < 19 and found["restart"] == 19 - told


def test_a_frame_without_pixels_is_refused_and_counted(open_inference: Callable[..., Inference]) -> None:
    inference = open_inference("a")
    frames = inference.house.producer("frames:a")
    publish_frame(frames, 0)
    inference.work()
    for size in ((0, 48), (64, 0), (0, 0)):
        publish_frame(frames, frames.newest_seq(), size=size)
        inference.work()
    publish_frame(frames, 4)
    inference.work()
    assert all_accounts(inference.house) == {"in": 5, "processed": 2, "empty": 3}


def test_offline_thinning_lets_the_decoder_go_on(open_inference: Callable[..., Inference]) -> None:
    """Far more frames between two that are wanted than a pool has slots."""
    inference = open_inference("a", offline=True, fps=0.5)
    house = inference.house
    frames = house.producer("frames:a")
    tracker = house.start("track").context
    overlay = house.start("stream:a").context
    told = 0
    for index in range(200):
        for _ in range(3):
            if (slot := frames.begin()) is not None:
                frames.abort(slot)
                break
            inference.work()
            for seq, packed in tracker.feeds["detections:a"].metas_after(told):
                frame_seq = ResultMeta.unpack(packed).frame_seq
                tracker.feeds["detections:a"].acknowledge(seq)
                tracker.feeds["frames:a"].acknowledge(frame_seq)
                overlay.feeds["frames:a"].acknowledge(frame_seq)
                told = seq
        publish_frame(frames, index)
    publish_frame(frames, 200, flags=END)
    inference.work()
    metas = results(house)
    assert [meta.index for meta in metas if meta.flags == FrameFlag.NONE] == [0, 50, 100, 150]
    assert all(
        after.frame_seq - before.frame_seq >= NOTICE_AFTER_FRAMES
        for before, after in itertools.pairwise(metas)
        if after.flags & FrameFlag.NOTICE
    )
    last = metas[-1]
    assert (last.flags, last.dropped_rate) == (END, 196)
    assert house.memory("detections:a").newest_seq() == 4 + last.notices + 1


def test_offline_a_kill_counts_nothing_twice(open_inference: Callable[..., Inference]) -> None:
    """The queue looks ahead of the results; a result tells of the frames before its own only."""
    inference = open_inference("a", offline=True, fps=10)
    house, frames = inference.house, inference.house.producer("frames:a")
    inference.detector.held = {9: threading.Event()}
    for index in range(6):
        publish_frame(frames, index, value=9 if index else 0)
    inference.hand_out()
    inference.camera("a").pending[0].answer.result(20)  # type: ignore[union-attr]  # it was handed out
    assert inference.publish() == 1
    assert results(house)[-1].dropped_rate == 0 < inference.camera("a").queue.drops.rate
    inference.detector.held[9].set()
    kill(inference)
    successor = start(house, Brightness())
    successor.work()
    publish_frame(frames, 6, flags=END)
    successor.work()
    last = results(house)[-1]
    processed = house.memory("detections:a").newest_seq() - 1 - last.notices
    assert processed + last.dropped_rate == 6 and last.dropped_restart == 0


class Preparing(Brightness):
    """Prepares one call ahead: 10 ms, and 100 ms in the lane."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 2

    def expected_s(self, frames: int) -> tuple[float, float]:
        return 0.010, 0.100


def test_live_the_next_call_is_prepared_just_in_time(open_inference: Callable[..., Inference]) -> None:
    detector = Preparing()
    inference = open_inference("a", detector=detector)
    detector.held = {1: threading.Event(), 2: threading.Event()}
    show(inference, 0, "a", value=1)
    assert inference.hand_out() == 1
    show(inference, 1, "a", value=9)
    ahead_s = inference.next_in_s()
    assert ahead_s == pytest.approx(0.110 - 0.040 - 0.010 * 1.25 - 0.001, abs=0.003)
    show(inference, 2, "a", value=2)
    inference.house.clock.advance(0.06)
    assert inference.hand_out() == 1, "the newest by then"
    assert inference.next_in_s() is None and not inference.room()
    detector.held[1].set()
    detector.held[2].set()
    inference.work()
    assert sorted(detector.batches) == [[1], [2]]
    assert inference.parts.statistics.ahead == 1
    assert [meta.dropped_superseded for meta in results(inference.house)] == [0, 1]


def test_offline_the_next_call_begins_at_once(open_inference: Callable[..., Inference]) -> None:
    detector = Preparing()
    inference = open_inference("a", offline=True, detector=detector)
    detector.held = {value: threading.Event() for value in (1, 2)}
    for value in (1, 2, 3):
        publish_frame(inference.house.producer("frames:a"), value, value=value)
    assert inference.hand_out() == 2
    for event in detector.held.values():
        event.set()
    inference.work()
    assert len(results(inference.house)) == 3


def test_a_frame_is_given_back_when_it_is_done_with_not_when_it_is_published(
    open_inference: Callable[..., Inference],
) -> None:
    inference = open_inference("a", lanes=2)
    detector, frames = inference.detector, inference.house.producer("frames:a")
    detector.held = {1: threading.Event()}
    for value in (1, 2):
        publish_frame(frames, value, value=value)
        assert inference.hand_out() == 1
    inference.camera("a").pending[1].answer.exception(20)  # type: ignore[union-attr]  # it was handed out
    assert inference.publish() == 0
    assert inference.house.memory("frames:a").statistics().leased == (1, 0, 0)
    detector.held[1].set()


def test_what_runs_worse_than_asked_for_is_told_as_it_changes(
    open_inference: Callable[..., Inference],
) -> None:
    class Failing(Brightness):
        worse: tuple[str, ...] = ()

        @property
        def degraded(self) -> tuple[str, ...]:
            return self.worse

    detector = Failing(lanes=1, batch=4)
    inference = open_inference("a", batch=4, detector=detector)
    infer.report(inference.parts)
    status = inference.worker.context.status
    assert status["degraded"] == []
    assert [choice["what"] for choice in status["inference"].pop("choices")] == ["cores"]
    assert status["inference"] == {
        "lanes": 1, "calls": 1, "batch": 4, "collect": "adaptive", "window_ms": 100.0,
        "live_cameras": 0, "queue_depth": 0, "batches": 0, "frames": 0, "ahead": 0, "batch_frames": None,
        "occupancy": None, "discarded_boxes": 0,
    }  # fmt: skip
    detector.worse = ("tensorrt failed, ort-cpu runs",)
    infer.report(inference.parts)
    assert status["degraded"] == ["tensorrt failed, ort-cpu runs"]


def test_a_detector_is_told_its_bounds() -> None:
    cameras = tuple(CameraConfig(f"c{number}", "test://") for number in range(11))
    options = infer.detector_options(RunConfig("m3-cpu", cameras, infer=InferConfig(lanes=3)))
    assert (options.lanes, options.batch, options.most_batch) == (3, 0, 8)
    assert 1 <= options.most_lanes <= topology.usable_cores()
    options = infer.detector_options(RunConfig("m3-cpu", cameras[:2], infer=InferConfig(batch=16)))
    assert (options.batch, options.most_batch) == (16, 16)
    assert infer.detector_options(RunConfig("m3-cpu", cameras[:2])).most_batch == 2


def test_what_a_lane_raises_reaches_the_worker(open_inference: Callable[..., Inference]) -> None:
    class Broken(Brightness):
        def look(self, item: BatchItem, value: int) -> Detections:
            raise ZeroDivisionError("in a lane")

    inference = open_inference("a")
    inference.parts.calls.detector = Broken()
    publish_frame(inference.house.producer("frames:a"), 0)
    inference.hand_out()
    inference.finish_calls()
    with pytest.raises(ZeroDivisionError, match="in a lane"):
        inference.publish()


def test_the_worker_runs_until_told_to_stop(open_inference: Callable[..., Inference]) -> None:
    """The loop as a whole, with the detector that needs no weights."""
    inference = open_inference("a", offline=True)
    kill(inference)
    house = inference.house
    worker = house.start("infer")
    frames = house.producer("frames:a")
    for index in range(3):
        publish_frame(frames, index)
    thread = threading.Thread(target=infer.run, args=(worker.context,))
    thread.start()
    while house.memory("detections:a").newest_seq() < 3:
        house.wakes["track"].wait(1)
    worker.send({"type": "stop"})
    thread.join(20)
    assert not thread.is_alive()
    assert [message["labels"] for message in worker.heard("labels")] == [["motion"]]
    assert worker.context.status["model"].startswith("motion") and worker.context.status["fps"] == {"a": 0.0}
    assert [meta.index for meta in results(house)] == [0, 1, 2]
