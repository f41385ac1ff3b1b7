"""The policy as a whole, on a manual clock: recorded arrivals in, batches out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.batching.batcher import FLOOR_NS, Batcher, BatchOptions
from engine.batching.camera_queue import Arrival, CameraQueue
from tests.batching.traces import MS, START_NS, Played, phases, play, steady, trace

EIGHT = BatchOptions(batch=8)
POLICIES = ("adaptive", "greedy", "all")


def eight(seconds: float = 12.0, fps: float = 15.0) -> dict[str, list[Arrival]]:
    """Eight cameras that keep their time, spread over a period."""
    delays = phases(8, 1000 / fps)
    return {f"c{number}": steady(fps, seconds, delay) for number, delay in enumerate(delays)}


def with_one(name: str, frames: list[Arrival]) -> dict[str, list[Arrival]]:
    return {**eight(), name: frames}


def others(played: Played) -> int:
    """Frames processed of c0 to c6."""
    return sum(count for name, count in played.served().items() if name != "c7")


def test_eight_cameras_fill_the_batch() -> None:
    """The detector is quick: greedy runs one frame at a time, and adaptive waits for all eight."""
    occupancy = {
        policy: play(eight(), replace(EIGHT, collect=policy), compute_ms=5).occupancy() for policy in POLICIES
    }
    assert occupancy["adaptive"] > 7.8
    assert occupancy["greedy"] < 1.5
    played = play(eight(), EIGHT, compute_ms=5)
    assert sum(played.served().values()) > 0.98 * 8 * 12 * 15, "and hardly a frame is lost for it"


@pytest.mark.parametrize("slow_ms", [120, 300])
def test_where_the_detector_is_the_limit_batches_are_full(slow_ms: float) -> None:
    played = play(eight(), EIGHT, compute_ms=slow_ms)
    assert played.occupancy() > 7.9
    assert played.ages_ms()[int(0.95 * len(played.ages_ms()))] < 0.5 * slow_ms + 40


def test_a_bursty_camera_among_them_costs_the_others_nothing() -> None:
    """Adaptive keeps the pace of a run without it; who waits for everybody does not."""
    for compute_ms in (5, 120):
        calm = others(play(eight(), EIGHT, compute_ms))
        bursty = with_one("c7", trace("bursty", seconds=12))
        assert others(play(bursty, EIGHT, compute_ms)) >= 0.97 * calm
        assert others(play(bursty, replace(EIGHT, collect="all"), compute_ms)) < 0.95 * calm


def test_a_frozen_camera_costs_the_others_nothing() -> None:
    calm = others(play(eight(), EIGHT, compute_ms=120))
    frozen = with_one("c7", steady(15, 3.0, 60.0))
    assert others(play(frozen, EIGHT, compute_ms=120)) >= 0.99 * calm
    assert others(play(frozen, replace(EIGHT, collect="all"), compute_ms=120)) < 0.9 * calm


def test_a_slow_camera_does_not_make_the_others_wait() -> None:
    """One frame a second among 25: most batches run as soon as the quick ones are there."""
    cameras = {"a": steady(25, 10), "b": steady(25, 10), "slow": steady(1, 10)}
    played = play(cameras, EIGHT, compute_ms=5)
    waits_ms = sorted(batch.waited_ns / MS for batch in played.batches[3:])
    assert waits_ms[len(waits_ms) // 2] < 5
    assert played.served()["slow"] == 10


@pytest.mark.parametrize("name", ["file", "rtsp", "bursty"])
def test_recorded_cameras_together(name: str) -> None:
    """Four of the same kind, begun one after the other."""
    frames = {f"c{number}": trace(name, delay_ms=130 * number, seconds=11) for number in range(4)}
    played = play(frames, BatchOptions(batch=4), compute_ms=60)
    assert played.occupancy(after_s=3) > (2.0 if name == "bursty" else 3.5)
    served = played.served().values()
    assert max(served) <= 1.15 * min(served)


def test_the_window_follows_the_fastest_live_camera() -> None:
    cameras = {"fast": steady(30, 6), "slow": steady(12, 20)}
    played = play(cameras, BatchOptions(batch=2), compute_ms=5)
    by_time = {(batch.begun_ns - START_NS) / 1e9: batch.window_ns / MS for batch in played.batches}
    assert next(iter(by_time.values())) == 100, "the first window"
    while_both = [window for at_s, window in by_time.items() if 2 < at_s < 6]
    assert while_both == pytest.approx([1000 / 30] * len(while_both), rel=0.05)
    slow_only = [window for at_s, window in by_time.items() if at_s > 8.5]
    assert slow_only == pytest.approx([1000 / 12] * len(slow_only), rel=0.05)


def test_the_window_stays_still_among_bursty_cameras() -> None:
    frames = {f"c{number}": trace("bursty", delay_ms=470 * number, seconds=11) for number in range(4)}
    played = play(frames, BatchOptions(batch=4), compute_ms=60)
    windows_ms = [batch.window_ns / MS for batch in played.batches if batch.begun_ns > START_NS + 6e9]
    assert max(windows_ms) < 1.25 * min(windows_ms)


@pytest.mark.parametrize(("fps", "window_ms"), [(5, 100), (600, 2), (1000, 2)])
def test_the_window_has_a_cap_and_a_floor(fps: float, window_ms: float) -> None:
    played = play({"a": steady(fps, 2), "b": steady(fps, 2)}, BatchOptions(batch=2), compute_ms=1)
    assert played.batches[-1].window_ns == window_ms * MS
    assert FLOOR_NS == 2 * MS


def test_a_target_rate_makes_the_window_longer() -> None:
    cameras = {"a": steady(30, 5), "b": steady(30, 5, 10)}
    played = play(cameras, BatchOptions(batch=2), compute_ms=5, target_fps={"a": 12, "b": 12})
    assert played.batches[-1].window_ns == pytest.approx(1e9 / 12, rel=0.01)
    assert played.occupancy() > 1.8


def test_the_start_does_not_run_on_tiny_batches() -> None:
    cameras = {f"c{number}": steady(15, 1, delay_ms=12 * number) for number in range(8)}
    assert len(play(cameras, EIGHT, compute_ms=5).batches[0].frames) == 8
    assert len(play(cameras, replace(EIGHT, collect="greedy"), compute_ms=5).batches[0].frames) == 1


def batcher_of(*names: str, batch: int = 2) -> Batcher:
    return Batcher([CameraQueue(name) for name in names], BatchOptions(batch=batch))


def test_a_full_batch_runs_at_once() -> None:
    batcher = batcher_of("a", "b", "c")
    last = steady(15, 0.1)[0]
    batcher.queues["a"].arrive(last)
    assert batcher.runs_at(last.available_ns) == last.available_ns + 100 * MS
    batcher.queues["b"].arrive(last)
    assert batcher.runs_at(last.available_ns) == last.available_ns


def test_the_first_window_is_the_cap_even_where_a_rate_is_known() -> None:
    """As after a restart, when the pools hold frames already."""
    batcher = batcher_of("a", "b")
    frames = steady(25, 1)
    for arrival in frames:
        batcher.queues["a"].arrive(arrival)
    now_ns = frames[-1].available_ns
    assert batcher.window_ns(now_ns) == 100 * MS
    assert len(batcher.take(now_ns)) == 1
    assert batcher.window_ns(now_ns) == 40 * MS


def test_one_frame_a_batch_never_waits() -> None:
    played = play(eight(), BatchOptions(batch=1), compute_ms=4)
    assert max(batch.waited_ns for batch in played.batches) <= 12 * MS, "for the lane alone"


def test_one_camera_never_waits_for_itself() -> None:
    played = play({"a": steady(15, 3)}, EIGHT, compute_ms=5)
    assert {batch.waited_ns for batch in played.batches} == {0}


def test_one_frame_a_batch_still_takes_fresh_frames_and_is_fair() -> None:
    """The detector manages a sixth of what comes, a frame at a time."""
    played = play(eight(20), BatchOptions(batch=1), compute_ms=50)
    served = played.served().values()
    assert max(served) - min(served) <= 4
    in_turn_ms = 1000 / 15 / 2 + 3
    assert sum(played.ages_ms()) / len(played.ages_ms()) < 0.8 * in_turn_ms


def test_a_model_slower_than_every_camera_drops_and_keeps_its_lag() -> None:
    played = play(eight(30), EIGHT, compute_ms=900)
    assert played.ages_ms()[-1] < 75, "every batch begins with fresh frames"
    assert all(queue.drops.superseded > 350 for queue in played.batcher.queues.values())


def test_a_frame_that_is_too_old_gets_no_place() -> None:
    """A camera gave one frame and froze while the detector was busy."""
    cameras = {"a": steady(15, 4), "frozen": steady(15, 0.1, delay_ms=150)}
    played = play(cameras, BatchOptions(batch=1, max_age_ns=500 * MS), compute_ms=800)
    assert played.batcher.queues["frozen"].drops.stale == 1
    assert max(played.ages_ms()) <= 500


def test_target_rates_of_single_cameras() -> None:
    played = play(eight(20), EIGHT, compute_ms=5, target_fps={"c0": 10, "c1": 1, "c2": 0})
    served = played.served()
    assert served["c0"] == pytest.approx(200, rel=0.02)
    assert served["c1"] == pytest.approx(20, abs=1)
    assert served["c2"] > 290
    assert played.batcher.queues["c1"].drops.rate == pytest.approx(280, abs=2)


def test_offline_every_frame_comes_and_nobody_waits() -> None:
    cameras = {"a": steady(15, 2), "b": steady(15, 1)}
    played = play(cameras, BatchOptions(batch=4, live=False), compute_ms=100, most_in_flight=4)
    assert played.served() == {"a": 30, "b": 15}
    for name in cameras:
        captured = [at for batch in played.batches for camera, at in batch.frames if camera == name]
        assert captured == sorted(captured)


CAMERAS = st.lists(
    st.tuples(st.sampled_from([1, 3, 5, 10, 15, 25, 30, 60]), st.integers(0, 900), st.booleans()),
    min_size=1,
    max_size=6,
)


@given(
    CAMERAS,
    st.integers(1, 8),
    st.sampled_from([1.0, 9.0, 40.0, 150.0]),
    st.sampled_from([0, 4, 10]),
)
@example([(15, 0, True), (30, 5, False)], 4, 9.0, 0)
@example([(3, 0, False), (60, 0, False)], 2, 1.0, 0)
@settings(max_examples=60, deadline=None)
def test_whatever_comes(
    cameras: list[tuple[int, int, bool]], batch: int, compute_ms: float, target_fps: int
) -> None:
    """Windows keep their bounds, nobody waits longer than one, nobody starves, no frame is lost (see `play`)."""
    frames = {
        f"c{number}": trace("bursty", delay_ms, seconds=4) if bursty else steady(fps, 4, delay_ms)
        for number, (fps, delay_ms, bursty) in enumerate(cameras)
    }
    targets = dict.fromkeys(frames, float(target_fps))
    played = play(frames, BatchOptions(batch=batch), compute_ms, targets)
    lane_free_ns = START_NS
    for run in played.batches:
        assert 2 * MS <= run.window_ns <= 100 * MS
        # It waited for the lane, or for others: for these no longer than the window.
        gathered_ns = run.begun_ns - run.waited_ns
        assert run.begun_ns <= max(lane_free_ns, gathered_ns + run.widest_ns)
        lane_free_ns = run.begun_ns + round(compute_ms * MS)
    for name, queue in played.batcher.queues.items():
        assert played.served()[name] + queue.drops.stale >= 1, "every camera gave at least one frame"
        assert not queue.drops.empty and not queue.drops.restart
