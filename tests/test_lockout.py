"""The governor of refused logins: its budget, over secrets, processes, restarts and folders that cannot be used."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import PtzBusy, PtzLocked
from engine.lockout import (
    BLOCK_S,
    MOST_REFUSED,
    MOST_REFUSED_BY_ALL,
    PROVEN_S,
    WINDOW_S,
    Governor,
    logins_folder,
)
from engine.lockout_ledger import Ledger


class Account:
    """An account of a simulated world, with a clock that is moved by hand."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.now_s = 1000.0
        self.ledger = ledger or Ledger()

    def governor(self, password: str = "geheim", user: str = "admin", host: str = "10.0.0.9") -> Governor:
        return Governor(host, user, password, ledger=self.ledger, now=lambda: self.now_s)


@pytest.fixture(params=["memory", "folder"])
def account(request: pytest.FixtureRequest, tmp_path: Path) -> Account:
    return Account(Ledger(tmp_path / "logins" if request.param == "folder" else None))


def refuse(governor: Governor) -> None:
    governor.refused(governor.reserve())


def test_two_refusals_and_then_none(account: Account) -> None:
    governor = account.governor()
    refuse(governor)
    account.now_s += 300
    refuse(account.governor())
    assert governor.blocked_s == BLOCK_S
    with pytest.raises(
        PtzLocked, match=r"10\.0\.0\.9: the password was refused; .* nothing is sent for 30 min"
    ):
        governor.reserve()
    with pytest.raises(PtzLocked):
        governor.check()
    account.now_s += BLOCK_S - 1
    with pytest.raises(PtzLocked, match="for 1 s"):
        account.governor().reserve()


def test_after_the_block_one_refusal_begins_it_again(account: Account) -> None:
    governor = account.governor()
    for _ in range(MOST_REFUSED):
        refuse(governor)
    account.now_s += BLOCK_S
    refuse(governor)
    assert governor.blocked_s == BLOCK_S


def test_a_password_that_was_right_is_tried_again_after_a_minute_and_four_times_at_most(
    account: Account,
) -> None:
    """A camera that refuses everybody for a while."""
    governor = account.governor()
    governor.accepted(governor.reserve())
    account.now_s += 3600
    for _ in range(MOST_REFUSED):
        refuse(governor)
    assert governor.blocked_s == WINDOW_S
    account.now_s += WINDOW_S
    governor.accepted(governor.reserve())
    account.now_s += 3600
    tries = 0
    for _ in range(60):
        account.now_s += 10
        if not governor.blocked_s:
            refuse(governor)
            tries += 1
    assert tries == MOST_REFUSED_BY_ALL


def test_success_clears_but_the_window_holds(account: Account) -> None:
    governor = account.governor()
    refuse(governor)
    account.now_s += 1
    governor.accepted(governor.reserve())
    account.now_s += 1
    refuse(governor)
    account.now_s += 1
    # One of a row, but the second within a minute.
    with pytest.raises(PtzLocked, match="now and then; nothing is sent for 57 s"):
        governor.reserve()
    account.now_s += WINDOW_S - 3
    governor.accepted(governor.reserve())
    assert governor.blocked_s == 0


def test_a_changed_password_may_be_tried_at_once(account: Account) -> None:
    wrong, right = account.governor("falsch"), account.governor("richtig")
    for _ in range(MOST_REFUSED):
        refuse(wrong)
    right.accepted(right.reserve())
    assert right.blocked_s == 0 and wrong.blocked_s == BLOCK_S


def test_who_tries_many_passwords_locks_the_account_too(account: Account) -> None:
    for word in ("a", "b", "c", "d"):
        refuse(account.governor(word))
    with pytest.raises(PtzLocked, match="several passwords were refused"):
        account.governor("e").reserve()
    account.now_s += BLOCK_S
    account.governor("e").reserve()


