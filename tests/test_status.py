"""The state of a run: frames never vanish from the accounts, and health is as good as it is said to be."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from engine import topology
from engine.clock import ManualClock
from engine.config import CameraConfig, ControlConfig, OutputConfig, RunConfig, SegmentConfig
from engine.config.identity import EventsConfig, ReidConfig
from engine.config.regions import Line, Zone
from engine.control.status import CameraStatus, EngineStatus, ModelStatus
from engine.events.counters import Counters, LineCount, ZoneCount
from engine.metrics import LatencyHistogram
from engine.status import frame_accounts, status_of_run, summary_of_latency
from engine.supervisor import RunPlan, Supervisor
from engine.terminal import Terminal
from engine.types import Detections, FrameFlag, ResultMeta
from ipc.pool import PoolMemory, Producer
from tests.workers.house import publish_frame

END = FrameFlag.END_OF_STREAM
CONFIG = RunConfig(
    "m3-cpu",
    (CameraConfig("gate", "rtsp://admin:secret@camera/1"), CameraConfig("yard", "test://")),
    control=ControlConfig(enabled=False),
)


def supervisor(config: RunConfig) -> Supervisor:
    plan = RunPlan(config, "yolo.onnx", output_lock_fd=-1)
    return Supervisor(plan, ManualClock(), Terminal("error", io.StringIO()))


@pytest.fixture
def run() -> Iterator[Supervisor]:
    """A run whose workers have just reported, though none of them is really there."""
    run = supervisor(CONFIG)
    for process in run.processes.values():
        process.state, process.incarnation = "running", 0
    for camera in CONFIG.cameras:
        tell(run, f"decode:{camera.name}", state="streaming", reason="h264")
    yield run
    run._close()


def tell(run: Supervisor, worker: str, **snapshot: Any) -> None:
    """What a worker says of itself."""
    run.processes[worker].snapshot = snapshot


def status(run: Supervisor) -> EngineStatus:
    return status_of_run(run, run.clock.now_ns())


def gate(run: Supervisor) -> CameraStatus:
    return status(run)["cameras"]["gate"]


def create_frame_pool(run: Supervisor, generation: int = 1, first_seq: int = 1) -> None:
    run.pools.create(topology.frame_pool(CONFIG, "gate", 64, 48, generation, first_seq))


def producer(run: Supervisor, pool: str) -> Producer:
    live = run.pools.newest(pool)
    assert live is not None
    memory: PoolMemory = live.memory
    return Producer(memory.layout, memory.control_fd, memory.data_fd)


def bring_in(run: Supervisor, frames: int, *, end: bool = False) -> None:
    """So many frames of the gate, and the end of it."""
    writer = producer(run, "frames:gate")
    for _ in range(frames):
        publish_frame(writer, writer.newest_seq())
    if end:
        publish_frame(writer, writer.newest_seq(), flags=END)


def infer(
    run: Supervisor,
    frame_seq: int,
    superseded: int = 0,
    restart: int = 0,
    *,
    rate: int = 0,
    stale: int = 0,
    empty: int = 0,
    notices: int = 0,
    end: bool = False,
) -> None:
    """One result that speaks of a frame and carries what was passed over so far."""
    with producer(run, "detections:gate").write() as slot:
        meta = ResultMeta(
            frame_seq, frame_seq - 1, 0, 64, 48, count=Detections.empty().write_into(slot.array()).count,
            dropped_superseded=superseded, dropped_restart=restart, dropped_rate=rate,
            dropped_stale=stale, dropped_empty=empty, notices=notices, flags=END if end else FrameFlag.NONE,
        )  # fmt: skip
        meta.pack_into(slot.meta)


def accounts(run: Supervisor) -> tuple[int, int, int, dict[str, int]]:
    """(in, processed, pending, dropped without zeros), after the identity was checked."""
    found = frame_accounts(run, "gate")
    assert found.frames_in == found.processed + found.pending + sum(found.dropped.values())
    assert min(found.processed, found.pending, *found.dropped.values()) >= 0
    dropped = {reason: count for reason, count in found.dropped.items() if count}
    return found.frames_in, found.processed, found.pending, dropped


def test_before_the_first_frame(run: Supervisor) -> None:
    assert accounts(run) == (0, 0, 0, {})
    create_frame_pool(run)
    assert accounts(run) == (0, 0, 0, {})


def test_while_it_runs_every_frame_is_processed_pending_or_dropped(run: Supervisor) -> None:
    create_frame_pool(run)
    bring_in(run, 3)
    assert accounts(run) == (3, 0, 3, {})
    infer(run, 3, superseded=2)
    assert accounts(run) == (3, 1, 0, {"superseded": 2})
    bring_in(run, 4)
    infer(run, 5, superseded=2, restart=1)
    assert accounts(run) == (7, 2, 2, {"superseded": 2, "restart": 1})


def test_every_reason_counts_and_a_notice_is_no_frame(run: Supervisor) -> None:
    create_frame_pool(run)
    bring_in(run, 12)
    infer(run, 4, superseded=1, rate=2)
    assert accounts(run) == (12, 1, 8, {"superseded": 1, "rate": 2})
    infer(run, 9, superseded=1, rate=4, stale=2, empty=1, notices=1)
    assert accounts(run) == (12, 1, 3, {"superseded": 1, "rate": 4, "stale": 2, "empty": 1})
    infer(run, 12, superseded=1, rate=6, stale=2, empty=1, notices=1)
    assert accounts(run) == (12, 2, 0, {"superseded": 1, "rate": 6, "stale": 2, "empty": 1})


def test_the_end_is_no_frame(run: Supervisor) -> None:
    create_frame_pool(run)
    bring_in(run, 2, end=True)
    assert accounts(run) == (2, 0, 2, {})
    infer(run, 2, superseded=1)
    assert accounts(run) == (2, 1, 0, {"superseded": 1})
    infer(run, 3, superseded=1, end=True)
    assert accounts(run) == (2, 1, 0, {"superseded": 1})


def test_a_new_generation_goes_on_counting(run: Supervisor) -> None:
    create_frame_pool(run)
    bring_in(run, 5)
    infer(run, 5, superseded=4)
    create_frame_pool(run, generation=2, first_seq=6)
    assert accounts(run) == (5, 1, 0, {"superseded": 4})
    bring_in(run, 1)
    assert accounts(run) == (6, 1, 1, {"superseded": 4})


@pytest.mark.parametrize("state", ["stopped", "failed"])
def test_what_still_waited_when_inference_ended_was_dropped_by_that(run: Supervisor, state: str) -> None:
    create_frame_pool(run)
    bring_in(run, 6)
    infer(run, 2, superseded=1)
    run.processes["infer"].state = state  # type: ignore[assignment]  # one of the two
    assert accounts(run) == (6, 1, 0, {"superseded": 1, "stopped": 4})


@pytest.mark.parametrize("state", ["starting", "running", "backoff"])
def test_what_waits_for_an_inference_that_comes_back_is_pending(run: Supervisor, state: str) -> None:
    create_frame_pool(run)
    bring_in(run, 6)
    run.processes["infer"].state = state  # type: ignore[assignment]  # one of the three
    assert accounts(run) == (6, 0, 6, {})


def test_all_is_well(run: Supervisor) -> None:
    found = status(run)
    assert (found["status"], found["reasons"]) == ("ok", [])
    assert found["run"] == {"profile": "m3-cpu", "model": "yolo.onnx", "offline": False, "models": {}}
    tell(run, "infer", model="yolo.onnx: 80 classes")
    assert status(run)["run"]["model"] == "yolo.onnx: 80 classes"


def test_models_that_stand_in_are_told_until_they_do_not_any_more(run: Supervisor) -> None:
    told: list[ModelStatus] = [
        {"asked": "edgetam_512", "used": "nano_sam", "reason": "stands in", "degraded": "nano_sam because"},
        {"asked": "edgetam_512", "used": "edgetam_512", "reason": "found", "degraded": ""},
    ]
    for each, reasons in zip(told, (["nano_sam because"], []), strict=True):
        run._handle(run.processes["infer"], {"type": "model", "what": "segmenter", "told": each})
        found = status(run)
        assert found["run"]["models"] == {"segmenter": each}
        assert (found["status"], found["reasons"]) == ("degraded" if reasons else "ok", reasons)


def test_inference_before_it_has_said_anything(run: Supervisor) -> None:
    found = status(run)["inference"]
    assert (found["lanes"], found["batches"], found["collect"], found["choices"]) == (0, 0, "adaptive", [])
    assert found["window_ms"] is found["batch_frames"] is found["occupancy"] is None


def test_a_run_without_masks_has_no_segmentation(run: Supervisor) -> None:
    assert status(run)["segmentation"] is None


def test_segmentation_as_its_process_tells_of_it() -> None:
    config = replace(CONFIG, segment=SegmentConfig(mode="track"))
    run = supervisor(config)
    before = status(run)["segmentation"]
    assert before is not None and before["model"] == "" and before["rows_per_keyframe"] is None
    assert {name: told["mode"] for name, told in before["cameras"].items()} == {
        "gate": "track",
        "yard": "track",
    }
    age = LatencyHistogram()
    age.add(80.0)
    gate = {"mode": "prompt", "objects": 2, "mask_age": age.to_dict(), "events": {"added": 2}}
    told = {"model": "edgetam", "lane_busy": 0.5, "keyframes": 4, "rows": 8, "rows_per_keyframe": 2.0}
    tell(
        run, "segment", segmentation={**told, "cameras": {"gate": gate}}, degraded=["late"], lost={"gate": 3}
    )
    found = status(run)
    assert found["segmentation"] is not None and found["reasons"] == ["late"]
    assert found["segmentation"]["degraded"] == ["late"] and found["segmentation"]["rows"] == 8
    assert found["segmentation"]["cameras"]["gate"]["mask_age_ms"]["p50"] == pytest.approx(80, rel=0.12)
    assert found["segmentation"]["cameras"]["gate"]["events"] == {"added": 2}
    assert found["cameras"]["gate"]["results_lost"] == {"segment": {"overrun": 3}}
    run._close()


def test_reidentification_as_the_inference_process_tells_of_it(run: Supervisor) -> None:
    assert status(run)["reid"] is None
    with_reid = supervisor(replace(CONFIG, reid=ReidConfig(model="osnet", crops_per_s=30.0)))
    before = status(with_reid)["reid"]
    assert before is not None and (before["model"], before["crops_per_s"], before["calls"]) == ("", 30.0, 0)
    assert set(before["cameras"]) == {"gate", "yard"} and before["ms_per_crop"] is None
    held = LatencyHistogram()
    held.add(20.0)
    gate = {"boxes": 9, "embedded": {"new": 3}, "left_out": {"budget": 1}}
    told = {"model": "osnet", "dims": 512, "queue": 1, "calls": 2, "ms_per_crop": 9.5, "held": held.to_dict()}
    tell(
        with_reid, "infer", reid={**told, "cameras": {"gate": gate}, "degraded": ["slow"]}, degraded=["slow"]
    )
    found = status(with_reid)
    assert found["reid"] is not None and found["reasons"] == ["slow"] == found["reid"]["degraded"]
    assert found["reid"]["cameras"]["gate"] == gate and found["reid"]["cameras"]["yard"]["boxes"] == 0
    assert found["reid"]["held_ms"]["p50"] == pytest.approx(20, rel=0.12)
    with_reid._close()


def test_events_as_the_tracking_process_counts_them() -> None:
    zone = Zone("yard", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)))
    line = Line("gate", ((0.0, 0.5), (1.0, 0.5)))
    cameras = (CameraConfig("gate", "test://", zones=(zone,), lines=(line,)),)
    run = supervisor(replace(CONFIG, cameras=cameras))
    nothing = {"left_to_right": 0, "right_to_left": 0}
    assert status(run)["cameras"]["gate"]["events"] == {
        "kinds": {}, "lines": {"gate": nothing}, "groups": 0, "lost": 0,
        "zones": {"yard": dict.fromkeys(("entries", "exits", "dwells", "present"), 0)},
    }  # fmt: skip
    assert status(run)["streams"]["events"] == {"clients": 0, "sent": 0, "lost": 0, "dropped": 0}
    counters = Counters([LineCount(3, 1)], [ZoneCount(5, 4, 2, 1, 1)], lost=6, groups=2)
    counters.kinds.update(appeared=9)
    tell(run, "track", events={"gate": {"counters": counters.to_json()}})
    assert status(run)["cameras"]["gate"]["events"] == {
        "kinds": {"appeared": 9}, "lines": {"gate": {"left_to_right": 3, "right_to_left": 1}},
        "zones": {"yard": {"entries": 5, "exits": 4, "dwells": 2, "present": 1}}, "groups": 2, "lost": 6,
    }  # fmt: skip
    run._close()
    off = supervisor(replace(CONFIG, events=EventsConfig(enabled=False)))
    assert status(off)["cameras"]["gate"]["events"] is None
    off._close()


def test_inference_as_it_tells_of_itself(run: Supervisor) -> None:
    choice = {"what": "lanes", "chosen": "2", "reason": "measured"}
    tell(
        run, "infer", degraded=["tensorrt failed"],
        inference={
            "lanes": 2, "calls": 3, "batch": 4, "collect": "all", "choices": [choice], "window_ms": 40.0,
            "live_cameras": 5, "queue_depth": 1, "batches": 9, "frames": 30, "ahead": 8, "batch_frames": 3.5,
            "occupancy": 0.875, "discarded_boxes": 2,
        },
    )  # fmt: skip
    found = status(run)
    assert found["inference"] == {
        "lanes": 2, "calls": 3, "batch": 4, "collect": "all", "choices": [choice], "degraded": ["tensorrt failed"],
        "live_cameras": 5, "queue_depth": 1, "window_ms": 40.0, "batches": 9, "frames": 30, "prepared_ahead": 8,
        "batch_frames": 3.5, "occupancy": 0.875, "discarded_boxes": 2,
    }  # fmt: skip
    assert (found["status"], found["reasons"]) == ("degraded", ["tensorrt failed"])


def fail(run: Supervisor, worker: str, state: str = "failed") -> None:
    run.processes[worker].state = state  # type: ignore[assignment]  # one of them
    run.processes[worker].detail = "exit status 1"


def lose_camera(run: Supervisor, name: str) -> None:
    """What the supervisor notes when a decoder has given up."""
    fail(run, f"decode:{name}")
    run.cameras[name].failed = "not a video"


def connecting(run: Supervisor) -> None:
    for name in run.cameras:
        tell(run, f"decode:{name}")


def ended(run: Supervisor) -> None:
    for name in run.cameras:
        tell(run, f"decode:{name}", state="ended", reason="")


def lose_every_camera(run: Supervisor) -> None:
    for name in run.cameras:
        lose_camera(run, name)


def lose_one_and_the_password_of_the_other(run: Supervisor) -> None:
    lose_camera(run, "gate")
    tell(run, "decode:yard", state="unauthorized", reason="no")


def stand_in(run: Supervisor) -> None:
    told: ModelStatus = {"asked": "yolo", "used": "motion", "reason": "", "degraded": "motion in use because"}
    run.models["detector"] = told


HEALTH: list[tuple[str, list[str], Callable[[Supervisor], None]]] = [
    ("ok", [], connecting),
    ("ok", [], ended),
    ("degraded", ["motion in use because"], stand_in),
    (
        "degraded",
        ["camera gate: reconnecting: no answer"],
        lambda run: tell(run, "decode:gate", state="reconnecting", reason="no answer"),
    ),
    ("degraded", ["camera gate: failed: not a video"], lambda run: lose_camera(run, "gate")),
    (
        "degraded",
        ["process track: backoff: exit status 1"],
        lambda run: fail(run, "track", "backoff"),
    ),
    (
        "degraded",
        ["gate: disk full", "yard: disk full"],
        lambda run: tell(run, "results", degraded=["gate: disk full", "yard: disk full"]),
    ),
    (
        "failing",
        ["camera gate: failed: not a video", "camera yard: failed: not a video"],
        lose_every_camera,
    ),
    (
        "failing",
        ["camera gate: failed: not a video", "camera yard: unauthorized: no"],
        lose_one_and_the_password_of_the_other,
    ),
    ("failing", ["process infer: failed: exit status 1"], lambda run: fail(run, "infer")),
    ("failing", ["process stream:yard: failed: exit status 1"], lambda run: fail(run, "stream:yard")),
]


@pytest.mark.parametrize(("health", "reasons", "happen"), HEALTH)
def test_health_is_told_truthfully(
    run: Supervisor, health: str, reasons: list[str], happen: Callable[[Supervisor], None]
) -> None:
    happen(run)
    found = status(run)
    assert (found["status"], found["reasons"]) == (health, reasons)


def test_a_camera_from_end_to_end(run: Supervisor) -> None:
    total = LatencyHistogram()
    for span_ms in range(1, 101):
        total.add(span_ms)
    tell(run, "decode:gate", state="streaming", reason="h264", width=1920, height=1080, fps=25.0)
    tell(run, "infer", fps={"gate": 12.5})
    tell(
        run, "results", latency={"gate": {"total": total.to_dict()}},
        cameras={"gate": {"written": 77, "fps": 12.0, "masks_lost": 9, "dropped": {"overrun": 2, "output_failed": 0}}},
    )  # fmt: skip
    tell(run, "stream:gate", cameras={"gate": {"written": 70, "dropped": {"frame_gone": 3}}})
    motion = {"mode": "auto", "frames": 77, "moved": 3, "untrusted": {"first": 1}}
    tell(run, "track", lost={"gate": 5, "yard": 0}, camera_motion={"gate": motion, "yard": None})
    found = gate(run)
    assert found["camera_motion"] == motion
    assert found["source"] == "rtsp://***@camera/1"
    assert (found["state"], found["reason"], found["width"], found["height"]) == (
        "streaming",
        "h264",
        1920,
        1080,
    )
    assert (found["fps_in"], found["fps_inferred"], found["fps_out"]) == (25.0, 12.5, 12.0)
    assert found["results_out"] == 77
    assert found["results_lost"] == {
        "track": {"overrun": 5},
        "masks": {"slot_full": 9},
        "jsonl": {"overrun": 2},
        "video": {"frame_gone": 3},
    }
    assert found["latency_ms"]["p50"] == pytest.approx(50, rel=0.12)
    assert found["latency_ms"]["p95"] == pytest.approx(95, rel=0.12)
    assert "secret" not in str(status(run))


def test_a_camera_that_has_said_nothing_yet(run: Supervisor) -> None:
    tell(run, "decode:gate")
    found = gate(run)
    assert (found["state"], found["width"], found["fps_in"]) == ("connecting", 0, 0.0)
    assert found["latency_ms"] == {"p50": None, "p95": None} == summary_of_latency(None)
    assert found["camera_motion"] is None
    assert found["results_lost"] == {}


def test_without_video_there_is_no_loss_of_video() -> None:
    config = replace(CONFIG, output=OutputConfig(overlay=False))
    run = supervisor(config)
    assert set(status(run)["processes"]) == {"results", "track", "infer", "decode:gate", "decode:yard"}
    assert gate(run)["results_lost"] == {}
    run._close()


def test_a_process_that_is_not_there(run: Supervisor) -> None:
    process = run.processes["track"]
    process.incarnation, process.detail, process.state = 3, "killed by SIGKILL", "backoff"
    tell(run, "track", cpu_s=1.5, rss_bytes=10, heartbeat_ns=1)
    assert status(run)["processes"]["track"] == {
        "kind": "track", "state": "backoff", "pid": None, "restarts": 3, "rss_bytes": 10, "cpu_s": 1.5,
        "fds": 0, "threads": 0, "heartbeat_age_s": None, "detail": "killed by SIGKILL",
    }  # fmt: skip


def test_time_goes_by(run: Supervisor) -> None:
    assert isinstance(run.clock, ManualClock)
    run.clock.advance(61.5)
    found = status(run)
    assert found["uptime_s"] == 61.5 and found["started_wall_s"] == 1_700_000_000.0


def test_a_camera_that_somebody_has_stopped_is_no_fault(run: Supervisor) -> None:
    run.cameras["gate"].stopped = True
    told = status(run)
    assert (gate(run)["state"], told["status"], told["reasons"]) == ("stopped", "ok", [])
    tell(run, "decode:gate", state="reconnecting", reason="no answer")
    assert gate(run)["state"] == "stopped", "what its decoder said before is past"


def test_a_run_without_cameras_is_well() -> None:
    run = supervisor(replace(CONFIG, cameras=()))
    for process in run.processes.values():
        process.state = "running"
    told = status(run)
    assert (told["status"], told["reasons"], told["cameras"]) == ("ok", [], {})
    run._close()


def test_counts_of_other_regions_than_there_are_now_are_not_shown() -> None:
    """They change while the tracking process still tells of those before."""
    zone = Zone("yard", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)))
    run = supervisor(replace(CONFIG, cameras=(CameraConfig("gate", "test://", zones=(zone,)),)))
    counters = Counters([LineCount(3, 4)], [ZoneCount(), ZoneCount()])
    tell(run, "track", events={"gate": {"counters": counters.to_json(), "next_group": 1}})
    events = status(run)["cameras"]["gate"]["events"]
    assert events is not None
    assert (events["lines"], list(events["zones"].values())) == (
        {}, [dict.fromkeys(("entries", "exits", "dwells", "present"), 0)],
    )  # fmt: skip
    run._close()


def test_a_start_that_was_asked_for_is_no_restart(run: Supervisor) -> None:
    process = run.processes["decode:gate"]
    process.incarnation, process.ordered = 3, 2
    assert status(run)["processes"]["decode:gate"]["restarts"] == 1
