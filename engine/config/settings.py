"""Every setting of a run: its name, type, default, unit, range and the reason for the default.

Frozen values, nothing else: this module does not know files, flags or environment variables (see `load`).
It imports nothing heavy, so that `engine-run --help` stays quick.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace

from engine.config.bus import BusConfig
from engine.config.control import ControlConfig
from engine.config.files import unknown_name
from engine.config.identity import OFF, EventsConfig, IdentityConfig, ReidConfig
from engine.config.links import LinkConfig, link_from_json
from engine.config.output import OutputConfig
from engine.config.ptz import PtzConfig, ptz_from, ptz_to_json
from engine.config.regions import Line, Zone, check_names, lines_from, regions_to_json, zones_from
from engine.config.segment import SEGMENT_MODES, SegmentConfig
from engine.config.stream import StreamConfig
from engine.config.track import TrackConfig
from engine.config.values import Setting, checked, setting
from engine.errors import ConfigError
from engine.secrets import mask_url, resolve_references

MOST_FRAMES_HELD = 56
"""Frames of a camera in `infer.lanes` × `infer.batch` and `pool.history` together.

A pool has 64 slots; inference needs one more than that, the overlay two, segmentation two, the tracker one, one is
the newest and one is being written. `engine.topology` lays pools out, and its tests hold this number against it.
"""
MOST_RESULTS_KEPT = 54
"""The same for results: 64 slots less eight readers, the newest and the one being written."""


@dataclass(frozen=True, slots=True, repr=False)
class CameraConfig:
    """One source to watch. `repr` and `str` show the URL without its credentials.

    source        the URL or path as written; it may hold `${VARIABLE}` references, which stay references here
    zones, lines  what events are about; events name them by their place here
    ptz           its head, None where it has none
    """

    name: str
    source: str
    loop: bool = setting(False, "start a file again at its end")
    rtsp_transport: str = setting(
        "tcp",
        "transport of RTSP media; one lost UDP packet spoils the picture until the next key frame",
        choices=("tcp", "udp"),
    )
    infer_fps: float = setting(
        0.0,
        "target rate of inference for this camera; 0 = the rate of `infer.fps`",
        unit="frames/s",
        bounds=(0.0, 1000.0),
    )
    segment: str = setting(
        "",
        "mode of segmentation of this camera at the start; empty = that of `segment.mode`",
        choices=("", *SEGMENT_MODES),
    )
    poses: str = setting(
        OFF,
        "file with where the camera looked while the source was recorded, for `track.camera_motion`: lines of "
        "`time_s,pan_deg,tilt_deg,hfov_deg[,roll_deg]`; `off` = not known",
    )
    zones: tuple[Zone, ...] = ()
    lines: tuple[Line, ...] = ()
    ptz: PtzConfig | None = None

    def resolved_source(self, environ: Mapping[str, str] | None = None) -> str:
        """The URL with secrets, or the path with `~` expanded. Never log it.

        Raises `ConfigError` if a referenced environment variable is not set.
        """
        return os.path.expanduser(resolve_references(self.source, environ))

    @property
    def poses_path(self) -> str | None:
        """The file of `poses` with `~` expanded, None where there is none."""
        return None if self.poses == OFF else os.path.expanduser(self.poses)

    def __repr__(self) -> str:
        return (
            f"CameraConfig(name={self.name!r}, source={mask_url(self.source)!r}, loop={self.loop!r}, "
            f"rtsp_transport={self.rtsp_transport!r}, infer_fps={self.infer_fps!r}, segment={self.segment!r}, "
            f"poses={self.poses!r}, zones={self.zones!r}, lines={self.lines!r}, ptz={self.ptz!r})"
        )


@dataclass(frozen=True, slots=True)
class DecodeConfig:
    """Reading and decoding a source."""

    timeout_s: float = setting(
        5.0,
        "longest silence of a live source before it is opened again; also the connect time-out",
        unit="s",
        bounds=(0.5, 600.0),
    )
    threads: int = setting(
        1,
        "threads of one camera's software decoder; each further one takes a core from inference and holds "
        "back a frame",
        unit="threads",
        bounds=(1, 64),
    )
    backend: str = setting(
        "software",
        "what decodes: `software` on the CPU; `nvdec` on the GPU; `auto` takes nvdec where it is installed and can "
        "decode the stream",
        choices=("software", "nvdec", "auto"),
    )
    place: str = setting(
        "process",
        "where cameras are decoded: each in a `process` of its own, or all in that of `inference`, where pictures "
        "that NVDEC has decoded need not be uploaded again; a crash of either then ends both",
        choices=("process", "inference"),
    )


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """Shared memory for frames and results. Its size is fixed at the start of a run."""

    history: int = setting(
        4,
        "frame slots beyond those on lease, so that the overlay still finds the frame a result speaks of",
        unit="frames",
        bounds=(0, MOST_FRAMES_HELD - 1),
    )
    result_slot_kib: int = setting(
        128,
        "room for the results of one frame: 128 holds 2340 tracked objects, or about 100 with their masks",
        unit="KiB",
        bounds=(4, 65536),
    )
    result_history: int = setting(
        24,
        "results kept for a consumer that falls behind; about one second at 25 fps",
        unit="results",
        bounds=(2, MOST_RESULTS_KEPT),
    )


@dataclass(frozen=True, slots=True)
class InferConfig:
    """The detector and how it runs."""

    model: str = setting(
        "yolox_nano",
        "name of a registered or embedded model (`nano_det`), path of an ONNX file, or `motion`; the default is the "
        "smallest registered one with a permissive licence",
        flag="--model",
    )
    fallback: str = setting(
        "nano_det",
        "what runs, visibly degraded, where a registered model cannot be had: the embedded detector, or `motion`; "
        "empty ends the run instead",
        choices=("nano_det", "motion", ""),
    )
    require_model: bool = setting(
        False,
        "end with an error where the detector, or a segmenter that is wanted, cannot be had, instead of taking an "
        "embedded one",
        flag="--require-model",
    )
    backends: tuple[str, ...] = setting(
        ("ort-cpu",),
        "what may run the model, best first: tensorrt, ort-tensorrt, ort-cuda, ort-openvino, ort-coreml, "
        "ort-cpu; one that is missing or fails is passed over, and `/health` says so",
    )
    lanes: int = setting(
        0,
        "calls of the model side by side; 0 = measured when the run starts",
        unit="calls",
        bounds=(0, MOST_FRAMES_HELD),
    )
    threads: int = setting(
        0,
        "threads inside one call; 0 = measured when the run starts, the cores shared out among the lanes",
        unit="threads",
        bounds=(0, 256),
    )
    batch: int = setting(
        0,
        "most frames in one call; 0 = measured when the run starts; a model with a fixed batch keeps its own",
        unit="frames",
        bounds=(0, MOST_FRAMES_HELD),
    )
    collect: str = setting(
        "adaptive",
        "when a batch that is not full is run: `adaptive` waits as long as the fastest camera needs for a "
        "frame, `greedy` not at all, `all` until every camera has one",
        choices=("adaptive", "greedy", "all"),
    )
    collect_ms: float = setting(
        100.0,
        "longest wait for a fuller batch; a camera of 10 frames/s is the slowest that is worth waiting for",
        unit="ms",
        bounds=(0.0, 1000.0),
    )
    max_age_ms: float = setting(
        500.0,
        "age at which a live frame is too old to be worth a place in a batch and is dropped as `stale`",
        unit="ms",
        bounds=(1.0, 60000.0),
    )
    fps: float = setting(
        0.0,
        "target rate of every camera that sets none of its own; frames between are dropped as `rate`; "
        "0 = as many as the camera gives and the device takes",
        unit="frames/s",
        bounds=(0.0, 1000.0),
    )
    confidence: float = setting(
        0.1,
        "lowest score that reaches the tracker; low, because weak detections keep tracks alive",
        bounds=(0.0, 1.0),
    )
    show_confidence: float = setting(
        0.25,
        "lowest score of an object that is written and drawn; 0.25 is what most detectors are shown at",
        bounds=(0.0, 1.0),
    )
    nms_iou: float = setting(
        0.45,
        "overlap above which the weaker of two boxes of a class is dropped",
        unit="IoU",
        bounds=(0.0, 1.0),
    )
    max_objects: int = setting(
        300, "most objects per frame; a crowd that fills the picture", unit="objects", bounds=(1, 10000)
    )
    classes: tuple[str, ...] = setting((), "labels to keep; empty keeps all")
    thresholds: dict[str, float] = setting(  # noqa: RUF009  # `setting` returns a field with a factory
        {},
        "lowest score by label, for labels that need more (or less) than `confidence`; a table, "
        "as in `thresholds = { person = 0.5, car = 0.3 }`",
        bounds=(0.0, 1.0),
    )
    labels: tuple[str, ...] = setting(
        (), "names of the classes; empty takes them from the model or the registry"
    )


@dataclass(frozen=True, slots=True)
class SupervisorConfig:
    """Watching over the worker processes."""

    restart_limit: int = setting(
        5,
        "restarts of one worker within the window before it is given up; more would hide a lasting fault",
        unit="restarts",
        bounds=(0, 1000),
    )
    restart_window_s: float = setting(
        60.0, "window in which restarts are counted", unit="s", bounds=(1.0, 86400.0)
    )
    hang_timeout_s: float = setting(
        15.0,
        "silence after which a worker counts as hung and is killed; longer than any step it takes",
        unit="s",
        bounds=(1.0, 3600.0),
    )
    start_timeout_s: float = setting(
        120.0,
        "the same while a worker starts: loading a model, or building a TensorRT engine, takes long",
        unit="s",
        bounds=(1.0, 7200.0),
    )
    stop_timeout_s: float = setting(
        4.0,
        "time to finish files at the end before a worker is killed; the whole stop takes at most 5 s",
        unit="s",
        bounds=(0.1, 600.0),
    )


@dataclass(frozen=True, slots=True)
class RunConfig:
    """One run. `to_json` and `from_json` carry it to a worker; secrets stay references on the way.

    api  whether the program that has started the run reads its results (`engine.api`)
    """

    profile: str
    cameras: tuple[CameraConfig, ...]
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    pool: PoolConfig = field(default_factory=PoolConfig)
    infer: InferConfig = field(default_factory=InferConfig)
    track: TrackConfig = field(default_factory=TrackConfig)
    reid: ReidConfig = field(default_factory=ReidConfig)
    identity: IdentityConfig = field(default_factory=IdentityConfig)
    events: EventsConfig = field(default_factory=EventsConfig)
    segment: SegmentConfig = field(default_factory=SegmentConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    stream: StreamConfig = field(default_factory=StreamConfig)
    bus: BusConfig = field(default_factory=BusConfig)
    control: ControlConfig = field(default_factory=ControlConfig)
    supervisor: SupervisorConfig = field(default_factory=SupervisorConfig)
    links: tuple[LinkConfig, ...] = ()
    api: bool = False
    offline: bool = setting(
        False,
        "every frame of a file, as fast as it goes, instead of the newest one at the file's own pace",
        flag="--offline",
    )
    duration_s: float | None = setting(
        None,
        "end the run after this time; unset = until the sources end or it is stopped",
        unit="s",
        bounds=(0.1, 1e9),
        flag="--duration",
    )
    log_level: str = setting(
        "info",
        "least severe messages that are logged",
        choices=("debug", "info", "warning", "error"),
        flag="--log-level",
    )

    def to_json(self) -> dict[str, object]:
        """Plain dicts, lists, strings and numbers."""
        document = _plain(asdict(self))
        document["cameras"] = [_plain(camera_to_json(camera)) for camera in self.cameras]
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> RunConfig:
        """The configuration that `to_json` wrote. Raises `ConfigError` if it is not one."""
        where = "configuration from JSON"
        values = dict(document)
        profile, cameras = values.pop("profile", None), values.pop("cameras", None)
        links, api = values.pop("links", []), values.pop("api", False)
        if not isinstance(profile, str) or not isinstance(cameras, list):
            raise ConfigError(f"{where}: a profile and a list of cameras are needed")
        if not isinstance(links, list):
            raise ConfigError(f"{where}: links must be a list, found {links!r}")
        flat: dict[str, object] = {}
        for name, value in values.items():
            section = value if name in SECTIONS and isinstance(value, Mapping) else None
            flat.update(
                {name: value} if section is None else {f"{name}.{key}": section[key] for key in section}
            )
        for key in flat:
            if key not in SETTINGS:
                raise unknown_name(where, "setting", key, SETTINGS)
        settled = {key: checked(SETTINGS[key], key, value, where) for key, value in flat.items()}
        config = assemble(profile, tuple(camera_from(camera, where) for camera in cameras), settled)
        return replace(config, links=tuple(link_from_json(link, where) for link in links), api=bool(api))


SECTIONS: dict[str, type] = {
    "decode": DecodeConfig,
    "pool": PoolConfig,
    "infer": InferConfig,
    "track": TrackConfig,
    "reid": ReidConfig,
    "identity": IdentityConfig,
    "events": EventsConfig,
    "segment": SegmentConfig,
    "output": OutputConfig,
    "stream": StreamConfig,
    "bus": BusConfig,
    "control": ControlConfig,
    "supervisor": SupervisorConfig,
}
"""The sections of a profile file."""


def _settings_of(owner: type, prefix: str = "") -> dict[str, Setting]:
    return {prefix + f.name: f.metadata["setting"] for f in fields(owner) if "setting" in f.metadata}


SETTINGS: dict[str, Setting] = _settings_of(RunConfig) | {
    key: description
    for section, owner in SECTIONS.items()
    for key, description in _settings_of(owner, f"{section}.").items()
}
"""Every setting that a profile, a flag or the environment can set, by its dotted name."""

CAMERA_SETTINGS: dict[str, Setting] = {
    "name": Setting(str, "unique name; output files are called after it"),
    "source": Setting(str, "URL, path of a file or folder of pictures, or number of a webcam"),
    **_settings_of(CameraConfig),
}
"""The keys of one camera in a cameras file."""
TABLE_KEYS = ("zone", "line", "ptz")
"""The tables of one camera in a cameras file."""


def camera_from(entry: Mapping[str, object], where: str) -> CameraConfig:
    """One camera from a table. Raises `ConfigError`, which begins with `where`."""
    for key in entry:
        if key not in CAMERA_SETTINGS and key not in TABLE_KEYS:
            raise unknown_name(where, "key", key, [*CAMERA_SETTINGS, *TABLE_KEYS])
    for key in ("name", "source"):
        if key not in entry:
            raise ConfigError(f"{where}: {key} is missing")
    values = {
        key: checked(CAMERA_SETTINGS[key], key, value, where)
        for key, value in entry.items()
        if key in CAMERA_SETTINGS
    }
    place = f"{where} ({values['name']})"
    zones, lines = zones_from(entry.get("zone", ()), place), lines_from(entry.get("line", ()), place)
    check_names(zones, lines, place)
    ptz = ptz_from(entry["ptz"], place) if entry.get("ptz") is not None else None
    return CameraConfig(zones=zones, lines=lines, ptz=ptz, **values)  # type: ignore[arg-type]  # names and types were just checked


def camera_to_json(camera: CameraConfig) -> dict[str, object]:
    """What `camera_from` reads: references to secrets stay references, credentials in a URL are in it."""
    document = regions_to_json(asdict(camera))
    document["ptz"] = None if camera.ptz is None else ptz_to_json(camera.ptz)
    return document


def assemble(profile: str, cameras: tuple[CameraConfig, ...], values: Mapping[str, object]) -> RunConfig:
    """A `RunConfig` from checked values by dotted name; what is not named keeps its default."""
    groups: dict[str, dict[str, object]] = {section: {} for section in SECTIONS}
    top: dict[str, object] = {}
    for key, value in values.items():
        section, dot, name = key.rpartition(".")
        (groups[section] if dot else top)[name] = value
    sections = {section: owner(**groups[section]) for section, owner in SECTIONS.items()}
    return RunConfig(profile, cameras, **sections, **top)  # type: ignore[arg-type]  # checked by name and type above


def default_of(key: str) -> object:
    """The default of a setting by its dotted name."""
    section, _, name = key.rpartition(".")
    owner: type = SECTIONS[section] if section else RunConfig
    default = next(f for f in fields(owner) if f.name == name)
    return default.default if default.default_factory is MISSING else default.default_factory()


def _plain(value: object) -> dict[str, object]:
    """The same tree with lists for tuples."""

    def convert(node: object) -> object:
        if isinstance(node, dict):
            return {key: convert(entry) for key, entry in node.items()}
        if isinstance(node, list | tuple):
            return [convert(entry) for entry in node]
        return node

    converted = convert(value)
    assert isinstance(converted, dict)
    return converted
