"""From sightings to decisions for one camera's head. Pure: times are arguments, nothing is read or sent.

It knows where people are (in world angles, by the pose at the time of each picture), whom the policy wants to show, how
large, what to do when they are lost, and how far the head may turn. The law (`ptz.laws`) turns an aim into a speed. It
does not know pictures, cameras or protocols.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from engine.errors import PtzRefused
from ptz.framing.aiming import RAMP_S, Aiming
from ptz.framing.base import Framing, Moment, create_policy
from ptz.framing.fence import Fence
from ptz.framing.latency_meter import LatencyMeter
from ptz.framing.loss import SEEN_S, Ladder, coasting_share, step_of
from ptz.framing.pictures import PictureClock
from ptz.framing.placing import view_of
from ptz.framing.pointing import selection, track_at
from ptz.framing.selected import Selected
from ptz.framing.source_clock import SourceClock
from ptz.framing.targets import Target, Targets
from ptz.laws.base import Law
from ptz.lens import Lens
from ptz.pose_log import Plant, PoseLog
from ptz.settings import FollowSettings, Limits, with_options
from ptz.types import Decision, FollowState, GoTo, GoToPreset, Pose, Sightings, Stay, Turn, Velocity

BLIND_S = 3.0
"""Without a believed report for this long, image motion corrects the pose."""
CATCH_UP_S = 8.0
"""Longest time that the head is on its way to a target that it cannot see from where it is."""


class Follower:
    """Follows with one head. One instance per camera; not thread-safe.

    Call `observe` for every picture's result (also an empty one), `reported`, `commanded` and `went_to` for what the
    head says and was told, and `decide` at up to 10 Hz.
    """

    def __init__(self, settings: FollowSettings, lens: Lens, plant: Plant, law: Law) -> None:
        self.lens = lens
        self.plant = plant
        self.law = law
        self.log = PoseLog(plant)
        """Where the head pointed and will point; shared with what calibrates."""
        self.targets = Targets(settings.targets)
        self.pictures = PictureClock()
        self.latency = LatencyMeter(settings.image_latency_s)
        self.source_clock = SourceClock()
        self._state = FollowState.IDLE
        self._why = ""
        self._followed: Framing | None = None
        self._given_up_s = -math.inf
        self._operator_s: float | None = None
        self._sightings: Sightings | None = None
        self._given: Decision = Stay()
        self._law_turn = Velocity()
        self._leg: object = None
        self._now_s = 0.0
        self._subject: tuple[int, ...] | None = None
        self.aiming: Aiming
        self.ladder: Ladder
        self._take(settings)

    def _take(self, settings: FollowSettings) -> None:
        plant = self.plant
        old = getattr(self, "_settings", None)
        self._settings = settings
        self.targets.settings = settings.targets
        # The model knows our limits as stops, so that a way round is never the one through what is forbidden.
        self.log.plant = replace(plant, pan_range_deg=settings.limits.pan_deg or plant.pan_range_deg)
        reach = Limits(plant.pan_range_deg, plant.tilt_range_deg, plant.zoom_range)
        self.fence = Fence(settings.limits, reach, plant.decel_deg_s2)
        if old is None or old.policy != settings.policy:
            self.policy = create_policy(settings.policy, settings)
            self._leg = None
        self.policy.settings = settings
        start = self.ladder.start if old is not None else None
        self.ladder = Ladder(settings, self.lens, self.fence.zoom)
        self.ladder.start = start
        view = self.aiming.view if old is not None else None
        self.aiming = Aiming(settings, self.lens, self.fence)
        self.aiming.view = view

    # What it is told

    @property
    def settings(self) -> FollowSettings:
        """As they are now. Assigning changes them while it runs; targets and poses are kept."""
        return self._settings

    @settings.setter
    def settings(self, settings: FollowSettings) -> None:
        if settings.image_latency_s != self._settings.image_latency_s:
            self.latency = LatencyMeter(settings.image_latency_s)
        self._take(settings)

    def observe(self, sightings: Sightings, now_s: float | None = None) -> None:
        """The objects of one picture; `sightings.time_s` is when it arrived, `now_s` when its result did (None: by the
        next `decide`). Late, doubled and older pictures and boxes that are none are dropped and counted.
        """
        steady_s = self.source_clock.steady_s(sightings.time_s, sightings.source_s)
        taken = replace(sightings, time_s=self.latency.taken_s(steady_s))
        if not self.targets.accepts(taken):
            return
        self.pictures.came(sightings.time_s, now_s)
        pose, velocity = self.log.at(taken.time_s), self.log.velocity_at(taken.time_s)
        self.targets.observe(taken, pose, self.lens, math.hypot(velocity.pan_deg_s, velocity.tilt_deg_s))
        self.aiming.view = view_of(taken, pose, self.lens)
        self._sightings = taken
        self.latency.saw(steady_s, self.targets.people, pose)

    @property
    def image_latency_s(self) -> float:
        """How old the newest picture was when it arrived: as set at first, measured since the head first moved, and
        told by the camera's own clock where that is known."""
        return self.latency.latency_s + self.source_clock.late_s

    def reported(self, pose: Pose, zoomed: bool = True) -> None:
        """What the camera said of its head, when it said so. `zoomed`: the zoom was told, and not assumed."""
        self.log.reported(pose, zoomed)

    def commanded(self, time_s: float, velocity: Velocity) -> None:
        """A turn was sent to the camera at that time."""
        self.log.commanded(time_s, velocity)

    def went_to(self, time_s: float, pose: Pose | GoTo) -> None:
        """An absolute move was sent to the camera at that time."""
        self.log.went_to(time_s, pose)

    def image_moved(self, from_s: float, to_s: float, pan_deg: float, tilt_deg: float) -> None:
        """Between two pictures (times of arrival) the view turned by so much. Used where the camera does not tell its
        position; what is not finite or not in order is left out."""
        if not (math.isfinite(pan_deg) and math.isfinite(tilt_deg) and from_s < to_s):
            self.targets.dropped["image motion that is none"] += 1
            return
        late_s = self.source_clock.late_s
        self.latency.turned(from_s - late_s, to_s - late_s, pan_deg, tilt_deg)
        if self.log.reports_since(to_s) > BLIND_S:
            self.log.turned(from_s - self.image_latency_s, to_s - self.image_latency_s, pan_deg, tilt_deg)

    def operator(self, now_s: float) -> None:
        """An operator has just commanded the head: hands off until `manual.resume_s` later."""
        self._operator_s = now_s
        self.ladder.start = None  # it is where the operator leaves it
        self._state = FollowState.MANUAL
        self._rest(Stay())

    def resume(self) -> None:
        """Take the head back from the operator at once."""
        self._operator_s = None

    def set_policy(self, name: str, **options: Any) -> None:
        """Change whom it follows; `options` are fields of that policy's settings. Raises `PtzRefused`."""
        if name == "selected" and options:
            self.select(**selection(options))
            return
        self.settings = with_options(self._settings, name, options)

    def select(
        self,
        track_id: int | None = None,
        gid: int | None = None,
        point: tuple[float, float] | None = None,
        box_xyxy: tuple[float, float, float, float] | None = None,
    ) -> int:
        """Follow this one (policy `selected`): by track, by identity, or by a clicked pixel or drawn box of the newest
        picture. Returns the target's key, 0 for an identity that is not seen yet. Raises `PtzRefused` where nobody is
        there.
        """
        target = self._pointed_at(track_id, gid, point, box_xyxy)
        if target is None and not gid:
            raise PtzRefused("nobody is there to be selected: the track is gone, or the point is in no box")
        self.settings = replace(self._settings, policy="selected")
        assert isinstance(self.policy, Selected)
        self.policy.key = 0 if target is None else target.key
        self.policy.gid = gid or (0 if target is None else target.gid)
        self._given_up_s = -math.inf
        return self.policy.key

    def _pointed_at(
        self,
        track_id: int | None,
        gid: int | None,
        point: tuple[float, float] | None,
        box_xyxy: tuple[float, float, float, float] | None,
    ) -> Target | None:
        people = self.targets.people
        if gid:
            return next((one for one in people if one.gid == gid), None)
        if track_id is None and self._sightings is not None:
            track_id = track_at(self._sightings, point, box_xyxy)
        return next((one for one in people if one.track_id == track_id), None)

    # What it decides

    @property
    def state(self) -> FollowState:
        """What it does, as of the newest decision."""
        return self._state

    def decide(self, now_s: float) -> Decision:
        """What the head shall do now. Raises ValueError for a time that is none."""
        if not math.isfinite(now_s):
            raise ValueError(f"the time must be a number, not {now_s}")
        self._now_s = now_s
        self.pictures.tick(now_s)
        self.latency.measure(self.log, now_s)
        if self.targets.newest_s > now_s + 0.5:
            self.targets.dropped["clock ahead"] += 1
            self.targets.forget()
        decision = self._decide(now_s)
        if not isinstance(decision, Stay):
            self._given = decision
        return decision

    def _decide(self, now_s: float) -> Decision:
        resting = self._hands_off(now_s)
        if resting is not None:
            return resting
        pose = self.log.at(now_s)
        if self.ladder.start is None and self.log.known:
            self.ladder.start = pose
        moment = Moment(
            self.targets.newest_s, now_s, pose, self.aiming.widest_deg, self.aiming.aspect
        )  # fmt: skip
        choice = self.policy.choose(self.targets.people, moment)
        if isinstance(choice, GoToPreset):
            return self._tour(choice)
        self._leg = None
        if choice is not None and choice.is_place:
            self._followed = None
            return self._follow(choice, pose, 0.0)
        silent_s = self.pictures.silent_s(now_s, self._settings.loss)
        if silent_s > 0 and self._state not in (FollowState.RETURNING, FollowState.IDLE):
            return self._slow_down(silent_s)
        framing = choice or self._followed
        if framing is None or framing.seen_s <= self._given_up_s:
            return self._idle()
        return self._step(framing, pose)

    def _hands_off(self, now_s: float) -> Decision | None:
        """What an operator, or nobody, does with the head; None where it is ours."""
        if self._operator_s is not None:
            resume_s = self._settings.manual.resume_s
            if not resume_s or now_s - self._operator_s < resume_s:
                self._state, self._why = FollowState.MANUAL, "an operator has the head"
                return Stay()
            self._operator_s = None
        if self._settings.policy == "manual":
            self._state, self._why = FollowState.MANUAL, self.policy.explain()
            return self._rest(Stay())
        if self._settings.policy == "off":
            self._state, self._why = FollowState.PAUSED, self.policy.explain()
            return self._stand()
        return None

    def _step(self, framing: Framing, pose: Pose) -> Decision:
        """Follow, or do what is to be done so long after the target was seen."""
        unseen_s = max(0.0, self.targets.newest_s - framing.seen_s)
        step = step_of(unseen_s, self._settings.loss)
        if step in (FollowState.FOLLOWING, FollowState.COASTING):
            return self._follow(framing, pose, unseen_s)
        if unseen_s < CATCH_UP_S and self.aiming.catching_up(framing, pose):
            return self._follow(framing, pose, SEEN_S + 1e-3)
        self._state = step
        self.aiming.rule.lost()
        self._why = f"{framing.why}; not seen for {unseen_s:.1f} s"
        if step is FollowState.IDLE:
            return self._give_up(framing)
        decision = self.ladder.decide(step, pose, self.log.settled(pose.time_s, 1.0), unseen_s)
        if self.ladder.returned:
            return self._give_up(framing)
        self.law.reset()
        self._law_turn = Velocity()
        if isinstance(decision, Turn):
            return self._limited(decision, 1.0)
        return decision

    def _give_up(self, framing: Framing) -> Decision:
        self._given_up_s = framing.seen_s
        return self._idle()

    def _follow(self, framing: Framing, pose: Pose, unseen_s: float) -> Decision:
        self._change_subject(framing)
        certain = unseen_s <= SEEN_S
        self._state = FollowState.FOLLOWING if certain else FollowState.COASTING
        reaction_s = (
            self.image_latency_s + self.pictures.processing_s + self.log.command_latency_s + RAMP_S
        )  # fmt: skip
        aim = self.aiming.aim(framing, pose, reaction_s, certain)
        if not framing.is_place:
            self._followed = framing
            if certain:
                self.ladder.remember(framing, pose)
        self._why = f"{framing.why}; zoom by {self.aiming.rule.why}"
        decision = self.law.decide(aim, self.log, pose.time_s)
        if isinstance(decision, GoTo):
            pan_deg, tilt_deg = self.fence.place(decision.pan_deg, decision.tilt_deg)
            zoom = self.fence.ratio(decision.zoom)
            return replace(decision, pan_deg=pan_deg, tilt_deg=tilt_deg, zoom=zoom)
        return self._limited(decision, coasting_share(unseen_s, self._settings.loss))

    def _change_subject(self, framing: Framing) -> None:
        """What was learned from somebody else says nothing about these."""
        before, self._subject = self._subject, framing.members
        if before is None or (before != framing.members and not set(before) & set(framing.members)):
            self.aiming.rule.reset()
            self.law.reset()

    def _limited(self, decision: Turn | Stay, share: float) -> Decision:
        """A law's decision within the limits, with `share` of its speed."""
        if isinstance(decision, Stay) and not isinstance(self._given, Turn):
            return decision
        if isinstance(decision, Turn):
            self._law_turn = decision.velocity
        wished, scope, zoom = self._law_turn, self._settings.scope, self._settings.zoom
        octaves = min(max(wished.zoom_octaves_s, -zoom.out_octaves_s), zoom.in_octaves_s)
        wished = Velocity(
            wished.pan_deg_s * share,
            wished.tilt_deg_s * share if scope != "p" else 0.0,
            octaves if scope == "ptz" else 0.0,
        )
        acts = self.log.at(self._now_s + self.log.command_latency_s)
        turn = Turn(self.fence.speed(wished, acts))
        return Stay() if isinstance(decision, Stay) and turn == self._given else turn

    def _slow_down(self, silent_s: float) -> Decision:
        """No pictures: nobody knows what is there. Slow down to a stop."""
        stop_s = self._settings.loss.stall_stop_s
        share = 1.0 - silent_s / stop_s if stop_s else 0.0
        self._why = f"no pictures for {silent_s + self._settings.loss.stall_s:.1f} s"
        if share <= 0:
            self._state = FollowState.HOLDING
            return self._stand()
        self._state = FollowState.COASTING
        if not isinstance(self._given, Turn):
            return Stay()
        wished = self._law_turn
        return Turn(Velocity(wished.pan_deg_s * share, wished.tilt_deg_s * share, 0.0))

    def _tour(self, choice: GoToPreset) -> Decision:
        self._followed = None
        self._why = self.policy.explain()
        self._state = FollowState.TOURING
        leg = (choice.preset, getattr(self.policy, "leg", 0))
        if leg == self._leg:
            return Stay()
        self._leg = leg
        return self._rest(choice)

    def _idle(self) -> Decision:
        self._followed = self._subject = None
        self._state, self._why = FollowState.IDLE, self.policy.explain()
        return self._stand()

    def _stand(self) -> Decision:
        """Stop what turns; what goes to a place may arrive."""
        turning = isinstance(self._given, Turn) and not self._given.velocity.is_zero
        return self._rest(Turn(Velocity()) if turning else Stay())

    def _rest(self, decision: Decision) -> Decision:
        """The law is out of the game with this decision."""
        self.law.reset()
        self._law_turn = Velocity()
        self._given = decision
        return decision

    # What it says

    def explain(self) -> str:
        """Why it does what it does, one line for people."""
        return f"{self._state}: {self._why}" if self._why else str(self._state)

    def told(self) -> dict[str, object]:
        """For `/health` and the dashboard: state, why, policy, who is framed, counts of what was dropped and why."""
        framed = self._followed.members if self._followed is not None else ()
        who = [target for target in map(self.targets.find, framed) if target is not None]
        return {
            "state": str(self._state),
            "why": self._why,
            "policy": self._settings.policy,
            "targets": [
                {"track_id": one.track_id, "gid": one.gid, "epoch": one.epoch, "seen": one.seen}
                for one in who
            ],
            "known": len(self.targets),
            "image_latency_s": round(self.image_latency_s, 3),
            "image_latency_measured": self.latency.measured,
            "dropped": dict(self.targets.dropped),
            "reports_refused": dict(self.log.refused),
        }
