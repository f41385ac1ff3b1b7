"""What every tool does at its edges: one line for an error, an exit status, whole files or none.

Imports nothing heavy, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.errors import ConfigError, EngineError, OutputError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

EXIT_STATUS = (
    "Exit status: 0 done, 1 not done or out of tolerance, 2 a flag or a package is missing or wrong."
)

SAM2 = "SAM2_BUILD_CUDA=0 pip install --no-deps --no-build-isolation -r requirements-sam2.lock, after camring[export]"
"""How the one package comes that no extra can bring."""


def run_tool(
    parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], int],
    argv: Sequence[str] | None = None,
) -> int:
    """Parse and work; returns the exit status. What is wrong is one line on standard error, never a traceback."""
    args = parser.parse_args(argv)
    name = parser.prog
    try:
        return work(args)
    except EngineError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Who read our output has seen enough; the interpreter must not complain again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted; nothing was written", file=sys.stderr)
        return 130


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Import packages of an extra in here. Raises `ConfigError` that names it where one is not there."""
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "sam2":
            raise ConfigError(f"this needs the package sam2: {SAM2}") from error
        raise ConfigError(
            f"this needs the package {error.name or error}: pip install 'camring[{extra}]', or in a checkout "
            f"pip install -e '.[{extra}]'"
        ) from error


def check_input(path: Path, suffix: str) -> Path:
    """The file of this kind that a user names. Raises `ConfigError`."""
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder; name a {suffix} file")
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file (looked from {os.getcwd()})")
    if path.suffix.lower() != suffix:
        raise ConfigError(f"{path}: is no {suffix} file by its name")
    return path


def check_output(path: Path, suffix: str) -> Path:
    """A place where a file can be written, found out before any work is done. Raises `OutputError`."""
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name the {suffix} file to write")
    if path.suffix.lower() != suffix:
        raise OutputError(f"{path}: the result is a {suffix} file; name it so")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            return path
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot be written: {error.strerror}") from error


def write_whole(path: Path, content: bytes) -> None:
    """Make the file this content, or leave what is there as it is. Raises `OutputError`."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except OSError as error:
        what = f"no space for {len(content)} bytes" if error.errno in _FULL else f"{error.strerror}"
        raise OutputError(f"{path}: cannot be written: {what}") from error
    finally:
        if os.path.exists(name):
            os.unlink(name)


def _umask() -> int:
    """The process's mask; there is no way to read it without setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as their widest cell."""
    table = [tuple(map(str, row)) for row in (columns, *rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(columns))]
    for row in table:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
