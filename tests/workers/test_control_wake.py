"""One wake-up for several threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from engine.workers.control_wake import SharedWake
from ipc.notify import Notifier


@pytest.fixture
def notifier() -> Iterator[Notifier]:
    notifier = Notifier.create()
    yield notifier
    notifier.close()


def test_every_end_is_woken_once(notifier: Notifier) -> None:
    shared = SharedWake(notifier)
    ends = [shared.end(), shared.end()]
    shared.start()
    notifier.notify()
    assert [end.wait(5.0) for end in ends] == [True, True]
    assert [end.wait(0.0) for end in ends] == [False, False]
    ends[0].notify()
    assert [end.wait(0.0) for end in ends] == [True, False]
    shared.stop()


def test_stopping_wakes_a_last_time(notifier: Notifier) -> None:
    shared = SharedWake(notifier)
    end = shared.end()
    shared.start()
    woken: list[bool] = []
    waiting = threading.Thread(target=lambda: woken.append(end.wait(10.0)))
    waiting.start()
    shared.stop()
    waiting.join(5.0)
    assert woken == [True]
