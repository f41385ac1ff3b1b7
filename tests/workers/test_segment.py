"""The worker's parts put together in this process: records, a real segmenter in its lane, commands."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from engine.config import CameraConfig, PoolConfig, RunConfig, SegmentConfig
from engine.errors import BackendError, ModelError
from engine.models.embedded import StandIn
from engine.models.sam2 import Segmenter
from engine.types import MaskSource
from engine.workers.segment import Stage, open_stage, report, step
from engine.workers.segment_commands import seq_of_frame
from engine.workers.segment_lane import RETRY_S
from tests.models.embedded_models import write_embedded
from tests.workers.house import House, Worker, publish_frame, publish_result, until
from tests.workers.test_segment_camera import results, tracks_of

OpenHouse = Callable[[RunConfig], House]
WIDTH, HEIGHT = 320, 240


class Run:
    """A house with a stage in it."""

    def __init__(self, house: House, before: dict[str, Any] | None = None) -> None:
        self.house = house
        self.worker: Worker = house.start("segment", before)
        self.stage: Stage = open_stage(self.worker.context)
        self.commands = 0

    def see(self, *boxes_xyxy: tuple[float, float, float, float]) -> None:
        """One more frame, 40 ms later."""
        frames = self.house.producer("frames:a")
        seq = publish_frame(frames, frames.newest_seq(), 90, size=(WIDTH, HEIGHT))
        publish_result(self.house.producer("tracks:a"), seq, tracks_of(*boxes_xyxy), size=(WIDTH, HEIGHT))
        self.house.clock.advance(0.04)
        step(self.stage)

    def ask(self, command: str, **fields: Any) -> dict[str, Any]:
        """Send a command and work until it is answered."""
        self.commands += 1
        message = {
            "type": "command",
            "to": "segment",
            "id": f"c{self.commands}",
            "command": command,
            **fields,
        }
        self.worker.send({"camera": "a", **message})
        self.worker.context.handle_messages()

        def answered() -> bool:
            step(self.stage)
            return len(self.worker.heard("answer")) == self.commands

        until(answered, f"an answer to {command}")
        return self.worker.heard("answer")[-1]

    def until_loaded(self) -> None:
        until(lambda: step(self.stage) or self.stage.lane.loaded, "the segmenter is loaded")

    def masks_of(self, object_id: int) -> list[MaskSource]:
        """Where the masks of an object in the records came from, NONE left out."""
        found = []
        for _, tracks in results(self.house):
            if tracks.masks is not None and object_id in tracks.track_ids:
                row = tracks.track_ids.tolist().index(object_id)
                found.append(MaskSource(int(tracks.masks.sources[row])))
        return [source for source in found if source]


def config_of(folder: Path | str, mode: str, **segment: Any) -> RunConfig:
    return RunConfig(
        "m3-cpu",
        (CameraConfig("a", "test://"),),
        segment=SegmentConfig(mode=mode, model=str(folder), freeze_iou=0.0, **segment),
        pool=PoolConfig(result_history=30, history=30),
    )


@pytest.fixture
def start(open_house: OpenHouse) -> Callable[..., Run]:
    def start_one(folder: Path | str, mode: str, **segment: Any) -> Run:
        house = open_house(config_of(folder, mode, **segment))
        house.create_frame_pool("a", WIDTH, HEIGHT)
        return Run(house)

    return start_one


BOX = (60.0, 40.0, 200.0, 180.0)


def test_a_segmenter_that_is_wanted_later_is_stood_in_for_and_that_is_told(
    start: Callable[..., Run], sam2_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINE_MODELS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    run = start("edgetam_512", "off", standby=True)
    run.stage.lane._stand_in = StandIn("", tmp_path)
    refused = run.ask("segment-mode", mode="track")
    assert not refused["ok"] and "'edgetam_512' is neither a folder nor in" in refused["error"]
    run.stage.lane._stand_in = StandIn("nano_sam", write_embedded(tmp_path / "embedded", sam2_folder))
    assert run.ask("segment-mode", mode="track")["ok"]
    step(run.stage)
    (told,) = run.worker.heard("model")
    assert (told["what"], told["told"]["asked"], told["told"]["used"]) == (
        "segmenter",
        "edgetam_512",
        "nano_sam",
    )
    assert told["told"]["degraded"].startswith(
        "embedded model nano_sam in use because edgetam_512 is in no folder"
    )


def test_records_go_on_while_the_segmenter_works_and_masks_come_when_they_are_there(
    start: Callable[..., Run], sam2_folder: Path
) -> None:
    run = start(sam2_folder, "prompt")
    run.see(BOX)
    assert not run.stage.lane.loaded and len(results(run.house)) == 1, "nobody waits for the load"
    run.until_loaded()
    # A mask is its own answer, whatever the weights are.
    pointed = run.ask("prompt", points=[], box=None, mask=square_mask(), object=None)["result"]["object"]
    assert pointed == 1, "it is the track that was pointed at"
    until(lambda: step(run.stage) or run.stage.lane.keyframes == 1, "a keyframe")
    until(lambda: step(run.stage) or run.stage.cameras["a"].keyframes.total == 1, "its masks")
    run.see(BOX)
    assert run.masks_of(1) == [MaskSource.PROMPT]
    _, tracks = results(run.house)[-1]
    assert tracks.masks is not None
    assert tracks.masks.rects_xyxy[0].tolist() == pytest.approx([80, 60, 180, 160], abs=4)
    assert tracks.masks.ages_ms[0] == pytest.approx(40.0)
    report(run.stage)
    told = run.worker.context.status["segmentation"]
    assert told["keyframes"] >= 1 and told["rows"] >= 1 and told["cameras"]["a"]["mode"] == "prompt"
    assert told["model"].startswith("sam2.1 tiny, 256") and told["choices"]
    assert told["cameras"]["a"]["mask_age"]["counts"]


def square_mask() -> dict[str, Any]:
    """A square inside `BOX` as COCO's run lengths."""
    picture = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    picture[60:160, 80:180] = 1
    rle = coco.encode(picture)
    return {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode()}


