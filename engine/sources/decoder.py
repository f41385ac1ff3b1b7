"""The contract of a video decoder: packets in, pictures out. Knows no containers, cameras or slots."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from av.packet import Packet
from av.video.stream import VideoStream

from engine.types import U8, ColourMatrix, Surface


class DamagedPacket(Exception):
    """A packet that could not be decoded; the next key frame repairs the picture."""


class DecoderUnusable(Exception):
    """This decoder cannot go on with this stream, another may. The message is the reason, in one line."""


class DecodedPicture(ABC):
    """A picture that a decoder has ready; valid until the decoder's next call.

    width, height  pixels
    pts            in the stream's time base, None if it has none
    """

    width: int
    height: int
    pts: int | None
    matrix: ColourMatrix
    full_range: bool

    @abstractmethod
    def read_into(self, y: U8, uv: U8) -> Surface | None:
        """Write it as NV12 into `y` (height, width) and `uv` (⌈height/2⌉, ⌈width/2⌉, 2).

        Returns the same picture in GPU memory where the decoder was asked to leave it there. Both are complete then.
        """


class VideoDecoder(ABC):
    """Decodes one connection's video stream.

    description  what decodes, where, and why it was chosen: part of a line for the log
    """

    description: str

    @abstractmethod
    def decode(self, packet: Packet[VideoStream] | None) -> Sequence[DecodedPicture]:
        """The pictures that are complete with this packet, in the order of showing; with None, those held back.

        Raises `DamagedPacket`, or `DecoderUnusable` where it will decode no further packet either.
        """

    def close(self) -> None:  # noqa: B027 - FFmpeg's decoders go with their container
        """Let go of the device. May be called twice."""
