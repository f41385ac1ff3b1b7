"""What ONVIF's calls say and what their answers mean: elements in the order of the schema, answers as values.

Pure. Reads by local names, forgives what real cameras leave out, and leaves to the driver what to do with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from urllib.parse import urlsplit

from engine.errors import PtzProtocolError
from ptz.drivers.onvif_soap import SCHEMA
from ptz.drivers.onvif_spaces import Space, named, spaces_of
from ptz.xml import Element, Markup, element

SHORTEST_TIMEOUT_S = 0.1


@dataclass(frozen=True, slots=True)
class Profile:
    """A media profile with a head. Default spaces are "" where the configuration names none."""

    token: str
    name: str
    configuration: str
    node: str
    velocity_space: str = ""
    zoom_velocity_space: str = ""
    position_space: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A head: how many presets it holds (0 = not told), whether it has a home position, and its spaces."""

    most_presets: int = 0
    home: bool = False
    spaces: Element | None = None


@dataclass(frozen=True, slots=True)
class Spaces:
    """What a head can be told and how, in the camera's own spaces; None = it cannot."""

    velocity: Space | None = None
    velocity_deg_s: Space | None = None
    zoom_velocity: Space | None = None
    positions: tuple[Space, ...] = ()
    zoom_positions: tuple[Space, ...] = ()
    translations: tuple[Space, ...] = ()
    zoom_translation: Space | None = None
    speed_deg_s: Space | None = None

    @property
    def fov(self) -> Space | None:
        """The translation relative to the picture."""
        return named(self.translations, "TranslationSpaceFov")


@dataclass(frozen=True, slots=True)
class Told:
    """An answer to GetStatus, in the camera's numbers; None where it does not tell."""

    pan_tilt: tuple[float, float] | None
    pan_tilt_space: str
    zoom: float | None
    zoom_space: str
    moving: bool | None


def service_paths(answer: Element) -> dict[str, str]:
    """Namespace → path of each service in an answer to GetServices."""
    return {
        service.text_of("Namespace", ""): path_of(service.text_of("XAddr", ""))
        for service in answer.all("Service")
    }


def capability_paths(answer: Element) -> dict[str, str]:
    """Name ("PTZ", "Media") → path of each service in an answer to GetCapabilities."""
    listed = answer.find("Capabilities")
    return {
        child.name: path_of(child.text_of("XAddr")) for child in listed or () if child.text_of("XAddr", "")
    }


def path_of(address: str) -> str:
    """Path and query of an address; who stands behind a router names a host that cannot be reached."""
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        return "/"
    path = parts.path if parts.path.startswith("/") else "/" + parts.path
    query = f"?{parts.query}" if parts.query else ""
    return path + query if (path + query).isascii() and " " not in path + query else "/"


def profiles(answer: Element) -> list[Profile]:
    """The profiles that have a head, of Media (`PTZConfiguration`) or Media2 (`Configurations/PTZ`)."""
    found = []
    for profile in answer.all("Profiles"):
        head = profile.find("PTZConfiguration") or profile.find("Configurations/PTZ")
        if head is None or not profile.attributes.get("token"):
            continue
        found.append(
            Profile(
                token=profile.attributes["token"],
                name=profile.text_of("Name", ""),
                configuration=head.attributes.get("token", ""),
                node=head.text_of("NodeToken", ""),
                velocity_space=head.text_of("DefaultContinuousPanTiltVelocitySpace", ""),
                zoom_velocity_space=head.text_of("DefaultContinuousZoomVelocitySpace", ""),
                position_space=head.text_of("DefaultAbsolutePantTiltPositionSpace", ""),
            )
        )
    return found


def node_of(answer: Element, token: str) -> Node:
    """The node of this token in an answer to GetNodes; the first where none is called so."""
    nodes = answer.all("PTZNode")
    chosen = next((node for node in nodes if node.attributes.get("token") == token), None)
    chosen = chosen or (nodes[0] if nodes else None)
    if chosen is None:
        return Node()
    return Node(
        most_presets=max(chosen.int_of("MaximumNumberOfPresets", 0), 0),
        home=chosen.bool_of("HomeSupported", False),
        spaces=chosen.find("SupportedPTZSpaces"),
    )


