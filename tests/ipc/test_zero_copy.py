"""A consumer in another process reads the producer's very memory: no copy on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ipc.pool import PoolLayout, PoolMemory
from tests.ipc.pools import OpenPool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")

LAYOUT = PoolLayout(leases=(1,), slot_bytes=1920 * 1080 * 3 // 2)

READER = """
import json, sys
from ipc.pool import Consumer, PoolLayout
from tests.ipc.test_zero_copy import backing_of
fields = json.loads(sys.argv[1])
layout = PoolLayout(**{**fields, "leases": tuple(fields["leases"])})
lease = Consumer(layout, int(sys.argv[2]), int(sys.argv[3]), row=0).lease_newest(after=0)
frame = lease.array()
print(json.dumps([backing_of(frame), int(frame[0]), int(frame[-1])]), flush=True)
sys.stdin.readline()
print(json.dumps([backing_of(frame), int(frame[0]), int(frame[-1])]), flush=True)
"""


def backing_of(array: NDArray[np.uint8]) -> list[str | int]:
    """Device, inode and offset of the file that an array's first byte is mapped from."""
    address = array.__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, _, offset, device, inode, *_ = line.split()
        start, end = (int(bound, 16) for bound in span.split("-"))
        if start <= address < end:
            return [device, int(inode), int(offset, 16) + address - start]
    raise AssertionError(f"nothing is mapped at {address:#x}")


def test_producer_and_consumer_share_one_frame() -> None:
    pool = OpenPool(PoolMemory("zero-copy", LAYOUT))
    producer, memory = pool.producer(), pool.memory
    slot = producer.begin()
    assert slot is not None
    frame = slot.array()
    frame[:] = 10
    producer.publish(slot)
    arguments = [json.dumps(asdict(LAYOUT)), str(memory.control_fd), str(memory.data_fd)]
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, *arguments],
        pass_fds=[memory.control_fd, memory.data_fd],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout is not None
    before = json.loads(reader.stdout.readline())
    frame[0], frame[-1] = 77, 78  # only a test does this: the slot is published
    answer, _ = reader.communicate("look again\n", timeout=30)
    assert reader.returncode == 0
    assert before == [backing_of(frame), 10, 10]
    assert json.loads(answer) == [backing_of(frame), 77, 78]
    assert backing_of(frame)[1] == os.fstat(memory.data_fd).st_ino
    pool.close()


def test_an_array_is_a_view_and_not_a_copy() -> None:
    pool = OpenPool(PoolMemory("views", LAYOUT))
    producer, consumer = pool.producer(), pool.consumer(0)
    slot = producer.begin()
    assert slot is not None
    written = slot.array()
    producer.publish(slot)
    lease = consumer.lease_newest(after=0)
    assert lease is not None
    assert not written.flags.owndata and not lease.array().flags.owndata
    assert backing_of(written) == backing_of(lease.array())
    assert np.shares_memory(lease.array(), np.frombuffer(lease.data, np.uint8))
    lease.release()
    pool.close()
