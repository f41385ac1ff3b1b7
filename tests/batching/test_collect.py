"""When a batch that is not full is run, by policy."""

from __future__ import annotations

import pytest

from engine.batching.collect import Adaptive, All, Collect, Gathering, Greedy, Missing
from engine.config.settings import SETTINGS

MS = 1_000_000
SINCE, WINDOW = 1000 * MS, 60 * MS
END = SINCE + WINDOW


def gathering(*missing: Missing) -> Gathering:
    return Gathering(SINCE, WINDOW, missing)


def missing(expected_ms: float, period_ms: float = 60) -> Missing:
    """Expected so long after the first frame."""
    expected_ns = SINCE + round(expected_ms * MS)
    return Missing(expected_ns, expected_ns + round(period_ms * MS), SINCE + 1800 * MS)


def test_every_policy_of_the_settings_is_there() -> None:
    assert set(Collect.names) == set(SETTINGS["infer.collect"].choices)


@pytest.mark.parametrize("policy", [Greedy(), Adaptive(), All()])
def test_with_everybody_there_it_runs_at_once(policy: Collect) -> None:
    assert policy.runs_at(gathering()) <= SINCE


def test_greedy_waits_for_nobody() -> None:
    assert Greedy().runs_at(gathering(missing(1))) == SINCE


def test_adaptive_waits_for_who_should_come_but_never_beyond_the_window() -> None:
    assert Adaptive().runs_at(gathering(missing(20))) == END
    assert Adaptive().runs_at(gathering(missing(20), missing(50))) == END


def test_adaptive_does_not_wait_for_who_comes_later_anyway() -> None:
    assert Adaptive().runs_at(gathering(missing(200, period_ms=200))) == SINCE
    assert Adaptive().runs_at(gathering(missing(70))) == END, "a little jitter is waited for"


def test_adaptive_gives_up_who_pauses() -> None:
    """Its frame was due 40 ms before the first of this batch came: 20 ms later it is late by a whole period."""
    assert Adaptive().runs_at(gathering(missing(-40))) == SINCE + 20 * MS
    assert Adaptive().runs_at(gathering(missing(-400))) < SINCE
    assert Adaptive().runs_at(gathering(missing(-400), missing(10))) == END, "another one is still to come"


def test_all_waits_until_the_last_one_is_not_live_any_more() -> None:
    assert All().runs_at(gathering(missing(-400), missing(5000))) == SINCE + 1800 * MS
