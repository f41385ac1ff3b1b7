"""Frames through a detector: whose turn it is, in which order results come out, and where every frame went."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from engine.config import CameraConfig, InferConfig, PoolConfig, RunConfig
from engine.models.base import BatchItem, Detector
from engine.types import Detections, FrameFlag, ResultMeta
from engine.workers import infer
from engine.workers.infer import Camera, Lanes, gather, hand_out, open_camera, publish_finished
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
        self.lanes, self.batch = lanes, batch
        self.held: dict[int, threading.Event] = {}
        self.calls: list[list[int]] = []

    def infer(self, batch: Sequence[BatchItem], lane: int = 0) -> list[Detections]:
        values = [int(item.frame.y.mean()) for item in batch]
        self.calls.append(values)
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
    cameras: list[Camera]
    lanes: Lanes

    @property
    def offline(self) -> bool:
        return self.house.config.offline

    def hand_out(self) -> int:
        return hand_out(self.worker.context, self.lanes, self.cameras, offline=self.offline)

    def publish(self) -> int:
        return sum(publish_finished(self.worker.context, camera) for camera in self.cameras)

    def camera(self, name: str) -> Camera:
        return next(camera for camera in self.cameras if camera.name == name)

    def finish_lanes(self) -> None:
        """Wait until every lane that may answer has answered."""
        for camera in self.cameras:
            for job in camera.pending:
                if job.future is not None:
                    job.future.exception(20)
        while not self.lanes.available():
            self.worker.context.wake.wait(1)

    def work(self) -> None:
        """What the worker's loop does, until there is nothing to do any more."""
        self.finish_lanes()
        while self.publish() + self.hand_out():
            self.finish_lanes()


def start(house: House, detector: Brightness) -> Inference:
    worker = house.start("infer")
    names = [camera.name for camera in house.config.cameras]
    cameras = [open_camera(worker.context, detector, name) for name in names]
    return Inference(house, worker, detector, cameras, Lanes(worker.context, detector))


def kill(inference: Inference) -> None:
    inference.lanes.close()
    inference.house.kill("infer")


@pytest.fixture
def open_inference(open_house: OpenHouse) -> Iterator[Callable[..., Inference]]:
    """An inference worker over cameras with these names."""
    opened: list[Inference] = []

    def open_one(
        *names: str, lanes: int = 1, batch: int = 1, offline: bool = False, result_history: int = 24
    ) -> Inference:
        config = RunConfig(
            "m3-cpu",
            tuple(CameraConfig(name, "test://") for name in names),
            infer=InferConfig(lanes=lanes, batch=batch),
            pool=PoolConfig(result_history=result_history),
            offline=offline,
        )
        house = open_house(config)
        for name in names:
            house.create_frame_pool(name, 64, 48)
        opened.append(start(house, Brightness(lanes, batch)))
        return opened[-1]

    yield open_one
    for inference in opened:
        for event in inference.detector.held.values():
            event.set()
        inference.lanes.close()


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
    house.clock.advance(1)
    batched_ns = house.clock.now_ns()
    inference.hand_out()
    inference.finish_lanes()
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
    inference.finish_lanes()
    publish_finished(inference.worker.context, inference.cameras[0])
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
        inference.finish_lanes()
        inference.publish()
        served.append("?busy calm rare".replace("?", " ").split()[inference.detector.calls[-1][0] - 1])
    assert served.count("rare") == 1 and served.index("rare") == 5, "the one served longest ago comes first"
    assert served.count("calm") >= 5
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
    assert inference.detector.calls == [[10, 20, 30, 11], [21, 12, 13, 14]]
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
    assert inference.detector.calls == [[0, 1, 2], [3, 4]]


def test_live_no_frame_waits_for_a_lane(open_inference: Callable[..., Inference]) -> None:
    inference = open_inference("a", "b")
    for name in "ab":
        publish_frame(inference.house.producer(f"frames:{name}"), 0, value=ord(name))
    inference.detector.held = {ord("a"): threading.Event()}
    assert inference.hand_out() == 1 and not inference.lanes.available()


def test_a_batch_is_never_larger_than_the_detector_takes(open_inference: Callable[..., Inference]) -> None:
    inference = open_inference("a", "b", "c", batch=2)
    for name in "abc":
        publish_frame(inference.house.producer(f"frames:{name}"), 0, value=ord(name))
    jobs, batch = gather(
        inference.worker.context, inference.detector, inference.cameras, offline=inference.offline
    )
    assert len(jobs) == len(batch) == 2
    assert [camera.name for camera in inference.cameras] == ["c", "a", "b"]


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
    assert not inference.lanes.available()
    (camera,) = inference.cameras
    detector.held[3].set()
    detector.held[2].set()
    for job in list(camera.pending)[1:]:
        assert job.future is not None
        job.future.result(20)
    assert inference.publish() == 0, "frame 1 is still on its way"
    detector.held[1].set()
    inference.finish_lanes()
    assert inference.publish() == 3
    assert scores(inference.house) == [1, 2, 3]


def test_a_lane_that_is_done_wakes_the_worker_and_is_free(open_inference: Callable[..., Inference]) -> None:
    inference = open_inference("a")
    inference.worker.context.wake.clear()
    publish_frame(inference.house.producer("frames:a"), 0)
    inference.hand_out()
    assert inference.worker.context.wake.wait(20)
    assert inference.lanes.available()


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
        inference.finish_lanes()
        inference.publish()
    (camera,) = inference.cameras
    # The tracker reads nothing: its pool is full, results wait here, and so do frames and the decoder.
    assert len(camera.pending) == camera.most_pending == 4
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
    assert inference.lanes.available(), "the end needs no lane"
    detector.held[5].set()
    inference.finish_lanes()
    assert inference.publish() == 2
    metas = results(inference.house)
    assert [(meta.index, meta.flags, meta.count) for meta in metas] == [(0, FrameFlag.NONE, 1), (1, END, 0)]
    assert inference.camera("a").rate.total == 1


def test_live_the_end_is_not_superseded(open_inference: Callable[..., Inference]) -> None:
    inference = open_inference("a")
    frames = inference.house.producer("frames:a")
    publish_frame(frames, 0)
    publish_frame(frames, 1)
    publish_frame(frames, 2, flags=END)
    inference.work()
    assert [(meta.index, meta.dropped_superseded) for meta in results(inference.house)] == [(2, 2)]


def test_what_a_lane_raises_reaches_the_worker(open_inference: Callable[..., Inference]) -> None:
    class Broken(Brightness):
        def look(self, item: BatchItem, value: int) -> Detections:
            raise ZeroDivisionError("in a lane")

    inference = open_inference("a")
    inference.lanes.detector = Broken()
    publish_frame(inference.house.producer("frames:a"), 0)
    inference.hand_out()
    inference.finish_lanes()
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
    assert worker.context.status["model"].startswith("motion") and worker.context.status["lanes"] == 1
    assert [meta.index for meta in results(house)] == [0, 1, 2]
