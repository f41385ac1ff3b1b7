"""The newest events in memory: numbers that only grow, pages, what is told of those that are gone."""

from __future__ import annotations

from engine.control.event_log import EventLog
from engine.control.stream import KINDS, Streams
from tests.control.asking import Site

EVERY: frozenset[str] = frozenset()


def log_of(count: int, **limits: int) -> EventLog:
    log = EventLog(1000, **limits)
    for number in range(count):
        log.add("gate" if number % 2 else "yard", [("count" if number % 3 else "fast", b"%d" % number)])
    return log


def test_pages_lead_through_all_events() -> None:
    log = log_of(10)
    first = log.page(1000, EVERY, EVERY, 4)
    assert (first.bodies, first.following, first.lost) == ([b"0", b"1", b"2", b"3"], 1004, False)
    rest = log.page(first.following, EVERY, EVERY, 100)
    assert (rest.bodies[0], len(rest.bodies), rest.following) == (b"4", 6, 1010)
    assert log.page(1010, EVERY, EVERY, 4).bodies == []


def test_without_a_number_the_newest_come() -> None:
    page = log_of(10).page(0, EVERY, EVERY, 3)
    assert (page.bodies, page.following, page.lost) == ([b"7", b"8", b"9"], 1010, False)


def test_only_what_was_asked_for() -> None:
    page = log_of(12).page(1, frozenset({"gate"}), frozenset({"fast"}), 100)
    assert page.bodies == [b"3", b"9"]
    short = log_of(12).page(1000, frozenset({"gate"}), EVERY, 2)
    assert (short.bodies, short.following) == ([b"1", b"3"], 1004)


def test_what_found_no_room_is_told() -> None:
    for log in (log_of(10, most_events=3), log_of(10, most_bytes=3)):
        assert log.page(1005, EVERY, EVERY, 9).lost
        kept = log.page(1007, EVERY, EVERY, 9)
        assert (kept.bodies, kept.lost) == ([b"7", b"8", b"9"], False)


def test_events_that_may_have_been_overlooked_are_told() -> None:
    log = log_of(2)
    log.note_gap()
    log.add("gate", [("count", b"2")])
    assert log.page(1002, EVERY, EVERY, 9).lost and not log.page(1003, EVERY, EVERY, 9).lost


def test_events_over_http() -> None:
    from engine.control.app import create_app

    site = Site()
    streams = Streams(first_event=500)
    site.app = create_app(lambda: site.engine.status, site.engine.commands, streams)
    streams.publish("gate", b"", [("count", b'{"kind":"count","n":1}'), ("fast", b'{"kind":"fast","n":2}')])
    body = site.ask("GET", "/events").json()
    assert body == {
        "events": [{"kind": "count", "n": 1}, {"kind": "fast", "n": 2}],
        "next": 502,
        "lost": False,
    }
    assert site.ask("GET", "/events?since=502").json() == {"events": [], "next": 502, "lost": False}
    assert [
        each["n"]
        for each in site.ask("GET", "/events?kind=fast&kind=count&camera=gate&limit=1").json()["events"]
    ] == [2]
    assert site.ask("GET", "/events?camera=nowhere").status_code == 404


def test_the_kinds_of_the_two_ways_are_the_same() -> None:
    from typing import get_args

    from engine.control.event_routes import Kind

    assert get_args(Kind) == KINDS
