"""Embeddings between detections and records: who gets one, what waits for what, and that nothing is lost on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from engine import topology
from engine.config import CameraConfig, InferConfig, OutputConfig, RunConfig
from engine.config.identity import ReidConfig
from engine.errors import BackendError
from engine.models.base import BatchItem, Choice, Detector
from engine.models.reid import Crops
from engine.types import F16, Detections, Embeddings, FrameFlag, ResultMeta
from engine.workers import infer
from engine.workers.infer_embeddings import EmbeddingStage
from tests.workers.house import House, Worker, publish_frame

OpenHouse = Callable[[RunConfig], House]
END = FrameFlag.END_OF_STREAM


class Crowd(Detector):
    """Finds one person for every ten levels of brightness, side by side and far apart, in a picture of 640 × 48."""

    labels = ("person",)
    description = "a crowd as bright as the picture"

    def __init__(self, lanes: int = 1) -> None:
        self.lanes = self.calls = lanes
        self.held: dict[int, threading.Event] = {}

    def infer(self, batch: Sequence[BatchItem], call: int = 0) -> list[Detections]:
        return [self.look(int(item.frame.y[0, 0])) for item in batch]

    def look(self, value: int) -> Detections:
        if value in self.held:
            assert self.held[value].wait(20)
        count = value // 10
        left = np.arange(count, dtype=np.float32) * 30
        boxes = np.stack((left, np.zeros_like(left), left + 20, np.full_like(left, 40)), axis=1)
        return Detections(boxes, np.full(count, 0.9, np.float32), np.zeros(count, np.int32))


class Brightness:
    """A network after the contract of `engine.models.reid.Embedder`: the mean grey of each crop as an angle.

    Does not answer while it is `held`; fails from call `fails_at` on.
    """

    description = "mean grey"
    degraded: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = (Choice("backend", "numpy", "nothing else is there"),)

    def __init__(self, dims: int = 4, fails_at: int = 10**9) -> None:
        self.dims, self.fails_at = dims, fails_at
        self.held = threading.Event()
        self.held.set()
        self.calls: list[list[int]] = []
        self.closed = False

    def embed(self, crops: Sequence[Crops]) -> list[F16]:
        self.calls.append([len(one.boxes_xyxy) for one in crops])
        assert self.held.wait(20)
        if len(self.calls) > self.fails_at:
            raise BackendError("the device is lost")
        return [self._vectors(one) for one in crops]

    def _vectors(self, crops: Crops) -> F16:
        vectors = np.zeros((len(crops.boxes_xyxy), self.dims), np.float16)
        for vector, (left, top, right, bottom) in zip(vectors, crops.boxes_xyxy.astype(int), strict=True):
            angle = crops.frame.y[top:bottom, left:right].mean() / 255
            if angle < 0.7:  # too bright to see anything
                vector[:2] = np.cos(angle), np.sin(angle)
        return vectors

    def close(self) -> None:
        self.closed = True


class Blind(Brightness):
    """The same vector for whatever it is shown."""

    def _vectors(self, crops: Crops) -> F16:
        return np.tile(np.array([1, 0, 0, 0], np.float16), (len(crops.boxes_xyxy), 1))


class Run:
    """The inference worker of a house with a network, one step at a time."""

    def __init__(self, house: House, network: Brightness, detector: Crowd, before: Any = None) -> None:
        self.house, self.network, self.detector = house, network, detector
        self.worker: Worker = house.start("infer", before)
        self.stage = EmbeddingStage(self.worker.context, network, [0])
        self.parts = infer.open_inference(self.worker.context, detector, self.stage)
        if "track" not in house.workers:
            house.start("track")
        self.tracker = house.workers["track"].context
        self.records: dict[str, list[tuple[ResultMeta, Embeddings | None]]] = {
            camera.name: [] for camera in house.config.cameras
        }

    def show(self, camera: str, index: int, people: int, *, flags: FrameFlag = FrameFlag.NONE) -> None:
        frames = self.house.producer(f"frames:{camera}")
        publish_frame(frames, index, value=10 * people, size=(640, 48), flags=flags)

    def detect(self) -> None:
        """Hand out what there is, and wait for the detector."""
        infer.hand_out(self.parts)
        for camera in self.parts.cameras.values():
            for job in camera.pending:
                if job.answer is not None:
                    job.answer.exception(20)

    def publish(self) -> int:
        published = infer.publish(self.parts)
        self.read()
        return published

    def settle(self) -> None:
        """Everything that can be done."""
        idle = 0
        while idle < 2:
            self.detect()
            for call in list(self.stage._under_way):
                call.answer.exception(20)
            idle = 0 if self.publish() else idle + 1

    def told(self) -> dict[str, Any]:
        infer.report(self.parts)
        told: dict[str, Any] = self.worker.context.status["reid"]
        return told

    def embedded(self, camera: str = "a") -> list[tuple[int, list[int]]]:
        """(frame, rows that have an embedding) of each record that has come."""
        return [
            (meta.frame_seq, [] if looks is None else looks.rows.tolist())
            for meta, looks in self.records[camera]
        ]

    def read(self) -> None:
        """What the tracker does: take every record, let go of it and of its frame."""
        for name, found in self.records.items():
            feed = self.tracker.feeds[f"detections:{name}"]
            while (lease := feed.lease_next(feed.acknowledged())) is not None:
                with lease:
                    meta = ResultMeta.unpack(lease.meta)
                    looks = Embeddings.view_at_end(meta.embedding_count, meta.embedding_dims, lease.array())
                    copy = None if looks is None else looks.take(np.arange(meta.count), meta.count)
                    found.append((meta, copy))
                    del looks
                feed.acknowledge(lease.seq)
                self.tracker.feeds[f"frames:{name}"].acknowledge(meta.frame_seq)

    def close(self) -> None:
        self.network.held.set()
        for event in self.detector.held.values():
            event.set()
        self.parts.calls.close()
        self.stage.close()


OpenRun = Callable[..., Run]


@pytest.fixture
def open_run(open_house: OpenHouse) -> Iterator[OpenRun]:
    """An inference worker over cameras with these names; `reid` are settings of that section."""
    opened: list[Run] = []

    def open_one(
        *names: str,
        offline: bool = True,
        lanes: int = 1,
        network: Brightness | None = None,
        detector: Crowd | None = None,
        **reid: Any,
    ) -> Run:
        config = RunConfig(
            "m3-cpu",
            tuple(CameraConfig(name, "test://") for name in names),
            infer=InferConfig(lanes=lanes, batch=1),
            reid=ReidConfig(model="here", **reid),
            output=OutputConfig(overlay=False),
            offline=offline,
        )
        house = open_house(config)
        for name in names:
            house.create_frame_pool(name, 640, 48)
        opened.append(Run(house, network or Brightness(), detector or Crowd(lanes)))
        return opened[-1]

    yield open_one
    for run in opened:
        run.close()


def test_embeddings_arrive_with_their_boxes(open_run: OpenRun) -> None:
    run = open_run("a")
    for index in range(6):
        run.show("a", index, people=2 if index < 5 else 3)
    run.settle()
    assert run.embedded() == [(1, [0, 1]), (2, [0, 1]), (3, [0, 1]), (4, []), (5, []), (6, [2])]
    (first, looks), *_ = run.records["a"]
    assert looks is not None and (first.count, looks.dims) == (2, 4)
    angle = 20 / 255
    assert looks.vectors[1].tolist() == pytest.approx([np.cos(angle), np.sin(angle), 0, 0], abs=1e-3)
    assert run.house.memory("frames:a").statistics().leased[0] == 0, "a frame is still held"
    assert run.told()["cameras"]["a"] == {
        "boxes": 13,
        "embedded": {"new": 7, "ambiguous": 0, "refresh": 0},
        "left_out": dict.fromkeys(("budget", "frame", "late", "room", "unusable", "failed"), 0),
    }


def test_a_frame_is_held_until_its_crops_are_embedded_and_no_longer(open_run: OpenRun) -> None:
    run = open_run("a")
    run.network.held.clear()
    run.show("a", 0, people=1)
    run.detect()
    assert run.publish() == 0
    assert run.house.memory("frames:a").statistics().leased[0] == 1
    run.network.held.set()
    run.settle()
    assert run.embedded() == [(1, [0])]
    assert run.house.memory("frames:a").statistics().leased[0] == 0


def test_detection_goes_on_meanwhile_and_order_is_kept(open_run: OpenRun) -> None:
    run = open_run("a", "b")
    run.network.held.clear()
    run.show("a", 0, people=1)
    run.show("a", 1, people=0)
    run.show("b", 0, people=0)
    for _ in range(3):
        run.detect()
        run.publish()
    assert run.embedded("b") == [(1, [])], "nothing is wanted of it, and nothing is before it"
    assert run.embedded("a") == [] and all(job.answered() for job in run.parts.cameras["a"].pending)
    run.show("a", 2, people=0, flags=END)
    run.network.held.set()
    run.settle()
    assert run.embedded("a") == [(1, [0]), (2, []), (3, [])]


def test_live_the_crops_of_all_cameras_go_together(open_run: OpenRun) -> None:
    run = open_run("a", "b", "c", offline=False)
    run.network.held.clear()
    run.show("a", 0, people=1)
    run.detect()
    run.publish()
    for camera in "bc":
        run.show(camera, 0, people=2)
        run.detect()
        run.publish()
    assert run.network.calls == [[1]] and run.told()["queue"] == 3
    run.network.held.set()
    run.settle()
    assert run.network.calls == [[1], [2, 2]]
    assert run.told()["queue"] == 0 and run.told()["calls"] == 2


def test_offline_each_frame_has_a_call_of_its_own(open_run: OpenRun) -> None:
    run = open_run("a", "b", lanes=2)
    run.network.held.clear()
    for index in range(2):
        run.show("a", index, people=1)
        run.show("b", index, people=2)
    for _ in range(4):
        run.detect()
        run.publish()
    run.network.held.set()
    run.settle()
    assert sorted(run.network.calls) == [[1], [1], [2], [2]]


def test_the_budget_goes_to_those_who_need_it_most(open_run: OpenRun) -> None:
    """25 frames/s and 50 crops/s: two a frame, when what was saved is spent."""
    run = open_run("a", crops_per_s=50.0, refresh_frames=1)
    for index in range(40):
        run.show("a", index, people=6)
        run.settle()
    told = run.told()["cameras"]["a"]
    assert told["embedded"]["new"] == 18, "all are seen three times first"
    assert told["embedded"]["refresh"] == pytest.approx(25 + 39 * 2 - 18, abs=12)
    assert told["left_out"]["budget"] == 6 * 40 - sum(told["embedded"].values())


def test_offline_each_camera_has_its_share_whatever_the_others_do(open_run: OpenRun) -> None:
    run = open_run("a", "b", crops_per_s=8.0)
    for index in range(3):
        run.show("a", index, people=10)
        run.settle()
    run.show("b", 0, people=3)
    run.settle()
    assert len(run.embedded("a")[0][1]) == 4 and run.embedded("b") == [(1, [0, 1, 2])]


def test_live_all_share_one_budget_in_turns(open_run: OpenRun) -> None:
    run = open_run("a", "b", offline=False, lanes=2, crops_per_s=8.0)
    run.detector.held = {100: threading.Event(), 60: threading.Event()}
    run.show("a", 0, people=10)
    run.show("b", 0, people=6)
    infer.hand_out(run.parts)
    for event in run.detector.held.values():
        event.set()
    run.settle()
    assert [len(run.embedded(camera)[0][1]) for camera in "ab"] == [4, 4]


def test_a_frame_gets_no_more_than_its_share(open_run: OpenRun) -> None:
    run = open_run("a", crops_per_frame=5)
    run.show("a", 0, people=9)
    run.settle()
    assert run.embedded() == [(1, [0, 1, 2, 3, 4])]
    assert run.told()["cameras"]["a"]["left_out"]["frame"] == 4


def test_what_has_no_room_is_left_out_and_counted(open_run: OpenRun) -> None:
    """A network with longer vectors than any that is known: the room is for few of them."""
    run = open_run("a", network=Brightness(dims=40000), crops_per_frame=32)
    room = topology.embedding_room_bytes(run.house.config) // Embeddings.nbytes(1, 40000)
    assert room == 1
    run.show("a", 0, people=3)
    run.settle()
    assert run.embedded() == [(1, [0])]
    assert run.told()["cameras"]["a"]["left_out"]["room"] == 2


class Multitude(Crowd):
    """Far more boxes than a record holds, the best ones last."""

    def look(self, value: int) -> Detections:
        count = 20000
        left = np.arange(count, dtype=np.float32) * 30
        boxes = np.stack((left, np.zeros_like(left), left + 20, np.full_like(left, 40)), axis=1)
        return Detections(boxes, np.linspace(0.6, 0.9, count, dtype=np.float32), np.zeros(count, np.int32))


def test_an_embedding_of_an_object_that_has_no_room_is_left_out_as_well(open_run: OpenRun) -> None:
    run = open_run("a", network=Blind(), detector=Multitude())
    run.show("a", 0, people=1)
    run.settle()
    assert run.embedded() == [(1, [])] and run.records["a"][0][0].count < 19000
    assert run.told()["cameras"]["a"]["left_out"]["room"] == 32


def test_a_crop_that_shows_nothing_has_no_embedding(open_run: OpenRun) -> None:
    run = open_run("a")
    run.show("a", 0, people=19)  # brighter than the network can bear
    run.settle()
    assert run.embedded() == [(1, [])]
    told = run.told()["cameras"]["a"]
    assert told["left_out"]["unusable"] == 19 and told["embedded"]["new"] == 0


def test_live_a_network_that_is_too_slow_does_not_hold_up_detection(open_run: OpenRun) -> None:
    run = open_run("a", offline=False, refresh_frames=1)
    run.network.held.clear()
    for index in range(topology.FRAMES_EMBEDDED + 2):
        run.show("a", index, people=2)
        run.detect()
        run.publish()
    assert run.told()["queue"] == topology.FRAMES_EMBEDDED
    assert run.told()["cameras"]["a"]["left_out"]["late"] == 4
    run.network.held.set()
    run.settle()
    assert [rows for _, rows in run.embedded()] == [[0, 1], [0, 1], [], []]


def test_where_the_network_fails_for_good_the_run_goes_on(open_run: OpenRun) -> None:
    run = open_run("a", network=Brightness(fails_at=1))
    for index in range(5):
        run.show("a", index, people=1)
        run.settle()
    run.show("a", 5, people=0, flags=END)
    run.settle()
    assert run.embedded() == [(1, [0]), (2, []), (3, []), (4, []), (5, []), (6, [])]
    (reason,) = run.told()["degraded"]
    assert "the device is lost" in reason and run.worker.context.status["degraded"] == [reason]
    assert run.told()["cameras"]["a"]["left_out"]["failed"] == 1
    assert [message["text"] for message in run.worker.heard("log") if message["level"] == "warning"] == [
        reason
    ]


def test_what_waited_for_a_network_that_fails_goes_on_too(open_run: OpenRun) -> None:
    run = open_run("a", "b", offline=False, network=Brightness(fails_at=0))
    run.network.held.clear()
    for camera in "ab":
        run.show(camera, 0, people=2)
        run.detect()
        run.publish()
    assert run.told()["queue"] == 2
    run.network.held.set()
    run.settle()
    assert run.embedded("a") == run.embedded("b") == [(1, [])]
    told = run.told()
    assert told["queue"] == 0 and [told["cameras"][name]["left_out"]["failed"] for name in "ab"] == [2, 2]


def test_what_nobody_foresaw_ends_the_worker(open_run: OpenRun) -> None:
    class Broken(Brightness):
        def embed(self, crops: Sequence[Crops]) -> list[F16]:
            raise ZeroDivisionError("in the thread")

    run = open_run("a", network=Broken())
    run.show("a", 0, people=1)
    with pytest.raises(ZeroDivisionError, match="in the thread"):
        run.settle()


def test_a_successor_goes_on_and_everybody_is_new(open_run: OpenRun) -> None:
    run = open_run("a")
    house = run.house
    for index in range(5):
        run.show("a", index, people=1)
        run.settle()
    run.network.held.clear()
    run.show("a", 5, people=2)
    run.detect()
    run.publish()
    told = {"reid": run.told()}
    run.close()
    house.kill("infer")
    successor = Run(house, Brightness(), Crowd(), before=told)
    successor.show("a", 6, people=2)
    successor.settle()
    assert [*run.embedded(), *successor.embedded()] == [
        (1, [0]), (2, [0]), (3, [0]), (4, []), (5, []), (6, [0, 1]), (7, [0, 1])
    ]  # fmt: skip
    assert successor.told()["cameras"]["a"]["embedded"]["new"] == 3 + 4
    assert successor.told()["calls"] == 3 + 2
    successor.close()


def test_after_a_break_in_the_stream_everybody_is_new(open_run: OpenRun) -> None:
    run = open_run("a")
    for index in range(5):
        run.show("a", index, people=1)
    run.show("a", 5, people=1, flags=FrameFlag.DISCONTINUITY)
    run.settle()
    assert [rows for _, rows in run.embedded()] == [[0], [0], [0], [], [], [0]]


def test_two_runs_choose_the_same(open_run: OpenRun) -> None:
    answers = []
    for lanes in (1, 3):
        run = open_run("a", "b", lanes=lanes, crops_per_s=30.0)
        for index in range(20):
            run.show("a", index, people=(index * 7) % 12)
            run.show("b", index, people=(index * 5) % 9)
            if index % lanes == 0:
                run.settle()
        run.settle()
        answers.append((run.embedded("a"), run.embedded("b"), run.told()["cameras"]))
    assert answers[0] == answers[1]
