"""Fetching, against a real server that breaks off, lies, refuses and stalls."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.clock import ManualClock
from engine.errors import EngineError, ModelCorrupt, ModelError, ModelNotFound
from engine.models.fetch import AT_START, Patience, Wanted, _locked, fetch

if TYPE_CHECKING:
    from tests.models.conftest import Site


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "model.onnx"


def part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def files(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_a_file_is_fetched_once_and_checked(site: Site, target: Path) -> None:
    seen: list[tuple[int, int]] = []
    fetch(site.wanted, target, lambda done, total: seen.append((done, total)))
    assert target.read_bytes() == site.body
    assert files(target) == ["model.onnx"]
    assert seen[-1] == (300_000, 300_000)
    assert seen == sorted(seen)
    fetch(site.wanted, target)
    assert site.requests == [""]
    assert files(target) == ["model.onnx"]


def test_a_connection_that_breaks_goes_on_where_it_stopped(site: Site, target: Path) -> None:
    site.break_after = [100_000, 50_000]
    clock = ManualClock()
    began_ns = clock.now_ns()
    fetch(site.wanted, target, clock=clock)
    assert target.read_bytes() == site.body
    assert site.requests == ["", "bytes=100000-", "bytes=150000-"]
    assert clock.now_ns() - began_ns == 1_000_000_000, "each break came after progress: two first pauses"


def test_a_later_fetch_goes_on_where_an_earlier_one_gave_up(site: Site, target: Path) -> None:
    site.break_after = [120_000]
    with pytest.raises(
        ModelNotFound, match=r"^127.0.0.1: the connection ended after 120000 of 300000 bytes$"
    ):
        fetch(site.wanted, target, patience=Patience(attempts=1))
    assert files(target) == ["model.onnx.part"]
    assert part_of(target).stat().st_size == 120_000
    fetch(site.wanted, target)
    assert target.read_bytes() == site.body
    assert site.requests == ["", "bytes=120000-"]


def test_a_fetch_that_is_killed_is_gone_on_with(site: Site, target: Path) -> None:
    site.break_after = [200_000]
    code = (
        "import sys; from pathlib import Path; from engine.models.fetch import *;"
        "url, sha256, size, target = sys.argv[1:];"
        "show = lambda done, total: print(done, flush=True);"
        "fetch(Wanted(url, sha256, int(size)), Path(target), show, Patience(pause_s=600))"
    )
    arguments = [site.url, site.wanted.sha256, str(site.wanted.size_bytes), str(target)]
    child = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    while child.stdout.readline().strip() != "200000":
        pass
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    fetch(site.wanted, target)
    assert target.read_bytes() == site.body
    assert site.requests == ["", "bytes=200000-"]


def test_a_server_without_ranges_begins_again(site: Site, target: Path) -> None:
    site.ranges = False
    site.break_after = [100_000]
    fetch(site.wanted, target, clock=ManualClock())
    assert target.read_bytes() == site.body
    assert site.requests == ["", "bytes=100000-"]


def test_a_range_other_than_the_one_asked_for_is_not_trusted(site: Site, target: Path) -> None:
    site.shifted_ranges = True
    site.break_after = [100_000]
    fetch(site.wanted, target, clock=ManualClock())
    assert target.read_bytes() == site.body
    assert site.requests == ["", "bytes=100000-", ""]


@pytest.mark.parametrize("left", [b"x" * 1000, b"x" * 300_000, b"x" * 300_001])
def test_a_part_of_another_file_is_thrown_away(site: Site, target: Path, left: bytes) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(left)
    fetch(site.wanted, target)
    assert target.read_bytes() == site.body
    assert files(target) == ["model.onnx"]


def test_a_damaged_file_is_replaced(site: Site, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"x" * 300_000)
    fetch(site.wanted, target)
    assert target.read_bytes() == site.body


def test_a_wrong_checksum_keeps_nothing(site: Site, target: Path) -> None:
    wrong = Wanted(site.url, "0" * 64, len(site.body))
    with pytest.raises(ModelCorrupt) as caught:
        fetch(wrong, target)
    assert str(caught.value) == (
        f"{site.url}: the file there has sha256 {site.wanted.sha256}, not {'0' * 64}: it was changed, or "
        "replaced on its way; nothing was kept"
    )
    assert files(target) == []


@pytest.mark.parametrize("size_bytes", [299_999, 300_001])
def test_another_size_is_refused_before_it_is_read(site: Site, target: Path, size_bytes: int) -> None:
    with pytest.raises(ModelCorrupt, match=f"the file there has 300000 bytes, not {size_bytes}"):
        fetch(Wanted(site.url, site.wanted.sha256, size_bytes), target)
    assert files(target) == []


def test_a_server_that_says_no_is_asked_once(site: Site, target: Path) -> None:
    site.statuses = [404]
    with pytest.raises(ModelNotFound) as caught:
        fetch(site.wanted, target)
    assert str(caught.value) == "127.0.0.1: the server answers 404 Not Found"
    assert site.requests == [""]
    assert files(target) == []


def test_a_busy_server_is_asked_again_with_longer_pauses(site: Site, target: Path) -> None:
    site.statuses = [503, 429]
    clock = ManualClock()
    began_ns = clock.now_ns()
    fetch(site.wanted, target, clock=clock)
    assert target.read_bytes() == site.body
    assert clock.now_ns() - began_ns == 1_500_000_000


def test_a_server_that_stays_busy_is_given_up(site: Site, target: Path) -> None:
    site.statuses = [503] * 9
    with pytest.raises(ModelNotFound, match="the server answers 503 Service Unavailable"):
        fetch(site.wanted, target, clock=ManualClock())
    assert len(site.requests) == Patience().attempts


def test_a_silent_server_is_given_up(site: Site, target: Path) -> None:
    site.stall = True
    with pytest.raises(ModelNotFound, match=r"^127\.0\.0\.1: the server does not answer$"):
        fetch(site.wanted, target, patience=Patience(timeout_s=0.1, attempts=2), clock=ManualClock())
    assert len(site.requests) == 2
    assert files(target) == []


def test_at_a_start_nothing_silent_is_waited_for_or_tried_again(site: Site, target: Path) -> None:
    """Whatever it is that takes so long: the name, one of many addresses, or the server itself."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/model.onnx"
        patience = replace(AT_START, answer_s=0.2)
        with pytest.raises(ModelNotFound, match=r"^127\.0\.0\.1: no answer in 0\.2 s$"):
            fetch(Wanted(url, "0" * 64, 10), target, patience=patience, clock=ManualClock())
    site.stall = True
    with pytest.raises(ModelNotFound, match=r"^127\.0\.0\.1: the server does not answer$"):
        fetch(site.wanted, target, patience=replace(AT_START, timeout_s=0.2), clock=ManualClock())
    assert site.requests == [""]
    site.stall, site.statuses = False, [503]
    with pytest.raises(ModelNotFound, match="503"):
        fetch(site.wanted, target, patience=AT_START, clock=ManualClock())
    assert files(target) == []


