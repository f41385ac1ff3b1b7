"""The contract of a source, and the registry of URL schemes."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from engine.errors import SourceUnsupported
from engine.registry import import_siblings, nearest
from engine.secrets import mask_url
from engine.types import U8, ColourMatrix, PtzPose, Surface


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How to read a source.

    url            with credentials resolved; never log it, log `mask_url(url)`
    loop           start a file again at its end
    offline        no real-time consumers: throughput counts, latency does not
    rtsp_transport tcp (default) or udp
    timeout_s      longest silence of a live source before it counts as gone; also the connect time-out
    decoder_threads  threads of the software decoder; 1 is best where cores are shared with inference
    backend        what decodes: software, nvdec, or auto (nvdec where it can)
    device         number of the GPU that decodes
    surfaces       `read_into` shall leave the picture in GPU memory as well, where it was decoded into that
    """

    url: str
    loop: bool = False
    offline: bool = False
    rtsp_transport: str = "tcp"
    timeout_s: float = 5.0
    decoder_threads: int = 1
    backend: str = "software"
    device: int = 0
    surfaces: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """Header of the picture that `grab` has ready.

    width, height  pixels; may change from one picture to the next
    captured_ns    monotonic ns when the data of this picture arrived
    wall_ns        ns since the Unix epoch that belong to it
    pts_ns         presentation time in the source's own time, -1 if it has none
    pose           where the camera looked, None where the source does not know
    """

    width: int
    height: int
    captured_ns: int
    wall_ns: int
    pts_ns: int = -1
    matrix: ColourMatrix = ColourMatrix.BT601
    full_range: bool = False
    discontinuity: bool = False
    pose: PtzPose | None = None


class Source(ABC):
    """One stream of pictures: `open`, then `grab` and `read_into` in turn, then `close`.

    Subclasses name the URL schemes they serve: `class AvSource(Source, schemes=("rtsp", "file"))`.
    """

    schemes: ClassVar[dict[str, type[Source]]] = {}

    live: bool = False
    """True where pictures come at their own pace and a lost connection is opened again."""
    fps: float = 0.0
    """Nominal pictures per second, 0 if unknown. Known after `open`."""
    description: str = ""
    """Codec, size, rate, decoder and why it was chosen: one line for the log. Known after `open`."""
    corrupt_packets: int = 0
    """Packets or pictures that were damaged and left out so far."""

    def __init_subclass__(cls, schemes: tuple[str, ...] = ()) -> None:
        for scheme in schemes:
            Source.schemes[scheme] = cls

    def __init__(self, options: SourceOptions) -> None:
        self.options = options

    def start(self) -> None:  # noqa: B027 - most sources have nothing to do ahead of `open`
        """Begin to connect without waiting for it; `open` does this too. May raise what `open` raises."""

    def ready(self, timeout_s: float) -> bool:
        """Wait at most about `timeout_s`; True when `open` or `grab` will come back, or raise, without delay.

        A worker that asks first stays free to do other things while a camera is silent.
        """
        return True

    @abstractmethod
    def open(self) -> None:
        """Connect. Raises a `SourceError` subclass that says what is wrong and whether trying again helps."""

    @abstractmethod
    def grab(self) -> Picture | None:
        """Wait for the next picture and hold it; None at the end of the source.

        Raises `SourceDisconnected` when a live source goes away or stays silent for `timeout_s`.
        """

    @abstractmethod
    def read_into(self, y: U8, uv: U8) -> Surface | None:
        """Write the grabbed picture as NV12 into `y` (height, width) and `uv` (⌈height/2⌉, ⌈width/2⌉, 2).

        Returns the same picture in GPU memory if it was asked for and decoded there. Both are complete then.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of everything; may be called twice, and after a failed `open`."""


def file_path(url: str) -> str:
    """The path that a plain path or a `file://` or `images://` URL names; only URLs are percent-decoded."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    return unquote(parts.netloc + parts.path)


def scheme_of(url: str) -> str:
    """The scheme that decides who serves a URL.

    A plain path is a `file`, a folder `images`; a bare number or a video device is a `webcam`.
    """
    if url.isdecimal() or url.startswith("/dev/video"):
        return "webcam"
    scheme = url.partition("://")[0].lower() if "://" in url else "file"
    return "images" if scheme == "file" and os.path.isdir(file_path(url)) else scheme


def create_source(options: SourceOptions) -> Source:
    """The source that serves this URL, not opened yet. Raises `SourceUnsupported` for an unknown scheme."""
    import_siblings("engine.sources")
    scheme = scheme_of(options.url)
    try:
        return Source.schemes[scheme](options)
    except KeyError:
        known = ", ".join(sorted(Source.schemes))
        raise SourceUnsupported(
            f"source {mask_url(options.url)}: no source serves {scheme!r}{nearest(scheme, Source.schemes)}; "
            f"use a file path or one of: {known}"
        ) from None
