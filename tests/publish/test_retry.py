"""When a destination is tried again."""

from __future__ import annotations

import random

from engine.errors import ConfigError, PublishDiskFull, PublishError, PublishRefused, PublishUnreachable
from engine.publish.retry import DeliveryState, RetryPolicy

POLICY = RetryPolicy(first_s=0.25, cap_s=8.0)


def test_the_wait_doubles_up_to_a_cap_and_no_two_are_alike() -> None:
    rng = random.Random(7)
    for attempt in (0, 1, 5, 9, 10_000):
        limit_s = min(8.0, 0.25 * 2 ** min(attempt, 20))
        waits = [POLICY.after(PublishUnreachable("away"), attempt, rng)[1] for _ in range(50)]
        assert limit_s / 2 <= min(waits) < max(waits) <= limit_s
    assert POLICY.after(PublishError("404"), 0, rng)[0] is DeliveryState.WAITING


def test_who_is_refused_does_not_hammer() -> None:
    rng = random.Random(7)
    waits = [POLICY.after(PublishRefused("no"), attempt, rng) for attempt in range(4)]
    assert waits == [(DeliveryState.REFUSED, seconds) for seconds in (60.0, 300.0, 300.0, 300.0)]
    assert POLICY.after(ConfigError("no such variable"), 0, rng) == (DeliveryState.MISCONFIGURED, 60.0)


def test_a_full_disk_is_looked_at_steadily() -> None:
    assert POLICY.after(PublishDiskFull("full"), 9, random.Random(7)) == (DeliveryState.DISK_FULL, 2.0)
