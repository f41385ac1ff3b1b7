"""Whether the segmenter that cameras want is there, before anything is started for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine import topology
from engine.config import RunConfig

if TYPE_CHECKING:
    from engine.models.segmenter_folder import ResolvedSegmenter


def check_segmenter(config: RunConfig, embedded: Path | None = None) -> ResolvedSegmenter | None:
    """The segmenter, or what stands in for it, where a camera wants masks from the start; None where none does.

    embedded  folder of embedded models, None = the package's

    Raises a `ModelError` where there is none to make them. One that is asked for later is looked for then.
    """
    from engine.models.segmenter_folder import resolve_segmenter, segmenter_stand_in

    modes = {topology.segment_mode(config, camera.name) for camera in config.cameras}
    if not any(topology.needs_segmenter(config, mode) for mode in modes):
        return None
    stand_in = segmenter_stand_in(require_model=config.infer.require_model, embedded=embedded)
    return resolve_segmenter(config.segment.model, stand_in=stand_in)
