"""The start-up probe: one short move proves that a head moves, that it stops, and which way is which.

A camera that answers "OK" has proven nothing: encoders without a head answer so, and some cameras know no stop. Before
the first turn the head is moved a few degrees, stopped, and sent back. Knows what a head can do (`ProbePort`) and no
protocol. What it found is told in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ptz.geometry import wrap_deg
from ptz.types import Capabilities, Levels, Pose

LOOK_S = 0.25
MOVED_DEG = 0.4
LEVEL_FACTORS = (1, 2, 4)
"""The probe's level is raised where nothing moves: cheap cameras ignore low ones."""
SPELL_S = 0.7
"""How long each level is tried; longer only where reports come seldom."""
STOP_S = 1.2
TTL_S = 5.0
"""The move ends by itself after this long, where a camera can do that: a stop must be seen before."""
OUTLIVED_S = 0.5
RECORDERS = ("DVR", "NVR", "ENCODER")


class ProbePort(Protocol):
    """What the probe asks of a head. All raise `PtzError`s, which end the probe."""

    def now(self) -> float: ...
    async def turn(self, levels: Levels, ttl_s: float) -> None: ...
    async def stop(self, way: str) -> bool:
        """Stop this way; False where the camera does not take it."""
        ...

    async def look(self, wait_s: float) -> Pose | None:
        """Wait, then ask where it points; None where the camera does not tell."""
        ...

    def shifted(self, since_s: float) -> tuple[float, float] | None:
        """How far pictures taken since then have turned, right and up in degrees; None where nobody looks."""
        ...

    async def back(self, pose: Pose, levels: Levels) -> None:
        """Go back to where it was, by a place or by turning the other way."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What was found.

    moved      axes that were seen to move, None where nothing could be seen
    stop_way   the way of stopping that was seen to work, None = none
    latency_s  from the command to the first motion that was reported, about
    wrong_way  axes whose report runs the other way than their commands
    by_image   axes whose *commands* run the other way, by the pictures
    lines      the same in words
    """

    moved: frozenset[str] | None
    stop_way: str | None
    latency_s: float | None = None
    wrong_way: frozenset[str] = frozenset()
    by_image: frozenset[str] = frozenset()
    lines: tuple[str, ...] = ()


@dataclass
class _Track:
    """Where it pointed during the move."""

    times_s: list[float] = field(default_factory=list)
    pan_deg: list[float] = field(default_factory=list)
    tilt_deg: list[float] = field(default_factory=list)

    def add(self, time_s: float, start: Pose, pose: Pose) -> tuple[float, float]:
        self.times_s.append(time_s)
        self.pan_deg.append(wrap_deg(pose.pan_deg - start.pan_deg))
        self.tilt_deg.append(pose.tilt_deg - start.tilt_deg)
        return self.pan_deg[-1], self.tilt_deg[-1]

    def latency_s(self, begun_s: float, stopped_s: float) -> float | None:
        """From the command to the motion that is reported for it: half of the acceleration and a late report included.

        The head goes as far as it would have gone at full speed in the time between command and stop, because it brakes
        as late as it starts. So its speed is known, and the first report in motion tells when it began.
        """
        if not self.times_s:
            return None
        along = max((self.pan_deg, self.tilt_deg), key=lambda degrees: abs(degrees[-1]))
        if abs(along[-1]) < 2 * MOVED_DEG:
            return None
        speed = abs(along[-1]) / max(stopped_s - begun_s, 1e-3)
        for time_s, shift in zip(self.times_s, along, strict=True):
            if begun_s < time_s <= stopped_s and abs(shift) >= MOVED_DEG:
                return max(0.0, time_s - abs(shift) / speed - begun_s)
        return None


def directions(start: Pose | None, capabilities: Capabilities, at_stop: Sequence[bool]) -> tuple[int, int]:
    """Which way to move: right and to the middle of the tilt range, away from stops.

    `at_stop`: whether the head cannot go right, whether it cannot go up.
    """
    pan = -1 if at_stop[0] else 1
    low, high = capabilities.tilt_range_deg
    tilt = 1 if start is None or start.tilt_deg < (low + high) / 2 else -1
    return pan, (-1 if tilt > 0 and at_stop[1] else tilt)


