"""What a `scene://` URL asks for. Parses and checks; opens nothing."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from engine.errors import SourceUnsupported
from engine.registry import nearest
from engine.secrets import mask_url
from ptz.simulator.scenes import SCENES
from ptz.simulator.world import CameraMount, Scene

OFF = "off"
NUMBERS = {
    "width": (1280.0, 64, 7680),
    "height": (720.0, 64, 4320),
    "fps": (15.0, 1, 240),
    "frames": (0.0, 0, 1e9),
    "seed": (0.0, 0, 1e9),
    "t0": (0.0, -1e9, 1e9),
    "latency_ms": (0.0, 0, 10_000),
    "exposure_ms": (8.0, 0, 1000),
    "http": (0.0, 0, 65_535),
    "poses": (0.0, 0, 1),
    "masks": (0.0, 0, 1e9),
    "truth_every": (1.0, 1, 1e9),
    "truth_s": (0.0, 0, 1e9),
}
"""Default, least and greatest value of the keys that hold a number."""
WHOLE = frozenset(NUMBERS) - {"t0", "latency_ms", "exposure_ms", "truth_s"}
TEXTS = ("camera", "name", "user", "password", "people", "truth", "fault")
FAULTS = ("freeze", "latency", "drops", "resolution")
_FAULT = re.compile(r"(?P<kind>[a-z]+):(?P<start>[\d.]+):(?P<duration>[\d.]+)(?::(?P<value>[\d.]+))?")


@dataclass(frozen=True, slots=True)
class VideoFault:
    """What goes wrong with the pictures of a camera, from `start_s` of its own time for `duration_s`.

    kind   freeze; latency: `value` ms more; drops: a `value` share of the pictures; resolution: half of it
    """

    kind: str
    start_s: float
    duration_s: float
    value: float

    def active(self, time_s: float) -> bool:
        """It is on at this time."""
        return self.start_s <= time_s < self.start_s + self.duration_s


@dataclass(frozen=True, slots=True)
class SceneSettings:
    """A parsed URL; `docs/scene.md` tells what each key means."""

    scene: Scene
    mount: CameraMount
    name: str
    width: int
    height: int
    fps: float
    frames: int
    seed: int
    t0: float
    latency_ms: float
    exposure_ms: float
    http: int
    poses: bool
    masks: int
    truth_every: int
    truth_s: float
    user: str
    password: str
    people: str
    truth: str
    faults: tuple[VideoFault, ...]


def settings_of(url: str) -> SceneSettings:
    """What a `scene://NAME?key=value` URL asks for. Raises `SourceUnsupported`, without credentials in its message."""
    shown = mask_url(url)
    parts = urlsplit(url)
    name = unquote(parts.netloc + parts.path).strip("/")
    if name not in SCENES:
        raise SourceUnsupported(
            f"source {shown}: no scene {name!r}{nearest(name, SCENES)}; there are {', '.join(SCENES)}"
        )
    query = parse_qs(parts.query, keep_blank_values=True)
    for key in query:
        if key == "cameras":
            raise SourceUnsupported(
                f"source {shown}: cameras= stands for several sources; here write camera=1"
            )
        if key not in NUMBERS and key not in TEXTS:
            known = [*NUMBERS, *TEXTS]
            raise SourceUnsupported(
                f"source {shown}: unknown {key!r}{nearest(key, known)}; use {', '.join(known)}"
            )
    numbers = {key: _number(query, key, shown) for key in NUMBERS}
    texts = {key: query[key][-1] if key in query else "" for key in TEXTS}
    scene = SCENES[name]
    mount = _mount(scene, texts["camera"] or "1", shown)
    if numbers["http"] and not mount.is_ptz:
        raise SourceUnsupported(f"source {shown}: http= is for a camera with a head; {mount.name!r} is fixed")
    return SceneSettings(
        scene=scene,
        mount=mount,
        name=texts["name"] or f"{scene.name}-{mount.name}",
        width=int(numbers["width"]),
        height=int(numbers["height"]),
        fps=numbers["fps"],
        frames=int(numbers["frames"]),
        seed=int(numbers["seed"]),
        t0=numbers["t0"],
        latency_ms=numbers["latency_ms"],
        exposure_ms=numbers["exposure_ms"],
        http=int(numbers["http"]),
        poses=bool(numbers["poses"]),
        masks=int(numbers["masks"]),
        truth_every=int(numbers["truth_every"]),
        truth_s=numbers["truth_s"],
        user=_unless_off(texts["user"]),
        password=_unless_off(texts["password"]),
        people=_unless_off(texts["people"]),
        truth=_unless_off(texts["truth"]),
        faults=tuple(_fault(text, shown) for text in query.get("fault", ()) if text not in ("", OFF)),
    )


def _unless_off(text: str) -> str:
    return "" if text == OFF else text


def _mount(scene: Scene, camera: str, shown: str) -> CameraMount:
    for number, mount in enumerate(scene.cameras, start=1):
        if camera in (str(number), mount.name):
            return mount
    known = ", ".join(f"{number} ({mount.name})" for number, mount in enumerate(scene.cameras, start=1))
    raise SourceUnsupported(
        f"source {shown}: scene {scene.name!r} has no camera {camera!r}; there are {known}"
    )


def _number(query: dict[str, list[str]], key: str, shown: str) -> float:
    default, least, greatest = NUMBERS[key]
    if key not in query:
        return default
    try:
        value = float(query[key][-1])
    except ValueError:
        value = math.nan
    if not least <= value <= greatest or (key in WHOLE and value != int(value)):
        kind = "whole number" if key in WHOLE else "number"
        raise SourceUnsupported(f"source {shown}: {key} must be a {kind} from {least:g} to {greatest:g}")
    return value


def _fault(text: str, shown: str) -> VideoFault:
    match = _FAULT.fullmatch(text)
    if match is None or match["kind"] not in FAULTS:
        raise SourceUnsupported(
            f"source {shown}: fault must be kind:start_s:duration_s[:value] with kind one of {', '.join(FAULTS)}"
        )
    defaults = {"latency": 600.0, "drops": 0.3}
    try:
        value = float(match["value"]) if match["value"] else defaults.get(match["kind"], 0.0)
        return VideoFault(match["kind"], float(match["start"]), float(match["duration"]), value)
    except ValueError:
        raise SourceUnsupported(f"source {shown}: fault {text!r} holds something that is no number") from None