def test_other_accounts_go_on(account: Account) -> None:
    for _ in range(MOST_REFUSED):
        refuse(account.governor())
    account.governor(user="operator").reserve()
    account.governor(host="10.0.0.10").reserve()
    with pytest.raises(PtzLocked):
        account.governor(host=" 10.0.0.9. ").reserve()


def test_permits_are_reserved_before_sending(account: Account) -> None:
    governors = [account.governor() for _ in range(4)]
    permits = [governor.reserve() for governor in governors[:MOST_REFUSED]]
    with pytest.raises(PtzBusy):
        governors[2].reserve()
    governors[0].refused(permits[0])
    with pytest.raises(PtzBusy):
        governors[2].reserve()
    governors[1].returned(permits[1])
    permit = governors[2].reserve()
    governors[2].accepted(permit)
    # A password that works is sent by everybody at once.
    assert [governor.reserve().number for governor in governors] == [""] * 4


def test_a_permit_that_never_came_back_counts_for_a_minute(account: Account) -> None:
    governor = account.governor()
    for _ in range(MOST_REFUSED):
        governor.reserve()
    account.now_s += WINDOW_S - 1
    with pytest.raises(PtzBusy):
        governor.reserve()
    account.now_s += 1
    governor.reserve()


def test_a_proof_grows_old(account: Account) -> None:
    governor = account.governor()
    governor.accepted(governor.reserve())
    account.now_s += PROVEN_S - 1
    assert governor.reserve().number == ""
    account.now_s += 1
    assert governor.reserve().number != ""


def test_the_camera_says_that_it_is_locked(account: Account) -> None:
    account.governor().locked(90)
    with pytest.raises(PtzLocked, match="the camera has locked the account; nothing is sent for 90 s"):
        account.governor("another").reserve()
    account.now_s += 90
    account.governor().reserve()
    account.governor().locked()
    assert account.governor().blocked_s == BLOCK_S


def test_a_person_acts(account: Account) -> None:
    for _ in range(MOST_REFUSED):
        refuse(account.governor())
    account.governor().locked(1e6)
    account.governor().allow_again()
    assert account.governor().blocked_s == 0
    account.governor().reserve()


def test_files_tell_nothing(tmp_path: Path) -> None:
    account = Account(Ledger(tmp_path / "logins"))
    governor = account.governor("Passw0rd!")
    refuse(governor)
    (path,) = (tmp_path / "logins").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    text = path.name + path.read_text()
    assert not any(word in text for word in ("10.0.0.9", "admin", "Passw0rd"))
    (tag,) = json.loads(path.read_text())["secrets"]
    # Short on purpose: thousands of a dictionary have it.
    assert len(tag) == 4
    assert "Passw0rd" not in repr(vars(account.ledger))


def test_salts_differ(tmp_path: Path) -> None:
    account = Account(Ledger(tmp_path))
    refuse(account.governor(host="a"))
    refuse(account.governor(host="b"))
    salts = {json.loads(path.read_text())["salt"] for path in tmp_path.iterdir()}
    assert len(salts) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"salt": 1}', '{"secrets": {"a": 3}}', "\0\0\0"])
def test_a_damaged_file_counts_as_empty(tmp_path: Path, content: str) -> None:
    account = Account(Ledger(tmp_path))
    refuse(account.governor())
    (path,) = tmp_path.iterdir()
    path.write_text(content)
    for _ in range(MOST_REFUSED):
        refuse(account.governor())
    assert account.governor().blocked_s == BLOCK_S


def test_a_folder_that_cannot_be_made_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    account = Account(Ledger(tmp_path / "file" / "logins"))
    for _ in range(MOST_REFUSED):
        refuse(account.governor())
    with pytest.raises(PtzLocked):
        account.governor().reserve()
    (note,) = account.ledger.notes
    assert "each process counts its own" in note and str(tmp_path) in note


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    account = Account(Ledger(tmp_path / "logins"))
    refuse(account.governor())
    (path,) = (tmp_path / "logins").iterdir()
    path.unlink()
    (tmp_path / "precious").write_text("precious")
    path.symlink_to(tmp_path / "precious")
    refuse(account.governor())
    assert (tmp_path / "precious").read_text() == "precious" and account.ledger.notes


