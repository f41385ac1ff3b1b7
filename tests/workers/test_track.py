"""Identities through restarts: no record twice, no ID twice, nothing lost without being counted."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from engine.config import CameraConfig, PoolConfig, RunConfig, TrackConfig
from engine.config.identity import EventsConfig
from engine.types import FrameFlag, PtzPose, ResultMeta, Tracks
from engine.workers.feed import Feed
from engine.workers.runtime import Context
from engine.workers.track import Camera, advance, open_camera, settings_of
from engine.workers.track_identity import Identities
from ipc.pool import Producer
from tests.workers.house import House, detections_of, metas_in, publish_frame, publish_result, with_masks

OpenHouse = Callable[[RunConfig], House]
END = FrameFlag.END_OF_STREAM


class Killed(BaseException):
    """Stands for SIGKILL at this point of the code."""


@pytest.fixture(params=["bytetrack", "botsort"])
def config(request: pytest.FixtureRequest) -> RunConfig:
    return RunConfig(
        "m3-cpu",
        (CameraConfig("a", "test://"),),
        track=TrackConfig(tracker=request.param),
        pool=PoolConfig(result_history=30, history=30),
    )


@pytest.fixture
def house(config: RunConfig, open_house: OpenHouse) -> House:
    house = open_house(config)
    house.create_frame_pool("a", 64, 48)
    return house


def start(house: House) -> tuple[Context, Camera]:
    context = house.start("track").context
    return context, open_camera(context, "a", Identities(context))


def see(house: House, count: int, *, objects: int = 2) -> None:
    """So many more frames in which objects walk to the right, as the detector has found them."""
    frames, results = house.producer("frames:a"), house.producer("detections:a")
    for _ in range(count):
        seq = publish_frame(frames, frames.newest_seq())
        boxes = [(seq + 0.0, row * 24.0, seq + 12.0, row * 24.0 + 18.0) for row in range(objects)]
        publish_result(results, seq, detections_of(*boxes))


def end(house: House) -> None:
    frames = house.producer("frames:a")
    seq = publish_frame(frames, frames.newest_seq(), flags=END)
    publish_result(house.producer("detections:a"), seq, detections_of(), flags=END)


def advance_all(context: Context, camera: Camera) -> int:
    count = 0
    while advance(context, camera):
        count += 1
    return count


def identities(house: House) -> list[list[int]]:
    """Track IDs of every result in the pool, oldest first; unconfirmed objects left out."""
    reader, found, after = house.reader("tracks:a"), [], 0
    while (lease := reader.lease_next(after)) is not None:
        with lease:
            meta, after = ResultMeta.unpack(lease.meta), lease.seq
            ids = Tracks.view(meta.count, lease.array()).track_ids.tolist()
            found.append(sorted(track_id for track_id in ids if track_id))
    return found


def frame_seqs(house: House) -> list[int]:
    return [meta.frame_seq for meta in metas_in(house.reader("tracks:a"))]


def test_the_trackers_own_settings_hold_unless_the_run_says_otherwise() -> None:
    own = settings_of(TrackConfig())
    assert (own.high_score, own.start_score, own.lost_s, own.recall_s) == (0.6, 0.6, 2.0, 0.0)
    assert settings_of(TrackConfig(tracker="sort")).high_score == 0.5
    told = TrackConfig(high_confidence=0.4, start_confidence=0.45, lost_s=3.0, recall_s=8.0)
    told_so = settings_of(told)
    assert (told_so.high_score, told_so.start_score, told_so.lost_s, told_so.recall_s) == (
        0.4,
        0.45,
        3.0,
        8.0,
    )


@pytest.mark.parametrize(
    ("said", "reid", "taken"), [("colour", False, "colour"), ("colour", True, "model"), ("off", True, "off")]
)
def test_colours_are_for_runs_without_a_network(said: str, reid: bool, taken: str) -> None:
    """Who comes back is then for the gallery, too."""
    settings = settings_of(TrackConfig(appearance=said, recall_s=8.0), reid)
    assert (settings.appearance, settings.recall_s) == (taken, 0.0 if reid else 8.0)


def test_every_record_is_tracked_once_and_in_order(house: House) -> None:
    context, camera = start(house)
    see(house, 6)
    assert advance_all(context, camera) == 6
    assert frame_seqs(house) == [1, 2, 3, 4, 5, 6]
    assert identities(house)[-1] == [1, 2]
    assert all(meta.trace.tracked_ns == house.clock.now_ns() for meta in metas_in(house.reader("tracks:a")))
    assert house.memory("detections:a").statistics().acknowledged[0] == 6
    assert house.memory("frames:a").statistics().leased == (0, 0, 0)
    assert {name for name, wake in house.wakes.items() if wake.wait(0)} >= {"results", "stream:a"}


def test_records_say_how_the_picture_has_moved(open_house: OpenHouse) -> None:
    """A camera that turns to the right: everything goes to the left."""
    house = open_house(RunConfig("m3-cpu", (CameraConfig("a", "test://"),)))
    house.create_frame_pool("a", 320, 240)
    context, camera = start(house)
    frames, results = house.producer("frames:a"), house.producer("detections:a")
    noise = np.random.default_rng(3).integers(0, 255, (240, 400), np.uint8)
    scene = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.uint8)
    for step in range(3):
        seq = publish_frame(frames, frames.newest_seq(), scene[:, 6 * step : 6 * step + 320], size=(320, 240))
        publish_result(results, seq, detections_of())
    assert advance_all(context, camera) == 3
    shifts = [meta.shift for meta in metas_in(house.reader("tracks:a"))]
    assert shifts[0] is None
    for shift in shifts[1:]:
        assert shift is not None
        assert (shift.x_px, shift.y_px, shift.scale) == pytest.approx((-6, 0, 1), abs=0.3)


@pytest.mark.parametrize("mode", ["auto", "pose"])
def test_what_a_pose_says_is_no_shift_of_the_picture(open_house: OpenHouse, mode: str) -> None:
    """Poses come from the head that the shift is to be evidence of. The tracker uses them all the same."""
    config = RunConfig("m3-cpu", (CameraConfig("a", "test://"),), track=TrackConfig(camera_motion=mode))
    house = open_house(config)
    house.create_frame_pool("a", 320, 240)
    context, camera = start(house)
    frames, results = house.producer("frames:a"), house.producer("detections:a")
    for index, pan_deg in enumerate((359.0, 1.0, 1.0)):
        seq = publish_frame(frames, index, 90, size=(320, 240), pose=PtzPose(pan_deg, 0, 60))
        publish_result(results, seq, detections_of())
        advance_all(context, camera)
        if index == 1:
            motion = camera.tracker.camera_motion
            assert motion is not None and motion.latest is not None and motion.latest.moves
    assert [meta.shift for meta in metas_in(house.reader("tracks:a"))] == [None, None, None]


def test_masks_ride_along(house: House) -> None:
    context, camera = start(house)
    frames, results = house.producer("frames:a"), house.producer("detections:a")
    for index in range(3):
        found = detections_of((index, 0, index + 12, 18), (index, 24, index + 12, 42))
        publish_result(results, publish_frame(frames, index), with_masks(found, 5))
        assert advance(context, camera)
    lease = house.reader("tracks:a").lease(3)
    assert lease is not None
    with lease:
        meta = ResultMeta.unpack(lease.meta)
        tracks = Tracks.view(meta.count, lease.array(), meta.mask_bytes)
        assert tracks.masks is not None and tracks.masks.grid(1).tolist() == [[True] * 5] * 5
        np.testing.assert_array_equal(tracks.masks.rects_xyxy, found.boxes_xyxy)
        assert np.shares_memory(tracks.masks.rects_xyxy, lease.array()) and meta.masks_lost == 0
        del tracks


def test_masks_that_found_no_room_on_either_way_are_counted(open_house: OpenHouse) -> None:
    """Tracks take more room than detections, so that more is lost behind the tracker than before it."""
    config = RunConfig(
        "m3-cpu", (CameraConfig("a", "test://"),), pool=PoolConfig(result_slot_kib=4),
        events=EventsConfig(enabled=False),
    )  # fmt: skip
    house = open_house(config)
    house.create_frame_pool("a", 64, 48)
    context, camera = start(house)
    frames, results = house.producer("frames:a"), house.producer("detections:a")
    boxes = [
        (column * 6.0, row * 6.0, column * 6 + 5.0, row * 6 + 5.0) for row in range(5) for column in range(8)
    ]
    publish_result(results, publish_frame(frames, 0), with_masks(detections_of(*boxes), 18))
    before = metas_in(house.reader("detections:a"))[0]
    # 4096 bytes hold 40 objects of 24 + 36 bytes with 41 masks of 41 bytes; of 56 + 36 bytes, with 10.
    assert (before.count, before.masks_lost) == (40, 0)
    assert advance(context, camera)
    after = metas_in(house.reader("tracks:a"))[0]
    assert (after.count, after.masks_lost) == (40, 30)
    many = with_masks(detections_of(*boxes), 30)
    publish_result(results, publish_frame(frames, 1), many)
    assert metas_in(house.reader("detections:a"))[1].masks_lost == 40 - 15
    assert advance(context, camera)
    assert metas_in(house.reader("tracks:a"))[1].masks_lost == 40 - 3


def test_ids_go_on_after_the_worker_was_killed(house: House) -> None:
    context, camera = start(house)
    see(house, 6)
    advance_all(context, camera)
    used = {track_id for ids in identities(house) for track_id in ids}
    house.kill("track")
    see(house, 6)
    context, camera = start(house)
    assert advance_all(context, camera) == 6
    assert frame_seqs(house) == list(range(1, 13))
    fresh = {track_id for ids in identities(house)[6:] for track_id in ids}
    assert fresh and min(fresh) > max(used), "an ID that was somebody else's"


@pytest.mark.parametrize("dies_in", ["notify", "acknowledge"])
def test_a_record_that_was_published_but_not_acknowledged_does_not_come_twice(
    house: House, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    context, camera = start(house)
    see(house, 5)
    for _ in range(2):
        assert advance(context, camera)

    def dies(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as place, pytest.raises(Killed):
        place.setattr(camera.writer if dies_in == "notify" else Feed, dies_in, dies)
        advance(context, camera)
    house.kill("track")
    assert frame_seqs(house) == [1, 2, 3] and house.memory("detections:a").statistics().acknowledged[0] == 2
    context, camera = start(house)
    assert advance_all(context, camera) == 3
    assert frame_seqs(house) == [1, 2, 3, 4, 5]
    assert house.memory("detections:a").statistics().acknowledged[0] == 5


def test_a_worker_that_dies_while_it_writes_leaves_nothing_behind(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, camera = start(house)
    see(house, 2)

    def dies(*_: object) -> int:
        raise Killed

    with monkeypatch.context() as place, pytest.raises(Killed):
        place.setattr(Producer, "publish", dies)
        advance(context, camera)
    house.kill("track")
    assert frame_seqs(house) == []
    context, camera = start(house)
    assert advance_all(context, camera) == 2
    assert frame_seqs(house) == [1, 2]


def test_the_end_passes_through_without_objects(house: House) -> None:
    context, camera = start(house)
    see(house, 3)
    end(house)
    assert advance_all(context, camera) == 4
    last = metas_in(house.reader("tracks:a"))[-1]
    assert (last.flags, last.count, last.index) == (END, 0, 3)
    assert last.next_track_id == camera.tracker.next_track_id


def test_records_that_were_overwritten_are_counted_and_so_after_a_restart(house: House) -> None:
    context, camera = start(house)
    see(house, 2)
    advance_all(context, camera)
    slots = house.memory("detections:a").layout.slots
    see(house, slots + 3)
    advance_all(context, camera)
    lost = camera.lost
    assert lost >= 3 and len(frame_seqs(house)) <= slots + 2
    house.kill("track")
    worker = house.start("track", before={"lost": {"a": lost}})
    camera = open_camera(worker.context, "a", Identities(worker.context))
    see(house, slots + 3)
    advance_all(worker.context, camera)
    assert camera.lost >= lost + 3


def test_readers_that_have_not_caught_up_are_waited_for(open_house: OpenHouse) -> None:
    config = RunConfig(
        "m3-cpu", (CameraConfig("a", "test://"),), pool=PoolConfig(result_history=2, history=30), offline=True
    )
    house = open_house(config)
    house.create_frame_pool("a", 64, 48)
    readers = {name: house.start(name).context.feeds["tracks:a"] for name in ("results", "stream:a")}
    context, camera = start(house)
    frames, results = house.producer("frames:a"), house.producer("detections:a")
    published = 0
    while (slot := results.begin()) is not None:
        results.abort(slot)
        published += 1
        publish_result(results, publish_frame(frames, published - 1), detections_of((1, 1, 20, 20)))
        advance_all(context, camera)
    tracked = house.memory("tracks:a").newest_seq()
    assert 0 < tracked < published
    readers["results"].acknowledge(tracked)
    assert advance_all(context, camera) == 0, "the slower of two readers counts"
    readers["stream:a"].acknowledge(tracked)
    assert advance_all(context, camera) == published - tracked
    assert camera.last_seq == published and camera.lost == 0


def test_a_frame_that_is_gone_does_not_stop_tracking(house: House) -> None:
    context, camera = start(house)
    frames, results = house.producer("frames:a"), house.producer("detections:a")
    for index in range(house.memory("frames:a").layout.slots + 5):
        publish_frame(frames, index)
    publish_result(results, 1, detections_of((1, 1, 20, 20)))
    assert advance(context, camera)
    assert [len(ids) for ids in identities(house)] == [1]


def test_a_record_waits_for_the_pool_of_its_frame(config: RunConfig, open_house: OpenHouse) -> None:
    """The announcement of a new generation may come behind the first result that speaks of it."""
    house = open_house(config)
    context, camera = start(house)
    publish_result(house.producer("detections:a"), 1, detections_of((1, 1, 20, 20)))
    assert not advance(context, camera)
    house.create_frame_pool("a", 64, 48)
    publish_frame(house.producer("frames:a"), 0)
    context.tend()
    assert advance(context, camera)
    assert house.memory("detections:a").statistics().leased == (0, 0)
