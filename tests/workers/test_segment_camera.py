"""One record in, one record out: through keyframes that come late, lost frames, deaths and changes of mode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import orjson
import pytest

from engine.config import CameraConfig, PoolConfig, RunConfig, SegmentConfig
from engine.segmentation.budget import Budget
from engine.segmentation.identities import FIRST_OWN_ID
from engine.segmentation.jobs import KeyframeJob, KeyframeResult, ObjectMask
from engine.segmentation.seats import Seats
from engine.topology import STATUS_SLOT_BYTES
from engine.types import Detections, FrameFlag, Masks, MaskSource, Prompt, ResultMeta, Tracks
from engine.workers.feed import Feed
from engine.workers.runtime import Context
from engine.workers.segment_camera import (
    Camera,
    advance,
    begin_keyframe,
    end_keyframe,
    open_camera,
    state_after,
    told_of,
)
from tests.workers.house import House, metas_in, publish_frame, publish_result, with_masks

OpenHouse = Callable[[RunConfig], House]
END, NOTICE = FrameFlag.END_OF_STREAM, FrameFlag.NOTICE
WIDTH, HEIGHT = 64, 48


class Killed(BaseException):
    """Stands for SIGKILL at this point of the code."""


def config_of(mode: str = "track", model: str = "edgetam_512", **more: object) -> RunConfig:
    config = RunConfig(
        "m3-cpu",
        (CameraConfig("a", "test://"),),
        segment=SegmentConfig(mode=mode, model=model),
        pool=PoolConfig(result_history=30, history=30),
    )
    return replace(config, **more)  # type: ignore[arg-type]  # fields of a dataclass by name


@pytest.fixture
def house(open_house: OpenHouse) -> House:
    house = open_house(config_of())
    house.create_frame_pool("a", WIDTH, HEIGHT)
    return house


def start(house: House, before: dict[str, object] | None = None) -> tuple[Context, Camera]:
    context = house.start("segment", before).context
    return context, open_camera(context, "a", Seats(8))


def never(_: Camera) -> None:
    raise AssertionError("no keyframe is due live")


def advance_all(context: Context, camera: Camera, keyframe_due: Callable[[Camera], None] = never) -> int:
    count = 0
    while advance(context, camera, keyframe_due):
        count += 1
    return count


def tracks_of(*boxes_xyxy: tuple[float, float, float, float], first_id: int = 1) -> Tracks:
    boxes = np.array(boxes_xyxy, np.float32).reshape(len(boxes_xyxy), 4)
    count = len(boxes)
    found = Detections(boxes, np.full(count, 0.9, np.float32), np.zeros(count, np.int32))
    return Tracks.of(found, np.arange(first_id, first_id + count), np.ones(count, np.int32))


def see(house: House, tracks: Tracks | None = None, *, flags: FrameFlag = FrameFlag.NONE) -> int:
    """One more frame with these tracks; the frame's sequence number."""
    frames = house.producer("frames:a")
    seq = publish_frame(frames, frames.newest_seq(), 90, flags=flags)
    found = tracks_of((4, 4, 24, 24)) if tracks is None else tracks
    publish_result(house.producer("tracks:a"), seq, found, flags=flags)
    return seq


def results(house: House) -> list[tuple[ResultMeta, Tracks]]:
    """Every record with masks, oldest first; copies."""
    reader, found, after = house.reader("masks:a"), [], 0
    while (lease := reader.lease_next(after)) is not None:
        with lease:
            meta, after = ResultMeta.unpack(lease.meta), lease.seq
            tracks = Tracks.view(meta.count, lease.array(), meta.mask_bytes)
            found.append((meta, tracks.take(np.arange(len(tracks)))))
    return found


def masks_in(house: House) -> Masks:
    """The masks of the newest record."""
    masks = results(house)[-1][1].masks
    assert masks is not None
    return masks


def plan(camera: Camera) -> KeyframeJob:
    job = camera.objects.plan(camera.now_s, Budget(None).allowance())
    assert job is not None and begin_keyframe(camera, job) is not None
    return job


def answer(job: KeyframeJob) -> KeyframeResult:
    """Every request finds its object where its box is."""
    masks = []
    for request in job.requests:
        assert request.prompt is not None and request.prompt.box_xyxy is not None
        masks.append(
            ObjectMask(
                request.object_id, request.source, np.ones((10, 10), np.bool_), request.prompt.box_xyxy, 0.9, 5.0,
                np.ones(256, np.float32), remembered=True,
            )
        )  # fmt: skip
    return KeyframeResult(job.camera, job.frame_seq, tuple(masks), encode_s=0.1, objects_s=0.1)


