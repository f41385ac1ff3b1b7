"""H.264 into a fragmented mp4 file. The only file that imports PyAV for writing.

A fragment starts with each key frame and goes to the file when the next one begins, so a killed run leaves a
file that plays up to there. Knows encoders and containers; does not know what is drawn on the pictures, when
they were taken or what the files are called.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

from engine.errors import OutputError
from engine.registry import nearest
from engine.types import U8, ColourMatrix, FrameNv12

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from av.container import OutputContainer

TIME_BASE = Fraction(1, 90_000)
"""Unit of the timestamps in the file."""

_MUXER_OPTIONS = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
# AVCOL_SPC_*, AVCOL_PRI_*, AVCOL_RANGE_* of FFmpeg's libavutil/pixfmt.h.
_COLORSPACE = {ColourMatrix.BT601: 6, ColourMatrix.BT709: 1}
_BT709_PRIMARIES, _BT709_TRANSFER = 1, 1
_LIMITED_RANGE, _FULL_RANGE = 1, 2
_PROBE_SIZE = (640, 360)
_NVENC_PRESETS = {
    "ultrafast": "p1", "superfast": "p1", "veryfast": "p2", "faster": "p3", "fast": "p4", "medium": "p4",
    "slow": "p5", "slower": "p6", "veryslow": "p7",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """How to encode.

    name        FFmpeg's name of an H.264 encoder: libx264, h264_nvenc, h264_videotoolbox, …
    preset      speed against size in x264's words, which are translated for nvenc; others have none
    crf         quality, lower is better and bigger: x264's rate factor, nvenc's cq; others have none
    keyframe_s  seconds from key frame to key frame: what a killed run loses at most
    threads     threads of a software encoder; 1, because the cores belong to inference
    """

    name: str = "libx264"
    preset: str = "veryfast"
    crf: int = 23
    keyframe_s: float = 1.0
    threads: int = 1


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """What must stay the same within one file. Pixels of the source, before padding to even."""

    width: int
    height: int
    matrix: ColourMatrix
    full_range: bool

    @classmethod
    def of(cls, frame: FrameNv12) -> PictureFormat:
        """The format of one frame."""
        meta = frame.meta
        return cls(meta.width, meta.height, meta.matrix, meta.full_range)

    @property
    def padded_width(self) -> int:
        """Width of the file's pictures: H.264 with 4:2:0 chroma takes even sizes only."""
        return self.width + self.width % 2

    @property
    def padded_height(self) -> int:
        """Height of the file's pictures."""
        return self.height + self.height % 2


@dataclass(frozen=True, slots=True)
class EncoderPicture:
    """The encoder's own copy of a frame, to be drawn on.

    y   uint8 (height, width), views of the encoder's memory
    uv  uint8 (⌈height/2⌉, ⌈width/2⌉, 2)
    """

    y: U8
    uv: U8
    frame: av.VideoFrame


def available_encoders() -> list[str]:
    """Names of the H.264 encoders in this build of FFmpeg. One that needs hardware may still fail to open."""
    return sorted(name for name in av.codecs_available if _encodes_h264(name))


def check_encoder(settings: EncoderSettings) -> None:
    """Raise `OutputError` unless the encoder exists and opens on this machine."""
    if not _encodes_h264(settings.name):
        names = available_encoders()
        raise OutputError(
            f"encoder {settings.name!r} is not in this build of FFmpeg{nearest(settings.name, names)}; "
            f"available: {', '.join(names)}"
        )
    context = av.CodecContext.create(settings.name, "w")
    assert isinstance(context, VideoCodecContext)
    _configure(context, PictureFormat(*_PROBE_SIZE, ColourMatrix.BT601, False), settings, Fraction(25))
    try:
        context.open()
    except av.error.FFmpegError as error:
        raise _does_not_start(settings, error) from error


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


