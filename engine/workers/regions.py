"""Which zones and lines the events of a record number, while these change.

Events name regions by their place in the configuration, and records are under way when that changes. So every set of
regions has a revision, a record says whether that is odd (`FrameFlag.REGIONS`), and the set before is kept. Values
without a thread: a change makes another `Regions`.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.config import CameraConfig, RunConfig
from engine.types import FrameFlag


class Regions:
    """The cameras of a run with the regions of now, and with those before.

    revisions  of each camera whose regions have ever changed
    """

    def __init__(
        self,
        config: RunConfig,
        revisions: Mapping[str, int],
        before: Mapping[tuple[str, int], CameraConfig] | None = None,
    ) -> None:
        self._revisions = dict(revisions)
        self._now = {camera.name: camera for camera in config.cameras}
        kept = {key: camera for key, camera in (before or {}).items() if key[0] in self._now}
        now = {(name, self.revision_of(name) % 2): camera for name, camera in self._now.items()}
        self._by_parity = kept | now

    def revision_of(self, camera: str) -> int:
        """How often its regions have changed."""
        return self._revisions.get(camera, 0)

    def of_record(self, camera: str, flags: FrameFlag) -> CameraConfig | None:
        """The camera as a record with these flags means it; as it is now where nothing else is known."""
        return self._by_parity.get((camera, int(bool(flags & FrameFlag.REGIONS)))) or self._now.get(camera)

    def followed_by(self, config: RunConfig, revisions: Mapping[str, int]) -> Regions:
        """The same after a change."""
        return Regions(config, revisions, self._by_parity)
