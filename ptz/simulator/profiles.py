"""Kinds of simulated cameras: mechanics, lens, what they report, and what their protocol faces offer.

Numbers are of real data sheets and captures where there are any; the rest are ordinary ones for such a device
(docs/ptz_simulator.md says which is which). Does not know the protocols: a face reads here what to offer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from ptz.simulator.mechanics import AxisLimits
from ptz.simulator.optics import Optics

DEFAULT_PROFILE = "hik-8425ix"
ULTRAVIEW = (0.0, 0.3, *range(2, 21, 2), *range(25, 71, 5))
"""Speeds of levels 0 to 21 in an OEM's manual (Interlogix UltraView 36X), °/s."""
RESERVED = frozenset({*range(33, 49), 50, 90, *range(92, 111), 130, 131, 132, 200})


@dataclass(frozen=True, slots=True)
class Reporting:
    """How a camera tells where it points.

    status         it tells at all
    zoom           the zoom, too
    moving         whether it moves
    quantum_deg    smallest step of `/status` and of ONVIF's position
    fine_deg       smallest step of the finer report (absoluteEx)
    quantum_zoom   smallest step of the ratio
    refresh_s      how often the answer is made anew
    lag_s          how old it is then
    per_deg        raw units of a degree in ISAPI's `/status`: 10, or 100 on some
    """

    status: bool = True
    zoom: bool = True
    moving: bool = False
    quantum_deg: float = 0.1
    fine_deg: float = 0.01
    quantum_zoom: float = 0.1
    refresh_s: float = 0.1
    lag_s: float = 0.05
    per_deg: int = 10


@dataclass(frozen=True, slots=True)
class Offer:
    """What the protocol faces of a camera offer.

    isapi, onvif          faces that it has
    device_type           as ISAPI's deviceInfo says it
    absolute              ISAPI absolute / ONVIF AbsoluteMove
    absolute_ex           ISAPI absoluteEx with speeds
    relative              ISAPI relative / ONVIF RelativeMove in the generic space
    relative_fov          ONVIF TranslationSpaceFov
    momentary             ISAPI momentary / ONVIF Timeout is honoured
    ranges                capabilities hold the numeric ranges of positions
    both_axes             a move whose x or y is 0 is ignored (some ONVIF cameras)
    most_presets          how many can be stored
    reserved_presets      numbers that do something else
    tells_reserved        capabilities name them
    spherical             ONVIF positions are in degrees, not -1..1
    raw_tilt_sign         sign of elevation on the wire: -1 = down positive
    command_tilt_sign     sign of a positive level: 1 = up
    answer_s              how long an answer takes
    """

    isapi: bool = True
    onvif: bool = True
    device_type: str = "IPDome"
    absolute: bool = True
    absolute_ex: bool = True
    relative: bool = False
    relative_fov: bool = False
    momentary: bool = True
    ranges: bool = True
    both_axes: bool = False
    most_presets: int = 300
    reserved_presets: frozenset[int] = RESERVED
    tells_reserved: bool = True
    spherical: bool = False
    raw_tilt_sign: int = -1
    command_tilt_sign: int = 1
    answer_s: float = 0.035


def zoom_axis(most_zoom: float, travel_s: float = 4.0) -> AxisLimits:
    """The zoom of a lens that goes from wide to tele in `travel_s`: octaves a second."""
    speed = math.log2(most_zoom) / travel_s
    return AxisLimits(speed, 10 * speed, 100 * speed, 0.05, speed, 0.0, math.log2(most_zoom))


_PAN = AxisLimits(80.0, 200.0, 2000.0, 0.1, 210.8)
_TILT = AxisLimits(60.0, 200.0, 2000.0, 0.1, 151.8, -90.0, 20.0)
_ZOOM = zoom_axis(25.0)


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    """A kind of camera.

    moves               it moves at all; False = it accepts everything and nothing happens
    pan, tilt, zoom     limits of the axes: degrees, degrees, octaves
    curve               level → speed: "linear", "quadratic" or "ultraview"
    dead_band           levels below this do nothing
    proportional_zoom   speed of pan and tilt falls with zoom to this power, 0 = it does not
    slowest_share       but never below this share of the speed at the widest view
    command_delay_s     from the arrival of a command until the motors obey
    command_jitter_s    up to so much earlier or later
    settle_deg          standard deviation of where a move to a position ends (at most twice that)
    backlash_deg        play between motor and lens
    park_s              idle for so long it goes home, 0 = never
    eflip               tilting on past the nadir turns the head round
    home                pan, tilt and zoom of the home position
    boot_s              how long it is away after a reboot
    """

    name: str
    model: str
    firmware: str = "V5.8.0 build 230208"
    moves: bool = True
    pan: AxisLimits = _PAN
    tilt: AxisLimits = _TILT
    zoom: AxisLimits = _ZOOM
    curve: str = "linear"
    dead_band: int = 3
    proportional_zoom: float = 0.8
    slowest_share: float = 0.02
    command_delay_s: float = 0.06
    command_jitter_s: float = 0.03
    settle_deg: float = 0.08
    backlash_deg: float = 0.05
    park_s: float = 0.0
    eflip: bool = False
    home: tuple[float, float, float] = (0.0, 0.0, 1.0)
    boot_s: float = 60.0
    optics: Optics = field(default_factory=Optics)
    reporting: Reporting = Reporting()
    offer: Offer = Offer()

    @property
    def pan_range_deg(self) -> tuple[float, float] | None:
        """(from, to) where the head has a stop, None where it turns without end."""
        return None if self.pan.low is None or self.pan.high is None else (self.pan.low, self.pan.high)

    @property
    def tilt_range_deg(self) -> tuple[float, float]:
        """(least, greatest) elevation."""
        return (
            -90.0 if self.tilt.low is None else self.tilt.low,
            90.0 if self.tilt.high is None else self.tilt.high,
        )

    def level_share(self, level: float) -> float:
        """Share of full speed, -1..1, that a level of -100..100 asks for."""
        size = min(abs(level), 100.0)
        if size < self.dead_band:
            return 0.0
        if self.curve == "quadratic":
            share = (size / 100) ** 2
        elif self.curve == "ultraview":
            at = size / 100 * (len(ULTRAVIEW) - 1)
            below = min(int(at), len(ULTRAVIEW) - 2)
            step = ULTRAVIEW[below + 1] - ULTRAVIEW[below]
            share = (ULTRAVIEW[below] + (at - below) * step) / ULTRAVIEW[-1]
        else:
            share = size / 100
        return math.copysign(share, level)


