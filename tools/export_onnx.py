"""Ultralytics `.pt` → ONNX that engine-run takes: any or a fixed batch, float32 or float16, simplified, checked.

    python tools/export_onnx.py yolo11n.pt
    python tools/export_onnx.py yolo11n.pt --out models/yolo11n_half.onnx --precision fp16 --pictures pictures/
    python tools/export_onnx.py sam2 --help                    SAM 2 and EdgeTAM: a folder with four graphs
    python tools/export_onnx.py reid --help                    re-identification: OSNet of torchreid, or an ONNX file

What torch computes and what ONNX Runtime computes for the same pictures is compared, output by output and box by
box; a file that is out of tolerance is not written. Beside the file lies the report as JSON. Needs
camring[export]; ultralytics is AGPL-3.0, and so are its weights.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__" and not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tools.command_line import EXIT_STATUS, check_input, check_output, print_table, run_tool, write_whole

if TYPE_CHECKING:
    from tools.parity import Parity, Tolerance
    from tools.ultralytics_model import Checkpoint, Wish

HEADS = {"auto": None, "end2end": True, "anchors": False}


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="export_onnx",
        description=__doc__,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", type=Path, metavar="FILE.pt")
    parser.add_argument("--out", type=Path, metavar="FILE.onnx", help="default: beside the .pt")
    parser.add_argument(
        "--size", type=input_size, default=(640, 640), metavar="SIDE|WxH", help="default: 640"
    )
    parser.add_argument("--batch", type=int, default=0, metavar="N", help="fixed batch; 0 = any (default)")
    parser.add_argument("--precision", choices=("fp32", "fp16"), default="fp32")
    parser.add_argument("--half-input", action="store_true", help="fp16: the input is float16 too")
    parser.add_argument("--opset", type=int, default=17, metavar="N", help="ONNX operator set (default: 17)")
    parser.add_argument(
        "--head", choices=sorted(HEADS), default="auto",
        help="of models with two: end2end needs no suppression (default where there is one)",
    )  # fmt: skip
    parser.add_argument(
        "--pictures", metavar="SOURCE", help="folder, clip or URL to compare on (default: drawn ones)"
    )
    parser.add_argument("--count", type=int, default=4, metavar="N", help="pictures to compare (default: 4)")
    parser.add_argument(
        "--tolerance", type=float, metavar="SHARE",
        help="largest difference as a share of an output's largest value (default: 0.001, fp16 0.02)",
    )  # fmt: skip
    parser.add_argument(
        "--trust-pickle", action="store_true",
        help="load a .pt that holds more than weights and known layers; this runs any code that is in it",
    )  # fmt: skip
    return parser


def input_size(text: str) -> tuple[int, int]:
    """(width, height) of `640` or `640x384`."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and 32 <= int(side) <= 8192 for side in sides):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size: 640, or width and height as 640x384, from 32 on"
        )
    return int(sides[0]), int(sides[-1])


def carry_out(args: argparse.Namespace) -> int:
    """Export, compare, write. Raises an `EngineError`."""
    from engine.errors import ConfigError

    check_input(args.checkpoint, ".pt")
    out = check_output(args.out or args.checkpoint.with_suffix(".onnx"), ".onnx")
    if args.half_input and args.precision != "fp16":
        raise ConfigError("--half-input goes with --precision fp16")
    if args.batch < 0 or args.count < 1:
        raise ConfigError("--batch counts from 0, --count from 1")
    with tempfile.TemporaryDirectory(prefix="camring-export-") as folder:
        return _export(args, out, Path(folder))