def test_the_clock_begins_anew_with_the_machine(tmp_path: Path) -> None:
    account = Account(Ledger(tmp_path))
    account.now_s = 50_000.0
    for _ in range(MOST_REFUSED):
        refuse(account.governor())
    account.now_s = 100.0
    # How long the machine was off is not known: the time begins again, and passes.
    assert account.governor().blocked_s == BLOCK_S
    account.now_s = 100.0 + BLOCK_S
    assert account.governor().blocked_s == 0


def test_what_is_long_out_of_use_is_forgotten(tmp_path: Path) -> None:
    account = Account(Ledger(tmp_path))
    for index in range(4):
        refuse(account.governor(f"word {index}"))
    account.now_s += 100_000
    refuse(account.governor("new"))
    (path,) = tmp_path.iterdir()
    assert len(json.loads(path.read_text())["secrets"]) == 1


@pytest.mark.parametrize(
    ("environ", "platform", "expected"),
    [
        ({"ENGINE_LOGINS": "/x", "HOME": "/h"}, "linux", "/x"),
        ({"HOME": "/h"}, "linux", "/h/.cache/camring/logins"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/c"}, "linux", "/c/camring/logins"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "relative"}, "linux", "/h/.cache/camring/logins"),
        ({"HOME": "/h"}, "darwin", "/h/Library/Caches/camring/logins"),
    ],
)
def test_where_the_files_are(environ: dict[str, str], platform: str, expected: str) -> None:
    assert str(logins_folder(environ, platform)) == expected


def lost(governor: Governor) -> None:
    governor.reserve()


Step = Callable[[Governor], None]
STEPS: dict[str, Step] = {
    "refused": refuse,
    "accepted": lambda governor: governor.accepted(governor.reserve()),
    "returned": lambda governor: governor.returned(governor.reserve()),
    "lost": lost,
}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["refused", "refused", *STEPS]), st.floats(0, 70)), max_size=60))
def test_never_more_than_two_refusals_in_a_minute(steps: list[tuple[str, float]]) -> None:
    account = Account()
    refusals: list[float] = []
    for name, wait_s in steps:
        account.now_s += wait_s
        try:
            STEPS[name](account.governor())
        except (PtzLocked, PtzBusy):
            continue
        if name == "refused":
            refusals.append(account.now_s)
            assert sum(time_s > account.now_s - WINDOW_S for time_s in refusals) <= MOST_REFUSED


TRY = """
import sys, time
from engine.errors import PtzBusy, PtzLocked
from engine.lockout import Governor
sent = 0
for _ in range(40):
    governor = Governor("10.0.0.9", "admin", "falsch")
    try:
        permit = governor.reserve()
    except (PtzBusy, PtzLocked):
        time.sleep(0.005)
        continue
    sent += 1
    time.sleep(0.01)
    governor.refused(permit)
print(sent)
"""


def test_processes_share_the_budget(tmp_path: Path) -> None:
    environment = os.environ | {"ENGINE_LOGINS": str(tmp_path)}
    tries = [
        subprocess.Popen([sys.executable, "-c", TRY], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(3)
    ]
    sent = [int(process.communicate(timeout=60)[0]) for process in tries]
    assert sum(sent) == MOST_REFUSED


HOLD = """
import sys, time
from pathlib import Path
from engine.lockout_ledger import Ledger
with Ledger(Path(sys.argv[1])).account(sys.argv[2], 0.0):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_process_that_holds_the_file_blocks_nobody_for_long(tmp_path: Path) -> None:
    account = Account(Ledger(tmp_path))
    refuse(account.governor())
    name = next(tmp_path.iterdir()).stem
    command = [sys.executable, "-c", HOLD, str(tmp_path), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        with pytest.raises(PtzBusy, match="another process holds"):
            account.governor().reserve()
        process.kill()
    account.governor().reserve()
