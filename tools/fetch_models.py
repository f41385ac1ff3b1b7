"""Fetch the models that engine-run knows by name: `engine-models` as a tool of the checkout.

    python tools/fetch_models.py --list
    python tools/fetch_models.py yolox_nano yolov8n --to models
    python tools/fetch_models.py --all

The same code as `engine-models fetch`: official URLs, checked against size and SHA-256, resumed where a fetch broke
off. Without a network it says which file to put where.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__" and not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tools.command_line import EXIT_STATUS, run_tool


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="fetch_models",
        description=__doc__,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument(
        "--list", action="store_true", help="show the models, their licences and where they are"
    )
    parser.add_argument("--all", action="store_true", help="fetch every model of the registry")
    parser.add_argument("--to", type=Path, metavar="DIR", help="folder for the files (default: the cache)")
    return parser


def carry_out(args: argparse.Namespace) -> int:
    """List or fetch. Raises an `EngineError`."""
    from engine.errors import ConfigError
    from engine.models.cli import fetch_models, known_entries, list_models
    from engine.models.registry import cache_dir, load_registry

    if sum((args.list, args.all, bool(args.names))) != 1:
        raise ConfigError("give names of models, or --all, or --list")
    registry = load_registry()
    if args.list:
        return list_models(registry)
    entries = list(registry.values()) if args.all else known_entries(registry, args.names)
    return fetch_models(entries, args.to or cache_dir())


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run_tool(build_parser(), carry_out, argv)


if __name__ == "__main__":
    sys.exit(main())
