"""Places in the memory: never more than there are, and who gives way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.segmentation.seats import Seat, Seats


def test_the_one_out_of_sight_longest_gives_way_first() -> None:
    seats = Seats(3)
    seats.take(("a", 1), Seat(5.0), insist=False)
    seats.take(("b", 1), Seat(9.0, visible=False), insist=False)
    seats.take(("a", 2), Seat(1.0), insist=False)
    assert seats.take(("a", 3), Seat(9.0), insist=False)
    assert seats.drain_evicted("b") == [1]
    assert not seats.take(("a", 4), Seat(9.0), insist=False), "all are in the picture"
    assert seats.take(("a", 4), Seat(9.0), insist=True)
    assert seats.drain_evicted("a") == [2]
    assert seats.drain_freed() == (("b", 1), ("a", 2))
    assert (seats.drain_freed(), seats.drain_evicted("a")) == ((), [])
    assert seats.evicted == 2


def test_protected_ones_stay() -> None:
    seats = Seats(1)
    seats.take(("a", 1), Seat(0.0, protected=True, visible=False), insist=True)
    assert not seats.could_take(("a", 2))
    assert seats.could_take(("a", 1))
    assert not seats.take(("a", 2), Seat(9.0), insist=True)
    seats.update(("a", 1), Seat(0.0))
    assert seats.take(("a", 2), Seat(9.0), insist=True)


def test_a_place_that_is_given_back_is_free() -> None:
    seats = Seats(1)
    seats.take(("a", 1), Seat(0.0), insist=False)
    seats.give_back(("a", 1))
    seats.give_back(("a", 1))
    assert seats.take(("b", 1), Seat(0.0), insist=False)
    seats.update(("a", 1), Seat(0.0))
    assert ("a", 1) not in seats


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans(), st.booleans()), max_size=60))
def test_never_more_than_there_are(steps: list[tuple[int, bool, bool, bool]]) -> None:
    seats = Seats(3)
    for time_s, (number, insist, protected, visible) in enumerate(steps):
        could = seats.could_take(("a", number))
        took = seats.take(("a", number), Seat(float(time_s), protected, visible), insist=insist)
        assert not insist or took == could
        assert len(seats) <= 3
        assert took == (("a", number) in seats)
