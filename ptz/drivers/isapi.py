"""The driver `hikvision` (also `isapi`): heads of Hikvision cameras and their many brandings, by ISAPI over HTTP.

Endpoints, units and signs as in docs/ptz_protocols.md. What a camera has is found out by reading (`isapi_survey`); what
can only be found out by doing (mixed bodies, momentary moves) is tried once and remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from engine.errors import PtzProtocolError, PtzRefused, PtzUnsupported
from engine.lockout import Governor
from ptz.drivers.base import DriverOptions, PtzDriver
from ptz.drivers.isapi_answers import WrongBody
from ptz.drivers.isapi_positions import Place, Scale, Signs
from ptz.drivers.isapi_survey import DEVICE_INFO, Findings, exact_place, survey
from ptz.drivers.isapi_wire import IsapiWire
from ptz.http import Transport
from ptz.http_client import HttpClient
from ptz.http_socket import SocketTransport
from ptz.types import Capabilities, Levels, Preset, Status
from ptz.xml import Element, element

USER_CHECK = "/ISAPI/Security/userCheck"
LEAST_MOMENTARY_MS, LONGEST_MOMENTARY_MS = 20, 20_000
SLOWEST_DEG_S = 0.1


class IsapiDriver(PtzDriver, names=("hikvision", "isapi")):
    """One head behind ISAPI.

    transport  a socket to `options.url` where None
    governor   the guard of the account, shared with all processes, where None
    """

    def __init__(
        self,
        options: DriverOptions,
        now: Callable[[], float],
        transport: Transport | None = None,
        governor: Governor | None = None,
    ) -> None:
        super().__init__(options, now)
        transport = transport or SocketTransport(options.url, tls_fingerprint=options.tls_fingerprint)
        self._client = HttpClient(
            transport, options, governor, now, challenge_path=DEVICE_INFO, lock_path=USER_CHECK
        )
        self._wire = IsapiWire(self._client)
        self._head = f"/ISAPI/PTZCtrl/channels/{options.channel}"
        self._findings = Findings()
        self._scale = Scale()
        self._is_mixed = True
        self._refuses_momentary = False
        self._learnt: list[str] = []
        self._stop_way = "continuous"
        self._zoom = 1.0

    async def open(self) -> Capabilities:
        self._findings = await survey(self._wire, self._head, self.options.channel)
        self._scale = self._findings.scale
        found = self._findings.capabilities(self._signs)
        expires = found.self_expiring and not self._refuses_momentary
        choices = (*found.choices, *self._learnt, *self._client.governor.ledger.notes)
        self.capabilities = replace(found, self_expiring=expires, choices=choices)
        return self.capabilities

    @property
    def _signs(self) -> Signs:
        """Read anew each time: the start-up probe may find a sign wrong and change the options."""
        return Signs(self.options.position_pan_sign, self.options.position_tilt_sign)

    async def move(self, levels: Levels, ttl_s: float) -> None:
        """Momentary where the camera has it, else continuous: then the turn lasts until something else is sent."""
        duration_ms = min(LONGEST_MOMENTARY_MS, max(LEAST_MOMENTARY_MS, round(ttl_s * 1000)))
        is_refused = False
        if self.capabilities.self_expiring and not levels.is_zero:
            try:
                await self._turn("momentary", levels, duration_ms)
                return
            except PtzUnsupported:
                is_refused = True
        await self._turn("continuous", levels)
        if is_refused:  # and the other was not: it is not only that everything is refused at the moment
            self._refuses_momentary = True
            self._remember("moves do not end by themselves: the camera refuses momentary ones")
            self.capabilities = replace(self.capabilities, self_expiring=False)

    async def stop(self) -> None:
        if self._stop_way == "absolute":
            status = await self.status()
            if status.pose is None:
                raise PtzUnsupported(f"{self._client.label}: no position to stop at")
            await self.absolute(status.pose.pan_deg, status.pose.tilt_deg, status.pose.zoom, None)
        elif self._stop_way == "momentary":
            await self._turn("momentary", Levels(), LEAST_MOMENTARY_MS)
        else:
            await self._turn("continuous", Levels())

    @property
    def stop_ways(self) -> tuple[str, ...]:
        ways = ["continuous"]
        if self.capabilities.self_expiring:
            ways.append("momentary")
        if self.capabilities.absolute and self.capabilities.status:
            ways.append("absolute")
        return tuple(ways)

    def use_stop_way(self, way: str) -> None:
        if way not in self.stop_ways:
            raise PtzUnsupported(
                f"{self._client.label}: no way of stopping {way!r}; there are: {', '.join(self.stop_ways)}"
            )
        self._stop_way = way

    async def status(self) -> Status:
        """From absoluteEx where it can be read (hundredths of a degree), else from status.

        The time is the middle of the exchange; how old the camera's own value is, it does not say.
        """
        if not self.capabilities.status:
            raise PtzUnsupported(f"{self._client.label}: the camera tells no position")
        sent_s = self.now()
        place = await self._where_it_points()
        if place.zoom is not None:
            self._zoom = max(1.0, place.zoom)
        pose = self._signs.pose(place, (sent_s + self.now()) / 2, self._zoom)
        return Status(pose, moving=None, zoomed=place.zoom is not None)

    async def _where_it_points(self) -> Place:
        is_refused = False
        if self._findings.is_exact:
            try:
                return exact_place(await self._wire.get(f"{self._head}/absoluteEx"))
            except PtzUnsupported:
                if not self._findings.tells:
                    raise
                is_refused = True
        place = self._place(await self._wire.get(f"{self._head}/status"))
        if is_refused:
            self._without_exact()
        return place

    def _without_exact(self) -> None:
        """It is refused while another way is not."""
        self._findings = replace(self._findings, is_exact=False)
        self._remember("positions from status and absolute: absoluteEx is refused now")

    async def absolute(self, pan_deg: float, tilt_deg: float, zoom: float, max_deg_s: float | None) -> None:
        """By absoluteEx, which knows speeds and hundredths, else by absolute; within what the camera can reach."""
        if not self.capabilities.absolute:
            raise PtzUnsupported(f"{self._client.label}: the camera has no absolute moves")
        place = self._findings.reachable(self._signs.place(pan_deg, tilt_deg, zoom))
        is_refused = False
        if self._findings.is_exact:
            try:
                await self._wire.put(
                    f"{self._head}/absoluteEx", "PTZAbsoluteEx", *self._exact(place, max_deg_s)
                )
                return
            except PtzUnsupported:
                if self._findings.head.pan is None:
                    raise
                is_refused = True
        azimuth, elevation, ratio = self._findings.sent_scale.numbers(place)
        high = element(
            "AbsoluteHigh",
            element("elevation", elevation),
            element("azimuth", azimuth),
            element("absoluteZoom", ratio),
        )
        await self._wire.put(f"{self._head}/absolute", "PTZData", high)
        if is_refused and self._findings.tells:
            self._without_exact()

    async def presets(self) -> list[Preset]:
        """The stored places, without numbers that are none (reserved ones)."""
        self._need_presets()
        found = await self._wire.get(f"{self._head}/presets")
        return [
            preset
            for entry in found.all("PTZPreset")
            if entry.bool_of("enabled", True)
            and (preset := self._preset(entry)) is not None
            and int(preset.preset) not in self.capabilities.reserved_presets
        ]

    async def go_to_preset(self, preset: str) -> None:
        await self._wire.put_nothing(f"{self._head}/presets/{self._number(preset)}/goto")

    async def store_preset(self, preset: str, name: str) -> str:
        """An empty `preset` takes the first free number."""
        number = self._number(preset) if preset else await self._free_number()
        longest = self._findings.head.longest_name
        if longest and len(name) > longest:
            raise PtzRefused(
                f"{self._client.label}: preset name {name!r} is longer than {longest} characters"
            )
        content = (
            element("enabled", True),
            element("id", number),
            element("presetName", name or f"Preset {number}"),
        )
        await self._wire.put(f"{self._head}/presets/{number}", "PTZPreset", *content)
        return str(number)

    async def remove_preset(self, preset: str) -> None:
        await self._wire.delete(f"{self._head}/presets/{self._number(preset)}")

    async def home(self) -> None:
        if not self.capabilities.home:
            raise PtzUnsupported(f"{self._client.label}: the camera has no home position")
        await self._wire.put_nothing(f"{self._head}/homeposition/goto")

    async def close(self) -> None:
        await self._client.close()

    async def _turn(self, kind: str, levels: Levels, duration_ms: int | None = None) -> None:
        """Pan, tilt and zoom in one body; in two where the camera takes no mixed ones."""
        parts = self._wired(levels)
        if not (levels.zoom and (levels.pan or levels.tilt)):
            await self._put_turn(kind, parts, duration_ms)
            return
        if self._is_mixed:
            try:
                await self._put_turn(kind, parts, duration_ms, insist=False)
                return
            except WrongBody:
                pass
        namespace = self._wire.namespace
        await self._put_turn(kind, {axis: parts[axis] for axis in ("pan", "tilt")}, duration_ms)
        await self._put_turn(kind, {"zoom": parts["zoom"]}, duration_ms)
        # Where another namespace was what it took, mixed bodies have not been tried yet.
        if self._is_mixed and namespace == self._wire.namespace:
            self._is_mixed = False
            self._remember("pan and tilt go apart from zoom: the camera refuses both in one body")

    def _wired(self, levels: Levels) -> dict[str, int]:
        """Levels as the camera counts them, in the order that it wants."""
        return {
            "pan": self.options.command_pan_sign * levels.pan,
            "tilt": self.options.command_tilt_sign * levels.tilt,
            "zoom": levels.zoom,
        }

    async def _put_turn(
        self, kind: str, parts: dict[str, int], duration_ms: int | None, *, insist: bool = True
    ) -> None:
        content = [element(axis, max(-100, min(100, level))) for axis, level in parts.items()]
        if duration_ms is not None:
            content.append(element("Momentary", element("duration", duration_ms)))
        await self._wire.put(f"{self._head}/{kind}", "PTZData", *content, insist=insist)

    def _exact(self, place: Place, max_deg_s: float | None) -> list[str]:
        assert place.zoom is not None
        content = [
            element("elevation", f"{round(place.elevation_deg, 2) + 0.0:.2f}"),
            element("azimuth", f"{round(place.azimuth_deg, 2) % 360.0:.2f}"),
            element("absoluteZoom", f"{place.zoom:.2f}"),
        ]
        if max_deg_s is not None:
            for name, limits in zip(
                ("horizontalSpeed", "verticalSpeed"), self._findings.speed_limits, strict=True
            ):
                speed = min(limits[1], max(limits[0], SLOWEST_DEG_S, max_deg_s))
                content.append(element(name, f"{speed:.2f}"))
        return list(content)

    def _place(self, found: Element) -> Place:
        """From AbsoluteHigh, in units that are checked against what a direction can be."""
        high = found.first("AbsoluteHigh")
        if high is None:
            raise PtzProtocolError(f"{found.where}: no <AbsoluteHigh> in <{found.name}>")
        azimuth, elevation = high.float_of("azimuth"), high.float_of("elevation")
        zoom = high.float_of("absoluteZoom", 0.0)
        if not self._scale.fits(azimuth, elevation, self._findings.most_elevation_deg):
            finer = self._scale.finer()
            if finer != self._scale:
                self._scale = finer
                self._remember(
                    f"positions come in 1/{finer.per_deg} degree: {azimuth:g} is no direction otherwise"
                )
        return self._scale.place(azimuth, elevation, zoom if zoom > 0 else None)

    def _preset(self, entry: Element) -> Preset | None:
        number = entry.int_of("id", 0)
        if number <= 0:
            return None
        pose = None
        if entry.find("AbsoluteHigh") is not None and self.capabilities.status:
            pose = self._signs.pose(self._place(entry), self.now(), 1.0)
        return Preset(str(number), entry.text_of("presetName", f"Preset {number}"), pose)

    def _need_presets(self) -> None:
        if not self.capabilities.presets:
            raise PtzUnsupported(f"{self._client.label}: the camera has no presets")

    def _number(self, preset: str) -> int:
        """The number of a place that may be gone to and stored. Raises `PtzRefused` for any other."""
        self._need_presets()
        most = self.capabilities.most_presets or 300
        if not (preset.isascii() and preset.isdigit() and 1 <= int(preset) <= most):
            raise PtzRefused(f"{self._client.label}: preset {preset!r} is not a number from 1 to {most}")
        if int(preset) in self.capabilities.reserved_presets:
            raise PtzRefused(
                f"{self._client.label}: preset {int(preset)} is reserved: calling it does something else than going "
                "to a place"
            )
        return int(preset)

    async def _free_number(self) -> int:
        taken = {int(preset.preset) for preset in await self.presets()} | self.capabilities.reserved_presets
        most = self.capabilities.most_presets or 300
        free = next((number for number in range(1, most + 1) if number not in taken), None)
        if free is None:
            raise PtzRefused(f"{self._client.label}: all {most} presets are taken; remove one")
        return free

    def _remember(self, choice: str) -> None:
        self._learnt.append(choice)
        self.capabilities = replace(self.capabilities, choices=(*self.capabilities.choices, choice))
