"""Finding out what an ONVIF camera offers: services, the profile with a head, spaces, time-outs, what it tells.

Asks only; nothing moves and nothing is stored. What a camera does not answer is taken as usual, and said so.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import PtzProtocolError, PtzRefused, PtzUnreachable, PtzUnsupported
from ptz.drivers.base import DriverOptions
from ptz.drivers.onvif_messages import (
    Node,
    Profile,
    Spaces,
    capability_paths,
    node_of,
    profiles,
    service_paths,
    spaces_from,
    timeout_range_s,
    told,
)
from ptz.drivers.onvif_soap import DEVICE, MEDIA, MEDIA2, PTZ, Fault, SoapClient
from ptz.drivers.onvif_spaces import (
    PAN_TILT_GENERIC,
    ZOOM_GENERIC,
    PanTiltScale,
    Range,
    Space,
    ZoomScale,
    degrees_scale,
    zoom_scales,
)
from ptz.types import Capabilities
from ptz.xml import Element, Markup, element

FULL_TURN: Range = (-180.0, 180.0)
FULL_TILT: Range = (-90.0, 90.0)


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of a camera.

    maker, device     manufacturer; model and firmware, for people
    path              of its PTZ service
    timeout_s         (least, greatest) Timeout of a turn; None = not told, and a greatest of 0 = it takes none
    scales            of pan and tilt, the one for moves first
    zoom_scales       of zoom, the one for moves first
    position, moving  whether it tells them
    choices           what was taken as usual, one line each
    """

    maker: str
    device: str
    path: str
    profile: Profile
    node: Node
    spaces: Spaces
    timeout_s: Range | None
    scales: tuple[PanTiltScale, ...]
    zoom_scales: tuple[ZoomScale, ...]
    position: bool
    moving: bool
    choices: tuple[str, ...]

    @property
    def moves(self) -> frozenset[str]:
        """Axes that turn."""
        pan_tilt = {"pan", "tilt"} if self.spaces.velocity or self.spaces.positions else set()
        zoom = {"zoom"} if self.spaces.zoom_velocity or self.spaces.zoom_positions else set()
        return frozenset(pan_tilt | zoom)

    def scale_of(self, uri: str) -> PanTiltScale:
        """How to read a position in this space; "" = the default of the profile."""
        wanted = uri or self.profile.position_space
        same = [scale for scale in self.scales if scale.space.uri == wanted]
        plain = [scale for scale in self.scales if not scale.space.in_degrees]
        return [*same, *plain, *self.scales][0]

    def zoom_scale_of(self, uri: str) -> ZoomScale | None:
        """How to read a zoom position in this space; "" = the generic one."""
        same = [scale for scale in self.zoom_scales if scale.space.uri == uri]
        plain = [scale for scale in self.zoom_scales if "Generic" in scale.space.name]
        return next(iter([*same, *plain, *self.zoom_scales]), None)

    def capabilities(self, self_expiring: bool, reserved: frozenset[int]) -> Capabilities:
        """The same for everybody."""
        scale = self.scales[0]
        fastest = self.spaces.velocity_deg_s
        return Capabilities(
            device=self.device,
            continuous=self.spaces.velocity is not None or self.spaces.zoom_velocity is not None,
            self_expiring=self_expiring,
            absolute=bool(self.spaces.positions),
            relative_fov=self.spaces.fov is not None,
            status=self.position,
            moving=self.moving,
            presets=True,
            home=self.node.home,
            most_presets=self.node.most_presets,
            reserved_presets=reserved,
            pan_range_deg=None if scale.endless else _turned(scale.pan_deg),
            tilt_range_deg=scale.tilt_deg,
            zoom_range=self.zoom_scales[0].ratios
            if self.zoom_scales and "zoom" in self.moves
            else (1.0, 1.0),
            most_deg_s=None if fastest is None else (fastest.x[1], fastest.y[1]),
            moves=self.moves,
            choices=self.choices,
        )