def test_every_record_comes_out_once_and_in_order_whether_there_are_masks_or_not(house: House) -> None:
    context, camera = start(house)
    for _ in range(3):
        see(house)
    see(house, tracks_of(), flags=NOTICE)
    see(house)
    see(house, tracks_of(), flags=END)
    assert advance_all(context, camera) == 6
    metas = metas_in(house.reader("masks:a"))
    assert [meta.frame_seq for meta in metas] == [1, 2, 3, 4, 5, 6]
    assert [meta.flags for meta in metas] == [0, 0, 0, NOTICE, 0, END]
    before = metas_in(house.reader("tracks:a"))
    assert [meta.trace for meta in metas] == [meta.trace for meta in before], "the trace is carried on"
    assert house.memory("tracks:a").statistics().acknowledged[2] == 6
    assert house.memory("frames:a").statistics().leased == (0, 0, 0, 0)
    assert {name for name, wake in house.wakes.items() if wake.wait(0)} >= {"results", "stream:a"}
    assert masks_in_none(house)


def masks_in_none(house: House) -> bool:
    return all(tracks.masks is None or not tracks.masks.present().any() for _, tracks in results(house))


def test_masks_of_a_keyframe_are_there_from_the_next_record_on_and_say_how_old_they_are(house: House) -> None:
    context, camera = start(house)
    see(house, tracks_of((4, 4, 24, 24)))
    advance_all(context, camera)
    job = plan(camera)
    assert house.memory("frames:a").statistics().leased == (0, 0, 0, 1), (
        "the frame stays while it is segmented"
    )
    for shift in (1, 2):
        see(house, tracks_of((4.0 + shift, 4, 24.0 + shift, 24)))
    advance_all(context, camera)
    assert masks_in_none(house), "nobody waits for the segmenter"
    end_keyframe(camera, answer(job), context.clock.now_ns())
    assert house.memory("frames:a").statistics().leased == (0, 0, 0, 0)
    see(house, tracks_of((7, 4, 27, 24)))
    advance_all(context, camera)
    masks = masks_in(house)
    assert masks.sources.tolist() == [MaskSource.BOX] and masks.ages_ms.tolist() == pytest.approx([120.0])
    np.testing.assert_allclose(masks.rects_xyxy[0], (7, 4, 27, 24), atol=2.0)
    assert masks.confidences[0] == pytest.approx(0.9)
    told = told_of(camera)
    assert told["mask_age"]["max_ms"] == pytest.approx(120.0) and camera.keyframes.total == 1
    assert told["objects"] == 1 and camera.masked.total == 1


def test_a_keyframe_that_failed_is_asked_for_again(house: House) -> None:
    context, camera = start(house)
    see(house)
    advance_all(context, camera)
    job = plan(camera)
    end_keyframe(camera, None, context.clock.now_ns())
    see(house)
    advance_all(context, camera)
    again = plan(camera)
    assert [one.object_id for one in again.requests] == [one.object_id for one in job.requests]
    assert house.memory("frames:a").statistics().leased == (0, 0, 0, 1)


def test_masks_go_with_their_boxes_where_the_frame_is_gone(house: House) -> None:
    context, camera = start(house)
    see(house, tracks_of((4, 4, 24, 24)))
    advance_all(context, camera)
    end_keyframe_of(context, camera)
    see(house, tracks_of((4, 4, 24, 24)))
    advance_all(context, camera)
    frames = house.producer("frames:a")
    gone = publish_frame(frames, frames.newest_seq())
    for _ in range(house.memory("frames:a").layout.slots):
        publish_frame(frames, frames.newest_seq())
    publish_result(house.producer("tracks:a"), gone, tracks_of((14, 8, 54, 28)))
    advance_all(context, camera)
    masks = masks_in(house)
    np.testing.assert_allclose(masks.rects_xyxy[0], (14, 8, 54, 28), atol=4.0)
    assert masks.ages_ms[0] == pytest.approx(80.0) and camera.frames_gone == 1


def end_keyframe_of(context: Context, camera: Camera) -> None:
    end_keyframe(camera, answer(plan(camera)), context.clock.now_ns())


def test_objects_that_only_a_mask_shows_are_published_behind_the_tracks(house: House) -> None:
    context, camera = start(house)
    see(house, tracks_of((4, 4, 24, 24)))
    advance_all(context, camera)
    box = np.array([40, 10, 60, 40], np.float32)
    pointed = camera.objects.prompt(Prompt.of_box(box), None, None, camera.now_s)
    assert pointed >= FIRST_OWN_ID
    end_keyframe_of(context, camera)
    see(house, tracks_of((4, 4, 24, 24)))
    advance_all(context, camera)
    _, tracks = results(house)[-1]
    assert tracks.track_ids.tolist() == [1, pointed]
    assert tracks.masks is not None and tracks.masks.present().all()
    np.testing.assert_allclose(tracks.boxes_xyxy[1], box, atol=3.0)
    assert camera.shown_ids == (1, pointed)


