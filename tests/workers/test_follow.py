"""Workers that go on while cameras come, go and change: they take up the new ones and let go of the others."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.config import (
    CameraConfig,
    ControlConfig,
    OutputConfig,
    PoolConfig,
    RunConfig,
    SegmentConfig,
    StreamConfig,
)
from engine.config.regions import Zone
from engine.errors import OutputError
from engine.types import FrameFlag
from engine.workers import infer, output, segment, track
from engine.workers.regions import Regions
from engine.workers.results import advance
from engine.workers.track_identity import Identities
from tests.workers.house import (
    House,
    Worker,
    detections_of,
    metas_in,
    open_descriptors,
    publish_frame,
    publish_result,
    until,
)
from tests.workers.test_infer import Brightness
from tests.workers.test_segment_camera import tracks_of

OpenHouse = Callable[[RunConfig], House]

A, B, C = (CameraConfig(name, "test://") for name in "abc")
ZONE = Zone("yard", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)))
CONFIG = RunConfig(
    "m3-cpu",
    (A, B),
    pool=PoolConfig(history=8, result_history=8),
    output=OutputConfig(overlay=False),
    control=ControlConfig(enabled=False),
    stream=StreamConfig(enabled=False),
)


def of(*cameras: CameraConfig, config: RunConfig = CONFIG) -> RunConfig:
    return replace(config, cameras=cameras)


# What every worker does.


def test_pools_of_a_removed_camera_are_let_go_of_behind_the_worker(open_house: OpenHouse) -> None:
    house = open_house(CONFIG)
    worker = house.start("track")
    context, seen = worker.context, []

    def on_config(before: RunConfig, after: RunConfig) -> None:
        seen.append((before.cameras, after.cameras, context.config.cameras))
        assert {"detections:b", "detections:c"} <= set(context.feeds), "both are there in the hook"

    context.on_config = on_config
    house.change(of(A, C))
    context.handle_messages()
    assert seen == [((A, B), (A, C), (A, C))]
    assert set(context.feeds) == {"detections:a", "detections:c"} and set(context.writers) == {
        "tracks:a",
        "tracks:c",
    }
    assert worker.heard("configured") == [{"type": "configured", "revision": 1, "error": ""}]


def test_a_worker_that_cannot_leaves_everything_as_it_was(open_house: OpenHouse) -> None:
    house = open_house(CONFIG)
    worker = house.start("track")
    context = worker.context

    def refuse(before: RunConfig, after: RunConfig) -> None:
        raise OutputError("no room")

    context.on_config = refuse
    house.change(of(A, B, C), past={"c": {"frame": 7, "track": 3}})
    context.handle_messages()
    assert context.config == CONFIG and context.past == {} and "detections:c" not in context.feeds
    assert [message["error"] for message in worker.heard("configured")] == ["no room"]
    context.on_config = lambda before, after: pytest.fail("it has the configuration already")
    house.change(CONFIG)
    context.handle_messages()
    assert len(worker.heard("configured")) == 2


def test_coming_and_going_leaves_no_descriptor(open_house: OpenHouse) -> None:
    house = open_house(CONFIG)
    context = house.start("track").context
    house.change(of(A, B, C))
    context.handle_messages()
    house.change(CONFIG)
    context.handle_messages()
    gc.collect()
    before = open_descriptors()
    for _ in range(10):
        house.change(of(A, B, C))
        house.create_frame_pool("c", 64, 48)
        context.handle_messages()
        house.change(CONFIG)
        context.handle_messages()
    gc.collect()
    assert open_descriptors() == before


def test_a_camera_that_comes_back_goes_on(open_house: OpenHouse) -> None:
    house = open_house(CONFIG)
    context = house.start("track").context
    assert not context.goes_on("a")
    house.change(of(A, B, C), past={"c": {"frame": 7, "track": 3}})
    context.handle_messages()
    assert context.goes_on("c") and not context.goes_on("a")


def test_records_under_way_keep_the_regions_that_they_number() -> None:
    with_zone = replace(A, zones=(ZONE,))
    first = Regions(of(with_zone), {})
    then = first.followed_by(of(A, B), {"a": 1})
    assert then.of_record("a", FrameFlag.NONE) == with_zone, "written before the change"
    assert then.of_record("a", FrameFlag.REGIONS) == A and then.of_record("b", FrameFlag.NONE) == B
    again = then.followed_by(of(replace(A, zones=(ZONE, ZONE))), {"a": 2})
    assert again.of_record("a", FrameFlag.REGIONS) == A
    assert again.of_record("a", FrameFlag.NONE) == replace(A, zones=(ZONE, ZONE))
    assert again.of_record("b", FrameFlag.NONE) is None, "it is gone"
    assert Regions(of(A), {"a": 3}).of_record("a", FrameFlag.NONE) == A, "a successor knows only those of now"


# JSON lines.


@pytest.fixture
def files(tmp_path: Path) -> RunConfig:
    return replace(CONFIG, output=OutputConfig(directory=str(tmp_path), overlay=False))


def open_outputs(house: House) -> tuple[Worker, list[output.Camera]]:
    worker = house.start("results")
    worker.context.labels = ("person",)
    cameras = [output.open_camera(worker.context, camera.name) for camera in house.config.cameras]
    worker.context.on_config = lambda before, after: output.follow(worker.context, cameras)
    return worker, cameras


def frames_of(folder: Path, name: str) -> list[int]:
    return [json.loads(line)["frame"] for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def result(house: House, name: str, seq: int, index: int | None = None) -> None:
    publish_result(house.producer(f"tracks:{name}"), seq, tracks_of((0, 0, 10, 10)), index=index)


def test_what_is_left_of_a_camera_that_goes_is_written(
    open_house: OpenHouse, files: RunConfig, tmp_path: Path
) -> None:
    house = open_house(files)
    worker, cameras = open_outputs(house)
    for seq in (1, 2, 3):
        result(house, "b", seq)
    house.change(of(A, C, config=files))
    worker.context.handle_messages()
    assert frames_of(tmp_path, "b") == [0, 1, 2] and [camera.name for camera in cameras] == ["a", "c"]
    result(house, "c", 1)
    assert advance(worker.context, cameras[1])
    assert frames_of(tmp_path, "c") == [0]
    house.change(of(A, C, B, config=files), past={"b": {"frame": 3, "track": 1}})
    worker.context.handle_messages()
    result(house, "b", 1, index=3)
    assert advance(worker.context, cameras[2]) and frames_of(tmp_path, "b") == [0, 1, 2, 3]
    output.close_all(cameras)


def test_a_file_that_cannot_be_opened_undoes_the_change(
    open_house: OpenHouse, files: RunConfig, tmp_path: Path
) -> None:
    house = open_house(files)
    worker, cameras = open_outputs(house)
    (tmp_path / "c.jsonl").mkdir()
    house.change(of(A, B, C, config=files))
    worker.context.handle_messages()
    (said,) = worker.heard("configured")
    assert "c.jsonl" in said["error"] and [camera.name for camera in cameras] == ["a", "b"]
    output.close_all(cameras)


# Inference.


class Infer:
    """The inference worker, one step at a time."""

    def __init__(self, house: House) -> None:
        self.house, self.detector = house, Brightness()
        for camera in house.config.cameras:
            house.create_frame_pool(camera.name, 64, 48)
        context = house.start("infer").context
        self.inference = infer.open_inference(context, self.detector)
        context.on_config = lambda before, after: infer.follow(self.inference, after)

    def see(self, name: str, index: int, value: int = 10) -> None:
        publish_frame(self.house.producer(f"frames:{name}"), index, value)
        self.house.clock.advance(0.04)

    def work(self, name: str, count: int) -> None:
        """Until there are so many results of a camera."""

        def there() -> bool:
            infer.publish(self.inference)
            infer.hand_out(self.inference)
            self.house.clock.advance(0.01)
            return len(metas_in(self.house.reader(f"detections:{name}"))) >= count

        until(there, f"{count} results of {name}")

    def tend(self) -> None:
        self.inference.context.handle_messages()


def test_inference_takes_up_a_new_camera_and_drops_another(open_house: OpenHouse) -> None:
    run = Infer(open_house(CONFIG))
    run.see("a", 0)
    run.work("a", 1)
    run.house.change(of(A, C))
    run.house.create_frame_pool("c", 64, 48)
    run.tend()
    assert set(run.inference.cameras) == set(run.inference.batcher.queues) == {"a", "c"}
    run.see("c", 0)
    run.see("a", 1)
    run.work("c", 1)
    run.work("a", 2)
    (first,) = metas_in(run.house.reader("detections:c"))
    assert (first.frame_seq, first.dropped_restart) == (1, 0)
    infer.report(run.inference)
    assert set(run.inference.context.status["fps"]) == {"a", "c"}


def test_a_camera_goes_while_its_frame_is_in_the_detector(open_house: OpenHouse) -> None:
    run = Infer(open_house(CONFIG))
    held = run.detector.held[99] = threading.Event()
    run.see("b", 0, 99)

    def in_the_detector() -> bool:
        infer.hand_out(run.inference)
        return bool(run.detector.batches)

    until(in_the_detector, "the frame is in the detector")
    run.house.change(of(A))
    run.tend()
    held.set()
    run.see("a", 0)
    run.work("a", 1)
    assert not run.inference.cameras["a"].pending


def test_another_rate_holds_from_now_on_and_leaves_the_others(open_house: OpenHouse) -> None:
    run = Infer(open_house(CONFIG))
    thinning = run.inference.cameras["b"].queue._thinning
    run.house.change(of(replace(A, infer_fps=1.0), B))
    run.tend()
    assert run.inference.cameras["b"].queue._thinning is thinning
    for index in range(10):
        run.see("a", index)
        infer.hand_out(run.inference)
    assert run.inference.cameras["a"].queue.drops.rate >= 8


# Tracking.


def test_tracking_goes_on_with_the_numbers_of_a_camera_that_was_here(open_house: OpenHouse) -> None:
    house = open_house(CONFIG)
    context = house.start("track").context
    identities = Identities(context)
    cameras = [track.open_camera(context, camera.name, identities) for camera in CONFIG.cameras]
    kept = cameras[0]
    context.on_config = lambda before, after: track.follow(context, cameras, identities, before)
    zoned = replace(A, zones=(ZONE,))
    house.change(of(zoned, C), past={"c": {"frame": 50, "track": 8}}, regions={"a": 1})
    house.create_frame_pool("c", 64, 48)
    house.create_frame_pool("a", 64, 48)
    context.handle_messages()
    assert [camera.name for camera in cameras] == ["a", "c"] and cameras[0] is kept
    for name in ("a", "c"):
        publish_frame(house.producer(f"frames:{name}"), 0, 30)
        publish_result(house.producer(f"detections:{name}"), 1, detections_of((10, 10, 30, 40)))
    assert all(track.advance(context, camera) for camera in cameras)
    (of_a,), (of_c,) = (metas_in(house.reader(f"tracks:{name}")) for name in ("a", "c"))
    assert of_a.flags & FrameFlag.REGIONS and not of_c.flags & FrameFlag.REGIONS
    assert of_c.next_track_id >= 8 and of_a.next_track_id < 8


# Segmentation.


def test_memories_of_a_camera_that_goes_are_given_back(open_house: OpenHouse) -> None:
    config = replace(
        CONFIG, segment=SegmentConfig(mode="track", model="nowhere", standby=True, max_objects=4)
    )
    house = open_house(config)
    for name in ("a", "b"):
        house.create_frame_pool(name, 320, 240)
    context = house.start("segment").context
    stage = segment.open_stage(context)
    context.on_config = lambda before, after: segment.follow(stage, before, after)
    for name in ("a", "b"):
        publish_frame(house.producer(f"frames:{name}"), 0, 90, size=(320, 240))
        boxes = tracks_of((10, 10, 100, 100), (150, 10, 250, 100))
        publish_result(house.producer(f"tracks:{name}"), 1, boxes, size=(320, 240))
    segment.step(stage)
    until(lambda: segment.take_back(stage) or not stage.lane.loading, "nothing is loaded any more")
    for camera in stage.cameras.values():
        assert camera.objects.plan(camera.now_s + 1, stage.budget.allowance()) is not None
    assert len(stage.seats) == 4
    house.change(of(A, replace(C, segment="off"), config=config))
    context.handle_messages()
    assert list(stage.cameras) == ["a", "c"] and len(stage.seats) == 2
    assert {key[0] for key in stage.seats.drain_freed()} == {"b"}
    assert stage.cameras["c"].objects.mode == "off"
    house.change(of(replace(A, segment="off"), replace(C, segment="off"), config=config))
    context.handle_messages()
    assert stage.cameras["a"].objects.mode == "off" and len(stage.seats) == 0
    segment.report(stage)
    assert set(context.status["segmentation"]["cameras"]) == {"a", "c"}
    stage.lane.close()
