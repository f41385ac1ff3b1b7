"""Encoded pictures into a fragmented mp4 file. Nothing is encoded here: the packets are those that viewers get.

A fragment starts with each key frame and goes to the file when the next one begins, so a killed run leaves a
file that plays up to there. Knows the container; does not know what files are called or when one ends.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error

from engine.errors import OutputDiskFull, OutputError
from engine.outputs.encode import TIME_BASE, EncodedPicture

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from av.video.stream import VideoStream

_MUXER_OPTIONS = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _WholeWrites(io.FileIO):
    """A file without a buffer of its own, whose writes are complete or fail.

    FFmpeg's own file access would leave the descriptor open where the header cannot be written.
    """

    def write(self, data: ReadableBuffer, /) -> int:
        rest = memoryview(data)
        while rest:
            written = super().write(rest)
            rest = rest[written:]
        return len(memoryview(data))


class Mp4Writer:
    """One mp4 file being written: `write` each packet; `close` in the end."""

    def __init__(self, path: Path, first: EncodedPicture) -> None:
        """Create the file; `first` is the key frame that is going to be written first.

        Raises `OutputError`: there already, no permission.
        """
        self.path = path
        self.frames = 0
        self.bytes = 0
        self._last_ticks = -1
        try:
            self._file = _WholeWrites(path, "xb")
        except OSError as error:
            raise _failure(path, 0, error, "cannot be created") from error
        try:
            with self._failures():
                self._container = av.open(self._file, "w", format="mp4", options=_MUXER_OPTIONS)
                self._stream = self._described_by(first)
                self._container.start_encoding()
        except OutputError:
            self.abandon()
            path.unlink()
            raise

    def write(self, picture: EncodedPicture, time_ns: int) -> None:
        """Add a picture that is shown at `time_ns` after the start of the file; times must not go back.

        Raises `OutputError` (disk full); the file then plays up to its last whole fragment.
        """
        ticks = max(self._last_ticks + 1, time_ns * TIME_BASE.denominator // 1_000_000_000)
        self._last_ticks = ticks
        packet = av.Packet(picture.data)
        packet.pts = packet.dts = ticks
        packet.time_base = TIME_BASE
        packet.is_keyframe = picture.keyframe
        packet.stream = self._stream
        with self._failures():
            self._container.mux_one(packet)
        self.frames += 1
        self.bytes += len(picture.data)

    def close(self) -> None:
        """Write the last fragment and the index. May be called twice. Raises `OutputError`."""
        if self._file.closed:
            return
        try:
            with self._failures():
                self._container.close()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the file as it is, like a writer that was killed."""
        # PyAV writes no trailer into a file that is closed already.
        self._file.close()

    def _described_by(self, first: EncodedPicture) -> VideoStream:
        """The file's stream, with size, colours and parameter sets read from a key frame."""
        with av.open(io.BytesIO(first.data), format="h264") as described:
            stream = self._container.add_stream_from_template(described.streams.video[0])
        stream.time_base = TIME_BASE
        return stream

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            raise _failure(self.path, self.frames, error, "cannot be written") from error


def _failure(path: Path, frames: int, error: av.error.FFmpegError | OSError, what: str) -> OutputError:
    if error.errno in _FULL:
        return OutputDiskFull(
            f"{path}: disk full after {frames} frames; free space there or choose another folder with --out"
        )
    after = f" after {frames} frames" if what == "cannot be written" else ""
    return OutputError(f"{path}: {what}{after}: {error.strerror}")
