"""One controller per head: taking, refusing, fencing, and what is left of a controller that died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.errors import PtzError, PtzLeaseLost
from ptz.lease import Lease

HOLDER = """
import sys, time
from pathlib import Path
from ptz.lease import Lease
lease = Lease(Path(sys.argv[1]), "other")
print(lease.take(), flush=True)
time.sleep(60)
"""


def lease(tmp_path: Path, owner: str = "me") -> Lease:
    return Lease(tmp_path / "head.lease", owner)


def test_one_has_it_and_the_token_only_rises(tmp_path: Path) -> None:
    first, second = lease(tmp_path, "first"), lease(tmp_path, "second")
    assert first.take() == 1
    with pytest.raises(PtzLeaseLost, match="controlled by first"):
        second.take()
    assert second.token == 0
    first.check()
    first.release()
    assert second.take() == 2
    with pytest.raises(PtzLeaseLost):
        first.check()


def test_taking_over_on_purpose_fences_the_one_before(tmp_path: Path) -> None:
    old, new = lease(tmp_path, "old"), lease(tmp_path, "new")
    old.take()
    assert new.take(by_force=True) == 2
    new.check()
    with pytest.raises(PtzLeaseLost, match="taken over by new"):
        old.check()
    with pytest.raises(PtzLeaseLost, match="controlled by new"):
        old.take()
    new.check()
    with pytest.raises(PtzLeaseLost, match="controlled by new"):
        old.take()
    new.release()
    assert old.take() == 3


def test_the_same_head_is_the_same_file_however_its_address_is_written(tmp_path: Path) -> None:
    def path(url: str, channel: int = 1) -> Path:
        return Lease.of_head(url, channel, folder=tmp_path).path

    assert path("http://Camera/") == path("http://camera:80")
    assert path("https://camera") == path("https://camera:443")
    assert path("http://camera", 2) != path("http://camera", 1)
    assert path("http://camera:8080") != path("http://camera")
    assert path("sim://one") != path("sim://two")
    assert "camera" not in path("http://camera").name


def test_a_dead_controller_frees_it_at_once(tmp_path: Path) -> None:
    mine = lease(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(mine.path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "1\n"
        with pytest.raises(PtzLeaseLost, match=f"other .process {process.pid}"):
            mine.take()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    begun_s = time.monotonic()
    assert mine.take() == 2
    assert time.monotonic() - begun_s < 0.1


def test_a_damaged_file_is_no_hindrance(tmp_path: Path) -> None:
    mine = lease(tmp_path)
    mine.path.write_bytes(b"\xff{not json")
    assert mine.take() == 1
    mine.check()


def test_a_folder_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PtzError, match="XDG_CACHE_HOME"):
        Lease(tmp_path / "file" / "head.lease").take()


def test_others_of_this_machine_cannot_read_it(tmp_path: Path) -> None:
    mine = Lease.of_head("http://camera", folder=tmp_path / "ptz")
    mine.take()
    assert mine.path.stat().st_mode & 0o077 == 0
    assert mine.path.parent.stat().st_mode & 0o077 == 0