def test_a_mode_that_needs_the_segmenter_is_answered_when_that_is_loaded(
    start: Callable[..., Run], sam2_folder: Path
) -> None:
    run = start(sam2_folder, "off", standby=True)
    run.see(BOX)
    assert not run.stage.lane.loading, "off needs none"
    answer = run.ask("segment-mode", mode="track")
    assert answer["ok"] and answer["result"] == {
        "camera": "a",
        "mode": "track",
        "before": "off",
        "loading": False,
    }
    assert run.stage.lane.loaded
    state = run.ask("segment-state")["result"]
    assert state["mode"] == "track" and state["event_counts"] == {"mode changed": 1}
    assert run.ask("segment-mode", mode="off")["result"]["before"] == "track"


def test_somebody_points_and_the_next_keyframe_is_for_that(
    start: Callable[..., Run], sam2_folder: Path
) -> None:
    run = start(sam2_folder, "prompt")
    run.until_loaded()
    run.see(BOX)
    answer = run.ask("prompt", points=[[250, 60, 1], [20, 20, 0]], box=None, mask=None, object=None)
    assert answer["ok"], answer
    pointed = answer["result"]["object"]
    run.see(BOX)
    until(lambda: step(run.stage) or run.stage.lane.keyframes >= 1, "a keyframe")
    assert run.ask("segment-state")["result"]["object_ids"] == [pointed]
    refined = run.ask("prompt", points=[[252, 66, 1]], box=None, mask=None, object=pointed)
    assert refined["result"]["object"] == pointed
    assert run.ask("protect-object", object=pointed, protected=False)["ok"]
    assert run.ask("protect-object", object=99, protected=True)["failure"] == "not-found"
    assert run.ask("remove-object", object=pointed)["ok"]
    again = run.ask("remove-object", object=pointed)
    assert not again["ok"] and again["failure"] == "not-found" and "left or never was" in again["error"]


