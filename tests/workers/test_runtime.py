"""What every worker has: messages from the supervisor, a status that is its heartbeat, and ways to end."""

from __future__ import annotations

import logging
import mmap
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from engine.config import CameraConfig, RunConfig
from engine.workers.runtime import (
    EXIT_ORPHANED,
    EXIT_STUCK,
    STATUS_INTERVAL_S,
    Context,
    LogHandler,
    resident_bytes,
)
from ipc.channel import Channel
from ipc.notify import Notifier
from ipc.pool import Consumer, PoolMemory
from tests.workers.house import House, open_descriptors

OpenHouse = Callable[[RunConfig], House]

CONFIG = RunConfig("m3-cpu", (CameraConfig("a", "test://"), CameraConfig("b", "test://")))


@pytest.fixture
def house(open_house: OpenHouse) -> House:
    return open_house(CONFIG)


def status_in(memory: PoolMemory) -> dict[str, Any]:
    """The newest status as the supervisor reads it."""
    reader = Consumer(memory.layout, memory.control_fd, memory.data_fd, 0)
    lease = reader.lease_newest(0)
    assert lease is not None, "no status was published"
    with lease:
        length = int.from_bytes(lease.meta[:4], "little")
        return orjson.loads(lease.data[:length])  # type: ignore[no-any-return]  # our own document


def test_a_worker_knows_who_it_is_and_what_it_reads_and_writes(house: House) -> None:
    first = house.start("track").context
    assert (first.name, first.camera, first.incarnation, first.before) == ("track", "", 0, {})
    assert first.config == CONFIG
    assert set(first.feeds) == {"detections:a", "detections:b"}
    assert set(first.writers) == {"tracks:a", "tracks:b"}
    assert first.labels is None and not first.stopping
    house.kill("track")
    second = house.start("track", before={"lost": {"a": 3}}).context
    assert second.incarnation == 1 and second.before == {"lost": {"a": 3}}
    assert house.start("stream:b").context.camera == "b"


def test_labels_pools_and_the_order_to_stop_are_taken_over_when_tended(house: House) -> None:
    worker = house.start("infer")
    context = worker.context
    assert "frames:a" not in context.feeds
    house.create_frame_pool("a", 64, 48)
    worker.send({"type": "labels", "labels": []})
    worker.send({"type": "stop"})
    assert "frames:a" not in context.feeds and (context.labels, context.stopping) == (None, False)
    context.tend()
    assert context.feeds["frames:a"].ready and (context.labels, context.stopping) == ((), True)


def test_a_message_of_an_unknown_kind_is_ignored_and_its_descriptors_closed(house: House) -> None:
    worker = house.start("infer")
    before = open_descriptors()
    worker.send({"type": "rotate", "by": 90}, [worker.ours.fileno()])
    worker.send({"type": "labels", "labels": ["cat"]})
    worker.context.tend()
    assert worker.context.labels == ("cat",)
    assert open_descriptors() == before


def test_descriptors_of_a_pool_are_closed_once_it_is_mapped(house: House) -> None:
    """The supervisor keeps two generations, the worker that writes them the newest one."""
    worker = house.start("decode:a")
    counts = []
    for _ in range(6):
        house.create_frame_pool("a", 64, 48)
        worker.context.tend()
        counts.append(open_descriptors())
    assert len(set(counts[1:])) == 1


def test_a_message_wakes_whoever_waits(house: House) -> None:
    worker = house.start("infer")
    worker.context.wake.clear()
    worker.send({"type": "labels", "labels": ["cat"]})
    assert worker.context.wake.wait(0)


def test_the_status_is_published_four_times_a_second_with_a_heartbeat(house: House) -> None:
    worker = house.start("track")
    context, calls = worker.context, 0

    def count() -> None:
        nonlocal calls
        calls += 1
        context.status["calls"] = calls

    context.before_status = count
    heartbeats = []
    for _ in range(40):
        context.tend()
        heartbeats.append(status_in(worker.status)["heartbeat_ns"])
        house.clock.advance(STATUS_INTERVAL_S / 4)
    assert calls == len(set(heartbeats)) == 10
    status = status_in(worker.status)
    assert status["calls"] == 10
    assert status["rss_bytes"] > 10_000_000 and status["cpu_s"] > 0


def test_memory_is_what_is_in_ram_now() -> None:
    before = resident_bytes()
    # A mapping of its own: what the allocator hands out may be in memory already.
    with mmap.mmap(-1, 64 << 20) as block:
        block.write(os.urandom(1 << 20) * 64)
        assert resident_bytes() - before > len(block) / 2


