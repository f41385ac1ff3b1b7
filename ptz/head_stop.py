"""Stopping until it is seen: when a stop is repeated, when another way of stopping is tried, when it is an alarm.

Pure. Says what is due; does not send.
"""

from __future__ import annotations

from dataclasses import dataclass

from ptz.head_motion import Motion

REPEAT_S = 0.5
"""After the first stop the head brakes: so long until it is repeated."""
AGAIN_S = 0.35
SETTLE_S = 0.2
UNSEEN = 3
"""Stops where nothing tells whether the head stands."""
ALARM_REPEAT_S = 1.0
RETRY_S = 0.1
BRAKE_S = 0.6
"""What is reported so soon after a stop may still be braking."""
TURNING_DEG_S = 1.0


@dataclass
class Stopping:
    """One stop, from the wish to the proof.

    ways     of stopping, the one in use first
    alarm_s  still turning so long after the wish is an alarm
    blind_s  how long the camera's report stays the same while it turns
    """

    ways: tuple[str, ...]
    begun_s: float
    alarm_s: float = 2.0
    blind_s: float = 0.0
    sent: int = 0
    accepted_s: float | None = None
    alarmed: bool = False
    failure: str = ""

    def __post_init__(self) -> None:
        self._due_s = self.begun_s
        self._way = 0
        self._of_this_way = 0
        self._taken: list[tuple[float, str]] = []

    @property
    def way(self) -> str:
        """How to stop next."""
        return self.ways[self._way % len(self.ways)]

    @property
    def due_s(self) -> float:
        """When the next stop is to be sent."""
        return self._due_s

    @property
    def since_s(self) -> float:
        """What was seen before this moment says nothing about whether it stands."""
        return self.begun_s if self.accepted_s is None else self.accepted_s

    def accepted(self, now_s: float) -> None:
        """The camera has taken the stop."""
        self.sent += 1
        self._of_this_way += 1
        self._taken.append((now_s, self.way))
        self.failure = ""
        if self.accepted_s is None:
            self.accepted_s = now_s
        wait_s = max(REPEAT_S if self.sent == 1 else AGAIN_S, 0.7 * self.blind_s)
        self._due_s = now_s + (ALARM_REPEAT_S if self.alarmed else wait_s)

    def worked(self, changed_s: float) -> str:
        """The way that has stopped it, when its position changed last at `changed_s`: the last one before that."""
        before = [way for time_s, way in self._taken if time_s < changed_s - 0.05]
        return (before or [self._taken[0][1]])[-1]

    def failed(self, now_s: float, why: str, *, useless: bool) -> None:
        """The camera has not taken it. `useless`: this way will not do at all, try the next at once."""
        self.sent += 1
        self.failure = why
        if useless:
            self._next_way()
        self._due_s = now_s + (ALARM_REPEAT_S if self.alarmed else RETRY_S)

    def settles(self, now_s: float) -> None:
        """It seems to stand, only not for long enough yet: no need to say it again now."""
        self._due_s = max(self._due_s, now_s + SETTLE_S)

    def still_turning(self) -> None:
        """It was seen to turn on after a stop was taken: twice the same way, then the next."""
        if self._of_this_way >= 2:
            self._next_way()

    def unseen(self, now_s: float) -> bool:
        """Nothing tells, and it was said often enough."""
        return self.accepted_s is not None and self.sent >= UNSEEN and now_s >= self._due_s

    def alarm_due(self, now_s: float) -> bool:
        """It is time for the alarm, once."""
        if self.alarmed or now_s < self.begun_s + self.alarm_s:
            return False
        self.alarmed = True
        return True

    def _next_way(self) -> None:
        self._way += 1
        self._of_this_way = 0

    def verdict(self, motion: Motion, now_s: float) -> str | None:
        """What the motion says of this stop now: `stands`, `unseen` (nothing tells), `alarm` (once) or None yet."""
        rests = motion.at_rest(self.since_s, now_s)
        if rests and self.accepted_s is not None:
            return "stands"
        if rests is None and not motion.sees(now_s) and self.unseen(now_s):
            return "unseen"
        if self._seems_to_turn(motion, now_s) and self.alarm_due(now_s):
            return "alarm"
        if rests is False and self.accepted_s is not None and now_s >= self._due_s:
            speed = motion.speed_deg_s(self.accepted_s)
            if speed is not None and speed > TURNING_DEG_S:
                self.still_turning()
            elif speed is not None and now_s < self.begun_s + self.alarm_s:
                self.settles(now_s)
        return None

    def words(self) -> str:
        """The alarm."""
        tried = ", ".join(dict.fromkeys(self.ways))
        return f"the head does not stop, tried: {tried}" + (f" ({self.failure})" if self.failure else "")

    def _seems_to_turn(self, motion: Motion, now_s: float) -> bool:
        """Nothing speaks for rest: no stop was taken, or the last report is another than the one before."""
        if self.accepted_s is None or not motion.sees(now_s):
            return True
        braked_s = self.accepted_s + BRAKE_S + self.blind_s
        return motion.changed_s > max(braked_s, now_s - BRAKE_S - 1.2 * self.blind_s)
