"""Where a steered head pointed when a picture was taken, from the samples that the worker of heads gives.

A picture arrives later than it was taken, and a head may turn meanwhile: what counts is when it was taken. Samples run
a little ahead of the pictures, so that this moment mostly lies between two. Knows times and angles, not heads,
protocols or pictures.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import Final

from engine.topology import POSES_KEPT
from engine.types import PoseSample, PtzPose
from engine.workers.feed import Feed

TURNING_GOOD_S: Final = 0.5
"""A head that turned may be anywhere half a second later. Samples come every 0.05 s then: ten are missing, so who
gives them is dead or too busy."""
RESTING_GOOD_S: Final = 2.5
"""A head that stood still still does. Samples come every 0.5 s then; 2.5 s bridge a worker that is started again, and
by then the watchdog has stopped whatever began to turn after the last sample."""
LONGEST_GAP_S: Final = 0.8
"""Between two samples further apart it may have been anywhere."""


class HeadPose:
    """The newest samples of one camera's head, and what they say of a picture."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._seen_seq = 0
        self._samples: deque[PoseSample] = deque(maxlen=POSES_KEPT)

    def at(self, captured_ns: int) -> PtzPose | None:
        """Where the head pointed when the picture that arrived at this monotonic time was taken; None: not known."""
        for seq, meta in self._feed.metas_after(self._seen_seq):
            self._seen_seq = seq
            self._take(PoseSample.unpack(meta))
        if not self._samples:
            return None
        return pose_at(self._samples, captured_ns / 1e9 - self._samples[-1].image_latency_s)

    def _take(self, sample: PoseSample) -> None:
        # The image latency has been found to be greater: what was said of later times counts no more.
        while self._samples and self._samples[-1].time_s >= sample.time_s:
            self._samples.pop()
        self._samples.append(sample)


def pose_at(samples: Sequence[PoseSample], time_s: float) -> PtzPose | None:
    """The pose at a time: between two samples, or from the nearest one with its speed as long as that one is good.

    `samples` rise in time. None where nothing is known of this time.
    """
    after = bisect_right(samples, time_s, key=lambda sample: sample.time_s)
    if 0 < after < len(samples) and samples[after].time_s - samples[after - 1].time_s <= LONGEST_GAP_S:
        return _between(samples[after - 1], samples[after], time_s)
    around = samples[max(0, after - 1)], samples[min(after, len(samples) - 1)]
    nearest = min(around, key=lambda sample: abs(time_s - sample.time_s))
    ahead_s = time_s - nearest.time_s
    if abs(ahead_s) > (TURNING_GOOD_S if nearest.turning else RESTING_GOOD_S):
        return None
    return _pose(
        nearest.pan_deg + ahead_s * nearest.pan_deg_s,
        nearest.tilt_deg + ahead_s * nearest.tilt_deg_s,
        nearest.hfov_deg + ahead_s * nearest.hfov_deg_s,
    )


def _between(before: PoseSample, then: PoseSample, time_s: float) -> PtzPose | None:
    """By both places and both speeds (cubic Hermite), pan the shorter way round."""
    span_s = then.time_s - before.time_s
    share = (time_s - before.time_s) / span_s

    def reached(way: float, speed_before: float, speed_then: float) -> float:
        return _hermite(way, span_s * speed_before, span_s * speed_then, share)

    pan_deg = (then.pan_deg - before.pan_deg + 180) % 360 - 180
    tilt_deg, hfov_deg = then.tilt_deg - before.tilt_deg, then.hfov_deg - before.hfov_deg
    return _pose(
        before.pan_deg + reached(pan_deg, before.pan_deg_s, then.pan_deg_s),
        before.tilt_deg + reached(tilt_deg, before.tilt_deg_s, then.tilt_deg_s),
        before.hfov_deg + reached(hfov_deg, before.hfov_deg_s, then.hfov_deg_s),
    )


def _hermite(way: float, slope_before: float, slope_then: float, share: float) -> float:
    """How much of `way` is done at `share` of it, with these slopes at its ends."""
    rest = 1 - share
    return share * share * (3 - 2 * share) * way + share * rest * (rest * slope_before - share * slope_then)


def _pose(pan_deg: float, tilt_deg: float, hfov_deg: float) -> PtzPose | None:
    """None for a field of view that no lens has: zooming was carried on for too long."""
    if not 0 < hfov_deg < 180:
        return None
    return PtzPose(pan_deg % 360, min(max(tilt_deg, -90.0), 90.0), hfov_deg)
