"""Opening a stream with FFmpeg: what it is told, and what its errors mean.

Knows containers, protocols and devices. Does not decode and knows nothing of frames or slots.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from engine.errors import (
    SourceDisconnected,
    SourceError,
    SourceNotFound,
    SourceUnauthorized,
    SourceUnsupported,
)
from engine.secrets import mask_text, mask_url
from engine.sources.av_login import with_login
from engine.sources.base import SourceOptions, file_path, scheme_of

READ_TIMEOUT_FACTOR = 10
"""FFmpeg's own limit on one read, as a multiple of the silence at which a live source counts as gone.

It only bounds how long an abandoned reader thread lives: an HLS read may rightly take a segment's length."""


@dataclass(frozen=True, slots=True)
class Address:
    """What FFmpeg is told to open.

    name     path or URL in FFmpeg's spelling, with credentials: never log it
    label    how messages name it, masked
    network  it may be away for a while; nothing is known of it until it answers
    device   demuxer of a local device, None where there is none
    options  of demuxer and protocol
    """

    name: str
    label: str
    network: bool = False
    device: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        """True where pictures come at their own pace, as far as can be told before it is open."""
        return self.network or self.device is not None


def address_of(options: SourceOptions) -> Address:
    """The address of a file or network URL. Raises `SourceNotFound` or `SourceUnsupported` for a bad file."""
    scheme = scheme_of(options.url)
    if scheme == "file":
        path = file_path(options.url)
        _check_file(path)
        # The explicit protocol: a colon in a file name would otherwise be read as one.
        return Address("file:" + os.path.abspath(path), path)
    url = options.url.replace("hls://", "http://", 1) if scheme == "hls" else options.url
    return Address(url, mask_url(options.url), network=True, options=_network_options(scheme, options))


def _network_options(scheme: str, options: SourceOptions) -> dict[str, str]:
    if scheme in ("rtsp", "rtsps"):
        return {
            "rtsp_transport": options.rtsp_transport,
            # Audio and camera metadata would be sent to us only to be thrown away.
            "allowed_media_types": "video",
            # The one time-out that this demuxer obeys; stimeout and rw_timeout are ignored.
            "timeout": str(round(options.timeout_s * 1e6)),
            # The default look at the stream takes a second and leaves that much backlog. This takes 0.3 s.
            # Not `nobuffer`: it throws the packets looked at away, most often with the only key frame among
            # them, and there is no picture before the next one.
            "analyzeduration": "200000",
            "probesize": "32768",
        }
    if scheme in ("rtmp", "rtmps"):
        return {"analyzeduration": "500000"}
    return {}


def _check_file(path: str) -> None:
    if not os.path.exists(path):
        raise SourceNotFound(f"source {path}: no such file; check the path (working directory {os.getcwd()})")
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        raise SourceUnsupported(f"source {path}: empty file (0 bytes), so there is no video in it")


def _found_in(path: str) -> str:
    """What a file that FFmpeg does not recognise seems to be."""
    with open(path, "rb") as file:
        head = file.read(512)
    if head[4:8] == b"ftyp":
        return "an MP4 without its index (moov): the recording was cut off before it was finished"
    if all(byte >= 32 or byte in b"\t\n\r" for byte in head):
        return "a text file"
    return f"not a known video container (starts with {head[:8].hex(' ')})"


