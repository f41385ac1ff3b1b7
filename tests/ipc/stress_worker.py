"""A producer or consumer that works as fast as it can until it is killed; see `test_crash_stress.py`.

Every 64-bit word of a slot and the start of its meta say the slot's sequence number. A consumer that finds
anything else ends with an error; what it found in order it reports as (pid, row, sequence) records. The
first record of a process has sequence 0: it is at work.
"""

from __future__ import annotations

import json
import os
import random
import struct
import sys
import time
from collections import deque

import numpy as np

from ipc.pool import Consumer, Lease, PoolLayout, Producer

REPORT = struct.Struct("<qqq")
PAUSE_S = 0.0002
PARENT = os.getppid()


def produce(producer: Producer) -> None:
    """Publish until killed; give up on one slot in sixteen."""
    while not orphaned():
        slot = producer.begin()
        if slot is None:
            time.sleep(PAUSE_S)
            continue
        seq = slot.seq
        words = slot.array().view(np.uint64)
        half = len(words) // 2
        words[:half] = seq
        if random.random() < 1 / 16:
            producer.abort(slot)
            continue
        words[half:] = seq
        slot.meta[:8] = seq.to_bytes(8, "little")
        producer.publish(slot)


def consume(consumer: Consumer, how: str, report_fd: int) -> None:
    """Lease until killed, holding as many slots as the row allows, and check each of them twice."""
    held: deque[Lease] = deque()
    limit = consumer.layout.leases[consumer.row]
    last = consumer.acknowledged()
    while not orphaned():
        lease = take(consumer, how, last)
        if lease is None:
            time.sleep(PAUSE_S)
            continue
        last = lease.seq
        check(lease)
        held.append(lease)
        os.write(report_fd, REPORT.pack(os.getpid(), consumer.row, last))
        if len(held) == limit:
            oldest = held.popleft()
            check(oldest)
            oldest.release()
            if how == "required":
                consumer.acknowledge(oldest.seq)


def take(consumer: Consumer, how: str, last: int) -> Lease | None:
    """One lease of the kind that this consumer tests."""
    if how == "newest":
        return consumer.lease_newest(last)
    if how == "number":
        seq = consumer.newest_seq() - 1
        return consumer.lease(seq) if seq > last else None
    return consumer.lease_next(last)


def check(lease: Lease) -> None:
    """End the process if the slot is not what was leased."""
    words = lease.array().view(np.uint64)
    wrong = np.flatnonzero(words != lease.seq)
    meta_seq = int.from_bytes(lease.meta[:8], "little")
    if wrong.size or meta_seq != lease.seq:
        found = sorted({int(word) for word in words[wrong[:3]]})
        sys.exit(f"torn: leased {lease.seq}, meta {meta_seq}, {wrong.size} words like {found}")


def orphaned() -> bool:
    """True if the test that started us is gone."""
    return os.getppid() != PARENT


def main() -> None:
    """`how layout control_fd data_fd row report_fd`"""
    how, layout_json, *numbers = sys.argv[1:]
    control_fd, data_fd, row, report_fd = map(int, numbers)
    fields = json.loads(layout_json)
    layout = PoolLayout(**{**fields, "leases": tuple(fields["leases"])})
    at_work = REPORT.pack(os.getpid(), row, 0)
    if how == "produce":
        producer = Producer(layout, control_fd, data_fd)
        os.write(report_fd, at_work)
        produce(producer)
    else:
        consumer = Consumer(layout, control_fd, data_fd, row)
        os.write(report_fd, at_work)
        consume(consumer, how, report_fd)


if __name__ == "__main__":
    main()
