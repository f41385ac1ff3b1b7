"""`tools/export_onnx.py sam2`: a checkpoint, or made-up weights, → a folder with four graphs.

    python tools/export_onnx.py sam2 sam2.1_hiera_tiny.pt --size 448 --out models/sam2.1_tiny_448
    python tools/export_onnx.py sam2 --random tiny --size 256 --out /somewhere/tiny

Needs camring[export] and Meta's package (docs/export.md).
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.errors import ConfigError, OutputError
from tools.command_line import EXIT_STATUS, needs, run_tool
from tools.sam2.families import VARIANTS, Source, build, side_multiple


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="export_onnx sam2", description=__doc__, epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("checkpoint", type=Path, nargs="?", metavar="FILE.pt")
    parser.add_argument("--random", choices=VARIANTS, metavar="VARIANT", help="made-up weights, for tests")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of --random (default: 0)")
    parser.add_argument("--variant", choices=VARIANTS, help="default: what the checkpoint's shapes tell")
    parser.add_argument("--size", type=int, default=448, metavar="SIDE", help="default: 448")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument(
        "--parity", choices=("full", "graphs"), default="full",
        help="what is compared with torch: graphs alone, or the whole loop too (default)",
    )  # fmt: skip
    parser.add_argument("--opset", type=int, default=18, metavar="N", help="ONNX operator set (default: 18)")
    return parser


def carry_out(args: argparse.Namespace) -> int:
    """Export, compare, write. Raises an `EngineError`."""
    source = _source(args)
    multiple = side_multiple(source.family)
    if args.size % multiple or not 0 < args.size <= 4096:
        raise ConfigError(f"--size {args.size}: has to be a multiple of {multiple}")
    with needs("export"):
        from tools.sam2 import export
    with whole_folder(args.out) as folder:
        parts = build(source, args.size)
        graphs = export.export_graphs(parts, args.size, args.opset)
        sidecar = export.describe(parts, source, args.size, dict.fromkeys(graphs, "fp32"))
        export.write_folder(folder, graphs, sidecar)
    print(f"{args.out}: {source.family} {source.variant}, {args.size} × {args.size}, fp32")
    return 0


def _source(args: argparse.Namespace) -> Source:
    if (args.random is None) == (args.checkpoint is None):
        raise ConfigError("name a checkpoint, or --random VARIANT")
    if args.random is not None:
        family = "edgetam" if args.random == "edgetam" else "sam2.1"
        return Source(family, args.random, None, args.seed, f"random:{args.seed}")
    from tools.sam2.checkpoint import read

    return read(args.checkpoint, args.variant)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder to write into that takes its name once all of it is there. Raises `OutputError`.

    What was at the place before stays until then.
    """
    if target.exists() and not (target.is_dir() and _replaceable(target)):
        raise OutputError(f"{target}: is there and is no segmenter folder; name another")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        growing = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise OutputError(f"{target.parent}: cannot be written: {error.strerror}") from error
    try:
        yield growing
        growing.chmod(0o755)
        if target.exists():
            old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
            os.replace(target, old)
            os.replace(growing, target)
            shutil.rmtree(old)
        else:
            os.replace(growing, target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        if growing.exists():
            shutil.rmtree(growing)


def _replaceable(folder: Path) -> bool:
    return (folder / "segmenter.json").is_file() or not any(folder.iterdir())


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run_tool(build_parser(), carry_out, argv)
