"""The frames of one camera that wait for the detector, and what became of the others.

Live the newest frame waits alone: one that comes replaces it. Offline every frame that is wanted waits its turn.
At every moment: frames_in = processed + in flight + waiting + Σ dropped.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from engine.batching.arrivals import Arrivals
from engine.batching.thinning import Thinning


@dataclass(frozen=True, slots=True)
class Arrival:
    """One frame that came.

    seq           its number in the pool
    time_ns       its own time, by which a camera is thinned: capture live, presentation offline, negative if none
    captured_ns   when it came from the source: its age counts from here
    available_ns  when it could first be taken
    """

    seq: int
    time_ns: int
    captured_ns: int
    available_ns: int


@dataclass(slots=True)
class Drops:
    """Frames that were not processed, by reason.

    superseded  a newer one was there when the detector took one
    restart     lost with an inference process that died
    rate        the camera's target rate did not ask for them
    stale       too old by the time there was room
    empty       had no pixels
    """

    superseded: int = 0
    restart: int = 0
    rate: int = 0
    stale: int = 0
    empty: int = 0

    def total(self) -> int:
        """All of them."""
        return self.superseded + self.restart + self.rate + self.stale + self.empty


@dataclass(frozen=True, slots=True)
class Pick:
    """A frame that goes into a batch. `drops` is what had been dropped when it came, frames before it only."""

    queue: CameraQueue
    arrival: Arrival
    drops: Drops


class CameraQueue:
    """One camera before the detector.

    most_in_flight  frames it may have in the detector at a time
    target_fps      rate at which frames are wanted, 0: every frame
    seen_seq        number of the newest frame looked at
    in_flight       frames taken and not done yet
    drops           frames that will not be processed
    ended           nothing follows any more
    """

    def __init__(
        self,
        name: str,
        *,
        target_fps: float = 0.0,
        live: bool = True,
        most_in_flight: int = 1,
        seen_seq: int = 0,
    ) -> None:
        self.name = name
        self.live = live
        self.most_in_flight = most_in_flight
        self.seen_seq = seen_seq
        self.in_flight = 0
        self.drops = Drops()
        self.ended = False
        self.arrivals = Arrivals()
        self.target_fps = target_fps
        self._thinning = Thinning(target_fps)
        self._waiting: deque[Pick] = deque()
        self._waiting_since_ns = 0

    @property
    def waiting(self) -> int:
        """Frames that wait."""
        return len(self._waiting)

    @property
    def decided_seq(self) -> int:
        """Everything up to this frame has been taken or dropped."""
        return self._waiting[0].arrival.seq - 1 if self._waiting else self.seen_seq

    @property
    def due(self) -> bool:
        """Whether a frame waits that may be taken now."""
        return bool(self._waiting) and self.in_flight < self.most_in_flight

    @property
    def due_since_ns(self) -> int:
        """When the first frame came for which the detector has been waited ever since."""
        return self._waiting_since_ns

    @property
    def captured_ns(self) -> int:
        """Capture time of the frame that is taken next."""
        return self._waiting[0].arrival.captured_ns

    def aim_at(self, target_fps: float) -> None:
        """This is the target rate from now on; 0: every frame."""
        if target_fps != self.target_fps:
            self.target_fps = target_fps
            self._thinning = Thinning(target_fps)

    def is_live(self, now_ns: int) -> bool:
        """Whether frames come at present."""
        return not self.ended and self.arrivals.live(now_ns)

    def period_ns(self) -> int | None:
        """Time from one wanted frame to the next; None while it is not known."""
        period_ns = self.arrivals.period_ns
        return None if period_ns is None else max(period_ns, self._thinning.period_ns)

    def next_wanted_ns(self, unknown_period_ns: int) -> tuple[int, int]:
        """(when the next wanted frame is expected, when it is overdue by a whole period)."""
        frame_ns = self.arrivals.period_ns or unknown_period_ns
        expected_ns = (self.arrivals.last_ns or 0) + self._thinning.next_taken_ns(frame_ns)
        return expected_ns, expected_ns + frame_ns

    def arrive(self, arrival: Arrival) -> None:
        """A frame has come. What lies between it and the last one was overwritten before it was looked at."""
        missed = self._come_to(arrival.seq)
        self.arrivals.add(arrival.available_ns, missed + 1)
        wanted = self._thinning.takes(arrival.time_ns)
        if not wanted:
            # Where one waits, the rate asks for one of the two: the newer.
            self.drops.rate += 1
        elif self._waiting and self.live:
            self.drops.superseded += 1
        if not self._waiting:
            self._waiting_since_ns = arrival.available_ns
        if self.live and self._waiting:
            self._waiting.clear()
            wanted = True
        if wanted:
            self._waiting.append(Pick(self, arrival, replace(self.drops)))

    def refuse(self, seq: int) -> None:
        """A frame has come that has no pixels."""
        self._come_to(seq)
        self.drops.empty += 1

    def end(self, seq: int) -> None:
        """The end of the stream has come, which is no frame."""
        self._come_to(seq)
        self.seen_seq = seq - 1
        self.ended = True

    def lose(self, seq: int) -> None:
        """Frames up to this one went down with a predecessor."""
        self.drops.restart += max(0, seq - self.seen_seq)
        self.seen_seq = max(seq, self.seen_seq)

    def expire(self, oldest_captured_ns: int) -> None:
        """Drop the frame that waits if it was captured before this. Live only."""
        if self.live and self._waiting and self.captured_ns < oldest_captured_ns:
            self._waiting.clear()
            self.drops.stale += 1

    def take(self) -> Pick:
        """The next frame goes into the detector."""
        pick = self._waiting.popleft()
        self._waiting_since_ns = self._waiting[0].arrival.available_ns if self._waiting else 0
        self.in_flight += 1
        return pick

    def done(self) -> None:
        """A frame that was taken has been processed."""
        self.in_flight -= 1

    def gone(self) -> None:
        """A frame that was to be taken has been overwritten by then."""
        self.in_flight -= 1
        self.drops.superseded += 1

    def _come_to(self, seq: int) -> int:
        """Count what was overwritten before it was looked at; returns how many frames that were."""
        missed = seq - self.seen_seq - 1
        if self.live:
            self.drops.superseded += missed
        else:
            self.drops.rate += missed  # offline only what a predecessor has let go may be overwritten
        self.seen_seq = seq
        return missed
