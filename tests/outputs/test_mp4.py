"""Finding the whole fragments of an mp4 file, at every possible place where it may have been torn."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.outputs.mp4 import cut_torn_end, whole_bytes


def box(kind: bytes, payload: bytes, large: bool = False) -> bytes:
    if large:
        return (1).to_bytes(4, "big") + kind + (16 + len(payload)).to_bytes(8, "big") + payload
    return (8 + len(payload)).to_bytes(4, "big") + kind + payload


HEADER = box(b"ftyp", b"isom") + box(b"moov", b"m" * 30)
FRAGMENTS = (
    box(b"moof", b"f" * 20) + box(b"mdat", b"d" * 50),
    box(b"moof", b"g" * 20) + box(b"mdat", b"e" * 10, large=True),
)
INDEX = box(b"mfra", b"i" * 12)
FINISHED = HEADER + b"".join(FRAGMENTS) + INDEX
ENDS = (
    len(HEADER) + len(FRAGMENTS[0]),
    len(HEADER) + len(FRAGMENTS[0]) + len(FRAGMENTS[1]),
    len(FINISHED),
)


def test_a_torn_file_is_cut_behind_its_last_whole_fragment(tmp_path: Path) -> None:
    path = tmp_path / "cam0.mp4"
    for size in range(len(FINISHED) + 1):
        path.write_bytes(FINISHED[:size])
        expected = max((end for end in ENDS if end <= size), default=0)
        assert whole_bytes(path) == expected
        assert cut_torn_end(path) is (expected > 0)
        assert path.exists() is (expected > 0)
        if expected:
            assert path.read_bytes() == FINISHED[:expected]


@pytest.mark.parametrize("rubbish", [b"\0" * 100, b"\0\0\0\x01mdat" + b"\0" * 20, b"\xff" * 64])
def test_rubbish_behind_the_fragments_is_cut_off(tmp_path: Path, rubbish: bytes) -> None:
    path = tmp_path / "cam0.mp4"
    path.write_bytes(HEADER + FRAGMENTS[0] + rubbish)
    assert cut_torn_end(path)
    assert path.read_bytes() == HEADER + FRAGMENTS[0]
