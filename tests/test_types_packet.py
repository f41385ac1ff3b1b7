"""The meta block of a packet: what is written is read, and it fits into a slot's meta block."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.types import PacketFlag, PacketMeta, Rendition

big = st.integers(0, 2**63 - 1)
small = st.integers(0, 2**16 - 1)


@given(
    st.builds(
        PacketMeta,
        rendition=st.sampled_from(Rendition),
        number=big,
        part=small,
        parts=small,
        part_bytes=st.integers(0, 2**32 - 1),
        frame_index=st.integers(-1, 2**63 - 1),
        captured_ns=big,
        wall_ns=big,
        encoded_ns=big,
        width=small,
        height=small,
        flags=st.sampled_from(
            [PacketFlag.NONE, PacketFlag.KEYFRAME, PacketFlag.KEYFRAME | PacketFlag.NO_SIGNAL]
        ),
    )
)
def test_a_packet_meta_comes_back_as_it_was(meta: PacketMeta) -> None:
    block = bytearray(256)
    meta.pack_into(block)
    assert PacketMeta.unpack(block) == meta
