"""A live stream as HLS with low latency: playlist, segments and parts in memory (RFC 8216bis).

Pure: packets in, texts and bytes out; no clock, files or network. Used by one thread at a time: who serves it from
another one holds a lock around each call.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median

from engine.publish.fmp4 import TIMESCALE, Fragment, Fragmenter
from engine.publish.h264 import ParameterSets
from engine.types.packet import Packet, PacketFlag

PLAYLIST = "index.m3u8"
"""Name under which the playlist is to be served, beside the files that it names."""

_VERSION = 9
_TARGETS_HELD_BACK = 3
"""A player stays three targets behind the end: of parts, and of segments if it does not know parts."""
_TARGETS_SKIPPED_FROM = 6
_TARGETS_WITH_PARTS = 3
"""Parts are listed of segments that lie so many targets from the end at most."""
_SHORTEST_SEGMENT = 0.75
"""A key frame that comes earlier than this share of a segment ends none."""
_LOOKED_AT = 4
"""Packets that are looked at before the longest part is declared, which never changes afterwards."""
_ROOM_FOR_JITTER = 1.25
_LATER_KEYFRAME_S = 2
"""What a segment may be longer than it shall be, because no key frame has come."""
_ROUNDED_DOWN_S = 0.49
"""A segment may be longer than the target by what rounding to whole seconds takes away."""


@dataclass(frozen=True, slots=True)
class HlsSettings:
    """How a stream is cut.

    segment_s     length of a segment, s: it ends with the first key frame after about that; key frames may come as much
                  as two seconds later
    part_s        longest part, s; longer where pictures come more rarely. A player lags about four of these
    window_s      how much of the past the playlist holds, s; files are there for as long again
    blocking      whether the server holds requests back until the asked for part is there (`CAN-BLOCK-RELOAD`), and
                  answers `_HLS_skip` with a delta update; False for files behind any web server
    first_number  media sequence number of the first segment
    """

    segment_s: float = 1.0
    part_s: float = 0.52  # half a second, and room for jitter
    window_s: float = 30.0
    blocking: bool = True
    first_number: int = 0


@dataclass(slots=True)
class _Segment:
    number: int
    init: str
    discontinuity: bool
    parts: list[Fragment] = field(default_factory=list)

    @property
    def duration_s(self) -> float:
        return sum(part.duration_ticks for part in self.parts) / TIMESCALE

    @property
    def name(self) -> str:
        return f"segment-{self.number}.m4s"

    def part_name(self, index: int) -> str:
        return f"part-{self.number}-{index}.m4s"


class LowLatencyHls:
    """One stream: the newest `window_s` of it, and the playlist that tells of them.

    next_number  media sequence number of the segment that is being made
    next_part    index in it of the part that is being made
    codec        as in RFC 6381; empty before there is anything
    ignored      packets that could not be decoded: before the first key frame, and after a hole up to the next one
    """

    def __init__(self, settings: HlsSettings = HlsSettings()) -> None:
        self.settings = settings
        self.ignored = 0
        self._fragmenter: Fragmenter | None = None
        self._parameters: ParameterSets | None = None
        self._origin_ns = 0
        self._last_number = -1
        self._part_s = 0.0
        self._looked_at: list[Packet] = []
        self._segments: deque[_Segment] = deque()
        self._gone: deque[_Segment] = deque()
        self._current = _Segment(settings.first_number, "", discontinuity=False)
        self._inits: dict[str, bytes] = {}
        self._discontinuities_gone = 0
        self._texts: dict[bool, str] = {}

    @property
    def next_number(self) -> int:
        """Media sequence number of the segment that is being made."""
        return self._current.number

    @property
    def next_part(self) -> int:
        """Index of the part that is being made."""
        return len(self._current.parts)

    @property
    def ready(self) -> bool:
        """Whether there is anything to play; the playlist makes no sense before."""
        return bool(self._segments or self._current.parts)

    @property
    def codec(self) -> str:
        """Of the newest pictures, as in RFC 6381 (`avc1.42C01F`)."""
        return self._fragmenter.codec if self._fragmenter else ""

    @property
    def target_s(self) -> float:
        """EXT-X-TARGETDURATION; a server gives a blocked request up after three of these (503)."""
        return math.ceil(max(self.settings.segment_s, self._part_s)) + _LATER_KEYFRAME_S

    @property
    def part_target_s(self) -> float:
        """PART-TARGET: no part is longer; 0 before there is anything."""
        return self._part_s

    def add(self, packet: Packet) -> bool:
        """Take the next packet of one rendition; True where that has changed the playlist.

        Raises `PublishError` for a key frame without parameter sets.
        """
        if not self._decodable(packet):
            self.ignored += 1
            return False
        if self._part_s:
            return self._take(packet)
        self._looked_at.append(packet)
        if len(self._looked_at) < _LOOKED_AT:
            return False
        times_s = [each.meta.captured_ns / 1e9 for each in self._looked_at]
        interval_s = median(b - a for a, b in pairwise(times_s))
        self._part_s = math.ceil(100 * max(self.settings.part_s, interval_s * _ROOM_FOR_JITTER)) / 100
        waiting, self._looked_at = self._looked_at, []
        return any([self._take(each) for each in waiting])

    def playlist(self, skip: bool = False) -> str:
        """The playlist; with `skip` a delta update (`_HLS_skip=YES`), where that leaves anything out."""
        if skip not in self._texts:
            self._texts[skip] = "\n".join(self._lines(skip and self.settings.blocking)) + "\n"
        return self._texts[skip]

    def has(self, number: int, part: int | None = None) -> bool:
        """Whether the playlist holds this segment (`_HLS_msn`), or this part of it (`_HLS_part`), or anything later."""
        if number != self.next_number or part is None:
            whole = number < self.next_number
            if not whole or part is None:
                return whole
            made = next((len(each.parts) for each in self._segments if each.number == number), part + 1)
            # A part beyond the last of a segment stands for the first of the next one.
            return part < made or self.has(number + 1, 0)
        return part < self.next_part

    def is_too_far(self, number: int, part: int | None = None) -> bool:
        """Whether `_HLS_msn` (and `_HLS_part`) lie so far ahead that the request is to be refused (400)."""
        ahead = math.ceil(3 / min(1.0, self._part_s or 1.0))
        too_many_parts = part is not None and number == self.next_number and part >= self.next_part + ahead
        return number > self.next_number + 1 or too_many_parts

    def file(self, name: str) -> bytes | None:
        """An init segment, segment or part by the name in the playlist; None where it is not (or no longer) there."""
        if name.startswith("init-"):
            return self._inits.get(name)
        kind, _, rest = name.removesuffix(".m4s").partition("-")
        number, _, index = rest.partition("-")
        if not number.isdecimal() or (kind == "part") != index.isdecimal():
            return None
        segment = self._segment(int(number))
        if segment is None:
            return None
        if kind == "part" and segment.part_name(int(index)) == name and int(index) < len(segment.parts):
            return segment.parts[int(index)].data
        if segment.name == name and segment is not self._current:
            return b"".join(part.data for part in segment.parts)
        return None

    def is_hinted(self, name: str) -> bool:
        """Whether this is the part that the playlist announces (EXT-X-PRELOAD-HINT): hold the request back for it."""
        return self.ready and name == self._current.part_name(self.next_part)

    @property
    def names(self) -> set[str]:
        """Everything that `file` gives."""
        names = set(self._inits)
        for segment in (*self._gone, *self._segments, self._current):
            if segment is not self._current:
                names.add(segment.name)
            names |= {segment.part_name(index) for index in range(len(segment.parts))}
        return names

    def _decodable(self, packet: Packet) -> bool:
        """False before the first key frame, and after a hole until the next."""
        meta = packet.meta
        follows = self._last_number >= 0 and meta.number == self._last_number + 1
        if not (meta.keyframe or follows):
            self._last_number = -1
            return False
        self._last_number = meta.number
        return True

    def _take(self, packet: Packet) -> bool:
        changed = False
        if packet.meta.keyframe:
            parameters = ParameterSets.of(packet.data)
            restarted = bool(packet.meta.flags & PacketFlag.DISCONTINUITY)
            if self._fragmenter is None or restarted or parameters != self._parameters:
                changed = self._begin(packet, parameters)
        assert self._fragmenter is not None
        fragments = self._fragmenter.add(packet)
        if not self._current.init:
            self._name_init()
        for fragment in fragments:
            self._append(fragment)
        if fragments and packet.meta.keyframe:
            self._end_segment_if(_SHORTEST_SEGMENT * self.settings.segment_s)
        if changed or fragments:
            self._texts.clear()
        return changed or bool(fragments)

    def _begin(self, packet: Packet, parameters: ParameterSets) -> bool:
        """The first encoder, or another one."""
        meta, before = packet.meta, self._fragmenter
        if before is None:
            self._origin_ns = meta.captured_ns
        else:
            for fragment in before.flush():
                self._append(fragment)
            self._end_segment_if(0.0)
            self._current.discontinuity = True
        self._current.init, self._parameters = "", parameters
        most_ticks = round(self._part_s * TIMESCALE)
        self._fragmenter = Fragmenter(
            meta.width, meta.height, origin_ns=self._origin_ns, most_ticks=most_ticks
        )
        return before is not None

    def _name_init(self) -> None:
        assert self._fragmenter is not None
        self._current.init = f"init-{self._current.number}.mp4"
        self._inits[self._current.init] = self._fragmenter.init_segment

    def _append(self, fragment: Fragment) -> None:
        self._current.parts.append(fragment)
        # No key frame in time: a player cannot begin with the next segment, but it can go on with it.
        self._end_segment_if(self.target_s + _ROUNDED_DOWN_S - self._part_s)

    def _end_segment_if(self, at_least_s: float) -> None:
        segment = self._current
        if not segment.parts or segment.duration_s <= at_least_s:
            return
        self._segments.append(segment)
        self._current = _Segment(segment.number + 1, segment.init, discontinuity=False)
        while sum(each.duration_s for each in self._segments) > self.settings.window_s + segment.duration_s:
            gone = self._segments.popleft()
            self._discontinuities_gone += gone.discontinuity
            self._gone.append(gone)
        while sum(each.duration_s for each in self._gone) > self.settings.window_s:
            self._gone.popleft()
        used = {each.init for each in (*self._gone, *self._segments, self._current)}
        self._inits = {name: data for name, data in self._inits.items() if name in used}

    def _segment(self, number: int) -> _Segment | None:
        every = (*self._gone, *self._segments, self._current)
        return next((each for each in every if each.number == number), None)

    def _lines(self, skip: bool) -> Iterator[str]:
        yield from ("#EXTM3U", f"#EXT-X-VERSION:{_VERSION}", f"#EXT-X-TARGETDURATION:{self.target_s:.0f}")
        skipped_from_s = _TARGETS_SKIPPED_FROM * self.target_s
        control = [f"HOLD-BACK={_TARGETS_HELD_BACK * self.target_s:.1f}"]
        control.append(f"PART-HOLD-BACK={_TARGETS_HELD_BACK * self._part_s:.3f}")
        if self.settings.blocking:
            control = ["CAN-BLOCK-RELOAD=YES", f"CAN-SKIP-UNTIL={skipped_from_s:.1f}", *control]
        yield f"#EXT-X-SERVER-CONTROL:{','.join(control)}"
        yield f"#EXT-X-PART-INF:PART-TARGET={self._part_s:.3f}"
        segments = [*self._segments, self._current]
        yield f"#EXT-X-MEDIA-SEQUENCE:{segments[0].number}"
        if self._discontinuities_gone:
            yield f"#EXT-X-DISCONTINUITY-SEQUENCE:{self._discontinuities_gone}"
        if all(each.parts[0].independent for each in segments if each.parts):
            yield "#EXT-X-INDEPENDENT-SEGMENTS"
        from_end_s = sum(each.duration_s for each in segments)
        skippable, init = 0, ""
        for each in segments:
            from_end_s -= each.duration_s
            if skip and from_end_s > skipped_from_s:
                skippable, init = skippable + 1, each.init
                continue
            if skippable:
                yield f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skippable}"
                skippable = 0
            yield from self._segment_lines(each, init, from_end_s)
            init = each.init
        if self.settings.blocking:
            hinted = self._current.part_name(self.next_part)
            yield f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{hinted}"'

    def _segment_lines(self, segment: _Segment, init_before: str, from_end_s: float) -> Iterator[str]:
        if not segment.parts:
            return
        if segment.discontinuity:
            yield "#EXT-X-DISCONTINUITY"
        if segment.init != init_before:
            yield f'#EXT-X-MAP:URI="{segment.init}"'
        begins = datetime.fromtimestamp(segment.parts[0].wall_ns // 1_000_000 / 1000, UTC)
        yield f"#EXT-X-PROGRAM-DATE-TIME:{begins.isoformat(timespec='milliseconds').replace('+00:00', 'Z')}"
        if from_end_s < _TARGETS_WITH_PARTS * self.target_s:
            for index, part in enumerate(segment.parts):
                independent = ",INDEPENDENT=YES" if part.independent else ""
                duration_s = part.duration_ticks / TIMESCALE
                yield f'#EXT-X-PART:DURATION={duration_s:.5f},URI="{segment.part_name(index)}"{independent}'
        if segment is not self._current:
            yield f"#EXTINF:{segment.duration_s:.5f},"
            yield segment.name