def _turned(pan_deg: Range) -> Range:
    return pan_deg[0] % 360.0, pan_deg[1] % 360.0


async def survey(soap: SoapClient, options: DriverOptions) -> Survey:
    """Ask for everything. Raises `PtzUnsupported` where the camera has no head for us, and what calls raise."""
    choices: list[str] = []
    await soap.read_clock()
    paths = await _paths(soap)
    profile = await _profile(soap, paths, options)
    maker, device = await _device(soap, choices)
    configured, limits = await _options(soap, paths[PTZ], profile, choices)
    node = await _node(soap, paths[PTZ], profile, choices)
    spaces = spaces_from(configured if configured is not None else node.spaces)
    if configured is None and node.spaces is None:
        spaces = Spaces(velocity=Space(""), zoom_velocity=Space(""))
        choices.append("spaces: the camera lists none, turning at speeds from -1 to 1 is tried")
    scales = _scales(spaces, options)
    told_zooms = spaces.zoom_positions or (Space(ZOOM_GENERIC, (0.0, 1.0)),)
    zooms = zoom_scales(told_zooms, options.zoom_range, options.zoom_scale)
    if spaces.zoom_positions and not zooms:
        choices.append("zoom: positions without a meaning; set zoom_range to the lens's ratios to use them")
    position, moving = await _tells(soap, paths[PTZ], profile, choices)
    if position and not scales[0].space.in_degrees and not (options.pan_range_deg and options.tilt_range_deg):
        (left, right), (bottom, top) = scales[0].pan_deg, scales[0].tilt_deg
        choices.append(
            f"positions: without degrees; taken for pan {left:g}..{right:g}° and tilt {bottom:g}..{top:g}°, "
            "set pan_range_deg and tilt_range_deg where that is wrong"
        )
    return Survey(
        maker=maker,
        device=device,
        path=paths[PTZ],
        profile=profile,
        node=node,
        spaces=spaces,
        timeout_s=limits,
        scales=scales,
        zoom_scales=zooms,
        position=position,
        moving=moving,
        choices=tuple(choices),
    )


async def _optional(
    soap: SoapClient, path: str, service: str, operation: str, *content: Markup
) -> Element | None:
    """An answer that can be done without: None where the camera has no such call, or garbles it."""
    try:
        answer = await soap.ask(path, service, operation, *content)
    except (PtzProtocolError, PtzUnsupported):
        return None
    return None if isinstance(answer, Fault) else answer


async def _paths(soap: SoapClient) -> dict[str, str]:
    """Namespace → path of the services; PTZ is among them."""
    answer = await _optional(
        soap, soap.device_path, DEVICE, "GetServices", element("IncludeCapability", False)
    )
    paths = {} if answer is None else service_paths(answer)
    if PTZ not in paths:
        named = capability_paths(
            await soap.call(soap.device_path, DEVICE, "GetCapabilities", element("Category", "All"))
        )
        paths |= {space: named[name] for name, space in (("PTZ", PTZ), ("Media", MEDIA)) if name in named}
    if PTZ not in paths:
        raise PtzUnsupported(f"{soap.url}: the camera offers no PTZ over ONVIF")
    return paths


async def _profile(soap: SoapClient, paths: dict[str, str], options: DriverOptions) -> Profile:
    """The profile of the options' number among those with a head."""
    if MEDIA in paths:
        answer = await soap.call(paths[MEDIA], MEDIA, "GetProfiles")
    elif MEDIA2 in paths:
        answer = await soap.call(paths[MEDIA2], MEDIA2, "GetProfiles", element("Type", "PTZ"))
    else:
        raise PtzUnsupported(f"{soap.url}: the camera offers no media profiles over ONVIF")
    found = profiles(answer)
    if not found:
        raise PtzUnsupported(f"{soap.url}: no media profile of the camera has a PTZ configuration")
    if not 1 <= options.channel <= len(found):
        raise PtzRefused(
            f"{soap.url}: channel {options.channel}: the camera has {len(found)} profiles with a head"
        )
    return found[options.channel - 1]