class Probe:
    """One probe of one head."""

    def __init__(self, port: ProbePort, capabilities: Capabilities, level: int, ways: Sequence[str]) -> None:
        self._port = port
        self._capabilities = capabilities
        self._level = level
        self._ways = tuple(ways)
        self._expires_s = self._moving_s = 0.0
        self._blind_s = 0.3
        """The same report for so long means nothing: it is how long the first motion took to be reported."""

    async def run(self, at_stop: Sequence[bool] = (False, False)) -> ProbeResult:
        """Move, stop, compare, go back."""
        start = await self._port.look(0.0)
        signs = directions(start, self._capabilities, at_stop)
        begun_s, moved, track = await self._move(start, signs)
        used = Levels(signs[0] * self._level, signs[1] * self._level)
        stopped_s = self._port.now()
        stop_way = await self._stop(moved, start, track)
        latency_s = track.latency_s(begun_s, stopped_s) if moved else None
        result = self._judge(start, signs, (begun_s, moved, latency_s), stop_way)
        if start is not None and moved:
            await self._port.back(start, Levels(-used.pan, -used.tilt))
        return result

    async def _move(
        self, start: Pose | None, signs: tuple[int, int]
    ) -> tuple[float, dict[str, float] | None, _Track]:
        """Turn ever faster until something moves; returns when it began, how far each axis went, and the reports."""
        track = _Track()
        begun_s = first_s = self._port.now()
        seen: dict[str, float] | None = None
        for factor in LEVEL_FACTORS:
            level = min(self._level * factor, 100)
            begun_s = self._port.now()
            await self._port.turn(Levels(signs[0] * level, signs[1] * level), TTL_S)
            self._expires_s = begun_s + TTL_S
            while self._port.now() - begun_s < SPELL_S:
                pose = await self._port.look(LOOK_S)
                seen = self._shift(start, pose, first_s, track) or seen
                if seen and all(abs(value) >= MOVED_DEG for value in seen.values()):
                    self._blind_s = min(max(self._port.now() - first_s, 0.3), 1.2)
                    return begun_s, seen, track
            if seen is None or any(abs(value) >= MOVED_DEG for value in seen.values()):
                break
        if seen is None:
            return begun_s, None, track
        return begun_s, {axis: shift for axis, shift in seen.items() if abs(shift) >= MOVED_DEG}, track

    def _shift(
        self, start: Pose | None, pose: Pose | None, since_s: float, track: _Track
    ) -> dict[str, float] | None:
        if start is not None and pose is not None:
            pan, tilt = track.add(self._port.now(), start, pose)
            if abs(pan) >= MOVED_DEG or abs(tilt) >= MOVED_DEG:
                return {"pan": pan, "tilt": tilt}
        shifted = self._port.shifted(since_s)
        if shifted is not None:
            return {"pan": shifted[0], "tilt": shifted[1]}
        return {"pan": 0.0, "tilt": 0.0} if pose is not None else None

    async def _stop(self, moved: dict[str, float] | None, start: Pose | None, track: _Track) -> str | None:
        """Stop by the first way that is seen to work; where nothing is seen all are used."""
        for way in self._ways:
            stopped_s = self._port.now()
            taken = await self._port.stop(way)
            if moved is not None and taken and await self._rests(stopped_s, start, track):
                # What turned on for long after its end was not stopped by that.
                outlived = self._moving_s > self._expires_s + OUTLIVED_S
                return way if moved and (self._port.now() < self._expires_s or outlived) else None
        return None

    async def _rests(self, since_s: float, start: Pose | None, track: _Track) -> bool:
        before: Pose | None = None
        since_same_s = since_s
        while self._port.now() - since_s < STOP_S + self._blind_s:
            pose = await self._port.look(LOOK_S)
            now_s = self._port.now()
            if pose is None:
                shifted = self._port.shifted(now_s - 0.4)
                if shifted is not None and max(map(abs, shifted)) < 0.15 and now_s - since_s > 0.6:
                    return True
                continue
            if start is not None:
                track.add(now_s, start, pose)
            still = before is not None and (
                abs(wrap_deg(pose.pan_deg - before.pan_deg)) <= 0.12
                and abs(pose.tilt_deg - before.tilt_deg) <= 0.12
            )
            if not still:
                since_same_s = now_s
                self._moving_s = now_s if before is not None else self._moving_s
            before = pose
            if still and now_s - since_same_s >= self._blind_s:
                return True
        return False

    def _judge(
        self,
        start: Pose | None,
        signs: tuple[int, int],
        motion: tuple[float, dict[str, float] | None, float | None],
        stop_way: str | None,
    ) -> ProbeResult:
        begun_s, moved, latency_s = motion
        if moved is None:
            return ProbeResult(
                None, None, lines=("probe: nothing tells whether it moves: no position, no pictures",)
            )
        if not moved:
            kind = self._capabilities.device_type
            hint = (
                f" (a {kind}: is there a head, and is this its channel?)" if kind.upper() in RECORDERS else ""
            )
            return ProbeResult(frozenset(), None, lines=(f"probe: accepted and nothing moved{hint}",))
        wanted = {"pan": signs[0], "tilt": signs[1]}
        shifted = self._port.shifted(begun_s)
        seen = {"pan": shifted[0], "tilt": shifted[1]} if shifted else {}
        by_image = frozenset(
            axis for axis, shift in seen.items() if abs(shift) >= MOVED_DEG and shift * wanted[axis] < 0
        )
        wrong_way = frozenset(
            axis for axis, shift in moved.items() if start is not None and shift * wanted[axis] < 0
        )
        return ProbeResult(
            frozenset(moved),
            stop_way,
            latency_s,
            wrong_way,
            by_image,
            self._words(moved, stop_way, latency_s),
        )

    def _words(
        self, moved: dict[str, float], stop_way: str | None, latency_s: float | None
    ) -> tuple[str, ...]:
        axes = " and ".join(f"{axis} ({shift:+.1f}°)" for axis, shift in moved.items())
        lines = [f"probe: moved {axes}"]
        if latency_s is not None:
            lines.append(f"probe: motion is reported {latency_s * 1000:.0f} ms after the command")
        lines.append(
            f"probe: stops by {stop_way!r}"
            if stop_way
            else f"probe: does not stop by any of {', '.join(self._ways)}"
        )
        return tuple(lines)
