"""Who there is, in world angles: one logical target per person, through changes of track IDs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Target:
    """One person.

    key          ours, never used twice; stays when the track ID changes
    track_id, gid  newest track of it; identity over all cameras, 0 = none
    epoch        how often it was found again under another track ID
    class_id     its class
    time_s       when it was last measured; pan_deg, tilt_deg and the rest are as of then
    pan_deg, tilt_deg      middle of the body; azimuth 0..360
    pan_deg_s, tilt_deg_s  speed in azimuth and elevation
    width_deg, height_deg  angular size seen from the camera
    seen         measured in the newest picture
    confirmed    seen for long enough to count
    """

    key: int
    track_id: int
    gid: int
    class_id: int
    first_s: float
    time_s: float
    pan_deg: float
    tilt_deg: float
    width_deg: float
    height_deg: float
    pan_deg_s: float = 0.0
    tilt_deg_s: float = 0.0
    epoch: int = 0
    seen: bool = True
    confirmed: bool = False
