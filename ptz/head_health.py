"""What a head tells of itself: its state and why, events, counters. Decides nothing."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ptz.types import HeadState, Levels

_WORST_FIRST = (
    HeadState.TAKEN, HeadState.LOCKED, HeadState.UNREACHABLE, HeadState.STARTING, HeadState.NOT_MOVING,
    HeadState.DEGRADED,
)  # fmt: skip
RATE_SPAN_S = 10.0
EVENTS_KEPT = 64


@dataclass(frozen=True, slots=True)
class HeadEvent:
    """Something worth a line: state, limit, foreign_motion, not_moving, stop_alarm, clock, probe."""

    time_s: float
    kind: str
    text: str


class Health:
    """Conditions by cause; the worst one is the state."""

    def __init__(self, now: Callable[[], float], on_event: Callable[[HeadEvent], None] | None = None) -> None:
        self._now = now
        self._conditions: dict[str, tuple[HeadState, str]] = {"start": (HeadState.STARTING, "not opened yet")}
        self.on_event = on_event
        self.events: deque[HeadEvent] = deque(maxlen=EVENTS_KEPT)
        self.event_counts: Counter[str] = Counter()

    @property
    def state(self) -> HeadState:
        """The worst of what is the matter."""
        return self._worst()[0]

    @property
    def reason(self) -> str:
        """Why, in one line."""
        return self._worst()[1]

    def set(self, cause: str, state: HeadState, reason: str) -> None:
        """This is the matter from now on."""
        before = self.state
        self._conditions[cause] = (state, " ".join(reason.split()))
        self._say_change(before)

    def clear(self, *causes: str) -> None:
        """This is not the matter any more."""
        before = self.state
        for cause in causes:
            self._conditions.pop(cause, None)
        self._say_change(before)

    def has(self, cause: str) -> bool:
        """Whether this is the matter."""
        return cause in self._conditions

    def event(self, kind: str, text: str) -> None:
        """Note it, count it, pass it on."""
        event = HeadEvent(self._now(), kind, " ".join(text.split()))
        self.events.append(event)
        self.event_counts[kind] += 1
        if self.on_event is not None:
            self.on_event(event)

    def _worst(self) -> tuple[HeadState, str]:
        for state in _WORST_FIRST:
            reasons = [reason for kind, reason in self._conditions.values() if kind is state]
            if reasons:
                return state, "; ".join(reasons)
        return HeadState.OK, ""

    def _say_change(self, before: HeadState) -> None:
        state, reason = self._worst()
        if state is not before:
            self.event("state", f"{before.value} → {state.value}{': ' if reason else ''}{reason}")


class Wear:
    """Counts of what a head was told, and what it costs its motors.

    sent, renewed, stops, statuses  requests that were sent
    superseded  wishes that a newer one replaced before they were sent
    refused     commands that were not sent, or not taken, for a reason of ours or the camera's
    reversals   changes of direction of pan or tilt among the commands sent
    """

    def __init__(self) -> None:
        self.sent = self.renewed = self.stops = self.statuses = self.superseded = self.refused = 0
        self.reversals = 0
        self.moving_s = 0.0
        self.failures: Counter[str] = Counter()
        self.answer_s = 0.0
        self._directions = {"pan": 0, "tilt": 0}
        self._times_s: deque[float] = deque()

    def command(self, time_s: float) -> None:
        """A control request was sent."""
        self._times_s.append(time_s)

    def turned(self, levels: Levels) -> None:
        """A turn was sent: count where it changes direction."""
        for axis, level in (("pan", levels.pan), ("tilt", levels.tilt)):
            sign = (level > 0) - (level < 0)
            if sign and sign == -self._directions[axis]:
                self.reversals += 1
            self._directions[axis] = sign or self._directions[axis]

    def answered(self, seconds: float) -> None:
        """How long an answer took."""
        self.answer_s = seconds if not self.answer_s else 0.8 * self.answer_s + 0.2 * seconds

    def rate(self, now_s: float) -> float:
        """Control requests a second, over the last ten."""
        while self._times_s and self._times_s[0] < now_s - RATE_SPAN_S:
            self._times_s.popleft()
        return len(self._times_s) / RATE_SPAN_S

    def told(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "sent": self.sent,
            "renewed": self.renewed,
            "stops": self.stops,
            "statuses": self.statuses,
            "superseded": self.superseded,
            "refused": self.refused,
            "reversals": self.reversals,
            "moving_minutes": round(self.moving_s / 60, 3),
            "failures": dict(self.failures),
        }


def both(
    one: Callable[[Any], None] | None, other: Callable[[Any], None] | None
) -> Callable[[Any], None] | None:
    """One listener that is two."""
    if one is None or other is None:
        return one or other

    def tell(value: Any) -> None:
        one(value)
        other(value)

    return tell