def test_the_frame_that_somebody_looked_at_is_found_by_its_number(
    start: Callable[..., Run], sam2_folder: Path
) -> None:
    run = start(sam2_folder, "prompt")
    camera = run.stage.cameras["a"]
    assert seq_of_frame(camera, 5) is None, "nothing was shown"
    camera.recent.extend([(10, 3), (12, 5), (13, 6)])
    assert [seq_of_frame(camera, index) for index in (None, 4, 10, 11, 12, 99)] == [None, 3, 3, 3, 5, 6]


def test_a_prompt_cuts_in_but_never_twice_running(start: Callable[..., Run], sam2_folder: Path) -> None:
    run = start(sam2_folder, "track")
    run.until_loaded()
    run.see(BOX)
    lane, camera = run.stage.lane, run.stage.cameras["a"]
    until(lambda: step(run.stage) or not lane.ready, "a keyframe is under way")
    lane.interrupt()
    assert lane._interrupt.is_set()
    until(lambda: step(run.stage) or lane.ready, "it is given up, or was done already")
    given_up = lane._interrupted_last
    assert camera.objects.requests.cancelled == given_up
    run.see(BOX)
    until(lambda: step(run.stage) or not lane.ready, "the next one")
    lane.interrupt()
    assert lane._interrupt.is_set() is not given_up
    until(lambda: step(run.stage) or lane.ready, "it ends")


BAD_PROMPTS = [
    ({"points": [[999, 60, 1]]}, "invalid", "outside"),
    ({"box": [10, 10, 10, 40]}, "invalid", "no area"),
    ({"mask": {"size": [240, 320], "counts": "nonsense"}}, "invalid", "damaged"),
    ({"mask": {"size": [24, 32], "counts": "PP2"}}, "invalid", "of another size|picture of"),
    ({"points": [[60, 60, 1]], "object": 4711}, "not-found", "left or never was"),
]


@pytest.mark.parametrize(("fields", "failure", "words"), BAD_PROMPTS)
def test_a_prompt_that_cannot_be_carried_out_changes_nothing(
    start: Callable[..., Run], sam2_folder: Path, fields: dict[str, Any], failure: str, words: str
) -> None:
    run = start(sam2_folder, "prompt")
    run.see(BOX)
    before = run.stage.cameras["a"].objects.object_ids()
    answer = run.ask("prompt", **{"points": [], "box": None, "mask": None, "object": None, **fields})
    assert not answer["ok"] and answer["failure"] == failure
    assert any(word in answer["error"] for word in words.split("|")), answer["error"]
    assert run.stage.cameras["a"].objects.object_ids() == before


def test_a_prompt_needs_a_mode_and_a_picture(start: Callable[..., Run], sam2_folder: Path) -> None:
    run = start(sam2_folder, "boxes")
    point = {"points": [[60, 60, 1]], "box": None, "mask": None, "object": None}
    refused = run.ask("prompt", **point)
    assert refused["failure"] == "conflict" and "prompts need 'prompt', 'track' or 'auto'" in refused["error"]
    assert run.ask("segment-mode", mode="prompt")["ok"]
    assert run.ask("prompt", **point)["failure"] == "unavailable"
    assert run.ask("dance")["failure"] == "invalid"
    assert run.ask("segment-state", camera="b")["failure"] == "not-found"


def test_without_a_segmenter_the_run_ends_if_it_was_asked_for_at_the_start(
    start: Callable[..., Run], tmp_path: Path
) -> None:
    run = start(tmp_path / "nowhere", "track")
    run.stage.lane.want()
    with pytest.raises(ModelError, match="there is no such folder"):
        until(lambda: step(run.stage) and False, "the error")


