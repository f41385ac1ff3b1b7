"""`tools/export_onnx.py reid`: a re-identification network → an ONNX file that says how it is to be fed.

    python tools/export_onnx.py reid osnet_x0_25_msmt17.pth --licence "weights: research only (MSMT17)"
    python tools/export_onnx.py reid model.pth.tar-150 --out models/own.onnx
    python tools/export_onnx.py reid given.onnx --pixels rgb-255 --size 256 128 --out models/own.onnx

A checkpoint of torchreid's OSNet (x1.0, x0.75, x0.5, x0.25) is exported for any number of crops and compared with
torch; a file that is out of tolerance is not written. An ONNX file is copied, with the pixels that it wants written
into it.
Needs camring[export].
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import ConfigError, ModelUnsupported
from engine.models.entries import PIXELS
from tools.command_line import EXIT_STATUS, check_output, needs, run_tool, write_whole

SIZE_HW = (256, 128)
"""What torchreid trains on."""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="export_onnx reid", description=__doc__, epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("model", type=Path, metavar="FILE", help="checkpoint of torchreid, or an ONNX file")
    parser.add_argument("--out", type=Path, metavar="FILE.onnx", help="default: beside a checkpoint")
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"),
        help="of a crop: what the network was trained on (default: 256 128)",
    )  # fmt: skip
    parser.add_argument("--pixels", choices=PIXELS, help="of an ONNX file: how it wants its pixels")
    parser.add_argument("--licence", default="", metavar="TEXT", help="of the weights, written into the file")
    parser.add_argument("--opset", type=int, default=18, metavar="N", help="ONNX operator set (default: 18)")
    return parser


def carry_out(args: argparse.Namespace) -> int:
    """Export or mark, check, write. Raises an `EngineError`."""
    if not args.model.is_file():
        raise ConfigError(f"{args.model}: there is no such file")
    if args.size and not all(16 <= side <= 2048 and side % 16 == 0 for side in args.size):
        raise ConfigError("--size: both sides are multiples of 16, from 16 to 2048")
    if not 18 <= args.opset <= 20:
        raise ConfigError(f"--opset {args.opset}: from 18 to 20 (TensorRT and eight bits take no later one)")
    with needs("export"):
        from tools.reid import work
    if args.model.suffix.lower() == ".onnx":
        return _mark(args, work)
    if args.pixels:
        raise ConfigError("--pixels is for ONNX files; checkpoints of torchreid want rgb-imagenet")
    out = check_output(args.out or _beside(args.model), ".onnx")
    exported = work.export(args.model, tuple(args.size or SIZE_HW), args.opset, args.licence)
    print(f"{exported.variant}: largest difference {exported.difference:.2g} of {exported.largest:.3g}, "
          f"cosine at least {exported.cosine:.6f}, on {exported.pictures} made-up pictures")  # fmt: skip
    if not exported.sound:
        raise ModelUnsupported(f"{out} was not written: ONNX Runtime does not give what torch gives")
    _write(out, exported.content)
    return 0


def _mark(args: argparse.Namespace, work: Any) -> int:
    if not (args.pixels or args.size or args.licence):
        raise ConfigError("of an ONNX file, say --pixels, --size or --licence: there is nothing else to do")
    if args.out is None:
        raise ConfigError("--out: name the file to write; the given one is left as it is")
    out = check_output(args.out, ".onnx")
    _write(out, work.marked(args.model, args.pixels, tuple(args.size) if args.size else None, args.licence))
    return 0


def _write(out: Path, content: bytes) -> None:
    write_whole(out, content)
    print(f"{out}: {len(content) / 1e6:.1f} MB")


def _beside(checkpoint: Path) -> Path:
    """`name.pth.tar-150` becomes `name.onnx`."""
    stem = checkpoint.name
    for ending in (".pth", ".pt"):
        stem = stem.split(ending)[0]
    return checkpoint.with_name(f"{stem}.onnx")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run_tool(build_parser(), carry_out, argv)
