"""What of a camera is encoded, as long as somebody wants it: one encoder each, and its packets.

`VideoRendition` makes H.264, `PictureRendition` JPEGs. A rendition is wanted for good (a destination in the
configuration) or for a while (somebody who looks, and says so again and again). Knows pictures and packets; does not
know what is drawn, nor files.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

from engine.clock import Clock
from engine.errors import OutputError
from engine.metrics import LatencyHistogram, RateMeter
from engine.outputs.encode import (
    AUTO,
    EncodedPicture,
    Encoder,
    EncoderPicture,
    EncoderSettings,
    PictureFormat,
)
from engine.outputs.jpeg import encode_jpeg
from engine.types import PacketFlag, PacketMeta, Rendition
from engine.workers.packets import PacketWriter

_LOG = logging.getLogger(__name__)

RETRY_INTERVAL_S = 2.0
KEYFRAME_INTERVAL_S = 0.5
"""Key frames that viewers ask for come no closer than this."""
_SHORTEST_STEP_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class PictureTimes:
    """Which picture it is.

    frame_index  number of the frame in its source; -1 for a picture without one
    captured_ns, wall_ns   as in `PacketMeta`
    shown_ns     its place in the recording; -1 if it is not recorded
    no_signal    it says that there is none
    """

    frame_index: int
    captured_ns: int
    wall_ns: int
    shown_ns: int = -1
    no_signal: bool = False


class Lane:
    """One rendition of a camera on its way to those who show it: wants, packets and counters."""

    def __init__(
        self, rendition: Rendition, packets: PacketWriter | None, clock: Clock, told: dict[str, Any]
    ) -> None:
        """`told` is what a predecessor has reported of this rendition."""
        self.rendition = rendition
        self.name = rendition.name.lower()
        self.for_good = False
        """Wanted by a destination in the configuration."""
        self.frames: int = told.get("frames", 0)
        self.keyframes: int = told.get("keyframes", 0)
        self.dropped: dict[str, int] = dict(told.get("dropped", {}))
        """Pictures that have not become packets, by reason."""
        self.encode = LatencyHistogram.from_dict(told["encode"]) if "encode" in told else LatencyHistogram()
        self._clock = clock
        self._packets = packets
        self._wanted_until_ns = 0
        self._bytes = RateMeter(clock)
        self._pictures = RateMeter(clock)
        self._discontinuity = True

    @property
    def live(self) -> bool:
        """Whether somebody watches, or may any moment."""
        wanted = self.for_good or self._clock.now_ns() < self._wanted_until_ns
        return wanted and self._packets is not None

    def want(self, ttl_s: float) -> None:
        """Somebody looks, for so long at least."""
        self._wanted_until_ns = max(self._wanted_until_ns, self._clock.now_ns() + round(ttl_s * 1e9))

    def drop(self, reason: str) -> None:
        """A picture has not become a packet."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def later_than_before(self, captured_ns: int) -> int:
        """A capture time as packets carry it: strictly rising, also behind pictures that had no frame."""
        newest_ns = self._packets.newest_ns.get(self.rendition, 0) if self._packets else 0
        return max(captured_ns, newest_ns + _SHORTEST_STEP_NS)

    def publish(self, data: bytes, times: PictureTimes, size_wh: tuple[int, int], keyframe: bool) -> int:
        """Write one packet; its number, 0 if there was no room for it."""
        assert self._packets is not None
        flags = PacketFlag.KEYFRAME if keyframe else PacketFlag.NONE
        flags |= PacketFlag.DISCONTINUITY if self._discontinuity else PacketFlag.NONE
        flags |= PacketFlag.NO_SIGNAL if times.no_signal else PacketFlag.NONE
        meta = PacketMeta(
            self.rendition, 0, 0, 1, len(data), times.frame_index, self.later_than_before(times.captured_ns),
            times.wall_ns, self._clock.now_ns(), *size_wh, flags,
        )  # fmt: skip
        try:
            number = self._packets.write(meta, data).number
        except OutputError:
            self.drop("too_big")
            return 0
        self._discontinuity = False
        self._bytes.tick(len(data))
        return number

    def count(self, keyframe: bool, encode_ms: float) -> None:
        """A picture has been encoded."""
        self.frames += 1
        self.keyframes += keyframe
        self.encode.add(encode_ms)
        self._pictures.tick()

    def to_status(self) -> dict[str, Any]:
        """Counters for the status, from which a successor goes on."""
        numbers = self._packets.numbers if self._packets else {}
        wanted_s = max(0.0, (self._wanted_until_ns - self._clock.now_ns()) / 1e9)
        return {
            "live": self.live,
            "published": self.for_good,
            "wanted_s": wanted_s,
            "number": numbers.get(self.rendition, 0),
            "frames": self.frames,
            "keyframes": self.keyframes,
            "fps": self._pictures.per_second(),
            "kbps": self._bytes.per_second() * 8 / 1000,
            "dropped": {reason: n for reason, n in self.dropped.items() if n},
            "encode": self.encode.to_dict(),
        }


