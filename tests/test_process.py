"""A worker as the supervisor sees it: real processes that run, crash, hang and come back."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from engine import topology
from engine.config import CameraConfig, RunConfig, TrackConfig
from engine.pools import Pools
from engine.process import BACKOFF_S, STDERR_LINES_KEPT, RestartPolicy, WorkerProcess
from engine.topology import WorkerSpec
from engine.workers.runtime import EXIT_FATAL
from ipc.channel import ChannelClosed, Message

SECOND_NS = 1_000_000_000


def delays(policy: RestartPolicy, *deaths_s: float) -> list[float | None]:
    return [policy.after_death(round(death_s * SECOND_NS)) for death_s in deaths_s]


def test_the_first_restart_is_at_once_and_the_next_ones_wait_ever_longer() -> None:
    policy = RestartPolicy(limit=None, window_s=60)
    assert delays(policy, *range(8)) == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert list(BACKOFF_S) == sorted(BACKOFF_S)


def test_after_more_deaths_than_the_limit_it_is_given_up() -> None:
    policy = RestartPolicy(limit=5, window_s=60)
    assert delays(policy, *range(7)) == [0.0, 0.5, 1.0, 2.0, 4.0, None, None]


def test_without_any_restart_the_first_death_is_the_last() -> None:
    assert delays(RestartPolicy(limit=0, window_s=60), 100) == [None]


def test_a_live_camera_is_never_given_up() -> None:
    assert None not in delays(RestartPolicy(limit=None, window_s=60), *(n * 0.1 for n in range(1000)))


def test_only_deaths_within_the_window_count() -> None:
    policy = RestartPolicy(limit=2, window_s=60)
    assert delays(policy, 0, 60, 61, 121, 200, 201, 202) == [0.0, 0.5, 0.5, 0.5, 0.0, 0.5, None]


def test_a_worker_that_dies_now_and_then_is_always_started_at_once() -> None:
    policy = RestartPolicy(limit=1, window_s=10)
    assert delays(policy, *range(0, 1000, 11)) == [0.0] * 91
    assert len(policy.deaths_ns) == 1


CONFIG = RunConfig("m3-cpu", (CameraConfig("a", "test://"),))
Make = Callable[[], WorkerProcess]


@pytest.fixture
def make_process() -> Iterator[Make]:
    """A tracking worker that is not started yet; killed and closed after the test."""
    made: list[WorkerProcess] = []

    def make() -> WorkerProcess:
        made.append(WorkerProcess(WorkerSpec("track", "track"), RestartPolicy(5, 60)))
        return made[-1]

    yield make
    for process in made:
        process.kill()
        assert process.confirm_death(10) is not None
        process.close()


@pytest.fixture
def pools() -> Iterator[Pools]:
    pools = Pools({}, None)
    for spec in topology.result_pools(CONFIG, "a"):
        pools.create(spec)
    yield pools
    pools.close()


def start(process: WorkerProcess, pools: Pools | None = None, config: RunConfig = CONFIG) -> None:
    """Start it as the supervisor does. Without its pools the worker runs into a bug, once told to begin."""
    process.start(time.monotonic_ns())
    message: Message = {
        "type": "start", "name": "track", "camera": "", "incarnation": process.incarnation,
        "config": config.to_json(), "params": {}, "before": process.snapshot,
    }  # fmt: skip
    process.send(message, list(process.wake.descriptors))
    if pools is not None:
        for live in pools.of_worker("track"):
            process.send(*pools.announcement(live, "track"))
    process.announce_status_pool()


def until(condition: Callable[[], object], what: str) -> None:
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s, f"not within 20 s: {what}"
        time.sleep(0.01)


def has_reported(process: WorkerProcess) -> bool:
    process.read_snapshot()
    return process.has_reported()


def gone(process: WorkerProcess) -> bool:
    return process.pid is None and process.channel is None


def last_words(process: WorkerProcess) -> list[str]:
    """Everything that is left of a dead worker's error output."""
    words: list[str] = []
    while (lines := process.read_stderr()) is not None:
        words += lines
    return words


def test_a_worker_reports_and_stops_when_told_to(make_process: Make, pools: Pools) -> None:
    process = make_process()
    assert gone(process) and process.state == "stopped"
    start(process, pools)
    assert [process.state, process.has_reported()] == ["starting", False]
    until(lambda: has_reported(process), "a status")
    assert process.heartbeat_age_s(time.monotonic_ns()) < 2
    assert process.snapshot["rss_bytes"] > 10_000_000 and process.cpu_s > 0
    assert not process.wait_exited(0)
    process.send({"type": "stop"})
    assert process.wait_exited(10)
    assert process.confirm_death(0) == 0
    assert gone(process) and process.wait_exited(0)


