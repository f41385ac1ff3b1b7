"""Packets through shared memory: encoded pictures into a camera's `packets` pool, and whole again out of it.

A packet that does not fit into one slot lies in several, one after the other. Nobody is waited for: a reader that falls
behind finds holes in the numbers of a rendition, which it counts and its users mend at the next key frame. Knows
packets and pools; does not know who encodes, nor who shows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from engine.errors import OutputError
from engine.types import Packet, PacketMeta, Rendition
from engine.workers.feed import Feed, Writer
from ipc.pool import Lease


class PacketWriter:
    """The one who encodes. Numbers the packets of each rendition, on from where a killed predecessor stopped."""

    def __init__(self, writer: Writer, numbers: Mapping[str, int] | None = None) -> None:
        """`numbers`: the last ones by name of rendition in lower case, as far as a predecessor could tell of them."""
        self._writer = writer
        self.newest_ns: dict[Rendition, int] = {}
        """`captured_ns` of the newest packet: what the next one must be later than."""
        told = numbers or {}
        self.numbers: dict[Rendition, int] = {each: told.get(each.name.lower(), 0) for each in Rendition}
        """Number of the newest packet, 0 before the first."""
        # What was written after the predecessor's last status still lies in the pool.
        for _, block in writer.producer.metas_after(0):
            meta = PacketMeta.unpack(block)
            self.numbers[meta.rendition] = max(self.numbers[meta.rendition], meta.number)
            self.newest_ns[meta.rendition] = max(self.newest_ns.get(meta.rendition, 0), meta.captured_ns)

    @property
    def most_bytes(self) -> int:
        """The largest packet that there is room for: half of the pool, so that it never pushes itself out."""
        layout = self._writer.producer.layout
        return layout.slot_bytes * max(1, layout.slots // 2)

    def write(self, meta: PacketMeta, data: bytes | memoryview) -> PacketMeta:
        """Write one packet, in as many parts as it needs, and wake those who read; what its first part says.

        Parts are filled in here, and the number, too, where it is 0. Raises `OutputError` for an empty packet and for
        one that is larger than `most_bytes`; it has taken no number then.
        """
        if not data or len(data) > self.most_bytes:
            raise OutputError(
                f"a packet of {len(data)} bytes: there is room for 1 to {self.most_bytes}; "
                "raise stream.packet_slot_kib"
            )
        number = meta.number or self.numbers[meta.rendition] + 1
        slot_bytes = self._writer.producer.layout.slot_bytes
        starts = range(0, len(data), slot_bytes)
        first = replace(meta, number=number, part=0, parts=len(starts), part_bytes=min(len(data), slot_bytes))
        payload = memoryview(data)
        for part, start in enumerate(starts):
            piece = payload[start : start + slot_bytes]
            with self._writer.producer.write() as slot:
                slot.data[: len(piece)] = piece
                replace(first, part=part, part_bytes=len(piece)).pack_into(slot.meta)
        self.numbers[meta.rendition] = number
        self.newest_ns[meta.rendition] = meta.captured_ns
        self._writer.notify()
        return first


class PacketReader:
    """One who reads: whole packets of all renditions, in order, as copies. Holds no lease between calls."""

    def __init__(self, feed: Feed) -> None:
        """Goes on behind what this row has acknowledged; at first with the oldest packet that is still there."""
        self._feed = feed
        self._after_seq = feed.acknowledged()
        self._begun: tuple[PacketMeta, list[bytes]] | None = None
        self._newest: dict[Rendition, int] = {}
        self.lost: dict[Rendition, int] = dict.fromkeys(Rendition, 0)
        """Packets that were overwritten before they could be read, by rendition."""

    def next(self) -> Packet | None:
        """The next whole packet; None while there is none."""
        while (lease := self._feed.lease_next(self._after_seq)) is not None:
            with lease:
                packet = self._take(lease)
                self._after_seq = lease.seq
            self._feed.acknowledge(self._after_seq)
            if packet is not None:
                return packet
        return None

    def _take(self, lease: Lease) -> Packet | None:
        """Take a part over; the packet, once it is whole."""
        meta = PacketMeta.unpack(lease.meta)
        piece = bytes(lease.data[: meta.part_bytes])
        if meta.part == 0:
            self._begun = meta, [piece]
        elif self._begun is None or not _goes_on(self._begun, meta):
            self._begun = None
            return None
        else:
            self._begun[1].append(piece)
        first, pieces = self._begun
        if len(pieces) < first.parts:
            return None
        self._begun = None
        if first.rendition in self._newest:
            self.lost[first.rendition] += max(0, first.number - self._newest[first.rendition] - 1)
        self._newest[first.rendition] = first.number
        return Packet(first, pieces[0] if len(pieces) == 1 else b"".join(pieces))


def _goes_on(begun: tuple[PacketMeta, list[bytes]], meta: PacketMeta) -> bool:
    first, pieces = begun
    return (meta.rendition, meta.number, meta.part) == (first.rendition, first.number, len(pieces))
