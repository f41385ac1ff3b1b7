"""The PTZ service of a simulated ONVIF camera: nodes, configurations, status, presets."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.errors import PtzRefused
from ptz.http import Response
from ptz.simulator import onvif_spaces as spaces_of
from ptz.simulator.device import Device
from ptz.simulator.onvif_device import PTZ_CONFIGURATION, Operation, Place, profile_number
from ptz.simulator.onvif_envelope import Asked, SoapFault, answered
from ptz.simulator.onvif_moves import DEFAULT_TIMEOUT_S, LONGEST_TIMEOUT_S, OnvifMoves
from ptz.simulator.rules import Has
from ptz.types import Pose, Preset
from ptz.xml import Markup, Value, element

NODE = "PTZNode_1"


class OnvifPtz(OnvifMoves):
    """All operations of the PTZ service."""

    def __init__(self, device: Device, has: Has, zoom_scale: str = "ratio") -> None:
        super().__init__(device, has, zoom_scale)
        names = {
            "GetServiceCapabilities": self._capabilities, "GetNodes": self._nodes, "GetNode": self._node,
            "GetConfigurations": self._configurations, "GetConfiguration": self._one_configuration,
            "GetCompatibleConfigurations": self._configurations,
            "GetConfigurationOptions": self._options, "ContinuousMove": self._continuous,
            "RelativeMove": self._relative, "AbsoluteMove": self._absolute, "Stop": self._stop,
            "GetStatus": self._status, "GetPresets": self._presets, "SetPreset": self._set_preset,
            "RemovePreset": self._remove_preset, "GotoPreset": self._go_to_preset,
            "GotoHomePosition": self._go_home, "SetHomePosition": self._set_home,
        }  # fmt: skip
        self.operations: dict[tuple[str, str], Operation] = {
            ("tptz", name): operation for name, operation in names.items()
        }

    # What it is

    def _capabilities(self, _asked: Asked, _place: Place) -> Response:
        reporting = self._device.profile.reporting
        abilities: dict[str, Value] = {
            "EFlip": False, "Reverse": False, "GetCompatibleConfigurations": True,
            "MoveStatus": reporting.moving, "StatusPosition": reporting.status,
        }  # fmt: skip
        told = element("tptz:Capabilities", attributes=abilities)
        return answered("tptz", "GetServiceCapabilities", told)

    def _nodes(self, _asked: Asked, _place: Place) -> Response:
        return answered("tptz", "GetNodes", self._node_markup())

    def _node(self, asked: Asked, _place: Place) -> Response:
        if asked.body.text_of("NodeToken", "") != NODE:
            raise SoapFault("ter:InvalidArgVal", "ter:NoEntity", reason="no such node")
        return answered("tptz", "GetNode", self._node_markup())

    def _node_markup(self) -> Markup:
        return element(
            "tptz:PTZNode",
            element("tt:Name", "Head"),
            self._spaces.markup("tt:SupportedPTZSpaces", self._variation()),
            element("tt:MaximumNumberOfPresets", self._device.profile.offer.most_presets),
            element("tt:HomeSupported", True),
            attributes={"token": NODE, "FixedHomePosition": False, "GeoMove": False},
        )

    def _configurations(self, _asked: Asked, _place: Place) -> Response:
        named = (
            "GetConfigurations" if _asked.operation == "GetConfigurations" else "GetCompatibleConfigurations"
        )
        return answered("tptz", named, self.configuration("tptz:PTZConfiguration"))

    def _one_configuration(self, asked: Asked, _place: Place) -> Response:
        if asked.body.text_of("PTZConfigurationToken", "") != PTZ_CONFIGURATION:
            raise SoapFault("ter:InvalidArgVal", "ter:NoConfig", reason="no such configuration")
        return answered("tptz", "GetConfiguration", self.configuration("tptz:PTZConfiguration"))

    def configuration(self, name: str) -> Markup:
        """The one PTZ configuration, as an element of this name."""
        offer = self._device.profile.offer
        defaults: list[Markup] = []
        if offer.absolute:
            defaults += [
                element("tt:DefaultAbsolutePantTiltPositionSpace", self._spaces.pan_tilt_position),
                element("tt:DefaultAbsoluteZoomPositionSpace", spaces_of.ZOOM_GENERIC),
            ]
        if offer.relative:
            defaults += [
                element("tt:DefaultRelativePanTiltTranslationSpace", spaces_of.PAN_TILT_TRANSLATION),
                element("tt:DefaultRelativeZoomTranslationSpace", spaces_of.ZOOM_TRANSLATION),
            ]
        speed = element(
            "tt:DefaultPTZSpeed",
            element("tt:PanTilt", attributes={"x": 1.0, "y": 1.0, "space": spaces_of.PAN_TILT_SPEED}),
            element("tt:Zoom", attributes={"x": 1.0, "space": spaces_of.ZOOM_SPEED}),
        )
        return element(
            name,
            element("tt:Name", "PTZ"),
            element("tt:UseCount", 2),
            element("tt:NodeToken", NODE),
            *defaults,
            element("tt:DefaultContinuousPanTiltVelocitySpace", spaces_of.PAN_TILT_VELOCITY),
            element("tt:DefaultContinuousZoomVelocitySpace", spaces_of.ZOOM_VELOCITY),
            speed,
            element("tt:DefaultPTZTimeout", f"PT{DEFAULT_TIMEOUT_S:g}S"),
            attributes={"token": PTZ_CONFIGURATION},
        )

    def _options(self, _asked: Asked, _place: Place) -> Response:
        longest = 0.0 if self._has_now("timeout_range_zero") else LONGEST_TIMEOUT_S
        timeout = element("tt:PTZTimeout", element("tt:Min", "PT0S"), element("tt:Max", f"PT{longest:g}S"))
        options = element(
            "tptz:PTZConfigurationOptions", self._spaces.markup("tt:Spaces", self._variation()), timeout
        )
        return answered("tptz", "GetConfigurationOptions", options)

    # Where it is

    def _status(self, asked: Asked, place: Place) -> Response:
        profile_number(asked)
        status = self._device.report(self.now_s)
        now = datetime.fromtimestamp(place.clock_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        position = [] if status.pose is None else [self._placed("tt:Position", status.pose, status.zoomed)]
        told = [*position, *self._move_status(status.moving), element("tt:UtcTime", now)]
        return answered("tptz", "GetStatus", element("tptz:PTZStatus", *told))

    def _placed(self, name: str, pose: Pose, zoomed: bool = True) -> Markup:
        """A pose as a tt:PTZVector of this name."""
        space = self._spaces.pan_tilt_position
        x, y = self._spaces.position_of(space, pose.pan_deg, pose.tilt_deg)
        parts = [element("tt:PanTilt", attributes={"x": plain(x), "y": plain(y), "space": space})]
        if zoomed:
            zoom = plain(self._spaces.x_of_zoom(pose.zoom))
            parts.append(element("tt:Zoom", attributes={"x": zoom, "space": spaces_of.ZOOM_GENERIC}))
        return element(name, *parts)

    def _move_status(self, moving: bool | None) -> list[Markup]:
        if self._has_now("move_status_absent"):
            return []
        word = "UNKNOWN" if self._has_now("move_status_unknown") else "MOVING" if moving else "IDLE"
        if self._has_now("move_status_text"):
            return [element("tt:MoveStatus", word)]
        if self._has_now("move_status_bool"):
            word = "true" if moving else "false"
        elif moving is None and word != "UNKNOWN":
            return []
        return [element("tt:MoveStatus", element("tt:PanTilt", word), element("tt:Zoom", word))]

    # Presets

    def _presets(self, asked: Asked, _place: Place) -> Response:
        profile_number(asked)
        return answered("tptz", "GetPresets", *(self._preset(one) for one in self._device.presets.values()))

    def _preset(self, preset: Preset) -> Markup:
        place = [] if preset.pose is None else [self._placed("tt:PTZPosition", preset.pose)]
        return element(
            "tptz:Preset", element("tt:Name", preset.name), *place, attributes={"token": preset.preset}
        )

    def _set_preset(self, asked: Asked, _place: Place) -> Response:
        profile_number(asked)
        if self._device.turns_at(self.now_s):
            raise SoapFault("ter:Action", "ter:MovingPTZ", reason="the head is moving", receiver=True)
        token = asked.body.text_of("PresetToken", "") or self._free_number()
        name = asked.body.text_of("PresetName", f"Preset {token}")[:64]
        try:
            self._device.store_preset(token[:64], name, self.now_s)
        except PtzRefused as error:
            raise SoapFault("ter:Action", "ter:TooManyPresets", reason="not stored", receiver=True) from error
        return answered("tptz", "SetPreset", element("tptz:PresetToken", token))

    def _free_number(self) -> str:
        taken = {
            *self._device.presets,
            *(str(number) for number in self._device.profile.offer.reserved_presets),
        }
        return next(str(n) for n in range(1, len(taken) + 2) if str(n) not in taken)

    def _known_preset(self, asked: Asked) -> str:
        profile_number(asked)
        token = asked.body.text_of("PresetToken", "")
        reserved = self._device.profile.offer.reserved_presets
        if token not in self._device.presets and not (token.isdecimal() and int(token) in reserved):
            raise SoapFault("ter:InvalidArgVal", "ter:NoToken", reason="no such preset")
        return token

    def _remove_preset(self, asked: Asked, _place: Place) -> Response:
        token = self._known_preset(asked)
        try:
            self._device.remove_preset(token)
        except PtzRefused as error:
            raise SoapFault("ter:InvalidArgVal", "ter:NoToken", reason="no such preset") from error
        return answered("tptz", asked.operation)

    def _go_to_preset(self, asked: Asked, _place: Place) -> Response:
        self._device.go_to_preset(self._known_preset(asked), self.now_s)
        return answered("tptz", asked.operation)

    def _go_home(self, asked: Asked, _place: Place) -> Response:
        profile_number(asked)
        self._device.go_home(self.now_s)
        return answered("tptz", asked.operation)

    def _set_home(self, asked: Asked, _place: Place) -> Response:
        profile_number(asked)
        self._device.store_home(self.now_s)
        return answered("tptz", asked.operation)


def plain(value: float) -> str:
    """A number as text, also one that is none: a broken sensor says NaN."""
    return f"{value:.6f}".rstrip("0").rstrip(".") if value == value else "NaN"
