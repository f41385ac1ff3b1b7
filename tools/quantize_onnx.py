"""ONNX float32 → eight bits for CPUs (static QDQ): calibrated on your clips, checked on others before it is written.

    python tools/quantize_onnx.py yolov8n.onnx --calibrate street.mp4 --calibrate yard/ --check gate.mp4

Pictures come through the engine's own sources and preparation, so that calibration sees what a run feeds. What the
new file finds is compared with what the float32 file finds; the fastest variant that loses no more than
--target-loss of recall and of precision is written, or none. Beside it lies the report as JSON. Needs
camring[export] (onnx and onnxslim; not torch).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__" and not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tools.command_line import EXIT_STATUS, check_input, check_output, print_table, run_tool, write_whole

if TYPE_CHECKING:
    from engine.models.heads.base import Head
    from engine.types import F32, Detections, FrameNv12
    from tools.accuracy import Agreement
    from tools.quantization import Processor, Ranges

MARGIN = 0.05
"""Boxes this near to the score from which boxes count may fall on either side by rounding alone."""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="quantize_onnx",
        description=__doc__,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, metavar="FILE.onnx")
    parser.add_argument(
        "--calibrate",
        action="append",
        required=True,
        metavar="SOURCE",
        help="clip, folder of pictures or URL with scenes as the cameras see them; may be repeated",
    )
    parser.add_argument(
        "--check",
        action="append",
        metavar="SOURCE",
        help="clips that calibration does not see (default: other frames of the same sources)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE.onnx", help="default: FILE_int8.onnx")
    parser.add_argument("--pictures", type=int, default=48, metavar="N", help="to calibrate on (default: 48)")
    parser.add_argument(
        "--checked", type=int, default=60, metavar="N", help="pictures to check (default: 60)"
    )
    parser.add_argument(
        "--every", type=int, default=7, metavar="N", help="take every N-th frame (default: 7)"
    )
    parser.add_argument(
        "--target-loss",
        type=float,
        default=0.02,
        metavar="SHARE",
        help="most of recall and of precision that may be lost (default: 0.02)",
    )
    parser.add_argument(
        "--score", type=float, default=0.25, help="boxes count from this score on (default: 0.25)"
    )
    parser.add_argument(
        "--iou", type=float, default=0.5, help="overlap of boxes that are the same (default: 0.5)"
    )
    parser.add_argument(
        "--recipe",
        choices=("auto", "body", "scores", "trunk"),
        default="auto",
        help="what is quantised, fastest first; auto takes the first that is good enough",
    )
    parser.add_argument(
        "--weight-bits", type=int, choices=(7, 8), help="default: by the CPU (7 without VNNI)"
    )
    return parser  # fmt: skip


@dataclass(slots=True)
class Attempt:
    """One variant of the model and what it finds: of the float32 file's boxes, and sure ones of both sides."""

    recipe: str
    content: bytes
    strict: Agreement
    sure: Agreement
    sure_reverse: Agreement

    @property
    def loss(self) -> float:
        """The greater loss of recall and precision."""
        return 1 - min(self.strict.recall, self.strict.precision)

    def row(self) -> tuple[str, ...]:
        """The attempt for a table."""
        shares = (
            self.strict.recall, self.strict.precision, self.strict.mean_iou, self.sure.recall,
            self.sure_reverse.recall,
        )  # fmt: skip
        return (self.recipe, *(f"{share:.4f}" for share in shares), f"{len(self.content) / 1e6:.1f}")


def carry_out(args: argparse.Namespace) -> int:
    """Calibrate, quantise, check, write. Raises an `EngineError`."""
    from engine.errors import ConfigError

    check_input(args.model, ".onnx")
    out = check_output(args.out or args.model.with_name(f"{args.model.stem}_int8.onnx"), ".onnx")
    if min(args.pictures, args.checked, args.every) < 1:
        raise ConfigError("--pictures, --checked and --every count from 1")
    if not all(0 < share < 1 for share in (args.score, args.iou)) or args.target_loss < 0:
        raise ConfigError("--score and --iou lie between 0 and 1, --target-loss is 0 or more")
    with tempfile.TemporaryDirectory(prefix="camring-quantize-") as folder:
        return _quantize(args, out, Path(folder))


def _quantize(args: argparse.Namespace, out: Path, folder: Path) -> int:
    from tools import onnx_graph, quantization
    from tools.runs import compare_speed

    head, size_wh = _head(args.model)
    model = quantization.ready(onnx_graph.read_model(args.model))
    cpu = _processor(args.weight_bits)
    pictures = _calibration(args, head, size_wh)
    print(f"{cpu.reason}; calibrating on {len(pictures)} pictures", flush=True)
    wanted_nodes = quantization.chosen_nodes(model, "body", len(head.labels))
    ranges = quantization.collect(model, wanted_nodes, pictures)
    frames = _held_out(args)
    tried = folder / "tried.onnx"
    tried.write_bytes(onnx_graph.to_bytes(model, str(args.model)))
    reference = _found(args, tried, frames)
    attempts: list[Attempt] = []
    for recipe in quantization.RECIPES if args.recipe == "auto" else (args.recipe,):
        nodes = quantization.chosen_nodes(model, recipe, len(head.labels))
        result = quantization.quantised(model, nodes, ranges, cpu, pictures[0])
        content = onnx_graph.to_bytes(result, str(out))
        tried.write_bytes(content)
        attempts.append(_judged(args, recipe, content, reference, _found(args, tried, frames)))
        if attempts[-1].loss <= args.target_loss:
            break
    _show(args, attempts, len(frames))
    best = attempts[-1]
    if best.loss > args.target_loss:
        best = min(attempts, key=lambda attempt: attempt.loss)
        print(
            f"quantize_onnx: {out} was not written: the best variant, {best.recipe}, loses {best.loss:.4f}, more "
            f"than {args.target_loss:g}: calibrate on more scenes, or allow more with --target-loss",
            file=sys.stderr,
        )
    else:
        tried.write_bytes(best.content)
        speed = compare_speed((args.model, tried), rounds=5, pictures=3)[1]
        print(
            f"{speed.ratio:.2f} times as fast as float32 here ({speed.ms:.1f} ms a picture, two calls at a time)"
        )
    record = _record(args, attempts, best, ranges, cpu)
    write_whole(out.with_suffix(".json"), (json.dumps(record, indent=2) + "\n").encode())
    if best.loss > args.target_loss:
        return 1
    write_whole(out, best.content)
    print(f"{out}: {len(best.content) / 1e6:.1f} MB, variant {best.recipe}")
    return 0


