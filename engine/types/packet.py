"""Encoded pictures on their way from the one encoder to everybody who shows them: `PacketMeta` in a slot's meta block.

The payload is an access unit of H.264 in Annex B form (a key frame begins with its SPS and PPS), or a whole JPEG. A
packet that does not fit into one slot lies in several, one after the other.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import ClassVar


class Rendition(IntEnum):
    """What of a camera is encoded. Each has an encoder of its own, which runs while somebody wants it."""

    OVERLAY = 0
    """H.264 of the processed picture: masks, boxes and so on drawn in."""
    CLEAN = 1
    """H.264 of the picture as it came, for viewers that draw by themselves."""
    OVERLAY_JPEG = 2
    """JPEG of the processed picture: snapshots, and viewers that can do nothing else."""
    CLEAN_JPEG = 3
    """JPEG of the picture as it came."""


class PacketFlag(IntFlag):
    """Facts about one packet."""

    NONE = 0
    KEYFRAME = 1
    """Decoding can begin here."""
    DISCONTINUITY = 2
    """First packet of another encoder: size or parameters may have changed."""
    NO_SIGNAL = 4
    """The picture says that there is none: the source has given none for a while."""


@dataclass(frozen=True, slots=True)
class PacketMeta:
    """What is known of one packet. The camera is the pool's.

    rendition    whose packet it is; those of different renditions come in between each other
    number       counts the packets of a rendition, from 1; goes on over restarts, so that holes are losses
    part, parts  which part of the packet this slot holds, from 0, and how many there are
    part_bytes   of the payload in this slot
    frame_index  number of the frame in its source, as in the frame records; -1 for a picture without one
    captured_ns  monotonic ns when the frame's data arrived: the time that every stream is timed by; strictly rising
    wall_ns      ns since the Unix epoch that belong to captured_ns, as in the frame records' `time`
    encoded_ns   monotonic ns when the packet left the encoder
    width, height  pixels of the picture, as encoded (even)
    """

    rendition: Rendition
    number: int
    part: int
    parts: int
    part_bytes: int
    frame_index: int
    captured_ns: int
    wall_ns: int
    encoded_ns: int
    width: int
    height: int
    flags: PacketFlag = PacketFlag.NONE

    _LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBxxHHIqqqqqII")

    @property
    def keyframe(self) -> bool:
        """Whether decoding can begin here."""
        return bool(self.flags & PacketFlag.KEYFRAME)

    def pack_into(self, meta: memoryview | bytearray) -> None:
        """Write the fixed layout into a slot's meta block."""
        self._LAYOUT.pack_into(
            meta, 0, self.rendition, self.flags, self.part, self.parts, self.part_bytes, self.number,
            self.frame_index, self.captured_ns, self.wall_ns, self.encoded_ns, self.width, self.height,
        )  # fmt: skip

    @classmethod
    def unpack(cls, meta: memoryview | bytes | bytearray) -> PacketMeta:
        """Read the fixed layout from a slot's meta block."""
        (rendition, flags, part, parts, part_bytes, number, frame_index, captured_ns, wall_ns, encoded_ns,
         width, height) = cls._LAYOUT.unpack_from(meta)  # fmt: skip
        return cls(
            Rendition(rendition), number, part, parts, part_bytes, frame_index, captured_ns, wall_ns, encoded_ns,
            width, height, PacketFlag(flags),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Packet:
    """One whole packet, out of shared memory.

    meta  of its first part
    data  the payload: one access unit (Annex B), or one JPEG
    """

    meta: PacketMeta
    data: bytes
