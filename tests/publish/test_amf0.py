"""Values of RTMP commands: there and back, and against bytes written out by hand from the specification."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import PublishError
from engine.publish import amf0

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
PLAIN = st.none() | st.booleans() | st.floats(allow_nan=False) | TEXTS
VALUES = PLAIN | st.dictionaries(TEXTS.filter(bool), PLAIN, max_size=4)


@given(st.lists(VALUES, max_size=5))
def test_there_and_back(values: list[amf0.Value]) -> None:
    assert amf0.decode(amf0.encode(*values)) == values


def test_bytes_of_the_specification() -> None:
    data = bytes.fromhex("02 0007 636f6e6e656374 00 3ff0000000000000 03 0003 617070 02 0004 6c697665 000009")
    assert amf0.encode("connect", 1.0, {"app": "live"}) == data
    array = bytes.fromhex("08 00000001 0001 61 0101 000009 0a 00000001 05")
    assert amf0.decode(array) == [{"a": True}, [None]]


@given(st.binary(max_size=60))
def test_nonsense_is_refused(data: bytes) -> None:
    with suppress(PublishError):
        amf0.decode(data)


def test_what_cannot_be_sent() -> None:
    with pytest.raises(TypeError):
        amf0.encode(b"bytes")  # type: ignore[arg-type]  # that is what is tested