def test_a_worker_that_is_stopped_before_it_has_begun(house: House) -> None:
    ours, theirs = Channel.pair()
    start = {
        "name": "x", "camera": "", "incarnation": 0, "config": CONFIG.to_json(), "params": {}, "before": {},
    }  # fmt: skip
    context = Context(theirs, start, Notifier.create(), house.clock)
    context.deliver({"type": "stop"}, [])
    context.wait_for_start()
    assert context.stopping
    ours.close()
    theirs.close()


def test_what_modules_log_reaches_the_user(house: House) -> None:
    worker = house.start("track")
    logger = logging.getLogger("engine.tests.runtime")
    handler = LogHandler(worker.context)
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    for level, text in [(10, "noise"), (20, "part 2"), (30, "odd"), (40, "broken"), (50, "over")]:
        logger.log(level, text)
    logger.removeHandler(handler)
    said = [(message["level"], message["text"]) for message in worker.heard("log")]
    assert said == [("info", "part 2"), ("warning", "odd"), ("error", "broken"), ("error", "over")]


WORKER = """
import sys, threading, time
from engine.clock import SystemClock
from engine.workers.runtime import Context
from ipc.channel import Channel
from ipc.notify import Notifier
channel = Channel.from_descriptor(int(sys.argv[1]))
start, wakes = channel.receive()
context = Context(channel, start, Notifier(tuple(wakes)), SystemClock())
context.stop_grace_s = start["params"]["grace_s"]
threading.Thread(target=context.listen, daemon=True).start()
context.send("ready")
time.sleep(600)  # a library that does not come back
"""

Start = Callable[[float | None], tuple[subprocess.Popen[bytes], Channel]]


@pytest.fixture
def start_stuck_worker() -> Iterator[Start]:
    """Starts a worker that hangs in a library; it has so many seconds to stop."""
    opened: list[tuple[subprocess.Popen[bytes], Channel]] = []

    def start(grace_s: float | None) -> tuple[subprocess.Popen[bytes], Channel]:
        ours, theirs = Channel.pair()
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(theirs.fileno())], pass_fds=(theirs.fileno(),)
        )
        theirs.close()
        opened.append((process, ours))
        wake = Notifier.create()
        ours.send(
            {
                "type": "start", "name": "track", "camera": "", "incarnation": 0, "config": CONFIG.to_json(),
                "params": {"grace_s": grace_s}, "before": {},
            },
            wake.descriptors,
        )  # fmt: skip
        wake.close()
        ours.set_timeout(20)
        assert ours.receive()[0]["type"] == "ready"
        return process, ours

    yield start
    for process, ours in opened:
        process.kill()
        process.wait()
        ours.close()


def test_a_worker_that_is_stuck_when_told_to_stop_leaves_and_says_so(start_stuck_worker: Start) -> None:
    process, ours = start_stuck_worker(0.1)
    ours.send({"type": "stop"})
    assert process.wait(10) == EXIT_STUCK


def test_a_worker_that_finishes_files_is_left_to_the_supervisors_patience(start_stuck_worker: Start) -> None:
    process, ours = start_stuck_worker(None)
    ours.send({"type": "stop"})
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)


def test_a_worker_ends_with_its_supervisor(start_stuck_worker: Start) -> None:
    process, ours = start_stuck_worker(None)
    ours.close()
    assert process.wait(10) == EXIT_ORPHANED


def test_a_supervisor_that_dies_before_the_start_is_no_traceback() -> None:
    ours, theirs = Channel.pair()
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.workers.runtime", "track", str(theirs.fileno())],
        pass_fds=(theirs.fileno(),),
        stderr=subprocess.PIPE,
    )
    theirs.close()
    ours.close()
    _, printed = process.communicate(timeout=20)
    assert (process.returncode, printed) == (EXIT_ORPHANED, b"")


CHILD = """
import time
from engine.workers.runtime import die_with_parent
die_with_parent()
print("ready", flush=True)
time.sleep(600)
"""
PARENT = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]]).wait()"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the end of the channel has to do")
def test_a_worker_dies_with_its_parent_whatever_it_is_doing() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout as output:
        assert output.readline() == b"ready\n"
        parent.kill()
        parent.wait()
        # The child holds the other end of the pipe for as long as it lives.
        assert select.select([output], [], [], 10)[0], "the child lives on"
        assert output.read() == b""
