"""Signals as events: nothing raises in the middle of work, and afterwards all is as it was."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time

import pytest

from engine.signals import StopSignals

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.usefixtures("signals_heard")
@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_is_an_event_with_its_name(number: signal.Signals) -> None:
    with selectors.DefaultSelector() as selector, StopSignals(selector) as signals:
        assert selector.select(0) == []
        os.kill(os.getpid(), number)
        ((key, _),) = selector.select(5)
        assert key.data is None
        assert signals.received() == number.name
        assert selector.select(0) == []


def test_signals_that_come_again_are_kept_and_hurt_nobody() -> None:
    """Somebody who is in a hurry presses Ctrl-C more than once."""
    with selectors.DefaultSelector() as selector, StopSignals(selector) as signals:
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
            time.sleep(0)  # lets the interpreter run the handler
        assert [signals.received() for _ in selector.select(5) for _ in range(3)] == [
            "SIGINT",
            "SIGINT",
            "SIGTERM",
        ]


def test_a_signal_does_not_break_a_wait() -> None:
    with selectors.DefaultSelector() as selector, StopSignals(selector):
        pid = os.getpid()
        sender = subprocess.Popen(
            [sys.executable, "-c", f"import os, time; time.sleep(0.2); os.kill({pid}, 2)"]
        )
        assert len(selector.select(20)) == 1
        sender.wait()


def test_afterwards_all_is_as_it_was() -> None:
    before = [signal.getsignal(number) for number in STOPPING]
    with selectors.DefaultSelector() as selector:
        with StopSignals(selector):
            assert [signal.getsignal(number) for number in STOPPING] != before
            assert len(selector.get_map()) == 1
        assert len(selector.get_map()) == 0
        with StopSignals(selector):
            selector.close()
    assert [signal.getsignal(number) for number in STOPPING] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_under_nohup_a_hangup_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with selectors.DefaultSelector() as selector, StopSignals(selector):
            os.kill(os.getpid(), signal.SIGHUP)
            assert selector.select(0) == []
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
