"""Whether a head does what it was told: does it move, does it stand, does somebody else move it, is its report alive.

Pure. Told what was sent, what the camera reports and, where somebody looks, how far pictures have shifted; times are
arguments. Judges by movement over seconds, because a camera's report is rounded, late and sometimes wrong.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

from ptz.geometry import wrap_deg
from ptz.head_path import Path, speeds_of
from ptz.types import Levels, Pose, Status, Velocity

AXES = ("pan", "tilt", "zoom")
SURE_LEVEL = 10
"""Below this a camera may do nothing and be in order (dead band)."""
MOVED_DEG = 0.3
MOVED_OCTAVES = 0.12
ENOUGH_DEG = 1.0
ENOUGH_OCTAVES = 0.4
STABLE_S = 0.3
TREMBLE_S = 1.2
STILL_DEG = 0.06
REST_DEG = 0.12
REST_OCTAVES = 0.04
SLOW_DEG_S = 0.5
FOREIGN_DEG = 0.6
FROZEN_DEG = 2.0
FRESH_S = 1.0
ONSET_S = 0.6
"""So long after the command to turn it certainly does."""
REPORT_AGE_S = 0.12
"""A report is at least so old; so the head is rather taken to be further on than less far."""
PULSES_S = 5.0
"""Turns with no longer pauses than this are judged together."""
GRACE_S = 1.0
"""A head may still turn by an old command for so long after it was told to stop."""
KEPT_S = 4.0


@dataclass
class AxisEvidence:
    """What speaks for and against one axis turning, since it was last seen to move.

    sign      direction that it is told to turn in now, 0 = none that counts
    signs     all that it was told
    turned_s, expected  for how long, and how far it should have gone by that
    seen, seen_in_pictures  how far it went
    """

    sign: int = 0
    signs: set[int] = field(default_factory=set)
    since_s: float | None = None
    turned_s: float = 0.0
    expected: float = 0.0
    seen: float = 0.0
    seen_in_pictures: float = 0.0
    last_s: float = -math.inf
    told_s: float = -math.inf

    def begin(self, now_s: float) -> None:
        """Start again."""
        self.since_s, self.last_s, self.signs = now_s, now_s, {self.sign} - {0}
        self.turned_s = self.expected = self.seen = self.seen_in_pictures = 0.0


@dataclass
class Report:
    """A report of the position as it was believed."""

    time_s: float
    pose: Pose


@dataclass
class Motion:
    """One head's motion as far as it can be known.

    not_moving_s  an axis that was told to turn for so long, and did not, is stuck
    refused       reports that were not believed, by reason
    """

    not_moving_s: float = 2.0
    refused: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._reports: deque[Report] = deque()
        self._images: deque[tuple[float, float, float]] = deque()
        self._told: tuple[float, Velocity] = (-math.inf, Velocity())
        self._path = Path()
        self._turns_from_s = math.inf
        self._axes = {axis: AxisEvidence() for axis in AXES}
        self._changed_s = -math.inf
        self._gaps_s: deque[float] = deque(maxlen=6)
        self._repeats = 0
        self._pictured_deg = 0.0
        self._moving: bool | None = None
        self._moving_s = -math.inf
        self._told_to_s = -math.inf
        self._rest: deque[Pose] = deque(maxlen=20)
        self._displaced = 0
        self._displaced_to = (0, 0)
        self._contrary: tuple[float, float] | None = None
        self._odd = 0
        self._fought = False
        self.moved_s: dict[tuple[str, int], float] = {}
        """When each axis was last seen to turn as told, by axis and direction (-1, 1)."""
        self._noise_deg = 0.0
        self.accepted_s = -math.inf
        """When a turn was last taken by the camera: what it did not take proves nothing."""
        self.frozen = False
        """The report stands still although the head was seen to move."""
        self.proven = False
        """It was seen to move by a command of ours."""

    def sent(self, time_s: float, velocity: Velocity, levels: Levels) -> None:
        """A turn (or a stop: zero) was sent."""
        self._account(time_s)
        if velocity.is_zero:
            self._turns_from_s = math.inf
        elif self._told[1].is_zero:
            self._turns_from_s = time_s
        self._told = time_s, velocity
        self._path.sent(time_s, velocity)
        for axis, level in zip(AXES, (levels.pan, levels.tilt, levels.zoom), strict=True):
            evidence = self._axes[axis]
            evidence.sign = _sign(level) if abs(level) >= SURE_LEVEL or axis == "zoom" else 0
            if evidence.sign:
                if evidence.since_s is None or time_s - evidence.told_s > PULSES_S:
                    evidence.begin(time_s)
                evidence.signs.add(evidence.sign)
                evidence.told_s = time_s
        if not velocity.is_zero:
            self._told_to_s = time_s

    def going(self, time_s: float) -> None:
        """It is on its way to a place, so that any motion is ours."""
        self._told_to_s = max(self._told_to_s, time_s)
        for evidence in self._axes.values():
            evidence.since_s = None

    def reported(self, status: Status, time_s: float) -> Pose | None:
        """The camera has told; returns the position where it is believed."""
        if status.moving is not None:
            self._moving, self._moving_s = status.moving, time_s
        pose = status.pose
        if pose is None:
            return None
        if (
            not all(math.isfinite(value) for value in (pose.pan_deg, pose.tilt_deg, pose.zoom))
            or pose.zoom <= 0
        ):
            self._refuse("not a number")
            return None
        before = self._reports[-1] if self._reports else None
        if before and self._jumped(before.pose, pose, time_s - before.time_s):
            self._odd += 1
            if self._odd < 2:
                self._refuse("jumped")
                return None
        self._odd = 0
        self._account(time_s)
        if before:
            self._compare(before, pose, time_s)
        self._reports.append(Report(time_s, pose))
        while self._reports and self._reports[0].time_s < time_s - KEPT_S:
            self._reports.popleft()
        return pose

    def image_moved(self, time_s: float, pan_deg: float, tilt_deg: float, now_s: float) -> None:
        """Between the picture before and the one of `time_s` the view has turned by so much."""
        if not (math.isfinite(pan_deg) and math.isfinite(tilt_deg)):
            self._refuse("image motion is not a number")
            return
        self._account(now_s)
        self._images.append((time_s, pan_deg, tilt_deg))
        turns = self._turns_from_s + ONSET_S < now_s
        self._pictured_deg = self._pictured_deg + math.hypot(pan_deg, tilt_deg) if turns else 0.0
        if self._pictured_deg >= FROZEN_DEG and self._report_stands(now_s):
            self.frozen = True
        while self._images and self._images[0][0] < time_s - KEPT_S:
            self._images.popleft()
        for axis, shift in (("pan", pan_deg), ("tilt", tilt_deg)):
            evidence = self._axes[axis]
            if evidence.since_s is not None and time_s > evidence.since_s:
                evidence.seen_in_pictures += shift
                if abs(evidence.seen_in_pictures) >= MOVED_DEG:
                    self._moved(axis, evidence.seen_in_pictures, now_s)

    def forget(self) -> None:
        """Whatever was known of times is not any more (the clock has jumped, the camera has restarted)."""
        self._reports.clear()
        self._images.clear()
        self._path.forget()
        self._told = -math.inf, self._told[1]
        self._turns_from_s = math.inf
        self._changed_s = -math.inf
        self.foreign_over()
        for evidence in self._axes.values():
            evidence.since_s = None

    @property
    def last(self) -> Report | None:
        """The newest report that was believed."""
        return self._reports[-1] if self._reports else None

    def pose_at(self, now_s: float) -> Pose | None:
        """The last position, moved on by what was sent since."""
        if not self._reports:
            return None
        report = self._reports[-1]
        pan, tilt, octaves = self._path.between(report.time_s - REPORT_AGE_S - self.refresh_s, now_s)
        pose = report.pose
        return Pose(
            now_s,
            (pose.pan_deg + pan) % 360.0,
            min(max(pose.tilt_deg + tilt, -90.0), 90.0),
            pose.zoom * 2.0 ** min(max(octaves, -10.0), 10.0),
        )

    def age_s(self, now_s: float) -> float:
        """Seconds since the last report that was believed."""
        return now_s - self._reports[-1].time_s if self._reports else math.inf

    def sees(self, now_s: float) -> bool:
        """Something tells of motion at present: positions, or pictures."""
        return self.age_s(now_s) < 3.0 or self._moving_s > now_s - 3.0 or self._sees_images(now_s)

    def stuck(self, now_s: float) -> set[tuple[str, int]]:
        """The axes that were told to turn and do not, with the directions (-1 or 1) that they were told."""
        self._account(now_s)
        if not self.sees(now_s):
            return set()
        return {
            (axis, sign)
            for axis, evidence in self._axes.items()
            if self._is_stuck(axis, evidence)
            for sign in evidence.signs
        }

    def try_again(self, axis: str) -> None:
        """What was held against an axis is forgotten."""
        self._axes[axis].since_s = None

    def at_rest(self, since_s: float, now_s: float) -> bool | None:
        """Whether the head stands, judged by what came after `since_s`; None where nothing tells."""
        by_image = self._image_rests(since_s)
        if by_image is False or (by_image and self.frozen):
            return by_image
        by_position = None if self.frozen else self._position_rests(since_s, now_s)
        if by_position is None and self._moving_s > since_s:
            # A camera without positions; where it has both, MoveStatus is the one that lies (it may never say idle).
            return None if self._moving is None else not self._moving
        return by_position if by_position is not None else by_image

    def shifted(self, since_s: float) -> tuple[float, float] | None:
        """How far pictures taken since then have turned, right and up; None where there are none."""
        after = [image for image in self._images if image[0] > since_s]
        return (sum(image[1] for image in after), sum(image[2] for image in after)) if after else None

    @property
    def changed_s(self) -> float:
        """When the reported position was last seen to change."""
        return self._changed_s

    def speed_deg_s(self, since_s: float) -> float | None:
        """Mean speed over the last reports after `since_s`, None where there are too few."""
        reports = [report for report in self._reports if report.time_s >= since_s][-2:]
        if len(reports) < 2:
            return None
        path = sum(_apart_deg(a.pose, b.pose) for a, b in pairwise(reports))
        return path / max(reports[-1].time_s - reports[0].time_s, 1e-3)

    def foreign(self) -> bool:
        """Somebody else moves the head: it is elsewhere for three reports, or turns against us for a second."""
        return self._displaced >= 3 or self._fought

    def foreign_begun(self) -> bool:
        """It is elsewhere than it was left: look again soon."""
        return self._displaced > 0

    def foreign_over(self) -> None:
        """Look afresh."""
        self._rest.clear()
        self._displaced, self._contrary, self._fought = 0, None, False

    def _refuse(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def _jumped(self, before: Pose, pose: Pose, seconds: float) -> bool:
        """No head turns at such a speed; believed when it is said twice."""
        return _apart_deg(before, pose) > 400.0 * max(seconds, 0.0) + 5.0

    def _compare(self, before: Report, pose: Pose, time_s: float) -> None:
        moved = _apart_deg(before.pose, pose)
        if moved > STILL_DEG:
            if before.time_s > self._turns_from_s + ONSET_S:
                since_s = max(self._changed_s, self._turns_from_s + ONSET_S)
                self._gaps_s.append(time_s - since_s if self._repeats else 0.0)
            self._changed_s, self._repeats, self._pictured_deg, self.frozen = time_s, 0, 0.0, False
        else:
            self._repeats = self._repeats + 1 if before.time_s > self._turns_from_s + ONSET_S else 0
        for axis, shift in _shifts(before.pose, pose).items():
            evidence = self._axes[axis]
            if evidence.since_s is not None:
                evidence.seen += shift
                enough = MOVED_OCTAVES if axis == "zoom" else max(MOVED_DEG, 3 * self._noise_deg)
                if abs(evidence.seen) >= enough:
                    self._moved(axis, evidence.seen, time_s)
        if self._told_to_s > before.time_s - GRACE_S - self.refresh_s:
            self._rest.clear()
            self._displaced = 0
            self._look_for_resistance(before, pose, time_s)
        else:
            self._look_for_others(pose)

    def _look_for_others(self, pose: Pose) -> None:
        """Nothing was told to turn: is it still where it was left?"""
        if len(self._rest) < 2:
            self._rest.append(pose)
            return
        beyond = []
        for shifts in zip(*(_turned(self._rest[0], other) for other in (*self._rest, pose)), strict=True):
            *rest, last = shifts
            middle = sum(rest) / len(rest)
            spread = math.sqrt(sum((value - middle) ** 2 for value in rest) / len(rest))
            beyond.append(_sign(last - middle) if abs(last - middle) > max(FOREIGN_DEG, 4 * spread) else 0)
        steps = sorted(_apart_deg(one, other) for one, other in pairwise(self._rest))
        self._noise_deg = steps[len(steps) // 2] if len(steps) >= 5 else self._noise_deg
        towards = (beyond[0], beyond[1])
        if towards == (0, 0):
            self._displaced = 0
            self._rest.append(pose)
        else:
            self._displaced = self._displaced + 1 if towards == self._displaced_to else 1
            self._displaced_to = towards

    def _look_for_resistance(self, before: Report, pose: Pose, time_s: float) -> None:
        """While it turns by our command it goes the other way, for a second or more."""
        pan, tilt, _ = self._path.between(before.time_s - self.refresh_s, time_s)
        against = sum(
            abs(shift)
            for shift, wanted in zip(_turned(before.pose, pose), (pan, tilt), strict=True)
            if shift * wanted < 0 and abs(wanted) > 1.0 and abs(shift) > max(0.5, 3 * self._noise_deg)
        )
        if not against:
            self._contrary = None
            return
        begun_s, sum_deg = self._contrary or (before.time_s, 0.0)
        self._contrary = (begun_s, sum_deg + against)
        self._fought = self._fought or (time_s - begun_s >= 1.0 and sum_deg + against >= 5.0)

    def _moved(self, axis: str, shift: float, now_s: float) -> None:
        self.proven = True
        self.moved_s[axis, _sign(shift)] = now_s
        self._axes[axis].begin(now_s)

    def _report_stands(self, now_s: float) -> bool:
        """There are positions, and they have not changed for longer than they usually take."""
        reports = [report for report in self._reports if report.time_s >= self._changed_s]
        return len(reports) >= 4 and reports[-1].time_s - reports[0].time_s >= 1.0 + self.refresh_s

    def _is_stuck(self, axis: str, evidence: AxisEvidence) -> bool:
        enough = ENOUGH_OCTAVES if axis == "zoom" else ENOUGH_DEG
        return (
            evidence.since_s is not None
            and evidence.turned_s >= max(self.not_moving_s, self.refresh_s + 0.7)
            and evidence.expected >= enough
        )

    def _account(self, now_s: float) -> None:
        """Book the time that has gone by as turned, where an axis was told to turn."""
        last_s, velocity = self._told
        # A report that stands still while pictures move says nothing either way.
        told_s = self._reports[-1].time_s if self._reports and not self.frozen else -math.inf
        seen_s = max(told_s, self._images[-1][0] if self._images else -math.inf)
        watched = now_s - seen_s <= FRESH_S and now_s - self.accepted_s <= FRESH_S
        for axis, speed in zip(AXES, speeds_of(velocity), strict=True):
            evidence = self._axes[axis]
            if watched and evidence.since_s is not None and evidence.sign:
                seconds = max(0.0, now_s - max(evidence.last_s, last_s, evidence.since_s))
                evidence.turned_s += seconds
                evidence.expected += abs(speed) * seconds
            evidence.last_s = now_s

    @property
    def refresh_s(self) -> float:
        """How long a report may stay the same while the head turns, 0 = never seen to: the longest of lately."""
        return min(max((gap for gap in self._gaps_s if gap < 2.0), default=0.0), 1.5)

    def _position_rests(self, since_s: float, now_s: float) -> bool | None:
        after = [report for report in self._reports if report.time_s > since_s]
        if len(after) < 2 or self.age_s(now_s) > 1.0:
            return None
        span_s = max(STABLE_S, 1.1 * self.refresh_s)
        if after[-1].time_s - _tail(after)[0].time_s >= span_s - 1e-6:
            return True
        # A report that trembles is never stable: there it is enough that it leads nowhere.
        return (
            after[-1].time_s - after[0].time_s >= TREMBLE_S
            and len(after) >= 5
            and _drift_deg_s(after) < SLOW_DEG_S
        )

    def _sees_images(self, now_s: float) -> bool:
        return bool(self._images) and self._images[-1][0] > now_s - 2.0

    def _image_rests(self, since_s: float) -> bool | None:
        after = [image for image in self._images if image[0] > since_s]
        if len(after) < 3 or after[-1][0] - after[0][0] < STABLE_S:
            return None
        return (
            sum(math.hypot(pan, tilt) for at_s, pan, tilt in after if at_s > after[-1][0] - STABLE_S - 1e-6)
            < 0.15
        )


def _tail(reports: list[Report]) -> list[Report]:
    """The last reports that all say the same place."""
    end, same = reports[-1].pose, []
    for report in reversed(reports):
        if _apart_deg(report.pose, end) > REST_DEG or _octaves(report.pose, end) > REST_OCTAVES:
            break
        same.append(report)
    return same[::-1]


def _drift_deg_s(reports: list[Report]) -> float:
    """Speed between the middles of the older and of the newer half."""
    half = len(reports) // 2
    older, newer = reports[:half], reports[-half:]
    seconds = max((newer[0].time_s + newer[-1].time_s - older[0].time_s - older[-1].time_s) / 2, 1e-3)
    first = older[0].pose

    def middle(part: list[Report]) -> tuple[float, float]:
        shifts = [_shifts(first, report.pose) for report in part]
        return sum(s["pan"] for s in shifts) / half, sum(s["tilt"] for s in shifts) / half

    (pan, tilt), (later_pan, later_tilt) = middle(older), middle(newer)
    return max(abs(later_pan - pan), abs(later_tilt - tilt)) / seconds


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _octaves(one: Pose, other: Pose) -> float:
    return abs(math.log2(one.zoom / other.zoom))


def _apart_deg(one: Pose, other: Pose) -> float:
    return max(abs(wrap_deg(one.pan_deg - other.pan_deg)), abs(one.tilt_deg - other.tilt_deg))


def _turned(before: Pose, pose: Pose) -> tuple[float, float]:
    return wrap_deg(pose.pan_deg - before.pan_deg), pose.tilt_deg - before.tilt_deg


def _shifts(before: Pose, pose: Pose) -> dict[str, float]:
    return {
        "pan": wrap_deg(pose.pan_deg - before.pan_deg),
        "tilt": pose.tilt_deg - before.tilt_deg,
        "zoom": math.log2(pose.zoom / before.zoom),
    }
