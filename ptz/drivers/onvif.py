"""Cameras that speak ONVIF: turning at speeds, going to places, the ladder of ways to stop, status, presets.

What a camera takes is found out by asking (`onvif_survey`), and by its faults: a turn that is refused is tried without
what it may have disliked, a stop that is refused by the next way of stopping. What then works is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from engine.errors import PtzRefused, PtzUnreachable, PtzUnsupported
from engine.lockout import Governor
from ptz.drivers.base import DriverOptions, PtzDriver
from ptz.drivers.isapi_capabilities import RESERVED_PRESETS
from ptz.drivers.onvif_forms import (
    ABSOLUTE_HERE,
    BOTH_AXES,
    MINUTE_SPEED,
    MOST_FORMS,
    OF_THE_FORM,
    RELATIVE_ZERO,
    STOP,
    VELOCITY,
    ZERO,
    ZERO_WITH_SPACES,
    MoveForm,
)  # fmt: skip
from ptz.drivers.onvif_messages import duration, preset_place, told, vector
from ptz.drivers.onvif_places import Places
from ptz.drivers.onvif_soap import BUSY, PTZ, Fault, SoapClient, error_of
from ptz.drivers.onvif_spaces import scaled
from ptz.drivers.onvif_survey import Survey, survey
from ptz.http import Transport
from ptz.http_client import HttpClient
from ptz.http_socket import SocketTransport
from ptz.types import Capabilities, Levels, Preset, Status
from ptz.xml import Element, Markup, element

Pair = tuple[float, float]


class OnvifDriver(PtzDriver, names=("onvif",)):
    """One ONVIF camera's head.

    transport  for a camera in the same process; None = a socket to `options.url`
    governor   of its account; None = the one that all processes share
    utc        seconds since 1970, for logins where the camera does not tell its own time
    """

    def __init__(
        self,
        options: DriverOptions,
        now: Callable[[], float],
        transport: Transport | None = None,
        governor: Governor | None = None,
        utc: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(options, now)
        transport = transport or SocketTransport(options.url, tls_fingerprint=options.tls_fingerprint)
        self._http = HttpClient(transport, options, governor, now)
        self._soap = SoapClient(self._http, options, now, utc)
        path = urlsplit(options.url).path
        if path not in ("", "/"):
            self._soap.device_path = path
        self._survey: Survey | None = None
        self._form = MoveForm()
        self._stop_way = STOP
        self._all_forms_refused = self._form_is_proven = False
        self._turning = False
        self._places: Places | None = None
        self._learned: dict[str, str] = {}

    async def open(self) -> Capabilities:
        """Clock, services, profile, spaces and limits of the camera; see `PtzDriver.open`."""
        found = await survey(self._soap, self.options)
        self._survey, self._places = found, Places(found)
        self._all_forms_refused = self._form_is_proven = False
        none_taken = found.timeout_s is not None and found.timeout_s[1] <= 0
        self._form = MoveForm(
            spaces=not self._usual_spaces(),
            timeout="none" if none_taken else "fraction",
            both_axes="reolink" in found.maker.lower(),
        )
        self._learned = {"profile": found.profile.name or found.profile.token}
        self._learn("turns", str(self._form))
        return self.capabilities

    async def move(self, levels: Levels, ttl_s: float) -> None:
        """ContinuousMove; `ttl_s` as its Timeout where the camera takes one."""
        if levels.is_zero:
            await self.stop()
            return
        signs = self.options.command_pan_sign, self.options.command_tilt_sign
        pan_tilt = signs[0] * levels.pan / 100, signs[1] * levels.tilt / 100
        first: Fault | None = None
        tried: list[MoveForm] = []
        form: MoveForm | None = self._form
        while form is not None:
            tried.append(form)
            answer = await self._turn(form, pan_tilt, levels.zoom / 100, ttl_s)
            if not isinstance(answer, Fault):
                self._keep(form, first)
                return
            first = first or answer
            known = self._form_is_proven and not answer.any_of(OF_THE_FORM)
            if known:
                break
            over = self._all_forms_refused or len(tried) >= MOST_FORMS
            form = (
                None if over else next((other for other in form.others(answer) if other not in tried), None)
            )
        assert first is not None
        self._all_forms_refused = self._all_forms_refused or form is None
        raise error_of(first, f"{self.options.url} ONVIF ContinuousMove")

    async def stop(self) -> None:
        """Stop, or what stands for it on this camera. A way that is refused is followed by the next."""
        first: Fault | None = None
        for way in (self._stop_way, *(way for way in self.stop_ways if way != self._stop_way)):
            answer = await self._stop_by(way)
            if not isinstance(answer, Fault):
                if first is not None and not first.any_of(BUSY):
                    self._learn("stop", f"{way}, {self._stop_way} was refused ({first})")
                    self._stop_way = way
                return
            first = first or answer
        assert first is not None
        raise error_of(first, f"{self.options.url} ONVIF Stop")

    @property
    def stop_ways(self) -> tuple[str, ...]:
        """stop, zero_with_spaces, zero, and where they are offered relative_zero, absolute_here."""
        ways = [STOP, ZERO_WITH_SPACES, ZERO]
        if self._survey is not None and self._survey.spaces.translations:
            ways.append(RELATIVE_ZERO)
        if self._survey is not None and self._survey.spaces.positions and self._survey.position:
            ways.append(ABSOLUTE_HERE)
        return tuple(ways)

    def use_stop_way(self, way: str) -> None:
        """Stop this way from now on; raises `PtzUnsupported` for one that is not among `stop_ways`."""
        if way not in self.stop_ways:
            raise PtzUnsupported(f"{self.options.url}: no way of stopping {way!r}")
        if way != self._stop_way:
            self._stop_way = way
            self._learn("stop", way)

    @property
    def move_ways(self) -> tuple[str, ...]:
        """velocity; both_axes = a minute speed in the axis that shall stand, for cameras that else ignore the move."""
        return (BOTH_AXES, VELOCITY) if self._form.both_axes else (VELOCITY, BOTH_AXES)

    def use_move_way(self, way: str) -> None:
        """Turn this way from now on; raises `PtzUnsupported` for one that is not among `move_ways`."""
        if way not in self.move_ways:
            raise PtzUnsupported(f"{self.options.url}: no way of turning {way!r}")
        if (way == BOTH_AXES) != self._form.both_axes:
            self._form = replace(self._form, both_axes=way == BOTH_AXES)
            self._learn("turns", str(self._form))

    async def status(self) -> Status:
        """GetStatus. The time is the middle of asking."""
        found = self._found
        if not found.position and not found.moving:
            raise PtzUnsupported(f"{self.options.url}: the camera tells neither position nor movement")
        asked_s = self.now()
        answer = told(await self._call("GetStatus"))
        places = self._meaning
        places.saw(answer)
        pose, zoomed = places.pose((asked_s + self.now()) / 2, answer)
        return Status(pose, answer.moving, zoomed)

    async def absolute(self, pan_deg: float, tilt_deg: float, zoom: float, max_deg_s: float | None) -> None:
        """AbsoluteMove; `max_deg_s` where the camera takes speeds in degrees."""
        found = self._found
        if not found.spaces.positions:
            raise PtzUnsupported(f"{self.options.url}: the camera has no absolute moves")
        parts = [self._meaning.position(pan_deg, tilt_deg, zoom)]
        speed = found.spaces.speed_deg_s
        if speed is not None and max_deg_s is not None:
            pair = min(max_deg_s, speed.x[1]), min(max_deg_s, speed.y[1])
            parts.append(vector("Speed", pair, None, (speed.uri, "")))
        await self._call("AbsoluteMove", *parts)

    async def relative_fov(self, x: float, y: float, zoom: float) -> None:
        """RelativeMove in TranslationSpaceFov, where (1, 1) is the upper right corner of the picture."""
        found = self._found
        space = found.spaces.fov
        if space is None:
            raise PtzUnsupported(f"{self.options.url}: the camera has no moves relative to the picture")
        by = (
            scaled(self.options.command_pan_sign * x, space.x),
            scaled(self.options.command_tilt_sign * y, space.y),
        )
        zoom_by, zoom_space = self._meaning.zoom_translation(zoom)
        await self._call("RelativeMove", vector("Translation", by, zoom_by, (space.uri, zoom_space)))

    async def presets(self) -> list[Preset]:
        """GetPresets."""
        answer = await self._call("GetPresets")
        found = []
        for preset in answer.all("Preset"):
            token, place = preset.attributes.get("token", ""), preset_place(preset)
            if token:
                pose = None if place is None else self._meaning.pose(self.now(), place)[0]
                found.append(Preset(token, preset.text_of("Name", ""), pose))
        return found

    async def go_to_preset(self, preset: str) -> None:
        """GotoPreset."""
        self._refuse_reserved(preset)
        await self._call("GotoPreset", element("PresetToken", preset))

    async def store_preset(self, preset: str, name: str) -> str:
        """SetPreset. Most cameras give new presets a token themselves: what is returned counts."""
        self._refuse_reserved(preset)
        title = [element("PresetName", name)] if name else []
        token = [element("PresetToken", preset)] if preset else []
        answer = await self._ask("SetPreset", *title, *token)
        if isinstance(answer, Fault) and token and not answer.any_of(BUSY):
            answer = await self._ask("SetPreset", *title)
        if isinstance(answer, Fault):
            raise error_of(answer, f"{self.options.url} ONVIF SetPreset")
        return answer.text_of("PresetToken", preset)

    async def remove_preset(self, preset: str) -> None:
        """RemovePreset."""
        self._refuse_reserved(preset)
        await self._call("RemovePreset", element("PresetToken", preset))

    async def home(self) -> None:
        """GotoHomePosition."""
        await self._call("GotoHomePosition")

    async def close(self) -> None:
        """Let go of the connection."""
        await self._http.close()

    @property
    def _found(self) -> Survey:
        if self._survey is None:
            raise PtzUnreachable(f"{self.options.url}: not opened yet")
        return self._survey

    @property
    def _meaning(self) -> Places:
        if self._places is None:
            raise PtzUnreachable(f"{self.options.url}: not opened yet")
        return self._places

    async def _ask(self, operation: str, *content: Markup) -> Element | Fault:
        found = self._found
        return await self._soap.ask(
            found.path, PTZ, operation, element("ProfileToken", found.profile.token), *content
        )

    async def _call(self, operation: str, *content: Markup) -> Element:
        answer = await self._ask(operation, *content)
        if isinstance(answer, Fault):
            raise error_of(answer, f"{self.options.url} ONVIF {operation}")
        return answer

    async def _turn(self, form: MoveForm, pan_tilt: Pair, zoom: float, ttl_s: float) -> Element | Fault:
        """ContinuousMove in a form, with shares from -1 to 1."""
        found = self._found
        parts = [self._velocity(form, pan_tilt, zoom)]
        if form.timeout != "none":
            least, most = found.timeout_s or (0.0, ttl_s)
            parts.append(
                element("Timeout", duration(min(max(ttl_s, least), most), whole=form.timeout == "whole"))
            )
        answer = await self._ask("ContinuousMove", *parts)
        if not isinstance(answer, Fault):
            self._turning = any(pan_tilt)
        return answer

    def _velocity(self, form: MoveForm, pan_tilt: Pair, zoom: float) -> Markup:
        spaces = self._found.spaces
        if form.both_axes and (any(pan_tilt) or self._turning):
            pan_tilt = pan_tilt[0] or MINUTE_SPEED, pan_tilt[1] or MINUTE_SPEED
        pair = None
        if spaces.velocity is not None and (any(pan_tilt) or not form.both_axes):
            pair = scaled(pan_tilt[0], spaces.velocity.x), scaled(pan_tilt[1], spaces.velocity.y)
        by = None if spaces.zoom_velocity is None else scaled(zoom, spaces.zoom_velocity.x)
        return vector("Velocity", pair, by, self._velocity_uris() if form.spaces else ("", ""))

    def _velocity_uris(self) -> tuple[str, str]:
        spaces = self._found.spaces
        uris = [space.uri if space else "" for space in (spaces.velocity, spaces.zoom_velocity)]
        return uris[0], uris[1]

    def _usual_spaces(self) -> bool:
        """Whether the profile's default spaces of velocity are those that we speak in, as far as it names them."""
        profile = self._found.profile
        defaults = profile.velocity_space, profile.zoom_velocity_space
        return all(default in ("", uri) for default, uri in zip(defaults, self._velocity_uris(), strict=True))

    async def _stop_by(self, way: str) -> Element | Fault:
        spaces = self._found.spaces
        if way == RELATIVE_ZERO:
            by = None if spaces.zoom_translation is None else 0.0
            answer = await self._ask("RelativeMove", vector("Translation", (0.0, 0.0), by))
        elif way == ABSOLUTE_HERE:
            answer = await self._stay_here()
        elif way == STOP:
            moves = self._found.moves or {"pan", "tilt", "zoom"}
            answer = await self._ask(
                "Stop", element("PanTilt", "pan" in moves), element("Zoom", "zoom" in moves)
            )
        else:
            pair = None if spaces.velocity is None else (0.0, 0.0)
            by = None if spaces.zoom_velocity is None else 0.0
            uris = self._velocity_uris() if way == ZERO_WITH_SPACES else ("", "")
            answer = await self._ask("ContinuousMove", vector("Velocity", pair, by, uris))
        if not isinstance(answer, Fault):
            self._turning = False
        return answer

    async def _stay_here(self) -> Element | Fault:
        answer = await self._ask("GetStatus")
        if isinstance(answer, Fault):
            return answer
        here = told(answer)
        if here.pan_tilt is None:
            return Fault(("NoStatus",), "the camera tells no position to stay at")
        spaces = here.pan_tilt_space, here.zoom_space
        return await self._ask("AbsoluteMove", vector("Position", here.pan_tilt, here.zoom, spaces))

    def _keep(self, form: MoveForm, refused: Fault | None) -> None:
        """A form of turning was accepted."""
        self._all_forms_refused, self._form_is_proven = False, True
        if refused is not None:
            self._form = form
            self._learn("turns", f"{form}, another form was refused ({refused})")

    def _learn(self, topic: str, choice: str) -> None:
        """Renew the capabilities: what was chosen, and whether turns end by themselves."""
        self._learned[topic] = choice
        reserved = RESERVED_PRESETS if "hikvision" in self._found.maker.lower() else frozenset[int]()
        known = self._found.capabilities(self._form.timeout != "none", reserved)
        learned = (f"{name}: {choice}" for name, choice in self._learned.items())
        self.capabilities = replace(known, choices=(*self._soap.choices, *known.choices, *learned))

    def _refuse_reserved(self, preset: str) -> None:
        number = int(preset) if preset.isdecimal() and len(preset) < 9 else -1
        if number in self.capabilities.reserved_presets:
            raise PtzRefused(
                f"{self.options.url}: preset {preset} does something else on this camera; use another"
            )