_HIK_8425IX = DeviceProfile(
    DEFAULT_PROFILE,
    "DS-2DF8425IX-AELW",
    tilt=AxisLimits(60.0, 200.0, 2000.0, 0.1, 151.8, -60.0, 50.0),
    zoom=zoom_axis(25),
    optics=Optics(59.8, 25.0, ((1.0, 59.8), (25.0, 3.3))),
)

_ONVIF = DeviceProfile(
    "onvif-generic",
    "Generic Dome",
    "1.0.7",
    pan=AxisLimits(80.0, 200.0, 2000.0, 0.2, 120.0, 0.0, 350.0),
    tilt=AxisLimits(60.0, 200.0, 2000.0, 0.2, 100.0, -90.0, 15.0),
    zoom=zoom_axis(20),
    optics=Optics(60.0, 20.0),
    offer=Offer(isapi=False, absolute_ex=False, relative=True, reserved_presets=frozenset(), raw_tilt_sign=1),
)

_PROFILES = (
    _HIK_8425IX,
    replace(
        _HIK_8425IX,
        name="hik-de7a432",
        model="DS-2DE7A432IWG1-E",
        pan=AxisLimits(80.0, 200.0, 2000.0, 0.1, 80.0),
        tilt=AxisLimits(50.0, 200.0, 2000.0, 0.1, 80.0, -90.0, 15.0),
        zoom=zoom_axis(32, 5),
        curve="quadratic",
        optics=Optics(57.6, 32.0),
    ),
    replace(
        _HIK_8425IX,
        name="hik-de2a404",
        model="DS-2DE2A404IWG1-E",
        firmware="V5.9.5 build 260129",
        pan=AxisLimits(60.0, 120.0, 1200.0, 0.2, 60.0, 0.0, 330.0),
        tilt=AxisLimits(40.0, 120.0, 1200.0, 0.2, 40.0, -90.0, 0.0),
        zoom=zoom_axis(4, 3),
        curve="ultraview",
        command_delay_s=0.12,
        command_jitter_s=0.04,
        optics=Optics(99.4, 4.0, ((1.0, 99.4), (4.0, 32.8))),
        reporting=Reporting(refresh_s=0.3),
        offer=Offer(absolute_ex=False, most_presets=300),
    ),
    replace(
        _HIK_8425IX,
        name="hik-2sf8c442",
        model="DS-2SF8C442MXG1-ELWY",
        tilt=AxisLimits(60.0, 200.0, 2000.0, 0.1, 120.0, -90.0, 20.0),
        zoom=zoom_axis(42, 6),
        optics=Optics(59.0, 42.0, refocus_s=0.6),
    ),
    replace(
        _HIK_8425IX,
        name="encoder-mh6171",
        model="DS-MH6171",
        firmware="V2.0.0 build 200101",
        moves=False,
        reporting=Reporting(status=False, zoom=False),
        offer=Offer(
            onvif=False,
            device_type="DVR",
            absolute=False,
            absolute_ex=False,
            ranges=False,
            tells_reserved=False,
        ),
    ),
    replace(
        _ONVIF,
        name="onvif-fov",
        model="FOV Dome",
        pan=AxisLimits(100.0, 250.0, 2500.0, 0.1, 200.0),
        reporting=Reporting(moving=True, quantum_deg=0.01, quantum_zoom=0.01),
        offer=replace(_ONVIF.offer, relative_fov=True, spherical=True),
    ),
    _ONVIF,
    replace(
        _ONVIF,
        name="onvif-reolink",
        model="RLC-823A",
        curve="quadratic",
        proportional_zoom=0.0,
        command_delay_s=0.15,
        command_jitter_s=0.05,
        reporting=Reporting(refresh_s=0.3),
        offer=replace(_ONVIF.offer, both_axes=True, momentary=False),
        zoom=zoom_axis(5, 3),
        optics=Optics(58.0, 5.0),
    ),
    replace(
        _HIK_8425IX,
        name="slow-cheap",
        model="Cheap Dome",
        firmware="1.2",
        pan=AxisLimits(20.0, 60.0, 600.0, 2.0, 20.0, 0.0, 350.0),
        tilt=AxisLimits(15.0, 60.0, 600.0, 2.0, 15.0, -80.0, 10.0),
        zoom=zoom_axis(10, 7),
        dead_band=8,
        proportional_zoom=0.0,
        command_delay_s=0.25,
        command_jitter_s=0.1,
        settle_deg=0.25,
        backlash_deg=0.3,
        optics=Optics(62.0, 10.0, video_delay_s=0.4, video_jitter_s=0.1, refocus_s=1.0),
        reporting=Reporting(refresh_s=1.0, lag_s=0.1),
        offer=Offer(absolute_ex=False, most_presets=64, tells_reserved=False),
    ),
)

PROFILES: dict[str, DeviceProfile] = {profile.name: profile for profile in _PROFILES}
"""All, by name."""
