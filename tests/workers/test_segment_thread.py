"""The lane: one task at a time, at the lowest priority, and nobody waits for it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator

import pytest

from engine.clock import ManualClock
from engine.workers.segment_thread import Lane
from tests.workers.house import until


@pytest.fixture
def woken() -> threading.Event:
    return threading.Event()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def lane(woken: threading.Event, clock: ManualClock) -> Iterator[Lane]:
    lane = Lane(woken.set, clock)
    yield lane
    lane.close()


def test_a_task_is_computed_elsewhere_and_its_end_wakes(lane: Lane, woken: threading.Event) -> None:
    answer = lane.begin("counting", threading.get_ident)
    assert woken.wait(5)
    assert answer.result() != threading.get_ident() and lane.busy
    lane.end()
    assert not lane.busy


@pytest.mark.skipif(sys.platform != "linux", reason="classes of threads are Linux's")
def test_the_lane_and_the_threads_it_starts_yield_to_everybody_and_nobody_else_does(lane: Lane) -> None:
    def classes() -> tuple[int, int]:
        found = []
        child = threading.Thread(target=lambda: found.append(class_of_this_thread()))
        child.start()
        child.join()
        return class_of_this_thread(), found[0]

    before = class_of_this_thread()
    assert lane.begin("looking", classes).result() == (os.SCHED_IDLE, os.SCHED_IDLE)
    assert class_of_this_thread() == before != os.SCHED_IDLE
    assert "idle class" in lane.priority


def class_of_this_thread() -> int:
    return os.sched_getscheduler(threading.get_native_id())


def test_what_is_under_way_is_told_while_it_takes(lane: Lane, clock: ManualClock) -> None:
    free, begun = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        free.wait(10)

    assert lane.under_way() == ("", 0.0)
    lane.begin("keyframe 7 of front", hang)
    assert begun.wait(5)
    clock.advance(15)
    what, for_s = lane.under_way()
    assert what == "keyframe 7 of front" and for_s == pytest.approx(15.0)
    free.set()
    until(lambda: lane.under_way() == ("", 0.0), "the task ends")
    lane.end()
    assert not lane.busy


def test_an_error_in_a_task_comes_out_where_its_answer_is_taken(lane: Lane, woken: threading.Event) -> None:
    def fails() -> None:
        raise KeyError("nobody foresaw this")

    answer = lane.begin("failing", fails)
    assert woken.wait(5)
    with pytest.raises(KeyError, match="nobody foresaw"):
        answer.result()
