"""One `scene://NAME?cameras=N` into the N cameras that it stands for: a fixed one, and heads that the engine steers.

Only such a source imports the world it speaks of: everything else stays quick.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from engine.config.identity import OFF
from engine.config.ptz import PtzConfig
from engine.config.settings import CameraConfig
from engine.errors import ConfigError
from engine.secrets import mask_url

if TYPE_CHECKING:
    from ptz.simulator.world import CameraMount, Scene

SCHEME = "scene"
HOST = "127.0.0.1"
LATENCY_MS = (1.0, 5000.0)
"""A scene's picture is drawn when it arrives; 0 would mean that its age is not known."""


def expand_scenes(
    found: Sequence[tuple[CameraConfig, str]], *, steered: bool
) -> list[tuple[CameraConfig, str]]:
    """The cameras with every scene of several cameras replaced by these. Each comes with the place that named it.

    steered  heads get a port on loopback and a configuration; otherwise (`--offline`) they stand still

    Raises `ConfigError` for a scene that there is not, or a number of cameras that it has not.
    """
    expanded: list[tuple[CameraConfig, str]] = []
    for camera, where in found:
        count = _count(camera, where)
        if count is None:
            expanded.append((camera, where))
            continue
        prefix = "" if len(found) == 1 and camera.name == "cam0" else f"{camera.name}-"
        expanded += [(part, where) for part in _cameras(camera, count, prefix, where, steered=steered)]
    return expanded


def _count(camera: CameraConfig, where: str) -> int | None:
    """How many cameras a source stands for; None where it says nothing of that."""
    if not camera.source.lower().startswith(f"{SCHEME}://"):
        return None
    asked = dict(parse_qsl(urlsplit(camera.source).query, keep_blank_values=True)).get("cameras")
    if asked is None:
        return None
    if not asked.isdecimal() or not int(asked):
        raise ConfigError(f"{where}: source {mask_url(camera.source)}: cameras must be a number from 1")
    return int(asked)


def _cameras(
    camera: CameraConfig, count: int, prefix: str, where: str, *, steered: bool
) -> list[CameraConfig]:
    from ptz.simulator.scenes import SCENES

    shown = mask_url(camera.source)
    parts = urlsplit(camera.source)
    scene = SCENES.get(unquote(parts.netloc + parts.path).strip("/"))
    if scene is None:
        raise ConfigError(f"{where}: source {shown}: no such scene; there are {', '.join(SCENES)}")
    if count > len(scene.cameras):
        raise ConfigError(
            f"{where}: source {shown}: scene {scene.name!r} has {len(scene.cameras)} cameras, not {count}"
        )
    query = [
        (key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key != "cameras"
    ]
    for key, _ in query:
        if key in ("camera", "http", "name"):
            raise ConfigError(f"{where}: source {shown}: {key}= is for one camera; leave cameras= out")
    if camera.zones or camera.lines or camera.ptz:
        raise ConfigError(
            f"{where}: camera {camera.name!r}: zones, lines and ptz belong to one camera; "
            "write a source with camera=1, another with camera=2 and so on"
        )
    made = []
    ports = _free_ports(sum(mount.is_ptz for mount in scene.cameras[:count])) if steered else []
    for number, mount in enumerate(scene.cameras[:count], start=1):
        name = f"{prefix}{mount.name}"
        own = [*query, ("camera", str(number)), ("name", name)]
        ptz = None
        if mount.is_ptz and steered:
            port = ports.pop()
            own.append(("http", str(port)))
            ptz = replace(_head(scene, mount, prefix, port), image_latency_ms=_latency_ms(query))
        # References to variables stay as they are written.
        source = urlunsplit(parts._replace(query=urlencode(own, safe="${}/:,")))
        made.append(replace(camera, name=name, source=source, ptz=ptz))
    return made


def _head(scene: Scene, mount: CameraMount, prefix: str, port: int) -> PtzConfig:
    from ptz.simulator.profiles import PROFILES

    profile = PROFILES[mount.profile]
    fixed = tuple(f"{prefix}{other.name}" for other in scene.cameras[:1] if not other.is_ptz)
    return PtzConfig(
        driver="hikvision" if profile.offer.isapi else "onvif",
        url=f"http://{HOST}:{port}",
        hfov_deg=profile.optics.hfov_wide_deg,
        lens=profile.optics.table,
        position_m=(mount.x_m, mount.y_m, mount.z_m),
        policy=scene.policy if scene.policy != "selected" else "group",
        scene=f"{prefix}{scene.name}" if scene.name else OFF,
        guides=fixed,
    )


def _latency_ms(query: Sequence[tuple[str, str]]) -> float:
    """How old a scene's pictures are when they arrive; the source itself refuses what is no number."""
    asked = dict(query).get("latency_ms", "")
    least, most = LATENCY_MS
    return min(max(float(asked), least), most) if asked.replace(".", "", 1).isdecimal() else least


def _free_ports(count: int) -> list[int]:
    """So many ports of loopback that nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()
