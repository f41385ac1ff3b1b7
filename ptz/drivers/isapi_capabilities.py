"""What an ISAPI camera tells of its head, read leniently: most of it is absent on most cameras. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.errors import PtzProtocolError
from ptz.xml import Element

RESERVED_PRESETS = frozenset({*range(33, 49), 50, 90, *range(92, 111), *range(130, 133), 200})
"""Presets that do something else when called (94 restarts the camera): of all models whose lists are known."""

RECORDERS = ("dvr", "nvr", "hvr", "dvs", "encoder", "decoder", "xvr")

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class HeadFacts:
    """What PTZChanelCap says; ranges in the camera's own numbers, None where it says nothing.

    pan, tilt, zoom    ranges of positions
    turns, zooms       it tells of continuous pan/tilt, of continuous zoom
    reserved           numbers of presets that are not places; None where it does not say
    """

    pan: Range | None = None
    tilt: Range | None = None
    zoom: Range | None = None
    turns: bool = False
    zooms: bool = False
    most_presets: int = 0
    longest_name: int = 0
    reserved: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class ExactFacts:
    """What absoluteEx/capabilities says, in degrees, ratios and degrees a second."""

    azimuth: Range | None = None
    elevation: Range | None = None
    zoom: Range | None = None
    pan_speed: Range | None = None
    tilt_speed: Range | None = None


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What deviceInfo says."""

    model: str = ""
    firmware: str = ""
    device_type: str = ""
    namespace: str = field(default="")

    @property
    def is_recorder(self) -> bool:
        """It is no camera: a head, if there is one, hangs on a serial line of it."""
        return any(word in self.device_type.lower() for word in RECORDERS)


def device_facts(document: Element) -> DeviceFacts:
    """From DeviceInfo."""
    return DeviceFacts(
        _text(document, "model"),
        _text(document, "firmwareVersion"),
        _text(document, "deviceType"),
        document.namespace,
    )


def head_facts(document: Element) -> HeadFacts:
    """From PTZChanelCap, or PTZChannelCap, or whatever the root is called."""
    turns, zooms = document.first("ContinuousPanTiltSpace"), document.first("ContinuousZoomSpace")
    pan_tilt, zoom = (
        document.first("AbsolutePanTiltPositionSpace"),
        document.first("AbsoluteZoomPositionSpace"),
    )
    names = document.first("PresetNameCap")
    return HeadFacts(
        pan=_range(pan_tilt, "XRange"),
        tilt=_range(pan_tilt, "YRange"),
        zoom=_range(zoom, "ZRange"),
        turns=turns is not None,
        zooms=zooms is not None,
        most_presets=_count(document.first("maxPresetNum")),
        longest_name=_count(names.find("maxPresetNameLen") if names else None),
        reserved=_numbers(document.first("specialNo")),
    )


def exact_facts(document: Element) -> ExactFacts:
    """From absoluteEx/capabilities: the ranges are attributes, the text is where it points now."""
    return ExactFacts(
        azimuth=_limits(document.first("azimuth")),
        elevation=_limits(document.first("elevation")),
        zoom=_limits(document.first("absoluteZoom")),
        pan_speed=_limits(document.first("horizontalSpeed")),
        tilt_speed=_limits(document.first("verticalSpeed")),
    )


def channel_numbers(document: Element) -> list[int]:
    """Channels with a head, from PTZChannelList."""
    channels = [document, *document] if document.name == "PTZChannel" else document.all("PTZChannel")
    return [_count(channel.find("id")) for channel in channels if channel.find("id") is not None]


def _text(document: Element, name: str) -> str:
    found = document.find(name)
    return " ".join(found.text.split())[:80] if found is not None else ""


def _range(space: Element | None, name: str) -> Range | None:
    found = space.first(name) if space is not None else None
    if found is None:
        return None
    try:
        return _rising(found.float_of("Min"), found.float_of("Max"))
    except PtzProtocolError:
        return None


def _limits(element: Element | None) -> Range | None:
    if element is None:
        return None
    try:
        return _rising(element.float_attribute("min"), element.float_attribute("max"))
    except PtzProtocolError:
        return None


def _rising(least: float, most: float) -> Range | None:
    """None for a range that is none: both the same (0..0), or reversed."""
    return (least, most) if least < most else None


def _count(element: Element | None) -> int:
    """A whole number, also where it stands in the attribute `max` or `@opt`; 0 where there is none."""
    if element is None:
        return 0
    text = element.text or element.attributes.get("max", "")
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text, re.ASCII) else 0


def _numbers(element: Element | None) -> frozenset[int] | None:
    if element is None:
        return None
    return frozenset(_in(f"{element.attributes.get('opt', '')},{element.text}"))


def _in(text: str) -> Iterable[int]:
    """Numbers and spans of numbers in a list: 33,34,92-105."""
    for first, last in re.findall(r"([0-9]{1,4})(?:\s*[-~]\s*([0-9]{1,4}))?", text):
        yield from range(int(first), int(last or first) + 1)
