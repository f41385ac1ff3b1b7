"""When a source is tried again, on a clock that stands still until it is moved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from engine.clock import ManualClock
from engine.errors import (
    SourceDisconnected,
    SourceError,
    SourceNotFound,
    SourceUnauthorized,
    SourceUnsupported,
)
from engine.sources.base import Picture, Source, SourceOptions
from engine.sources.reconnect import Backoff, Reconnector, SourceState, Wait
from engine.types import U8

Event = Picture | SourceError | float | None


class ScriptedSource(Source):
    """Plays a script: an error to raise, a picture, seconds that pass, or None for the end."""

    def __init__(self, script: Iterable[Event], clock: ManualClock, *, live: bool) -> None:
        super().__init__(SourceOptions("rtsp://camera/1"))
        self.live, self.closed = live, 0
        self._script, self._clock = iter(script), clock

    def open(self) -> None:
        event = next(self._script)
        if isinstance(event, SourceError):
            raise event

    def grab(self) -> Picture | None:
        for event in self._script:
            if isinstance(event, float):
                self._clock.advance(event)
            elif isinstance(event, SourceError):
                raise event
            else:
                return event
        raise AssertionError("the script is over")

    def read_into(self, y: U8, uv: U8) -> None:
        y[:], uv[:] = 1, 2

    def close(self) -> None:
        self.closed += 1


class Largest:
    """The longest time that jitter may give."""

    def uniform(self, a: float, b: float, /) -> float:
        assert a == 0
        return b


OK: Event = None
GONE = SourceDisconnected("source rtsp://camera/1: connection refused")
REFUSED = SourceUnauthorized("source rtsp://camera/1: wrong password")


def picture() -> Picture:
    return Picture(8, 8, 0, 0)


class Run:
    """A reconnector over one script per connection."""

    def __init__(self, *scripts: Sequence[Event], live: bool = True) -> None:
        self.clock = ManualClock()
        self.sources: list[ScriptedSource] = []
        self._scripts = iter(scripts)
        self._live = live
        self.reconnector = Reconnector(self.make, self.clock, rng=Largest())

    def make(self) -> Source:
        self.sources.append(ScriptedSource(next(self._scripts), self.clock, live=self._live))
        return self.sources[-1]

    def until_wait(self) -> tuple[list[Picture], float]:
        """Pictures up to the next wait of more than an instant, and how many seconds that is."""
        pictures: list[Picture] = []
        while True:
            item = self.reconnector.grab()
            assert item is not None
            if isinstance(item, Picture):
                pictures.append(item)
                continue
            seconds = (item.until_ns - self.clock.now_ns()) / 1e9
            if seconds > 0.01:
                return pictures, seconds
            self.clock.advance(seconds)

    def waits(self, count: int) -> list[float]:
        """The next waits, each sat out."""
        waits = []
        for _ in range(count):
            waits.append(self.until_wait()[1])
            self.clock.advance(waits[-1])
        return waits

    def state(self) -> SourceState:
        return self.reconnector.state


def test_a_camera_that_is_down_at_the_start_is_reconnecting() -> None:
    run = Run([GONE], [OK, picture(), GONE])
    assert run.state() is SourceState.CONNECTING
    assert run.until_wait() == ([], 0.25)
    assert run.state() is SourceState.RECONNECTING
    assert "connection refused" in run.reconnector.reason
    assert isinstance(run.reconnector.grab(), Wait)
    assert len(run.sources) == 1, "it must not connect before its time"
    run.clock.advance(0.25)
    assert run.reconnector.grab() is not None
    assert isinstance(run.reconnector.grab(), Picture)
    assert run.state() is SourceState.STREAMING


def test_waits_double_up_to_the_cap() -> None:
    run = Run(*[[GONE]] * 9)
    assert run.waits(9) == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


def test_a_stream_that_breaks_at_once_does_not_start_over_with_short_waits() -> None:
    run = Run(*[[OK, picture(), 3.0, GONE]] * 4)
    assert run.waits(4) == [0.25, 0.5, 1.0, 2.0]


def test_ten_good_seconds_make_the_waits_short_again() -> None:
    run = Run([GONE], [GONE], [OK, picture(), 10.0, picture(), GONE], [GONE])
    assert run.waits(4) == [0.25, 0.5, 0.25, 0.5]


def test_a_connection_without_a_picture_was_not_good() -> None:
    run = Run([GONE], [OK, 60.0, GONE], [OK, 60.0, GONE])
    assert run.waits(3) == [0.25, 0.5, 1.0]


def test_jitter_spreads_over_the_whole_wait() -> None:
    rng = np.random.default_rng(1)
    waits = [Backoff().after_failure(2, rng) for _ in range(400)]
    assert 0 <= min(waits) < 0.05 and 0.95 < max(waits) <= 1.0
    assert Backoff().after_failure(10_000, rng) <= 10.0


def test_a_wrong_password_is_tried_rarely() -> None:
    run = Run([REFUSED], [REFUSED], [REFUSED], [REFUSED])
    assert run.waits(4) == [60.0, 300.0, 300.0, 300.0]
    assert run.state() is SourceState.UNAUTHORIZED
    assert len(run.sources) == 4


def test_an_outage_between_two_refusals_does_not_shorten_the_wait() -> None:
    run = Run([REFUSED], [GONE], [REFUSED], [OK, picture(), GONE], [REFUSED])
    assert run.waits(5) == [60.0, 0.25, 300.0, 0.5, 60.0]


def test_the_first_picture_after_a_break_is_marked() -> None:
    run = Run([OK, picture(), picture(), GONE], [OK, picture(), picture(), GONE])
    first, wait = run.until_wait()
    run.clock.advance(wait)
    second, _ = run.until_wait()
    assert [p.discontinuity for p in first + second] == [False, False, True, False]
    assert run.reconnector.connections == 2


def test_every_source_is_closed() -> None:
    run = Run([GONE], [OK, picture(), GONE], [OK, picture()])
    run.waits(2)
    run.reconnector.grab()
    run.reconnector.grab()
    run.reconnector.close()
    run.reconnector.close()
    assert [source.closed for source in run.sources] == [1, 1, 1]


def test_a_file_is_never_tried_again() -> None:
    run = Run([OK, picture(), SourceError("truncated: 1 of 9 frames")], live=False)
    assert isinstance(run.reconnector.grab(), Picture)
    with pytest.raises(SourceError, match="truncated"):
        run.reconnector.grab()
    assert run.state() is SourceState.FAILED
    assert run.reconnector.grab() is None
    assert len(run.sources) == 1


def test_a_file_that_ends_has_ended() -> None:
    run = Run([OK, picture(), None], live=False)
    assert isinstance(run.reconnector.grab(), Picture)
    assert run.reconnector.grab() is None
    assert run.state() is SourceState.ENDED
    assert run.sources[0].closed == 1


def test_what_no_attempt_can_mend_is_raised() -> None:
    run = Run([SourceUnsupported("no video stream")])
    with pytest.raises(SourceUnsupported):
        run.reconnector.grab()
    assert run.state() is SourceState.FAILED


def test_what_has_worked_before_is_tried_again() -> None:
    run = Run([OK, picture(), GONE], [SourceUnsupported("no video stream")], [SourceNotFound("404")], [GONE])
    assert run.waits(4) == [0.25, 0.5, 1.0, 2.0]


def test_a_stream_that_is_not_published_yet_is_awaited() -> None:
    run = Run([SourceNotFound("404")], [GONE])
    assert run.waits(2) == [0.25, 0.5]


def test_state_says_since_when() -> None:
    run = Run([GONE], [GONE], [OK, picture()])
    began = run.clock.now_ns()
    run.waits(2)
    assert run.reconnector.since_ns == began
    while run.state() is not SourceState.STREAMING:
        run.reconnector.grab()
        run.clock.advance(0.001)
    assert run.reconnector.since_ns > began


def test_read_into_goes_to_the_source() -> None:
    run = Run([OK, picture(), None], live=False)
    run.reconnector.grab()
    y, uv = np.zeros((8, 8), np.uint8), np.zeros((4, 4, 2), np.uint8)
    run.reconnector.read_into(y, uv)
    assert y.all() and (uv == 2).all()
