"""Results into files: each once, in order, through kills and full disks; what is not written is counted."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.config import CameraConfig, OutputConfig, PoolConfig, RunConfig
from engine.errors import OutputError
from engine.outputs.jsonl import JsonlOutput
from engine.workers import output
from engine.workers.feed import Feed
from engine.workers.output import RETRY_INTERVAL_S, Camera, advance, open_camera, report
from tests.workers.house import House, Worker, until
from tests.workers.makers import advance_all, end, full_disk, lost, publish_masked, track

OpenHouse = Callable[[RunConfig], House]


class Killed(BaseException):
    """Stands for SIGKILL at this point of the code."""


def config_of(folder: Path, *names: str, offline: bool = False, jsonl: bool = True) -> RunConfig:
    return RunConfig(
        "m3-cpu",
        tuple(CameraConfig(name, "test://") for name in names or ("a",)),
        output=OutputConfig(directory=str(folder), jsonl=jsonl),
        pool=PoolConfig(history=8, result_history=8),
        offline=offline,
    )


@pytest.fixture
def house(open_house: OpenHouse, tmp_path: Path) -> House:
    house = open_house(config_of(tmp_path))
    house.create_frame_pool("a", 64, 48)
    return house


def start(house: House, name: str = "results", before: dict[str, Any] | None = None) -> tuple[Worker, Camera]:
    worker = house.start(name, before)
    worker.context.labels = ("person",)
    return worker, open_camera(worker.context, "a")


def kill(house: House, camera: Camera, name: str = "results") -> None:
    """The kernel closes the files of the dead."""
    if isinstance(camera.output, JsonlOutput):
        camera.output.close()
    house.kill(name)


def lines(house: House, name: str = "a") -> list[dict[str, Any]]:
    text = (Path(house.config.output.directory) / f"{name}.jsonl").read_text()
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def frames_written(house: House) -> list[int]:
    return [line["frame"] for line in lines(house)]


def test_lines_say_which_model_stands_in_as_long_as_one_does(house: House) -> None:
    worker, camera = start(house)
    for said in (["nano_det because"], ["nano_det because", "nano_sam because"], []):
        worker.send({"type": "degraded", "lines": said})
        worker.context.handle_messages()
        track(house, 1)
        assert advance_all(worker.context, camera) == 1
    told = [line.get("degraded") for line in lines(house)]
    assert told == [["nano_det because"], ["nano_det because", "nano_sam because"], None]


def test_every_result_is_a_line_with_its_object(house: House) -> None:
    worker, camera = start(house)
    track(house, 4)
    assert advance_all(worker.context, camera) == 4
    found = lines(house)
    assert [line["frame"] for line in found] == [0, 1, 2, 3]
    assert found[3]["objects"] == [
        {
            "id": 7,
            "label": "person",
            "confidence": 0.9,
            "bbox": [4.0, 2.0, 20.0, 28.0],
            "state": "confirmed",
            "velocity": [0.0, 0.0],
        }
    ]
    assert camera.written == 4 and lost(camera) == {}
    assert house.memory("tracks:a").statistics().acknowledged[0] == 4
    assert camera.latency["total"].count == 4
    camera.output.close()


@pytest.mark.parametrize("form", ["polygon", "rle", "none"])
def test_masks_stand_in_the_lines_as_configured(open_house: OpenHouse, tmp_path: Path, form: str) -> None:
    config = config_of(tmp_path)
    house = open_house(replace(config, output=replace(config.output, masks=form)))
    house.create_frame_pool("a", 64, 48)
    worker, camera = start(house)
    publish_masked(house, 8)
    assert advance(worker.context, camera)
    camera.output.close()
    (thing,) = lines(house)[0]["objects"]
    if form == "none":
        assert not any(key.startswith(("mask", "polygon")) for key in thing)
    elif form == "rle":
        assert thing["mask"]["size"] == [48, 64]
    else:
        assert sorted(x for x, _ in thing["polygon"][0][0][:-1]) == [0.0, 0.0, 20.0, 20.0]


def test_masks_that_found_no_room_are_counted_and_said_once(open_house: OpenHouse, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    house = open_house(replace(config, pool=replace(config.pool, result_slot_kib=4)))
    house.create_frame_pool("a", 64, 48)
    worker, camera = start(house)
    publish_masked(house, 200, count=2)
    publish_masked(house, 8)
    assert advance_all(worker.context, camera) == 3
    report(worker.context, [camera])
    told = worker.context.status
    assert told["cameras"]["a"]["masks_lost"] == 2
    (warning,) = [message for message in worker.heard("log") if message["level"] == "warning"]
    assert warning["text"] == (
        "a: no room in 4 KiB for the masks of 1 object(s) in frame 0; raise pool.result_slot_kib"
    )
    assert ["polygon" in line["objects"][0] for line in lines(house)] == [True, True, True]
    kill(house, camera)
    worker, camera = start(house, before=json.loads(json.dumps(told)))
    assert camera.masks_lost == 2
    camera.output.close()


def test_a_result_that_nobody_could_read_in_time_is_skipped_and_counted(house: House) -> None:
    worker, camera = start(house)
    slots = house.memory("tracks:a").layout.slots
    track(house, slots + 3)
    advance_all(worker.context, camera)
    assert lost(camera)["overrun"] >= 3
    assert camera.written + lost(camera)["overrun"] == slots + 3
    assert lines(house)[0]["skipped"] == lost(camera)["overrun"]
    camera.output.close()


@pytest.mark.parametrize("dies_in", ["before the line", "behind the line"])
def test_a_killed_worker_goes_on_without_a_line_too_many_or_too_few(
    house: House, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    worker, camera = start(house)
    track(house, 5)
    for _ in range(2):
        advance(worker.context, camera)
    report(worker.context, [camera])
    told = dict(worker.context.status)
    advance(worker.context, camera)  # written after the last status

    def dies(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as place, pytest.raises(Killed):
        if dies_in == "before the line":
            place.setattr(camera.output, "write", dies)
        else:
            place.setattr(Feed, "acknowledge", dies)
        advance(worker.context, camera)
    kill(house, camera)
    worker, camera = start(house, before=told)
    assert advance_all(worker.context, camera) == 2
    assert frames_written(house) == [0, 1, 2, 3, 4]
    assert camera.written == 5, "the count is not that of the lines"
    assert lines(house)[-1]["skipped"] == 0
    assert camera.latency["total"].count >= 3
    camera.output.close()


def test_counts_go_on_where_the_predecessor_stopped(house: House) -> None:
    worker, camera = start(house)
    slots = house.memory("tracks:a").layout.slots
    track(house, slots + 2)
    advance_all(worker.context, camera)
    report(worker.context, [camera])
    before, was_lost = dict(worker.context.status), lost(camera)
    written, total = camera.written, camera.latency["total"].to_dict()
    kill(house, camera)
    worker, camera = start(house, before=json.loads(json.dumps(before)))
    assert (camera.written, lost(camera)) == (written, was_lost)
    assert camera.latency["total"].to_dict() == total
    camera.output.close()


def test_a_worker_that_died_before_its_first_status_is_counted_by_what_it_acknowledged(house: House) -> None:
    worker, camera = start(house)
    track(house, 3)
    advance_all(worker.context, camera)
    kill(house, camera)
    worker, camera = start(house)
    track(house, 2)
    advance_all(worker.context, camera)
    assert camera.written == len(lines(house)) == 5
    camera.output.close()


def test_a_new_run_starts_its_file_anew(house: House, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"frame": 99}\n')
    worker, camera = start(house)
    track(house, 1)
    advance_all(worker.context, camera)
    assert frames_written(house) == [0]
    camera.output.close()


def test_the_end_closes_the_file_and_is_reported(house: House) -> None:
    worker, camera = start(house)
    track(house, 2)
    advance_all(worker.context, camera)
    assert worker.heard("finished") == []
    end(house)
    advance_all(worker.context, camera)
    assert [message["camera"] for message in worker.heard("finished")] == ["a"]
    JsonlOutput(tmp_file(house), resume=True).close()  # would be refused while the worker holds the file
    assert camera.written == 2 and house.memory("tracks:a").statistics().acknowledged[0] == 3


def tmp_file(house: House) -> Path:
    return Path(house.config.output.directory) / "a.jsonl"


def test_live_a_full_disk_is_told_counted_and_tried_again(house: House) -> None:
    worker, camera = start(house)
    context = worker.context
    track(house, 2)
    advance_all(context, camera)
    track(house, 4)
    with full_disk():
        assert advance(context, camera)
        assert not advance(context, camera), "tried again at once"
        report(context, [camera])
        (reason,) = context.status["degraded"]
        assert "a: " in reason and "disk full" in reason
        house.clock.advance(RETRY_INTERVAL_S - 0.01)
        assert not advance(context, camera)
        house.clock.advance(0.01)
        assert advance(context, camera)
        assert lost(camera) == {"output_failed": 2}
        house.clock.advance(RETRY_INTERVAL_S)
    assert advance_all(context, camera) == 2
    report(context, [camera])
    assert context.status["degraded"] == []
    assert frames_written(house) == [0, 1, 4, 5]
    assert lines(house)[2]["skipped"] == 2, "who reads the file must see the hole"
    assert camera.written == 4 and lost(camera) == {"output_failed": 2}
    levels = [message["level"] for message in worker.heard("log")]
    assert levels == ["error", "error", "info"]
    camera.output.close()


def test_one_full_file_does_not_hold_up_the_other_cameras(open_house: OpenHouse, tmp_path: Path) -> None:
    house = open_house(config_of(tmp_path, "a", "b"))
    for name in "ab":
        house.create_frame_pool(name, 64, 48)
    worker = house.start("results")
    cameras = [open_camera(worker.context, name) for name in "ab"]
    track(house, 3, "a")
    advance(worker.context, cameras[0])
    size = (tmp_path / "a.jsonl").stat().st_size
    track(house, 1, "b")
    with full_disk(size + 10):
        assert [advance(worker.context, camera) for camera in cameras] == [True, True]
    report(worker.context, cameras)
    assert len(worker.context.status["degraded"]) == 1
    assert [camera.written for camera in cameras] == [1, 1]
    for camera in cameras:
        camera.output.close()


def test_when_the_run_stops_nobody_waits_for_the_next_try(house: House) -> None:
    worker, camera = start(house)
    track(house, 3)
    with full_disk():
        advance(worker.context, camera)
    worker.send({"type": "stop"})
    worker.context.tend()
    assert advance_all(worker.context, camera) == 2
    assert frames_written(house) == [1, 2]
    camera.output.close()


def test_offline_a_full_disk_is_the_end(open_house: OpenHouse, tmp_path: Path) -> None:
    house = open_house(config_of(tmp_path, offline=True))
    house.create_frame_pool("a", 64, 48)
    worker, camera = start(house)
    track(house, 2)
    with full_disk(), pytest.raises(OutputError, match="disk full"):
        advance_all(worker.context, camera)
    assert camera.written == 0 and house.memory("tracks:a").statistics().acknowledged[0] == 0
    camera.output.close()


def test_without_lines_results_are_still_measured_and_the_end_is_seen(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    house = open_house(config_of(tmp_path, jsonl=False))
    house.create_frame_pool("a", 64, 48)
    worker, camera = start(house)
    track(house, 2)
    end(house)
    advance_all(worker.context, camera)
    assert camera.latency["total"].count == 2 and len(worker.heard("finished")) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("labels", [["person"], []])
def test_the_worker_writes_what_is_in_flight_when_told_to_stop(house: House, labels: list[str]) -> None:
    """The loop as a whole. A detector may have no names for its classes."""
    worker = house.start("results")
    track(house, 2)
    thread = threading.Thread(target=output.run, args=(worker.context,))
    thread.start()
    worker.send({"type": "labels", "labels": labels})
    tracks = house.memory("tracks:a")
    until(lambda: tracks.statistics().acknowledged[0] == 2, "results are written", giving_up=worker)
    track(house, 1)
    worker.send({"type": "stop"})
    thread.join(20)
    assert not thread.is_alive()
    assert worker.context.stop_grace_s is None, "would be cut off while it finishes its files"
    assert [line["objects"][0]["label"] for line in lines(house)] == [labels[0] if labels else "class 0"] * 3


def test_a_second_camera_whose_file_cannot_be_opened_closes_the_first(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    (tmp_path / "b.jsonl").mkdir()
    house = open_house(config_of(tmp_path, "a", "b"))
    with pytest.raises(OutputError, match=r"b\.jsonl"):
        output.run(house.start("results").context)
    JsonlOutput(tmp_path / "a.jsonl").close()
