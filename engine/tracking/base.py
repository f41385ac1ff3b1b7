"""The contract of a tracker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from engine.errors import ConfigError
from engine.registry import import_siblings, is_reference, load_reference, nearest
from engine.tracking.camera_motion import CameraMotion
from engine.tracking.settings import TrackerSettings
from engine.types import F32, I32, I64, Detections, FrameNv12, Tracks, TrackState

SHOW_SCORE = 0.25
"""The score from which most detectors are shown."""


class Tracker(ABC):
    """Gives detections of one camera their identity. One instance per camera.

    Subclasses register a name: `class ByteTrack(Tracker, name="bytetrack")`. Those of somebody else's need none
    (examples/custom_tracker.py).
    """

    names: ClassVar[dict[str, type[Tracker]]] = {}

    def __init_subclass__(cls, name: str = "") -> None:
        if name:
            Tracker.names[name] = cls

    defaults: ClassVar[TrackerSettings] = TrackerSettings()
    """Settings of a tracker that is told nothing; change single ones with `dataclasses.replace`."""

    def __init__(
        self,
        first_track_id: int = 1,
        show_score: float = SHOW_SCORE,
        settings: TrackerSettings | None = None,
    ) -> None:
        """`first_track_id` lets a restarted process go on numbering where its predecessor stopped.

        Boxes below `show_score` are in the result only where they continue a confirmed track.
        """
        self.settings = settings or self.defaults
        self.next_track_id = first_track_id
        self.show_score = show_score
        self.camera_motion: CameraMotion | None = None
        """What finds the camera's own motion, None where nobody asks; its statistics are for `/health`."""
        self.new_ids: I64 = np.empty(0, np.int64)
        """IDs given in the newest update."""
        self.removed_ids: I64 = np.empty(0, np.int64)
        """IDs given up in the newest update: they will not be in a result again, unless `rename` revives one."""

    @abstractmethod
    def update(self, detections: Detections, time_s: float, frame: FrameNv12 | None = None) -> Tracks:
        """Tracks after this frame.

        Every detection that is worth showing is in the result: with its ID, or with ID 0 while it is not
        confirmed. `time_s` is the frame's time in seconds and may jump. `frame` is there for trackers that
        follow the camera. Masks are those of the detection, and boxes as `TrackerSettings.boxes` says. Behind the
        detections' rows follow tracks that coast: not seen in this frame, for at most `TrackerSettings.coast_s`.
        """

    def states_of(self, track_ids: I64) -> I32:
        """int32 (n,) `TrackState` of tracks after the newest update: CONFIRMED, COASTING or LOST while they live,
        REMOVED afterwards, UNTRACKED for ID 0 and for IDs never given."""
        return np.where(track_ids > 0, TrackState.CONFIRMED, TrackState.UNTRACKED).astype(np.int32)

    def looks(self, track_ids: I64) -> tuple[F32, I32]:
        """What tracks look like: float32 (n, d) unit vectors, smoothed over their sightings, zeros where nothing is
        known; and int32 (n,) how many embeddings went into each. For living tracks and those just removed."""
        return np.zeros((len(track_ids), 0), np.float32), np.zeros(len(track_ids), np.int32)

    def rename(self, track_id: int, known_id: int) -> None:
        """A living track is somebody who was here before: its ID is `known_id` from the next result on.

        Raises `KeyError` for a track that does not live, `ValueError` where `known_id` lives already.
        """
        raise KeyError(track_id)


def create_tracker(
    name: str,
    first_track_id: int = 1,
    show_score: float = SHOW_SCORE,
    settings: TrackerSettings | None = None,
) -> Tracker:
    """A new tracker, with that tracker's own defaults where no settings are given.

    name  as it is registered; or where somebody else's class is: `package.module:Name`, `path/to/file.py:Name`

    Raises `ConfigError` for an unknown name, and for what is no tracker.
    """
    if is_reference(name):
        return _of_somebody_else(name)(first_track_id, show_score, settings)
    import_siblings("engine.tracking")
    try:
        return Tracker.names[name](first_track_id, show_score, settings)
    except KeyError:
        raise ConfigError(
            f"tracker {name!r} is not known{nearest(name, Tracker.names)}; use one of: "
            f"{', '.join(sorted(Tracker.names))}"
        ) from None


def _of_somebody_else(reference: str) -> type[Tracker]:
    found = load_reference(reference)
    if not (isinstance(found, type) and issubclass(found, Tracker)):
        raise ConfigError(f"tracker {reference!r}: is no class derived from engine.tracking.base.Tracker")
    return found