def spaces_from(listed: Element | None) -> Spaces:
    """The spaces in a list of them, of a node or of a configuration's options."""
    velocities = spaces_of(listed, "ContinuousPanTiltVelocitySpace")
    zoom_velocities = spaces_of(listed, "ContinuousZoomVelocitySpace")
    return Spaces(
        velocity=named(velocities, "VelocityGeneric") or next(iter(velocities), None),
        velocity_deg_s=named(velocities, "Degrees"),
        zoom_velocity=named(zoom_velocities, "VelocityGeneric") or next(iter(zoom_velocities), None),
        positions=spaces_of(listed, "AbsolutePanTiltPositionSpace"),
        zoom_positions=spaces_of(listed, "AbsoluteZoomPositionSpace", (0.0, 1.0)),
        translations=spaces_of(listed, "RelativePanTiltTranslationSpace"),
        zoom_translation=named(spaces_of(listed, "RelativeZoomTranslationSpace"), "TranslationGeneric"),
        speed_deg_s=named(spaces_of(listed, "PanTiltSpeedSpace", (0.0, math.inf)), "Degrees"),
    )


def timeout_range_s(answer: Element) -> tuple[float, float] | None:
    """(least, greatest) Timeout in a configuration's options, None where they do not tell."""
    least = seconds_of(answer.text_of("PTZConfigurationOptions/PTZTimeout/Min", ""))
    most = seconds_of(answer.text_of("PTZConfigurationOptions/PTZTimeout/Max", ""))
    return None if most is None else (least or 0.0, most)


def told(answer: Element) -> Told:
    """An answer to GetStatus. Raises `PtzProtocolError` where a position is no number."""
    status = answer.need("PTZStatus")
    return _told(status.find("Position"), _moving(status.find("MoveStatus")))


def _told(position: Element | None, moving: bool | None) -> Told:
    pan_tilt = position.find("PanTilt") if position else None
    zoom = position.find("Zoom") if position else None
    return Told(
        pan_tilt=None if pan_tilt is None else (pan_tilt.float_attribute("x"), pan_tilt.float_attribute("y")),
        pan_tilt_space="" if pan_tilt is None else pan_tilt.attributes.get("space", ""),
        zoom=None if zoom is None else zoom.float_attribute("x"),
        zoom_space="" if zoom is None else zoom.attributes.get("space", ""),
        moving=moving,
    )


def _moving(status: Element | None) -> bool | None:
    """MoveStatus as the schema has it, or as one word, or as a truth; None for UNKNOWN and anything else."""
    if status is None:
        return None
    words = {"MOVING": True, "TRUE": True, "1": True, "IDLE": False, "FALSE": False, "0": False}
    told = [words.get(part.text.upper()) for part in (status, *status.children)]
    known = [value for value in told if value is not None]
    return any(known) if known else None


def duration(seconds: float, whole: bool = False) -> str:
    """An xs:duration of seconds; `whole` rounds up, for cameras that read no fractions."""
    seconds = max(seconds, SHORTEST_TIMEOUT_S)
    return f"PT{math.ceil(seconds)}S" if whole else f"PT{seconds:.3f}".rstrip("0").rstrip(".") + "S"


def seconds_of(text: str) -> float | None:
    """An xs:duration of days, hours, minutes and seconds in seconds; None where it is none."""
    text = text.strip()
    if not text.startswith("P"):
        return None
    days, _, rest = text[1:].partition("T")
    total, number = 0.0, ""
    for letter in f"{days}{rest}":
        if letter in "DHMS":
            try:
                total += float(number) * {"D": 86400, "H": 3600, "M": 60, "S": 1}[letter]
            except ValueError:
                return None
            number = ""
        else:
            number += letter
    return None if number or not math.isfinite(total) else total


def vector(
    name: str,
    pan_tilt: tuple[float, float] | None,
    zoom: float | None,
    spaces: tuple[str, str] = ("", ""),
) -> Markup:
    """A PTZVector or PTZSpeed; what is None is left out and leaves its axes alone. `spaces` "" are not spelled out."""
    parts = []
    if pan_tilt is not None:
        parts.append(_tagged("PanTilt", {"x": pan_tilt[0], "y": pan_tilt[1]}, spaces[0]))
    if zoom is not None:
        parts.append(_tagged("Zoom", {"x": zoom}, spaces[1]))
    return element(name, *parts)


def _tagged(name: str, numbers: dict[str, float], space: str) -> Markup:
    named_space = {"space": space} if space else {}
    return element(name, attributes={"xmlns": SCHEMA, **numbers, **named_space})


def preset_place(preset: Element) -> Told | None:
    """The position of a stored place; None where the camera tells none, or nonsense."""
    try:
        return _told(preset.find("PTZPosition"), None)
    except PtzProtocolError:
        return None
