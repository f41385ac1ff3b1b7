"""Finding out what an ISAPI camera has: a handful of documents that are read when it is opened. Nothing moves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from engine.errors import PtzProtocolError, PtzUnsupported
from ptz.drivers.isapi_capabilities import (
    RESERVED_PRESETS,
    DeviceFacts,
    ExactFacts,
    HeadFacts,
    Range,
    channel_numbers,
    device_facts,
    exact_facts,
    head_facts,
)
from ptz.drivers.isapi_positions import Place, Scale, Signs, scale_like, scale_of_ranges
from ptz.drivers.isapi_wire import IsapiWire
from ptz.types import Capabilities
from ptz.xml import Element

DEVICE_INFO = "/ISAPI/System/deviceInfo"
CHANNELS = "/ISAPI/PTZCtrl/channels"
FASTEST_DEG_S = (0.0, 1000.0)
TURN: Range = (0.0, 360.0)
UP_AND_DOWN: Range = (-90.0, 90.0)


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found. Ranges are the camera's, in degrees and ratios, elevation in its own sense.

    is_exact     absoluteEx can be read: positions and moves go through it
    tells        /status holds a position
    scale        of /status; `sent_scale` is that of its own ranges, which /absolute takes
    expires      there is something at /momentary
    """

    device: DeviceFacts = field(default_factory=DeviceFacts)
    head: HeadFacts = field(default_factory=HeadFacts)
    exact: ExactFacts = field(default_factory=ExactFacts)
    is_exact: bool = False
    tells: bool = False
    scale: Scale = field(default_factory=Scale)
    sent_scale: Scale = field(default_factory=Scale)
    turns: bool = True
    expires: bool = False
    presets: bool = False
    home: bool = False
    choices: tuple[str, ...] = ()

    @property
    def azimuth(self) -> Range | None:
        """Degrees that can be gone to, None where it does not say."""
        return self.exact.azimuth or _scaled(self.head.pan, self.sent_scale.per_deg)

    @property
    def elevation(self) -> Range | None:
        """Degrees, in the camera's own sense."""
        return self.exact.elevation or _scaled(self.head.tilt, self.sent_scale.per_deg)

    @property
    def zoom(self) -> Range | None:
        """Ratios."""
        return self.exact.zoom or _scaled(self.head.zoom, self.sent_scale.per_ratio)

    @property
    def most_elevation_deg(self) -> float:
        """How far from level it gets, either way; 180 past the nadir is known to be reported."""
        return max(abs(end) for end in self.elevation) if self.elevation else 180.0

    @property
    def speed_limits(self) -> tuple[Range, Range]:
        """Degrees a second that absoluteEx takes, of pan and tilt."""
        return self.exact.pan_speed or FASTEST_DEG_S, self.exact.tilt_speed or FASTEST_DEG_S

    def reachable(self, place: Place) -> Place:
        """The place itself, or the nearest that the head gets to."""
        low, high = self.elevation or UP_AND_DOWN
        first, last = self.azimuth or TURN
        least, most = self.zoom or (1.0, 1000.0)
        azimuth = place.azimuth_deg
        if last - first < 359.0 and not first <= azimuth <= last:
            # Beyond a stop: the stop that is nearer.
            azimuth = last if (azimuth - last) % 360.0 < (first - azimuth) % 360.0 else first
        ratio = 1.0 if place.zoom is None else place.zoom
        return Place(azimuth % 360.0, min(high, max(low, place.elevation_deg)), min(most, max(least, ratio)))

    def capabilities(self, signs: Signs) -> Capabilities:
        """The same in our words."""
        absolute = self.is_exact or self.head.pan is not None
        speeds = (self.exact.pan_speed, self.exact.tilt_speed)
        least_zoom, most_zoom = self.zoom or (1.0, 1.0)
        return Capabilities(
            device=f"{self.device.model} {self.device.firmware}".strip(),
            device_type=self.device.device_type,
            continuous=self.turns,
            self_expiring=self.expires,
            absolute=absolute,
            status=self.is_exact or self.tells,
            presets=self.presets,
            home=self.home,
            most_presets=self.head.most_presets,
            reserved_presets=RESERVED_PRESETS if self.head.reserved is None else self.head.reserved,
            pan_range_deg=signs.pan_range(*self.azimuth) if self.azimuth else None,
            tilt_range_deg=signs.tilt_range(*(self.elevation or UP_AND_DOWN)),
            zoom_range=(max(1.0, least_zoom), max(1.0, most_zoom)),
            most_deg_s=(speeds[0][1], speeds[1][1]) if speeds[0] and speeds[1] else None,
            moves=self._moves(),
            choices=self.choices,
        )

    def _moves(self) -> frozenset[str]:
        """Axes that it tells of; all where it tells of none."""
        told = self.head.turns or self.head.zooms or self.head.pan is not None or self.head.zoom is not None
        turns = self.head.turns or self.head.pan is not None or not told
        zooms = self.head.zooms or self.head.zoom is not None or not told
        return frozenset({"pan", "tilt"} if turns else ()) | frozenset({"zoom"} if zooms else ())