def _export(args: argparse.Namespace, out: Path, folder: Path) -> int:
    from tools import onnx_graph
    from tools.ultralytics_model import Checkpoint, Wish

    checkpoint = Checkpoint(args.checkpoint, folder, args.trust_pickle)
    _check_size(args.size, checkpoint.stride)
    wish = Wish(args.size, args.batch, args.opset, HEADS[args.head])
    model = onnx_graph.read_model(checkpoint.export(wish))
    kept = onnx_graph.metadata(model)
    width, height = args.size
    model = onnx_graph.slim(model) if args.batch else onnx_graph.fix_size(model, width, height)
    if args.precision == "fp16":
        model = onnx_graph.to_half(model, args.half_input)
    onnx_graph.set_metadata(model, kept)
    content = onnx_graph.to_bytes(model, str(out))
    tried = folder / "result.onnx"
    tried.write_bytes(content)
    parity, tolerance = _compare(args, checkpoint, wish, tried)
    complaints = parity.complaints(tolerance)
    _show(parity, out, kept)
    record = _record(args, content, kept, parity, complaints)
    write_whole(out.with_suffix(".json"), (json.dumps(record, indent=2) + "\n").encode())
    if complaints:
        print(f"export_onnx: {out} was not written: {'; '.join(complaints)}", file=sys.stderr)
        return 1
    write_whole(out, content)
    print(
        f"{out}: {len(content) / 1e6:.1f} MB, {args.precision}, batch {args.batch or 'any'}, {width} × {height}"
    )
    return 0


def _check_size(size_wh: tuple[int, int], stride: int) -> None:
    from engine.errors import ConfigError

    if any(side % stride for side in size_wh):
        nearest = "x".join(str(max(stride, round(side / stride) * stride)) for side in size_wh)
        raise ConfigError(f"--size: both sides must be multiples of the stride, {stride}; nearest: {nearest}")


def _compare(
    args: argparse.Namespace, checkpoint: Checkpoint, wish: Wish, path: Path
) -> tuple[Parity, Tolerance]:
    """Run both on the same pictures, prepared as the engine prepares them."""
    from dataclasses import replace

    import numpy as np

    from engine.models.backend import BackendOptions, backend_named
    from tools.frames import TEST_PICTURES, prepared, read_frames
    from tools.parity import FLOAT16, FLOAT32, Parity, head_of

    tolerance = FLOAT16 if args.precision == "fp16" else FLOAT32
    if args.tolerance is not None:
        tolerance = replace(tolerance, relative=args.tolerance)
    backend = backend_named("ort-cpu").load(path, BackendOptions(batch=max(1, args.batch)))
    try:
        head = head_of(backend.graph, str(args.checkpoint))
        parity = Parity(backend.graph, sorted_rows=not head.needs_nms)
        parity.read_by(head)
        call = backend.new_call()
        # The drawn figures come in one after another.
        every, first = (1, 0) if args.pictures else (40, 80)
        for frame in read_frames([args.pictures or TEST_PICTURES], args.count, every, first):
            tensor, letterbox = prepared(frame, head, args.size)
            np.copyto(call.input_nchw, tensor, casting="same_kind")
            found = [output[:1] for output in backend.run(call, 1, 0)]
            parity.add(checkpoint.forward(tensor, wish), found, letterbox, tolerance)
    finally:
        backend.close()
    return parity, tolerance


def _show(parity: Parity, out: Path, kept: dict[str, str]) -> None:
    print_table(("OUTPUT", "SHAPE", "LARGEST DIFFERENCE", "MEAN", "LARGEST VALUE"), parity.rows())
    boxes = parity.boxes
    print(
        f"boxes of torch with a partner in {out.name}: {boxes.matched} of {boxes.wanted}, mean IoU "
        f"{boxes.mean_iou:.4f}, scores within {boxes.worst_score_error:.2g}"
    )
    names = ("task", "stride", "imgsz", "end2end", "kpt_shape")
    print("metadata: " + ", ".join(f"{name} {kept[name]}" for name in names if name in kept))


def _record(
    args: argparse.Namespace, content: bytes, kept: dict[str, str], parity: Parity, complaints: list[str]
) -> dict[str, Any]:
    import hashlib
    from importlib.metadata import version

    packages = ("torch", "onnx", "onnxslim", "onnxruntime", "ultralytics-opencv-headless")
    return {
        "checkpoint": args.checkpoint.name,
        "checkpoint_sha256": hashlib.sha256(args.checkpoint.read_bytes()).hexdigest(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "precision": args.precision, "batch": args.batch, "size_wh": list(args.size), "opset": args.opset,
        "metadata": kept, "versions": {name: version(name) for name in packages},
        "parity": parity.record(), "out_of_tolerance": complaints,
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["sam2"]:
        from tools.sam2 import command

        return command.main(words[1:])
    if words[:1] == ["reid"]:
        from tools.reid import command as reid_command

        return reid_command.main(words[1:])
    return run_tool(build_parser(), carry_out, words)


if __name__ == "__main__":
    sys.exit(main())
