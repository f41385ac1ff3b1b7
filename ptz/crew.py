"""Several cameras over one scene: who owns a person, where the next one waits for them, what fixed ones show heads.

Each head goes on following by its own policy what it sees itself. The crew adds what no camera knows alone: a chosen
person is chosen for all of them; the camera that sees them best owns them (`ptz.handoff`); and a head that has nobody
is turned to where somebody is about to appear, told by the owner's view or by a fixed camera. Which direction of one
camera is which of another is learned from people whom both see (`ptz.mapping`). Pure: times are arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ptz.follower import Follower
from ptz.framing.targets import Target
from ptz.geometry import turn_deg
from ptz.handoff import Bid, Handoff, HandoffSettings, Owned, Station
from ptz.mapping import Mapping as Directions
from ptz.types import Decision, FollowState, GoTo, Pose, Sightings, Stay, Velocity

FREE = (
    FollowState.IDLE,
    FollowState.HOLDING,
    FollowState.WIDENING,
    FollowState.SEARCHING,
    FollowState.RETURNING,
)
"""What a head does that may be sent somewhere else."""
TICK_S = 0.1
SAME_TIME_S = 0.15
"""Sightings of two cameras that are this close are of the same moment."""
FRESH_S = 1.0
LEAST_TRUST = 0.3
AGAIN_DEG = 3.0
"""A head that waits is not sent anew for less."""


@dataclass(slots=True)
class _Seen:
    """What a camera saw last: places of feet by identity (pixels of a fixed camera, degrees of a head).

    alone  the place of the only one who was seen, None where there were none or several
    """

    time_s: float
    by_gid: dict[int, tuple[float, float]] = field(default_factory=dict)
    alone: tuple[float, float] | None = None


class Crew:
    """The cameras of one scene. Not thread-safe.

    followers  the heads, by camera
    stations   where each of them can look
    guides     fixed cameras, by the head that they show where to look
    """

    def __init__(
        self,
        followers: Mapping[str, Follower],
        stations: Sequence[Station],
        guides: Mapping[str, Sequence[str]] | None = None,
        settings: HandoffSettings | None = None,
    ) -> None:
        self.followers = dict(followers)
        self.guides = {head: tuple(names) for head, names in (guides or {}).items()}
        self.mappings: dict[tuple[str, str], Directions] = {}
        for head in self.followers:
            for other in self.followers:
                if other != head:
                    self.mappings[other, head] = Directions()
        self.handoff = Handoff(settings or HandoffSettings(), stations, self.mappings)
        self.owned: list[Owned] = []
        """Whom who owns, as of the newest `tick`."""
        self._seen: dict[str, _Seen] = {}
        self._waiting: dict[str, GoTo] = {}
        self._tick_s = 0.0

    def member(self, camera: str) -> Member:
        """What the pilot of this camera's head asks instead of the follower."""
        return Member(self, camera)

    # What is seen

    def observe(self, camera: str, sightings: Sightings, now_s: float) -> None:
        """A fixed camera's sightings. (What heads see they know from their followers.)"""
        feet = {
            int(gid) or -int(track_id): ((float(left) + float(right)) / 2, float(bottom))
            for gid, track_id, (left, _, right, bottom), seen in zip(
                sightings.gids, sightings.track_ids, sightings.boxes_xyxy, sightings.seen, strict=True
            )
            if seen
        }
        self._take(camera, sightings.time_s, feet)
        for head, names in self.guides.items():
            if camera in names and (camera, head) not in self.mappings:
                self.mappings[camera, head] = Directions(sightings.width, sightings.height)
        self._learn(camera)
        self.tick(now_s)

    def observed(self, camera: str, now_s: float) -> None:
        """This head's follower has taken a picture."""
        follower = self.followers[camera]
        people = [one for one in follower.targets.people if one.seen and one.confirmed]
        feet = {one.gid or -one.key: _foot(one) for one in people}
        self._take(camera, follower.targets.newest_s, feet)
        self._learn(camera)
        for one in follower.targets.people:
            if one.confirmed and now_s - one.time_s < FRESH_S:
                self.handoff.bid(_bid(camera, one))
        self.tick(now_s)

    def _take(self, camera: str, time_s: float, feet: dict[int, tuple[float, float]]) -> None:
        named = {gid: place for gid, place in feet.items() if gid > 0}
        alone = next(iter(feet.values())) if len(feet) == 1 else None
        self._seen[camera] = _Seen(time_s, named, alone)

    def _learn(self, camera: str) -> None:
        """Pairs of places of the same person at the same moment, with every camera that is related to this one."""
        here = self._seen[camera]
        for (source, target), mapping in self.mappings.items():
            if camera not in (source, target):
                continue
            there = self._seen.get(target if camera == source else source)
            if there is None or abs(there.time_s - here.time_s) > SAME_TIME_S:
                continue
            first, second = (here, there) if camera == source else (there, here)
            common = first.by_gid.keys() & second.by_gid.keys()
            for gid in common:
                mapping.learn(first.by_gid[gid], *second.by_gid[gid])
            if not first.by_gid and not second.by_gid and first.alone and second.alone:
                mapping.learn(first.alone, *second.alone)

    # What follows from it

    def tick(self, now_s: float) -> None:
        """Decide anew who owns whom and who waits where; at most every `TICK_S`."""
        if 0 <= now_s - self._tick_s < TICK_S:
            return
        self._tick_s = now_s
        self.owned = self.handoff.decide(now_s)
        waiting: dict[str, GoTo] = {}
        for head in self.guides:
            place = self._shown_by_guides(head, now_s)
            if place is not None:
                waiting[head] = place
        for owned in self.owned:
            waiting.update(owned.prepare)
        self._waiting = waiting

    def _shown_by_guides(self, head: str, now_s: float) -> GoTo | None:
        """Where a fixed camera sees the person whom this head is to follow: the chosen one, or else anybody."""
        wanted = self._wanted(head)
        for guide in self.guides[head]:
            seen, mapping = self._seen.get(guide), self.mappings.get((guide, head))
            if seen is None or mapping is None or now_s - seen.time_s > FRESH_S:
                continue
            place = (
                seen.by_gid.get(wanted) if wanted else seen.alone or next(iter(seen.by_gid.values()), None)
            )
            found = mapping.direction(place) if place is not None else None
            if found is not None and found.trust >= LEAST_TRUST:
                pose = self.followers[head].log.at(now_s)
                return GoTo(found.pan_deg, found.tilt_deg, min(pose.zoom, 2.0))
        return None

    def _wanted(self, head: str) -> int:
        """The identity that this head was told to follow, 0 = none in particular."""
        return int(getattr(self.followers[head].policy, "gid", 0))

    def choose(self, camera: str) -> None:
        """Somebody was chosen on this camera: chosen for all, if all can know them."""
        gid = self._wanted(camera)
        for name, follower in self.followers.items():
            if gid and name != camera:
                follower.select(gid=gid)

    def waits_at(self, camera: str) -> GoTo | None:
        """Where this head shall wait for somebody, None where it has better to do or nobody is expected."""
        return self._waiting.get(camera)

    def owns(self, camera: str) -> list[int]:
        """Targets that this camera owns."""
        return [owned.target for owned in self.owned if owned.owner == camera]

    def told(self, camera: str) -> dict[str, Any]:
        """For /health: whom it owns, where it waits, how well it knows the other cameras."""
        place = self._waiting.get(camera)
        return {
            "owns": self.owns(camera),
            "waits_at": None if place is None else [round(place.pan_deg, 1), round(place.tilt_deg, 1)],
            "mappings": {
                source: mapping.explain()
                for (source, target), mapping in self.mappings.items()
                if target == camera
            },
        }


