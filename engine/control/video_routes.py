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
from engine.control.whep import WhepSessions, whep_operations


class LiveVideo:
    """The operations over a hub, and what they tell of themselves.

    cameras  names those of the run that have live video
    """

    def __init__(self, hub: VideoHub, cameras: Callable[[], list[str]]) -> None:
        self._hub = hub
        self._cameras = cameras
        self._whep = WhepSessions(hub)
        self._hls = HlsStreams(hub)

    def operations(self) -> list[Operation]:
        """What can be asked for."""
        return [
            *whep_operations(self._whep, self._check),
            *hls_operations(self._hls, self._check),
            *mjpeg_operations(self._hub, self._check),
            *snapshot_operations(self._hub, self._check),
        ]

    def statistics(self) -> dict[str, Any]:
        """For the status: viewers and skipped packets of the hub, sessions over WebRTC, streams over HLS."""
        return {**self._hub.statistics(), "webrtc": self._whep.statistics(), "hls": self._hls.statistics()}

    def _check(self, camera: str) -> None:
        known = self._cameras()
        if camera not in known:
            raise CommandFailed(
                HTTPStatus.NOT_FOUND,
                f"no live video of camera {camera!r}; there is of: {', '.join(known) or 'none'}",
            )
