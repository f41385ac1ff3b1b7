"""Packets between who reads them and who sends them: bounded, never waits, and what is left out is counted by reason.

What goes in begins with a key frame and has no holes, so that whatever comes out can be decoded. Pure, but for a lock.
"""

from __future__ import annotations

import threading
from collections import deque

from engine.types.packet import Packet

MOST_PACKETS = 240
MOST_BYTES = 16 * 1024 * 1024
"""Some eight seconds of video: as long as an attempt to connect takes."""

CLOSED, NO_KEYFRAME, TOO_SLOW = "disconnected", "no_keyframe", "too_slow"
"""Why packets are left out: nobody takes any; before the first key frame and after a hole; the destination takes them
more slowly than they come."""


class Outbox:
    """A queue with two ends: `offer` for the reader's thread, `take` and `restart` for the sender's.

    dropped          packets by reason
    newest_keyframe  the newest that was offered, whether it went in or not: enough to connect with
    """

    def __init__(self, most_packets: int = MOST_PACKETS, most_bytes: int = MOST_BYTES) -> None:
        self.dropped = {CLOSED: 0, NO_KEYFRAME: 0, TOO_SLOW: 0}
        self.newest_keyframe: Packet | None = None
        self._most_packets = most_packets
        self._most_bytes = most_bytes
        self._packets: deque[Packet] = deque()
        self._bytes = 0
        self._open = False
        self._last_number: int | None = None
        self._changed = threading.Condition()

    @property
    def needs_keyframe(self) -> bool:
        """Whether nothing can go in before the next key frame."""
        with self._changed:
            return self._open and self._last_number is None

    def __len__(self) -> int:
        with self._changed:
            return len(self._packets)

    def offer(self, packet: Packet) -> None:
        """Put a packet in, or leave it out. Never waits for the one who sends."""
        meta = packet.meta
        with self._changed:
            if meta.keyframe:
                self.newest_keyframe = packet
            if not self._open:
                self.dropped[CLOSED] += 1
                return
            follows = self._last_number is not None and meta.number == self._last_number + 1
            if not (meta.keyframe or follows):
                self._last_number = None
                self.dropped[NO_KEYFRAME] += 1
                return
            self._last_number = meta.number
            self._packets.append(packet)
            self._bytes += len(packet.data)
            if len(self._packets) > self._most_packets or self._bytes > self._most_bytes:
                self._make_room()
            self._changed.notify()

    def take(self, timeout_s: float) -> Packet | None:
        """The oldest packet; None if none has come in this time, or at `close`."""
        with self._changed:
            if not self._packets and self._open:
                self._changed.wait(timeout_s)
            if not self._packets:
                return None
            packet = self._packets.popleft()
            self._bytes -= len(packet.data)
            return packet

    def restart(self) -> None:
        """Take packets from the next key frame on; what waits is left out."""
        with self._changed:
            self._leave_out(len(self._packets), CLOSED)
            self._open, self._last_number = True, None

    def close(self) -> None:
        """Leave everything out from now on, and what waits."""
        with self._changed:
            self._leave_out(len(self._packets), CLOSED)
            self._open = False
            self._changed.notify_all()

    def _make_room(self) -> None:
        """Leave out whole groups of pictures: up to the newest key frame; all, where that is not enough."""
        newest = max((i for i, packet in enumerate(self._packets) if packet.meta.keyframe), default=0)
        kept_bytes = sum(len(packet.data) for packet in list(self._packets)[newest:])
        kept = len(self._packets) - newest
        if newest == 0 or kept > self._most_packets or kept_bytes > self._most_bytes:
            newest, self._last_number = len(self._packets), None
        self._leave_out(newest, TOO_SLOW)

    def _leave_out(self, count: int, reason: str) -> None:
        for _ in range(count):
            self._bytes -= len(self._packets.popleft().data)
        self.dropped[reason] += count
