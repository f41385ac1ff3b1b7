"""One file over HTTP into one place: resumed where it broke off, checked before it takes its name.

The bytes grow in `<file>.part`; whoever holds the kernel's lock on that file is the one who fetches, and a
second process waits and then finds the result. Knows nothing of models, caches or the registry.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import http.client
import os
import re
import shutil
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedRandom, BufferedReader
from pathlib import Path
from urllib.parse import urlsplit

from engine.clock import Clock, SystemClock
from engine.errors import ModelCorrupt, ModelError, ModelNotFound

Progress = Callable[[int, int], None]
"""Called with the bytes there are and the bytes there will be."""

_CHUNK_BYTES = 1 << 16
_WORTH_ANOTHER_TRY = frozenset({408, 425, 429, 500, 502, 503, 504})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is fetched: the URL, and the size and checksum that the file must have."""

    url: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Patience:
    """When to give up.

    timeout_s          longest silence of the server
    attempts           failures in a row without one new byte
    pause_s            wait after the first of them; doubled with each further one
    answer_s           longest time until it answers, with looking up its name and all its addresses; where that is
                       set, nothing is tried again before one byte has come. None: no limit
    least_bytes_per_s  what comes more slowly is not waited for, once `measured_s` have passed
    """

    timeout_s: float = 10.0
    attempts: int = 4
    pause_s: float = 0.5
    answer_s: float | None = None
    least_bytes_per_s: float = 0.0
    measured_s: float = 8.0


AT_START = Patience(timeout_s=4.0, attempts=2, answer_s=4.0, least_bytes_per_s=100e3)
"""For a run that can begin with another model: a good network brings every registered one, a bad one costs seconds."""


class _Interrupted(Exception):
    """The connection failed in a way that may pass."""


class _Unreachable(_Interrupted):
    """There was no connection at all."""


class _NoSuchRange(Exception):
    """The server does not go on where we stopped; only the whole file is to be had."""


def fetch(
    wanted: Wanted,
    target: Path,
    progress: Progress | None = None,
    patience: Patience | None = None,
    clock: Clock | None = None,
) -> None:
    """Make `target` the wanted file; returns at once if it already is.

    Raises `ModelNotFound` if the URL does not give it, `ModelCorrupt` if it gives another file, `ModelError`
    if it cannot be stored. An interrupted fetch leaves `<target>.part`, where the next one goes on.
    """
    part_path = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(part_path) as part:
            if _matches(target, wanted):
                part_path.unlink()
                return
            with _dropped_if_useless(part, part_path):
                _fill(part, wanted, progress or _silent, patience or Patience(), clock or SystemClock())
                os.fsync(part.fileno())
                os.replace(part_path, target)
                _sync_folder(target.parent)
    except OSError as error:
        what = f"cannot be written: {error.strerror}"
        if error.errno in _FULL:
            what = f"no space for {wanted.size_bytes} bytes; free some or use another folder"
        raise ModelError(f"{target}: {what}") from error


def _silent(done_bytes: int, total_bytes: int) -> None:
    """Progress that nobody looks at."""


@contextmanager
def _locked(path: Path) -> Iterator[BufferedRandom]:
    """The file open for appending, with its lock held. Waits for another process that has it."""
    while True:
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Whoever had the lock before has perhaps renamed or removed the file: this is not the part then.
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                yield file
                return


@contextmanager
def _dropped_if_useless(part: BufferedRandom, path: Path) -> Iterator[None]:
    """Remove the part after an error, unless the next fetch can go on with it."""
    try:
        yield
    except BaseException as error:
        full = isinstance(error, OSError) and error.errno in _FULL
        if full or isinstance(error, ModelCorrupt) or os.fstat(part.fileno()).st_size == 0:
            path.unlink(missing_ok=True)
        raise


def _fill(part: BufferedRandom, wanted: Wanted, progress: Progress, patience: Patience, clock: Clock) -> None:
    """Bring the part to its full size and check it; what an earlier fetch left in it is used if it fits."""
    began_with = part.seek(0, os.SEEK_END)
    free = shutil.disk_usage(os.path.dirname(part.name)).free
    if free < wanted.size_bytes - began_with:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    _download(part, wanted, progress, patience, clock)
    found = _sha256(part)
    if found != wanted.sha256 and began_with:
        # The beginning may be left of another version of the file.
        part.truncate(0)
        _download(part, wanted, progress, patience, clock)
        found = _sha256(part)
    if found != wanted.sha256:
        raise ModelCorrupt(
            f"{wanted.url}: the file there has sha256 {found}, not {wanted.sha256}: it was changed, or "
            "replaced on its way; nothing was kept"
        )


def _download(
    part: BufferedRandom, wanted: Wanted, progress: Progress, patience: Patience, clock: Clock
) -> None:
    """Append until the part is complete, over as many connections as patience allows."""
    failures = received = 0
    began_ns = clock.now_ns()
    while (have := part.seek(0, os.SEEK_END)) < wanted.size_bytes:
        received_before = received
        try:
            for count in _append(part, wanted, have, patience):
                received += count
                have = part.tell()
                progress(have, wanted.size_bytes)
                _check_rate(wanted, have, patience, received, (clock.now_ns() - began_ns) / 1e9)
        except _Interrupted as error:
            failures = 1 if received > received_before else failures + 1
            # What cannot even be connected to is rarely there half a second later.
            hopeless = isinstance(error, _Unreachable) or patience.answer_s is not None
            if failures >= patience.attempts or (hopeless and not received):
                raise ModelNotFound(f"{_host(wanted)}: {error}") from error
            clock.sleep(patience.pause_s * 2 ** (failures - 1))


