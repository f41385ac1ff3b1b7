"""What is wanted of a head, as far as it is allowed: the latest wish, clipped to limits, without what does not move.

Pure: times and poses are arguments, nothing is sent. What is sent, and when, is decided in `ptz.head`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

from ptz.geometry import wrap_deg
from ptz.head_health import Health, Wear
from ptz.head_limits import HeadLimits, apart_deg
from ptz.head_motion import AXES, Motion
from ptz.head_settings import HeadSettings
from ptz.types import (
    Capabilities,
    Decision,
    GoTo,
    GoToPreset,
    HeadState,
    Levels,
    Pose,
    Preset,
    Stay,
    Turn,
    Velocity,
)

POSITION_OLD_S = 3.0
TRIAL_S = 0.6
"""No longer than one turn lasts by itself."""
LIMIT_RETRY_S = 5.0
HOPELESS_TRIES = 3
HOPELESS_S = 30.0
"""A head that never moved is tried this seldom after some tries."""
NEAR_DEG, NEAR_OCTAVES = 1.0, 0.15
CHASE_PER_S, CHASE_DEG_S, CHASE_OCTAVES_S = 1.2, 30.0, 0.8
ARRIVED_DEG, ARRIVED_OCTAVES = 0.5, 0.06


class Speeds(Protocol):
    """Speeds and levels of a head, as `ptz.speed_table.SpeedTable` knows them."""

    def levels(self, velocity: Velocity, zoom: float) -> Levels: ...
    def velocity(self, levels: Levels, zoom: float) -> Velocity: ...


@dataclass(frozen=True, slots=True)
class Sent:
    """What the head was told: a speed (zero for a stop) or a place. A preset whose place is not known has neither."""

    time_s: float
    velocity: Velocity | None = None
    pose: Pose | None = None


@dataclass
class Going:
    """On the way to a place. `to` is None where that is not known, `begun_at` where it was not known."""

    place: GoTo | GoToPreset
    to: Pose | None
    begun_at: Pose | None
    sent_s: float
    legs_left: int = 0
    tries: int = 0

    def outcome(self, now_s: float, pose: Pose | None, rests: bool | None) -> str | None:
        """None while under way; then `next` (leg), `again`, `done` or `not moved`."""
        spent_s = now_s - self.sent_s
        if pose is None or spent_s > 40.0:
            return "done" if spent_s > 5.0 else None
        if self.to is not None and self.legs_left and apart_deg(pose, self.to) < 5.0:
            return "next"
        if not rests:
            return None
        if self.to is None:
            return "done" if spent_s > 1.5 else None
        if apart_deg(pose, self.to) <= NEAR_DEG and abs(math.log2(pose.zoom / self.to.zoom)) <= NEAR_OCTAVES:
            return "done"
        if spent_s < 2.0:
            return None
        if self.tries == 0:
            return "again"
        moved = self.begun_at is not None and (
            apart_deg(pose, self.begun_at) > 0.3 or abs(math.log2(pose.zoom / self.begun_at.zoom)) > 0.1
        )
        return "done" if moved else "not moved"


@dataclass
class Held:
    """An axis and direction that does not move. `trial_s`: since when it is tried again."""

    since_s: float
    next_s: float
    limit: bool = False
    tries: int = 0
    trial_s: float | None = None


@dataclass
class Wishes:
    """The latest wish of one head."""

    settings: HeadSettings
    speeds: Speeds
    motion: Motion
    health: Health
    wear: Wear
    presets_known: bool = False
    _wish: Turn | GoTo | GoToPreset | None = None
    _wish_s: float = -math.inf
    _pending: bool = False
    _queue: list[GoTo | GoToPreset] = field(default_factory=list)
    _tries: int = 0
    _held: dict[tuple[str, int], Held] = field(default_factory=dict)
    _presets: dict[str, Preset] = field(default_factory=dict)
    _at_limit: bool = False
    _hopeless: str = ""

    def __post_init__(self) -> None:
        self._capabilities = Capabilities()
        self._limits = HeadLimits(self.settings, self._capabilities)
        self.basis: tuple[float, ...] = ()
        """What the last `levels` came from, but for the zoom: the same speed is other levels at another zoom, and that
        can wait for the renewal."""

    def set_capabilities(self, capabilities: Capabilities) -> None:
        """What the camera can do."""
        self._capabilities = capabilities
        self._limits = HeadLimits(self.settings, capabilities)

    def want(self, decision: Decision, now_s: float) -> None:
        """The latest one."""
        if isinstance(decision, Stay):
            self._wish_s = now_s
            return
        if isinstance(decision, GoTo | GoToPreset) and self._same_place(decision):
            self._wish_s = now_s
            return
        if not _finite(decision):
            self.refuse("nan", "what is wanted is no number: stopped")
            decision = Turn(Velocity())
        changed = decision != self._wish
        self.wear.superseded += self._pending and changed
        if isinstance(decision, Turn):
            self._queue.clear()
            self._pending = changed
        else:
            self._pending, self._tries = True, 0
            self._queue = [decision]
        self._wish, self._wish_s = decision, now_s

    def forget(self) -> None:
        """Nothing is wanted."""
        self._wish, self._pending, self._wish_s = None, False, -math.inf
        self._queue.clear()

    @property
    def active(self) -> bool:
        """Something is wanted that is not rest."""
        return bool(self._queue) or (isinstance(self._wish, Turn) and not self._wish.velocity.is_zero)

    @property
    def place_due(self) -> bool:
        """A place is to be sent."""
        return bool(self._queue) and (self._capabilities.absolute or isinstance(self._queue[0], GoToPreset))

    def wants_stop(self, now_s: float) -> bool:
        """The latest wish is rest."""
        if isinstance(self._wish, Turn):
            return self._wish.velocity.is_zero or self._stale(now_s)
        return self._wish is None

    def levels(self, now_s: float, pose: Pose | None) -> Levels:
        """What it shall turn at now; zero where it shall not, may not, or cannot."""
        velocity = self._velocity_wanted(now_s, pose)
        if velocity.is_zero or not self._capabilities.continuous:
            return Levels()
        if self._limits.needs_position and (pose is None or self.motion.age_s(now_s) > POSITION_OLD_S):
            return Levels()
        wanted = self._raw(velocity, pose)
        if pose is not None:
            velocity = self._limits.hold(velocity, pose)
            wanted = self._raw(velocity, pose)
        free = {axis: self._free(axis, getattr(wanted, axis)) for axis in AXES}
        self.basis = (
            round(velocity.pan_deg_s, 3),
            round(velocity.tilt_deg_s, 3),
            round(velocity.zoom_octaves_s, 4),
            *map(bool, free.values()),
        )
        return Levels(**free)

    def velocity(self, levels: Levels, pose: Pose | None) -> Velocity:
        """What levels stand for at this pose."""
        return self.speeds.velocity(levels, 1.0 if pose is None else pose.zoom)

    def settled(self) -> None:
        """The latest wish is in force."""
        self._pending = False

    @property
    def trying(self) -> bool:
        """What turns now is a trial of what did not move: once is enough."""
        return any(held.trial_s is not None for held in self._held.values())

    def refuse(self, cause: str, text: str) -> None:
        """A wish is not carried out."""
        self.wear.refused += 1
        last = self.health.events[-1] if self.health.events else None
        if last is None or last.text != text:
            self.health.event("refused", text)

    def words(self, now_s: float) -> str:
        """What is wanted, for people."""
        wish = self._wish
        if isinstance(wish, GoTo):
            return f"to {wish.pan_deg:.1f}°, {wish.tilt_deg:.1f}°, {wish.zoom:.2f}x"
        if isinstance(wish, GoToPreset):
            return f"to preset {wish.preset}"
        if wish is None or wish.velocity.is_zero or self._stale(now_s):
            return "rest"
        v = wish.velocity
        return f"turn {v.pan_deg_s:+.1f}, {v.tilt_deg_s:+.1f} °/s, {v.zoom_octaves_s:+.2f} octaves/s"

    def take_place(self) -> GoTo | GoToPreset | None:
        """The place to be sent now."""
        self._pending = False
        return self._queue.pop(0) if self._queue else None

    def split(self, place: GoTo | GoToPreset, pose: Pose | None) -> GoTo | GoToPreset:
        """The first part of the way there within the limits; the rest waits."""
        if isinstance(place, GoToPreset):
            return place
        clipped, changed = self._limits.clip(place)
        if changed and not self._at_limit:
            self.health.event("limit", f"wanted {self.words(self._wish_s)}: goes as far as the limits allow")
        self._at_limit = changed
        first, *rest = self._limits.legs(clipped, pose)
        self._queue[:0] = rest
        return first

    def set_out(self, place: GoTo | GoToPreset, to: Pose | None, now_s: float, pose: Pose | None) -> Going:
        """It is on its way."""
        return Going(place, to, pose, now_s, len(self._queue), self._tries)

    def again(self, going: Going) -> None:
        """Once more."""
        self._tries += 1
        self._queue.insert(0, going.place)

    def reserved(self, preset: str) -> bool:
        """This preset does something else than to store a place."""
        number = int(preset) if preset.isdecimal() else None
        reserved = self._capabilities.reserved_presets | self.settings.reserved_presets
        return number in reserved and not self.settings.allow_reserved_presets

    def allowed(self, place: GoToPreset) -> bool:
        """Whether this preset may be called; says why not."""
        if self.reserved(place.preset):
            self.refuse(
                "preset", f"preset {place.preset} is reserved: it does something else than go to a place"
            )
            return False
        if not self._capabilities.presets:
            self.refuse("preset", "the camera has no presets")
            return False
        return True

    def learn_presets(self, presets: list[Preset]) -> None:
        """What is stored where."""
        self._presets = {preset.preset: preset for preset in presets}
        self.presets_known = True

    def place_of(self, place: GoToPreset) -> Pose | None:
        """Where a preset is, as far as the camera tells."""
        preset = self._presets.get(place.preset)
        return None if preset is None else preset.pose

    def strays(self, pose: Pose) -> bool:
        """It points, or would point, beyond a limit."""
        return self._limits.outside(pose, 1.0)

    def at_stop(self, axis: str, sign: int, pose: Pose | None) -> bool:
        """The axis cannot or may not go on in this direction."""
        return pose is not None and self._limits.at_stop(axis, sign, pose)

    def judge(self, now_s: float, pose: Pose | None, proven: bool) -> None:
        """Hold back what does not move, and try it again now and then."""
        for axis, sign in sorted(self.motion.stuck(now_s)):
            if (axis, sign) not in self._held:
                self._hold(axis, sign, now_s, self.at_stop(axis, sign, pose))
            self.motion.try_again(axis)
        velocity = self._velocity_wanted(now_s, pose)
        wanted = self._raw(velocity, pose)
        wishes = {(axis, _sign(getattr(wanted, axis))) for axis in AXES if getattr(wanted, axis)}
        again = [key for key, held in self._held.items() if self._moves_again(key, held)]
        for key in again:
            if not self._held.pop(key).limit:
                self.health.event("moves", f"{key[0]} moves again")
            self._hopeless = ""
        for key, held in self._held.items():
            self._try(key, held, key in wishes, now_s, proven)
        self._tell_stuck(wishes)
        blind = self._limits.needs_position and (pose is None or self.motion.age_s(now_s) > POSITION_OLD_S)
        if blind and not velocity.is_zero:
            reason = "limits are set and the position is not known: not turned at a speed"
            self.health.set("blind", HeadState.DEGRADED, reason)
        elif not blind:
            self.health.clear("blind")

    def _moves_again(self, key: tuple[str, int], held: Held) -> bool:
        """It was seen to turn this way; or any way, where it is not at its end: a motor that turns, turns both ways."""
        axis, sign = key
        ways = (sign,) if held.limit else (-1, 1)
        return any(self.motion.moved_s.get((axis, way), -math.inf) > held.since_s for way in ways)

    def never_moved(self, now_s: float, reason: str) -> None:
        """The probe has found nothing that moves."""
        self._hopeless = reason
        for axis in AXES:
            for sign in (-1, 1):
                self._held[axis, sign] = Held(now_s, now_s + self.settings.retry_s)
        self._tell_stuck(set())

    def _hold(self, axis: str, sign: int, now_s: float, limit: bool) -> None:
        wait_s = LIMIT_RETRY_S if limit else self.settings.retry_s
        self._held[axis, sign] = Held(now_s, now_s + wait_s, limit)
        where = {("pan", 1): "right", ("pan", -1): "left", ("tilt", 1): "up", ("tilt", -1): "down",
                 ("zoom", 1): "in", ("zoom", -1): "out"}[axis, sign]  # fmt: skip
        if limit:
            self.health.event("limit", f"{axis} is at its end and does not go further {where}")
        else:
            self.health.event("not_moving", f"{axis} was told to turn {where} and does not")

    def _try(self, key: tuple[str, int], held: Held, wished: bool, now_s: float, proven: bool) -> None:
        if held.trial_s is not None:
            if now_s - held.trial_s >= TRIAL_S + self.motion.refresh_s:
                held.trial_s, held.tries = None, held.tries + 1
                hopeless = not proven and held.tries >= HOPELESS_TRIES
                usual_s = LIMIT_RETRY_S if held.limit else self.settings.retry_s
                held.next_s = now_s + (HOPELESS_S if hopeless else usual_s)
        elif wished and now_s >= held.next_s:
            held.trial_s = now_s
            self.motion.try_again(key[0])

    def _tell_stuck(self, wishes: set[tuple[str, int]]) -> None:
        stuck = {key for key, held in self._held.items() if not held.limit}
        if not stuck:
            self.health.clear("motion")
        elif self._hopeless:
            self.health.set("motion", HeadState.NOT_MOVING, self._hopeless)
        elif wishes <= stuck:
            axes = " and ".join(axis for axis in AXES if any(key[0] == axis for key in stuck))
            self.health.set(
                "motion", HeadState.NOT_MOVING, f"{axes}: commands are accepted and nothing moves"
            )
        elif not self.health.has("motion") or not wishes & stuck:
            axes = " and ".join(axis for axis in AXES if any(key[0] == axis for key in stuck))
            self.health.set("motion", HeadState.DEGRADED, f"{axes} does not move as told")

    def _free(self, axis: str, level: int) -> int:
        held = self._held.get((axis, _sign(level)))
        return level if held is None or held.trial_s is not None else 0

    def _raw(self, velocity: Velocity, pose: Pose | None) -> Levels:
        return self.speeds.levels(velocity, 1.0 if pose is None else pose.zoom)

    def _stale(self, now_s: float) -> bool:
        return now_s - self._wish_s > self.settings.decision_life_s

    def _velocity_wanted(self, now_s: float, pose: Pose | None) -> Velocity:
        if isinstance(self._wish, Turn):
            return Velocity() if self._stale(now_s) else self._wish.velocity
        if isinstance(self._wish, GoTo) and not self._capabilities.absolute and self._queue:
            return self._chase(self._wish, pose)
        return Velocity()

    def _chase(self, wish: GoTo, pose: Pose | None) -> Velocity:
        """Towards a place by turning, for cameras that cannot be sent there."""
        if pose is None:
            return Velocity()
        place, _ = self._limits.clip(wish)
        to = self._limits.legs(place, pose)[0]
        pan, tilt = wrap_deg(to.pan_deg - pose.pan_deg), to.tilt_deg - pose.tilt_deg
        octaves = math.log2(max(to.zoom, 0.1) / pose.zoom)
        if max(abs(pan), abs(tilt)) < ARRIVED_DEG and abs(octaves) < ARRIVED_OCTAVES:
            self._queue.clear()
            return Velocity()
        most = min(wish.max_deg_s or CHASE_DEG_S, CHASE_DEG_S)
        return Velocity(
            _towards(pan, ARRIVED_DEG / 2, most),
            _towards(tilt, ARRIVED_DEG / 2, most),
            _towards(octaves, ARRIVED_OCTAVES / 2, CHASE_OCTAVES_S),
        )

    def _same_place(self, place: GoTo | GoToPreset) -> bool:
        wish = self._wish
        if isinstance(place, GoTo) and isinstance(wish, GoTo):
            return (
                abs(wrap_deg(place.pan_deg - wish.pan_deg)) <= 0.2
                and abs(place.tilt_deg - wish.tilt_deg) <= 0.2
                and abs(place.zoom / wish.zoom - 1) <= 0.02
            )
        return place == wish


def _towards(error: float, dead: float, most: float) -> float:
    return 0.0 if abs(error) < dead else math.copysign(min(abs(error) * CHASE_PER_S, most), error)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _finite(decision: Turn | GoTo | GoToPreset) -> bool:
    if isinstance(decision, Turn):
        v = decision.velocity
        return all(map(math.isfinite, (v.pan_deg_s, v.tilt_deg_s, v.zoom_octaves_s)))
    if isinstance(decision, GoTo):
        return (
            all(map(math.isfinite, (decision.pan_deg, decision.tilt_deg, decision.zoom)))
            and decision.zoom > 0
        )
    return True
