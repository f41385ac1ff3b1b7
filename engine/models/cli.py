"""`engine-models`: list, fetch and verify the models of the registry. `--help` imports nothing heavy.

Exit status: 0 all as asked; 1 a model was not fetched, or a file is missing or damaged; 2 wrong name or flag.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ConfigError, EngineError, ModelError
from engine.registry import nearest

if TYPE_CHECKING:
    from engine.models.fetch import Progress
    from engine.models.registry import ModelEntry


def build_parser() -> argparse.ArgumentParser:
    """The command line of `engine-models`."""
    parser = argparse.ArgumentParser(
        prog="engine-models",
        description="Models that engine-run knows by name: what there is, fetch it, check it.",
        epilog="A model is looked for in the folders of $ENGINE_MODELS, then in the cache; nano_det and nano_sam come "
        "with the package. "
        "Exit status: 0 all as asked, 1 not fetched, missing or damaged, 2 wrong name or flag.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="list|fetch|verify")
    commands.add_parser("list", help="name, kind, size, licence of every model, and where its file is")
    fetch = commands.add_parser("fetch", help="fetch models; one that broke off goes on where it stopped")
    fetch.add_argument("names", nargs="+", metavar="NAME")
    fetch.add_argument(
        "--to", type=Path, metavar="DIR", help="folder to put the files in (default: the cache)"
    )
    verify = commands.add_parser("verify", help="check the files that are there against their checksums")
    verify.add_argument(
        "names", nargs="*", metavar="NAME", help="models that must be there (default: all that are)"
    )
    return parser


def list_models(registry: Mapping[str, ModelEntry], embedded: Path | None = None) -> int:
    """Print every model: those that come with the package, then those of the registry, and what each is for."""
    from engine.models.registry import find_local

    rows = [("NAME", "FOR", "MB", "LICENCE", "INPUT", "FILE", "WHAT"), *_embedded_rows(embedded)]
    for entry in registry.values():
        found = find_local(entry.name, entry)
        place = str(found.path) if found else "not fetched"
        size = f"{entry.size_bytes / 1e6:.1f}"
        width, height = entry.input_size
        rows.append((entry.name, entry.kind, size, entry.licence, f"{width}x{height}", place, entry.what))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _embedded_rows(folder: Path | None) -> Iterator[tuple[str, ...]]:
    from engine.models.embedded import EMBEDDED, FOR, INPUT, LICENCE, WHAT, embedded_bytes, embedded_model

    for name in EMBEDDED:
        try:
            place, size = (
                f"embedded: {embedded_model(name, folder)}",
                f"{embedded_bytes(name, folder) / 1e6:.1f}",
            )
        except ModelError as error:
            place, size = str(error), "0.0"
        yield name, FOR[name], size, LICENCE, INPUT[name], place, WHAT[name]


def verify_embedded(names: Sequence[str], folder: Path | None = None) -> int:
    """Check the files of embedded models; returns how many are not as they came."""
    from engine.models.embedded import embedded_model

    wrong = 0
    for name in names:
        try:
            print(f"{name}: {embedded_model(name, folder)}: right (embedded)")
        except ModelError as error:
            wrong += 1
            print(f"{name}: {error}")
    return wrong


def fetch_models(entries: Sequence[ModelEntry], folder: Path) -> int:
    """Fetch each into the folder; one that fails does not keep the others from being fetched."""
    from engine.models.registry import fetch_entry

    failed = 0
    for entry in entries:
        try:
            with progress_bar(entry) as progress:
                path = fetch_entry(entry, folder, progress)
            print(f"{entry.name}: {path} ({entry.size_bytes} bytes, checksum right, licence {entry.licence})")
        except EngineError as error:
            failed += 1
            complain(str(error))
    return 1 if failed else 0


def verify_models(registry: Mapping[str, ModelEntry], names: Sequence[str]) -> int:
    """Check the files of these models, or of all that are there."""
    from engine.models.registry import is_intact, local_files

    wrong = checked = 0
    for name in names or registry:
        entry = registry[name]
        paths = local_files(name)
        if not paths and names:
            wrong += 1
            print(f"{name}: not fetched; engine-models fetch {name}")
        for path in paths:
            checked += 1
            intact = is_intact(path, entry)
            wrong += not intact
            print(f"{name}: {path}: " + ("right" if intact else "not the file of the registry, or damaged"))
    if not checked and not names:
        print("no model has been fetched")
    return 1 if wrong else 0


@contextmanager
def progress_bar(entry: ModelEntry) -> Iterator[Progress | None]:
    """A bar on a terminal, nothing where standard error is a file or a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with RichProgress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(entry.name, total=entry.size_bytes)
        yield lambda done_bytes, total_bytes: bar.update(task, completed=done_bytes, total=total_bytes)


def complain(message: str) -> None:
    """One line on standard error."""
    print(f"engine-models: {message}", file=sys.stderr)


def known_entries(registry: Mapping[str, ModelEntry], names: Sequence[str]) -> list[ModelEntry]:
    """The entries of these names. Raises `ConfigError` for the first unknown one."""
    from engine.models.embedded import EMBEDDED

    for name in names:
        if name not in registry:
            names = [*registry, *EMBEDDED]
            hint = nearest(name, names) or f"; known: {', '.join(sorted(names))}"
            raise ConfigError(f"unknown model {name!r}{hint}")
    return [registry[name] for name in names]


def run(args: argparse.Namespace) -> int:
    """Carry out the command; returns the exit status. Raises an `EngineError`."""
    from engine.models.embedded import EMBEDDED
    from engine.models.registry import cache_dir, load_registry

    registry = load_registry()
    if args.command == "list":
        return list_models(registry)
    own = [name for name in dict.fromkeys(args.names) if name in EMBEDDED]
    others = [name for name in args.names if name not in EMBEDDED]
    entries = known_entries(registry, others)
    if args.command == "fetch":
        for name in own:
            print(f"{name}: comes with the package, there is nothing to fetch")
        return fetch_models(entries, args.to or cache_dir())
    wrong = verify_embedded(own if args.names else EMBEDDED)
    if others or not args.names:
        wrong += verify_models(registry, others)
    return 1 if wrong else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `engine-models`."""
    args = build_parser().parse_args(argv)
    try:
        return run(args)
    except EngineError as error:
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        complain("interrupted; what was fetched so far is kept, the next fetch goes on there")
        return 130


if __name__ == "__main__":
    sys.exit(main())