def _head(path: Path) -> tuple[Head, tuple[int, int]]:
    """The engine's head for the file, and the input's size. Raises a `ModelError` for what is no detector."""
    from engine.models.backend import BackendOptions, backend_named
    from engine.models.heads.base import recognise

    backend = backend_named("ort-cpu").load(path, BackendOptions())
    try:
        return recognise(backend.graph, str(path)), backend.graph.input_wh
    finally:
        backend.close()


def _processor(weight_bits: int | None) -> Processor:
    import platform
    from dataclasses import replace

    from tools.quantization import processor

    cpuinfo = Path("/proc/cpuinfo")
    cpu = processor(cpuinfo.read_text() if cpuinfo.exists() else "", platform.machine())
    if weight_bits is None:
        return cpu
    return replace(cpu, levels=127 if weight_bits == 8 else 64, reason=f"{weight_bits}-bit weights as asked")


def _calibration(args: argparse.Namespace, head: Head, size_wh: tuple[int, int]) -> list[F32]:
    from tools.frames import prepared, read_frames

    return [
        prepared(frame, head, size_wh)[0] for frame in read_frames(args.calibrate, args.pictures, args.every)
    ]


def _held_out(args: argparse.Namespace) -> list[FrameNv12]:
    """Frames that calibration has not seen."""
    from tools.frames import read_frames

    if args.check:
        return list(read_frames(args.check, args.checked, args.every))
    between = args.every // 2
    if not between:
        print(
            "checking the very frames of the calibration: with --every 1 and no --check there are no others"
        )
    return list(read_frames(args.calibrate, args.checked, args.every, first=between))


def _found(args: argparse.Namespace, path: Path, frames: Sequence[FrameNv12]) -> list[Detections]:
    from tools.runs import detect

    return detect(path, frames, args.score)


def _judged(
    args: argparse.Namespace,
    recipe: str,
    content: bytes,
    reference: Sequence[Detections],
    found: Sequence[Detections],
) -> Attempt:
    from tools.accuracy import Agreement, at_least

    attempt = Attempt(recipe, content, Agreement(), Agreement(), Agreement())
    for a, b in zip(reference, found, strict=True):
        attempt.strict.add(a, b, args.iou)
        attempt.sure.add(at_least(a, args.score + MARGIN), b, args.iou)
        attempt.sure_reverse.add(at_least(b, args.score + MARGIN), a, args.iou)
    return attempt


def _show(args: argparse.Namespace, attempts: Sequence[Attempt], frames: int) -> None:
    boxes = attempts[0].strict.wanted
    print(f"against the {boxes} boxes with score ≥ {args.score} that float32 finds in {frames} other frames:")
    print_table(
        ("VARIANT", "RECALL", "PRECISION", "MEAN IOU", f"RECALL ≥ {args.score + MARGIN:g}",
         f"PRECISION ≥ {args.score + MARGIN:g}", "MB"),
        [attempt.row() for attempt in attempts],
    )  # fmt: skip


def _record(
    args: argparse.Namespace, attempts: Sequence[Attempt], best: Attempt, ranges: Ranges, cpu: Processor
) -> dict[str, Any]:
    import hashlib
    from importlib.metadata import version

    from engine.secrets import mask_url

    calibrated, checked = (
        [mask_url(url) for url in urls] for urls in (args.calibrate, args.check or args.calibrate)
    )
    return {
        "model": args.model.name,
        "model_sha256": hashlib.sha256(args.model.read_bytes()).hexdigest(),
        "sha256": hashlib.sha256(best.content).hexdigest(),
        "variant": best.recipe, "written": best.loss <= args.target_loss,
        "calibration": {"sources": calibrated, "pictures": ranges.pictures, "every": args.every},
        "checked": {"sources": checked, "score": args.score, "iou": args.iou,
                    "target_loss": args.target_loss},
        "processor": cpu.reason,
        "attempts": [
            {"variant": attempt.recipe, "reference": attempt.strict.wanted, "found": attempt.strict.found,
             "recall": attempt.strict.recall, "precision": attempt.strict.precision,
             "mean_iou": attempt.strict.mean_iou, "recall_of_sure": attempt.sure.recall,
             "precision_of_sure": attempt.sure_reverse.recall}
            for attempt in attempts
        ],
        "versions": {name: version(name) for name in ("onnx", "onnxruntime", "numpy")},
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run_tool(build_parser(), carry_out, argv)


if __name__ == "__main__":
    sys.exit(main())