@pytest.mark.parametrize(("seconds_a_piece", "waits"), [(0.1, True), (4.0, False)])
def test_what_comes_too_slowly_is_left_for_another_time(
    site: Site, target: Path, seconds_a_piece: float, waits: bool
) -> None:
    clock = ManualClock()

    def pass_time(done: int, total: int) -> None:
        clock.sleep(seconds_a_piece)

    if waits:
        fetch(site.wanted, target, pass_time, AT_START, clock)
        assert target.read_bytes() == site.body
        return
    with pytest.raises(ModelNotFound, match=r"^127\.0\.0\.1: only \d+ kB/s, \d+ s more$"):
        fetch(site.wanted, target, pass_time, AT_START, clock)
    assert files(target) == ["model.onnx.part"]
    fetch(site.wanted, target)
    assert target.read_bytes() == site.body


def test_a_refused_connection_is_not_tried_again(target: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/model.onnx"
        clock = ManualClock()
        began_ns = clock.now_ns()
        with pytest.raises(ModelNotFound, match=r"^127.0.0.1: Connection refused$"):
            fetch(Wanted(url, "0" * 64, 10), target, clock=clock)
    assert clock.now_ns() == began_ns
    assert files(target) == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x"])
def test_only_http_is_spoken(target: Path, url: str) -> None:
    with pytest.raises(ModelNotFound, match="unknown url type"):
        fetch(Wanted(url, "0" * 64, 10), target)


def test_redirects_are_followed_but_not_out_of_http(site: Site, target: Path) -> None:
    site.location = "/elsewhere.onnx"
    fetch(site.wanted, target)
    assert target.read_bytes() == site.body
    site.location = "file:///etc/hostname"
    target.unlink()
    with pytest.raises(ModelNotFound):
        fetch(site.wanted, target)


def test_two_at_once_fetch_once(site: Site, target: Path) -> None:
    site.gate.clear()
    errors: list[EngineError] = []

    def one() -> None:
        try:
            fetch(site.wanted, target)
        except EngineError as error:
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    while not site.requests:
        time.sleep(0.001)
    site.gate.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert site.requests == [""]
    assert files(target) == ["model.onnx"]
    assert target.read_bytes() == site.body


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who waits for a lock")
def test_the_lock_is_never_on_a_file_that_lost_its_name(tmp_path: Path) -> None:
    """The first holder removes the part, a third begins a new one, and only then the second gets the lock."""
    path = tmp_path / "model.onnx.part"
    waiting, same = threading.Event(), []

    def second() -> None:
        waiting.set()
        with _locked(path) as part:
            same.append(os.path.samestat(path.stat(), os.fstat(part.fileno())))

    thread = threading.Thread(target=second)
    with _locked(path):
        thread.start()
        waiting.wait()
        while not waits_for_lock(path):
            time.sleep(0.001)
        path.unlink()
        path.touch()
    thread.join()
    assert same == [True]


def waits_for_lock(path: Path) -> bool:
    """Whether someone is blocked on the lock of this file (Linux tells)."""
    inode = f":{path.stat().st_ino} "
    return any("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


def test_no_space_is_said_before_the_first_byte(site: Site, target: Path) -> None:
    with pytest.raises(ModelError) as caught:
        fetch(Wanted(site.url, "0" * 64, 1 << 60), target)
    assert str(caught.value) == f"{target}: no space for {1 << 60} bytes; free some or use another folder"
    assert site.requests == []
    assert files(target) == []


def test_a_disk_that_fills_up_leaves_nothing(site: Site, target: Path) -> None:
    """The limit on the size of a file is the kernel's full disk for one process."""
    code = (
        "import resource, sys; from pathlib import Path; from engine.errors import *;"
        "from engine.models.fetch import *;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "url, sha256, size, target = sys.argv[1:]\n"
        "try: fetch(Wanted(url, sha256, int(size)), Path(target))\n"
        "except ModelError as error: print(type(error).__name__, error)"
    )
    arguments = [site.url, site.wanted.sha256, str(site.wanted.size_bytes), str(target)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"ModelError {target}: no space for 300000 bytes; free some or use another folder\n"
    assert done.stderr == ""
    assert files(target) == []


def test_a_folder_that_cannot_be_made_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    target = tmp_path / "cache" / "deeper" / "model.onnx"
    with pytest.raises(ModelError) as caught:
        fetch(site.wanted, target)
    assert str(caught.value) == f"{target}: cannot be written: Not a directory"
