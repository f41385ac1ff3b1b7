"""The moves of a simulated ONVIF camera: from velocities, translations and positions in its spaces to commands."""

from __future__ import annotations

from engine.errors import PtzRefused
from ptz.http import Response
from ptz.simulator import onvif_spaces as spaces_of
from ptz.simulator.device import Device
from ptz.simulator.isapi_moves import centre
from ptz.simulator.onvif_device import Place, profile_number
from ptz.simulator.onvif_envelope import Asked, SoapFault, answered, seconds_of
from ptz.simulator.onvif_spaces import Spaces, Variation
from ptz.simulator.rules import Has
from ptz.types import Levels
from ptz.xml import Element

DEFAULT_TIMEOUT_S = 10.0
LONGEST_TIMEOUT_S = 600.0


class OnvifMoves:
    """Operations that move the head. Each raises `SoapFault` for what it cannot do.

    now_s  is set before each operation: seconds of the device
    """

    def __init__(self, device: Device, has: Has, zoom_scale: str = "ratio") -> None:
        self._device = device
        self._has = has
        self._spaces = Spaces(device.profile, zoom_scale)
        self.now_s = device.now_s

    def _has_now(self, kind: str, operation: str = "") -> bool:
        return self._has(kind, self.now_s, operation) is not None

    def _variation(self) -> Variation:
        fov = spaces_of.UNIT
        if self._has_now("fov_range_100"):
            fov = (-100.0, 100.0)
        elif self._has_now("fov_range_zero"):
            fov = (0.0, 0.0)
        return Variation(fov, not self._has_now("node_zoom_only"), not self._has_now("node_pan_tilt_only"))

    def _continuous(self, asked: Asked, _place: Place) -> Response:
        profile_number(asked)
        velocity = asked.body.need("Velocity")
        pan_tilt, zoom = self._vector(
            velocity, "ter:InvalidVelocity", spaces_of.PAN_TILT_VELOCITY, spaces_of.ZOOM_VELOCITY
        )
        expires_s = self._timeout(asked)
        x, y = pan_tilt or (0.0, 0.0)
        levels = Levels(round(x * 100), round(y * 100), round((zoom or 0.0) * 100))
        if levels.is_zero and self._has_now("zero_rejected", asked.operation):
            raise SoapFault("ter:InvalidArgVal", "ter:InvalidVelocity", reason="velocity is zero")
        lost = levels.is_zero and self._has_now("zero_ignored", asked.operation)
        if not lost and not self._is_ignored(pan_tilt):
            self._device.turn(
                levels, self.now_s, expires_s, pan_tilt=pan_tilt is not None, zoom=zoom is not None
            )
        return answered("tptz", asked.operation)

    def _timeout(self, asked: Asked) -> float | None:
        duration = asked.body.text_of("Timeout", "")
        if duration and self._has_now("timeout_rejected", asked.operation):
            raise SoapFault("ter:InvalidArgVal", "ter:TimeoutNotSupported", reason="Timeout is not supported")
        timeout_s = seconds_of(duration) if duration else DEFAULT_TIMEOUT_S
        if timeout_s > LONGEST_TIMEOUT_S:
            raise SoapFault("ter:InvalidArgVal", "ter:TimeoutNotSupported", reason="Timeout is too long")
        return timeout_s if self._device.profile.offer.momentary else None

    def _is_ignored(self, pan_tilt: tuple[float, float] | None) -> bool:
        """Some cameras take no notice of a move along one axis."""
        return (
            self._device.profile.offer.both_axes
            and pan_tilt is not None
            and (pan_tilt[0] == 0) != (pan_tilt[1] == 0)
        )

    def _vector(
        self, vector: Element, fault: str, pan_tilt_space: str, zoom_space: str
    ) -> tuple[tuple[float, float] | None, float | None]:
        """Pan-tilt and zoom of a vector within ±1, None where an axis is not mentioned."""
        pan_tilt, zoom = vector.find("PanTilt"), vector.find("Zoom")
        variation = self._variation()
        if (pan_tilt is not None and not variation.pan_tilt) or (zoom is not None and not variation.zoom):
            raise SoapFault("ter:InvalidArgVal", "ter:SpaceNotSupported", reason="the node has no such axis")
        for part, space in ((pan_tilt, pan_tilt_space), (zoom, zoom_space)):
            if part is not None and part.attributes.get("space", space) != space:
                raise SoapFault("ter:InvalidArgVal", "ter:SpaceNotSupported", reason="space is not supported")
        values = [part.float_attribute(name) for part in (pan_tilt,) if part is not None for name in "xy"]
        ratio = zoom.float_attribute("x") if zoom is not None else None
        if any(abs(value) > 1 for value in (*values, ratio or 0.0)):
            raise SoapFault("ter:InvalidArgVal", fault, reason="out of range")
        return ((values[0], values[1]) if values else None), ratio

    def _relative(self, asked: Asked, _place: Place) -> Response:
        offer = self._device.profile.offer
        profile_number(asked)
        if not (offer.relative or offer.relative_fov):
            raise SoapFault("ter:ActionNotSupported", reason="no relative moves", receiver=True)
        translation = asked.body.need("Translation")
        pan_tilt = translation.find("PanTilt")
        default = spaces_of.PAN_TILT_TRANSLATION if offer.relative else spaces_of.PAN_TILT_FOV
        space = pan_tilt.attributes.get("space", default) if pan_tilt is not None else default
        if space == spaces_of.PAN_TILT_FOV and offer.relative_fov:
            self._relative_fov(translation)
        else:
            self._relative_generic(translation)
        return answered("tptz", asked.operation)

    def _relative_generic(self, translation: Element) -> None:
        pan_tilt, zoom = self._vector(
            translation, "ter:InvalidTranslation", spaces_of.PAN_TILT_TRANSLATION, spaces_of.ZOOM_TRANSLATION
        )
        if self._is_ignored(pan_tilt):
            return
        pose = self._device.true_pose(self.now_s)
        pan_deg = tilt_deg = ratio = None
        if pan_tilt is not None:
            turn_deg, raise_deg = self._spaces.translation_deg(*pan_tilt)
            low, high = self._device.profile.tilt_range_deg
            pan_deg = self._clamped_pan(pose.pan_deg, turn_deg)
            tilt_deg = min(max(pose.tilt_deg + raise_deg, low), high)
        if zoom is not None:
            x = min(max(self._spaces.x_of_zoom(pose.zoom) + zoom, 0.0), 1.0)
            ratio = self._spaces.zoom_of(x)
        self._go(pan_deg, tilt_deg, ratio, None, "ter:InvalidTranslation")

    def _clamped_pan(self, pan_deg: float, turn_deg: float) -> float:
        span = self._device.profile.pan_range_deg
        return pan_deg + turn_deg if span is None else min(max(pan_deg + turn_deg, span[0]), span[1])

    def _relative_fov(self, translation: Element) -> None:
        """Centre a place of the picture; zoom is a ratio to the present one, as far as it is given."""
        span = self._variation().fov_range[1] or 1.0
        pan_tilt, zoom = translation.need("PanTilt"), translation.find("Zoom")
        x, y = (pan_tilt.float_attribute(name) / span for name in "xy")
        if max(abs(x), abs(y)) > 1:
            raise SoapFault("ter:InvalidArgVal", "ter:InvalidTranslation", reason="out of range")
        ratio = None
        if zoom is not None and zoom.float_attribute("x"):
            present = self._spaces.x_of_zoom(self._device.true_pose(self.now_s).zoom)
            ratio = self._spaces.zoom_of(min(max(present + zoom.float_attribute("x"), 0.0), 1.0))
        if not self._has_now("fov_ignored"):
            centre(self._device, x, y, ratio, self.now_s)

    def _absolute(self, asked: Asked, _place: Place) -> Response:
        profile_number(asked)
        if not self._device.profile.offer.absolute:
            raise SoapFault("ter:ActionNotSupported", reason="no absolute moves", receiver=True)
        position = asked.body.need("Position")
        pan_tilt, zoom = position.find("PanTilt"), position.find("Zoom")
        pan_deg = tilt_deg = ratio = None
        try:
            if pan_tilt is not None:
                space = pan_tilt.attributes.get("space") or self._spaces.pan_tilt_position
                x, y = (pan_tilt.float_attribute(name) for name in "xy")
                pan_deg, tilt_deg = self._spaces.direction_of(space, x, y)
        except KeyError as error:
            raise SoapFault("ter:InvalidArgVal", "ter:SpaceNotSupported", reason="unknown space") from error
        except ValueError as error:
            raise SoapFault("ter:InvalidArgVal", "ter:InvalidPosition", reason="out of range") from error
        if zoom is not None:
            ratio = self._absolute_zoom(zoom)
        self._go(pan_deg, tilt_deg, ratio, self._speed(asked.body.find("Speed")), "ter:InvalidPosition")
        return answered("tptz", asked.operation)

    def _absolute_zoom(self, zoom: Element) -> float:
        x = zoom.float_attribute("x")
        if zoom.attributes.get("space", spaces_of.ZOOM_GENERIC) != spaces_of.ZOOM_GENERIC:
            raise SoapFault("ter:InvalidArgVal", "ter:SpaceNotSupported", reason="space is not supported")
        if not -1e-6 <= x <= 1 + 1e-6:
            raise SoapFault("ter:InvalidArgVal", "ter:InvalidPosition", reason="out of range")
        return self._spaces.zoom_of(min(max(x, 0.0), 1.0))

    def _speed(self, speed: Element | None) -> float | None:
        """°/s of a Speed element, None where there is none."""
        pan_tilt = None if speed is None else speed.find("PanTilt")
        if pan_tilt is None:
            return None
        share = max(pan_tilt.float_attribute("x"), pan_tilt.float_attribute("y", 0.0))
        if not 0 <= share <= 1:
            raise SoapFault("ter:InvalidArgVal", "ter:InvalidSpeed", reason="out of range")
        return share * self._device.profile.pan.preset_speed or None

    def _go(
        self,
        pan_deg: float | None,
        tilt_deg: float | None,
        zoom: float | None,
        speed: float | None,
        fault: str,
    ) -> None:
        try:
            self._device.go_to(pan_deg, tilt_deg, zoom, speed, self.now_s)
        except PtzRefused as error:
            raise SoapFault("ter:InvalidArgVal", fault, reason="beyond the limits") from error

    def _stop(self, asked: Asked, _place: Place) -> Response:
        profile_number(asked)
        if self._has_now("stop_rejected", asked.operation):
            raise SoapFault("ter:InvalidArgVal", reason="Stop is not accepted")
        if asked.addressed and self._has_now("addressing_rejected", asked.operation):
            raise SoapFault("ter:InvalidArgVal", reason="unexpected header")
        pan_tilt, zoom = asked.body.bool_of("PanTilt", True), asked.body.bool_of("Zoom", True)
        if not self._has_now("stop_ignored", asked.operation):
            self._device.stop(self.now_s, pan_tilt, zoom)
        return answered("tptz", asked.operation)
