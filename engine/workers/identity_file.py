"""The file of identities: written whole or not at all, by a thread of its own, readable by its owner only.

Looks of people are biometric data: the file has mode 0600 from its first byte, and what was forgotten is in no file any
more once that has been answered. Knows bytes, not identities.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.errors import OutputError
from engine.identity.archive import MAGIC, Archive, encode

Part = bytes | memoryview


class IdentityFile:
    """One file, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._new = path.with_name(f".{path.name}.new")

    def read(self) -> bytes | None:
        """What is in it, None where there is no file; of one that is not ours the first bytes. Raises `OutputError`."""
        try:
            with self.path.open("rb") as file:
                head = file.read(len(MAGIC))
                return head + file.read() if head == MAGIC else head
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OutputError(f"{self.path}: saved identities cannot be read: {error.strerror}") from error

    def write(self, parts: Sequence[Part]) -> None:
        """Replace it: after a power cut there is the old content or the new. Raises `OutputError`."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._new.unlink(missing_ok=True)
            with open(os.open(self._new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                for part in parts:
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            os.replace(self._new, self.path)
            self._settle()
        except OSError as error:
            with contextlib.suppress(OSError):
                self._new.unlink(missing_ok=True)
            raise OutputError(f"{self.path}: identities cannot be saved: {error.strerror}") from error

    def remove(self) -> None:
        """No file any more. Raises `OutputError`."""
        try:
            self._new.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)
            if self.path.parent.is_dir():
                self._settle()
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be deleted: {error.strerror}; delete it by hand, it holds looks of people"
            ) from error

    def set_aside(self) -> Path:
        """Move it to `<name>.bad`, in the place of an older one; returns where. Raises `OutputError`."""
        bad = self.path.with_name(f"{self.path.name}.bad")
        try:
            os.replace(self.path, bad)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be moved aside: {error.strerror}") from error
        return bad

    def _settle(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Saver:
    """Saves archives in a thread, so that tracking does not wait for a disk. Belongs to the main thread.

    problem  why the newest saving failed, "" where it did not
    kept     after a failure: the old file is still there
    saved    how many have been written
    """

    def __init__(self, file: IdentityFile, wake: Callable[[], None]) -> None:
        self.problem = ""
        self.kept = False
        self.saved = 0
        self._file = file
        self._wake = wake
        self._asked = 0
        self._done = 0
        self._orders: queue.SimpleQueue[tuple[int, Archive | None, bool]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[int, str, bool]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="identity-saver", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether something is being written."""
        return self._done < self._asked

    def save(self, archive: Archive | None, forgetting: bool = False) -> int:
        """Write this, or delete the file for None; returns a number that `is_done` knows.

        forgetting  where it cannot be written the old file is deleted: it holds what must not be there any more
        """
        self._asked += 1
        self._orders.put((self._asked, archive, forgetting))
        return self._asked

    def poll(self) -> bool:
        """Take over what has been done; whether that was anything."""
        before = self._done
        while not self._answers.empty():
            self._done, self.problem, self.kept = self._answers.get()
            self.saved += not self.problem
        return self._done > before

    def is_done(self, number: int) -> bool:
        """Whether `poll` has seen the end of this."""
        return self._done >= number

    def finish(self) -> None:
        """Wait until everything is written; the thread ends."""
        self._orders.put((0, None, False))
        self._thread.join()
        self.poll()

    def _work(self) -> None:
        while True:
            number, archive, forgetting = self._orders.get()
            if not number:
                return
            self._answers.put((number, *self._carry_out(archive, forgetting)))
            self._wake()

    def _carry_out(self, archive: Archive | None, forgetting: bool) -> tuple[str, bool]:
        try:
            if archive is None:
                self._file.remove()
            else:
                self._file.write(encode(archive))
        except OutputError as error:
            if archive is not None and forgetting:
                return self._without(str(error))
            return str(error), True
        return "", False

    def _without(self, problem: str) -> tuple[str, bool]:
        try:
            self._file.remove()
        except OutputError as error:
            return str(error), True
        return f"{problem}; the file was deleted instead, because somebody in it was to be forgotten", False
