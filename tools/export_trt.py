"""ONNX → TensorRT engine for this machine's GPU, named by GPU, version and model, checked against ONNX Runtime.

    python tools/export_trt.py yolo11n.onnx                                  fp16, one to eight pictures a call
    python tools/export_trt.py yolo11n.onnx --batch 1:8:16 --level 5
    python tools/export_trt.py yolo11n.onnx --precision int8 --calibrate clip.mp4
    python tools/export_trt.py yolo11n.onnx --dry-run                        what can be checked without a GPU
    python tools/export_trt.py sam2.1_tiny_448/                              the four graphs of a segmenter

engine-run finds the engine by the ONNX file's checksum. One that is there already and was built from the same
things is left alone; a change of GPU, TensorRT, model or options builds another. Needs camring[trt,gpu], onnx and
onnxslim.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__" and not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tools.command_line import EXIT_STATUS, check_input, print_table, run_tool

if TYPE_CHECKING:
    from engine.models.trt_engine_file import Place
    from tools.parity import Parity, Tolerance
    from tools.trt_plan import Plan
    from tools.trt_segmenter import GraphPlan


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="export_trt", description=__doc__, epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("model", type=Path, metavar="FILE.onnx|FOLDER")
    parser.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="")
    parser.add_argument(
        "--batch", action="append", default=[], metavar="LEAST:BEST:MOST|N",
        help="pictures in a call; may be given again (default: 1:4:8, or the file's own); of a segmenter: objects, "
        "once (default: 1:4:16)",
    )  # fmt: skip
    parser.add_argument(
        "--frames",
        default="",
        metavar="LEAST:BEST:MOST|N",
        help="segmenter: frames in a call (default: 1:1:8)",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: where engine-run looks")
    parser.add_argument(
        "--level",
        type=int,
        default=3,
        choices=range(6),
        help="0 builds quickest, 5 runs quickest (default: 3)",
    )
    parser.add_argument("--workspace-mib", type=int, default=4096, metavar="N", help="default: 4096")
    parser.add_argument("--device", type=int, default=0, metavar="N", help="number of the GPU")
    parser.add_argument(
        "--calibrate", metavar="SOURCE", help="int8: clip, folder or URL with pictures like those to come"
    )
    parser.add_argument(
        "--calibrate-count", type=int, default=128, metavar="N", help="pictures of it (default: 128)"
    )
    parser.add_argument("--pictures", metavar="SOURCE", help="what to compare on (default: drawn pictures)")
    parser.add_argument("--count", type=int, default=8, metavar="N", help="pictures to compare (default: 8)")
    parser.add_argument(
        "--tolerance", type=float, metavar="SHARE",
        help="largest difference as a share of an output's largest value (default: by precision)",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="build even if the engine is there")
    parser.add_argument("--dry-run", action="store_true", help="check what needs no GPU, build nothing")
    return parser


def carry_out(args: argparse.Namespace) -> int:
    """Check, build, compare."""
    from engine.models.sam2_sidecar import is_segmenter
    from tools.trt_plan import Plan, Wish

    if is_segmenter(args.model):
        return _segmenter(args)
    check_input(args.model, ".onnx")
    wish = Wish(
        args.model, args.precision, tuple(args.batch), args.out, args.level, args.workspace_mib, args.calibrate or "",
        args.calibrate_count,
    )  # fmt: skip
    plan = Plan(wish)
    if args.dry_run:
        return _dry_run(plan)
    return _export(args, plan)


def _dry_run(plan: Plan) -> int:
    problems = plan.problems()
    for line in plan.facts:
        print(f"checked: {line}")
    for line in plan.packages():
        print(f"package: {line}")
    for line in plan.not_checked():
        print(f"not checked: {line}")
    for problem in problems:
        print(f"export_trt: {plan.wish.model}: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _segmenter(args: argparse.Namespace) -> int:
    """The four graphs of a folder: all checked before the first is built."""
    from engine.errors import ConfigError, ModelUnsupported
    from engine.models import sam2_sidecar
    from engine.models.trt import import_tensorrt, place_here
    from tools import trt_segmenter

    if args.calibrate or len(args.batch) > 1:
        raise ConfigError("a segmenter takes no --calibrate, and --batch once")
    rows = args.batch[0] if args.batch else ""
    wish = trt_segmenter.SegmenterWish(
        args.precision, rows, args.frames, args.out, args.level, args.workspace_mib
    )
    plans = trt_segmenter.plans(sam2_sidecar.load(args.model, checksums=True), wish)
    place = None if args.dry_run else place_here(import_tensorrt(), args.device)
    problems = [problem for plan in plans for problem in plan.problems()]
    if place is None:
        for line in [fact for plan in plans for fact in plan.facts]:
            print(f"checked: {line}")
        for line in trt_segmenter.packages():
            print(f"package: {line}")
        for line in trt_segmenter.NOT_CHECKED:
            print(f"not checked: {line}")
        for problem in problems:
            print(f"export_trt: {args.model}: {problem}", file=sys.stderr)
        return 1 if problems else 0
    if problems:
        raise ModelUnsupported(f"{args.model}: {'; '.join(problems)}")
    return max([_build_graph(args, plan, place) for plan in plans])


def _build_graph(args: argparse.Namespace, plan: GraphPlan, place: Place) -> int:
    """Build the engine of one graph of a segmenter and compare it with ONNX Runtime."""
    from engine.models.trt_engine_file import timing_cache_path
    from tools.trt_build import BuildOptions, build_engine
    from tools.trt_segmenter_parity import compare

    path = None if args.force else plan.existing(place)
    if path is not None:
        print(f"{path}: up to date")
        return 0
    print(f"building {plan.name} for {place}, {plan.recipe.precision}: this takes minutes", flush=True)
    options = BuildOptions(args.level, args.workspace_mib)
    content = build_engine(plan.onnx_bytes(), [plan.shapes()], options, timing_cache_path(plan.folder, place))
    path = plan.write(place, content)
    try:
        rows, complaints = compare(plan, args.device, args.tolerance)
    except BaseException:
        # engine-run would find it, and nobody has seen it work.
        plan.discard(path)
        raise
    print_table(("OUTPUT", "CALL", "LARGEST DIFFERENCE", "LARGEST VALUE"), rows)
    if complaints:
        plan.discard(path)
        print(f"export_trt: {path} was not kept: {'; '.join(complaints)}", file=sys.stderr)
        return 1
    print(f"{path}: {len(content) / 1e6:.1f} MB")
    return 0


def _export(args: argparse.Namespace, plan: Plan) -> int:
    from engine.errors import ModelUnsupported
    from engine.models.trt import import_tensorrt, place_here
    from engine.models.trt_engine_file import timing_cache_path
    from tools.trt_build import BuildOptions, build_engine

    if problems := plan.problems():
        raise ModelUnsupported(f"{args.model}: {'; '.join(problems)}")
    place = place_here(import_tensorrt(), args.device)
    path = None if args.force else plan.existing(place)
    if path is not None:
        print(f"{path}: up to date")
        return 0
    print(f"building for {place}, {plan.recipe.precision}: this takes minutes", flush=True)
    options = BuildOptions(args.level, args.workspace_mib)
    content = build_engine(
        plan.onnx_bytes(),
        [plan.interface.shapes(profile) for profile in plan.recipe.profiles],
        options,
        timing_cache_path(plan.folder, place),
    )
    path = plan.write(place, content)
    try:
        parity, tolerance = _compare(args, plan, path)
    except BaseException:
        # engine-run would find it, and nobody has seen it work.
        plan.discard(path)
        raise
    print_table(("OUTPUT", "SHAPE", "LARGEST DIFFERENCE", "MEAN", "LARGEST VALUE"), parity.rows())
    print(
        f"boxes of ONNX Runtime with a partner in the engine: {parity.boxes.matched} of {parity.boxes.wanted}, "
        f"mean IoU {parity.boxes.mean_iou:.4f}, scores within {parity.boxes.worst_score_error:.2g}"
    )
    if complaints := parity.complaints(tolerance):
        plan.discard(path)
        print(f"export_trt: {path} was not kept: {'; '.join(complaints)}", file=sys.stderr)
        return 1
    print(f"{path}: {len(content) / 1e6:.1f} MB")
    return 0


def _compare(args: argparse.Namespace, plan: Plan, path: Path) -> tuple[Parity, Tolerance]:
    """The engine against the ONNX file as the user gave it, on the same pictures."""
    from dataclasses import replace

    from engine.models.backend import BackendOptions, backend_named
    from tools.frames import TEST_PICTURES
    from tools.parity import FLOAT16, FLOAT32
    from tools.trt_parity import INT8, compare

    tolerance = {"fp32": FLOAT32, "fp16": FLOAT16, "int8": INT8}[plan.recipe.precision]
    if args.tolerance is not None:
        tolerance = replace(tolerance, relative=args.tolerance)
    judged = backend_named("tensorrt").load(path, BackendOptions(device=args.device))
    try:
        reference = backend_named("ort-cpu").load(args.model, BackendOptions())
        try:
            every = 1 if args.pictures else 40
            urls = [args.pictures or TEST_PICTURES]
            return compare(reference, judged, urls, (args.count, every), tolerance), tolerance
        finally:
            reference.close()
    finally:
        judged.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run_tool(build_parser(), carry_out, argv)


if __name__ == "__main__":
    sys.exit(main())
