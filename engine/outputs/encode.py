"""Pictures into H.264: one encoder, whose packets everybody shares. The only file that imports PyAV for encoding.

Packets are access units in Annex B form; every key frame begins with its SPS and PPS, so that decoding can begin there
without anything else (RFC 6184 section 8.4). Knows encoders; does not know what is drawn on the pictures, when they
were taken or where packets go.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import av
import av.error
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from engine.errors import OutputError
from engine.registry import nearest
from engine.types import U8, ColourMatrix, FrameNv12

TIME_BASE = Fraction(1, 90_000)
"""Unit of an encoder's timestamps."""
AUTO = "auto"
"""The name that leaves the choice of an encoder to the machine."""

# AVCOL_SPC_*, AVCOL_PRI_*, AVCOL_RANGE_* of FFmpeg's libavutil/pixfmt.h.
_COLORSPACE = {ColourMatrix.BT601: 6, ColourMatrix.BT709: 1}
_BT709_PRIMARIES, _BT709_TRANSFER = 1, 1
_LIMITED_RANGE, _FULL_RANGE = 1, 2
_PROBE_SIZE = (640, 360)
_USUAL_RATE = Fraction(25)
_HD_PIXELS, _HD_KBPS = 1280 * 720, 4000
_BURST_S = 1 / 3
"""How much of the largest bit rate may come at once: what bounds a key frame and a scene cut."""
_NVENC_PRESETS = {
    "ultrafast": "p1", "superfast": "p1", "veryfast": "p2", "faster": "p3", "fast": "p4", "medium": "p4",
    "slow": "p5", "slower": "p6", "veryslow": "p7",
}  # fmt: skip
_X264_PRESETS = {
    "p1": "superfast", "p2": "veryfast", "p3": "faster", "p4": "medium", "p5": "slow", "p6": "slower", "p7": "veryslow",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """How to encode.

    name        FFmpeg's name of an H.264 encoder: libx264, h264_nvenc, h264_videotoolbox, …
    preset      speed against size in x264's words or in nvenc's, translated for the other; others have none
    crf         quality, lower is better and bigger: x264's rate factor, nvenc's cq; others have none
    keyframe_s  seconds from key frame to key frame: what a killed run loses at most
    threads     threads of a software encoder; 1, because the cores belong to inference
    live        somebody watches: a packet for each picture at once, constrained baseline (which every browser and
                WebRTC stack takes), one slice, and a cap on the bit rate; else the encoder looks ahead
    max_kbps    that cap; 0: by the size of the picture, 4000 at 1280×720
    """

    name: str = "libx264"
    preset: str = "veryfast"
    crf: int = 23
    keyframe_s: float = 1.0
    threads: int = 1
    live: bool = False
    max_kbps: int = 0


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


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """One packet of the encoder.

    data      the access unit, Annex B
    time_ns   the time that its picture was given
    keyframe  decoding can begin here; then SPS and PPS come first
    """

    data: bytes
    time_ns: int
    keyframe: bool


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
    _opened(PictureFormat(*_PROBE_SIZE, ColourMatrix.BT601, False), settings, _USUAL_RATE)


@lru_cache
def choose_encoder(settings: EncoderSettings) -> tuple[EncoderSettings, str]:
    """The settings with an encoder that opens on this machine for `auto`, and why this one; else as they are.

    Encoders in hardware come first: they leave the cores to inference. Each is really opened. Raises `OutputError`
    where none opens, or the one that is named does not.
    """
    if settings.name != AUTO:
        check_encoder(settings)
        return settings, "configured"
    hardware = ("h264_videotoolbox",) if sys.platform == "darwin" else ("h264_nvenc",)
    refusals = []
    for name in (*hardware, "libx264", "libopenh264"):
        chosen = replace(settings, name=name)
        try:
            check_encoder(chosen)
        except OutputError:
            refusals.append(f"{name} does not open here")
            continue
        what = "encodes in hardware" if name in hardware else "encodes on the CPU"
        return chosen, "; ".join((*refusals, f"{name} {what}"))
    raise OutputError(
        f"no H.264 encoder starts here with preset {settings.preset!r} ({', '.join(refusals)}); "
        "check the preset, or install FFmpeg with libx264"
    )


def picture_of(frame: FrameNv12) -> EncoderPicture:
    """Copy a frame into memory that an encoder takes: its one copy, padded to even sizes with its edge."""
    picture_format = PictureFormat.of(frame)
    width, height = picture_format.padded_width, picture_format.padded_height
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


class Encoder:
    """One encoder for pictures of one format (`picture_of` a frame): `encode` each; `flush` in the end."""

    picture_of = staticmethod(picture_of)

    def __init__(
        self, picture_format: PictureFormat, settings: EncoderSettings, fps_hint: float = 0.0
    ) -> None:
        """Open it. Raises `OutputError` if it does not start on this machine."""
        self.format = picture_format
        self.settings = settings
        self.pictures = 0
        self._context = _opened(picture_format, settings, _rate(fps_hint))
        self._pixel_format = _pixel_format(settings.name)
        self._keyframe_ticks = round(settings.keyframe_s / TIME_BASE)
        self._last_keyframe_ticks = 0
        self._last_ticks = -1
        self._times_ns: dict[int, int] = {}

    def encode(self, picture: EncoderPicture, time_ns: int, keyframe: bool = False) -> list[EncodedPicture]:
        """Encode a picture that is shown at `time_ns`; times must not go back. What is ready now, in order.

        keyframe  begin anew with this picture, whatever the time

        Raises `OutputError` if the encoder fails; it is of no use any more then.
        """
        ticks = max(self._last_ticks + 1, time_ns * TIME_BASE.denominator // 1_000_000_000)
        due = ticks - self._last_keyframe_ticks >= self._keyframe_ticks
        keyframe = keyframe or due or self.pictures == 0
        if keyframe:
            self._last_keyframe_ticks = ticks
        self._last_ticks = ticks
        self._times_ns[ticks] = time_ns
        frame = picture.frame
        frame.pts, frame.time_base = ticks, TIME_BASE
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        frame.colorspace = _COLORSPACE[self.format.matrix]
        frame.color_range = _FULL_RANGE if self.format.full_range else _LIMITED_RANGE
        if self._pixel_format != "nv12":
            frame = frame.reformat(format=self._pixel_format)
            frame.pts, frame.time_base = ticks, TIME_BASE
            frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        self.pictures += 1
        return self._encoded(frame)

    def flush(self) -> list[EncodedPicture]:
        """What the encoder still holds. It takes no picture any more."""
        return self._encoded(None)

    def _encoded(self, frame: av.VideoFrame | None) -> list[EncodedPicture]:
        try:
            packets = self._context.encode(frame)
        except av.error.FFmpegError as error:
            raise OutputError(
                f"encoder {self.settings.name} failed after {self.pictures} pictures: {error.strerror}"
            ) from error
        return [
            EncodedPicture(bytes(packet), self._time_of(packet.pts), packet.is_keyframe) for packet in packets
        ]

    def _time_of(self, ticks: int | None) -> int:
        """The time that a picture was given; pictures before it that the encoder has left out are forgotten."""
        if ticks is None or ticks not in self._times_ns:
            raise OutputError(
                f"encoder {self.settings.name} gave a packet for a time that it was given no picture of"
            )
        while next(iter(self._times_ns)) != ticks:
            del self._times_ns[next(iter(self._times_ns))]
        return self._times_ns.pop(ticks)


def _opened(picture_format: PictureFormat, settings: EncoderSettings, rate: Fraction) -> VideoCodecContext:
    context = av.CodecContext.create(settings.name, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height = picture_format.padded_width, picture_format.padded_height
    context.pix_fmt = _pixel_format(settings.name)
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
    context.options = _options(settings, picture_format)
    try:
        context.open()
    except av.error.FFmpegError as error:
        raise OutputError(
            f"encoder {settings.name} does not start here with preset {settings.preset!r} ({error.strerror}); "
            "check preset and driver, or choose libx264 and veryfast"
        ) from error
    return context


def most_kbps(settings: EncoderSettings, picture_format: PictureFormat) -> int:
    """The cap on the bit rate of live video. Larger pictures need less for each of their pixels."""
    pixels = picture_format.padded_width * picture_format.padded_height
    return settings.max_kbps or max(500, round(_HD_KBPS * (pixels / _HD_PIXELS) ** 0.75))


def _options(settings: EncoderSettings, picture_format: PictureFormat) -> dict[str, str]:
    """FFmpeg's options of each encoder (ffmpeg-codecs(1))."""
    kbps = most_kbps(settings, picture_format)
    cap = {"maxrate": f"{kbps}k", "bufsize": f"{round(kbps * _BURST_S)}k"} if settings.live else {}
    if settings.name == "libx264":
        preset = _X264_PRESETS.get(settings.preset, settings.preset)
        quality = {"preset": preset, "crf": str(settings.crf), "forced-idr": "1"}
        if settings.live:
            # Sliced threads, which zerolatency switches on, break readers that take a slice for a picture.
            plain = {
                "tune": "zerolatency",
                "profile": "baseline",
                "x264-params": "sliced-threads=0:scenecut=0",
            }
            return {**quality, **plain, **cap}
        return {**quality, "rc-lookahead": "8"}
    if settings.name == "h264_nvenc":
        preset = _NVENC_PRESETS.get(settings.preset, settings.preset)
        options = {"preset": preset, "rc": "vbr", "cq": str(settings.crf), "forced-idr": "1", "delay": "0"}
        plain = {"tune": "ull", "zerolatency": "1", "profile": "baseline", "no-scenecut": "1"}
        return {**options, **plain, **cap} if settings.live else options
    # These know no quality, only a bit rate.
    rate = {"b": f"{kbps}k"}
    if settings.name == "h264_videotoolbox":
        plain = {"realtime": "1", "profile": "constrained_baseline", "prio_speed": "1"}
        return {**rate, **plain, **cap} if settings.live else rate
    if settings.name == "libopenh264":
        return {**rate, "profile": "constrained_baseline", "allow_skip_frames": "0", **cap}
    return {**rate, **cap}


def _rate(fps_hint: float) -> Fraction:
    return Fraction(fps_hint).limit_denominator(1001) if fps_hint > 0 else _USUAL_RATE


def _pixel_format(name: str) -> str:
    """What an encoder takes: the pictures as they are, or with their chroma in two planes."""
    formats = av.Codec(name, "w").video_formats
    # Drivers that only know their formats when opened list none.
    if formats is None or any(each.name == "nv12" for each in formats):
        return "nv12"
    return "yuv420p" if any(each.name == "yuv420p" for each in formats) else ""


def _encodes_h264(name: str) -> bool:
    try:
        codec = av.Codec(name, "w")
    except ValueError:
        return False
    return codec.name == name and codec.canonical_name == "h264" and _pixel_format(name) != ""
