"""Files and network streams, decoded in software by FFmpeg through PyAV.

Knows how packets become NV12 pictures with the time of their arrival. What FFmpeg is told to open, and what
its errors mean, is in `av_container`; when to connect again is `reconnect`'s to decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av.error
from av.codec.context import ThreadType
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from engine.clock import Clock, SystemClock
from engine.errors import SourceDisconnected, SourceError, SourceUnsupported
from engine.sources.av_container import Address, AvConnection, address_of
from engine.sources.base import Picture, Source, SourceOptions, scheme_of
from engine.sources.feed import LiveFeed
from engine.sources.nv12 import copy_nv12, copy_yuv420p
from engine.sources.timeline import Timeline
from engine.types import U8, ColourMatrix

ARRIVALS_KEPT = 256
"""Arrival times kept for frames still inside the decoder; far more than any decoder holds back."""

NO_PICTURE_FACTOR = 3
"""A live source that sends data but no picture gets this many time-outs: the next key frame may be far."""

AVCOL_SPC_BT709 = 1
AVCOL_RANGE_JPEG = 2


class AvSource(Source, schemes=("file", "rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "hls")):
    """A file in any container that FFmpeg knows, or a network stream.

    corrupt_packets  packets that the decoder refused or the demuxer marked as damaged
    skipped_packets  packets of a live source left out because the decoder was too far behind
    """

    def __init__(self, options: SourceOptions, clock: Clock | None = None) -> None:
        super().__init__(options)
        self.corrupt_packets = 0
        self._clock: Clock = clock or SystemClock()
        self._feed: LiveFeed[AvConnection, Packet[VideoStream]] | None = None
        self._connection: AvConnection | None = None
        self._frames: Iterator[VideoFrame] = iter(())
        self._frame: VideoFrame | None = None
        self._reformatter = VideoReformatter()
        self._interrupted = False
        self._packets_read = 0
        self._pictures = 0
        self._time_base: Fraction | None = None
        self._arrivals: dict[int, tuple[int, int]] = {}
        self._latest_arrival = (0, 0)
        self._timeline = Timeline()
        self._discontinuity = False
        self._skipped_seen = 0
        self.live = scheme_of(options.url) != "file"

    @property
    def skipped_packets(self) -> int:
        return self._feed.skipped_packets if self._feed else 0

    def address(self) -> Address:
        """What to open. Raises a `SourceError` where that can be told without opening it."""
        return address_of(self.options)

    def open(self) -> None:
        address, timeout_s = self.address(), self.options.timeout_s
        if self._interrupted:
            raise SourceDisconnected(f"source {address.label}: interrupted")
        if not address.live:
            self._attach(AvConnection(address, timeout_s))
            return
        self._feed = LiveFeed(lambda: AvConnection(address, timeout_s), address.label, self._clock)
        # Opening is two steps of FFmpeg, connecting and looking at the stream, each with the whole time-out.
        connection = self._feed.connection(2 * timeout_s)
        self.live = not connection.is_recording
        if connection.is_recording or connection.is_hls:
            # It comes in bursts by nature; a backlog does not mean that the decoder is slow.
            self._feed.max_lag_s = None
        self._attach(connection)

    def _attach(self, connection: AvConnection) -> None:
        decoder = connection.stream.codec_context
        # Always said explicitly: FFmpeg's default of frame threads delays live pictures.
        decoder.thread_count = max(1, self.options.decoder_threads)
        by_frame = self.options.offline and not self.live and decoder.thread_count > 1
        decoder.thread_type = ThreadType.FRAME if by_frame else ThreadType.SLICE
        self.fps = connection.fps
        self.description = _describe(connection, decoder)
        self._connection = connection
        # Frames that come out at the flush carry no time base of their own.
        self._time_base = connection.stream.time_base
        self._packets_read = self._pictures = 0
        self._arrivals.clear()
        self._frames = self._decoded(connection)

    def grab(self) -> Picture | None:
        frame = None if self._interrupted else next(self._frames, None)
        while frame is None:
            if self._interrupted or self._connection is None:
                return None
            if self.live:
                raise SourceDisconnected(f"source {self._connection.address.label}: the stream ended")
            if not self.options.loop:
                return None
            self._start_again()
            frame = next(self._frames, None)
        self._frame = frame
        picture = self._picture_of(frame)
        self._wait_for_turn(picture)
        return picture

    def _start_again(self) -> None:
        assert self._connection is not None
        address, feed = self._connection.address, self._feed
        if feed is not None:
            feed.close()
            self.open()
        else:
            # Opening again is exact for every container; seeking to the start is not.
            self._connection.close()
            self._attach(AvConnection(address, self.options.timeout_s))
        self._timeline.start_again(self.fps)
        self._discontinuity = True

    def _picture_of(self, frame: VideoFrame) -> Picture:
        self._pictures += 1
        if self.skipped_packets != self._skipped_seen:
            self._skipped_seen, self._discontinuity = self.skipped_packets, True
        captured_ns, wall_ns = self._latest_arrival
        if frame.pts is not None:
            captured_ns, wall_ns = self._arrivals.get(frame.pts, self._latest_arrival)
        discontinuity, self._discontinuity = self._discontinuity, False
        return Picture(
            frame.width,
            frame.height,
            captured_ns,
            wall_ns,
            self._timeline.pts_ns(frame.pts, self._time_base),
            matrix=ColourMatrix.BT709 if frame.colorspace == AVCOL_SPC_BT709 else ColourMatrix.BT601,
            full_range=_is_full_range(frame),
            discontinuity=discontinuity,
        )

    def _wait_for_turn(self, picture: Picture) -> None:
        """HLS brings a segment of pictures at once: hand them out at the pace at which they were taken."""
        if self._feed is not None and self._connection is not None and self.live and self._connection.is_hls:
            self._feed.pause(self._timeline.seconds_until(picture.pts_ns, self._clock.now_ns()))

    def read_into(self, y: U8, uv: U8) -> None:
        frame, self._frame = self._frame, None
        assert frame is not None, "read_into without a picture from grab"
        name = frame.format.name
        # Negative line sizes are pictures stored bottom-up.
        upright = all(plane.line_size > 0 for plane in frame.planes)
        if name in ("yuv420p", "yuvj420p") and upright:
            copy_yuv420p(frame.planes, y, uv)
            return
        if name != "nv12" or not upright:
            frame = self._reformatter.reformat(
                frame,
                format="nv12",
                dst_colorspace=Colorspace.ITU709
                if frame.colorspace == AVCOL_SPC_BT709
                else Colorspace.ITU601,
                dst_color_range=ColorRange.JPEG if _is_full_range(frame) else ColorRange.MPEG,
                threads=1,
            )
        copy_nv12(frame.planes, y, uv)

    def interrupt(self) -> None:
        self._interrupted = True
        if self._feed is not None:
            self._feed.interrupt()

    def close(self) -> None:
        self._frame, self._frames = None, iter(())
        connection, self._connection = self._connection, None
        if self._feed is not None:
            # The feed's thread owns the connection and closes it.
            self._feed.close()
        elif connection is not None:
            connection.close()

    def _decoded(self, connection: AvConnection) -> Iterator[VideoFrame]:
        """All pictures of one pass; then what ended it is raised, if it was not the proper end."""
        decoder, failure = connection.stream.codec_context, None
        try:
            for packet in self._packets(connection):
                yield from self._decode(decoder, packet)
        except SourceError as error:
            failure = error
        if self._interrupted:
            return
        # Reordering holds pictures back until the decoder is told that nothing follows.
        yield from self._decode(decoder, None)
        if failure is not None and (self.live or connection.address.network):
            raise failure
        if not self.live:
            self._check_complete(connection, failure)

    def _decode(self, decoder: VideoCodecContext, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        try:
            return decoder.decode(packet)
        except av.error.FFmpegError:
            # A packet that lost a part on the way: the next key frame repairs the picture.
            self.corrupt_packets += 1
            return []

    def _packets(self, connection: AvConnection) -> Iterator[Packet[VideoStream]]:
        if self._feed is not None:
            yield from self._live_packets(self._feed, connection)
            return
        for packet in connection.packets():
            self._stamp(packet, self._clock.now_ns(), self._clock.wall_ns())
            yield packet

    def _live_packets(
        self, feed: LiveFeed[AvConnection, Packet[VideoStream]], connection: AvConnection
    ) -> Iterator[Packet[VideoStream]]:
        timeout_s = self.options.timeout_s * (NO_PICTURE_FACTOR if connection.is_hls else 1)
        last_picture_ns, pictures, corrupt = self._clock.now_ns(), self._pictures, self.corrupt_packets
        while (arrival := feed.next(timeout_s)) is not None:
            now_ns = self._clock.now_ns()
            if self._pictures != pictures:
                last_picture_ns, pictures, corrupt = now_ns, self._pictures, self.corrupt_packets
            # Nothing but refused packets: most likely another codec than at the start. Connecting tells.
            patience_s = timeout_s * (1 if self.corrupt_packets > corrupt else NO_PICTURE_FACTOR)
            if now_ns - last_picture_ns > patience_s * 1e9:
                label = connection.address.label
                raise SourceDisconnected(f"source {label}: data but no picture for {patience_s:g} s")
            self._stamp(arrival.packet, arrival.captured_ns, arrival.wall_ns)
            yield arrival.packet

    def _stamp(self, packet: Packet[VideoStream], captured_ns: int, wall_ns: int) -> None:
        self._packets_read += 1
        self.corrupt_packets += packet.is_corrupt
        self._latest_arrival = (captured_ns, wall_ns)
        if packet.pts is not None:
            self._arrivals[packet.pts] = self._latest_arrival
            if len(self._arrivals) > ARRIVALS_KEPT:
                del self._arrivals[next(iter(self._arrivals))]

    def _check_complete(self, connection: AvConnection, failure: SourceError | None) -> None:
        label, declared = connection.address.label, connection.declared_packets
        if declared and self._packets_read < declared:
            raise SourceError(f"source {label}: truncated: {self._pictures} of {declared} frames")
        end_s, declared_s = self._timeline.end_s(self.fps), connection.declared_seconds
        # Half a second of grace: the tag is rounded and the last duration a guess.
        if declared_s and end_s < declared_s - 0.5:
            raise SourceError(f"source {label}: truncated: {end_s:.1f} of {declared_s:.1f} s")
        if failure is not None:
            raise SourceError(f"{failure} after {self._pictures} frames")
        if self._pictures == 0:
            raise SourceUnsupported(f"source {label}: no picture could be decoded ({self.description})")


def _is_full_range(frame: VideoFrame) -> bool:
    return frame.format.name.startswith("yuvj") or frame.color_range == AVCOL_RANGE_JPEG


def _describe(connection: AvConnection, decoder: VideoCodecContext) -> str:
    size = f" {decoder.width}x{decoder.height}" if decoder.width else ""
    rate = f" {connection.fps:.4g} fps" if connection.fps else ""
    kind = "frame" if decoder.thread_type == ThreadType.FRAME else "slice"
    threads = "1 thread" if decoder.thread_count == 1 else f"{decoder.thread_count} {kind} threads"
    return (
        f"{decoder.name}{size}{rate} {decoder.pix_fmt or ''}".rstrip() + f", decoded in software, {threads}"
    )
