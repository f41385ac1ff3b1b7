"""Train nano-sam from nothing on rendered clips: first single pictures, then clips with memory.

What is trained is `tools.sam2.nano`'s model; the checkpoint that comes out is what `tools/export_onnx.py sam2` takes.
Two runs with the same seed, data and torch give the same weights; one that was interrupted goes on at its last
checkpoint. Torch is imported in `main`.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from engine.errors import ConfigError

CHECKPOINT = "nano_sam_training.pt"
WEIGHTS = "nano_sam.pt"
SETS = ("train", "stills", "val")
SCENE_TIMES = 4
"""Clips of the world of `scene://` come so many times as often: 63 % then, since it is what a first run shows."""
_WARM_UP = 100
_STILL_EVERY = 4
_SMALLEST_SHARE = 0.02  # of the learning rate, at the end


@dataclass(frozen=True, slots=True)
class Plan:
    """What is trained on for how long.

    people_steps                     steps of the encoder alone, which learns where anybody is, on pictures
    picture_steps                    then with prompts
    clip_steps                       then steps on clips, with memory; every fourth one is on pictures still, so that
                                     prompts are not forgotten
    pictures, picture_objects        of a step on pictures
    clips, clip_objects, frames      of a step on clips; frames: fewest and most
    short_clips, short_frames        of two in three of these: clips of few frames, most of them remembered as they
                                     truly are; what a memory means is learnt from these
    short_truth                      share of those frames
    rate, decay                      AdamW's
    average                          share of the old weights in their running average, at each step
    """

    people_steps: int = 1000
    picture_steps: int = 1100
    clip_steps: int = 3000
    pictures: int = 16
    picture_objects: int = 2
    clips: int = 3
    clip_objects: int = 2
    frames: tuple[int, int] = (4, 8)
    short_clips: int = 8
    short_frames: tuple[int, int] = (2, 3)
    short_truth: float = 0.7
    rate: float = 1.2e-3
    decay: float = 0.02
    average: float = 0.997

    def background_at(self, step: int) -> float:
        """Weight of what is not the object: nothing of its own at first, the same as the object's from the middle of
        the pictures on."""
        return min(1.0, max(0.0, 4 * (step - self.people_steps) / max(1, self.picture_steps) - 1))

    def is_of_pictures(self, step: int) -> bool:
        """Whether a step is on single pictures."""
        return step < self._first_clips or step % _STILL_EVERY == 0

    def is_of_stills(self, step: int) -> bool:
        """Whether a step on pictures is on stills, and not on frames of clips: at first one in two, then all."""
        return step % 2 == 1 or step >= self._first_clips

    @property
    def _first_clips(self) -> int:
        return self.people_steps + self.picture_steps

    def is_short(self, step: int) -> bool:
        """Whether a step on clips is on short ones."""
        return step % 3 != 0

    @property
    def steps(self) -> int:
        """Of all kinds."""
        return self.people_steps + self.picture_steps + self.clip_steps

    def rate_at(self, step: int) -> float:
        """Learning rate: linear warm-up, even on pictures, and half a cosine over the clips."""
        if step < _WARM_UP:
            return self.rate * (step + 1) / _WARM_UP
        done = max(0, step - self._first_clips) / max(1, self.clip_steps)
        return self.rate * (_SMALLEST_SHARE + (1 - _SMALLEST_SHARE) * 0.5 * (1 + float(np.cos(np.pi * done))))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `tools/train_nano.py segmenter` can be told, beside --data, --work and --seed."""
    plan = Plan()
    parser.add_argument(
        "--people-steps", type=int, default=plan.people_steps, help="steps of the encoder alone"
    )
    parser.add_argument(
        "--picture-steps", type=int, default=plan.picture_steps, help="steps on single pictures"
    )
    parser.add_argument("--clip-steps", type=int, default=plan.clip_steps, help="then steps on clips")
    parser.add_argument("--detector", type=Path, metavar="FILE.pt",
                        help="nano-det's checkpoint, whose weights the image encoder begins with "
                             "(default: WORK/nano_det.pt)")  # fmt: skip
    parser.add_argument("--rate", type=float, default=plan.rate, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=1, help="of torch, in each process")
    parser.add_argument("--processes", type=int, default=1, metavar="N",
                        help="that share every batch: one for each core")  # fmt: skip
    parser.add_argument("--float32", action="store_true", help="no bfloat16: for machines without it")
    parser.add_argument("--resume", action="store_true", help="go on at the last checkpoint in --work")
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="save and stop after so long; 0 = at the end"
    )


def main(args: argparse.Namespace) -> int:
    """Train, save WORK/nano_sam.pt. Raises `ConfigError`, and `ModelCorrupt` for nano-det's checkpoint."""
    from torch import multiprocessing

    from tools.nano.detector_training import trained_network
    from tools.nano.sets import opened

    if args.threads < 1 or args.processes < 1:
        raise ConfigError("--threads and --processes are at least 1")
    for name in SETS:
        opened(args.data, name)
    if not _goes_on(args):
        trained_network(_detector(args))
    args.work.mkdir(parents=True, exist_ok=True)
    if args.processes == 1:
        _train(0, args, Path())
        return 0
    with TemporaryDirectory(prefix="train-nano-") as folder:
        multiprocessing.spawn(_train, (args, Path(folder) / "meeting"), nprocs=args.processes)
    return 0


def _train(rank: int, args: argparse.Namespace, meeting: Path) -> None:
    """One process of all."""
    import torch

    from tools.nano.dataset import open_set
    from tools.nano.detector_training import trained_network
    from tools.nano.pictures import is_of_scene
    from tools.nano.segmenter_batches import Favoured
    from tools.nano.segmenter_together import Together
    from tools.nano.segmenter_training import Training

    torch.set_num_threads(args.threads)
    train, stills, held_out = (open_set(args.data / name) for name in SETS)
    plan = Plan(
        people_steps=args.people_steps,
        picture_steps=args.picture_steps,
        clip_steps=args.clip_steps,
        rate=args.rate,
    )
    together = Together() if args.processes == 1 else Together.meet(rank, args.processes, meeting)
    training = Training(plan, args.seed, bfloat16=not args.float32, together=together)
    if _goes_on(args):
        training.resume(args.work / CHECKPOINT)
        print(f"goes on at step {training.step}", flush=True)
    else:
        training.begin_with(trained_network(_detector(args)))
    stop_at = time.monotonic() + 60 * args.minutes if args.minutes else float("inf")
    favoured, favoured_stills = (
        Favoured(each, np.array([is_of_scene(each.seed(at)) for at in range(len(each))]), SCENE_TIMES)
        for each in (train, stills)
    )
    training.run(favoured, favoured_stills, held_out, args.work, lambda: time.monotonic() > stop_at)
    together.part()


def _goes_on(args: argparse.Namespace) -> bool:
    return bool(args.resume and (args.work / CHECKPOINT).is_file())


def _detector(args: argparse.Namespace) -> Path:
    given: Path | None = args.detector
    return given or args.work / "nano_det.pt"
