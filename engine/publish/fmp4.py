"""Encoded H.264 as fragments of mp4, for players that take a stream piece by piece (HLS, Media Source Extensions).

Boxes: ISO/IEC 14496-12; the AVC sample entry: ISO/IEC 14496-15. Pure: packets in, bytes out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from engine.publish.h264 import ParameterSets, length_prefixed, picture_units
from engine.types.packet import Packet

TIMESCALE = 90_000
"""Ticks a second of all times in the files."""
DEFAULT_PICTURE_TICKS = TIMESCALE // 25
"""How long a picture lasts that nothing is known of."""

_TRACK = 1
_UNITY_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_UNDETERMINED_LANGUAGE = 0x55C4
_SYNC_SAMPLE, _DIFFERENCE_SAMPLE = 0x02000000, 0x01010000
"""Sample flags: depends on no other picture; depends on others and is no place to begin."""
_DEFAULT_BASE_IS_MOOF = 0x020000
_DURATION_SIZE_FLAGS_EACH, _DATA_OFFSET_PRESENT = 0x000700, 0x000001


@dataclass(frozen=True, slots=True)
class Fragment:
    """One `moof` and its `mdat`.

    data            the bytes
    start_ticks     decode time of its first picture, in 1/90000 s since the stream's first packet (`tfdt`)
    duration_ticks  up to the picture after its last
    wall_ns         ns since the Unix epoch that belong to its start
    packets         pictures in it
    independent     whether it begins with a key frame
    """

    data: bytes
    start_ticks: int
    duration_ticks: int
    wall_ns: int
    packets: int
    independent: bool


@dataclass(frozen=True, slots=True)
class _Sample:
    """One picture that waits for the time of the next."""

    ticks: int
    wall_ns: int
    keyframe: bool
    data: bytes


class Fragmenter:
    """Packets of one encoder into fragments. A key frame always begins one.

    A fragment leaves when the packet after it comes, because a picture lasts until the next one.

    init_segment  `ftyp` and `moov`; empty before the first key frame
    codec         as in RFC 6381 (`avc1.42C01F`); empty before the first key frame
    """

    def __init__(self, width: int, height: int, *, origin_ns: int | None = None, most_ticks: int = 0) -> None:
        """A fragmenter.

        width, height  pixels
        origin_ns      captured_ns of time 0; that of the first packet where None
        most_ticks     several packets share a fragment as long as it does not become longer than this, and none is
                       longer, even if a picture lasts longer; 0: each packet has its own
        """
        self.init_segment = b""
        self.codec = ""
        self._size = width, height
        self._origin_ns = origin_ns
        self._most_ticks = most_ticks
        self._held: list[_Sample] = []
        self._last_interval = DEFAULT_PICTURE_TICKS
        self._sequence = 0

    def add(self, packet: Packet) -> list[Fragment]:
        """Take the next packet; the fragments that are complete now. Packets before the first key frame are ignored.

        Raises `PublishError` for a first key frame without parameter sets.
        """
        if not self.init_segment:
            if not packet.meta.keyframe:
                return []
            self._begin(packet)
        sample = self._sample(packet)
        done = self._complete(sample) if self._held else []
        self._held.append(sample)
        return done

    def flush(self) -> list[Fragment]:
        """What is still held, its last picture as long as the one before it."""
        if not self._held:
            return []
        return self._give(self._held[-1].ticks + self._last_interval)

    def _begin(self, packet: Packet) -> None:
        parameters = ParameterSets.of(packet.data)
        self.codec = parameters.codec
        self.init_segment = init_segment(*self._size, parameters)
        if self._origin_ns is None:
            self._origin_ns = packet.meta.captured_ns

    def _sample(self, packet: Packet) -> _Sample:
        assert self._origin_ns is not None
        meta = packet.meta
        ticks = (meta.captured_ns - self._origin_ns) * TIMESCALE // 1_000_000_000
        if self._held:
            ticks = max(ticks, self._held[-1].ticks + 1)
        return _Sample(ticks, meta.wall_ns, meta.keyframe, length_prefixed(picture_units(packet.data)))

    def _complete(self, sample: _Sample) -> list[Fragment]:
        """What of the held pictures leaves, now that the one after them is here."""
        interval, self._last_interval = self._last_interval, sample.ticks - self._held[-1].ticks
        if sample.keyframe or self._most_ticks == 0:
            return self._give(sample.ticks)
        done = []
        if self._must_split(sample.ticks):
            # The last one lasts longer than was to be expected: it begins the next fragment.
            last = self._held.pop()
            done = self._give(last.ticks)
            self._held = [last]
        expected = min(interval, self._last_interval)
        if sample.ticks + expected - self._held[0].ticks > self._most_ticks:
            done += self._give(sample.ticks)
        return done

    def _give(self, end_ticks: int) -> list[Fragment]:
        """The held pictures, which last until `end_ticks`, as fragments; nothing is held afterwards."""
        split = self._must_split(end_ticks)
        held, self._held = self._held, []
        if split:
            return [self._fragment(held[:-1], held[-1].ticks), self._fragment(held[-1:], end_ticks)]
        return [self._fragment(held, end_ticks)]

    def _must_split(self, end_ticks: int) -> bool:
        """Whether the last held picture, which lasts until then, makes the fragment too long.

        A picture that is too long by itself (nothing has come for a while) is cut short instead.
        """
        held, most = self._held, self._most_ticks
        too_long = 0 < most < end_ticks - held[0].ticks
        return too_long and len(held) > 1 and end_ticks - held[-1].ticks <= most

    def _fragment(self, samples: list[_Sample], end_ticks: int) -> Fragment:
        first = samples[0]
        if self._most_ticks:
            end_ticks = min(end_ticks, first.ticks + self._most_ticks)
        self._sequence += 1
        ends = [sample.ticks for sample in samples[1:]] + [end_ticks]
        durations = [end - sample.ticks for sample, end in zip(samples, ends, strict=True)]
        data = _movie_fragment(self._sequence, samples, durations)
        return Fragment(
            data, first.ticks, end_ticks - first.ticks, first.wall_ns, len(samples), first.keyframe
        )


def init_segment(width: int, height: int, parameters: ParameterSets) -> bytes:
    """`ftyp` and `moov` of a fragmented file with one H.264 track of `width` × `height` pixels."""
    sample_entry = _box(
        b"avc1",
        bytes(6) + struct.pack(">H", 1) + bytes(16) + struct.pack(">HH", width, height),
        struct.pack(">IIIH", 0x00480000, 0x00480000, 0, 1) + bytes(32) + struct.pack(">Hh", 24, -1),
        _box(b"avcC", parameters.decoder_configuration),
    )
    sample_table = _box(
        b"stbl",
        _full_box(b"stsd", struct.pack(">I", 1), sample_entry),
        _full_box(b"stts", bytes(4)),
        _full_box(b"stsc", bytes(4)),
        _full_box(b"stsz", bytes(8)),
        _full_box(b"stco", bytes(4)),
    )
    media_information = _box(
        b"minf",
        _full_box(b"vmhd", bytes(8), flags=1),
        _box(b"dinf", _full_box(b"dref", struct.pack(">I", 1), _full_box(b"url ", flags=1))),
        sample_table,
    )
    media = _box(
        b"mdia",
        _full_box(b"mdhd", struct.pack(">IIIIHH", 0, 0, TIMESCALE, 0, _UNDETERMINED_LANGUAGE, 0)),
        _full_box(b"hdlr", bytes(4) + b"vide" + bytes(12) + b"video\x00"),
        media_information,
    )
    track_header = struct.pack(">IIIII", 0, 0, _TRACK, 0, 0) + bytes(16) + _UNITY_MATRIX
    track_header += struct.pack(">II", width << 16, height << 16)
    movie_header = struct.pack(">IIIIIH", 0, 0, TIMESCALE, 0, 0x10000, 0x100) + bytes(10) + _UNITY_MATRIX
    movie_header += bytes(24) + struct.pack(">I", _TRACK + 1)
    movie = _box(
        b"moov",
        _full_box(b"mvhd", movie_header),
        _box(b"trak", _full_box(b"tkhd", track_header, flags=3), media),
        _box(b"mvex", _full_box(b"trex", struct.pack(">IIIII", _TRACK, 1, 0, 0, 0))),
    )
    return _box(b"ftyp", b"iso6", struct.pack(">I", 1), b"iso6cmfcavc1mp41") + movie


def _movie_fragment(sequence: int, samples: list[_Sample], durations: list[int]) -> bytes:
    rows = b"".join(
        struct.pack(
            ">III", duration, len(sample.data), _SYNC_SAMPLE if sample.keyframe else _DIFFERENCE_SAMPLE
        )
        for sample, duration in zip(samples, durations, strict=True)
    )

    def moof(data_offset: int) -> bytes:
        run = struct.pack(">Ii", len(samples), data_offset) + rows
        track_fragment = _box(
            b"traf",
            _full_box(b"tfhd", struct.pack(">I", _TRACK), flags=_DEFAULT_BASE_IS_MOOF),
            _full_box(b"tfdt", struct.pack(">Q", samples[0].ticks), version=1),
            _full_box(b"trun", run, flags=_DURATION_SIZE_FLAGS_EACH | _DATA_OFFSET_PRESENT),
        )
        return _box(b"moof", _full_box(b"mfhd", struct.pack(">I", sequence)), track_fragment)

    header_bytes = 8
    media = _box(b"mdat", *(sample.data for sample in samples))
    return moof(len(moof(0)) + header_bytes) + media


def _box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + kind + content


def _full_box(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)
