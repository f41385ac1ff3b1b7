"""The file of identities: whole or not at all, its owner's only, and without those who were forgotten."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import OutputError
from engine.identity.archive import MAGIC, Archive, archive_of, decode
from engine.identity.gallery import Gallery
from engine.workers.identity_file import IdentityFile, Saver
from tests.identity.people import SETTINGS, People
from tests.workers.house import until


def archive(count: int) -> Archive:
    gallery, people = Gallery(SETTINGS, ("yard",)), People()
    for person in range(count):
        gallery.enter("yard", person + 1, 0, 0.0)
        gallery.describe(
            "yard", gallery.table.known_ids[gallery.table.row_of[person + 1]], people.looks(person)
        )
    return archive_of(gallery, "net", 1, [count + 1])


@pytest.fixture
def file(tmp_path: Path) -> IdentityFile:
    return IdentityFile(tmp_path / "folder" / "people.bin")


def test_it_is_the_owners_only_from_the_first_byte(file: IdentityFile) -> None:
    before = os.umask(0)
    try:
        file.write([b"one"])
        file.write([MAGIC, memoryview(b"three")])
    finally:
        os.umask(before)
    assert file.read() == MAGIC + b"three"
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert os.listdir(file.path.parent) == ["people.bin"]


def test_a_disk_that_is_full_leaves_what_was_there(small_disk: Callable[[int], Path]) -> None:
    file = IdentityFile(small_disk(64 * 1024) / "people.bin")
    file.write([MAGIC, b"old"])
    with pytest.raises(OutputError, match=r"people\.bin: identities cannot be saved: No space left"):
        file.write([bytes(256 * 1024)])
    assert file.read() == MAGIC + b"old" and os.listdir(file.path.parent) == ["people.bin"]


def test_of_a_file_that_is_not_ours_only_the_beginning_is_read(file: IdentityFile) -> None:
    file.write([bytes(1000)])
    assert file.read() == bytes(8)


def test_what_cannot_be_read_or_deleted_is_said(tmp_path: Path) -> None:
    folder = IdentityFile(tmp_path)
    with pytest.raises(OutputError, match="cannot be read"):
        folder.read()
    with pytest.raises(OutputError, match="delete it by hand"):
        folder.remove()
    assert IdentityFile(tmp_path / "none").read() is None
    IdentityFile(tmp_path / "none" / "deeper").remove()


def test_it_is_moved_aside_over_an_older_one(file: IdentityFile) -> None:
    for content in (b"first", b"second"):
        file.write([content])
        assert file.set_aside().read_bytes() == content
    assert os.listdir(file.path.parent) == ["people.bin.bad"]


def test_the_saver_writes_beside_and_wakes(file: IdentityFile) -> None:
    woken = threading.Event()
    saver = Saver(file, woken.set)
    number = saver.save(archive(3))
    assert woken.wait(10)
    until(lambda: saver.poll() or saver.is_done(number), "saved")
    assert saver.is_done(number) and saver.saved == 1 and not saver.busy and not saver.problem
    content = file.read()
    assert content is not None and len(decode(content).arrays["gids"]) == 3
    saver.save(None)
    saver.finish()
    assert file.read() is None


def test_where_forgetting_cannot_be_written_the_old_file_goes(small_disk: Callable[[int], Path]) -> None:
    folder = small_disk(128 * 1024)
    file = IdentityFile(folder / "people.bin")
    saver = Saver(file, lambda: None)
    saver.save(archive(3))
    saver.save(archive(2000))
    saver.finish()
    assert "No space left" in saver.problem and saver.kept, "an ordinary saving that fails takes nothing away"
    assert file.read() is not None
    saver = Saver(file, lambda: None)
    saver.save(archive(2000), forgetting=True)
    saver.finish()
    assert file.read() is None and not saver.kept and "deleted instead" in saver.problem
