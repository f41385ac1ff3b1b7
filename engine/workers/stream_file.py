"""The file of one camera's video while people may watch: a full disk costs pictures of the file and nothing else.

Knows packets, their places in the file and when to try again; does not know who encodes.
"""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Any

from engine.clock import Clock
from engine.config import OutputConfig
from engine.errors import OutputDiskFull, OutputError
from engine.outputs.encode import EncodedPicture, PictureFormat
from engine.outputs.recording import Recording, RecordingSettings
from engine.outputs.video import Timeline
from engine.types import FrameMeta
from engine.workers.stream_rendition import PictureTimes

_LOG = logging.getLogger(__name__)

RETRY_INTERVAL_S = 2.0


def recording_settings(config: OutputConfig) -> RecordingSettings:
    """What the configuration says of files."""
    return RecordingSettings(config.segment_s, config.keep_h, config.keep_gib)


class RecordedFile:
    """The recording, and what it has to say."""

    def __init__(
        self, path: Path, settings: RecordingSettings, resume: bool, clock: Clock, told: dict[str, Any]
    ) -> None:
        """Prepare it; `told` is what a predecessor has reported. Raises `OutputError`."""
        self.recording = Recording(path, settings, resume, clock)
        self.state = "recording"
        """`recording`, `disk full` or `failed`."""
        self.trouble = ""
        self.dropped: Counter[str] = Counter(told.get("dropped", {}))
        """Pictures that are not in the file, by reason."""
        self._frames_before: int = told.get("frames", 0)
        self._deleted_before: int = told.get("deleted", 0)
        self._lost_told = 0
        self._timeline = Timeline()
        self._clock = clock
        self._retry_at_ns = 0
        self._whole_before = 0

    @property
    def ready(self) -> bool:
        """False shortly after a failure: nothing is to be encoded for the file then."""
        return self._clock.now_ns() >= self._retry_at_ns

    def place(self, picture_format: PictureFormat, meta: FrameMeta) -> tuple[int, bool]:
        """When the next picture is shown in the file, and whether it must be a key frame."""
        shown_ns = self._timeline.advance(meta)
        return shown_ns, self.recording.plan(picture_format, shown_ns)

    def miss(self, reason: str = "output_failed") -> None:
        """A picture has come that the file does not get."""
        self.dropped[reason] += 1

    def write(self, packets: list[tuple[EncodedPicture, PictureTimes]]) -> None:
        """Write those packets that have a place in the file; what cannot be written is counted and said."""
        for packet, times in packets:
            if times.shown_ns < 0:
                continue
            try:
                self.recording.write(packet, times.shown_ns, times.wall_ns)
            except OutputError as error:
                self._failed(error)
        if self.trouble and self.recording.fragments > self._whole_before:
            _LOG.info("%s: recorded again", self.recording.path)
            self.state, self.trouble = "recording", ""

    def close(self) -> None:
        """Finish the file, as far as that is possible."""
        try:
            self.recording.close()
        except OutputError as error:
            self._failed(error)

    def to_status(self) -> dict[str, Any]:
        """State and counters, from which a successor goes on."""
        recording = self.recording
        self.dropped["output_failed"] += recording.lost - self._lost_told
        self._lost_told = recording.lost
        return {
            "state": self.state,
            "trouble": self.trouble,
            "file": "" if recording.path is None else recording.path.name,
            "frames": self._frames_before + recording.frames,
            "deleted": self._deleted_before + recording.deleted,
            "dropped": {reason: n for reason, n in self.dropped.items() if n},
        }

    def _failed(self, error: OutputError) -> None:
        if not self.trouble:
            _LOG.error("%s", error)
        self.state = "disk full" if isinstance(error, OutputDiskFull) else "failed"
        self.trouble = str(error)
        self._whole_before = self.recording.fragments
        self._retry_at_ns = self._clock.now_ns() + round(RETRY_INTERVAL_S * 1e9)
