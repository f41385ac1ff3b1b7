"""Real processes, killed at random moments while they work as fast as they can."""

from __future__ import annotations

import gc
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path

import pytest

from ipc.pool import FREE, PUBLISHED, PoolLayout, PoolMemory
from tests.ipc.pools import OpenPool, publish
from tests.ipc.stress_worker import REPORT

ROOT = Path(__file__).parents[2]
PRODUCER = -1

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /dev/shm and /dev/fd"),
]


class Run:
    """A pool, a producer (row -1) and a consumer for each row, all of them real processes."""

    def __init__(self, layout: PoolLayout, kinds: tuple[str, ...], log: Path) -> None:
        self.memory = PoolMemory("stress", layout)
        self.memory.require(tuple(row for row, kind in enumerate(kinds) if kind == "required"))
        self.kinds = kinds
        self.kills = 0
        self.reports: list[tuple[int, int, int]] = []
        self.at_work: set[int] = set()
        self._log = log
        self._report_fd, self._worker_report_fd = os.pipe()
        os.set_blocking(self._report_fd, False)
        self.workers = {row: self._start(row) for row in range(PRODUCER, len(kinds))}

    def _start(self, row: int) -> subprocess.Popen[bytes]:
        memory = self.memory
        how = "produce" if row == PRODUCER else self.kinds[row]
        numbers = (memory.control_fd, memory.data_fd, row, self._worker_report_fd)
        arguments = [how, json.dumps(asdict(memory.layout)), *map(str, numbers)]
        with self._log.open("ab") as stderr:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.ipc.stress_worker", *arguments],
                pass_fds=[memory.control_fd, memory.data_fd, self._worker_report_fd],
                cwd=ROOT,
                stderr=stderr,
            )

    def kill(self, row: int) -> None:
        """SIGKILL, wait, reap: what the supervisor does. Fails if the worker had ended by itself."""
        worker = self.workers.pop(row)
        assert worker.poll() is None, f"row {row} ended by itself: {self._log.read_text()}"
        worker.kill()
        worker.wait()
        if row == PRODUCER:
            self.memory.reap_producer()
        else:
            self.memory.reap_consumer(row)
        self.kills += 1

    def kill_and_restart_at_random(self, duration_s: float, chance: random.Random) -> None:
        """Longer than `duration_s` on a machine so busy that little has happened by then."""
        end = time.monotonic() + duration_s
        while time.monotonic() < end or not self.enough():
            time.sleep(chance.uniform(0.0, 0.1))
            self.drain()
            rows = [row for row, worker in self.workers.items() if worker.pid in self.at_work]
            if rows:
                row = chance.choice(rows)
                self.kill(row)
                self.workers[row] = self._start(row)

    def enough(self) -> bool:
        reported = Counter(row for _, row, _ in self.reports)
        return self.kills > 10 and all(reported[row] > 50 for row in range(len(self.kinds)))

    def drain(self) -> None:
        """Take over what the consumers have reported."""
        while True:
            try:
                chunk = os.read(self._report_fd, REPORT.size * 2048)
            except BlockingIOError:
                return
            for pid, row, seq in REPORT.iter_unpack(chunk):
                if seq:
                    self.reports.append((pid, row, seq))
                else:
                    self.at_work.add(pid)

    def close(self) -> None:
        self.drain()
        dead = {row for row, worker in self.workers.items() if worker.poll() is not None}
        for worker in self.workers.values():
            worker.kill()
            worker.wait()
        self.memory.reap_producer()
        for row in range(len(self.kinds)):
            self.memory.reap_consumer(row)
        assert not dead, f"rows {dead} ended by themselves: {self._log.read_text()}"
        self.drain()
        os.close(self._report_fd)
        os.close(self._worker_report_fd)


@pytest.mark.parametrize(
    ("kinds", "leases", "duration_s"),
    [(("newest", "next", "number"), (1, 2, 1), 10.0), (("required", "newest"), (2, 1), 5.0)],
    ids=["live", "offline"],
)
def test_random_kills_tear_nothing_and_leave_nothing(
    kinds: tuple[str, ...], leases: tuple[int, ...], duration_s: float, tmp_path: Path
) -> None:
    gc.collect()  # what other tests have left must not go away meanwhile
    shm_before, fds_before = os.listdir("/dev/shm"), len(os.listdir("/dev/fd"))
    log = tmp_path / "stderr"
    run = Run(PoolLayout(leases, slot_bytes=64 * 1024, history=1), kinds, log)
    try:
        run.kill_and_restart_at_random(duration_s, random.Random(20))
    finally:
        run.close()
    assert log.read_text() == ""
    print(f"{run.kills} kills, {len(run.reports)} leases checked, {run.memory.newest_seq()} slots published")
    check_order(run)
    check_usable(run.memory)
    run.memory.close()
    del run
    assert os.listdir("/dev/shm") == shm_before
    assert len(os.listdir("/dev/fd")) == fds_before


def check_order(run: Run) -> None:
    """Within a life sequences only rise; a required row misses nothing over all its lives (I9, I11)."""
    last_of_life: dict[int, int] = defaultdict(int)
    last_of_row: dict[int, int] = defaultdict(int)
    for pid, row, seq in run.reports:
        assert seq > last_of_life[pid]
        if run.kinds[row] == "required":
            assert seq <= last_of_row[row] + 1, "a required row lost a sequence"
            if last_of_life.get(pid):
                assert seq == last_of_life[pid] + 1
            else:
                assert seq > last_of_row[row] - run.memory.layout.leases[row], "more than its leases again"
        last_of_life[pid] = last_of_row[row] = seq


def check_usable(memory: PoolMemory) -> None:
    """All are dead and reaped: nothing is held, and a new crew works on with the next sequence number."""
    assert set(memory.statistics().leased) == {0}
    words = memory._words[: memory.layout.slots].tolist()
    assert all(word == FREE or word & 3 == PUBLISHED for word in words)
    memory.require(())
    pool = OpenPool(memory)
    producer, newest = pool.producer(), memory.newest_seq()
    for turn in range(1, 3 * memory.layout.slots):
        assert publish(producer, turn) == newest + turn
        lease = pool.consumer(0).lease_newest(newest + turn - 1)
        assert lease is not None
        with lease:
            assert (lease.array() == turn).all()
