"""The head of a simulated camera: commands in, motion out, and what it says of itself.

Commands reach the motors after a delay, the latest wins, and the motion is that of `mechanics`. Nothing runs by itself:
`advance` brings everything to a moment, however far apart the moments are, and the same seed and commands give the same
run. The protocol faces and the driver `simulator` stand on this; it knows no protocol.

Faults of motion and of reports are told in docs/ptz_simulator.md; `ptz.simulator.faults` says when they strike.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import random
from collections import deque
from dataclasses import dataclass

from engine.errors import PtzRefused
from ptz.simulator.faults import Faults
from ptz.simulator.habits import KINDS, Habits
from ptz.simulator.mechanics import Axis
from ptz.simulator.profiles import DeviceProfile
from ptz.simulator.reporting import Reporter
from ptz.types import Levels, Pose, Preset, Status, Velocity

AXES = ("pan", "tilt", "zoom")
TICK_S = 0.05
"""How often what a camera does by itself is looked at: speed by zoom, faults of motion, parking."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command on its way to the motors, or one that the device gives itself."""

    kind: str
    axes: tuple[str, ...] = AXES
    values: tuple[float, ...] = (0.0, 0.0, 0.0)
    speed: float | None = None
    expires_s: float | None = None


class Device:
    """One head. All calls take the present moment and must come in the order of time; questions may be about the past.

    presets   the stored places, by what the camera calls them
    commands  how many were accepted since the start
    history   the newest of them, with their times
    boots     restarts since the start
    """

    def __init__(
        self, profile: DeviceProfile, seed: int = 0, faults: Faults | None = None, start_s: float = 0.0
    ) -> None:
        self.profile = profile
        self.faults = Faults() if faults is None else faults
        self.presets: dict[str, Preset] = {}
        self.home = profile.home
        self.commands = 0
        self.history: deque[tuple[float, Command]] = deque(maxlen=20_000)
        self.boots = 0
        self.now_s = start_s
        self._start_s = start_s
        self._random = random.Random(seed)  # noqa: S311 - a simulation that must repeat itself
        pan, tilt, zoom = profile.home
        play = profile.backlash_deg
        self._axes = {
            "pan": Axis(profile.pan, start_s, pan, play),
            "tilt": Axis(profile.tilt, start_s, tilt, play),
            "zoom": Axis(profile.zoom, start_s, math.log2(zoom)),
        }
        self._turning = dict.fromkeys(AXES, 0.0)
        """Share of full speed that each axis was last told, 0 where it goes to a position."""
        self._queue: list[tuple[float, int, Command]] = []
        self._sent = 0
        self._last_arrival_s = start_s
        self._last_command_s = start_s
        self._tick = self._tick_of(start_s)
        self._down_until_s = -math.inf
        self._up_since_s = start_s
        self._obeyed = 0
        self._holder = dict.fromkeys(AXES, 0)
        """Number of the command that each axis obeys: only its own expiry stops it."""
        self._log = hashlib.sha256(repr((profile.name, seed)).encode())
        self._habits = Habits(self, seed)
        self._reporter = Reporter(profile, self.faults, seed, start_s, (self.true_pose, self.turns_at))

    # Commands

    def turn(
        self,
        levels: Levels,
        now_s: float,
        expires_s: float | None = None,
        *,
        pan_tilt: bool = True,
        zoom: bool = True,
    ) -> None:
        """Turn at these levels until something else is said, or for `expires_s`.

        Axes that are not meant (`pan_tilt`, `zoom` False) go on as they were, to their own end.
        """
        values = (float(levels.pan), float(levels.tilt), float(levels.zoom))
        if self._accept(now_s):
            self._send(Command("turn", _axes(pan_tilt, zoom), values, expires_s=expires_s), now_s)

    def go_to(
        self,
        pan_deg: float | None,
        tilt_deg: float | None,
        zoom: float | None,
        max_deg_s: float | None,
        now_s: float,
    ) -> None:
        """Go to a place, the short way round, and stop there. None leaves an axis alone.

        Beyond a stop it goes to the stop; with the fault `limit_error` it raises `PtzRefused`.
        """
        asked = {
            "pan": pan_deg,
            "tilt": tilt_deg,
            "zoom": None if zoom is None else math.log2(max(zoom, 1.0)),
        }
        axes = tuple(axis for axis in AXES if asked[axis] is not None)
        values = tuple(asked[axis] or 0.0 for axis in AXES)
        if any(not math.isfinite(value) for value in values):
            raise PtzRefused(f"{self.profile.name}: a position that is no number was asked for")
        if self.faults.active("limit_error", now_s):
            self._refuse_beyond(axes, values)
        if self._accept(now_s):
            self._send(Command("go", axes, values, max_deg_s), now_s)

    def stop(self, now_s: float, pan_tilt: bool = True, zoom: bool = True) -> None:
        """Stop these axes, as quickly as they can brake."""
        if self._accept(now_s):
            self._send(Command("stop", _axes(pan_tilt, zoom)), now_s)

    def go_home(self, now_s: float) -> None:
        """Go to the home position."""
        self.go_to(*self.home, None, now_s)

    def store_home(self, now_s: float) -> None:
        """Make where it points now the home position."""
        pose = self.true_pose(now_s)
        self.home = (pose.pan_deg, pose.tilt_deg, pose.zoom)

    def store_preset(self, preset: str, name: str, now_s: float) -> None:
        """Store where it points now. Raises `PtzRefused` for a reserved number, and when all places are taken."""
        offer = self.profile.offer
        if preset.isdigit() and int(preset) in offer.reserved_presets:
            raise PtzRefused(f"{self.profile.name}: preset {preset} is reserved")
        if preset not in self.presets and len(self.presets) >= offer.most_presets:
            raise PtzRefused(f"{self.profile.name}: all {offer.most_presets} presets are taken")
        self.presets[preset] = Preset(preset, name, self.true_pose(now_s))

    def remove_preset(self, preset: str) -> None:
        """Forget a place. Raises `PtzRefused` where there is none."""
        if self.presets.pop(preset, None) is None:
            raise PtzRefused(f"{self.profile.name}: there is no preset {preset}")

    def go_to_preset(self, preset: str, now_s: float) -> None:
        """Go to a stored place at the speed of presets; a reserved number does what it does on a real camera.

        Raises `PtzRefused` where there is none.
        """
        if preset.isdigit() and int(preset) in self.profile.offer.reserved_presets:
            self._do_reserved(int(preset), now_s)
            return
        if preset not in self.presets:
            raise PtzRefused(f"{self.profile.name}: there is no preset {preset}")
        pose = self.presets[preset].pose
        assert pose is not None
        self.go_to(pose.pan_deg, pose.tilt_deg, pose.zoom, None, now_s)

    def reboot(self, now_s: float, away_s: float | None = None) -> None:
        """Go down now, come back after `away_s` (the profile's time), find the position again and go home."""
        self.advance(now_s)
        self.boots += 1
        self._queue.clear()
        self._down_until_s = self._up_since_s = now_s + (self.profile.boot_s if away_s is None else away_s)
        self.drive(Command("stop"), now_s)
        self._push(Command("find"), self._down_until_s)

    def drive(self, command: Command, now_s: float) -> None:
        """A command that the device gives itself: the motors obey at once."""
        self._obey(command, now_s)

    def drive_home(self, now_s: float) -> None:
        """Go home by itself."""
        pan, tilt, zoom = self.home
        self._obey(Command("go", AXES, (pan, tilt, math.log2(zoom))), now_s)

    def tilts_on_down(self) -> bool:
        """Whether it was last told to tilt down at a speed."""
        return self._turning["tilt"] < 0

    def flip(self, now_s: float) -> None:
        """Turn the head round, and tilt up with what meant down."""
        share = self._turning["tilt"]
        self._obey(Command("go", ("pan",), (self._axes["pan"].at(now_s).position + 180.0, 0.0, 0.0)), now_s)
        self._turn("tilt", -share, now_s)

    @property
    def idle_since_s(self) -> float:
        """When it was last told anything."""
        return self._last_command_s

    # Questions

    def advance(self, now_s: float) -> None:
        """Let everything happen that is due until now."""
        while True:
            due_s = self._queue[0][0] if self._queue else math.inf
            if not self._looks_itself():
                self._tick = max(self._tick, self._tick_of(min(due_s, now_s)))
            tick_s = self._start_s + (self._tick + 1) * TICK_S
            if min(due_s, tick_s) > now_s:
                break
            if due_s <= tick_s:
                _, _, command = heapq.heappop(self._queue)
                self._obey(command, due_s)
            else:
                self._tick += 1
                self._look(tick_s)
        self.now_s = max(self.now_s, now_s)

    def true_pose(self, now_s: float) -> Pose:
        """Where the lens points; `now_s` may be up to `mechanics.KEEP_S` ago."""
        if now_s > self.now_s:
            self.advance(now_s)
        pan, tilt, zoom = (self._axes[axis].shown(now_s) for axis in AXES)
        return Pose(now_s, pan % 360.0, tilt, 2.0**zoom)

    def velocity(self, now_s: float) -> Velocity:
        """How fast it really turns."""
        if now_s > self.now_s:
            self.advance(now_s)
        return Velocity(*(self._axes[axis].at(now_s).speed for axis in AXES))

    def turns_at(self, now_s: float) -> bool:
        """Whether it really turns."""
        return not self.velocity(now_s).is_zero

    def report(self, now_s: float, fine: bool = False) -> Status:
        """What the camera says of where it points: late, in steps, and as wrong as its faults make it.

        fine  the finer report (absoluteEx)
        """
        self.advance(now_s)
        return self._reporter.report(now_s, fine)

    def moving(self, now_s: float) -> bool | None:
        """Whether it says that it moves; None where it does not tell."""
        self.advance(now_s)
        return self._reporter.moving(now_s)

    def down(self, now_s: float) -> bool:
        """Whether it is rebooting and answers nothing."""
        self.advance(now_s)
        return now_s < self._down_until_s

    def uptime_s(self, now_s: float) -> float:
        """Seconds since it came up."""
        self.advance(now_s)
        return max(now_s - self._up_since_s, 0.0)

    def clock_s(self, now_s: float) -> float:
        """What its clock shows, in the time of `now_s`: apart from it by the fault `clock_jump`."""
        fault = self.faults.active("clock_jump", now_s)
        return now_s + (fault.value if fault else 0.0)

    def blur(self, now_s: float) -> float:
        """How far out of focus the picture is, 0 to 1: while the zoom moves, and some time after."""
        refocus_s = self.profile.optics.refocus_s
        if not refocus_s:
            return 0.0
        self.advance(now_s)
        if self._axes["zoom"].at(now_s).speed:
            return 1.0
        rests_from = self._axes["zoom"].rests_from()
        since_s = math.inf if rests_from is None or rests_from <= self._start_s else now_s - rests_from
        return min(max(1.0 - since_s / refocus_s, 0.0), 1.0)

    def log_hash(self) -> str:
        """Of every command that reached the motors, with its time."""
        return self._log.hexdigest()

    # How commands arrive

    def _accept(self, now_s: float) -> bool:
        """Whether it is there to take a command."""
        self.advance(now_s)
        if now_s < self._down_until_s:
            return False
        self.commands += 1
        self._last_command_s = now_s
        return True

    def _send(self, command: Command, now_s: float) -> None:
        self.history.append((now_s, command))
        delay_s = self.profile.command_delay_s + self.profile.command_jitter_s * self._random.uniform(-1, 1)
        if _stops(command) and (late := self.faults.active("stop_late", now_s)):
            delay_s += late.value
        else:
            # Commands do not overtake each other.
            self._last_arrival_s = max(self._last_arrival_s, now_s + delay_s)
            delay_s = self._last_arrival_s - now_s
        if not (_stops(command) and self.faults.active("stop_lost", now_s)):
            self._push(command, now_s + delay_s)
        self.advance(now_s)

    def _push(self, command: Command, at_s: float) -> None:
        self._sent += 1
        heapq.heappush(self._queue, (at_s, self._sent, command))

    def _obey(self, command: Command, now_s: float) -> None:
        """A command reaches the motors."""
        if command.kind == "find":
            # Where it points is lost: a sweep to find the mark, and then home.
            self._push(
                Command("go", ("pan",), (self._axes["pan"].at(now_s).position + 45.0, 0.0, 0.0)), now_s
            )
            home = (self.home[0], self.home[1], math.log2(self.home[2]))
            self._push(Command("go", AXES, home), now_s + 1.0)
            return
        self._log.update(repr((round(now_s, 9), command)).encode())
        if command.kind == "expire":
            held = tuple(axis for axis in command.axes if self._holder[axis] == command.values[0])
            for axis in held:
                self._turn(axis, 0.0, now_s)
            return
        self._obeyed += 1
        for axis in command.axes:
            if not self._is_dead(axis, now_s):
                self._holder[axis] = self._obeyed
                self._obey_axis(axis, command, now_s)
        if command.expires_s is not None and not self.faults.active("expiry_ignored", now_s):
            expiry = Command("expire", command.axes, (float(self._obeyed), 0.0, 0.0))
            self._push(expiry, now_s + command.expires_s)

    def _obey_axis(self, axis: str, command: Command, now_s: float) -> None:
        value = command.values[AXES.index(axis)]
        if command.kind == "go":
            self._go(axis, value, command.speed, now_s)
        else:
            self._turn(axis, self.profile.level_share(value) if command.kind == "turn" else 0.0, now_s)

    def _is_dead(self, axis: str, now_s: float) -> bool:
        """Whether it accepts commands for this axis and does not move it."""
        if not self.profile.moves or self.faults.active("dead", now_s):
            return True
        zoomed = self.faults.active("dead_zoomed", now_s)
        if zoomed and self._axes["zoom"].at(now_s).position > math.log2(max(zoomed.value, 1.0)):
            return True
        return self.faults.active(f"dead_{axis}", now_s) is not None

    def _turn(self, axis: str, share: float, now_s: float) -> None:
        self._turning[axis] = share
        self._axes[axis].turn(now_s, self._speed(axis, share, now_s))

    def _speed(self, axis: str, share: float, now_s: float) -> float:
        """Speed of an axis at a share of the whole, at the zoom of now."""
        limits = self._axes[axis].limits
        if not share:
            return 0.0
        slower = 1.0
        if axis != "zoom" and self.profile.proportional_zoom:
            octaves = self._axes["zoom"].at(now_s).position
            slower = max(2.0 ** (-octaves * self.profile.proportional_zoom), self.profile.slowest_share)
        return math.copysign(max(abs(share) * limits.most_speed * slower, limits.least_speed), share)

    def _go(self, axis: str, value: float, most_speed: float | None, now_s: float) -> None:
        self._turning[axis] = 0.0
        limits = self._axes[axis].limits
        speed = limits.preset_speed
        if axis != "zoom":
            spread = self.profile.settle_deg
            value += min(max(self._random.gauss(0.0, spread), -2 * spread), 2 * spread)
            if most_speed is not None:
                speed = min(max(most_speed, limits.least_speed), speed)
        if axis == "pan":
            value = self._nearest_turn(value, now_s)
        self._axes[axis].go(now_s, value, speed)

    def _nearest_turn(self, azimuth_deg: float, now_s: float) -> float:
        """The pan position of an azimuth: the short way round, or within the stops."""
        limits = self.profile.pan
        at = self._axes["pan"].at(now_s).position
        near = at + (azimuth_deg - at + 180.0) % 360.0 - 180.0
        if limits.low is None or limits.high is None:
            return near
        within = [turn for turn in (near - 360.0, near, near + 360.0) if limits.low <= turn <= limits.high]
        if within:
            return min(within, key=lambda turn: abs(turn - at))
        return min(
            (limits.low, limits.high), key=lambda stop: abs((stop - azimuth_deg + 180.0) % 360.0 - 180.0)
        )

    def _refuse_beyond(self, axes: tuple[str, ...], values: tuple[float, ...]) -> None:
        for axis, value in zip(AXES, values, strict=True):
            limits = self._axes[axis].limits
            place = self._nearest_turn(value, self.now_s) if axis == "pan" else value
            beyond = abs(self._axes[axis].clamp(place) - place) > 0.05
            if axis == "pan" and limits.low is not None:
                beyond = abs((place - value + 180.0) % 360.0 - 180.0) > 0.05
            if axis in axes and beyond:
                raise PtzRefused(f"{self.profile.name}: {axis} {value:g} is beyond the stop")

    # What it does by itself

    def _tick_of(self, now_s: float) -> int:
        return math.floor((now_s - self._start_s) / TICK_S)

    def _looks_itself(self) -> bool:
        """Whether anything can happen without a command."""
        return (
            self._zoom_slows()
            or self.profile.park_s > 0
            or self.profile.eflip
            or any(fault.kind in KINDS for fault in self.faults)
        )

    def _zoom_slows(self) -> bool:
        """Whether pan or tilt turn at a speed that follows the zoom, which is moving."""
        if not self.profile.proportional_zoom or not (self._turning["pan"] or self._turning["tilt"]):
            return False
        rests_from = self._axes["zoom"].rests_from()
        return rests_from is None or rests_from > self.now_s - 2 * TICK_S

    def _look(self, now_s: float) -> None:
        """What may happen without a command, at one moment."""
        self.now_s = max(self.now_s, now_s)
        if self._down_until_s > now_s:
            return
        if self._zoom_slows():
            for axis in ("pan", "tilt"):
                if self._turning[axis]:
                    self._axes[axis].turn(now_s, self._speed(axis, self._turning[axis], now_s))
        self._habits.look(now_s)

    def _do_reserved(self, number: int, now_s: float) -> None:
        """What a reserved preset does; those that concern no motion do nothing here."""
        if number == 94:
            self.reboot(now_s)
        elif number == 34:
            self.go_home(now_s)
        elif number == 33:
            pose = self.true_pose(now_s)
            self.go_to(pose.pan_deg + 180.0, None, None, None, now_s)
        elif number in (97, 98, 99):
            self.turn(Levels(pan=20), now_s, zoom=False)


def _axes(pan_tilt: bool, zoom: bool) -> tuple[str, ...]:
    return (*(("pan", "tilt") if pan_tilt else ()), *(("zoom",) if zoom else ()))


def _stops(command: Command) -> bool:
    return command.kind == "stop" or (command.kind == "turn" and not any(command.values))