@pytest.mark.parametrize("dies_in", ["notify", "acknowledge"])
def test_a_record_that_was_published_but_not_acknowledged_does_not_come_twice(
    house: House, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    context, camera = start(house)
    for _ in range(5):
        see(house)
    for _ in range(2):
        assert advance(context, camera, never)

    def dies(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as place, pytest.raises(Killed):
        place.setattr(camera.writer if dies_in == "notify" else Feed, dies_in, dies)
        advance(context, camera, never)
    house.kill("segment")
    context, camera = start(house)
    assert advance_all(context, camera) == 3
    assert [meta.frame_seq for meta in metas_in(house.reader("masks:a"))] == [1, 2, 3, 4, 5]


def test_what_somebody_pointed_at_has_its_id_back_after_a_kill(house: House) -> None:
    context, camera = start(house)
    see(house, tracks_of((4, 4, 24, 24)))
    advance_all(context, camera)
    box = np.array([40, 10, 60, 40], np.float32)
    pointed = camera.objects.prompt(Prompt.of_box(box), None, None, camera.now_s)
    end_keyframe_of(context, camera)
    see(house, tracks_of((4, 4, 24, 24)))
    advance_all(context, camera)
    camera.objects.set_mode("prompt", camera.now_s)
    told = {"segmentation": {"cameras": {"a": told_of(camera)}}, "lost": {"a": 2}}
    house.kill("segment")
    context, camera = start(house, told)
    assert camera.objects.mode == "prompt" and camera.lost == 2 and camera.age.count == 2
    see(house, tracks_of((4, 4, 24, 24)))
    advance_all(context, camera)
    job = plan(camera)
    assert [request.object_id for request in job.requests] == [pointed]
    end_keyframe(camera, answer(job), context.clock.now_ns())
    see(house, tracks_of((4, 4, 24, 24)))
    advance_all(context, camera)
    assert results(house)[-1][1].track_ids.tolist() == [1, pointed]
    elsewhere = np.array([2, 30, 20, 46], np.float32)
    assert camera.objects.prompt(Prompt.of_box(elsewhere), None, None, camera.now_s) > pointed


def test_no_id_that_was_published_is_given_out_again() -> None:
    state = {"next_id": FIRST_OWN_ID + 2, "mode": "track"}
    assert state_after(state, [3, FIRST_OWN_ID + 6])["next_id"] == FIRST_OWN_ID + 7
    assert state_after(state, [3, FIRST_OWN_ID])["next_id"] == FIRST_OWN_ID + 2
    assert state_after({}, [7])["next_id"] == 0


def test_the_status_of_many_cameras_fits_its_slot(house: House) -> None:
    context, camera = start(house)
    see(house)
    advance_all(context, camera)
    for number in range(3000):
        camera.age.add(1.07 ** (number % 200))
        camera.lag.add(1.07 ** (number % 200))
    state = {
        **camera.objects.state(),
        "names": [[10**6 + number, FIRST_OWN_ID + number] for number in range(256)],
        "declined": [FIRST_OWN_ID + number for number in range(256)],
    }
    camera.objects.state = lambda: state  # type: ignore[method-assign]  # what months of tracks would leave
    for cameras in (1, 4, 50):
        assert cameras * len(orjson.dumps(told_of(camera, cameras))) < 0.9 * STATUS_SLOT_BYTES


def test_records_that_were_overwritten_are_counted(house: House) -> None:
    context, camera = start(house)
    slots = house.memory("tracks:a").layout.slots
    for _ in range(slots + 3):
        see(house)
    count = advance_all(context, camera)
    assert camera.lost == 3 and count == slots


def test_a_mode_that_is_off_lets_the_detectors_masks_through(open_house: OpenHouse) -> None:
    house = open_house(config_of("off", segment=SegmentConfig(standby=True)))
    house.create_frame_pool("a", WIDTH, HEIGHT)
    context, camera = start(house)
    see(house, with_masks(tracks_of((4, 4, 24, 24)), 5))
    advance_all(context, camera)
    masks = masks_in(house)
    assert masks.sources.tolist() == [MaskSource.DETECTOR] and masks.grid(0).shape == (5, 5)
    assert camera.objects.object_ids() == () and not camera.objects.demand(camera.now_s).wants


def test_the_detectors_masks_are_those_of_the_chosen_classes_only(open_house: OpenHouse) -> None:
    settings = SegmentConfig(mode="boxes", model="detector", classes=("bus",))
    house = open_house(config_of(segment=settings))
    house.create_frame_pool("a", WIDTH, HEIGHT)
    worker = house.start("segment")
    worker.send({"type": "labels", "labels": ["person", "bus"]})
    worker.context.handle_messages()
    camera = open_camera(worker.context, "a", Seats(8))
    both = tracks_of((4, 4, 24, 24), (30, 4, 50, 24))
    see(house, with_masks(replace(both, class_ids=np.array([0, 1], np.int32)), 5))
    advance_all(worker.context, camera)
    assert masks_in(house).present().tolist() == [False, True]
    assert not camera.objects.demand(camera.now_s).wants, "there is no segmenter to ask"


def test_an_object_without_a_mask_by_sam2_keeps_the_one_it_was_detected_with(house: House) -> None:
    context, camera = start(house)
    see(house, tracks_of((4, 4, 24, 24)))
    advance_all(context, camera)
    end_keyframe_of(context, camera)
    see(house, with_masks(tracks_of((4, 4, 24, 24), (30, 4, 50, 24)), 5))
    advance_all(context, camera)
    assert masks_in(house).sources.tolist() == [MaskSource.BOX, MaskSource.DETECTOR]


def test_offline_every_so_many_frames_are_keyframes_whose_masks_are_there_at_once(
    open_house: OpenHouse,
) -> None:
    house = open_house(config_of(segment=SegmentConfig(mode="track", every=3), offline=True))
    house.create_frame_pool("a", WIDTH, HEIGHT)
    context, camera = start(house)
    due: list[int] = []

    def keyframe_due(camera: Camera) -> None:
        due.append(camera.last_frame_seq + 1)
        job = camera.objects.plan(camera.now_s, Budget(None).allowance())
        if job is not None and job.requests[0].prompt is not None:
            assert begin_keyframe(camera, job) is not None
            end_keyframe(camera, answer(job), context.clock.now_ns())

    for index in range(7):
        see(house, tracks_of((4.0 + index, 4, 24.0 + index, 24)))
    assert advance_all(context, camera, keyframe_due) == 7
    assert due == [1, 4, 7]
    ages = [tracks.masks.ages_ms.tolist() for _, tracks in results(house) if tracks.masks is not None]
    assert ages[0] == [0.0] and ages[1] == pytest.approx([40.0]), "moved by the source's own time"


def test_readers_that_have_not_caught_up_are_waited_for(open_house: OpenHouse) -> None:
    house = open_house(config_of(offline=True, pool=PoolConfig(result_history=2, history=30)))
    house.create_frame_pool("a", WIDTH, HEIGHT)
    readers = {name: house.start(name).context.feeds["masks:a"] for name in ("results", "stream:a")}
    context, camera = start(house)
    tracks = house.producer("tracks:a")
    published = 0
    while (slot := tracks.begin()) is not None:
        tracks.abort(slot)
        published += 1
        see(house)
        advance_all(context, camera, lambda _: None)
    done = house.memory("masks:a").newest_seq()
    assert 0 < done < published
    readers["results"].acknowledge(done)
    assert advance_all(context, camera, lambda _: None) == 0, "the slower of two readers counts"
    readers["stream:a"].acknowledge(done)
    assert advance_all(context, camera, lambda _: None) == published - done
    assert camera.lost == 0


def test_a_picture_of_another_size_goes_on_with_the_same_objects(house: House) -> None:
    context, camera = start(house)
    see(house, tracks_of((4, 4, 24, 24)))
    advance_all(context, camera)
    end_keyframe_of(context, camera)
    house.create_frame_pool("a", 2 * WIDTH, 2 * HEIGHT)
    context.tend()
    frames = house.producer("frames:a")
    seq = publish_frame(frames, frames.newest_seq(), 90, size=(2 * WIDTH, 2 * HEIGHT))
    tracks = house.producer("tracks:a")
    slot = tracks.begin()
    assert slot is not None
    larger = tracks_of((8, 8, 48, 48))
    written = larger.write_into(slot.array())
    ResultMeta(seq, seq - 1, 10**18, 2 * WIDTH, 2 * HEIGHT, (seq - 1) * 40_000_000, written.count).pack_into(
        slot.meta
    )
    tracks.publish(slot)
    assert advance_all(context, camera) == 1
    _, shown = results(house)[-1]
    assert shown.track_ids.tolist() == [1] and camera.objects.object_ids() == (1,)
    job = camera.objects.plan(camera.now_s, Budget(None).allowance())
    assert job is not None and begin_keyframe(camera, job) is not None
