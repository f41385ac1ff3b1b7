"""What waits for a broker: bounded, the oldest dropped and counted, the newest state kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.bus.base import MOST_BATCH, Message
from engine.bus.outbox import MOST_RETAINED, Outbox
from engine.bus.topics import EVENTS, RESULTS, STATE, STATUS, Topic


def event(number: int, size: int = 1) -> Message:
    return Message(Topic(("c",), EVENTS, "gate"), b"%0*d" % (size, number), lasting=True)


def result(number: int) -> Message:
    return Message(Topic(("c",), RESULTS, "gate"), b"%d" % number)


def state(text: bytes, camera: str = "gate") -> Message:
    return Message(Topic(("c",), STATE, camera), text, retain=True)


def test_states_go_before_events_before_results_each_in_order() -> None:
    box = Outbox(10, 10)
    for message in (result(1), event(1), result(2), state(b"old"), event(2), state(b"new")):
        box.put(message)
    assert box.take() == [state(b"new"), event(1), event(2), result(1), result(2)]
    assert box.take() == []


def test_a_batch_is_bounded() -> None:
    box = Outbox(100, 10)
    for number in range(100):
        box.put(event(number))
    assert [len(box.take()) for _ in range(4)] == [MOST_BATCH] * 3 + [100 - 3 * MOST_BATCH]


def test_the_oldest_is_dropped_and_counted() -> None:
    box = Outbox(3, 2)
    for number in range(5):
        box.put(event(number))
        box.put(result(number))
    assert box.take() == [event(2), event(3), event(4), result(3), result(4)]
    assert box.dropped == {"overflow": 5}


def test_large_messages_are_bounded_by_their_bytes_results_first() -> None:
    box = Outbox(1000, 1000, most_bytes=100)
    box.put(result(1))
    for number in range(20):
        box.put(event(number, size=10))
    assert box.nbytes == 100 and box.dropped == {"memory": 11}
    assert box.take() == [event(number, size=10) for number in range(10, 20)]


def test_what_fails_goes_back_in_its_place_results_are_gone() -> None:
    box = Outbox(10, 10)
    for message in (state(b"s"), event(1), event(2), result(1)):
        box.put(message)
    batch = box.take()
    box.put(event(3))
    box.put_back(batch)
    assert box.dropped == {"unconfirmed": 1}
    assert box.take() == [state(b"s"), event(1), event(2), event(3)]


def test_what_went_back_may_have_been_replaced_or_find_no_room() -> None:
    box = Outbox(2, 2)
    for message in (state(b"old"), event(1), event(2)):
        box.put(message)
    batch = box.take()
    for message in (state(b"new"), event(3)):
        box.put(message)
    box.put_back(batch)
    assert box.take() == [state(b"new"), event(2), event(3)] and box.dropped == {"overflow": 1}


def test_what_went_back_goes_first_and_never_over_the_bounds() -> None:
    box = Outbox(100, 2, most_bytes=50)
    for message in (state(b"1", "a"), state(b"1", "b"), event(1, 30)):
        box.put(message)
    batch = box.take()
    for message in (state(b"1", "c"), event(2, 30)):
        box.put(message)
    box.put_back(batch)
    assert box.dropped == {"memory": 1} and box.nbytes == 30
    assert [message.topic.camera for message in box.take()] == ["a", "b", "c", "gate"]


def test_a_new_connection_is_told_everything_that_is_retained() -> None:
    box = Outbox(2, 2)
    box.put(state(b"a", "a"))
    box.put(state(b"b", "b"))
    box.confirm(box.take())
    assert box.take() == [] and box.sent == {"state": 2}
    box.tell_again()
    assert box.take() == [state(b"a", "a"), state(b"b", "b")]
    box.due_of_kind(STATUS)
    assert box.take() == []


def test_what_is_cleared_away_is_forgotten_once_it_is_confirmed() -> None:
    box = Outbox(2, 2)
    box.put(state(b"", "gone"))
    batch = box.take()
    box.put_back(batch)
    box.confirm(box.take())
    box.tell_again()
    assert box.take() == [] and box.retained() == set()


def test_topics_are_bounded() -> None:
    box = Outbox(2, 2)
    for number in range(MOST_RETAINED + 5):
        box.put(state(b"x", str(number)))
    assert box.dropped == {"topics": 5} and box.waiting["state"] == MOST_RETAINED


@given(st.lists(st.sampled_from(["event", "result", "state", "take", "fail", "again", "away"]), max_size=200))
def test_every_message_is_sent_waits_or_is_counted(steps: list[str]) -> None:
    """And nothing is ever more than the bounds allow."""
    box = Outbox(7, 5, most_bytes=60)
    put = 0
    for number, step in enumerate(steps):
        if step in ("event", "result"):
            box.put(event(number, 9) if step == "event" else result(number))
            put += 1
        elif step == "state":
            box.put(state(b"%d" % number))
        elif step == "take":
            box.confirm(box.take())
        elif step == "fail":
            box.put_back(box.take())
        elif step == "again":
            box.tell_again()
        else:
            box.forget_passing()
        waiting = box.waiting
        sent = box.sent["events"] + box.sent["results"]
        assert put == sent + waiting["events"] + waiting["results"] + sum(box.dropped.values())
        assert waiting["events"] <= 7 and waiting["results"] <= 5 and waiting["state"] <= 1
        assert 0 <= box.nbytes <= 60