class VideoRendition(Lane):
    """H.264 of one rendition. The encoder is opened with the first picture, and again when the picture changes."""

    def __init__(
        self, rendition: Rendition, packets: PacketWriter | None, clock: Clock, told: dict[str, Any]
    ) -> None:
        super().__init__(rendition, packets, clock, told)
        self.settings = EncoderSettings()
        self.reason = ""
        self.trouble = ""
        """Why nothing is encoded at present."""
        self._encoder: Encoder | None = None
        self._newest_ns = 0
        self._pending: dict[int, PictureTimes] = {}
        self._was_live = self._no_signal = False
        self._keyframe_wanted = False
        self._keyframe_given_ns = 0
        self._retry_at_ns = 0
        self._fallback = False

    def configure(self, settings: EncoderSettings, reason: str, asked_for: str) -> None:
        """The encoder that was chosen, and the name that was asked for."""
        self.settings, self.reason = settings, reason
        self._fallback = asked_for == AUTO and settings.name != "libx264"

    @property
    def running(self) -> bool:
        """Whether there is an encoder at present."""
        return self._encoder is not None

    def ask_keyframe(self) -> None:
        """The next picture is to be a key frame, unless there was one just now: then a bit later."""
        self._keyframe_wanted = True

    def encode_picture(
        self, picture: EncoderPicture, picture_format: PictureFormat, times: PictureTimes, keyframe: bool
    ) -> list[tuple[EncodedPicture, PictureTimes]]:
        """Encode a picture and publish what comes out while somebody watches; all that has come out.

        An encoder that fails is counted and opened again a little later; the picture is lost then.
        """
        if self._clock.now_ns() < self._retry_at_ns:
            self.drop("encoder_failed")
            return []
        done: list[tuple[EncodedPicture, PictureTimes]] = []
        began_ns = self._clock.now_ns()
        try:
            if self._encoder is None or self._encoder.format != picture_format:
                done += self.finish()
                self._encoder = Encoder(picture_format, self.settings, self._pictures.per_second())
                self._discontinuity = True
            time_ns = self.later_than_before(times.captured_ns)
            time_ns = max(time_ns, self._newest_ns + _SHORTEST_STEP_NS)
            self._newest_ns = time_ns
            self._pending[time_ns] = replace(times, captured_ns=time_ns)
            keyframe = self._keyframe_due(keyframe or times.no_signal != self._no_signal)
            self._no_signal = times.no_signal
            encoded = self._matched(self._encoder.encode(picture, time_ns, keyframe))
        except OutputError as error:
            self._failed(error)
            return done
        self.trouble = ""
        encode_ms = (self._clock.now_ns() - began_ns) / 1e6
        for packet, packet_times in encoded:
            self.count(packet.keyframe, encode_ms)
            self._hand_on(packet, packet_times, picture_format)
        return done + encoded

    def finish(self) -> list[tuple[EncodedPicture, PictureTimes]]:
        """What the encoder still holds; it is closed."""
        encoder, self._encoder = self._encoder, None
        if encoder is None:
            return []
        encoded = self._matched(encoder.flush())
        for packet, times in encoded:
            self.count(packet.keyframe, 0.0)
            self._hand_on(packet, times, encoder.format)
        self._pending.clear()
        return encoded

    def unwatched(self, keep_encoder: bool) -> None:
        """Nobody watches. The encoder is given back, unless somebody else has use for it."""
        self._was_live = False
        if not keep_encoder:
            self._encoder = None
            self._pending.clear()
            self.trouble = ""

    def to_status(self) -> dict[str, Any]:
        """Counters, and which encoder is at work."""
        told = {"encoder": self.settings.name, "reason": self.reason, "running": self.running}
        return {**told, "trouble": self.trouble, **super().to_status()}

    def _keyframe_due(self, forced: bool) -> bool:
        now_ns = self._clock.now_ns()
        if self.live and not self._was_live:
            # Whoever comes first begins here, whatever the file has had before.
            self._was_live = self._discontinuity = forced = True
        elif not self.live:
            self._was_live = False
        spaced = now_ns - self._keyframe_given_ns >= KEYFRAME_INTERVAL_S * 1e9
        if not forced and not (self._keyframe_wanted and spaced):
            return False
        self._keyframe_wanted, self._keyframe_given_ns = False, now_ns
        return True

    def _matched(self, packets: list[EncodedPicture]) -> list[tuple[EncodedPicture, PictureTimes]]:
        matched = []
        for packet in packets:
            while (oldest_ns := next(iter(self._pending))) != packet.time_ns:
                del self._pending[oldest_ns]
                self.drop("encoder_skipped")
            matched.append((packet, self._pending.pop(packet.time_ns)))
        return matched

    def _hand_on(self, packet: EncodedPicture, times: PictureTimes, picture_format: PictureFormat) -> None:
        if not self.live:
            return
        size_wh = picture_format.padded_width, picture_format.padded_height
        if not self.publish(packet.data, times, size_wh, packet.keyframe):
            self.ask_keyframe()  # what follows cannot be decoded without it

    def _failed(self, error: OutputError) -> None:
        self._encoder = None
        self._pending.clear()
        self._retry_at_ns = self._clock.now_ns() + round(RETRY_INTERVAL_S * 1e9)
        self.drop("encoder_failed")
        if self.trouble != str(error):
            self.trouble = str(error)
            _LOG.error("%s: %s", self.name, error)
        if self._fallback:
            self.reason = f"{error}; libx264 encodes on the CPU"
            self.settings, self._fallback = replace(self.settings, name="libx264"), False