async def _device(soap: SoapClient, choices: list[str]) -> tuple[str, str]:
    answer = await _optional(soap, soap.device_path, DEVICE, "GetDeviceInformation")
    if answer is None:
        choices.append("device: the camera does not say what it is")
        return "", ""
    maker = answer.text_of("Manufacturer", "")
    parts = (maker, answer.text_of("Model", ""), answer.text_of("FirmwareVersion", ""))
    return maker, " ".join(part for part in parts if part)[:120]


async def _options(
    soap: SoapClient, path: str, profile: Profile, choices: list[str]
) -> tuple[Element | None, Range | None]:
    """The list of spaces of the configuration, and (least, greatest) Timeout."""
    answer = await _optional(
        soap, path, PTZ, "GetConfigurationOptions", element("ConfigurationToken", profile.configuration)
    )
    if answer is None:
        choices.append("spaces: those of the node, the camera tells no options of its configuration")
        return None, None
    listed = answer.find("PTZConfigurationOptions/Spaces")
    return listed if listed is not None and listed.children else None, timeout_range_s(answer)


async def _node(soap: SoapClient, path: str, profile: Profile, choices: list[str]) -> Node:
    answer = await _optional(soap, path, PTZ, "GetNodes")
    if answer is None:
        choices.append("node: the camera tells none; presets are tried, home is not")
        return Node()
    return node_of(answer, profile.node)


def _scales(spaces: Spaces, options: DriverOptions) -> tuple[PanTiltScale, ...]:
    """What positions mean: spaces in degrees first, which also tell what the generic one means."""
    exact = [
        degrees_scale(space, options.position_pan_sign, options.position_tilt_sign)
        for space in spaces.positions
        if space.in_degrees
    ]
    pan_deg = _clockwise(options.pan_range_deg) or (exact[0].pan_deg if exact else FULL_TURN)
    tilt_deg = options.tilt_range_deg or (exact[0].tilt_deg if exact else FULL_TILT)
    if not pan_deg[0] < pan_deg[1] or not tilt_deg[0] < tilt_deg[1]:
        raise PtzRefused("pan_range_deg and tilt_range_deg must rise")
    generic = [
        PanTiltScale(space, pan_deg, tilt_deg, options.position_pan_sign, options.position_tilt_sign)
        for space in spaces.positions or (Space(PAN_TILT_GENERIC),)  # a head may tell what it cannot be told
        if not space.in_degrees
    ]
    return (*exact, *generic)


def _clockwise(span: Range | None) -> Range | None:
    """A range that runs through north as one that rises."""
    return span if span is None or span[0] < span[1] else (span[0], span[1] + 360.0)


async def _tells(soap: SoapClient, path: str, profile: Profile, choices: list[str]) -> tuple[bool, bool]:
    """Whether positions and moves are told: what an answer holds counts, then what the service says of itself."""
    answer = await _optional(soap, path, PTZ, "GetServiceCapabilities")
    claims = answer.find("Capabilities") if answer is not None else None
    claimed = claims.attributes if claims is not None else {}
    position, moving = (claimed.get(name, "").lower() == "true" for name in ("StatusPosition", "MoveStatus"))
    try:
        status = await _optional(soap, path, PTZ, "GetStatus", element("ProfileToken", profile.token))
        seen = None if status is None else told(status)
    except PtzProtocolError:
        seen = None
    except PtzUnreachable:
        choices.append("status: no answer in time, what the camera claims is believed")
        return position, moving
    if seen is None:
        choices.append("status: the camera gives no usable answer")
        return False, False
    if position and seen.pan_tilt is None:
        choices.append("status: the camera claims to tell positions, and tells none")
    return seen.pan_tilt is not None, seen.moving is not None or moving
