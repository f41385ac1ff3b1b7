"""Commands to the engine itself: its cameras listed, added, changed, removed, started and stopped, its configuration.

What is only asked is answered at once; changes go through `engine.supervisor_changes` one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from engine.config.live import with_camera, with_changes, without_camera
from engine.config.settings import CameraConfig, camera_to_json
from engine.errors import ConfigError
from engine.live_changes import cameras_of
from engine.relay import Partner
from engine.secrets import mask_text, mask_url
from engine.supervisor_changes import LiveChanges, Refused, Result, as_conflict, unknown_camera
from ipc.channel import Message

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

ENGINE: Final = "engine"
"""Whom commands to the supervisor are addressed to."""


class EngineCommands:
    """Takes commands as they come. Each is answered once."""

    def __init__(self, run: Supervisor, changes: LiveChanges) -> None:
        self._run = run
        self._changes = changes
        self._made_by: dict[str, Callable[[Message], Result]] = {
            "engine-add": self._add,
            "engine-change": self._change,
            "engine-remove": self._remove,
            "engine-start": self._start,
            "engine-stop": self._stop,
        }

    def take(self, command: Message, requester: Partner) -> None:
        """Answer a question, or have a change made and answered when that is done."""

        def answer(result: dict[str, Any] | None, error: str, failure: str) -> None:
            told = {
                "ok": result is not None,
                "result": result or {},
                "error": mask_text(error),
                "failure": failure,
            }
            requester.send({"type": "answer", "id": command["id"], **told})

        kind = command["command"]
        if kind == "engine-cameras":
            answer({"cameras": [self.entry(name) for name in self._run.cameras]}, "", "")
        elif kind == "engine-config":
            answer(config_told(self._run), "", "")
        elif kind not in self._made_by:
            answer(None, f"unknown command {kind!r}", "invalid")
        elif self._run.config.offline:
            answer(
                None,
                "an offline run has the cameras that it began with; start one without --offline",
                "conflict",
            )
        else:
            self._changes.submit(lambda: self._made_by[kind](command), answer)

    def entry(self, name: str) -> dict[str, Any]:
        """A camera as it is told to people."""
        camera, settings = self._run.cameras[name], cameras_of(self._run.config)[name]
        process = self._run.processes[f"decode:{name}"]
        failed = camera.failed or process.state == "failed"
        state = "stopped" if camera.stopped else "failed" if failed else "running"
        if state == "running" and process.snapshot.get("state") == "ended":
            state = "ended"
        return {
            "name": name,
            "source": camera.masked_source,
            "state": state,
            "settings": settings_told(settings),
        }

    def _add(self, command: Message) -> Result:
        run, entry = self._run, command.get("camera")
        if not isinstance(entry, dict):
            raise ConfigError("camera: must be a table with name and source")
        if (name := entry.get("name")) in run.cameras:
            raise Refused(f"there is a camera {name!r} already", "conflict")
        _refuse_masks(entry)
        after = with_camera(run.config, entry, run.plan.config.links)
        name = after.cameras[-1].name
        yield from self._changes.apply(after)
        run.terminal.log("info", ENGINE, f"camera {name} added: {run.cameras[name].masked_source}")
        return {"camera": self.entry(name)}

    def _change(self, command: Message) -> Result:
        run, changes = self._run, command.get("changes")
        if not isinstance(changes, dict):
            raise ConfigError("changes: must be a table of a camera's keys")
        _refuse_masks(changes)
        names = self._named([command["camera"]] if command.get("camera") is not None else None)
        yield from self._changes.apply(with_changes(run.config, names, changes))
        run.terminal.log(
            "info", ENGINE, f"changed {', '.join(sorted(changes))} of {', '.join(names) or 'no camera'}"
        )
        if command.get("camera") is not None:
            return {"camera": self.entry(names[0])}
        return {"cameras": [self.entry(name) for name in names]}

    def _remove(self, command: Message) -> Result:
        (name,) = self._named([command.get("camera")])
        try:
            after = without_camera(self._run.config, name)
        except ConfigError as error:
            raise as_conflict(error) from None
        yield from self._changes.apply(after)
        self._run.terminal.log("info", ENGINE, f"camera {name} removed")
        return {"camera": name, "removed": True}

    def _start(self, command: Message) -> Result:
        names = self._named(command.get("cameras"))
        if command.get("cameras") is not None:
            for name in names:
                if not self._run.cameras[name].stopped and self._changes.has_ended(name):
                    raise Refused(
                        f"camera {name!r} has come to its end; remove it and add it again", "conflict"
                    )
        yield from self._changes.start([name for name in names if self._run.cameras[name].stopped])
        return self._done("started", names)

    def _stop(self, command: Message) -> Result:
        names = self._named(command.get("cameras"))
        going = [
            name
            for name in names
            if not self._run.cameras[name].stopped and not self._changes.has_ended(name)
        ]
        yield from self._changes.stop(going)
        return self._done("stopped", names)

    def _done(self, what: str, names: list[str]) -> dict[str, Any]:
        self._run.terminal.log("info", ENGINE, f"{what}: {', '.join(names) or 'no camera'}")
        return {"cameras": [self.entry(name) for name in names]}

    def _named(self, names: object) -> list[str]:
        """These cameras, or all for None. Raises `Refused` for one that is not there."""
        if names is None:
            return list(self._run.cameras)
        if not isinstance(names, list):
            raise ConfigError("cameras: must be a list of names, or null for all")
        for name in names:
            if not isinstance(name, str) or name not in self._run.cameras:
                raise unknown_camera(name, self._run.cameras)
        return list(dict.fromkeys(names))


def _refuse_masks(entry: dict[str, Any]) -> None:
    """What was shown with `***` in the place of its credentials cannot be taken back as it is."""
    source = entry.get("source")
    if isinstance(source, str) and "://***@" in source:
        raise ConfigError(
            "source: holds *** in place of its credentials; write them, or ${VARIABLE} for them"
        )


def settings_told(camera: CameraConfig) -> dict[str, Any]:
    """A camera's settings for people: the keys of its `[[camera]]` table, credentials masked."""
    told = _masked(camera_to_json(camera))
    assert isinstance(told, dict)
    told["source"] = mask_url(camera.source)
    return told


def config_told(run: Supervisor) -> dict[str, Any]:
    """The effective configuration for people: secrets as references, credentials in URLs masked."""
    told = _masked(run.config.to_json())
    assert isinstance(told, dict)
    told["cameras"] = [settings_told(camera) for camera in run.config.cameras]
    return told


def _masked(node: object) -> object:
    if isinstance(node, dict):
        return {key: _masked(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_masked(value) for value in node]
    return mask_url(node) if isinstance(node, str) else node