class PictureRendition(Lane):
    """JPEGs of one rendition, at most so many a second."""

    def __init__(
        self, rendition: Rendition, packets: PacketWriter | None, clock: Clock, told: dict[str, Any]
    ) -> None:
        super().__init__(rendition, packets, clock, told)
        self.most_fps = 10.0
        self.quality = 80
        self._due_ns = 0

    @property
    def due(self) -> bool:
        """Whether somebody watches and the next picture is one to be shown."""
        return self.live and self._clock.now_ns() >= self._due_ns

    def encode_picture(
        self, picture: EncoderPicture, picture_format: PictureFormat, times: PictureTimes, quality: int = 0
    ) -> int:
        """Encode a picture, in this quality if one is given, and publish it; its number, 0 if there was no room.

        Raises `OutputError` for a picture that is no JPEG.
        """
        began_ns = self._clock.now_ns()
        if not quality:
            # On average, so that pictures which come at another rate are not thinned out more than asked for.
            step_ns = round(1e9 / self.most_fps)
            self._due_ns = max(self._due_ns + step_ns, began_ns)
        data = encode_jpeg(
            picture.y, picture.uv, picture_format.matrix, picture_format.full_range, quality or self.quality
        )
        self.count(True, (self._clock.now_ns() - began_ns) / 1e6)
        height, width = picture.y.shape
        return self.publish(data, times, (width, height), True)

    def to_status(self) -> dict[str, Any]:
        """Counters, in the same words as those of video."""
        told = {"encoder": "opencv", "reason": "libjpeg-turbo", "running": self.live, "trouble": ""}
        return {**told, **super().to_status()}
