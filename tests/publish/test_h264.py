"""H.264 taken apart: against what x264 really gives."""

from __future__ import annotations

import pytest

from engine.errors import PublishError
from engine.publish.h264 import (
    IDR,
    PPS,
    SPS,
    ParameterSets,
    kind_of,
    length_prefixed,
    nal_units,
    picture_units,
)
from tests.publish.conftest import PacketMaker


def test_units_are_found_behind_short_and_long_start_codes() -> None:
    stream = b"\x00\x00\x00\x01\x67abc\x00\x00\x01\x68d\x00\x00\x00\x00\x01\x65efg"
    assert nal_units(stream) == [b"\x67abc", b"\x68d", b"\x65efg"]
    assert nal_units(b"no start code") == []


def test_a_key_frame_begins_with_its_parameter_sets(encoded: PacketMaker) -> None:
    key, difference = encoded(2)
    kinds = [kind_of(unit) for unit in nal_units(key.data)]
    assert SPS in kinds and PPS in kinds and IDR in kinds
    assert not {SPS, PPS} & {kind_of(unit) for unit in picture_units(key.data)}
    parameters = ParameterSets.of(key.data)
    record = parameters.decoder_configuration
    assert record[0] == 1 and record[1:4] == parameters.sps[1:4]
    assert parameters.sps in record and record.endswith(parameters.pps)
    assert parameters.codec == "avc1." + parameters.sps[1:4].hex().upper()
    with pytest.raises(PublishError, match="without SPS and PPS"):
        ParameterSets.of(difference.data)


def test_high_profile_says_its_chroma_format() -> None:
    record = ParameterSets(b"\x67\x64\x00\x1f", b"\x68\xee").decoder_configuration
    assert record.endswith(b"\x68\xee\xfd\xf8\xf8\x00")


def test_lengths_stand_in_the_place_of_start_codes() -> None:
    assert length_prefixed([b"ab", b"c"]) == b"\x00\x00\x00\x02ab\x00\x00\x00\x01c"