def test_a_killed_worker_comes_back_with_a_clean_slate(make_process: Make, pools: Pools) -> None:
    process = make_process()
    start(process, pools)
    until(lambda: has_reported(process), "a status")
    assert process.confirm_death(0) is None, "taken for dead while it lives"
    assert process.pid is not None
    process.kill()
    status = process.confirm_death(10)
    assert status == -signal.SIGKILL and process.cause_of_death(status) == "killed by SIGKILL"
    used = process.cpu_s
    assert used > 0 and process.snapshot["rss_bytes"] == 0
    process.detail = "killed by SIGKILL"
    start(process, pools)
    assert process.incarnation == 1 and process.detail == ""
    assert not process.has_reported(), "the predecessor's status counts as a sign of life"
    assert process.cpu_s == used
    until(lambda: has_reported(process), "a status of the second incarnation")
    assert process.cpu_s > used


def test_a_crash_leaves_its_traceback(make_process: Make) -> None:
    process = make_process()
    start(process)
    assert process.wait_exited(20)
    words = last_words(process)
    assert words[0].startswith("Traceback") and words[-1] == "KeyError: 'detections:a'"
    status = process.confirm_death(0)
    assert status == 1
    assert process.cause_of_death(status) == "exit status 1 (KeyError: 'detections:a')"
    assert 1 < len(process.stderr_tail) <= STDERR_LINES_KEPT
    process.start(time.monotonic_ns())
    assert process.cause_of_death(1) == "exit status 1", "words of a predecessor"


def test_an_error_on_purpose_is_told_before_the_end(make_process: Make, pools: Pools) -> None:
    process = make_process()
    start(process, pools, RunConfig("m3-cpu", CONFIG.cameras, track=TrackConfig("botsrot")))
    assert process.wait_exited(20) and process.channel is not None
    message, _ = process.channel.receive()
    assert (message["type"], message["exit_code"]) == ("fatal", 2)
    assert "botsrot" in message["message"] and "did you mean 'botsort'" in message["message"]
    with pytest.raises(ChannelClosed):
        process.channel.receive()
    assert process.confirm_death(0) == EXIT_FATAL and not process.stderr_tail


def test_signals_for_the_supervisor_do_not_end_a_worker(make_process: Make, pools: Pools) -> None:
    process = make_process()
    start(process, pools)
    until(lambda: has_reported(process), "a status")
    assert process.pid is not None
    assert os.getpgid(process.pid) != os.getpgid(0), "Ctrl-C in the terminal would reach it"
    os.kill(process.pid, signal.SIGTERM)
    os.kill(process.pid, signal.SIGINT)
    before = process.snapshot["heartbeat_ns"]
    until(lambda: process.read_snapshot()["heartbeat_ns"] > before, "another sign of life")
    assert not process.exited


def test_a_stopped_process_grows_old(make_process: Make, pools: Pools) -> None:
    process = make_process()
    start(process, pools)
    until(lambda: has_reported(process), "a status")
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    process.read_snapshot()
    heartbeat_ns = process.snapshot["heartbeat_ns"]
    assert process.heartbeat_age_s(heartbeat_ns + 16 * SECOND_NS) == 16.0
    assert process.heartbeat_age_s(heartbeat_ns - SECOND_NS) == 0.0


def test_what_is_sent_to_the_dead_is_no_error(make_process: Make) -> None:
    process = make_process()
    process.send({"type": "labels", "labels": []})
    start(process)
    process.kill()
    assert process.wait_exited(10)
    process.send({"type": "labels", "labels": []})
    assert process.detail == "does not listen any more"
    assert process.confirm_death(0) is not None
    process.send({"type": "labels", "labels": []})


def test_error_output_comes_in_whole_lines(make_process: Make) -> None:
    process = make_process()
    start(process)
    with pytest.raises(BlockingIOError):
        process.read_stderr()
    words: list[str] = []
    while True:
        select.select([process.stderr_fd], [], [], 20)
        lines = process.read_stderr()
        if lines is None:
            break
        words += lines
    assert all(not word.endswith("\n") and word.strip() for word in words)
    assert words[-1] == "KeyError: 'detections:a'"


