"""Who there is, in world angles: one logical target per person, through changes of track IDs.

A target is found again by its identity (gid), by its track ID, or, under a new ID, where it was expected and with its
size. It knows the directions of boxes, not what is done with them.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np

from ptz.framing.placing import Placed, placed
from ptz.geometry import wrap_deg
from ptz.lens import Lens
from ptz.predictor import Estimate, Outcome, TargetFilter
from ptz.settings import TargetSettings
from ptz.types import Pose, Sightings

SPEED_MEMORY_S = 2.0
FADE_S = 0.6
"""Time in which a speed is forgotten that is not seen any more."""
MOST_BODIES_S = 6.0
"""Nobody who is out of sight is faster than so many heights of their body a second."""
LATE_RUN = 5
"""So many pictures in a row that are older than the newest mean that the clock was set back."""
SIZE_GAIN = 0.2
MOST_KEYS = 8


@dataclass(slots=True)
class Target:
    """One person.

    key          ours, never used twice; stays when the track ID changes
    track_id, gid  newest track of it; identity over all cameras, 0 = none
    epoch        how often it was found again under another track ID
    class_id     its class
    time_s       when it was last measured; `pan_deg`, `tilt_deg` are what was measured then, azimuth 0..360
    width_deg, height_deg  angular size seen from the camera, smoothed
    seen         measured in the newest picture
    confirmed    seen for long enough to count
    former       keys of targets that turned out to be this one
    """

    key: int
    track_id: int
    gid: int
    class_id: int
    first_s: float
    time_s: float
    pan_deg: float
    tilt_deg: float
    width_deg: float
    height_deg: float
    filter: TargetFilter
    epoch: int = 0
    seen: bool = True
    confirmed: bool = False
    former: tuple[int, ...] = ()
    restarts: int = 0
    speeds: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=128))

    def is_called(self, key: int) -> bool:
        """Whether this is, or has become, the target with that key."""
        return key == self.key or key in self.former

    def unseen_s(self, time_s: float) -> float:
        """How long it was not measured, 0 or more."""
        return max(0.0, time_s - self.time_s)

    def at(self, time_s: float) -> Estimate:
        """Where it is at a time after its newest measurement; its speed fades while it is not seen."""
        now = self.filter.at(self.time_s)
        gone_s = self.unseen_s(time_s)
        if not gone_s:
            return now
        left = max(0.0, 1.0 - gone_s / (2.0 * FADE_S))
        way_s = FADE_S * (1.0 - left * left)
        flat = max(0.1, math.cos(math.radians(now.tilt_deg)))
        fast = math.hypot(now.pan_deg_s * flat, now.tilt_deg_s) / (MOST_BODIES_S * self.height_deg)
        if fast > 1.0:
            way_s, left = way_s / fast, left / fast
        return Estimate(
            time_s=time_s,
            pan_deg=(now.pan_deg + now.pan_deg_s * way_s) % 360.0,
            tilt_deg=now.tilt_deg + now.tilt_deg_s * way_s,
            pan_deg_s=now.pan_deg_s * left,
            tilt_deg_s=now.tilt_deg_s * left,
            pan_sigma_deg=math.hypot(now.pan_sigma_deg, now.pan_sigma_deg_s * gone_s),
            tilt_sigma_deg=math.hypot(now.tilt_sigma_deg, now.tilt_sigma_deg_s * gone_s),
            pan_sigma_deg_s=now.pan_sigma_deg_s,
            tilt_sigma_deg_s=now.tilt_sigma_deg_s,
            size_deg=now.size_deg,
        )

    def speed_over(self, seconds: float) -> float | None:
        """Mean speed over the last seconds that it was measured, °/s across the view; None where that is not known."""
        newest = [speed for when, speed in self.speeds if when >= self.time_s - seconds]
        if self.time_s - self.speeds[0][0] < 0.8 * seconds or len(newest) < 3:
            return None
        return sum(newest) / len(newest)


class Targets:
    """All targets of one camera, bounded. `dropped` counts sightings and pictures that were not used, by reason."""

    def __init__(self, settings: TargetSettings) -> None:
        self.settings = settings
        self.dropped: Counter[str] = Counter()
        self.newest_s = -math.inf
        """When the newest picture was taken."""
        self._people: dict[int, Target] = {}
        self._next_key = 1
        self._late_run = 0

    def __len__(self) -> int:
        return len(self._people)

    @property
    def people(self) -> list[Target]:
        """All that are remembered, longest known first."""
        return list(self._people.values())

    def find(self, key: int) -> Target | None:
        """The target that is called so, also by a former key."""
        return next((target for target in self._people.values() if target.is_called(key)), None)

    def forget(self) -> None:
        """Nobody is known any more; what time it is neither."""
        self._people.clear()
        self.newest_s = -math.inf
        self._late_run = 0

    def accepts(self, sightings: Sightings) -> bool:
        """Whether this picture is newer than all before; counts those that are not."""
        time_s = sightings.time_s
        if not math.isfinite(time_s) or sightings.width <= 0 or sightings.height <= 0:
            self.dropped["picture without time or size"] += 1
            return False
        if time_s <= self.newest_s:
            self.dropped["picture doubled" if time_s == self.newest_s else "picture late"] += 1
            self._late_run += time_s < self.newest_s
            if self._late_run < LATE_RUN:
                return False
            self.dropped["clock set back"] += 1
            self.forget()
        self._late_run = 0
        return True

    def observe(self, sightings: Sightings, pose: Pose, lens: Lens, camera_deg_s: float = 0.0) -> None:
        """The objects of a picture that `accepts` has let through, taken with the head at `pose`."""
        self.newest_s = sightings.time_s
        for target in self._people.values():
            target.seen = False
        chosen = self._usable(sightings)
        boxes = placed(sightings, chosen, pose, lens)
        matched = self._match(sightings, chosen, boxes)
        for index, target in matched.items():
            self._measure(target, boxes[index], sightings, camera_deg_s)
        here = {int(sightings.track_ids[index]) for index in range(len(sightings))}
        for index in chosen:
            if index not in matched:
                self._take_up(index, sightings, boxes[index], here, camera_deg_s)
        self._tidy()

    def _usable(self, sightings: Sightings) -> list[int]:
        """Rows that were seen and are boxes of a class that counts, one per track."""
        settings = self.settings
        boxes = np.asarray(sightings.boxes_xyxy, np.float64).reshape(-1, 4)
        sound = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        sound &= (boxes[:, 2] > 0) & (boxes[:, 0] < sightings.width)
        sound &= (boxes[:, 3] > 0) & (boxes[:, 1] < sightings.height)
        chosen, tracks = [], set()
        for index in range(len(sightings)):
            if not sightings.seen[index]:
                continue
            if not sound[index]:
                self.dropped["box is none"] += 1
            elif settings.class_ids and int(sightings.class_ids[index]) not in settings.class_ids:
                self.dropped["class"] += 1
            elif not sightings.scores[index] >= settings.least_score:
                self.dropped["score"] += 1
            elif int(sightings.track_ids[index]) in tracks:
                self.dropped["track doubled"] += 1
            else:
                tracks.add(int(sightings.track_ids[index]))
                chosen.append(index)
        return chosen

    def _match(self, sightings: Sightings, chosen: list[int], boxes: dict[int, Placed]) -> dict[int, Target]:
        """Rows of targets that are known by their identity, or else by their track ID."""
        by_gid = {target.gid: target for target in self._people.values() if target.gid}
        by_track = {target.track_id: target for target in self._people.values()}
        matched: dict[int, Target] = {}
        taken: set[int] = set()
        for index in sorted(chosen, key=lambda row: not sightings.gids[row]):
            gid, track_id = int(sightings.gids[index]), int(sightings.track_ids[index])
            named, tracked = by_gid.get(gid) if gid else None, by_track.get(track_id)
            if tracked is not None and gid and tracked.gid not in (0, gid):
                tracked = None  # this track has become somebody else
            target = named if named is not None and named.key not in taken else tracked
            if target is None or target.key in taken or target.class_id != int(sightings.class_ids[index]):
                continue
            if tracked is not None and tracked is not target and tracked.key not in taken:
                self._merge(target, tracked)
            if target.track_id != track_id:
                self._found_again(target, track_id)
            if gid and target.gid != gid and gid not in by_gid:
                target.gid = gid
            matched[index] = target
            taken.add(target.key)
        return matched

    def _found_again(self, target: Target, track_id: int) -> None:
        target.track_id = track_id
        target.epoch += 1

    def _merge(self, target: Target, other: Target) -> None:
        """`other` turns out to be `target`: its newer measurements are kept, and its key goes on to mean it."""
        if other.time_s > target.time_s:
            target.filter, target.speeds = other.filter, other.speeds
            target.width_deg, target.height_deg = other.width_deg, other.height_deg
        target.first_s = min(target.first_s, other.first_s)
        target.former = (*target.former, *other.former, other.key)[-MOST_KEYS:]
        self._people.pop(other.key, None)

    def _take_up(
        self, index: int, sightings: Sightings, box: Placed, here: set[int], camera_deg_s: float
    ) -> None:
        """A row with an unknown ID: somebody who was lost and is where they were expected, or somebody new."""
        gid, track_id = int(sightings.gids[index]), int(sightings.track_ids[index])
        class_id = int(sightings.class_ids[index])
        best, best_distance = None, 1.0
        for target in self._people.values():
            other = bool(gid and target.gid and gid != target.gid)
            if target.seen or target.track_id in here or target.class_id != class_id or other:
                continue
            distance = self._distance(target, box, sightings.time_s)
            if distance < best_distance:
                best, best_distance = target, distance
        if best is None:
            best = self._start(index, sightings, box)
        else:
            self._found_again(best, track_id)
            best.gid = gid or best.gid
        self._measure(best, box, sightings, camera_deg_s)

    def _distance(self, target: Target, box: Placed, time_s: float) -> float:
        """How far a box is from where a lost target may be: 1 at the edge of the gate, inf where the size differs."""
        settings = self.settings
        if box.whole_height:
            ratio = box.height_deg / target.height_deg
            if not 1.0 / settings.size_ratio <= ratio <= settings.size_ratio:
                return math.inf
        gone_s = target.unseen_s(time_s)
        last = target.filter.at(target.time_s)
        flat = math.cos(math.radians(last.tilt_deg))
        way = np.array([last.pan_deg_s * flat, last.tilt_deg_s]) * gone_s
        to = np.array([wrap_deg(box.pan_deg - last.pan_deg) * flat, box.tilt_deg - last.tilt_deg])
        share = float(np.clip((to @ way) / max(1e-9, float(way @ way)), 0.0, 1.0))
        sigma_deg = math.hypot(last.pan_sigma_deg, last.tilt_sigma_deg)
        bodies = settings.gate_bodies + settings.gate_bodies_s * gone_s
        return float(np.linalg.norm(to - share * way)) / (target.height_deg * bodies + 3.0 * sigma_deg)

    def _start(self, index: int, sightings: Sightings, box: Placed) -> Target:
        target = Target(
            key=self._next_key, track_id=int(sightings.track_ids[index]), gid=int(sightings.gids[index]),
            class_id=int(sightings.class_ids[index]), first_s=sightings.time_s, time_s=sightings.time_s,
            pan_deg=box.pan_deg, tilt_deg=box.tilt_deg, width_deg=box.width_deg, height_deg=box.height_deg,
            filter=TargetFilter(),
        )  # fmt: skip
        self._next_key += 1
        self._people[target.key] = target
        if len(self._people) > self.settings.most:
            oldest = min(self._people.values(), key=lambda one: (one.time_s, -one.key))
            self._people.pop(oldest.key)
            self.dropped["more targets than are remembered"] += 1
        return target

    def _measure(self, target: Target, box: Placed, sightings: Sightings, camera_deg_s: float) -> None:
        box = box.completed(target.width_deg, target.height_deg)
        gain = SIZE_GAIN if target.time_s < sightings.time_s else 1.0
        if box.whole_width:
            target.width_deg += gain * (box.width_deg - target.width_deg)
        if box.whole_height:
            target.height_deg += gain * (box.height_deg - target.height_deg)
        outcome = target.filter.observe(
            sightings.time_s, box.pan_deg, box.tilt_deg, target.height_deg, camera_deg_s
        )
        target.restarts += outcome is Outcome.RESTARTED
        target.time_s, target.seen = sightings.time_s, True
        target.pan_deg, target.tilt_deg = box.pan_deg, box.tilt_deg
        target.confirmed |= target.time_s - target.first_s >= self.settings.confirm_s
        now = target.filter.at(target.time_s)
        flat = math.cos(math.radians(now.tilt_deg))
        target.speeds.append((target.time_s, math.hypot(now.pan_deg_s * flat, now.tilt_deg_s)))
        while target.speeds[0][0] < target.time_s - SPEED_MEMORY_S:
            target.speeds.popleft()

    def _tidy(self) -> None:
        """Forget who was not seen for long, and at once who was seen too briefly to count."""
        for target in self.people:
            gone_s = target.unseen_s(self.newest_s)
            if gone_s > (self.settings.forget_s if target.confirmed else 1.0):
                self._people.pop(target.key)
