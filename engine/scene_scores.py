"""The score of a run whose sources are rendered scenes with truth, at its end."""

from __future__ import annotations

from pathlib import Path

from engine.config import RunConfig
from engine.errors import ConfigError, EngineError

SCHEME = "scene://"


def score_lines(config: RunConfig) -> list[str]:
    """What to print; nothing where no camera of the run has a truth. Reads what the run has written."""
    from engine.evaluation.scene_files import files_of, score_camera
    from engine.evaluation.scene_report import as_lines

    results, scores, troubles = Path(config.output.directory), {}, []
    for camera in config.cameras:
        try:
            place = _truth_of(camera.resolved_source())
        except EngineError:
            continue
        if place is None:
            continue
        path = results / f"{camera.name}.jsonl"
        try:
            if not config.output.jsonl or not path.is_file():
                raise ConfigError(f"{camera.name}: no score without {path} (output.jsonl)")
            scores[camera.name] = score_camera(files_of(place[1], place[0], path))
        except ConfigError as error:
            troubles.append(str(error))
    return [*(as_lines(scores) if scores else []), *troubles]


def _truth_of(source: str) -> tuple[Path, str] | None:
    """Folder and name of the truth that a source writes; None where it writes none."""
    from engine.sources.scene_settings import settings_of

    if not source.lower().startswith(SCHEME):
        return None
    settings = settings_of(source)
    return (Path(settings.truth).expanduser(), settings.name) if settings.truth else None
