"""Events wait to be taken, and what is lost is counted."""

from __future__ import annotations

from engine.segmentation.events import EventKind, EventLog


def test_events_are_taken_once_and_overflow_is_counted() -> None:
    log = EventLog("door", most=3)
    for number in range(5):
        log.add(EventKind.LOST, number, float(number), "gone")
    assert (len(log), log.added, log.overflow) == (3, 5, 2)
    assert [event.object_id for event in log.drain()] == [2, 3, 4]
    assert log.drain() == ()
    log.add(EventKind.MODE, 0, 9.0, "off → track")
    assert log.drain()[0].to_dict() == {
        "kind": "mode changed", "camera": "door", "object_id": 0, "time_s": 9.0, "text": "off → track",
    }  # fmt: skip