class Mp4Encoder:
    """One mp4 file being written: `picture_of` each frame, draw on it, `encode` it; `close` in the end."""

    def __init__(
        self, path: Path, picture_format: PictureFormat, settings: EncoderSettings, fps_hint: float = 0.0
    ) -> None:
        """Create the file. Raises `OutputError`: there already, no permission, encoder does not start."""
        self.path = path
        self.frames = 0
        self._format = picture_format
        self._keyframe_ticks = round(settings.keyframe_s / TIME_BASE)
        self._last_keyframe_ticks = 0
        self._last_ticks = -1
        try:
            self._file = _WholeWrites(path, "xb")
        except OSError as error:
            raise OutputError(f"{path}: cannot be created: {error.strerror}") from error
        try:
            with self._failures():
                self._container = av.open(self._file, "w", format="mp4", options=_MUXER_OPTIONS)
                self._stream = self._open_stream(self._container, settings, _rate(fps_hint))
        except OutputError:
            self.abandon()
            path.unlink()
            raise

    def picture_of(self, frame: FrameNv12) -> EncoderPicture:
        """Copy a frame into the encoder's memory: its one copy, and the encoder's input."""
        width, height = self._format.padded_width, self._format.padded_height
        picture = av.VideoFrame(width, height, "nv12")
        planes = [
            np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1) for plane in picture.planes
        ]
        y, uv = planes[0][:, :width], planes[1][:, :width].reshape(height // 2, width // 2, 2)
        source_height, source_width = frame.y.shape
        y[:source_height, :source_width] = frame.y
        y[:source_height, source_width:] = frame.y[:, -1:]
        y[source_height:] = y[source_height - 1]
        uv[:] = frame.uv
        return EncoderPicture(y[:source_height, :source_width], uv, picture)

    def encode(self, picture: EncoderPicture, time_ns: int) -> None:
        """Encode a picture shown at `time_ns` after the start of the file; times must not go back.

        Raises `OutputError` (disk full); the file then plays up to its last whole fragment.
        """
        ticks = max(self._last_ticks + 1, time_ns * TIME_BASE.denominator // 1_000_000_000)
        keyframe = self.frames == 0 or ticks - self._last_keyframe_ticks >= self._keyframe_ticks
        if keyframe:
            self._last_keyframe_ticks = ticks
        self._last_ticks = ticks
        frame = picture.frame
        frame.pts, frame.time_base = ticks, TIME_BASE
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        frame.colorspace = _COLORSPACE[self._format.matrix]
        frame.color_range = _FULL_RANGE if self._format.full_range else _LIMITED_RANGE
        with self._failures():
            self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def close(self) -> None:
        """Write what the encoder still holds and the index. May be called twice. Raises `OutputError`."""
        if self._file.closed:
            return
        try:
            with self._failures():
                self._container.mux(self._stream.encode(None))
                self._container.close()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the file as it is, like a writer that was killed."""
        # PyAV writes no trailer into a file that is closed already.
        self._file.close()

    def _open_stream(
        self, container: OutputContainer, settings: EncoderSettings, rate: Fraction
    ) -> VideoStream:
        stream = container.add_stream(settings.name, rate=rate)
        assert isinstance(stream, VideoStream)
        _configure(stream.codec_context, self._format, settings, rate)
        stream.time_base = TIME_BASE
        try:
            stream.codec_context.open()
        except av.error.FFmpegError as error:
            raise _does_not_start(settings, error) from error
        container.start_encoding()
        return stream

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                reason = "disk full", "; free space there or choose another folder with --out"
            else:
                reason = "cannot be written", f": {error.strerror}"
            raise OutputError(f"{self.path}: {reason[0]} after {self.frames} frames{reason[1]}") from error


def _configure(
    context: VideoCodecContext, picture_format: PictureFormat, settings: EncoderSettings, rate: Fraction
) -> None:
    context.width, context.height = picture_format.padded_width, picture_format.padded_height
    context.pix_fmt = "nv12"
    context.time_base = TIME_BASE
    context.framerate = rate
    # Key frames are asked for by time; this is only a cap for encoders that do not listen.
    context.gop_size = max(1, round(settings.keyframe_s * 4 * rate))
    # Without B frames a packet leaves as soon as the encoder has looked ahead, and times need no edit list.
    context.max_b_frames = 0
    context.thread_count = settings.threads
    context.colorspace = _COLORSPACE[picture_format.matrix]
    context.color_range = _FULL_RANGE if picture_format.full_range else _LIMITED_RANGE
    if picture_format.matrix is ColourMatrix.BT709:
        context.color_primaries, context.color_trc = _BT709_PRIMARIES, _BT709_TRANSFER
    context.options = _options(settings)


def _options(settings: EncoderSettings) -> dict[str, str]:
    if settings.name == "libx264":
        return {
            "preset": settings.preset, "crf": str(settings.crf), "rc-lookahead": "8", "forced-idr": "1",
        }  # fmt: skip
    if settings.name == "h264_nvenc":
        preset = _NVENC_PRESETS.get(settings.preset, settings.preset)
        return {"preset": preset, "rc": "vbr", "cq": str(settings.crf), "forced-idr": "1", "delay": "0"}
    return {}


def _rate(fps_hint: float) -> Fraction:
    return Fraction(fps_hint).limit_denominator(1001) if fps_hint > 0 else Fraction(25)


def _encodes_h264(name: str) -> bool:
    try:
        codec = av.Codec(name, "w")
    except ValueError:
        return False
    if codec.name != name or codec.canonical_name != "h264":
        return False
    # Drivers that only know their formats when opened list none.
    return codec.video_formats is None or any(f.name == "nv12" for f in codec.video_formats)


def _does_not_start(settings: EncoderSettings, error: av.error.FFmpegError) -> OutputError:
    return OutputError(
        f"encoder {settings.name} does not start here with preset {settings.preset!r} ({error.strerror}); "
        "check preset and driver, or choose libx264 and veryfast"
    )
