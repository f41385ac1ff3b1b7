"""The lens and the video of a simulated camera: how wide it sees, and when a picture of what moment arrives.

Knows no world and draws nothing. The lens here is what the simulated camera really has; what a controller believes of
it is `ptz.lens`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ptz.types import Pose, View


@dataclass(frozen=True, slots=True)
class Optics:
    """Lens, picture and video path.

    hfov_wide_deg    horizontal field of view at zoom 1
    most_zoom        greatest ratio
    table            (zoom, hfov_deg) pairs of a lens that does not follow 1/zoom, the widest first; empty = it does
    width, height    pixels of the main stream
    fps              pictures a second
    video_delay_s    from capture until the decoded picture is there
    video_jitter_s   up to so much later, evenly
    refocus_s        how long the picture is blurred after the zoom has moved, 0 = never
    """

    hfov_wide_deg: float = 59.8
    most_zoom: float = 25.0
    table: tuple[tuple[float, float], ...] = ()
    width: int = 1280
    height: int = 720
    fps: float = 15.0
    video_delay_s: float = 0.25
    video_jitter_s: float = 0.03
    refocus_s: float = 0.0

    def hfov_deg(self, zoom: float) -> float:
        """Horizontal field of view at a ratio; between the pairs of the table along log tan(half) over log zoom."""
        zoom = min(max(zoom, 1.0), self.most_zoom)
        if len(self.table) < 2:
            return 2 * math.degrees(math.atan(math.tan(math.radians(self.hfov_wide_deg) / 2) / zoom))
        after = next((n for n, pair in enumerate(self.table) if pair[0] >= zoom), len(self.table) - 1)
        (zoom_0, hfov_0), (zoom_1, hfov_1) = self.table[max(after - 1, 0)], self.table[max(after, 1)]
        share = math.log(zoom / zoom_0) / math.log(zoom_1 / zoom_0)
        half_0, half_1 = (math.log(math.tan(math.radians(hfov) / 2)) for hfov in (hfov_0, hfov_1))
        return 2 * math.degrees(math.atan(math.exp(half_0 + share * (half_1 - half_0))))

    def view(self, pose: Pose) -> View:
        """What the lens shows at a pose."""
        return View(self.width, self.height, pose.pan_deg, pose.tilt_deg, self.hfov_deg(pose.zoom))