class AvConnection:
    """An open container and the video stream in it that is read."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self.address = address
        self._container = with_login(
            address.name, address.label, timeout_s, lambda: _open(address, timeout_s)
        )
        try:
            self.stream = self._video_stream()
        except SourceError:
            self.close()
            raise

    @property
    def is_hls(self) -> bool:
        return self._container.format.name == "hls"

    @property
    def is_recording(self) -> bool:
        """True for a file, also one that comes over HTTP: it has an end, and waits for its reader."""
        has_end = self.address.name.startswith("http") and bool(self._container.duration)
        return has_end or not self.address.live

    @property
    def fps(self) -> float:
        rate = self.stream.average_rate or self.stream.guessed_rate
        # Some cameras declare the rate of their clock.
        return float(rate) if rate and 0 < rate <= 1000 else 0.0

    @property
    def declared_packets(self) -> int:
        """Pictures that the container says it holds, 0 if it does not say."""
        return self.stream.frames

    @property
    def declared_seconds(self) -> float:
        """Length that Matroska's tags give for this very stream, 0 if they do not."""
        hours, _, rest = self.stream.metadata.get("DURATION", "").partition(":")
        minutes, _, seconds = rest.partition(":")
        try:
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        except ValueError:
            return 0.0

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """The packets of the video stream up to its end. Raises a `SourceError` where reading breaks off."""
        packets = self._container.demux(self.stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                raise_source_error(error, self.address, "reading")
            # The empty packet at the end asks the decoder for what it still holds; that is ours to ask.
            if packet.size:
                yield packet

    def close(self) -> None:
        self._container.close()

    def _video_stream(self) -> VideoStream:
        found = self._container.streams.best("video")
        if isinstance(found, VideoStream) and found.codec_context is not None and not _is_cover(found):
            return found
        kinds = ", ".join(stream.type for stream in self._container.streams) or "none"
        what = "no video stream that can be decoded" if isinstance(found, VideoStream) else "no video stream"
        raise SourceUnsupported(
            f"source {self.address.label}: {what} in it (streams: {kinds}); choose another file or stream"
        )


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _open(address: Address, timeout_s: float) -> InputContainer:
    timeout = (timeout_s, READ_TIMEOUT_FACTOR * timeout_s) if address.network else None
    started_s = time.monotonic()
    try:
        return av.open(address.name, format=address.device, options=dict(address.options), timeout=timeout)
    except av.error.InvalidDataError as error:
        if address.network and time.monotonic() - started_s > 0.9 * timeout_s:
            # What RTSP makes of a time-out that strikes inside a message.
            raise SourceDisconnected(f"source {address.label}: {NO_ANSWER}") from None
        raise_source_error(error, address, "opening")
    except av.error.FFmpegError as error:
        raise_source_error(error, address, "opening")


_UNAUTHORIZED = (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)
_UNSUPPORTED = (av.error.DemuxerNotFoundError, av.error.DecoderNotFoundError, av.error.ProtocolNotFoundError)
_SILENT = (av.error.TimeoutError, av.error.ExitError)
NO_ANSWER = "no answer in time; is the camera on, and the address right?"


def raise_source_error(error: av.error.FFmpegError, address: Address, doing: str) -> NoReturn:
    """Raise the error of our tree that an FFmpeg error means. Its text is not shown: it quotes the URL."""
    kind, what = _network_meaning(error) if address.network else _local_meaning(error, address, doing)
    # `from None`: the cause's own message holds the URL with its password.
    raise kind(f"source {address.label}: {what}") from None


def _network_meaning(error: av.error.FFmpegError) -> tuple[type[SourceError], str]:
    reason = mask_text(error.strerror or type(error).__name__).rstrip(".")
    if isinstance(error, _UNAUTHORIZED):
        return SourceUnauthorized, "the camera refused the user name or password; check the credentials"
    if isinstance(error, av.error.HTTPNotFoundError):
        return SourceNotFound, "no such stream (404); check the path in the URL"
    if isinstance(error, _UNSUPPORTED):
        return SourceUnsupported, f"cannot be read ({reason}); use another stream or codec of the camera"
    if isinstance(error, av.error.ConnectionRefusedError):
        return SourceDisconnected, "connection refused; is the camera on, and the port right?"
    if isinstance(error, _SILENT):
        return SourceDisconnected, NO_ANSWER
    if isinstance(error, av.error.HTTPClientError):
        return (
            SourceDisconnected,
            "the camera refused the request; has this stream video over this transport?",
        )
    if isinstance(error, av.error.InvalidDataError):
        return SourceDisconnected, "the answer is not a video stream, or broke off; check the URL"
    if isinstance(error, av.error.OSError) and error.errno == errno.EIO:
        return SourceDisconnected, "host name not found, or connection lost; check the address"
    return SourceDisconnected, f"cannot be reached ({reason})"


def _local_meaning(
    error: av.error.FFmpegError, address: Address, doing: str
) -> tuple[type[SourceError], str]:
    if isinstance(error, av.error.FileNotFoundError):
        return SourceNotFound, "no such file or device"
    if isinstance(error, av.error.PermissionError):
        return SourceError, "no permission to read it; check the owner and mode"
    if address.device is not None and error.errno == errno.EBUSY:
        return SourceDisconnected, "another program is using this camera"
    path = address.name.removeprefix("file:")
    if doing == "opening" and isinstance(error, av.error.InvalidDataError) and os.path.isfile(path):
        return SourceUnsupported, f"not a video that can be read: {_found_in(path)}"
    return SourceError, f"{doing} failed ({error.strerror or type(error).__name__})"