async def survey(wire: IsapiWire, head: str, channel: int) -> Findings:
    """Read what there is below `head`.

    Raises what `HttpClient.request` raises, and `PtzProtocolError` for a camera without ISAPI.
    """
    try:
        info = await wire.get(DEVICE_INFO)
    except PtzUnsupported as error:
        raise PtzUnsupported(f"{error}; this camera speaks no ISAPI: try driver onvif") from None
    if info.name != "DeviceInfo":
        raise PtzProtocolError(
            f"{info.where}: <{info.name}> instead of <DeviceInfo>; does this camera speak ISAPI?"
        )
    device = device_facts(info)
    choices = _choices_of_device(wire, device)
    listed = await wire.get_or_none(CHANNELS)
    numbers = channel_numbers(listed) if listed is not None else []
    if numbers and channel not in numbers:
        known = ", ".join(map(str, numbers))
        choices.append(f"channel {channel} is not among those with a head ({known})")
    told = await wire.get_or_none(f"{head}/capabilities")
    facts = head_facts(told) if told is not None else HeadFacts()
    found = await _positions(wire, head, Findings(device, facts, choices=tuple(choices)))
    return replace(
        found,
        turns=await wire.takes(f"{head}/continuous"),
        expires=await wire.takes(f"{head}/momentary"),
        presets=await wire.get_or_none(f"{head}/presets") is not None,
        home=await wire.get_or_none(f"{head}/homeposition") is not None,
    )


def _choices_of_device(wire: IsapiWire, device: DeviceFacts) -> list[str]:
    choices = []
    if wire.speak(device.namespace):
        choices.append(f"bodies in the camera's own namespace {wire.namespace}")
    if device.is_recorder:
        choices.append(
            f"it says that it is a {device.device_type}: a head, if there is one, hangs on a serial line of it, and "
            "motion has to be proven"
        )
    return choices


async def _positions(wire: IsapiWire, head: str, found: Findings) -> Findings:
    """How positions are told and taken, and on which scales."""
    exact = await wire.get_or_none(f"{head}/absoluteEx")
    status = await wire.get_or_none(f"{head}/status")
    ranges = found.head
    scale = scale_of_ranges(ranges.pan[1] if ranges.pan else None, ranges.zoom[0] if ranges.zoom else None)
    high = status.first("AbsoluteHigh") if status is not None else None
    found = replace(found, tells=high is not None, scale=scale, sent_scale=scale)
    place = _place_or_none(exact)
    if place is None:
        how = (
            "positions from status: there is no absoluteEx" if found.tells else "the camera tells no position"
        )
        return replace(found, choices=(*found.choices, how))
    limits = await wire.get_or_none(f"{head}/absoluteEx/capabilities")
    choices = [*found.choices, "positions from absoluteEx, in hundredths of a degree"]
    if high is not None:
        scale = _scale_seen(high, place, scale)
        if scale != found.scale:
            choices.append(f"status comes in 1/{scale.per_deg} degree, as absoluteEx shows")
    return replace(
        found,
        is_exact=True,
        exact=exact_facts(limits) if limits is not None else ExactFacts(),
        scale=scale,
        choices=tuple(choices),
    )


def exact_place(found: Element) -> Place:
    """From PTZAbsoluteEx: degrees and ratios as they are."""
    root = found.first("PTZAbsoluteEx") or found
    zoom = root.float_of("absoluteZoom", 0.0)
    return Place(root.float_of("azimuth"), root.float_of("elevation"), zoom if zoom > 0 else None)


def _place_or_none(found: Element | None) -> Place | None:
    try:
        return exact_place(found) if found is not None else None
    except PtzProtocolError:
        return None


def _scale_seen(high: Element, place: Place, otherwise: Scale) -> Scale:
    try:
        return scale_like(high.float_of("azimuth"), high.float_of("elevation"), place, otherwise)
    except PtzProtocolError:
        return otherwise


def _scaled(numbers: Range | None, scale: int) -> Range | None:
    return (numbers[0] / scale, numbers[1] / scale) if numbers else None
