"""Everything that shows live video over HTTP, on one hub: WebRTC, HLS, Motion JPEG, snapshots."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from engine.control.commands import CommandFailed
from engine.control.hls import HlsStreams, hls_operations
from engine.control.mjpeg import mjpeg_operations
from engine.control.operations import Operation
from engine.control.snapshot import snapshot_operations
from engine.control.video import VideoHub
from engine.control.whep import WhepLimits, WhepSessions, whep_operations


class LiveVideo:
    """The operations over a hub, and what they tell of themselves.

    cameras  names those of the run that have live video
    """

    def __init__(
        self, hub: VideoHub, cameras: Callable[[], list[str]], limits: WhepLimits | None = None
    ) -> None:
        self.hub = hub
        self.whep = WhepSessions(hub, limits)
        self.hls = HlsStreams(hub)
        self._cameras = cameras

    def operations(self) -> list[Operation]:
        """What can be asked for."""
        return [
            *whep_operations(self.whep, self._check),
            *hls_operations(self.hls, self._check),
            *mjpeg_operations(self.hub, self._check),
            *snapshot_operations(self.hub, self._check),
        ]

    def statistics(self) -> dict[str, Any]:
        """For the status: viewers and skipped packets of the hub, sessions over WebRTC, streams over HLS."""
        return {**self.hub.statistics(), "webrtc": self.whep.statistics(), "hls": self.hls.statistics()}

    def end(self) -> bool:
        """End all that is shown, before the server stops; False while connections are still being closed."""
        self.hub.close()
        return self.whep.closed

    def _check(self, camera: str) -> None:
        known = self._cameras()
        if camera not in known:
            raise CommandFailed(
                HTTPStatus.NOT_FOUND,
                f"no live video of camera {camera!r}; there is of: {', '.join(known) or 'none'}",
            )
