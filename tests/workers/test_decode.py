"""Pictures into a pool: when they are due, what number they get, and what happens when the worker dies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from engine.config import CameraConfig, InferConfig, RunConfig
from engine.config.ptz import PtzConfig
from engine.errors import SourceError
from engine.sources.base import Picture, Source, SourceOptions
from engine.sources.poses import Poses
from engine.sources.reconnect import Reconnector
from engine.topology import FRAMES_TRACK
from engine.types import U8, FrameFlag, FrameMeta, FrameNv12, PoseSample, PtzPose, Surface
from engine.workers import decode
from engine.workers.decode import Pacer, Publisher, publish_all
from engine.workers.feed import Feed
from ipc.pool import Consumer
from tests.workers.house import House, Worker, until

OpenHouse = Callable[[RunConfig], House]

SECOND_NS = 1_000_000_000
FRAME_NS = SECOND_NS // 25


class Killed(BaseException):
    """Stands for SIGKILL at this point of the code."""


class Slides(Source):
    """A file of grey pictures, each as bright as its number. Its URL says how many and what goes wrong.

    `slides://COUNT`, `slides://COUNT?breaks=N`: picture N cannot be read, `?fails=N`: it cannot be grabbed,
    `?dies=N`: the process does not live to see it.
    """

    size = (64, 48)
    fps = 25.0

    def open(self) -> None:
        count, _, fault = self.options.url.removeprefix("slides://").partition("?")
        kind, _, number = fault.partition("=")
        self.count, self.fault, self.next = int(count), (kind, int(number or -1)), 0

    def grab(self) -> Picture | None:
        number, self.next = self.next, self.next + 1
        if self.fault == ("dies", number):
            raise Killed
        if self.fault == ("fails", number):
            raise SourceError(f"slide {number} is stuck")
        if number == self.count:
            return None
        return Picture(*self.size, 5 * SECOND_NS, 6 * SECOND_NS, pts_ns=number * FRAME_NS)

    def read_into(self, y: U8, uv: U8) -> Surface | None:
        if self.fault == ("breaks", self.next - 1):
            y[:1] = 255  # a picture that is half there
            raise SourceError(f"slide {self.next - 1} is torn")
        y[:], uv[:] = self.next - 1, 128
        return None

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def slides_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Source.schemes, "slides", Slides)


def config_of(url: str = "slides://5", *, offline: bool = False, loop: bool = False) -> RunConfig:
    return RunConfig("m3-cpu", (CameraConfig("gate", url, loop=loop),), offline=offline)


def slides(house: House, url: str = "slides://5") -> Reconnector:
    return Reconnector(lambda: Slides(SourceOptions(url)), house.clock)


def picture(width: int = 64, height: int = 48, pts_ns: int = -1, *, discontinuity: bool = False) -> Picture:
    return Picture(width, height, 5 * SECOND_NS, 6 * SECOND_NS, pts_ns, discontinuity=discontinuity)


def publish(house: House, publisher: Publisher, count: int, url: str = "slides://100") -> None:
    """Publish so many slides from the beginning."""
    source = slides(house, url)
    for _ in range(count):
        item = source.grab()
        assert isinstance(item, Picture)
        publisher.publish(item, source)


def frames_in(pool: Consumer) -> list[tuple[int, FrameMeta, int]]:
    """(sequence number, header, brightness) of what is in a pool, oldest first."""
    found, after = [], 0
    while (lease := pool.lease_next(after)) is not None:
        with lease:
            meta, brightness = FrameMeta.unpack(lease.meta), -1
            if meta.width and meta.height:
                frame = FrameNv12.view(meta, lease.array())
                brightness = int(frame.y[0, 0])
                assert (frame.y == brightness).all() and (frame.uv == 128).all()
            found.append((lease.seq, meta, brightness))
            after = lease.seq
    return found


def numbers_in(house: House) -> list[int]:
    return [meta.index for _, meta, _ in frames_in(house.reader("frames:gate"))]


def due_s(
    pacer: Pacer, pts_s: float, now_s: float, *, discontinuity: bool = False, fps: float = 0.0
) -> float:
    pts_ns = round(pts_s * SECOND_NS) if pts_s >= 0 else -1
    shown = picture(pts_ns=pts_ns, discontinuity=discontinuity)
    return pacer.due_ns(shown, round(now_s * SECOND_NS), fps) / SECOND_NS


def test_the_first_picture_is_due_at_once_and_the_others_in_their_own_time() -> None:
    pacer = Pacer()
    assert due_s(pacer, 7.0, 100.0) == 100.0
    assert due_s(pacer, 7.5, 100.1) == 100.5
    assert due_s(pacer, 9.0, 100.5) == 102.0


def test_a_picture_that_is_a_little_late_does_not_shift_the_ones_behind_it() -> None:
    pacer = Pacer()
    due_s(pacer, 0.0, 100.0)
    assert due_s(pacer, 1.0, 101.4) == 101.0
    assert due_s(pacer, 2.0, 101.5) == 102.0


def test_a_file_that_cannot_keep_up_does_not_try_to_catch_up() -> None:
    pacer = Pacer()
    due_s(pacer, 0.0, 100.0)
    assert due_s(pacer, 1.0, 101.6) == 101.6
    assert due_s(pacer, 2.0, 101.7) == 102.6


@pytest.mark.parametrize("pts_s", [3600.0, 5.0, 0.0])
def test_a_discontinuity_starts_over(pts_s: float) -> None:
    """The file begins again, or a camera that is recorded in it was switched off for a while."""
    pacer = Pacer()
    due_s(pacer, 4.0, 100.0)
    assert due_s(pacer, pts_s, 100.1, discontinuity=True) == 100.1
    assert due_s(pacer, pts_s + 1, 100.2) == pytest.approx(101.1)


@pytest.mark.parametrize("jump_s", [-3600.0, 11.0, 3600.0])
def test_a_jump_that_nobody_announced_is_not_waited_for(jump_s: float) -> None:
    pacer = Pacer()
    due_s(pacer, 4000.0, 100.0)
    assert due_s(pacer, 4000.0 + jump_s, 100.1) == 100.1
    assert due_s(pacer, 4001.0 + jump_s, 100.2) == pytest.approx(101.1)


def test_a_pause_in_a_recording_is_played() -> None:
    pacer = Pacer()
    due_s(pacer, 0.0, 100.0)
    assert due_s(pacer, 9.0, 100.1) == 109.0


@pytest.mark.parametrize(("fps", "step_s"), [(10.0, 0.1), (0.0, 0.04)])
def test_a_file_without_times_plays_at_its_rate(fps: float, step_s: float) -> None:
    pacer = Pacer()
    due = [due_s(pacer, -1, 100.0, fps=fps) for _ in range(4)]
    assert due == pytest.approx([100.0 + number * step_s for number in range(4)])


def test_a_single_picture_without_a_time_takes_its_turn() -> None:
    pacer = Pacer()
    due_s(pacer, 3600.0, 100.0)
    assert due_s(pacer, -1, 100.0) == pytest.approx(100.04)
    assert due_s(pacer, 3600.08, 100.04) == pytest.approx(100.08)


class OnDevice(Slides):
    """Slides that lie in GPU memory as well, or as long as there is room for them: an array stands for that."""

    def read_into(self, y: U8, uv: U8) -> Surface | None:
        super().read_into(y, uv)
        number = self.next - 1
        return Surface(y.copy(), uv.copy()) if number != 3 else None


@pytest.mark.parametrize(("offline", "kept"), [(False, [5, 6]), (True, [1, 2, 3, 5, 6])])
def test_a_picture_in_gpu_memory_is_kept_under_the_number_of_its_frame(
    open_house: OpenHouse, offline: bool, kept: list[int]
) -> None:
    house = open_house(config_of(offline=offline))
    house.create_frame_pool("gate", 64, 48)
    context = house.start("decode:gate").context
    publisher = Publisher(context, loop=False)
    source = Reconnector(lambda: OnDevice(SourceOptions("slides://100")), house.clock)
    for _ in range(6):
        item = source.grab()
        assert isinstance(item, Picture)
        publisher.publish(item, source)
    assert len(context.surfaces) == len(kept)
    for seq in kept:
        surface = context.surfaces.take("gate", seq)
        assert surface is not None and (surface.y == seq - 1).all(), "not the picture of that frame"
    assert context.surfaces.take("gate", 4) is None


def test_nothing_is_kept_in_gpu_memory_when_the_camera_has_ended(open_house: OpenHouse) -> None:
    house = open_house(config_of())
    house.create_frame_pool("gate", 64, 48)
    context = house.start("decode:gate").context
    context.surfaces.put("gate", 1, Surface(None, None), 1)
    context.stopping = True
    decode.run(context)
    assert len(context.surfaces) == 0


@pytest.mark.parametrize(
    ("hosted", "backends", "wanted"),
    [
        (True, ("tensorrt", "ort-cpu"), True),
        (True, ("ort-cuda",), True),
        (True, ("ort-cpu", "tensorrt"), False),
        (False, ("tensorrt",), False),
    ],
)
def test_pictures_stay_in_gpu_memory_where_inference_can_reach_them(
    open_house: OpenHouse,
    monkeypatch: pytest.MonkeyPatch,
    hosted: bool,
    backends: tuple[str, ...],
    wanted: bool,
) -> None:
    asked: list[SourceOptions] = []

    class Asked(Slides):
        def __init__(self, options: SourceOptions) -> None:
            asked.append(options)
            super().__init__(options)

    monkeypatch.setitem(Source.schemes, "slides", Asked)
    house = open_house(replace(config_of("slides://0"), infer=InferConfig(backends=backends)))
    context = house.start("decode:gate").context
    context.hosted = hosted
    decode.run(context)
    assert [options.surfaces for options in asked] == [wanted]


@pytest.fixture
def house(open_house: OpenHouse) -> House:
    return open_house(config_of())


def test_frames_are_numbered_described_and_written_in_place(house: House) -> None:
    house.create_frame_pool("gate", 64, 48)
    publisher = Publisher(house.start("decode:gate").context, loop=False)
    publish(house, publisher, 3)
    found = frames_in(house.reader("frames:gate"))
    assert [(seq, meta.index, brightness) for seq, meta, brightness in found] == [
        (1, 0, 0),
        (2, 1, 1),
        (3, 2, 2),
    ]
    meta = found[2][1]
    assert (meta.width, meta.height, meta.pts_ns) == (64, 48, 2 * FRAME_NS)
    assert (meta.captured_ns, meta.wall_ns) == (5 * SECOND_NS, 6 * SECOND_NS)
    assert meta.published_ns == house.clock.now_ns()
    assert meta.flags == FrameFlag.NONE


def test_a_frame_carries_where_its_camera_looked(open_house: OpenHouse, tmp_path: Path) -> None:
    path = tmp_path / "poses.csv"
    path.write_text("time_s,pan_deg,tilt_deg,hfov_deg\n0,350,0,60\n0.08,10,4,60\n")
    config = replace(config_of(offline=True), cameras=(CameraConfig("gate", "slides://4", poses=str(path)),))
    house = open_house(config)
    house.create_frame_pool("gate", 64, 48)
    decode.run(house.start("decode:gate").context)
    poses = [meta.pose for _, meta, _ in frames_in(house.reader("frames:gate"))]
    assert poses == [PtzPose(350, 0, 60), PtzPose(0, 2, 60), PtzPose(10, 4, 60), None, None]


def test_a_picture_without_a_time_has_no_pose(house: House) -> None:
    publisher = Publisher(house.start("decode:gate").context, loop=False)
    publisher.poses = Poses((0.0, 1e9), (PtzPose(0, 0, 60), PtzPose(0, 0, 60)))
    house.create_frame_pool("gate", 64, 48)
    source = slides(house)
    item = source.grab()
    assert isinstance(item, Picture)
    publisher.publish(replace(item, pts_ns=-1), source)
    assert [meta.pose for _, meta, _ in frames_in(house.reader("frames:gate"))] == [None]


def test_a_source_may_know_where_its_camera_looks(house: House) -> None:
    """A file of poses is believed before the source."""
    publisher = Publisher(house.start("decode:gate").context, loop=False)
    house.create_frame_pool("gate", 64, 48)
    source = slides(house)
    for poses in (None, Poses((0.0, 1.0), (PtzPose(0, 0, 60), PtzPose(0, 0, 60)))):
        publisher.poses = poses
        item = source.grab()
        assert isinstance(item, Picture)
        publisher.publish(replace(item, pts_ns=5, pose=PtzPose(20, 0, 50)), source)
    poses_out = [meta.pose for _, meta, _ in frames_in(house.reader("frames:gate"))]
    assert poses_out == [PtzPose(20, 0, 50), PtzPose(0, 0, 60)]


def test_a_picture_has_the_pose_of_its_head_unless_somebody_knows_better(open_house: OpenHouse) -> None:
    head = PtzConfig("hikvision", "http://192.0.2.7", 60.0)
    house = open_house(replace(config_of(), cameras=(CameraConfig("gate", "slides://9", ptz=head),)))
    publisher = Publisher(house.start("decode:gate").context, loop=False)
    house.create_frame_pool("gate", 64, 48)
    source = slides(house)
    heads = house.producer("pose:gate")
    item = source.grab()
    assert isinstance(item, Picture) and item.captured_ns == 5 * SECOND_NS
    publisher.publish(item, source)
    with heads.write() as slot:
        PoseSample(4.7, 359.0, -5.0, 50.0, 20.0, image_latency_s=0.2).pack_into(slot.meta)
    publisher.publish(item, source)
    publisher.publish(replace(item, pose=PtzPose(7, 0, 60)), source)
    publisher.poses = Poses((0.0, 1.0), (PtzPose(8, 0, 60), PtzPose(8, 0, 60)))
    publisher.publish(item, source)
    unknown, by_head, by_source, by_file = [
        meta.pose for _, meta, _ in frames_in(house.reader("frames:gate"))
    ]
    assert unknown is None and by_source == PtzPose(7, 0, 60) and by_file == PtzPose(8, 0, 60)
    assert by_head is not None and (by_head.tilt_deg, by_head.hfov_deg) == (-5.0, 50.0)
    assert by_head.pan_deg == pytest.approx(1.0)


def test_poses_that_cannot_be_read_fail_the_camera(open_house: OpenHouse, tmp_path: Path) -> None:
    path = tmp_path / "poses.csv"
    path.write_text("nonsense\n")
    house = open_house(replace(config_of(), cameras=(CameraConfig("gate", "slides://4", poses=str(path)),)))
    context = house.start("decode:gate").context
    with pytest.raises(SourceError, match=r"poses\.csv', line 1: not time_s"):
        decode.run(context)
    assert context.status["state"] == "failed" and "line 1" in context.status["reason"]


def test_who_waits_for_frames_is_woken_and_nobody_else(house: House) -> None:
    house.create_frame_pool("gate", 64, 48)
    publisher = Publisher(house.start("decode:gate").context, loop=False)
    readers = house.pools.newest("frames:gate")
    assert readers is not None and {"infer", "stream:gate"} <= set(readers.spec.consumers)
    assert not any(wake.wait(0) for wake in house.wakes.values())
    publish(house, publisher, 1)
    assert {name for name, wake in house.wakes.items() if wake.wait(0)} == {"infer"}


def test_a_restarted_worker_goes_on_counting_and_says_that_there_is_a_break(house: House) -> None:
    house.create_frame_pool("gate", 64, 48)
    publish(house, Publisher(house.start("decode:gate").context, loop=False), 3)
    house.kill("decode:gate")
    publisher = Publisher(house.start("decode:gate").context, loop=True)
    assert publisher.next_index == 3 and not publisher.ended
    publish(house, publisher, 2)
    found = frames_in(house.reader("frames:gate"))
    assert [(seq, meta.index) for seq, meta, _ in found] == [(n + 1, n) for n in range(5)]
    assert [bool(meta.flags & FrameFlag.DISCONTINUITY) for _, meta, _ in found] == [
        False, False, False, True, False,
    ]  # fmt: skip


def test_a_discontinuity_of_the_source_travels_with_its_frame(house: House) -> None:
    house.create_frame_pool("gate", 64, 48)
    publisher = Publisher(house.start("decode:gate").context, loop=False)
    source = slides(house)
    for number in range(3):
        source.grab()
        publisher.publish(picture(discontinuity=number == 1), source)
    flags = [meta.flags for _, meta, _ in frames_in(house.reader("frames:gate"))]
    assert flags == [FrameFlag.NONE, FrameFlag.DISCONTINUITY, FrameFlag.NONE]


@pytest.mark.parametrize("size", [(0, 48), (64, 0), (0, 0)])
def test_a_picture_without_pixels_is_a_record_that_is_counted(house: House, size: tuple[int, int]) -> None:
    house.create_frame_pool("gate", 64, 48)
    publisher = Publisher(house.start("decode:gate").context, loop=False)
    publish(house, publisher, 1)
    publisher.publish(picture(*size), slides(house))
    (seq, meta, _) = frames_in(house.reader("frames:gate"))[-1]
    assert (seq, meta.index, (meta.width, meta.height), meta.flags) == (2, 1, size, FrameFlag.NONE)


def test_a_picture_without_pixels_asks_for_no_pool(house: House) -> None:
    worker = house.start("decode:gate")
    publisher = Publisher(worker.context, loop=False)
    publisher.publish(picture(0, 48), slides(house))
    assert worker.heard("frame-pool") == [] and publisher.next_index == 0
    (said,) = worker.heard("log")
    assert said["level"] == "warning" and "without pixels" in said["text"]


def test_the_end_is_a_record_without_a_picture_behind_the_last_frame(house: House) -> None:
    house.create_frame_pool("gate", 64, 48)
    publisher = Publisher(house.start("decode:gate").context, loop=False)
    publish(house, publisher, 2)
    publisher.publish_end()
    (seq, meta, _) = frames_in(house.reader("frames:gate"))[-1]
    assert (seq, meta.index, meta.width, meta.flags) == (3, 2, 0, FrameFlag.END_OF_STREAM)


def test_the_end_of_a_source_that_never_had_a_picture_needs_no_pool(house: House) -> None:
    worker = house.start("decode:gate")
    Publisher(worker.context, loop=False).publish_end()
    assert worker.heard("frame-pool") == []
    assert house.pools.newest("frames:gate") is None


def test_an_ended_source_is_not_ended_again(open_house: OpenHouse) -> None:
    """Or its second end would count as a frame that came in."""
    house = open_house(config_of("slides://3", offline=True))
    house.create_frame_pool("gate", 64, 48)
    decode.run(house.start("decode:gate").context)
    assert numbers_in(house) == [0, 1, 2, 3]
    house.kill("decode:gate")
    worker = house.start("decode:gate")
    decode.run(worker.context)
    assert numbers_in(house) == [0, 1, 2, 3]
    assert worker.context.status["state"] == "ended"


class Supervisor(threading.Thread):
    """Answers so many requests for a frame pool, as the supervisor does."""

    def __init__(self, house: House, worker: Worker, requests: int) -> None:
        super().__init__()
        self.house, self.worker, self.requests = house, worker, requests

    def run(self) -> None:
        for _ in range(self.requests):
            message, _ = self.worker.ours.receive()
            self.worker.said.append(message)
            for turn in ("once", "twice"):  # it is woken before the pool is there
                self.worker.send({"type": "labels", "labels": [turn]})
                until(partial(self.has_looked_again, turn), "the worker looks again")
            self.house.create_frame_pool(message["camera"], message["width"], message["height"])

    def has_looked_again(self, turn: str) -> bool:
        return self.worker.context.labels == (turn,)


def test_a_picture_that_outgrows_its_pool_gets_a_bigger_one(house: House) -> None:
    worker = house.start("decode:gate")
    publisher = Publisher(worker.context, loop=False)
    source = slides(house, "slides://9")
    supervisor = Supervisor(house, worker, requests=3)
    supervisor.start()
    for size in [(64, 48), (64, 48), (128, 96), (32, 16), (128, 96), (200, 100)]:
        source.grab()
        publisher.publish(picture(*size), source)
    supervisor.join()
    asked = [
        (message["camera"], message["width"], message["height"]) for message in worker.heard("frame-pool")
    ]
    assert asked == [("gate", 64, 48), ("gate", 128, 96), ("gate", 200, 100)]
    memories = [live.memory for live in house.pools.of_worker("decode:gate")]
    readers = [
        Consumer(memory.layout, memory.control_fd, memory.data_fd, FRAMES_TRACK) for memory in memories
    ]
    assert [[(seq, meta.index, meta.width) for seq, meta, _ in frames_in(reader)] for reader in readers] == [
        [(3, 2, 128), (4, 3, 32), (5, 4, 128)],
        [(6, 5, 200)],
    ]


def test_numbers_go_on_when_the_worker_dies_before_it_has_used_its_new_pool(house: House) -> None:
    house.create_frame_pool("gate", 64, 48)
    publish(house, Publisher(house.start("decode:gate").context, loop=False), 3)
    house.create_frame_pool("gate", 640, 480)
    house.kill("decode:gate")
    publisher = Publisher(house.start("decode:gate").context, loop=False)
    assert publisher.next_index == 3
    publish(house, publisher, 1)
    ((seq, meta, _),) = frames_in(house.reader("frames:gate"))
    assert (seq, meta.index) == (4, 3)


def test_who_waits_for_a_pool_stops_when_told_to(house: House) -> None:
    worker = house.start("decode:gate")
    publisher = Publisher(worker.context, loop=False)
    source = slides(house)
    source.grab()
    worker.send({"type": "stop"})
    publisher.publish(picture(), source)
    assert publisher.next_index == 0
    assert len(worker.heard("frame-pool")) <= 1


@pytest.mark.parametrize("at", [0, 3])
def test_a_picture_that_cannot_be_read_leaves_the_pool_as_it_was(house: House, at: int) -> None:
    house.create_frame_pool("gate", 64, 48)
    publisher = Publisher(house.start("decode:gate").context, loop=False)
    source = slides(house, f"slides://9?breaks={at}")
    for number in range(6):
        item = source.grab()
        assert isinstance(item, Picture)
        if number == at:
            with pytest.raises(SourceError, match="torn"):
                publisher.publish(item, source)
        else:
            publisher.publish(item, source)
    found = frames_in(house.reader("frames:gate"))
    assert [(seq, meta.index) for seq, meta, _ in found] == [(n + 1, n) for n in range(5)]
    assert [brightness for _, _, brightness in found] == [n for n in range(6) if n != at]


def test_offline_a_frame_is_overwritten_only_when_all_have_read_it(open_house: OpenHouse) -> None:
    house = open_house(config_of("slides://60", offline=True))
    pool = house.create_frame_pool("gate", 64, 48)
    worker = house.start("decode:gate")
    feeds = {name: house.start(name).context.feeds["frames:gate"] for name in pool.spec.consumers}
    seen: dict[str, list[int]] = {name: [] for name in feeds}

    def read(name: str, feed: Feed) -> None:
        wake, after = house.wakes[name], 0
        while True:
            lease = feed.lease_next(after)
            if lease is None:
                wake.wait(0.1)
                continue
            with lease:
                meta, after = FrameMeta.unpack(lease.meta), lease.seq
                if not meta.flags & FrameFlag.END_OF_STREAM:
                    assert np.all(FrameNv12.view(meta, lease.array()).y == meta.index)
            feed.acknowledge(after)
            if meta.flags & FrameFlag.END_OF_STREAM:
                return
            seen[name].append(meta.index)

    readers = [threading.Thread(target=read, args=item) for item in feeds.items()]
    for reader in readers:
        reader.start()
    decode.run(worker.context)
    for reader in readers:
        reader.join()
    assert all(numbers == list(range(60)) for numbers in seen.values()) and len(seen) >= 2


def run_until_killed(house: House, url: str, *, loop: bool = False) -> None:
    """A whole life of the worker, which ends where the source says so."""
    context = house.start("decode:gate").context
    with pytest.raises(Killed):
        publish_all(context, Publisher(context, loop=loop), slides(house, url), paced=False)
    house.kill("decode:gate")


def test_a_killed_worker_goes_on_in_its_file_where_it_stopped(house: House) -> None:
    house.create_frame_pool("gate", 64, 48)
    for dies_at in (2, 2, 3):
        run_until_killed(house, f"slides://6?dies={dies_at}")
    worker = house.start("decode:gate")
    publish_all(
        worker.context, Publisher(worker.context, loop=False), slides(house, "slides://6"), paced=False
    )
    found = frames_in(house.reader("frames:gate"))
    assert [(meta.index, brightness) for _, meta, brightness in found] == [
        (0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, -1),
    ]  # fmt: skip


def test_a_killed_worker_begins_a_file_that_is_looped_anew(house: House) -> None:
    """There is no place to go on at, but the frame numbers do."""
    house.create_frame_pool("gate", 64, 48)
    run_until_killed(house, "slides://6?dies=2", loop=True)
    run_until_killed(house, "slides://6?dies=2", loop=True)
    found = frames_in(house.reader("frames:gate"))
    assert [(meta.index, brightness) for _, meta, brightness in found] == [(0, 0), (1, 1), (2, 0), (3, 1)]


@pytest.mark.parametrize("url", ["slides://9?fails=2", "slides://9?breaks=2"])
def test_a_source_that_fails_ends_what_was_published_and_says_why(open_house: OpenHouse, url: str) -> None:
    house = open_house(config_of(url, offline=True))
    house.create_frame_pool("gate", 64, 48)
    worker = house.start("decode:gate")
    with pytest.raises(SourceError, match="slide 2 is"):
        decode.run(worker.context)
    found = frames_in(house.reader("frames:gate"))
    assert [(meta.index, meta.flags) for _, meta, _ in found] == [
        (0, FrameFlag.NONE), (1, FrameFlag.NONE), (2, FrameFlag.END_OF_STREAM),
    ]  # fmt: skip
    assert worker.context.status["state"] == "failed" and "slide 2 is" in worker.context.status["reason"]


def test_a_worker_that_is_told_to_stop_publishes_nothing_more(house: House) -> None:
    house.create_frame_pool("gate", 64, 48)
    worker = house.start("decode:gate")
    worker.send({"type": "stop"})
    worker.context.tend()
    decode.run(worker.context)
    assert numbers_in(house) == []


def test_state_and_rate_are_told(open_house: OpenHouse) -> None:
    house = open_house(config_of("slides://5", offline=True))
    house.create_frame_pool("gate", 64, 48)
    worker = house.start("decode:gate")
    decode.run(worker.context)
    worker.context.publish_status()
    status = worker.context.status
    assert (status["state"], status["width"], status["height"], status["corrupt_packets"]) == (
        "ended",
        64,
        48,
        0,
    )
    assert status["fps"] == 5.0
    assert [line["text"] for line in worker.heard("log")] == ["streaming", "ended"]
