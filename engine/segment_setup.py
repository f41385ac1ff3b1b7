"""Whether the segmenter that cameras want is there, before anything is started for it."""

from __future__ import annotations

from engine import topology
from engine.config import RunConfig


def check_segmenter(config: RunConfig) -> None:
    """Raise a `ModelError` where a camera wants masks from the start and there is no segmenter to make them.

    One that is asked for later is looked for then.
    """
    from engine.models import sam2_sidecar
    from engine.models.segmenter_folder import find_segmenter

    modes = {topology.segment_mode(config, camera.name) for camera in config.cameras}
    if any(topology.needs_segmenter(config, mode) for mode in modes):
        sam2_sidecar.load(find_segmenter(config.segment.model))
