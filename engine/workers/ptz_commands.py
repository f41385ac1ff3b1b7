"""Commands to heads: an operator's hand, presets, whom to follow, and how things stand.

Each is answered once. What cannot be done changes nothing and says why in one line. An operator's hand wins at once.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError, PtzError, PtzLocked, PtzRefused, PtzUnreachable, PtzUnsupported
from engine.workers.ptz_heads import Heads, Station, told_of
from engine.workers.runtime import Context
from ipc.channel import Message
from ptz.types import GoTo, Preset, Velocity

if TYPE_CHECKING:
    from engine.workers.ptz import Camera

Work = Callable[[Station, Message], Coroutine[Any, Any, dict[str, Any]]]


@dataclass(slots=True)
class _Waiting:
    """An answer that the loop's thread is working on."""

    command: Message
    answer: Future[dict[str, Any]]


class Commands:
    """Takes commands as they come. Belongs to the worker's main thread."""

    def __init__(self, context: Context, heads: Heads, cameras: Mapping[str, Camera]) -> None:
        self._context = context
        self._heads = heads
        self._cameras = cameras
        self._waiting: list[_Waiting] = []

    def handle(self) -> bool:
        """Begin what has come, answer what is done; whether that was anything."""
        commands = self._context.commands()
        for command in commands:
            self._begin(command)
        done = [each for each in self._waiting if each.answer.done()]
        self._waiting = [each for each in self._waiting if not each.answer.done()]
        for each in done:
            self._finish(each)
        return bool(commands or done)

    def _begin(self, command: Message) -> None:
        kind, station = command["command"], self._heads.stations.get(command.get("camera", ""))
        if station is None:
            known = ", ".join(self._heads.stations)
            error = f"camera {command.get('camera')!r} has no head that is steered; there are: {known}"
            self._context.answer(command, error=error, failure="not-found")
            return
        work = WORK.get(kind)
        if work is None:
            self._context.answer(command, error=f"unknown command {kind!r}")
            return
        try:
            self._pick(command, station.camera.name)
        except EngineError as error:
            self._context.answer(command, error=str(error), failure="not-found")
            return
        answer = self._heads.ask(work(station, command))
        answer.add_done_callback(lambda _: self._context.wake.notify())
        self._waiting.append(_Waiting(command, answer))

    def _pick(self, command: Message, name: str) -> None:
        """Turn a click into a track; whoever is chosen may be followed whatever its class."""
        from engine.workers.ptz import picked_at

        if command["command"] != "ptz-select":
            return
        if (point := command.get("point")) is not None:
            command["track_id"] = picked_at(self._cameras[name].newest, *point)
        if command.get("track_id") is not None:
            self._heads.pick(name, command["track_id"])

    def _finish(self, waiting: _Waiting) -> None:
        error = waiting.answer.exception()
        if error is None:
            self._context.answer(waiting.command, waiting.answer.result())
        elif isinstance(error, PtzError):
            self._context.answer(waiting.command, error=str(error), failure=failure_of(error))
        else:
            raise error


def failure_of(error: PtzError) -> str:
    """What kind of no it is."""
    if isinstance(error, PtzRefused):
        return "invalid"
    if isinstance(error, PtzUnsupported):
        return "conflict"
    return "unavailable" if isinstance(error, PtzUnreachable | PtzLocked) else "conflict"


async def state(station: Station, command: Message) -> dict[str, Any]:
    """How the head is doing, and whom it follows."""
    return dict(told_of(station))


async def move(station: Station, command: Message) -> dict[str, Any]:
    """An operator turns the head."""
    velocity = Velocity(command["pan_deg_s"], command["tilt_deg_s"], command["zoom_octaves_s"])
    station.pilot.operate(velocity, command["ttl_s"])
    return dict(told_of(station))


async def go_to(station: Station, command: Message) -> dict[str, Any]:
    """An operator sends it to a direction; what is not given stays."""
    pose = station.head.pose
    wanted = {key: command.get(key) for key in ("pan_deg", "tilt_deg", "zoom")}
    if pose is None and None in wanted.values():
        raise PtzRefused(
            f"{station.camera.name}: where it points is not known, so pan_deg, tilt_deg and zoom are all needed"
        )
    here = {"pan_deg": pose.pan_deg, "tilt_deg": pose.tilt_deg, "zoom": pose.zoom} if pose is not None else {}
    place = {key: here[key] if value is None else float(value) for key, value in wanted.items()}
    station.pilot.go_to(GoTo(**place))
    return dict(told_of(station))


async def stop(station: Station, command: Message) -> dict[str, Any]:
    """An operator stops it."""
    station.pilot.operator_stop()
    return dict(told_of(station))


async def resume(station: Station, command: Message) -> dict[str, Any]:
    """Follow again."""
    station.pilot.resume()
    return dict(told_of(station))


async def presets(station: Station, command: Message) -> dict[str, Any]:
    """The stored places."""
    return {"presets": [preset_told(each) for each in await station.head.presets()]}


async def change_presets(station: Station, command: Message) -> dict[str, Any]:
    """Go to a stored place, store one, or forget one."""
    action, preset = command["action"], command["preset"]
    if action == "goto":
        station.pilot.preset(preset)
    elif action == "store":
        preset = await station.head.store_preset(preset, command["name"])
    else:
        await station.head.remove_preset(preset)
    return {"action": action, "preset": preset}


async def policy(station: Station, command: Message) -> dict[str, Any]:
    """Another policy of framing."""
    station.pilot.set_policy(command["policy"], **command["options"])
    return dict(told_of(station))


async def select(station: Station, command: Message) -> dict[str, Any]:
    """Follow this one."""
    key = station.steering.select(track_id=command.get("track_id"), gid=command.get("gid"))
    station.pilot.resume()
    return {"key": key, **told_of(station)}


WORK: Mapping[str, Work] = {
    "ptz-state": state,
    "ptz-move": move,
    "ptz-go-to": go_to,
    "ptz-stop": stop,
    "ptz-resume": resume,
    "ptz-presets": presets,
    "ptz-preset": change_presets,
    "ptz-policy": policy,
    "ptz-select": select,
}
"""What each command does, in the loop's thread."""


def preset_told(preset: Preset) -> dict[str, Any]:
    """A stored place as JSON."""
    pose = preset.pose
    place = None if pose is None else {"pan_deg": pose.pan_deg, "tilt_deg": pose.tilt_deg, "zoom": pose.zoom}
    return {"preset": preset.preset, "name": preset.name, "pose": place}
