"""The processed video of one camera, drawn, encoded and recorded, for runs in which nobody watches live.

Knows what time a picture is shown at. Does not know how pictures are drawn (overlay.py) or encoded (encode.py), nor
what files are called (recording.py).
"""

from __future__ import annotations

import logging
from pathlib import Path

from engine.config.overlay import DEFAULT_OVERLAY_STYLE
from engine.errors import OutputError
from engine.outputs.base import FrameResult, Output
from engine.outputs.encode import (
    EncodedPicture,
    Encoder,
    EncoderSettings,
    PictureFormat,
    choose_encoder,
    picture_of,
)
from engine.outputs.overlay import OverlayMemory, draw_result, style_for
from engine.outputs.recording import Recording, RecordingSettings
from engine.types import FrameFlag, FrameMeta, FrameNv12

_LOG = logging.getLogger(__name__)

_LONGEST_STEP_NS = 60_000_000_000
"""A larger step of the source's own time counts only where the clock on the wall agrees."""
_SHORTEST_STEP_NS = 1_000_000


class Timeline:
    """When each frame is shown, in ns after the first: real time, so that skipped frames leave their gap.

    Steps are the source's own (`pts_ns`). Where those are missing or do not go on (reconnect, loop,
    restart), the step is the time between the captures.
    """

    def __init__(self) -> None:
        self._shown_ns = 0
        self._last: FrameMeta | None = None

    def advance(self, meta: FrameMeta) -> int:
        """The time of the next frame; strictly later than the one before."""
        last, self._last = self._last, meta
        if last is not None:
            self._shown_ns += max(self._step_ns(last, meta), _SHORTEST_STEP_NS)
        return self._shown_ns

    @staticmethod
    def _step_ns(last: FrameMeta, meta: FrameMeta) -> int:
        captured_ns = meta.captured_ns - last.captured_ns
        if meta.flags & FrameFlag.DISCONTINUITY or meta.pts_ns < 0 or last.pts_ns < 0:
            return captured_ns
        step_ns = meta.pts_ns - last.pts_ns
        if step_ns <= 0 or step_ns > max(_LONGEST_STEP_NS, 2 * captured_ns):
            return captured_ns
        return step_ns


class VideoOutput(Output):
    """Draws each result on its frame, encodes it with looking ahead, and records it. Every frame counts."""

    needs_frame = True

    frames_written: int = 0
    """Pictures handed to the encoder, over all parts."""
    frames_missing: int = 0
    """Results whose frame was gone already, so that there was nothing to draw on."""

    def __init__(
        self,
        path: str | Path,
        settings: EncoderSettings | None = None,
        fps_hint: float = 0.0,
        resume: bool = False,
        recording: RecordingSettings | None = None,
        style: str = DEFAULT_OVERLAY_STYLE,
    ) -> None:
        """Check encoder and folder; the first file is created with the first frame. Raises `OutputError`."""
        self.settings, self.reason = choose_encoder(settings or EncoderSettings())
        self.recording = Recording(Path(path), recording, resume)
        self._fps_hint = fps_hint
        self._style = style
        self._encoder: Encoder | None = None
        self._timeline = Timeline()
        self._memory = OverlayMemory(known=not resume)
        self._taken_ns: dict[int, int] = {}

    def write(self, result: FrameResult, frame: FrameNv12 | None = None) -> None:
        """Draw and encode one frame. Raises `OutputError`; the file then plays up to its last whole fragment.

        A later call begins the next file.
        """
        assert frame is not None
        encoder = self._encoder_for(PictureFormat.of(frame))
        picture = picture_of(frame)
        style = style_for(frame.meta.height, frame.meta.matrix, frame.meta.full_range, self._style)
        draw_result(picture.y, picture.uv, result, style, self._memory)
        shown_ns = self._timeline.advance(frame.meta)
        self._taken_ns[shown_ns] = frame.meta.wall_ns
        keyframe = self.recording.plan(encoder.format, shown_ns)
        try:
            self._record(encoder.encode(picture, shown_ns, keyframe))
        except OutputError:
            self._encoder = None
            raise
        self.frames_written += 1
        self.recording.tidy()

    def miss(self, result: FrameResult) -> None:
        """There is nothing to draw on; what the result says still counts for later frames."""
        self._memory.take(result)
        self.frames_missing += 1

    def close(self) -> None:
        """Finish the current file. May be called twice. Raises `OutputError` if its end cannot be written."""
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            self._record(encoder.flush())
        self.recording.close()

    def _encoder_for(self, picture_format: PictureFormat) -> Encoder:
        if self._encoder is not None and picture_format == self._encoder.format:
            return self._encoder
        self.close()
        self._taken_ns.clear()
        self._encoder = Encoder(picture_format, self.settings, self._fps_hint)
        _LOG.info("%s: %s", self.settings.name, self.reason)
        return self._encoder

    def _record(self, pictures: list[EncodedPicture]) -> None:
        for picture in pictures:
            self.recording.write(picture, picture.time_ns, self._taken_ns.pop(picture.time_ns))
