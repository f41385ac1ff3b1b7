"""The processed video of one camera, as mp4 files.

Knows when a file ends and the next part begins, and what time a picture is shown at. Does not know how
pictures are drawn (overlay.py) or encoded (encode.py).
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from engine.errors import OutputError
from engine.outputs.base import FrameResult, Output
from engine.outputs.encode import EncoderSettings, Mp4Encoder, PictureFormat, check_encoder
from engine.outputs.mp4 import cut_torn_end
from engine.outputs.overlay import draw_result, style_for
from engine.outputs.overlay_regions import Tally, draw_regions
from engine.types import FrameFlag, FrameMeta, FrameNv12

_LOG = logging.getLogger(__name__)

_LONGEST_STEP_NS = 60_000_000_000
"""A larger step of the source's own time counts only where the clock on the wall agrees."""
_SHORTEST_STEP_NS = 1_000_000


def part_path(path: Path, number: int) -> Path:
    """`cam0.mp4`, `cam0.part2.mp4`, `cam0.part3.mp4`, …"""
    return path if number == 1 else path.with_name(f"{path.stem}.part{number}{path.suffix}")


def existing_parts(path: Path) -> dict[int, Path]:
    """The parts that are there, by number."""
    pattern = re.compile(re.escape(path.stem) + r"\.part(\d+)" + re.escape(path.suffix))
    parts = {1: path} if path.exists() else {}
    for sibling in path.parent.iterdir():
        if match := pattern.fullmatch(sibling.name):
            parts[int(match[1])] = sibling
    return parts


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
    """Draws each result on its frame and encodes it.

    A new run replaces the files of the run before it. `resume` goes on with the next part, after a killed
    predecessor of the same run (and cuts off the fragment it was writing); a source that changes its size
    begins the next part, too. Parts of one run are never written over.
    """

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
    ) -> None:
        """Check encoder and folder; the first file is created with the first frame. Raises `OutputError`."""
        self._path = Path(path)
        self._settings = settings or EncoderSettings()
        self._fps_hint = fps_hint
        check_encoder(self._settings)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            parts = existing_parts(self._path)
            if resume and parts and not cut_torn_end(parts[max(parts)]):
                del parts[max(parts)]
            if not resume:
                for part in parts.values():
                    part.unlink()
                parts = {}
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be prepared for writing: {error.strerror}") from error
        self._next_part = max(parts, default=0) + 1
        self._encoder: Mp4Encoder | None = None
        self._format: PictureFormat | None = None
        self._timeline = Timeline()
        self._tally = Tally(known=not resume)

    def write(self, result: FrameResult, frame: FrameNv12 | None = None) -> None:
        """Draw and encode one frame. Raises `OutputError`; the part then plays up to its last whole fragment.

        A later call begins the next part.
        """
        self._tally.add(result.events)
        if frame is None:
            self.frames_missing += 1
            return
        encoder = self._encoder_for(frame)
        picture = encoder.picture_of(frame)
        style = style_for(frame.meta.height, frame.meta.matrix, frame.meta.full_range)
        draw_regions(picture.y, picture.uv, result, style, self._tally)
        draw_result(picture.y, picture.uv, result, style)
        try:
            encoder.encode(picture, self._timeline.advance(frame.meta))
        except OutputError:
            self._give_up_part()
            raise
        self.frames_written += 1

    def close(self) -> None:
        """Finish the current part. May be called twice. Raises `OutputError` if its end cannot be written."""
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            encoder.close()

    def _encoder_for(self, frame: FrameNv12) -> Mp4Encoder:
        picture_format = PictureFormat.of(frame)
        if self._encoder is not None and picture_format == self._format:
            return self._encoder
        self.close()
        path = part_path(self._path, self._next_part)
        self._encoder = Mp4Encoder(path, picture_format, self._settings, self._fps_hint)
        self._format = picture_format
        self._timeline = Timeline()
        self._next_part += 1
        _LOG.info("%s", _description(path, picture_format, self._settings))
        return self._encoder

    def _give_up_part(self) -> None:
        encoder, self._encoder = self._encoder, None
        assert encoder is not None
        encoder.abandon()
        if not cut_torn_end(encoder.path):
            self._next_part -= 1


def _description(path: Path, picture_format: PictureFormat, settings: EncoderSettings) -> str:
    size = f"{picture_format.width}x{picture_format.height}"
    padded = f"{picture_format.padded_width}x{picture_format.padded_height}"
    padding = "" if size == padded else f", padded to {padded} because H.264 takes even sizes only"
    return f"{path}: {size}{padding}, {settings.name}"
