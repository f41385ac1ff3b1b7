"""Samples of where a head points, for the pictures of its camera (`engine.workers.decode_pose` reads them).

Each says where the head pointed about when the next picture to arrive was taken: the log knows the past from reports on
both sides of it, better than the present. Pure: times are given, nothing is written.
"""

from __future__ import annotations

from typing import Final

from engine.types import PoseSample
from ptz.follower import Follower
from ptz.geometry import wrap_deg

INTERVAL_S: Final = 0.05
"""From one look to the next, which is how often a turning head is told of."""
RESTING_S: Final = 0.5
"""The same for one that stands still."""
AHEAD_S: Final = 0.1
"""How far a sample is ahead of the pictures that arrive now: it is on its way for two intervals at most."""
BELIEVED_S: Final = 3.0
"""A pose of which no report was believed for so long is a guess: somebody else may have turned the head."""
MOVED_DEG: Final = 0.02
"""A pose that differs by more than this from what was said last is told, whatever its speed."""


class PoseSampler:
    """Samples of one head. Belongs to the thread that its follower belongs to; looks at the follower only."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self._told: PoseSample | None = None
        self._held: PoseSample | None = None

    def samples(self, now_s: float) -> list[PoseSample]:
        """What is to be told now, oldest first; call it every `INTERVAL_S`. Nothing while nobody knows the pose."""
        log = self.follower.log
        if not log.known or log.reports_since(now_s) > BELIEVED_S:
            self._told = self._held = None
            return []
        sample = self._sample(now_s)
        held, self._held, told = self._held, None, self._told
        moves = told is not None and (sample.turning or told.turning or _differs(told, sample))
        if told is not None and not moves and 0 <= sample.time_s - told.time_s < RESTING_S:
            self._held = sample
            return []
        self._told = sample
        # A rest that ends is told up to its end.
        return [held, sample] if moves and held is not None and held.time_s < sample.time_s else [sample]

    def _sample(self, now_s: float) -> PoseSample:
        follower = self.follower
        latency_s = follower.image_latency_s
        time_s = now_s - latency_s + AHEAD_S
        pose, velocity = follower.log.at(time_s), follower.log.velocity_at(time_s)
        zoom, hfov_deg = max(1.0, pose.zoom), follower.lens.hfov_deg(max(1.0, pose.zoom))
        span_s = 0.01
        later_deg = follower.lens.hfov_deg(max(1.0, zoom * 2.0 ** (span_s * velocity.zoom_octaves_s)))
        return PoseSample(
            time_s,
            pose.pan_deg,
            pose.tilt_deg,
            hfov_deg,
            velocity.pan_deg_s,
            velocity.tilt_deg_s,
            (later_deg - hfov_deg) / span_s,
            latency_s,
        )


def _differs(told: PoseSample, sample: PoseSample) -> bool:
    return (
        max(
            abs(wrap_deg(sample.pan_deg - told.pan_deg)),
            abs(sample.tilt_deg - told.tilt_deg),
            abs(sample.hfov_deg - told.hfov_deg),
        )
        > MOVED_DEG
    )
