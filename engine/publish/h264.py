"""H.264 in Annex B form taken apart: NAL units, parameter sets, and the record that mp4 and RTMP begin with.

ITU-T H.264 section 7.3 and annex B; AVCDecoderConfigurationRecord: ISO/IEC 14496-15 section 5.3.3.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from engine.errors import PublishError

IDR, SEI, SPS, PPS, DELIMITER = 5, 6, 7, 8, 9
"""Types of NAL units."""

_START_CODE = b"\x00\x00\x01"
_WITHOUT_CHROMA_FORMAT = (66, 77, 88)
"""Profiles (Baseline, Main, Extended) whose record ends with the parameter sets."""


def nal_units(access_unit: bytes) -> list[bytes]:
    """The NAL units of an access unit, without start codes."""
    units = []
    start = access_unit.find(_START_CODE)
    while start >= 0:
        end = access_unit.find(_START_CODE, start + 3)
        # Zeros before a start code belong to it; no NAL unit ends with one.
        unit = access_unit[start + 3 : end if end >= 0 else len(access_unit)].rstrip(b"\x00")
        if unit:
            units.append(unit)
        start = end
    return units


def kind_of(unit: bytes) -> int:
    """Type of a NAL unit."""
    return unit[0] & 31


def picture_units(access_unit: bytes) -> list[bytes]:
    """What a decoder needs that has the parameter sets already: slices and supplemental information."""
    return [unit for unit in nal_units(access_unit) if kind_of(unit) not in (SPS, PPS, DELIMITER)]


def length_prefixed(units: Iterable[bytes]) -> bytes:
    """NAL units as in mp4 and RTMP: each behind its length in four bytes."""
    return b"".join(part for unit in units for part in (struct.pack(">I", len(unit)), unit))


@dataclass(frozen=True, slots=True)
class ParameterSets:
    """What a decoder must know before the first picture: NAL units of a sequence and a picture parameter set."""

    sps: bytes
    pps: bytes

    @classmethod
    def of(cls, access_unit: bytes) -> ParameterSets:
        """Those that a key frame begins with. Raises `PublishError` where there are none."""
        found = {kind_of(unit): unit for unit in nal_units(access_unit)}
        if SPS not in found or PPS not in found or len(found[SPS]) < 4:
            raise PublishError("the encoder gave a key frame without SPS and PPS; choose another encoder")
        return cls(found[SPS], found[PPS])

    @property
    def codec(self) -> str:
        """As in RFC 6381: `avc1.42C01F`."""
        return f"avc1.{self.sps[1:4].hex().upper()}"

    @property
    def decoder_configuration(self) -> bytes:
        """The AVCDecoderConfigurationRecord: `avcC` in mp4, the sequence header in RTMP. 8 bits, 4:2:0."""
        record = bytes((1, *self.sps[1:4], 0xFF, 0xE1)) + struct.pack(">H", len(self.sps)) + self.sps
        record += b"\x01" + struct.pack(">H", len(self.pps)) + self.pps
        if self.sps[1] not in _WITHOUT_CHROMA_FORMAT:
            record += bytes((0xFC | 1, 0xF8, 0xF8, 0))
        return record
