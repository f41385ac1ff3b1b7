"""A live stream as HLS with low latency: playlist, segments and parts in memory (RFC 8216bis).

Pure: packets in, texts and bytes out; no clock, files or network. Used by one thread at a time: who serves it from
another one holds a lock around each call.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.types.packet import Packet

PLAYLIST = "index.m3u8"
"""Name under which the playlist is to be served, beside the files that it names."""


@dataclass(frozen=True, slots=True)
class HlsSettings:
    """How a stream is cut.

    segment_s     length of a segment, s; it ends with the first key frame after that
    part_s        longest part, s: what a player lags behind is about four parts
    window_s      how much of the past the playlist holds, s
    blocking      whether the server holds requests back until the asked for part is there (`CAN-BLOCK-RELOAD`), and
                  answers `_HLS_skip` with a delta update; False for files behind any web server
    first_number  media sequence number of the first segment
    """

    segment_s: float = 1.0
    part_s: float = 0.4
    window_s: float = 30.0
    blocking: bool = True
    first_number: int = 0


class LowLatencyHls:
    """One stream: the newest `window_s` of it, and the playlist that tells of them.

    next_number  media sequence number of the segment that is being made
    next_part    index in it of the part that is being made
    """

    def __init__(self, settings: HlsSettings = HlsSettings()) -> None:
        self.settings = settings
        self.next_number = settings.first_number
        self.next_part = 0

    @property
    def ready(self) -> bool:
        """Whether there is anything to play; the playlist makes no sense before."""
        raise NotImplementedError

    @property
    def target_s(self) -> float:
        """EXT-X-TARGETDURATION; a server gives a blocked request up after three of these (503)."""
        raise NotImplementedError

    def add(self, packet: Packet) -> bool:
        """Take the next packet of one rendition; True where that has changed the playlist."""
        raise NotImplementedError

    def playlist(self, skip: bool = False) -> str:
        """The playlist; with `skip` a delta update (`_HLS_skip=YES`), where that leaves anything out."""
        raise NotImplementedError

    def has(self, number: int, part: int | None = None) -> bool:
        """Whether the playlist holds this segment (`_HLS_msn`), or this part of it (`_HLS_part`), or anything later."""
        raise NotImplementedError

    def is_too_far(self, number: int, part: int | None = None) -> bool:
        """Whether `_HLS_msn` (and `_HLS_part`) lie so far ahead that the request is to be refused (400)."""
        raise NotImplementedError

    def file(self, name: str) -> bytes | None:
        """An init segment (`.mp4`), segment or part (`.m4s`) by the name in the playlist; None where it is not there."""
        raise NotImplementedError

    def is_hinted(self, name: str) -> bool:
        """Whether this is the part that the playlist announces (EXT-X-PRELOAD-HINT): hold the request back for it."""
        raise NotImplementedError
