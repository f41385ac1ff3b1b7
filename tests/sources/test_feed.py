"""The thread that reads a live connection: order, deadlines, lag, and letting go."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from engine.clock import SystemClock
from engine.errors import SourceDisconnected, SourceUnauthorized
from engine.sources.feed import Arrival, LiveFeed, packets_to_skip


@dataclass(frozen=True)
class Letter:
    """A packet."""

    number: int
    is_keyframe: bool = False


class Line:
    """A connection that delivers `count` packets, each after `gate` allows it, and then ends or breaks."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.gate = threading.Semaphore(0)
        self.closed = threading.Event()
        self._count, self._error = count, error

    def packets(self) -> Iterator[Letter]:
        for number in range(self._count):
            self.gate.acquire()
            yield Letter(number)
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self.closed.set()

    def deliver(self, count: int) -> None:
        self.gate.release(count)


def feed_of(line: Line) -> LiveFeed[Line, Letter]:
    return LiveFeed(lambda: line, "rtsp://camera/1", SystemClock())


def number_of(arrival: Arrival[Letter] | None) -> int:
    assert arrival is not None
    return arrival.packet.number


def test_packets_come_in_order_with_their_time_and_then_the_end() -> None:
    line = Line(3)
    feed = feed_of(line)
    assert feed.connection(5.0) is line
    line.deliver(3)
    arrivals = [feed.next(5.0) for _ in range(3)]
    assert [number_of(arrival) for arrival in arrivals] == [0, 1, 2]
    times = [arrival.captured_ns for arrival in arrivals if arrival]
    assert times == sorted(times)
    assert feed.next(5.0) is None
    assert not line.closed.is_set(), "the decoder may still hold packets"
    feed.close()
    assert line.closed.is_set()


def test_what_breaks_the_connection_is_raised_behind_the_last_packet() -> None:
    line = Line(1, SourceDisconnected("broken"))
    feed = feed_of(line)
    feed.connection(5.0)
    line.deliver(1)
    assert number_of(feed.next(5.0)) == 0
    for _ in range(2):
        with pytest.raises(SourceDisconnected, match="broken"):
            feed.next(5.0)
    feed.close()


def test_what_opening_raised_is_raised() -> None:
    def connect() -> Line:
        raise SourceUnauthorized("wrong password")

    feed: LiveFeed[Line, Letter] = LiveFeed(connect, "rtsp://camera/1", SystemClock())
    with pytest.raises(SourceUnauthorized, match="wrong password"):
        feed.connection(5.0)
    feed.close()


def test_silence_is_noticed_on_time() -> None:
    line = Line(2)
    feed = feed_of(line)
    feed.connection(5.0)
    clock = SystemClock()
    start_ns = clock.now_ns()
    assert not feed.ready(0.02, 0.2)
    with pytest.raises(SourceDisconnected, match=r"rtsp://camera/1: silent for 0\.2 s"):
        feed.next(0.2)
    assert 0.15 < (clock.now_ns() - start_ns) / 1e9 < 1.0
    line.deliver(2)
    assert number_of(feed.next(5.0)) == 0, "a late packet is a sign of life"
    feed.close()


def test_no_answer_at_all() -> None:
    answer = threading.Event()

    def connect() -> Line:
        answer.wait()
        return Line(0)

    feed: LiveFeed[Line, Letter] = LiveFeed(connect, "rtsp://camera/1", SystemClock())
    assert not feed.ready(0.01, 0.1)
    with pytest.raises(SourceDisconnected, match=r"no answer within 0\.1 s"):
        feed.connection(0.1)
    feed.close(wait_s=0.01)
    answer.set()


def test_close_does_not_wait_for_a_blocked_read() -> None:
    line = Line(5)
    feed = feed_of(line)
    feed.connection(5.0)
    clock = SystemClock()
    start_ns = clock.now_ns()
    feed.close(wait_s=0.1)
    assert (clock.now_ns() - start_ns) / 1e9 < 1.0
    assert not line.closed.is_set()
    line.deliver(1)
    assert line.closed.wait(5.0), "the thread closes the connection when its read returns"


@pytest.mark.parametrize(
    ("keys", "skip"),
    [("k...", 0), ("....", 0), ("..k.", 2), ("k.k.k", 4), ("", 0)],
)
def test_late_packets_are_left_out_up_to_the_newest_key_frame(keys: str, skip: int) -> None:
    backlog = deque(Arrival(Letter(n, key == "k"), 100 + n, 0) for n, key in enumerate(keys))
    assert packets_to_skip(backlog, oldest_allowed_ns=101) == skip
    assert packets_to_skip(backlog, oldest_allowed_ns=100) == 0