def _append(part: BufferedRandom, wanted: Wanted, offset: int, patience: Patience) -> Iterator[int]:
    """Read one connection into the part; yields each piece's size. Raises `_Interrupted` if it breaks."""
    try:
        response = _open_in_time(wanted, offset, patience)
    except _NoSuchRange:
        offset = part.truncate(0)
        response = _open_in_time(wanted, offset, patience)
    with response:
        if offset and response.status == http.HTTPStatus.OK:
            offset = part.truncate(0)
        _check_size(response, wanted)
        while offset < wanted.size_bytes:
            chunk = _read(response, wanted.size_bytes - offset)
            if not chunk:
                raise _Interrupted(f"the connection ended after {offset} of {wanted.size_bytes} bytes")
            part.write(chunk)
            part.flush()  # a kill loses nothing of it, and a full disk is noticed here
            offset += len(chunk)
            yield len(chunk)


def _check_rate(wanted: Wanted, have: int, patience: Patience, received: int, took_s: float) -> None:
    """Raise `ModelNotFound` for a network too slow to wait for; what has come is kept."""
    if took_s < patience.measured_s or received >= patience.least_bytes_per_s * took_s:
        return
    rate = received / took_s
    raise ModelNotFound(
        f"{_host(wanted)}: only {rate / 1e3:.0f} kB/s, {(wanted.size_bytes - have) / rate:.0f} s more"
    )


def _open_in_time(wanted: Wanted, offset: int, patience: Patience) -> http.client.HTTPResponse:
    """As `_open`, given up after `patience.answer_s`: not even a dead resolver keeps anybody longer."""
    if patience.answer_s is None:
        return _open(wanted, offset, patience.timeout_s)
    answer: Future[http.client.HTTPResponse] = Future()

    def ask() -> None:
        try:
            answer.set_result(_open(wanted, offset, patience.timeout_s))
        except BaseException as error:  # for whoever waits
            answer.set_exception(error)

    threading.Thread(target=ask, name="fetch", daemon=True).start()
    try:
        return answer.result(patience.answer_s)
    except TimeoutError as error:
        answer.add_done_callback(_close_unwanted)
        raise _Unreachable(f"no answer in {patience.answer_s:g} s") from error


def _close_unwanted(answer: Future[http.client.HTTPResponse]) -> None:
    """An answer that has come too late."""
    if answer.exception() is None:
        answer.result().close()


def _read(response: http.client.HTTPResponse, missing_bytes: int) -> bytes:
    try:
        return response.read1(min(_CHUNK_BYTES, missing_bytes))
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(_in_words(error)) from error


def _open(wanted: Wanted, offset: int, timeout_s: float) -> http.client.HTTPResponse:
    """The server's answer, from `offset` on or from the beginning."""
    headers = {"User-Agent": "camring", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    request = urllib.request.Request(wanted.url, headers=headers)  # noqa: S310 - the opener knows http and https only
    try:
        response: http.client.HTTPResponse = _opener().open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        raise _refused(wanted, offset, error.code, error.reason) from None
    except urllib.error.URLError as error:
        raise _Unreachable(_in_words(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(_in_words(error)) from error
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != offset:
            response.close()
            raise _NoSuchRange
    return response


def _refused(wanted: Wanted, offset: int, status: int, reason: str) -> Exception:
    if offset and status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return _NoSuchRange()
    answer = f"the server answers {status} {reason}".rstrip()
    return (
        _Interrupted(answer) if status in _WORTH_ANOTHER_TRY else ModelNotFound(f"{_host(wanted)}: {answer}")
    )


def _check_size(response: http.client.HTTPResponse, wanted: Wanted) -> None:
    """Find out before reading it that it is another file, such as the sign-in page of a network."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    offered = match[2] if match else response.headers.get("Content-Length", "")
    if offered.isdecimal() and int(offered) != wanted.size_bytes:
        raise ModelCorrupt(
            f"{wanted.url}: the file there has {offered} bytes, not {wanted.size_bytes}: it was changed, or "
            "something on the way answers in its place; nothing was kept"
        )


def _opener() -> urllib.request.OpenerDirector:
    """Like urllib's own, proxies from the environment included, but deaf to file:, ftp: and data: URLs."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _host(wanted: Wanted) -> str:
    return urlsplit(wanted.url).hostname or wanted.url


def _in_words(reason: object) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {reason.verify_message}"
    if isinstance(reason, TimeoutError):
        return "the server does not answer"
    if isinstance(reason, http.client.RemoteDisconnected):
        return "the server closed the connection without an answer"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return str(reason) or type(reason).__name__


def _sha256(file: BufferedRandom | BufferedReader) -> str:
    file.flush()
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _matches(path: Path, wanted: Wanted) -> bool:
    if not path.is_file() or path.stat().st_size != wanted.size_bytes:
        return False
    with path.open("rb") as file:
        return _sha256(file) == wanted.sha256


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