def test_modules_in_the_present_folder_are_not_taken_for_ours(
    make_process: Make, pools: Pools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine").mkdir()
    for name in ("engine/__init__.py", "queue.py", "numpy.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')\n")
    monkeypatch.chdir(tmp_path)
    process = make_process()
    start(process, pools)
    until(lambda: has_reported(process) or process.exited, "a status")
    assert not process.exited, last_words(process)


class Guests:
    """A tracking worker whose process hosts decoders of test pictures."""

    def __init__(self, host: WorkerProcess, pools: Pools) -> None:
        self.host, self.pools = host, pools
        self.guests: list[WorkerProcess] = []
        start(host, pools)
        until(lambda: has_reported(host), "a status of the host")
        self.open_before = len(os.listdir(f"/proc/{host.pid}/fd")) if sys.platform == "linux" else 0

    def take_in(
        self, source: str = "test://?width=64&height=64&fps=20", guest: WorkerProcess | None = None
    ) -> WorkerProcess:
        """A decoder that has been started and has its pool as soon as it asks for one."""
        if guest is None:
            spec = WorkerSpec("decode:a", "decode", "a", "track")
            self.guests.append(guest := WorkerProcess(spec, RestartPolicy(5, 60)))
        guest.start(time.monotonic_ns(), self.host)
        config = RunConfig("m3-cpu", (CameraConfig("a", source),))
        message: Message = {
            "type": "start", "name": "decode:a", "camera": "a", "incarnation": guest.incarnation,
            "config": config.to_json(), "params": {}, "before": {},
        }  # fmt: skip
        guest.send(message, list(guest.wake.descriptors))
        for live in self.pools.of_worker("decode:a"):
            guest.send(*self.pools.announcement(live, "decode:a"))
        guest.announce_status_pool()
        return guest

    def hear(self, guest: WorkerProcess) -> list[Message]:
        """What a guest says until it ends, taken as the supervisor takes it."""
        heard: list[Message] = []
        assert guest.channel is not None
        guest.channel.set_timeout(20)
        while True:
            try:
                message, _ = guest.channel.receive()
            except ChannelClosed:
                return heard
            heard.append(message)
            guest.ended |= message["type"] == "ended"

    def end(self, guest: WorkerProcess) -> None:
        """Stop one guest and let it go."""
        guest.send({"type": "stop"})
        assert guest.wait_exited(10)
        known = guest.exited
        self.hear(guest)
        assert not known, "whether its host died is not known before its last word"
        assert guest.exited and guest.confirm_death(10) == 0

    def close(self) -> None:
        self.host.kill()
        for guest in self.guests:
            assert guest.confirm_death(10) is not None
            guest.close()


@pytest.fixture
def guests(make_process: Make, pools: Pools) -> Iterator[Guests]:
    pools.create(topology.frame_pool(CONFIG, "a", 64, 64))
    made = Guests(make_process(), pools)
    yield made
    made.close()


def came_after(pools: Pools, before: int) -> bool:
    return frames_in(pools) > before


def frames_in(pools: Pools) -> int:
    live = pools.newest("frames:a")
    assert live is not None
    return live.memory.newest_seq()


def test_a_hosted_worker_works_and_stops_alone(guests: Guests) -> None:
    guest = guests.take_in()
    assert guest.state == "starting" and guest.pid == guests.host.pid and not guest.has_stderr
    until(lambda: has_reported(guest) and frames_in(guests.pools) > 3, "frames")
    assert not guest.exited and guest.confirm_death(0) is None
    assert (guest.snapshot["rss_bytes"], guest.snapshot["cpu_s"]) == (0, 0), "its host tells, for both"
    guests.end(guest)
    assert gone(guest) and not guests.host.exited
    stopped_at = frames_in(guests.pools)
    guests.take_in(guest=guest)
    assert guest.incarnation == 1
    until(lambda: frames_in(guests.pools) > stopped_at + 3, "frames of the second incarnation")


def test_a_hosted_worker_that_cannot_work_leaves_its_host_alone(guests: Guests) -> None:
    guest = guests.take_in("nothing://here")
    heard = guests.hear(guest)
    assert [message["type"] for message in heard][-2:] == ["fatal", "ended"]
    assert "no source serves 'nothing'" in heard[-2]["message"]
    assert guest.confirm_death(10) == 0 and not guests.host.exited


def test_a_hosted_worker_dies_with_its_host(guests: Guests) -> None:
    guest = guests.take_in()
    until(lambda: has_reported(guest), "a status")
    guest.kill()
    assert guests.host.wait_exited(10) and guest.wait_exited(10)
    assert guests.hear(guest)[-1]["type"] != "ended" and guest.exited
    assert guest.confirm_death(10) == -signal.SIGKILL
    assert guests.host.confirm_death(10) == -signal.SIGKILL


def test_what_nobody_foresaw_in_a_hosted_worker_ends_the_process(guests: Guests) -> None:
    """A guest that is told of a pool in a way it does not understand."""
    guest = guests.take_in()
    until(lambda: has_reported(guest), "a status")
    guest.send({"type": "pool", "name": "frames:a", "role": "producer", "lock_path": None})
    assert guests.host.wait_exited(10)
    assert last_words(guests.host)[-1] == "KeyError: 'layout'"
    assert guest.wait_exited(10) and guest.confirm_death(10) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")
def test_hosted_workers_that_end_leave_no_descriptors(guests: Guests) -> None:
    folder, guest = Path(f"/proc/{guests.host.pid}/fd"), guests.take_in()
    guests.end(guest)
    # The thread hangs up first and closes then.
    until(lambda: len(list(folder.iterdir())) == guests.open_before, "as few as without a guest")
    for _ in range(3):
        guests.take_in(guest=guest)
        before = frames_in(guests.pools)
        until(partial(came_after, guests.pools, before), "frames")
        guests.end(guest)
        until(lambda: len(list(folder.iterdir())) == guests.open_before, "as few as without a guest")
