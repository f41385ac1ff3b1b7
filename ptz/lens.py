"""The field of view of a zoom lens: by the ideal law, or by a measured table where the lens deviates from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ptz.geometry import focal_px


@dataclass(frozen=True, slots=True)
class Lens:
    """A zoom lens.

    hfov_wide_deg  horizontal field of view at zoom ratio 1
    table          measured (zoom ratio, hfov_deg), ratios rising and fields of view falling; may be empty

    Without a table the tangent of half the field of view falls as 1 / zoom. Between entries of the table its logarithm
    is linear in that of the zoom; beyond the ends the ideal law goes on from there.

    Raises ValueError for a field of view that is none and for a table out of order.
    """

    hfov_wide_deg: float
    table: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        for _, hfov_deg in ((1.0, self.hfov_wide_deg), *self.table):
            focal_px(1, hfov_deg)
        if any(not zoom >= 1 or math.isinf(zoom) for zoom, _ in self.table):
            raise ValueError("zoom ratios of a lens table must be finite and 1 or more")
        if any(not (a[0] < b[0] and a[1] > b[1]) for a, b in pairwise(self.table)):
            raise ValueError("a lens table must have rising zoom ratios and falling fields of view")

    def hfov_deg(self, zoom: float) -> float:
        """Horizontal field of view at a zoom ratio. Raises ValueError for a ratio that is not above 0."""
        if not 0 < zoom < math.inf:
            raise ValueError(f"a zoom ratio must be above 0, not {zoom}")
        return _angle_deg(self._log_tan(math.log(zoom)))

    def zoom_of(self, hfov_deg: float) -> float:
        """The zoom ratio that shows this field of view; below 1 where the lens cannot show so much."""
        focal_px(1, hfov_deg)
        zooms, tans = self._knots()
        wanted = _log_half_tan(hfov_deg)
        if wanted >= tans[0]:
            return math.exp(zooms[0] + tans[0] - wanted)
        if wanted <= tans[-1]:
            return math.exp(zooms[-1] + tans[-1] - wanted)
        return math.exp(float(np.interp(-wanted, [-tan for tan in tans], zooms)))

    def _knots(self) -> tuple[list[float], list[float]]:
        table = self.table
        if not table or (table[0][0] > 1 and table[0][1] < self.hfov_wide_deg):
            table = ((1.0, self.hfov_wide_deg), *table)
        return [math.log(zoom) for zoom, _ in table], [_log_half_tan(hfov_deg) for _, hfov_deg in table]

    def _log_tan(self, log_zoom: float) -> float:
        zooms, tans = self._knots()
        if log_zoom <= zooms[0]:
            return tans[0] + zooms[0] - log_zoom
        if log_zoom >= zooms[-1]:
            return tans[-1] + zooms[-1] - log_zoom
        return float(np.interp(log_zoom, zooms, tans))


def _log_half_tan(hfov_deg: float) -> float:
    return math.log(math.tan(math.radians(hfov_deg) / 2))


def _angle_deg(log_half_tan: float) -> float:
    return math.degrees(2 * math.atan(math.exp(log_half_tan)))
