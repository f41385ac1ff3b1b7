"""Places of an ONVIF head: from its numbers to poses, and from directions and ratios to what it is sent."""

from __future__ import annotations

from ptz.drivers.onvif_messages import Told, vector
from ptz.drivers.onvif_spaces import scaled
from ptz.drivers.onvif_survey import Survey
from ptz.types import Pose
from ptz.xml import Markup


class Places:
    """What positions of one camera mean; remembers the zoom that was last told."""

    def __init__(self, found: Survey) -> None:
        self._found = found
        self._zoom_x: float | None = None

    def pose(self, time_s: float, place: Told) -> tuple[Pose | None, bool]:
        """Where this is, None without pan and tilt; and whether the ratio was told."""
        ratio = self.ratio(place)
        if place.pan_tilt is None:
            return None, False
        pan_deg, tilt_deg = self._found.scale_of(place.pan_tilt_space).degrees(*place.pan_tilt)
        return Pose(time_s, pan_deg, tilt_deg, max(ratio or 1.0, 1.0)), ratio is not None

    def ratio(self, place: Told) -> float | None:
        """The zoom ratio, None where it is not told or its numbers have no meaning."""
        scale = None if place.zoom is None else self._found.zoom_scale_of(place.zoom_space)
        return None if scale is None or place.zoom is None else scale.ratio(place.zoom)

    def saw(self, place: Told) -> None:
        """Remember the zoom of a status, for moves relative to it."""
        scale = self._found.zoom_scale_of(place.zoom_space)
        self._zoom_x = place.zoom if scale is not None and "Generic" in scale.space.name else None

    def position(self, pan_deg: float, tilt_deg: float, zoom: float) -> Markup:
        """The Position of an AbsoluteMove; spaces are spelled out where the profile does not take them anyway.

        Raises `PtzRefused` where the head cannot point there.
        """
        found = self._found
        scale = found.scales[0]
        pan_tilt = scale.position(pan_deg, tilt_deg)
        pan_tilt_uri = "" if scale.space.uri == found.profile.position_space else scale.space.uri
        if not found.zoom_scales or not found.spaces.zoom_positions:
            return vector("Position", pan_tilt, None, (pan_tilt_uri, ""))
        chosen = found.zoom_scales[0]
        zoom_uri = "" if "Generic" in chosen.space.name else chosen.space.uri
        return vector("Position", pan_tilt, chosen.position(zoom), (pan_tilt_uri, zoom_uri))

    def zoom_translation(self, zoom: float) -> tuple[float | None, str]:
        """How far to move the zoom for a ratio to the present one, and in which space; None where that is not known."""
        space, scale = self._found.spaces.zoom_translation, self._found.zoom_scale_of("")
        if zoom == 1.0 or space is None or scale is None or self._zoom_x is None:
            return None, ""
        to = scale.position(scale.ratio(self._zoom_x) * zoom)
        share = (to - self._zoom_x) / (scale.space.x[1] - scale.space.x[0])
        return scaled(share, space.x), space.uri
