"""Both kinds of wake-up do the same."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ipc.notify import Notifier


@pytest.fixture(params=[Notifier.create, Notifier.create_pipe], ids=["best", "pipe"])
def notifier(request: pytest.FixtureRequest) -> Iterator[Notifier]:
    create: Callable[[], Notifier] = request.param
    made = create()
    yield made
    made.close()


def test_without_notification_the_wait_times_out(notifier: Notifier) -> None:
    assert not notifier.wait(0.0)
    assert not notifier.wait(0.001)


def test_a_notification_before_the_wait_is_kept(notifier: Notifier) -> None:
    notifier.notify()
    assert notifier.wait(5.0)
    assert not notifier.wait(0.0)


def test_many_notifications_are_one_wake_up(notifier: Notifier) -> None:
    for _ in range(3000):
        notifier.notify()
    assert notifier.wait(0.0)
    assert not notifier.wait(0.0)


def test_notify_never_blocks_even_if_nobody_ever_waits(notifier: Notifier) -> None:
    for _ in range(20_000):  # a pipe holds 8192 of them
        notifier.notify()
    assert notifier.wait(0.0)
    assert not notifier.wait(0.0)


def test_clear_forgets(notifier: Notifier) -> None:
    notifier.clear()
    notifier.notify()
    notifier.clear()
    assert not notifier.wait(0.0)


def test_it_can_be_selected_on(notifier: Notifier) -> None:
    assert select.select([notifier], [], [], 0.0)[0] == []
    notifier.notify()
    assert select.select([notifier], [], [], 5.0)[0] == [notifier]


def test_a_sleeping_waiter_is_woken(notifier: Notifier) -> None:
    threading.Timer(0.02, notifier.notify).start()
    assert notifier.wait(30.0)


def test_another_process_wakes_us(notifier: Notifier) -> None:
    code = (
        "import sys; from ipc.notify import Notifier;"
        "n = Notifier(tuple(int(fd) for fd in sys.argv[1:])); n.notify(); n.close(); n.close()"
    )
    command = [sys.executable, "-c", code, *(str(fd) for fd in notifier.descriptors)]
    root = Path(__file__).parents[2]
    child = subprocess.Popen(command, pass_fds=notifier.descriptors, cwd=root)
    assert notifier.wait(30.0)
    assert child.wait(timeout=30) == 0
    assert not notifier.wait(0.0)


def test_close_gives_the_descriptors_back() -> None:
    before = len(os.listdir("/dev/fd"))
    for create in (Notifier.create, Notifier.create_pipe):
        create().close()
    assert len(os.listdir("/dev/fd")) == before