def test_asked_for_later_it_is_refused_and_everything_goes_on(
    start: Callable[..., Run], tmp_path: Path
) -> None:
    run = start(tmp_path / "nowhere", "off", standby=True)
    run.see(BOX)
    answer = run.ask("segment-mode", mode="track")
    assert (
        not answer["ok"]
        and answer["failure"] == "unavailable"
        and "there is no such folder" in answer["error"]
    )
    assert run.stage.cameras["a"].objects.mode == "off"
    run.see(BOX)
    assert len(results(run.house)) == 2


def test_a_damaged_graph_is_said_in_one_line_and_tried_again_later(
    start: Callable[..., Run], sam2_folder: Path, tmp_path: Path
) -> None:
    for file in sam2_folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "mask_decoder.onnx").unlink()
    (tmp_path / "mask_decoder.onnx").write_bytes(b"no model")
    run = start(tmp_path, "off", standby=True)
    run.see(BOX)
    answer = run.ask("segment-mode", mode="track")
    assert not answer["ok"] and "mask_decoder.onnx" in answer["error"] and "\n" not in answer["error"]
    report(run.stage)
    assert run.worker.context.status["degraded"] == [f"no masks by SAM2: {answer['error']}"]
    assert not run.ask("segment-mode", mode="track")["ok"]
    (tmp_path / "mask_decoder.onnx").unlink()
    (tmp_path / "mask_decoder.onnx").symlink_to(sam2_folder / "mask_decoder.onnx")
    run.house.clock.advance(RETRY_S)
    assert run.ask("segment-mode", mode="track")["ok"]
    report(run.stage)
    assert run.worker.context.status["degraded"] == []


def test_a_segmenter_that_fails_is_given_up_and_tried_again(
    start: Callable[..., Run], sam2_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(sam2_folder, "track")
    run.until_loaded()

    def fails(*_: object) -> None:
        raise BackendError("ort-cpu: failed: the device has gone")

    with monkeypatch.context() as place:
        place.setattr(Segmenter, "encode", fails)
        run.see(BOX)
        until(lambda: step(run.stage) or bool(run.stage.lane.problem), "the failure")
    for _ in range(5):
        run.see(BOX)
    assert run.house.memory("masks:a").newest_seq() == 6, "records go on without masks"
    assert not run.stage.lane.loaded and run.stage.cameras["a"].objects.mode == "track"
    report(run.stage)
    assert run.worker.context.status["degraded"] == ["no masks by SAM2: ort-cpu: failed: the device has gone"]
    assert house_leases(run) == (0, 0, 0, 0)
    run.house.clock.advance(RETRY_S)
    run.until_loaded()
    run.see(BOX)
    until(lambda: step(run.stage) or run.stage.cameras["a"].keyframes.total >= 1, "masks again")


def house_leases(run: Run) -> tuple[int, ...]:
    return run.house.memory("frames:a").statistics().leased


def test_a_lane_that_hangs_stops_nobody_and_is_spoken_of(
    start: Callable[..., Run], sam2_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(sam2_folder, "track")
    run.until_loaded()
    free = threading.Event()
    monkeypatch.setattr(Segmenter, "encode", lambda *_: free.wait(20))
    run.see(BOX)
    until(lambda: step(run.stage) or not run.stage.lane.ready, "a keyframe is under way")
    for _ in range(60):
        run.see(BOX)
    assert run.house.memory("masks:a").newest_seq() == 61, "every record is published meanwhile"
    report(run.stage)
    (reason,) = run.worker.context.status["degraded"]
    assert reason.startswith("masks wait: keyframe 1 of a takes 2 s so far")
    free.set()


def test_offline_a_keyframe_is_waited_for(open_house: OpenHouse, sam2_folder: Path) -> None:
    house = open_house(replace(config_of(sam2_folder, "track", every=2), offline=True))
    house.create_frame_pool("a", WIDTH, HEIGHT)
    run = Run(house)
    for _ in range(4):
        run.see(BOX)
    assert run.stage.lane.keyframes == 2 and len(results(house)) == 4
    assert run.stage.cameras["a"].keyframes.total == 2
