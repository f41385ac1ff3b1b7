"""Where a head points, pointed and will point: a model driven by the commands sent, corrected by what the camera tells.

A command acts `command_latency_s` after it was sent and the head then changes its speed as `Plant` says; so the present
and the near future are known without waiting for the camera. What it reports (late, rounded, sometimes wrong) pulls the
model back. Without any report the log is the model alone, and image motion may correct it. Pure: times are given.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, deque
from dataclasses import dataclass

from ptz.axis_path import AxisPath
from ptz.delays import report_age
from ptz.geometry import azimuth_deg, turn_deg, wrap_deg
from ptz.types import GoTo, Pose, Velocity

PAN, TILT, ZOOM = range(3)
KEPT_S = 12.0
"""How far back poses are known."""
FROZEN_S = 1.5
"""Reports that stay the same for longer than this while the head should have moved are not believed."""
FROZEN_DEG = 2.0
CLOCK_SET_S = 1.0
REMEMBERED_S = 6.0
"""Reports of so long tell how old they are."""


@dataclass(frozen=True, slots=True)
class Plant:
    """How a head moves.

    command_latency_s    from sending a command until the head begins to obey
    accel_deg_s2, decel_deg_s2   how fast it gets faster and slower
    jerk_deg_s3          how fast that changes
    most_deg_s           greatest speed of pan and tilt when turning
    goto_deg_s           the same when going to a place
    zoom_octaves_s, zoom_octaves_s2   greatest speed of zoom, and how fast it is reached
    pan_range_deg        (from, to) clockwise where there are stops, None = turns without end
    tilt_range_deg       (least, greatest) elevation
    zoom_range           (least, greatest) ratio
    status_lag_s         how old a reported position is when it arrives: at first, then it is measured
    status_step_deg      smallest step of a reported position
    status_jitter_s      how much that age varies (refresh of the camera, the way of asking): at first, then measured

    Raises ValueError for what no head can have.
    """

    command_latency_s: float = 0.06
    accel_deg_s2: float = 200.0
    decel_deg_s2: float = 200.0
    jerk_deg_s3: float = 2000.0
    most_deg_s: tuple[float, float] = (80.0, 60.0)
    goto_deg_s: tuple[float, float] = (200.0, 150.0)
    zoom_octaves_s: float = 1.16
    zoom_octaves_s2: float = 12.0
    pan_range_deg: tuple[float, float] | None = None
    tilt_range_deg: tuple[float, float] = (-90.0, 90.0)
    zoom_range: tuple[float, float] = (1.0, 1000.0)
    status_lag_s: float = 0.1
    status_step_deg: float = 0.1
    status_jitter_s: float = 0.03

    def __post_init__(self) -> None:
        positive = (self.accel_deg_s2, self.decel_deg_s2, self.jerk_deg_s3, self.zoom_octaves_s2)
        if not all(value > 0 for value in (*positive, *self.most_deg_s, *self.goto_deg_s)):
            raise ValueError("a head's greatest speeds, accelerations and jerk must be above 0")
        if not (0 <= self.command_latency_s < 10 and 0 <= self.status_lag_s < 10):
            raise ValueError("a head's latencies must be from 0 to 10 s")
        for name, (low, high) in (("tilt_range_deg", self.tilt_range_deg), ("zoom_range", self.zoom_range)):
            if not low <= high:
                raise ValueError(f"{name} must rise, not ({low}, {high})")
        if not self.zoom_range[0] > 0:
            raise ValueError(f"zoom ratios must be above 0, not {self.zoom_range[0]}")


class PoseLog:
    """The head's pose at any time.

    refused      reports that were not believed, by reason: `not_a_number`, `out_of_range`, `out_of_order`, `jump`,
                 `frozen`; and those that say nothing new: `repeated` (position), `no_zoom`
    reanchored   how often the head was found somewhere else than our commands could have brought it
    speed_ratio  how much faster than told it really turns, pan and tilt: learned from reports while it turns evenly
    status_lag_s, status_jitter_s  age of reports, as measured against the commands
    """

    def __init__(self, plant: Plant, start: Pose | None = None) -> None:
        """`start` is where the head points first; without it the first report says so (till then 0°, 0°, zoom 1)."""
        self.plant = plant
        self.refused: Counter[str] = Counter()
        self.reanchored = 0
        self.speed_ratio = [1.0, 1.0]
        self.last_command_s = -math.inf
        self.status_lag_s = plant.status_lag_s
        self.status_jitter_s = plant.status_jitter_s
        self._aged_s = -math.inf
        self._known = start is not None
        pose = start or Pose(0.0, 0.0, min(max(0.0, plant.tilt_range_deg[0]), plant.tilt_range_deg[1]))
        self._paths = (AxisPath(pose.pan_deg), AxisPath(pose.tilt_deg), AxisPath(math.log2(pose.zoom)))
        self._fix_times: list[float] = [-math.inf]
        self._fixes: list[tuple[float, float, float]] = [(0.0, 0.0, 0.0)]
        self._latency_s = plant.command_latency_s
        self._acts_s = -math.inf
        self._variance = [0.0, 0.0, 0.0]
        self._checked_s = -math.inf
        self._last: Pose | None = None
        self._changed_s = -math.inf
        self._jumped: tuple[float, float] | None = None
        self._disorder = 0
        self._frozen = False
        self._believed_s = -math.inf
        self._seen: deque[Pose] = deque()

    @property
    def known(self) -> bool:
        """Whether it was ever told where the head points."""
        return self._known

    @property
    def frozen(self) -> bool:
        """Reports stay the same although the head should have moved."""
        return self._frozen

    @property
    def command_latency_s(self) -> float:
        """From sending a command until the head begins to obey, as it is reckoned with now."""
        return self._latency_s

    def set_command_latency(self, command_latency_s: float) -> None:
        """From the next command on: measured while running. Raises ValueError for less than 0 and for 10 s and more."""
        if not 0 <= command_latency_s < 10:
            raise ValueError(f"a command latency must be from 0 to 10 s, not {command_latency_s}")
        self._latency_s = command_latency_s

    def reports_since(self, now_s: float) -> float:
        """Seconds since a report was last believed; infinite where there was none."""
        return now_s - self._believed_s

    # What was sent

    def commanded(self, time_s: float, velocity: Velocity) -> None:
        """A command to turn was sent (what the camera's levels stand for, not what was wished for).

        Raises ValueError for a velocity that is no finite number.
        """
        speeds = (velocity.pan_deg_s, velocity.tilt_deg_s, velocity.zoom_octaves_s)
        if not all(map(math.isfinite, (time_s, *speeds))):
            raise ValueError(f"a command must be finite numbers, not {velocity} at {time_s}")
        acts_s = self._act(time_s)
        plant = self.plant
        most = (*plant.most_deg_s, plant.zoom_octaves_s)
        for axis, path in enumerate(self._paths):
            now = path.at(acts_s)[1]
            ratio = self.speed_ratio[axis] if axis != ZOOM else 1.0
            speed = min(max(speeds[axis] * ratio, -most[axis]), most[axis])
            if axis == ZOOM:
                accel, jerk = plant.zoom_octaves_s2, plant.zoom_octaves_s2 * 10
            else:
                slower = abs(speed) < abs(now) and speed * now >= 0
                accel, jerk = plant.decel_deg_s2 if slower else plant.accel_deg_s2, plant.jerk_deg_s3
            path.turn(acts_s, speed, accel, jerk)
            path.stop_at(*self._limits(axis, acts_s), acts_s)
            self._variance[axis] += ((self.status_jitter_s + 0.01) * (speed - now)) ** 2

    def went_to(self, time_s: float, place: Pose | GoTo) -> None:
        """A command to go to a place was sent. `time_s` of a `Pose` is not looked at."""
        acts_s = self._act(time_s)
        plant, here = self.plant, self.at(acts_s)
        limit = place.max_deg_s if isinstance(place, GoTo) and place.max_deg_s else math.inf
        low, high = plant.tilt_range_deg
        narrow, wide = plant.zoom_range
        turns = (
            turn_deg(here.pan_deg, place.pan_deg, plant.pan_range_deg),
            min(max(place.tilt_deg, low), high) - here.tilt_deg,
            math.log2(min(max(place.zoom, narrow), wide) / here.zoom),
        )
        speeds = (
            min(plant.goto_deg_s[PAN], limit),
            min(plant.goto_deg_s[TILT], limit),
            plant.zoom_octaves_s,
        )
        for axis, path in enumerate(self._paths):
            accel = plant.zoom_octaves_s2 if axis == ZOOM else plant.accel_deg_s2
            path.go_to(acts_s, path.at(acts_s)[0] + turns[axis], speeds[axis], accel)
            self._variance[axis] += (0.02 * turns[axis]) ** 2 + (0.1 if turns[axis] else 0.0)

    def _act(self, time_s: float) -> float:
        """When a command takes effect: never before the one that was sent before it, unless the clock was set back."""
        if time_s < self.last_command_s - CLOCK_SET_S:
            self.last_command_s = self._acts_s = -math.inf
        self.last_command_s = max(time_s, self.last_command_s)
        self._acts_s = max(time_s + self._latency_s, self._acts_s)
        for path in self._paths:
            path.forget_before(time_s - KEPT_S)
        return self._acts_s

    def _limits(self, axis: int, time_s: float) -> tuple[float, float]:
        """Limits of an axis in its path's own numbers, which reports may have moved against the world's."""
        plant, fix = self.plant, self._fix(time_s)[axis]
        if axis == TILT:
            return plant.tilt_range_deg[0] - fix, plant.tilt_range_deg[1] - fix
        if axis == ZOOM:
            return math.log2(plant.zoom_range[0]) - fix, math.log2(plant.zoom_range[1]) - fix
        if plant.pan_range_deg is None:
            return -math.inf, math.inf
        first, last = plant.pan_range_deg
        span = azimuth_deg(last - first) or 360.0
        position = self._paths[PAN].at(time_s)[0]
        low = position + turn_deg(position + fix, first, plant.pan_range_deg)
        return low, low + span

    # What was told

    def reported(self, pose: Pose, zoomed: bool = True) -> str:
        """What the camera told at `pose.time_s`. Returns "" or why it was not believed (also counted in `refused`)."""
        time_s = pose.time_s - self.status_lag_s
        reason = self._impossible(pose, time_s) or self._stale(pose, time_s)
        if not reason:
            reason = self._take(pose, time_s, zoomed)
        if reason:
            self.refused[reason] += 1
        return reason

    def _impossible(self, pose: Pose, time_s: float) -> str:
        if not all(map(math.isfinite, (pose.time_s, pose.pan_deg, pose.tilt_deg))):
            return "not_a_number"
        if abs(pose.tilt_deg) > 95 or abs(pose.pan_deg) > 720:
            return "out_of_range"
        if time_s <= self._checked_s and self._disorder < 3:
            self._disorder += 1
            return "out_of_order"
        if self._disorder >= 3:
            self._believed_s = self._aged_s = -math.inf
            self._seen.clear()
        self._disorder = 0
        return ""

    def _stale(self, pose: Pose, time_s: float) -> str:
        """Whether a report only repeats the one before it although the head has moved meanwhile."""
        last, self._last = self._last, pose
        previous_s, self._checked_s = self._checked_s, time_s
        self._seen.append(pose)
        while self._seen[0].time_s < pose.time_s - REMEMBERED_S:
            self._seen.popleft()
        same = last is not None and (last.pan_deg, last.tilt_deg) == (pose.pan_deg, pose.tilt_deg)
        if not same or not self._known or previous_s > time_s:
            self._frozen, self._changed_s = False, time_s
            return ""
        moved = max(
            abs(self._model(time_s)[axis] - self._model(self._changed_s)[axis]) for axis in (PAN, TILT)
        )
        if self._frozen or (moved > FROZEN_DEG and time_s - self._changed_s > FROZEN_S):
            self._frozen = True
            return "frozen"
        return "repeated" if moved > max(2.5 * self.plant.status_step_deg, 0.3) else ""

    def _take(self, pose: Pose, time_s: float, zoomed: bool) -> str:
        model, fix = self._model(time_s), self._fix(time_s)
        wrong = [
            wrap_deg(pose.pan_deg - model[PAN] - fix[PAN]),
            pose.tilt_deg - model[TILT] - fix[TILT],
            0.0,
        ]
        if zoomed and 0.5 < pose.zoom < 2000:
            wrong[ZOOM] = math.log2(pose.zoom) - model[ZOOM] - fix[ZOOM]
        else:
            self.refused["no_zoom"] += 1
        if not self._known:
            self._known, self._believed_s = True, time_s
            self._anchor(time_s, tuple(a + b for a, b in zip(fix, wrong, strict=True)), everywhere=True)
            return ""
        self._learn_age(pose.time_s)
        if self._far(wrong, time_s):
            return self._jump(time_s, fix, wrong)
        self._jumped = None
        self._correct(time_s, fix, wrong)
        return ""

    def _far(self, wrong: list[float], time_s: float) -> bool:
        """Whether a report is further off than explained by what is unsure: times, speeds, and how long it is alone."""
        span_s = 0.2 + 3 * self.status_jitter_s
        alone = 4.0 * min(max(time_s - self._believed_s - 0.5, 0.0), 10.0)
        around = [time_s + span_s * step / 3 for step in range(-3, 4)]
        return any(
            abs(wrong[axis]) > 3.0 + alone + 0.25 * max(abs(self._paths[axis].at(at_s)[1]) for at_s in around)
            for axis in (PAN, TILT)
        )

    def _learn_age(self, now_s: float) -> None:
        """How old reports are, once a second: what changes the head's speed shows it."""
        if now_s < self._aged_s + 1.0:
            return
        self._aged_s = now_s
        reports = [
            pose
            for before, pose in zip(self._seen, list(self._seen)[1:], strict=False)
            if (before.pan_deg, before.tilt_deg) != (pose.pan_deg, pose.tilt_deg)
        ]
        age = report_age(reports, lambda time_s: self._model(time_s)[:2])
        if age is not None:
            self.status_lag_s += 0.3 * (age.lag_s - self.status_lag_s)
            jitter_s = min(max(age.jitter_s, 0.01), 0.3)
            self.status_jitter_s += 0.3 * (jitter_s - self.status_jitter_s)

    def _jump(self, time_s: float, fix: tuple[float, ...], wrong: list[float]) -> str:
        """Once may be a lie; the same place twice is where the head is."""
        before, self._jumped = self._jumped, (wrong[PAN], wrong[TILT])
        near = before is not None and (
            abs(wrap_deg(wrong[PAN] - before[PAN])) < 3 and abs(wrong[TILT] - before[TILT]) < 3
        )
        if not near:
            return "jump"
        self._jumped = None
        self.reanchored += 1
        self._believed_s = time_s
        self._anchor(time_s, tuple(a + b for a, b in zip(fix, wrong, strict=True)))
        return ""

    def _correct(self, time_s: float, fix: tuple[float, ...], wrong: list[float]) -> None:
        """Pull the model towards a report by as much as the report is the surer one of the two."""
        plant = self.plant
        since_s = min(max(self._believed_s, time_s - 5.0), time_s)
        model, before = self._model(time_s), self._model(since_s)
        fixed = []
        for axis in (PAN, TILT, ZOOM):
            went = model[axis] - before[axis]
            self._variance[axis] += (0.1 * went) ** 2 + 1e-4 * (time_s - since_s)
            speed = max(abs(self._paths[axis].at(at_s)[1]) for at_s in (since_s, time_s))
            noise = (self.status_jitter_s * speed) ** 2
            noise += (plant.status_step_deg / 3) ** 2 if axis != ZOOM else 0.02**2
            gain = self._variance[axis] / (self._variance[axis] + noise)
            self._variance[axis] *= 1 - gain
            fixed.append(fix[axis] + gain * wrong[axis])
            if axis != ZOOM:
                self._learn_ratio(axis, (since_s, time_s), went, wrong[axis])
        self._believed_s = time_s
        self._anchor(time_s, tuple(fixed))

    def _learn_ratio(self, axis: int, span: tuple[float, float], went: float, wrong: float) -> None:
        """How much faster than told an axis turns; only from even turning, where a wrong time changes nothing."""
        earlier, start, end = (self._paths[axis].at(at_s)[1] for at_s in (span[0] - 0.3, *span))
        even = max(abs(end - start), abs(end - earlier)) < 0.02 * abs(end)
        blur = self.status_jitter_s * abs(end)
        if even and abs(went) > 0.5:
            learned = self.speed_ratio[axis] + 0.1 * wrong * went / (went * went + 4.0 + 4 * blur * blur)
            self.speed_ratio[axis] = min(max(learned, 0.4), 2.5)

    def turned(self, from_s: float, to_s: float, pan_deg: float, tilt_deg: float) -> None:
        """Image motion says how far the head turned between two pictures: corrects the model where reports fail.

        Raises ValueError for what is no finite number or runs backwards in time.
        """
        if not (all(map(math.isfinite, (pan_deg, tilt_deg))) and from_s < to_s):
            raise ValueError(f"no turn: {pan_deg}°, {tilt_deg}° from {from_s} to {to_s}")
        before, after = self.at(from_s), self.at(to_s)
        wrong_pan = wrap_deg(pan_deg - wrap_deg(after.pan_deg - before.pan_deg))
        wrong_tilt = tilt_deg - (after.tilt_deg - before.tilt_deg)
        pan, tilt, zoom = self._fix(to_s)
        self._anchor(to_s, (pan + 0.8 * wrong_pan, tilt + 0.8 * wrong_tilt, zoom))

    # Where it points

    def at(self, time_s: float) -> Pose:
        """Pose at a time: past by interpolation, future as the commands in flight will have it."""
        pan, tilt, zoom = (a + b for a, b in zip(self._model(time_s), self._fix(time_s), strict=True))
        return Pose(time_s, azimuth_deg(pan), min(max(tilt, -90.0), 90.0), 2.0**zoom)

    def velocity_at(self, time_s: float) -> Velocity:
        """Velocity at a time."""
        return Velocity(*(path.at(time_s)[1] for path in self._paths))

    def settled(self, now_s: float, stable_s: float = 0.3) -> bool:
        """Nothing in flight, and neither model nor reports have moved for `stable_s`."""
        for path in self._paths:
            since = path.rests_since
            if since is None or since > now_s - stable_s:
                return False
        recent = [pose for pose in self._seen if pose.time_s > now_s - stable_s - self.status_lag_s]
        step = max(1.5 * self.plant.status_step_deg, 0.15)
        return all(
            abs(wrap_deg(pose.pan_deg - recent[-1].pan_deg)) <= step
            and abs(pose.tilt_deg - recent[-1].tilt_deg) <= step
            for pose in recent
        )

    def _model(self, time_s: float) -> tuple[float, float, float]:
        pan, tilt, zoom = self._paths
        return pan.at(time_s)[0], tilt.at(time_s)[0], zoom.at(time_s)[0]

    def _fix(self, time_s: float) -> tuple[float, float, float]:
        """How far the model is off at a time: linear between reports, constant before the first and after the last."""
        after = bisect_right(self._fix_times, time_s)
        if after == 0:
            return self._fixes[0]
        if after == len(self._fixes) or math.isinf(self._fix_times[after - 1]):
            return self._fixes[min(after, len(self._fixes)) - 1]
        start, end = self._fix_times[after - 1], self._fix_times[after]
        share = (time_s - start) / (end - start)
        a, b = self._fixes[after - 1], self._fixes[after]
        return (
            a[0] + share * (b[0] - a[0]),
            a[1] + share * (b[1] - a[1]),
            a[2] + share * (b[2] - a[2]),
        )

    def _anchor(self, time_s: float, fix: tuple[float, ...], everywhere: bool = False) -> None:
        while self._fix_times and (everywhere or self._fix_times[-1] >= time_s):
            self._fix_times.pop()
            self._fixes.pop()
        self._fix_times.append(time_s)
        self._fixes.append((fix[0], fix[1], fix[2]))
        old = bisect_right(self._fix_times, time_s - KEPT_S) - 1
        if old > 0:
            del self._fix_times[:old], self._fixes[:old]
