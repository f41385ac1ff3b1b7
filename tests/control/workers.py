"""The other end of the commands, as the engine's workers would answer: cameras in memory, in the shapes of the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.control.commands import Commands, Message
from tests.control.statuses import make_ptz, make_status

Reply = dict[str, Any]


def refused(failure: str, error: str) -> Reply:
    """A worker's no."""
    return {"ok": False, "failure": failure, "error": error}


class EngineInMemory:
    """Answers every command at once. Cameras are added, changed and removed in a table."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.status = make_status()
        self.cameras: dict[str, dict[str, Any]] = {
            name: {
                "name": name,
                "source": "rtsp://***@camera.example/live",
                "state": "running",
                "settings": {},
            }
            for name in self.status["cameras"]
        }
        self.modes = dict.fromkeys(self.cameras, "off")
        self.commands = Commands(self.take, "1", timeout_s=1.0)

    def take(self, message: Message) -> None:
        """A command."""
        self.heard.append(message)
        work: Callable[[Message], Reply] | None = getattr(
            self, "do_" + message["command"].replace("-", "_"), None
        )
        reply = refused("invalid", f"unknown command {message['command']}") if work is None else work(message)
        self.commands.answered({"type": "answer", "id": message["id"], "ok": True, **reply})

    def _of_camera(self, message: Message, result: Callable[[str], dict[str, Any]]) -> Reply:
        name = message["camera"]
        if name not in self.cameras:
            return refused("not-found", f"no camera {name!r}")
        return {"result": result(name)}

    def do_engine_cameras(self, message: Message) -> Reply:
        return {"result": {"cameras": list(self.cameras.values())}}

    def do_engine_config(self, message: Message) -> Reply:
        return {"result": {"profile": "m3-cpu", "cameras": list(self.cameras.values())}}

    def do_engine_add(self, message: Message) -> Reply:
        settings = dict(message["camera"])
        name, source = settings.pop("name"), settings.pop("source")
        if name in self.cameras:
            return refused("conflict", f"there is a camera {name!r}")
        self.cameras[name] = {"name": name, "source": source, "state": "running", "settings": settings}
        return {"result": {"camera": self.cameras[name]}}

    def do_engine_change(self, message: Message) -> Reply:
        names = list(self.cameras) if message["camera"] is None else [message["camera"]]
        if names[0] not in self.cameras:
            return refused("not-found", f"no camera {names[0]!r}")
        for name in names:
            self.cameras[name]["settings"] |= message["changes"]
        entries = [self.cameras[name] for name in names]
        return {"result": {"cameras": entries} if message["camera"] is None else {"camera": entries[0]}}

    def do_engine_remove(self, message: Message) -> Reply:
        reply = self._of_camera(message, lambda name: {"camera": name, "removed": True})
        self.cameras.pop(message["camera"], None)
        return reply

    def _switch(self, message: Message, state: str) -> Reply:
        names = message["cameras"] if message["cameras"] is not None else list(self.cameras)
        for name in names:
            if name not in self.cameras:
                return refused("not-found", f"no camera {name!r}")
            self.cameras[name]["state"] = state
        return {"result": {"cameras": [self.cameras[name] for name in names]}}

    def do_engine_start(self, message: Message) -> Reply:
        return self._switch(message, "running")

    def do_engine_stop(self, message: Message) -> Reply:
        return self._switch(message, "stopped")

    def do_segment_mode(self, message: Message) -> Reply:
        name, mode = message["camera"], message["mode"]
        before, self.modes[name] = self.modes.get(name, "off"), mode
        return {"result": {"camera": name, "mode": mode, "before": before, "loading": False}}

    def do_segment_state(self, message: Message) -> Reply:
        return self._of_camera(message, lambda name: {"camera": name, "mode": "prompt", "object_ids": [3, 4]})

    def do_prompt(self, message: Message) -> Reply:
        number = message["object"] or 7
        return self._of_camera(message, lambda name: {"camera": name, "object": number, "frame": 12})

    def do_protect_object(self, message: Message) -> Reply:
        keys = ("camera", "object", "protected")
        return self._of_camera(message, lambda name: {key: message[key] for key in keys})

    def do_remove_object(self, message: Message) -> Reply:
        return self._of_camera(message, lambda name: {"camera": name, "object": message["object"]})

    def do_identities(self, message: Message) -> Reply:
        return {"result": {"identities": [], "next": None}}

    def do_identity(self, message: Message) -> Reply:
        return {"result": {"gid": message["gid"]}}

    do_forget_identity = do_identity

    def do_forget_identities(self, message: Message) -> Reply:
        return {"result": {"forgotten": 3}}

    def do_identity_scope(self, message: Message) -> Reply:
        return {"result": {"scope": message["scope"]}}

    def do_ptz_state(self, message: Message) -> Reply:
        return {"result": dict(make_ptz()["gate"])}

    do_ptz_move = do_ptz_go_to = do_ptz_stop = do_ptz_resume = do_ptz_policy = do_ptz_select = do_ptz_state

    def do_ptz_presets(self, message: Message) -> Reply:
        pose = {"pan_deg": 1.0, "tilt_deg": 2.0, "zoom": 3.0}
        return {"result": {"presets": [{"preset": "1", "name": "gate", "pose": pose}]}}

    def do_ptz_preset(self, message: Message) -> Reply:
        return {"result": {"action": message["action"], "preset": message["preset"]}}
