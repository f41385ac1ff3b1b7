"""Which member runs, and the change to the next one while others use it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.errors import BackendError, BackendMissing, DeviceOutOfMemory, ModelCorrupt
from engine.models.chain import BackendChain, Lanes


class Member:
    """Remembers what the chain did with it."""

    def __init__(self, name: str, closed: list[str]) -> None:
        self.name, self._closed = name, closed

    def close(self) -> None:
        self._closed.append(self.name)


class Shop:
    """Starts members; those in `missing` cannot be had."""

    def __init__(self, *missing: str) -> None:
        self.missing, self.started, self.closed = missing, list[str](), list[str]()

    def start(self, name: str) -> Member:
        self.started.append(name)
        if name in self.missing:
            raise BackendMissing(f"{name} is not installed")
        return Member(name, self.closed)


def use(chain: BackendChain[Member], work: Callable[[Member], str]) -> str:
    """As a detector does it: again, as long as something is left."""
    while True:
        try:
            with chain.current() as member:
                return work(member)
        except BackendError:
            if chain.exhausted:
                raise


def test_the_first_that_starts_runs_and_the_others_are_named() -> None:
    shop = Shop("a", "b")
    chain = BackendChain(["a", "b", "c", "d"], shop.start)
    assert shop.started == ["a", "b", "c"] and chain.name == "c"
    assert [(one.name, one.reason) for one in chain.passed_over] == [
        ("a", "a is not installed"), ("b", "b is not installed"),
    ]  # fmt: skip
    with chain.current() as member:
        assert member.name == "c"


def test_where_none_starts_every_reason_is_given() -> None:
    with pytest.raises(BackendMissing, match="a is not installed; b is not installed"):
        BackendChain(["a", "b"], Shop("a", "b").start)


def test_other_errors_are_not_passed_over() -> None:
    def start(name: str) -> Member:
        raise ModelCorrupt("not a model")

    with pytest.raises(ModelCorrupt):
        BackendChain(["a", "b"], start)


def test_the_next_one_runs_after_a_failure() -> None:
    shop = Shop("b")
    chain = BackendChain(["a", "b", "c"], shop.start)

    def work(member: Member) -> str:
        if member.name == "a":
            raise DeviceOutOfMemory("a is full")
        return member.name

    assert use(chain, work) == "c"
    assert shop.closed == ["a"] and shop.started == ["a", "b", "c"]
    assert [one.reason for one in chain.passed_over] == ["a is full", "b is not installed"]
    assert use(chain, work) == "c" and shop.started == ["a", "b", "c"]


def test_the_last_failure_stays() -> None:
    chain = BackendChain(["a"], Shop().start)

    def work(member: Member) -> str:
        raise DeviceOutOfMemory("a is full")

    for _ in range(2):
        with pytest.raises(DeviceOutOfMemory, match="a is full"):
            use(chain, work)


def test_a_failed_member_is_left_by_all_before_it_is_closed() -> None:
    """One user fails while another is at work: the next starts only after that one has come out."""
    shop = Shop()
    order: list[str] = []

    def start(name: str) -> Member:
        order.append(f"start {name}")
        return shop.start(name)

    chain = BackendChain(["a", "b"], start)
    inside, go_on = threading.Event(), threading.Event()

    def slow(member: Member) -> str:
        if member.name == "a":
            inside.set()
            assert go_on.wait(30)
            order.append("slow one leaves")
        return member.name

    def failing(member: Member) -> str:
        if member.name == "a":
            raise DeviceOutOfMemory("full")
        return member.name

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(use, chain, slow)
        assert inside.wait(30)
        second = pool.submit(use, chain, failing)
        assert not second.done() and shop.closed == []
        go_on.set()
        assert (first.result(30), second.result(30)) == ("a", "b")
    assert order == ["start a", "slow one leaves", "start b"] and shop.closed == ["a"]


def test_many_users_change_once() -> None:
    shop = Shop()
    chain = BackendChain(["a", "b"], shop.start)
    ready = threading.Barrier(8)

    def work(member: Member) -> str:
        if member.name == "a":
            ready.wait(30)
            raise DeviceOutOfMemory("full")
        return member.name

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: use(chain, work), range(8))) == {"b"}
    assert shop.started == ["a", "b"] and shop.closed == ["a"]


def test_nobody_comes_in_after_a_failure() -> None:
    """The one who fails still holds the lane when the failure is known."""
    chain = BackendChain(["a", "b"], Shop().start)
    with pytest.raises(DeviceOutOfMemory), chain.current() as member:
        with chain.guard(member):
            pass
        with pytest.raises(DeviceOutOfMemory), chain.guard(member):
            raise DeviceOutOfMemory("full")
        with chain.guard(member):
            pytest.fail("was let in")
    with chain.current() as member, chain.guard(member):
        assert member.name == "b"


def test_lanes_are_given_to_one_at_a_time() -> None:
    lanes = Lanes(2)
    with lanes.take() as first, lanes.take() as second:
        assert {first, second} == {0, 1}
    with pytest.raises(ValueError), lanes.take():
        raise ValueError
    with lanes.take() as first, lanes.take() as second:
        assert {first, second} == {0, 1}
