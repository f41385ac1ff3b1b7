"""The head of a camera: how to reach it, what its lens shows, where it may turn and whom it follows.

The table `[camera.ptz]` of a cameras file. Frozen values; what is done with them is decided in `ptz`. Imports nothing
heavy.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from urllib.parse import urlsplit

from engine.config.files import unknown_name
from engine.config.identity import OFF
from engine.config.values import Setting, checked, setting
from engine.errors import ConfigError
from engine.secrets import mask_text, resolve_references

POLICIES = ("off", "group", "selected", "runner", "zone", "manual", "tour")
LAWS = ("predictive", "ema", "p", "pid", "stop_and_go")
DRIVERS = ("hikvision", "isapi", "onvif")

Range = tuple[float, float]

_REFERENCES_ONLY = re.compile(r"(\$\{[A-Za-z_][A-Za-z0-9_]*\})+")


@dataclass(frozen=True, slots=True)
class PtzConfig:
    """One camera's head.

    driver          `hikvision` (ISAPI, also by that name) or `onvif`
    url             http://host[:port] of its control interface, without credentials
    hfov_deg        horizontal field of view at the widest zoom
    lens            (zoom ratio, field of view in degrees) pairs where the lens deviates from a pinhole's
    pan_limits_deg  (from, to) azimuth, clockwise: it is never turned outside; None: no limit of ours
    tilt_limits_deg, zoom_limits  (least, greatest) likewise
    pan_range_deg, tilt_range_deg, zoom_range  what the head can do, for ONVIF cameras that only know positions from -1
                    to 1; None: it turns without end, or what the camera tells
    zone_deg        (west, east, bottom, top): the part of the world that the policy `zone` is about
    position_m      (east, north, up): where it stands, for hand-over between cameras; None = not known
    """

    driver: str
    url: str
    hfov_deg: float
    lens: tuple[Range, ...] = ()
    pan_limits_deg: Range | None = None
    tilt_limits_deg: Range | None = None
    zoom_limits: Range | None = None
    pan_range_deg: Range | None = None
    tilt_range_deg: Range | None = None
    zoom_range: Range | None = None
    zone_deg: tuple[float, float, float, float] | None = None
    position_m: tuple[float, float, float] | None = None
    user: str = setting(OFF, "user name, or `${VARIABLE}`; `off` = no login")
    password: str = field(
        default=OFF, repr=False,
        metadata={"setting": Setting(str, "`${VARIABLE}`; a password itself is refused; `off` = no login")},
    )  # fmt: skip
    channel: int = setting(
        1, "video input of the head: 1 on a camera, its number on a recorder or encoder", bounds=(1, 512)
    )
    timeout_s: float = setting(2.0, "longest wait for an answer of the camera", unit="s", bounds=(0.2, 60.0))
    tls_fingerprint: str = setting(
        OFF,
        "SHA-256 of the camera's certificate in hex, for https with a certificate that no authority signed; `off` = "
        "an authority must have signed it",
    )
    zoom_scale: str = setting(
        "ratio",
        "what an ONVIF camera's zoom positions from 0 to 1 are even steps of: the `ratio`, its `log`, or the field of "
        "view (`linear`)",
        choices=("ratio", "log", "linear"),
    )
    login: str = setting(
        "auto",
        "how to log in to an ONVIF camera: HTTP `digest`, WS-UsernameToken (`token`), the same with the password in "
        "clear text (`token_text`), or what it asks for (`auto`)",
        choices=("auto", "digest", "token", "token_text"),
    )
    policy: str = setting("group", "whom it follows at the start; docs/ptz_framing.md", choices=POLICIES)
    law: str = setting(
        "predictive",
        "how it is steered; the others are there for comparison; docs/ptz_control.md",
        choices=LAWS,
    )
    classes: tuple[str, ...] = setting(("person",), "labels of whom it follows; empty = any")
    body_height: float = setting(
        0.45, "height of a followed person as a share of the picture", bounds=(0.05, 0.9)
    )
    return_preset: str = setting(
        OFF, "preset it goes to when the target is lost for good; `off` = where it looked before it followed"
    )
    return_s: float = setting(
        8.0, "time without the target until it goes there", unit="s", bounds=(1.0, 3600.0)
    )
    resume_s: float = setting(
        10.0,
        "time after an operator's last command until it follows again; 0 = not by itself",
        unit="s",
        bounds=(0.0, 86400.0),
    )
    search: bool = setting(False, "look where a lost target went before going back")
    tour: tuple[str, ...] = setting((), "presets of the policy `tour`, in order")
    tour_dwell_s: float = setting(20.0, "time at each of them", unit="s", bounds=(2.0, 86400.0))
    probe: bool = setting(
        True,
        "move a little at the start, to prove that the head moves and stops; without it nothing is known of either "
        "before the first command",
    )
    speeds: str = setting(
        OFF, "file of measured speeds that `engine-ptz calibrate` wrote; `off` = those of its kind"
    )
    image_latency_ms: float = setting(
        0.0,
        "age of a picture when it arrives here; 0 = measured when the head first moves",
        unit="ms",
        bounds=(0.0, 5000.0),
    )
    position_pan_sign: int = setting(1, "-1 where reported pan runs the other way round", bounds=(-1, 1))
    position_tilt_sign: int = setting(1, "-1 where reported tilt runs the other way round", bounds=(-1, 1))
    command_pan_sign: int = setting(1, "-1 where commanded pan runs the other way round", bounds=(-1, 1))
    command_tilt_sign: int = setting(1, "-1 where commanded tilt runs the other way round", bounds=(-1, 1))
    heading_deg: float = setting(
        0.0, "compass direction of the head's pan zero, for hand-over", unit="°", bounds=(-360.0, 360.0)
    )
    scene: str = setting(
        OFF, "cameras that name the same scene hand targets over to each other; `off` = none"
    )
    guides: tuple[str, ...] = setting(
        (), "fixed cameras over the same scene, from whose tracks the head learns where to look"
    )

    def credentials(self, environ: Mapping[str, str] | None = None) -> tuple[str, str]:
        """User and password, resolved; never log them. Raises `ConfigError` where a variable is not set."""
        user, password = (
            "" if text == OFF else resolve_references(text, environ) for text in (self.user, self.password)
        )
        return user, password

    @property
    def speeds_path(self) -> str | None:
        """The file of `speeds` with `~` expanded, None where there is none."""
        return None if self.speeds == OFF else os.path.expanduser(self.speeds)


PTZ_SETTINGS: dict[str, Setting] = {
    "driver": Setting(str, "how to talk to it", choices=DRIVERS),
    "url": Setting(str, "http://host[:port] of its control interface, without user and password"),
    "hfov_deg": Setting(
        float,
        "horizontal field of view at the widest zoom; the data sheet tells it",
        unit="°",
        bounds=(1.0, 170.0),
    ),
    **{f.name: f.metadata["setting"] for f in fields(PtzConfig) if "setting" in f.metadata},
}
"""The keys of `[camera.ptz]` that hold one value."""
RANGES: dict[str, tuple[int, str]] = {
    "pan_limits_deg": (2, "[from, to], clockwise, 0 to 360"),
    "tilt_limits_deg": (2, "[least, greatest], -90 to 90"),
    "zoom_limits": (2, "[least, greatest], 1 or more"),
    "pan_range_deg": (2, "[from, to], clockwise"),
    "tilt_range_deg": (2, "[least, greatest], -90 to 90"),
    "zoom_range": (2, "[least, greatest], 1 or more"),
    "zone_deg": (4, "[west, east, bottom, top]"),
    "position_m": (3, "[east, north, up]"),
}
"""The keys that hold a list of numbers: how many, and what they mean."""


def ptz_from(entry: object, where: str) -> PtzConfig:
    """The head in a table. Raises `ConfigError`, which begins with `where`."""
    where = f"{where}, ptz"
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where}: must be a table: write [camera.ptz]")
    known = [*PTZ_SETTINGS, *RANGES, "lens"]
    for key in entry:
        if key not in known:
            raise unknown_name(where, "key", str(key), known)
    for key in ("driver", "url", "hfov_deg"):
        if key not in entry:
            raise ConfigError(f"{where}: {key} is missing: {PTZ_SETTINGS[key].about}")
    values = {key: checked(PTZ_SETTINGS[key], key, entry[key], where) for key in entry if key in PTZ_SETTINGS}
    for key, (count, meaning) in RANGES.items():
        if entry.get(key) is not None:
            values[key] = _numbers(entry[key], count, f"{where}: {key}", meaning)
    values["lens"] = tuple(
        _numbers(pair, 2, f"{where}: lens", "[zoom ratio, field of view in degrees]")
        for pair in _listed(entry.get("lens", ()), f"{where}: lens")
    )
    config = PtzConfig(**values)  # type: ignore[arg-type]  # names and types were just checked
    _check(config, where)
    return config


def ptz_to_json(config: PtzConfig) -> dict[str, object]:
    """The same table in plain values; the password stays a reference."""
    return {key: value for key, value in asdict(config).items() if value is not None}


_RISING = (
    ("tilt_limits_deg", -90.0, 90.0), ("zoom_limits", 1.0, 1000.0),
    ("pan_range_deg", -360.0, 720.0), ("tilt_range_deg", -90.0, 90.0), ("zoom_range", 1.0, 1000.0),
)  # fmt: skip


def _check(config: PtzConfig, where: str) -> None:
    _check_url(config, where)
    if config.password != OFF and not _REFERENCES_ONLY.fullmatch(config.password):
        raise ConfigError(
            f"{where}: password must be a reference such as ${{CAMERA_PASSWORD}}, not the password itself"
        )
    if (config.user == OFF) != (config.password == OFF):
        raise ConfigError(f"{where}: user and password belong together; give both, or neither")
    for name in ("position_pan_sign", "position_tilt_sign", "command_pan_sign", "command_tilt_sign"):
        if getattr(config, name) == 0:
            raise ConfigError(f"{where}: {name} must be 1 or -1, found 0")
    for name, least, most in _RISING:
        limits: Range | None = getattr(config, name)
        if limits is not None and not least <= limits[0] < limits[1] <= most:
            raise ConfigError(
                f"{where}: {name} must rise from {least:g} or more to {most:g} or less, found {list(limits)}"
            )
    pan = config.pan_limits_deg
    if pan is not None and not (0 <= pan[0] <= 360 and 0 <= pan[1] <= 360 and pan[0] != pan[1]):
        raise ConfigError(f"{where}: pan_limits_deg must be two directions from 0 to 360, found {list(pan)}")
    _check_lens(config, where)
    if config.policy == "zone" and config.zone_deg is None:
        raise ConfigError(f"{where}: the policy 'zone' needs zone_deg = [west, east, bottom, top]")
    if config.policy == "tour" and not config.tour:
        raise ConfigError(f"{where}: the policy 'tour' needs tour = [presets, in order]")


def _check_url(config: PtzConfig, where: str) -> None:
    try:
        parts = urlsplit(config.url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"{where}: url must be http://host[:port], found {mask_text(config.url)!r}")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            f"{where}: url must not hold credentials; write user and password as keys of their own"
        )


def _check_lens(config: PtzConfig, where: str) -> None:
    rows = ((1.0, config.hfov_deg), *config.lens) if config.lens and config.lens[0][0] > 1 else config.lens
    for (zoom, hfov), (next_zoom, next_hfov) in pairwise(rows):
        if not (next_zoom > zoom and next_hfov < hfov):
            raise ConfigError(f"{where}: lens must have rising zoom ratios and falling fields of view")
    if any(not (zoom >= 1 and 0 < hfov < 180) for zoom, hfov in rows):
        raise ConfigError(f"{where}: lens holds a zoom ratio below 1, or a field of view that is none")


def _listed(value: object, where: str) -> Sequence[object]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigError(f"{where} must be a list, found {value!r}")
    return value


def _numbers(value: object, count: int, where: str, meaning: str) -> tuple[float, ...]:
    listed = _listed(value, where)
    numbers = [float(part) for part in listed if isinstance(part, int | float) and not isinstance(part, bool)]
    if len(numbers) != count or len(listed) != count or not all(map(math.isfinite, numbers)):
        raise ConfigError(f"{where} must be {count} numbers, {meaning}, found {list(listed)!r}")
    return tuple(numbers)
