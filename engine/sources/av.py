"""Files and network streams, opened by FFmpeg through PyAV.

Knows how packets become pictures with the time of their arrival. What FFmpeg is told to open, and what its errors
mean, is in `av_container`; what decodes is `decoding`'s to choose; when to connect again is `reconnect`'s.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from av.packet import Packet
from av.video.stream import VideoStream

from engine.clock import Clock, SystemClock
from engine.errors import SourceDisconnected, SourceError, SourceUnsupported
from engine.sources.av_container import Address, AvConnection, address_of
from engine.sources.base import Picture, Source, SourceOptions, scheme_of
from engine.sources.decoder import DamagedPacket, DecodedPicture, DecoderUnusable, VideoDecoder
from engine.sources.decoding import open_decoder, software_decoder
from engine.sources.feed import LiveFeed
from engine.sources.timeline import GUESSED_FPS, Timeline
from engine.types import U8, Surface

ARRIVALS_KEPT = 256
"""Arrival times kept for frames still inside the decoder; far more than any decoder holds back."""

OPENING_FACTOR = 2
"""Opening is two steps of FFmpeg, connecting and looking at the stream, each with the whole time-out."""

NO_PICTURE_FACTOR = 3
"""A live source that sends data but no picture gets this many time-outs: the next key frame may be far."""


@dataclass(frozen=True, slots=True)
class _Decoded:
    picture: DecodedPicture
    captured_ns: int
    wall_ns: int


class AvSource(Source, schemes=("file", "rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "hls")):
    """A file in any container that FFmpeg knows, or a network stream.

    corrupt_packets  packets that the decoder refused or the demuxer marked as damaged
    """

    def __init__(self, options: SourceOptions, clock: Clock | None = None) -> None:
        super().__init__(options)
        self.live = scheme_of(options.url) != "file"
        self.corrupt_packets = 0
        self._clock: Clock = clock or SystemClock()
        self._feed: LiveFeed[AvConnection, Packet[VideoStream]] | None = None
        self._connection: AvConnection | None = None
        self._file_packets: Iterator[Packet[VideoStream]] = iter(())
        self._decoder: VideoDecoder | None = None
        self._picture: DecodedPicture | None = None
        self._time_base: Fraction | None = None
        self._timeline = Timeline()
        self._discontinuity = False
        self._skipped_seen = 0
        self._forget_pass()

    def _forget_pass(self) -> None:
        self._decoded: deque[_Decoded] = deque()
        self._ended = False
        self._failure: SourceError | None = None
        self._packets_read = self._pictures = self._last_pts = 0
        self._corrupt_at_picture = self.corrupt_packets
        self._last_picture_ns = self._clock.now_ns()
        self._arrivals: dict[int, tuple[int, int]] = {}
        self._latest_arrival = (0, 0)

    @property
    def skipped_packets(self) -> int:
        """Packets of a live source that were left out because the decoder was too far behind."""
        return self._feed.skipped_packets if self._feed else 0

    def address(self) -> Address:
        """What to open. Raises a `SourceError` where that can be told without opening it."""
        return address_of(self.options)

    def start(self) -> None:
        address, timeout_s = self.address(), self.options.timeout_s
        if address.live and self._feed is None:
            self._feed = LiveFeed(lambda: AvConnection(address, timeout_s), address.label, self._clock)

    def open(self) -> None:
        self.start()
        if self._feed is None:
            self._attach(AvConnection(self.address(), self.options.timeout_s))
            return
        connection = self._feed.connection(self._silence_limit_s)
        self.live = not connection.is_recording
        if connection.is_recording or connection.is_hls:
            # It comes in bursts by nature; a backlog does not mean that the decoder is slow.
            self._feed.max_lag_s = None
        self._attach(connection)

    def _attach(self, connection: AvConnection) -> None:
        # First, so that `close` lets go of it where there is no decoder.
        self._connection = connection
        self._decoder = open_decoder(connection.stream, self.options, live=self.live)
        self.fps = connection.fps
        self.description = _describe(connection, self._decoder)
        # Frames that come out at the flush carry no time base of their own.
        self._time_base = connection.stream.time_base
        self._forget_pass()
        if self._feed is None:
            self._file_packets = connection.packets()

    @property
    def _silence_limit_s(self) -> float:
        if self._connection is None:
            return self.options.timeout_s * OPENING_FACTOR
        return self.options.timeout_s * (NO_PICTURE_FACTOR if self._connection.is_hls else 1)

    def ready(self, timeout_s: float) -> bool:
        if self._feed is None:
            return True
        deadline_ns = self._clock.now_ns() + round(timeout_s * 1e9)
        while not self._decoded and not self._ended:
            left_s = max(0.0, (deadline_ns - self._clock.now_ns()) / 1e9)
            if not self._feed.ready(left_s, self._silence_limit_s):
                return False
            if self._connection is None:
                break
            self._advance()
        return True

    def grab(self) -> Picture | None:
        while not self._decoded:
            if self._connection is None:
                return None
            if not self._ended:
                self._advance()
            elif self._failure is not None:
                raise self._failure
            elif self.options.loop:
                self._start_again()
            else:
                return None
        decoded = self._decoded.popleft()
        self._picture = decoded.picture
        picture = self._picture_of(decoded)
        if self._feed is not None and self.live and self._connection is not None and self._connection.is_hls:
            # HLS brings a segment at once: hand its pictures out at the pace at which they were taken.
            self._clock.sleep(self._timeline.seconds_until(picture.pts_ns, self._clock.now_ns()))
        return picture

    def _start_again(self) -> None:
        # Opening again is exact for every container; seeking to the start is not.
        self._disconnect()
        self.open()
        self._timeline.start_again(self.fps)
        self._discontinuity = True

    def _picture_of(self, decoded: _Decoded) -> Picture:
        if self.skipped_packets != self._skipped_seen:
            self._skipped_seen, self._discontinuity = self.skipped_packets, True
        discontinuity, self._discontinuity = self._discontinuity, False
        picture = decoded.picture
        return Picture(
            picture.width,
            picture.height,
            decoded.captured_ns,
            decoded.wall_ns,
            self._timeline.pts_ns(picture.pts, self._time_base),
            matrix=picture.matrix,
            full_range=picture.full_range,
            discontinuity=discontinuity,
        )

    def read_into(self, y: U8, uv: U8) -> Surface | None:
        picture, self._picture = self._picture, None
        assert picture is not None, "read_into without a picture from grab"
        return picture.read_into(y, uv)

    def close(self) -> None:
        self._picture = None
        self._disconnect()
        self._forget_pass()

    def _disconnect(self) -> None:
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            decoder.close()
        connection, self._connection = self._connection, None
        feed, self._feed = self._feed, None
        self._file_packets = iter(())
        if feed is not None:
            # The feed's thread owns the connection and closes it.
            feed.close()
        elif connection is not None:
            connection.close()

    def _advance(self) -> None:
        """Decode one packet; at the end, all that the decoder has held back for reordering."""
        packet = None
        try:
            packet = self._next_packet()
        except SourceError as error:
            self._failure = error
        pictures = self._decode(packet)
        for picture in pictures:
            arrival = self._latest_arrival
            if picture.pts is not None:
                arrival, self._last_pts = self._arrivals.get(picture.pts, arrival), picture.pts
            self._decoded.append(_Decoded(picture, *arrival))
        if pictures:
            self._pictures += len(pictures)
            self._last_picture_ns, self._corrupt_at_picture = self._clock.now_ns(), self.corrupt_packets
        if packet is None:
            self._ended = True
            self._failure = self._reason_of_end()

    def _decode(self, packet: Packet[VideoStream] | None) -> Sequence[DecodedPicture]:
        assert self._decoder is not None and self._connection is not None
        try:
            return self._decoder.decode(packet)
        except DamagedPacket:
            # A packet that lost a part on the way: the next key frame repairs the picture.
            self.corrupt_packets += 1
        except DecoderUnusable as error:
            self._decoder.close()
            self._decoder = software_decoder(
                self._connection.stream, self.options, live=self.live, why=str(error)
            )
            self.description = _describe(self._connection, self._decoder)
            self.corrupt_packets += packet is not None
            self._discontinuity = True
        return ()

    def _next_packet(self) -> Packet[VideoStream] | None:
        if self._feed is None:
            packet, arrival = next(self._file_packets, None), (self._clock.now_ns(), self._clock.wall_ns())
        else:
            arrived = self._feed.next(self._silence_limit_s)
            packet = arrived.packet if arrived else None
            arrival = (arrived.captured_ns, arrived.wall_ns) if arrived else (0, 0)
            self._check_for_pictures()
        if packet is None:
            return None
        self._packets_read += 1
        self.corrupt_packets += packet.is_corrupt
        self._latest_arrival = arrival
        if packet.pts is not None:
            self._arrivals[packet.pts] = arrival
            if len(self._arrivals) > ARRIVALS_KEPT:
                del self._arrivals[next(iter(self._arrivals))]
        return packet

    def _check_for_pictures(self) -> None:
        # Nothing but refused packets: most likely another codec than at the start; connecting again tells.
        factor = 1 if self.corrupt_packets > self._corrupt_at_picture else NO_PICTURE_FACTOR
        patience_s = self._silence_limit_s * factor
        if self.live and self._clock.now_ns() - self._last_picture_ns > patience_s * 1e9:
            raise SourceDisconnected(f"source {self._label}: data but no picture for {patience_s:g} s")

    @property
    def _label(self) -> str:
        return self._connection.address.label if self._connection else ""

    def _reason_of_end(self) -> SourceError | None:
        """Why the end is not the end of a whole file; None if it is."""
        assert self._connection is not None
        if self.live:
            return self._failure or SourceDisconnected(f"source {self._label}: the stream ended")
        declared, declared_s = self._connection.declared_packets, self._connection.declared_seconds
        if declared and self._packets_read < declared:
            return SourceError(f"source {self._label}: truncated: {self._pictures} of {declared} frames")
        end_s = float(self._last_pts * (self._time_base or 0)) + 1 / (self.fps or GUESSED_FPS)
        # Half a second of grace: the tag is rounded and the last duration a guess.
        if declared_s and end_s < declared_s - 0.5:
            return SourceError(f"source {self._label}: truncated: {end_s:.1f} of {declared_s:.1f} s")
        if self._failure is not None:
            return SourceError(f"{self._failure} after {self._pictures} frames")
        if self._pictures == 0:
            return SourceUnsupported(
                f"source {self._label}: no picture could be decoded ({self.description})"
            )
        return None


def _describe(connection: AvConnection, decoder: VideoDecoder) -> str:
    context = connection.stream.codec_context
    size = f" {context.width}x{context.height}" if context.width else ""
    rate = f" {connection.fps:.4g} fps" if connection.fps else ""
    return f"{context.name}{size}{rate}, {decoder.description}"
