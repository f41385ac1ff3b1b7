"""The moves of ISAPI: from bodies, in the units and signs of the wire, to commands of the device."""

from __future__ import annotations

from ptz.geometry import pixel_to_angles
from ptz.simulator.device import Device
from ptz.simulator.rules import Has, Refused
from ptz.types import Levels, Pose
from ptz.xml import Element

MOST_MOMENTARY_MS = 60_000
MOST_ZOOM = 10_000.0
PATHS = "/ISAPI/PTZCtrl/channels/1/"


class IsapiMoves:
    """Commands with a body. Each raises `Refused`, `PtzRefused` or `PtzProtocolError` for what it cannot do."""

    def __init__(self, device: Device, has: Has) -> None:
        self._device = device
        self._has = has

    def continuous(self, root: Element, now_s: float) -> None:
        """Turn until told otherwise. Elements that are missing leave their axes alone."""
        self._turn(root, now_s, None, "continuous")

    def momentary(self, root: Element, now_s: float) -> None:
        """Turn for so many milliseconds."""
        if not self._device.profile.offer.momentary:
            raise Refused(403, 4, "notSupport")
        duration_ms = root.need("Momentary").int_of("duration")
        if not 0 <= duration_ms <= MOST_MOMENTARY_MS:
            raise Refused(400, 6, "badParameters")
        self._turn(root, now_s, duration_ms / 1000, "momentary")

    def _turn(self, root: Element, now_s: float, expires_s: float | None, name: str) -> None:
        axes = tuple(axis for axis in ("pan", "tilt", "zoom") if root.find(axis) is not None)
        if not axes:
            raise Refused(400, 6, "badXmlContent")
        values = {axis: root.int_of(axis) for axis in axes}
        if any(abs(value) > 100 for value in values.values()):
            raise Refused(400, 6, "badParameters")
        turns, zooms = values.get("pan") or values.get("tilt"), values.get("zoom")
        if turns and zooms and self._has("no_mixed", now_s, PATHS + name):
            raise Refused(400, 6, "invalidOperation")
        sign = self._device.profile.offer.command_tilt_sign
        levels = Levels(values.get("pan", 0), sign * values.get("tilt", 0), values.get("zoom", 0))
        if levels.is_zero and self._has("zero_rejected", now_s, PATHS + name):
            raise Refused(400, 6, "badParameters")
        if levels.is_zero and self._has("zero_ignored", now_s, PATHS + name):
            return
        turns_head = "pan" in values or "tilt" in values
        self._device.turn(levels, now_s, expires_s, pan_tilt=turns_head, zoom="zoom" in values)

    def relative(self, root: Element, now_s: float) -> None:
        """A part of the picture, -255..255 from the middle to an edge; most cameras have none of it."""
        if not self._device.profile.offer.relative:
            raise Refused(404, 4, "notSupport")
        asked = root.need("Relative")
        x, y = asked.int_of("positionX"), asked.int_of("positionY")
        if max(abs(x), abs(y)) > 255:
            raise Refused(400, 6, "badParameters")
        zoom = self._device.true_pose(now_s).zoom + asked.int_of("relativeZoom", 0) / 10
        self._centre(x / 255, y / 255, max(zoom, 1.0), now_s)

    def absolute(self, root: Element, now_s: float) -> None:
        """Go to a place in tenths of a degree."""
        offer, asked = self._device.profile.offer, root.need("AbsoluteHigh")
        if not offer.absolute:
            raise Refused(403, 4, "notSupport")
        elevation, azimuth = asked.int_of("elevation"), asked.int_of("azimuth")
        zoom = asked.int_of("absoluteZoom", 0)
        if not (-900 <= elevation <= 2700 and 0 <= azimuth <= 3600 and (zoom == 0 or zoom >= 10)):
            raise Refused(400, 6, "badParameters")
        tilt_deg = offer.raw_tilt_sign * elevation / 10
        self._device.go_to(azimuth / 10, tilt_deg, zoom / 10 if zoom else None, None, now_s)

    def absolute_ex(self, root: Element, now_s: float) -> None:
        """Go to a place in degrees, no faster than it is said."""
        if not self._device.profile.offer.absolute_ex:
            raise Refused(404, 4, "notSupport")
        elevation, azimuth = root.float_of("elevation"), root.float_of("azimuth")
        zoom = root.float_of("absoluteZoom", 0.0)
        if not (-90 <= elevation <= 270 and 0 <= azimuth <= 360 and 0 <= zoom <= MOST_ZOOM):
            raise Refused(400, 6, "badParameters")
        speeds = [root.float_of(name, 0.0) for name in ("horizontalSpeed", "verticalSpeed")]
        if any(not 0 <= speed <= 1000 for speed in speeds):
            raise Refused(400, 6, "badParameters")
        if root.text_of("zoomType", "absoluteZoom") != "absoluteZoom":
            raise Refused(403, 4, "notSupport")
        asked = [speed for speed in speeds if speed > 0]
        tilt_deg = self._device.profile.offer.raw_tilt_sign * elevation
        self._device.go_to(azimuth, tilt_deg, zoom or None, max(asked, default=None), now_s)

    def position3d(self, root: Element, now_s: float) -> None:
        """A box drawn into the picture, 0..255 with the origin at the bottom left.

        From top left to bottom right: centre it and zoom in. The other way: centre it. A point: centre it.
        """
        root = root.find("Position3D") or root
        start, end = root.need("StartPoint"), root.need("EndPoint")
        x0, y0, x1, y1 = (point.int_of(name) for point in (start, end) for name in ("positionX", "positionY"))
        if not all(0 <= value <= 255 for value in (x0, y0, x1, y1)):
            raise Refused(400, 6, "badParameters")
        if self._has("position3d_from_top", now_s, PATHS + "position3D"):
            y0, y1 = 255 - y0, 255 - y1
        side = max(abs(x1 - x0), abs(y1 - y0))
        zooms_in = side > 0 and x1 > x0 and y1 < y0
        zoom = self._device.true_pose(now_s).zoom * (255 / side if zooms_in else 1.0)
        self._centre((x0 + x1) / 255 - 1, (y0 + y1) / 255 - 1, zoom, now_s)

    def _centre(self, x: float, y: float, zoom: float, now_s: float) -> None:
        centre(self._device, x, y, zoom, now_s)

    def fine_pose(self, now_s: float) -> Pose:
        """Where it points, as absoluteEx tells it. Raises `Refused` where there is no such thing."""
        status = self._device.report(now_s, True) if self._device.profile.offer.absolute_ex else None
        if status is None or status.pose is None:
            raise Refused(404, 4, "notSupport")
        return status.pose


def centre(device: Device, x: float, y: float, zoom: float | None, now_s: float) -> None:
    """Point at a place of the picture, -1..1 from left to right and from bottom to top. None leaves the zoom alone."""
    view = device.profile.optics.view(device.true_pose(now_s))
    pan_deg, tilt_deg = pixel_to_angles((1 + x) * view.width / 2, (1 - y) * view.height / 2, view)
    device.go_to(pan_deg, tilt_deg, zoom, None, now_s)
