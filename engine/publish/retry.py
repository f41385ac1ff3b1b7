"""When a destination is tried again after a failure: pure policy over a random number generator."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from engine.errors import ConfigError, EngineError, PublishDiskFull, PublishRefused


class DeliveryState(Enum):
    """How a destination fares."""

    CONNECTING = "connecting"
    LIVE = "live"
    IDLE = "idle"
    """There is no video at present; it goes on with the next key frame."""
    WAITING = "waiting"
    """It could not be reached; tried again soon."""
    REFUSED = "refused"
    """It refuses who we are; tried again rarely, so that no account is locked."""
    DISK_FULL = "disk full"
    MISCONFIGURED = "misconfigured"
    """A setting or a variable is wrong; tried again rarely."""
    STUCK = "stuck"
    """A call does not come back; the process is started anew."""
    STOPPED = "stopped"


class Uniform(Protocol):
    """What is needed of `random.Random`."""

    def uniform(self, a: float, b: float, /) -> float: ...


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait before the next attempt.

    After the n-th failure in a row a random time between half of a limit and all of it; the limit doubles up to a cap.
    So destinations that went down together do not come back in step.

    first_s, cap_s  limit of the first wait, and of the longest
    good_after_s    a connection that lasted so long was good: the next failure is a first one again
    refused_s       waits after a refusal; the last one repeats
    disk_full_s     wait after a full disk
    """

    first_s: float = 0.25
    cap_s: float = 8.0
    good_after_s: float = 1.0
    refused_s: tuple[float, ...] = (60.0, 300.0)
    disk_full_s: float = 2.0

    def after(self, error: EngineError, attempt: int, rng: Uniform) -> tuple[DeliveryState, float]:
        """What the state is, and the seconds to wait, after the `attempt`-th failure in a row, counted from 0."""
        if isinstance(error, PublishRefused | ConfigError):
            state = (
                DeliveryState.REFUSED if isinstance(error, PublishRefused) else DeliveryState.MISCONFIGURED
            )
            return state, self.refused_s[min(attempt, len(self.refused_s) - 1)]
        if isinstance(error, PublishDiskFull):
            return DeliveryState.DISK_FULL, self.disk_full_s
        limit_s = self.cap_s if attempt >= 32 else min(self.cap_s, self.first_s * 2**attempt)
        return DeliveryState.WAITING, rng.uniform(limit_s / 2, limit_s)
