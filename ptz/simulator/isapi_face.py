"""The ISAPI face of a simulated camera: paths to what they do and answer.

Positions go three ways, as on the cameras: tenths of a degree in `/status`, degrees in `/absoluteEx`, and raw elevation
positive downwards while a positive tilt of `/continuous` turns up. Logins and broken wires are not its part.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from engine.errors import PtzProtocolError, PtzRefused
from ptz.http import Request, Response
from ptz.simulator import pictures
from ptz.simulator.accounts import User
from ptz.simulator.alerts import AlertStream
from ptz.simulator.answer import Answer
from ptz.simulator.device import Device
from ptz.simulator.isapi_documents import IsapiDocuments
from ptz.simulator.isapi_moves import IsapiMoves
from ptz.simulator.isapi_strict import checked_body
from ptz.simulator.pictures import Picture
from ptz.simulator.rules import Has, Refused

XML_HEADERS = (("Content-Type", 'application/xml; charset="UTF-8"'),)
PTZ_PREFIX = "/ISAPI/PTZCtrl/channels/"


@dataclass(frozen=True, slots=True)
class Call:
    """One request at the face.

    path      without the query
    words     what the pattern of the path caught
    clock_s   what the camera's clock shows, seconds since 1970
    """

    request: Request
    path: str
    words: tuple[str, ...]
    now_s: float
    clock_s: float


Handler = Callable[[Call], Answer]


class IsapiFace:
    """Answers requests of users who have logged in.

    documents  what it tells, with its namespace
    has        rules and faults
    beat_s     between heartbeats of the event stream
    """

    def __init__(
        self, device: Device, documents: IsapiDocuments, has: Has, picture: Picture, beat_s: float = 10.0
    ) -> None:
        self._device = device
        self._documents = documents
        self._has = has
        self._picture = picture
        self._beat_s = beat_s
        self._moves = IsapiMoves(device, has)
        self._routes = self._built_routes()

    def _built_routes(self) -> list[tuple[re.Pattern[str], dict[str, Handler]]]:
        system, streaming, ptz = "/ISAPI/System", "(?:/ISAPI)?/Streaming/channels", "/ISAPI/PTZCtrl/channels"
        routes: dict[str, dict[str, Handler]] = {
            f"{system}/deviceInfo": {"GET": lambda call: self._xml(self._documents.device_info())},
            f"{system}/status": {"GET": self._system_status},
            f"{system}/time": {"GET": lambda call: self._xml(self._documents.time(call.clock_s)), "PUT": self._done},
            f"{system}/reboot": {"PUT": self._reboot},
            f"{system}/Video/inputs/channels/1/(?:focus|iris)": {"PUT": self._done},
            streaming: {"GET": lambda call: self._xml(self._documents.streams())},
            f"{streaming}/(10[12])": {"GET": lambda call: self._xml(self._documents.stream(int(call.words[0])))},
            f"{streaming}/10[12]/picture": {"GET": lambda call: pictures.still(self._picture, call.now_s)},
            f"{streaming}/10[12]/http[pP]review": {"GET": self._film},
            f"{streaming}/10[12]/requestKeyFrame": {"PUT": self._done},
            "/ISAPI/Event/notification/alertStream": {"GET": self._alerts},
            ptz: {"GET": lambda call: self._xml(self._documents.channel_list())},
            f"{ptz}/1": {"GET": lambda call: self._xml(self._documents.channel_list())},
            f"{ptz}/1/capabilities": {"GET": lambda call: self._xml(self._documents.capabilities())},
            f"{ptz}/1/status": {"GET": self._status},
            f"{ptz}/1/absoluteEx": {"GET": self._absolute_ex, "PUT": self._moved(self._moves.absolute_ex)},
            f"{ptz}/1/absoluteEx/capabilities": {"GET": self._absolute_ex_capabilities},
            f"{ptz}/1/presets": {"GET": self._presets},
            f"{ptz}/1/presets/([0-9]{{1,4}})": {
                "GET": self._preset, "PUT": self._store_preset, "DELETE": self._remove_preset,
            },
            f"{ptz}/1/presets/([0-9]{{1,4}})/goto": {"PUT": self._go_to_preset},
            f"{ptz}/1/homeposition": {"GET": self._home, "PUT": self._store_home},
            f"{ptz}/1/homeposition/goto": {"PUT": self._go_home},
            f"{ptz}/1/patrols/[0-9]{{1,2}}/(?:start|stop)": {"PUT": self._done},
            f"{ptz}/1/auxcontrols/[0-9]{{1,2}}": {"PUT": self._done},
        }  # fmt: skip
        for name in ("continuous", "momentary", "relative", "absolute", "position3D"):
            routes[f"{ptz}/1/{name}"] = {"PUT": self._moved(getattr(self._moves, name.lower()))}
        return [(re.compile(path), methods) for path, methods in routes.items()]

    def handle(self, request: Request, user: User, now_s: float, clock_s: float) -> Answer:
        """What it answers to a user, and does. `clock_s` is what the camera's clock shows."""
        path = request.path.partition("?")[0]
        try:
            if request.method != "GET" and user.role == "viewer":
                raise Refused(403, 4, "insufficientPermission")
            handler, words = self._route(request.method, path)
            return handler(Call(request, path, words, now_s, clock_s))
        except Refused as refused:
            return self.refusal(path, refused.status, refused.code, refused.word)
        except PtzProtocolError:
            return self.refusal(path, 400, 6, "badXmlContent")
        except PtzRefused:
            return self.refusal(path, 400, 6, "badParameters")

    def refusal(self, path: str, status: int, code: int, word: str) -> Answer:
        """A ResponseStatus that tells of a failure."""
        return Answer(Response(status, XML_HEADERS, self._documents.response_status(path, code, word)))

    def wants_body(self, request: Request) -> bool:
        """Whether this is a command whose body says what to do."""
        path = request.path.partition("?")[0]
        bare = ("/goto", "/start", "/stop", "/reboot", "/requestKeyFrame", "/homeposition")
        return request.method == "PUT" and path.startswith("/ISAPI/") and not path.endswith(bare)

    def _route(self, method: str, path: str) -> tuple[Handler, tuple[str, ...]]:
        known = self._on_any_channel(method, path)
        for pattern, methods in self._routes:
            match = pattern.fullmatch(known)
            if match:
                if method in methods:
                    return methods[method], match.groups()
                raise Refused(403, 6, "methodNotAllowed")
        raise Refused(404, 4, "notSupport")

    def _on_any_channel(self, method: str, path: str) -> str:
        """The path on channel 1; another channel is refused, as there is none."""
        match = re.fullmatch(f"{PTZ_PREFIX}([0-9]{{1,5}})(/.*)?", path)
        if match is None or int(match[1]) == 1:
            return path
        raise Refused(400, 6, "badParameters")

    def _xml(self, body: bytes) -> Answer:
        return Answer(Response(200, XML_HEADERS, body))

    def _done(self, call: Call) -> Answer:
        return self._xml(self._documents.response_status(call.path, 1, "ok"))

    def _moved(self, move: Callable[..., None]) -> Handler:
        """A command with a body. An encoder without a head takes any, and nothing moves."""

        def handler(call: Call) -> Answer:
            root, is_ignored = checked_body(call.request, call.now_s, self._has)
            if not is_ignored and self._device.profile.moves:
                move(root, call.now_s)
            return self._done(call)

        return handler

    def _system_status(self, call: Call) -> Answer:
        return self._xml(self._documents.system_status(call.clock_s, self._device.uptime_s(call.now_s)))

    def _reboot(self, call: Call) -> Answer:
        if call.request.body and self._has("reboot_wants_no_body", call.now_s, call.path):
            raise Refused(400, 5, "badXmlFormat")
        self._device.reboot(call.now_s)
        return self._done(call)

    def _film(self, call: Call) -> Answer:
        return pictures.film(self._picture, call.now_s, self._device.profile.optics.fps)

    def _alerts(self, call: Call) -> Answer:
        alerts = AlertStream(self._documents, self._has, call.now_s, call.clock_s, self._beat_s)
        return Answer(Response(200, (("Content-Type", alerts.content_type),)), stream=alerts.chunks())

    def _status(self, call: Call) -> Answer:
        status = self._device.report(call.now_s)
        if status.pose is None:
            raise Refused(403, 4, "notSupport")
        per_deg = self._device.profile.reporting.per_deg
        return self._xml(self._documents.status(status.pose, per_deg=per_deg, zoom=status.zoomed))

    def _absolute_ex(self, call: Call) -> Answer:
        return self._xml(self._documents.absolute_ex(self._moves.fine_pose(call.now_s)))

    def _absolute_ex_capabilities(self, call: Call) -> Answer:
        return self._xml(self._documents.absolute_ex_capabilities(self._moves.fine_pose(call.now_s)))

    def _presets(self, call: Call) -> Answer:
        presets = sorted(self._device.presets.values(), key=lambda preset: int(preset.preset))
        listed = [self._documents.preset(int(preset.preset), preset.name, preset.pose) for preset in presets]
        return self._xml(self._documents.presets(listed))

    def _preset(self, call: Call) -> Answer:
        preset = self._device.presets.get(self._number(call))
        if preset is None:
            raise Refused(404, 4, "notSupport")
        return self._xml(self._documents.whole_preset(int(preset.preset), preset.name, preset.pose))

    def _store_preset(self, call: Call) -> Answer:
        root, is_ignored = checked_body(call.request, call.now_s, self._has)
        number = self._number(call)
        if not 1 <= int(number) <= max(self._device.profile.offer.most_presets, 1):
            raise Refused(400, 6, "badParameters")
        if not is_ignored:
            self._device.store_preset(number, root.text_of("presetName", f"Preset {number}")[:20], call.now_s)
        return self._done(call)

    def _remove_preset(self, call: Call) -> Answer:
        self._device.remove_preset(self._number(call))
        return self._done(call)

    def _go_to_preset(self, call: Call) -> Answer:
        self._device.go_to_preset(self._number(call), call.now_s)
        return self._done(call)

    @staticmethod
    def _number(call: Call) -> str:
        return str(int(call.words[0]))

    def _home(self, call: Call) -> Answer:
        return self._xml(self._documents.home(*self._device.home))

    def _store_home(self, call: Call) -> Answer:
        self._device.store_home(call.now_s)
        return self._done(call)

    def _go_home(self, call: Call) -> Answer:
        self._device.go_home(call.now_s)
        return self._done(call)