class Member:
    """A head of the crew, for its pilot: the follower's interface, with the crew's word where the head is free."""

    def __init__(self, crew: Crew, camera: str) -> None:
        self.crew = crew
        self.camera = camera
        self.follower = crew.followers[camera]
        self._sent: GoTo | None = None

    @property
    def state(self) -> FollowState:
        """The follower's."""
        return self.follower.state

    def observe(self, sightings: Sightings, now_s: float | None = None) -> None:
        """The follower's, and the crew's."""
        self.follower.observe(sightings, now_s)
        self.crew.observed(self.camera, sightings.time_s if now_s is None else now_s)

    def reported(self, pose: Pose, zoomed: bool = True) -> None:
        """The follower's."""
        self.follower.reported(pose, zoomed)

    def commanded(self, time_s: float, velocity: Velocity) -> None:
        """The follower's."""
        self.follower.commanded(time_s, velocity)

    def went_to(self, time_s: float, pose: Pose | GoTo) -> None:
        """The follower's."""
        self.follower.went_to(time_s, pose)

    def image_moved(self, from_s: float, to_s: float, pan_deg: float, tilt_deg: float) -> None:
        """The follower's."""
        self.follower.image_moved(from_s, to_s, pan_deg, tilt_deg)

    def operator(self, now_s: float) -> None:
        """The follower's."""
        self.follower.operator(now_s)

    def resume(self) -> None:
        """The follower's."""
        self.follower.resume()

    def set_policy(self, name: str, **options: Any) -> None:
        """The follower's; who is chosen is chosen for all."""
        self.follower.set_policy(name, **options)
        if name == "selected":
            self.crew.choose(self.camera)

    def select(self, track_id: int | None = None, gid: int | None = None) -> int:
        """The follower's; who is chosen is chosen for all."""
        key = self.follower.select(track_id=track_id, gid=gid)
        self.crew.choose(self.camera)
        return key

    def decide(self, now_s: float) -> Decision:
        """What the follower decides; while it has nobody, going to where somebody is expected."""
        self.crew.tick(now_s)
        decision = self.follower.decide(now_s)
        place = self.crew.waits_at(self.camera)
        if place is None or self.follower.state not in FREE:
            self._sent = None
            return decision
        if self._sent is not None and _near(self._sent, place):
            return Stay()
        self._sent = place
        return place

    def explain(self) -> str:
        """The follower's, and where it waits."""
        place = self._sent
        if place is None:
            return self.follower.explain()
        return f"waiting at {place.pan_deg:.0f}°, {place.tilt_deg:.0f}° for who is about to come"

    def told(self) -> dict[str, object]:
        """The follower's, and the crew's."""
        return {**self.follower.told(), "crew": self.crew.told(self.camera)}


def _foot(target: Target) -> tuple[float, float]:
    return target.pan_deg, target.tilt_deg - target.height_deg / 2


def _bid(camera: str, target: Target) -> Bid:
    now = target.at(target.time_s)
    return Bid(
        camera=camera,
        time_s=target.time_s,
        target=target.gid,
        pan_deg=target.pan_deg,
        tilt_deg=target.tilt_deg - target.height_deg / 2,
        height_deg=target.height_deg,
        pan_deg_s=now.pan_deg_s,
        tilt_deg_s=now.tilt_deg_s,
        seen=target.seen,
    )


def _near(one: GoTo, other: GoTo) -> bool:
    pan = abs(turn_deg(one.pan_deg, other.pan_deg, None))
    return (
        pan < AGAIN_DEG
        and abs(one.tilt_deg - other.tilt_deg) < AGAIN_DEG
        and abs(one.zoom / other.zoom - 1) < 0.3
    )
