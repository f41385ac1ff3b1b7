"""`tools/export_onnx.py sam2`: a checkpoint, or made-up weights, → a folder with four graphs.

    python tools/export_onnx.py sam2 sam2.1_hiera_tiny.pt --size 448 --int8 dynamic
    python tools/export_onnx.py sam2 edgetam.pt --size 512
    python tools/export_onnx.py sam2 nano_sam.pt --out nano_sam
    python tools/export_onnx.py sam2 --random tiny --size 256 --out random_tiny

Every graph is compared with torch, the modules and a tracked clip with the official model; a folder that is out of
tolerance is not written. Needs camring[export] and requirements-sam2.lock (docs/export.md).
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
from tools.sam2.families import VARIANTS, Source, side_multiple


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="export_onnx sam2", description=__doc__, epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("checkpoint", type=Path, nargs="?", metavar="FILE.pt")
    parser.add_argument(
        "--random", choices=VARIANTS, help="made-up weights instead of a checkpoint, for tests"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of --random (default: 0)")
    parser.add_argument("--variant", choices=VARIANTS, help="default: what the checkpoint's shapes tell")
    parser.add_argument(
        "--size", type=int, default=0, metavar="SIDE",
        help="side of the square picture: a multiple of 32 (default: 448, nano 256); EdgeTAM of 256 (512)",
    )  # fmt: skip
    parser.add_argument("--precision", choices=("fp32", "fp16"), default="fp32")
    parser.add_argument(
        "--weights", choices=("fp32", "fp16"),
        help="how weights lie in the files of float32 graphs; fp16 is half the size (default: fp32, nano fp16)",
    )  # fmt: skip
    parser.add_argument(
        "--int8", choices=("dynamic", "static"), help="write an eight-bit variant too, into FOLDER_int8"
    )
    parser.add_argument(
        "--calibrate",
        metavar="SOURCE",
        help="static: folder, clip or URL for the ranges (default: drawn ones)",
    )
    parser.add_argument(
        "--calibrate-count", type=int, default=8, metavar="N", help="pictures of it (default: 8)"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: <model>_<size>[_fp16] here")
    parser.add_argument(
        "--parity", choices=("full", "graphs", "none"), default="full",
        help="what is compared with torch: the official model and a tracked clip too (default), the graphs alone",
    )  # fmt: skip
    parser.add_argument("--opset", type=int, default=18, metavar="N", help="ONNX operator set (default: 18)")
    return parser


def carry_out(args: argparse.Namespace) -> int:
    """Export, compare, write. Raises an `EngineError`."""
    _check(args)
    source = _source(args)
    size = _size(args.size, source)
    half = "_fp16" if args.precision == "fp16" else ""
    out = args.out or Path(
        f"{source.family}_{source.variant}_{size}{half}".replace("edgetam_edgetam", "edgetam")
    )
    with needs("export"):
        from tools.sam2.work import Work
    weights = args.weights or ("fp16" if source.variant == "nano" else "fp32")
    work = Work(source, size, args.opset, half_weights=weights == "fp16")
    with whole_folder(out) as folder:
        work.write(folder, args.precision, args.parity)
    print(f"{out}: {source.family} {source.variant}, {size} × {size}, {args.precision}")
    if args.int8:
        eight = out.with_name(f"{out.name}_int8")
        with whole_folder(eight) as folder:
            work.write_int8(folder, args.int8, args.calibrate, args.calibrate_count)
        print(f"{eight}: the same in eight bits, {args.int8}")
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.int8 and args.precision == "fp16":
        raise ConfigError("--int8 is made of the float32 graphs: leave out --precision fp16")
    if args.calibrate and args.int8 != "static":
        raise ConfigError("--calibrate goes with --int8 static")
    if not 17 <= args.opset <= 20:
        raise ConfigError(f"--opset {args.opset}: from 17 to 20 (TensorRT and eight bits take no later one)")
    if args.calibrate_count < 1:
        raise ConfigError("--calibrate-count counts from 1")


def _size(wanted: int, source: Source) -> int:
    family = source.family
    multiple = side_multiple(family)
    size = wanted or {"edgetam": 512, "nano": 256}.get(source.variant, 448)
    if size % multiple or not 0 < size <= 4096:
        nearest = min(4096, max(multiple, round(size / multiple) * multiple))
        raise ConfigError(
            f"--size {size}: {family} takes multiples of {multiple} up to 4096; nearest: {nearest}"
        )
    return size


def _source(args: argparse.Namespace) -> Source:
    if (args.random is None) == (args.checkpoint is None):
        raise ConfigError("name a checkpoint, or --random VARIANT")
    if args.random is not None:
        family = "edgetam" if args.random == "edgetam" else "sam2.1"
        return Source(family, args.random, None, args.seed, f"random:{args.seed}")
    with needs("export"):
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
