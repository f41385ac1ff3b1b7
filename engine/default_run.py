"""What `engine-run` does where it is told of no camera: the built-in scene, embedded models, masks, a followed person.

Values that the user has set, by flag, variable or a profile of their own, win. Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from engine.config import LoadedConfig, RunConfig, load_run_config
from engine.config.identity import OFF

SCENE = "scene://court?cameras=2&width=640&height=360&fps=20"
"""A fixed camera `overview` and a PTZ camera `ptz` over the same people."""
ORIGIN = "built-in scene"
"""Where values of a default run are from, in words."""
LONGEST_S = 3600.0
"""Files of results grow with every frame: a run that nobody thinks of any more does not fill the disk."""
OFFLINE_FRAMES = 1257
"""One round of the scene: offline, a source has to have an end."""
PRESETS: Mapping[str, object] = {
    "infer.model": "nano_det",
    # People who stand close are two boxes, and half hidden ones are sure of little: measured in this scene.
    "infer.nms_iou": 0.5,
    "infer.show_confidence": 0.2,
    "track.high_confidence": 0.4,
    "track.start_confidence": 0.45,
    # Longer than anybody is hidden or out of sight in it.
    "track.recall_s": 8.0,
    # Each keyframe anew from the boxes: nano-sam's memory is not good enough yet to follow people by itself.
    "segment.mode": "boxes",
    "segment.model": "nano_sam",
    "duration_s": LONGEST_S,
}
"""What is different from a run on a camera, unless the user says otherwise."""
TRUTH = {"truth_every": "4", "truth_s": "600", "masks": "20"}
"""Of the scene's truth: five pictures a second, masks of one, of the last ten to twenty minutes."""


def load_default(
    profile: str, flags: Mapping[str, object], environ: Mapping[str, str] | None = None
) -> LoadedConfig:
    """The configuration of a default run. Raises `ConfigError`."""
    loaded = load_run_config(profile, None, {**flags, "source": [SCENE]}, environ, presets=(PRESETS, ORIGIN))
    config = loaded.config
    more = {"truth": str(truth_folder(config)), **TRUTH}
    if config.offline:
        more["frames"] = str(OFFLINE_FRAMES)
    cameras = tuple(replace(camera, source=_with(camera.source, more)) for camera in config.cameras)
    origins = {**loaded.origins, **{f"camera.{camera.name}": ORIGIN for camera in cameras}}
    return LoadedConfig(replace(config, cameras=cameras), origins)


def truth_folder(config: RunConfig) -> Path:
    """Where the truth of a default run is written."""
    return Path(config.output.directory).expanduser() / "truth"


def discard_truth(config: RunConfig) -> None:
    """Delete what the default run before has left in the same folder: the source only ever adds to it."""
    for camera in config.cameras:
        folder = truth_folder(config)
        for path in (folder / f"{camera.name}.truth", folder / f"{camera.name}.before.truth"):
            path.unlink(missing_ok=True)
        for mask in (folder / f"{camera.name}.masks").glob("*.png"):
            mask.unlink(missing_ok=True)


def shown(config: RunConfig) -> str:
    """What is to be seen, in one line."""
    names = " and ".join(camera.name for camera in config.cameras)
    masks = "no masks" if config.segment.mode == OFF else f"masks by {config.segment.model}"
    follows = "its head stands still offline" if config.offline else "which follows a jogger"
    bound = "" if config.offline or config.duration_s is None else f"; ends after {config.duration_s:g} s"
    return (
        f"no --source: the built-in scene, drawn here, seen by {names} ({follows}); people by {config.infer.model}, "
        f"{masks}{bound}. Your own camera: --source rtsp://… (docs/out_of_the_box.md)"
    )


def _with(url: str, more: Mapping[str, str]) -> str:
    """A URL with more in its query."""
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), *more.items()]
    return urlunsplit(parts._replace(query=urlencode(query, safe="${}/:,")))
