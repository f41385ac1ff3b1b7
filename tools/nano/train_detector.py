"""`train_nano.py detector`: from rendered pictures to `nano_det.onnx`. Says how it goes; checkpoints; exports.

python tools/train_nano.py detector --data pictures --work trained --out nano_det.onnx
python tools/train_nano.py detector --data pictures --work trained --resume
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError, ModelUnsupported
from tools.command_line import check_output, needs, write_whole

if TYPE_CHECKING:
    from tools.nano.detector_training import Training

CHECKPOINT = "nano_det.pt"
DESCRIPTION = "nano-det: people, trained on rendered pictures"
STEPS, CROWDED_STEPS = 5400, 700
VAL_FRAMES = (0, 5)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those that the other subcommands do not have."""
    parser.add_argument("--out", type=Path, metavar="FILE.onnx", help="default: WORK/nano_det.onnx")
    parser.add_argument("--steps", type=int, default=STEPS, metavar="N", help=f"default: {STEPS}")
    parser.add_argument("--crowded-steps", type=int, default=CROWDED_STEPS, metavar="N",
                        help=f"after these, on crowded pictures (default: {CROWDED_STEPS})")  # fmt: skip
    parser.add_argument("--batch", type=int, default=16, metavar="N", help="pictures in a step (default: 16)")
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16",
                        help="of the convolutions (default: bfloat16)")  # fmt: skip
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of torch (default: 1)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto",
                        help="auto: a GPU where torch sees one (default)")  # fmt: skip
    parser.add_argument(
        "--resume", action="store_true", help="go on at the checkpoint in WORK, if there is one"
    )
    parser.add_argument("--check", type=int, default=500, metavar="N",
                        help="judge and write a checkpoint every so many steps (default: 500)")  # fmt: skip
    parser.add_argument("--export-only", action="store_true", help="export the checkpoint in WORK as it is")


@dataclass(slots=True)
class _Tally:
    """Losses since the last line, and when it was printed."""

    since_s: float
    steps: int = 0
    score: float = 0.0
    box: float = 0.0
    distribution: float = 0.0

    def add(self, found: Any) -> None:
        self.steps += 1
        self.score += float(found.score)
        self.box += float(found.box)
        self.distribution += float(found.distribution)

    def line(self, step: int, steps: int) -> str:
        took_s = (time.monotonic() - self.since_s) / self.steps
        score, box, distribution = (sum_ / self.steps for sum_ in (self.score, self.box, self.distribution))
        return (
            f"step {step}/{steps}: score {score:.3f}, box {box:.3f}, distribution {distribution:.3f}, {took_s:.2f} s "
            f"a step, {(steps - step) * took_s / 60:.0f} min to go"
        )


def main(args: argparse.Namespace) -> int:
    """Train, or go on, and export. Raises an `EngineError`."""
    if args.steps < 1 or args.crowded_steps < 0 or args.batch < 1 or args.check < 1 or args.threads < 1:
        raise ConfigError("--steps, --batch, --check and --threads are at least 1")
    out = check_output(args.out or args.work / "nano_det.onnx", ".onnx")
    with needs("export"):
        import cv2
        import torch

        from tools.nano import detector_export, detector_training
    checkpoint = args.work / CHECKPOINT
    if not args.export_only:
        torch.set_num_threads(args.threads)
        cv2.setNumThreads(args.threads)
        settings = detector_training.Settings(
            seed=args.seed,
            steps=args.steps,
            crowded_steps=args.crowded_steps,
            batch=args.batch,
            bfloat16=args.precision == "bfloat16",
        )
        training = detector_training.Training(settings, chosen_device(args.device))
        if args.resume and checkpoint.exists():
            training.load(checkpoint)
        _train(training, args, checkpoint)
    network = detector_training.trained_network(checkpoint)
    exported = detector_export.export(network, _test_pictures(args.data), DESCRIPTION)
    print(f"largest difference from torch: {exported.pixels:.2g} pixels, {exported.score:.2g} of score")
    if not exported.sound:
        raise ModelUnsupported(f"{out} was not written: ONNX Runtime does not give what torch gives")
    write_whole(out, exported.content)
    print(f"{out}: {len(exported.content) / 1e6:.2f} MB")
    return 0


def chosen_device(wanted: str) -> str:
    """`auto` is a GPU where there is one. Raises `ConfigError` where a GPU is wanted and there is none."""
    import torch

    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ConfigError("--device cuda: torch sees no GPU here; take cpu or auto")
    return "cuda" if there and wanted != "cpu" else "cpu"


def _train(training: Training, args: argparse.Namespace, checkpoint: Path) -> None:
    from tools.nano.average_precision import average_precision, share_at
    from tools.nano.detector_training import whole_samples
    from tools.nano.sets import opened

    clips, val = opened(args.data, "stills", "train"), opened(args.data, "val")
    samples = whole_samples(val, VAL_FRAMES, training.settings.size_wh)
    steps = training.settings.all_steps
    print(f"nano-det: {len(clips)} clips, steps {training.step} to {steps} of {training.settings.batch} pictures on "
          f"{training.device}", flush=True)  # fmt: skip
    tally = _Tally(time.monotonic())
    while training.step < steps:
        tally.add(training.advance(clips))
        if training.step % 50 == 0 or training.step == steps:
            print(tally.line(training.step, steps), flush=True)
            tally = _Tally(time.monotonic())
        if training.step % args.check == 0 or training.step == steps:
            training.save(checkpoint)
            judged = training.judge(samples)
            share = share_at(judged, 0.25)
            print(f"  held-out pictures: AP50 {average_precision(judged):.3f}, at a score of 0.25 recall "
                  f"{share.recall:.3f}, precision {share.precision:.3f}", flush=True)  # fmt: skip
            tally.since_s = time.monotonic()


def _test_pictures(data: Path) -> Any:
    """float32 (n, 3, height, width) of held-out clips."""
    import numpy as np

    from tools.nano.detector import INPUT_WH
    from tools.nano.detector_training import whole_samples
    from tools.nano.sets import opened

    val = opened(data, "val")
    some = [val[index] for index in range(min(8, len(val)))]
    pictures = [sample.picture_bgr[..., ::-1] for sample in whole_samples(some, (0,), INPUT_WH)]
    return np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32) / 255
