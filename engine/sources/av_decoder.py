"""Decoding in software, by FFmpeg through PyAV."""

from __future__ import annotations

from collections.abc import Sequence

import av.error
from av.codec.context import ThreadType
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from engine.sources.decoder import DamagedPacket, DecodedPicture, VideoDecoder
from engine.sources.nv12 import copy_nv12, copy_yuv420p
from engine.types import U8, ColourMatrix

AVCOL_SPC_BT709 = 1
AVCOL_RANGE_JPEG = 2


class SoftwareDecoder(VideoDecoder):
    """FFmpeg's own decoder of the stream's codec."""

    def __init__(self, stream: VideoStream, threads: int, *, by_frame: bool) -> None:
        """`by_frame` has threads decode several frames at once: more throughput, one frame of delay for each."""
        self._context: VideoCodecContext = stream.codec_context
        self._reformatter = VideoReformatter()
        # Always said explicitly: FFmpeg's default of frame threads delays live pictures.
        self._context.thread_count = max(1, threads)
        by_frame = by_frame and self._context.thread_count > 1
        self._context.thread_type = ThreadType.FRAME if by_frame else ThreadType.SLICE
        count, kind = self._context.thread_count, "frame" if by_frame else "slice"
        self.description = "decoded in software, " + ("1 thread" if count == 1 else f"{count} {kind} threads")

    def decode(self, packet: Packet[VideoStream] | None) -> Sequence[DecodedPicture]:
        try:
            return [AvPicture(frame, self._reformatter) for frame in self._context.decode(packet)]
        except av.error.FFmpegError as error:
            raise DamagedPacket(error.strerror or type(error).__name__) from None


class AvPicture(DecodedPicture):
    """A frame in FFmpeg's memory."""

    def __init__(self, frame: VideoFrame, reformatter: VideoReformatter) -> None:
        self._frame, self._reformatter = frame, reformatter
        self.width, self.height, self.pts = frame.width, frame.height, frame.pts
        self.matrix = matrix_of(frame.colorspace)
        self.full_range = frame.format.name.startswith("yuvj") or frame.color_range == AVCOL_RANGE_JPEG

    def read_into(self, y: U8, uv: U8) -> None:
        frame, name = self._frame, self._frame.format.name
        # Negative line sizes are pictures stored bottom-up.
        upright = all(plane.line_size > 0 for plane in frame.planes)
        if name in ("yuv420p", "yuvj420p") and upright:
            copy_yuv420p(frame.planes, y, uv)
            return
        if name != "nv12" or not upright:
            is_709 = self.matrix is ColourMatrix.BT709
            frame = self._reformatter.reformat(
                frame,
                format="nv12",
                dst_colorspace=Colorspace.ITU709 if is_709 else Colorspace.ITU601,
                dst_color_range=ColorRange.JPEG if self.full_range else ColorRange.MPEG,
                # More threads get rows at their borders wrong for some formats and odd heights.
                threads=1,
            )
        copy_nv12(frame.planes, y, uv)


def matrix_of(colorspace: int) -> ColourMatrix:
    """FFmpeg's number of a colour space as ours: BT.709 where the stream says so, else BT.601."""
    return ColourMatrix.BT709 if colorspace == AVCOL_SPC_BT709 else ColourMatrix.BT601
