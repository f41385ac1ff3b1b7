"""The pool's rules hold in every interleaving with kills; a pool with one rule broken is found out."""

from __future__ import annotations

import pytest

from tests.ipc.model import Rules, Setup, Violation, explore

SOUND = [
    Setup(slots=3, readers=("newest",), leases=1, last_seq=5, kills=2),
    Setup(slots=4, readers=("newest",), leases=2, last_seq=5, kills=2),
    Setup(slots=5, readers=("next",), leases=1, last_seq=7, kills=2),
    Setup(slots=4, readers=("newest", "newest"), leases=1, last_seq=4, kills=2),
    Setup(slots=4, readers=("newest", "next"), leases=1, last_seq=4, kills=1),
    Setup(slots=5, readers=("newest", "newest", "newest"), leases=1, last_seq=3, kills=1),
]

OFFLINE = [
    Setup(slots=3, readers=("required",), leases=1, last_seq=6, kills=0),
    Setup(slots=3, readers=("required",), leases=1, last_seq=5, kills=2),
    Setup(slots=4, readers=("required",), leases=2, last_seq=5, kills=2),
    Setup(slots=4, readers=("required", "newest"), leases=1, last_seq=4, kills=1),
    Setup(slots=4, readers=("required", "required"), leases=1, last_seq=4, kills=1),
]


def describe(setup: Setup) -> str:
    return f"{'+'.join(setup.readers)}-S{setup.slots}-L{setup.leases}-kills{setup.kills}"


@pytest.mark.parametrize("setup", SOUND, ids=describe)
def test_live_pool_keeps_every_invariant(setup: Setup) -> None:
    assert explore(setup).states > 5_000


@pytest.mark.parametrize("setup", OFFLINE, ids=describe)
def test_required_reader_gets_every_sequence_once_and_nobody_gets_stuck(setup: Setup) -> None:
    assert explore(setup).states > 1_000


@pytest.mark.parametrize(
    ("broken", "invariant"),
    [
        (Rules(look_at_leases=False), "I1"),
        (Rules(never_expire_leases=False), "I1"),
        (Rules(write_before_publish=False), "I1"),
        (Rules(reap_dead_rows=False), "I4"),
        (Rules(spare_newest=False), "I5"),
        (Rules(lock_dies_with_holder=False), "I7"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_rule_is_found(broken: Rules, invariant: str) -> None:
    with pytest.raises(Violation, match=rf"^\('{invariant} "):
        explore(Setup(4, ("newest", "newest"), leases=1, last_seq=5, kills=1, rules=broken))


def test_one_slot_too_few_is_found() -> None:
    with pytest.raises(Violation, match="I4"):
        explore(Setup(3, ("newest", "newest"), leases=1, last_seq=4, kills=0))


@pytest.mark.parametrize(
    ("broken", "invariant"),
    [(Rules(honour_required=False), "I11"), (Rules(acknowledge=False), "L1")],
    ids=["overwrites unread", "never acknowledges"],
)
def test_broken_back_pressure_is_found(broken: Rules, invariant: str) -> None:
    with pytest.raises(Violation, match=invariant):
        explore(Setup(3, ("required",), leases=1, last_seq=5, kills=0, rules=broken))
